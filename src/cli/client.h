// SPDX-License-Identifier: Apache-2.0
//
// Calls of the REST interface: a document and secrets in, a document or an error out. A problem
// document becomes the error of its type, with its detail.
#ifndef KW_CLI_CLIENT_H
#define KW_CLI_CLIENT_H

#include "base/secret.h"
#include "cli/state.h"

enum { CLIENT_SECRETS_MAX = 4 };

struct client_secret {
    const char *name; // of the field
    struct secret *value;
};

struct client_secrets {
    struct client_secret items[CLIENT_SECRETS_MAX];
    size_t count;
};

void client_secrets_done(struct client_secrets *secrets);

// Opens the root prefix. ERR_UNAVAILABLE when there is no such directory.
MUST_USE enum err client_open_root(struct cli *cli);

// `path` below /api/v1, encoded. `doc` (borrowed) and `secrets` may be NULL. Caller frees *ret.
// After an error cli->problem may hold the document and cli->unsure tells whether something may
// have changed.
MUST_USE enum err client_call(struct cli *cli, const char *method, const char *path,
                              const json_t *doc, const struct client_secrets *secrets,
                              json_t **ret);

// The same for an answer that is bytes, which are appended to *ret.
MUST_USE enum err client_fetch(struct cli *cli, const char *method, const char *path,
                               const json_t *doc, const struct client_secrets *secrets,
                               struct buf *ret);

// The error that a problem document stands for, with its detail; sets cli->problem and cli->unsure.
MUST_USE enum err client_problem(struct cli *cli, int status, struct span body);

// Appends `text` with what has a meaning in an address encoded.
MUST_USE enum err client_encode(struct buf *out, const char *text);

#endif
