// SPDX-License-Identifier: Apache-2.0
//
// An answer on standard output: as the API's JSON, as a table for people, or names alone.
#ifndef KW_CLI_OUTPUT_H
#define KW_CLI_OUTPUT_H

#include <stdio.h>

#include "cli/state.h"

// ERR_IO when standard output takes no more.
MUST_USE enum err output_document(const struct cli *cli, const json_t *doc);

// Whatever was printed so far; ERR_IO when standard output does not take it.
MUST_USE enum err output_flush(void);

// The checks or steps of a document, one line each with ✔ or ✖ and the fix; with `only_failed`
// those that failed.
void output_checks(const json_t *doc, FILE *out, bool only_failed);

#endif
