// SPDX-License-Identifier: Apache-2.0
//
// Runs a row of the table that has no function of its own: options become a document, secrets are
// collected, the route is called, the answer is printed.
#ifndef KW_CLI_RUN_H
#define KW_CLI_RUN_H

#include "cli/client.h"

// First of all, since secrets pass through this process: no core dump, nobody may trace it. What is
// missing of standard input, output and error is made good, a reader that goes away ends nothing.
void run_harden(const char *program);

// A value as its kind wants it, NULL when the text is none. Caller frees.
json_t *run_value(enum field_kind kind, const char *value);

// A file of at most 1 MiB, or standard input for "-".
MUST_USE enum err run_read_file(const char *path, struct buf *out);

// The document that the command's options, words and input make. Caller frees.
MUST_USE enum err run_document(const struct cli *cli, json_t **ret);

// The path of the command's route, with name, query and a NUL.
MUST_USE enum err run_path(const struct cli *cli, struct buf *out);

// Collects, calls; *ret is the answer.
MUST_USE enum err run_call(struct cli *cli, json_t **ret);

// The same and prints. A document that says "healthy": false (hsm verify) is ERR_HSM_FAILED, one
// that says "sound": false (audit verify) ERR_DAMAGED.
MUST_USE enum err run_command(struct cli *cli);

// Prints the error for people on standard error: what, why, and what to do next; with JSON output
// also the server's problem document on standard output.
void run_complain(const struct cli *cli, const char *program, enum err err);

#endif
