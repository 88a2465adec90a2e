// SPDX-License-Identifier: Apache-2.0
//
// An answer on standard output: as the API's JSON, as a table for people, or names alone.
#ifndef KW_CLI_OUTPUT_H
#define KW_CLI_OUTPUT_H

#include "cli/state.h"

// ERR_IO when standard output takes no more.
MUST_USE enum err output_document(const struct cli *cli, const json_t *doc);

// The checks or steps of a document, one line each with ✔ or ✖ and the fix, to standard output or
// standard error. False when it holds none.
bool output_checks(const json_t *doc, bool to_stderr);

#endif
