// SPDX-License-Identifier: Apache-2.0
//
// What the operations that make objects have in common.
#ifndef KW_OPS_MAKE_H
#define KW_OPS_MAKE_H

#include "ops/object.h"

// A new symmetric key as the attributes want it, not stored yet. ERR_MISSING_DATA, ERR_INVALID.
MUST_USE enum err make_symmetric(struct op *op, const struct attrs *wanted, struct object *ret);

// A new key pair as the request's three sets of attributes want it, its halves linked to each
// other, not stored yet. ERR_MISSING_DATA, ERR_INVALID. In ops/create_key_pair.c.
MUST_USE enum err make_pair(struct op *op, const struct request *request,
                            struct object *ret_private, struct object *ret_public);

// ERR_INVALID when a symmetric algorithm has no keys of this many bits. Unknown algorithms pass.
MUST_USE enum err make_check_length(uint32_t algorithm, uint32_t bits);

// Fills the reply with a new object's identity and sets the ID Placeholder.
void make_answer(struct op *op, const struct object *object);

#endif
