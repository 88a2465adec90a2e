// SPDX-License-Identifier: Apache-2.0
//
// What the operations on endpoints have in common.
#ifndef KW_OPS_ENDPOINT_H
#define KW_OPS_ENDPOINT_H

#include "ops/ca.h"
#include "ops/doc.h"
#include "ops/peer.h"

enum { ENDPOINT_TOKEN_LEN = 64, ENDPOINT_CSR_MAX = 32 * 1024 };

// ERR_NOT_FOUND says the name.
MUST_USE enum err endpoint_find(struct op *op, struct span name, struct store_endpoint *ret);

// The one that the "name" of a document means, where the asker may use the verb on it; tells the
// audit trail. What is out of sight is not found, in the same words.
MUST_USE enum err endpoint_take(struct op *op, const json_t *doc, struct store_endpoint *ret,
                                struct span *ret_name);

// The name as JSON; the identifier when there is no such endpoint any more, null for zero.
json_t *endpoint_name(struct op *op, const struct uuid *id);

const char *endpoint_state_name(uint32_t state);

// The endpoint as an administrator sees it.
MUST_USE enum err endpoint_describe(struct op *op, const struct store_endpoint *row, json_t **ret);

// A new one-time token: its text, which is told once, and its hash in the row.
void endpoint_make_token(struct store_endpoint *row, int64_t now, int64_t life_s,
                         char text[ENDPOINT_TOKEN_LEN + 1]);

// The optional "token_life_s" of a document, or the default.
MUST_USE enum err endpoint_token_life(const json_t *doc, int64_t *ret);

// The "csr" of a document, borrowed from it.
MUST_USE enum err endpoint_csr(const json_t *doc, struct span *ret);

// The endpoint for which the request's secret "token" is good: ERR_AUTHENTICATION, which does not
// say what is wrong, or ERR_TOO_MANY. Within the writer's transaction endpoint_use_token then uses
// it up, and ends the certificates that there were.
MUST_USE enum err endpoint_take_token(struct op *op, struct span name, struct store_endpoint *ret);
MUST_USE enum err endpoint_use_token(struct op *op, struct store_endpoint *row);

// The name, terminated.
MUST_USE enum err endpoint_text_name(struct op *op, const struct store_endpoint *row,
                                     char ret[ENDPOINT_NAME_MAX + 1]);

// Stores the row with a certificate that was signed.
MUST_USE enum err endpoint_enter(struct op *op, struct store_endpoint *row,
                                 const struct ca_signed *cert);

// Signs a request and stores the row with the new certificate. *ret is the answer.
MUST_USE enum err endpoint_certify(struct op *op, struct store_endpoint *row, struct span csr,
                                   json_t **ret);

#endif
