// SPDX-License-Identifier: Apache-2.0
//
// Where the objects go that an administrator makes: whose they are, and into which wallet.
#ifndef KW_OPS_KEY_MAKE_H
#define KW_OPS_KEY_MAKE_H

#include "ops/key.h"

struct key_place {
    struct uuid owner;  // zero: nobody's
    struct uuid wallet; // zero: none
};

// From the document's "owner" and "wallet". Without the role for it one makes objects of one's own,
// and puts them into wallets that one may change. ERR_NOT_FOUND, ERR_NOT_PERMITTED.
MUST_USE enum err key_take_place(struct op *op, const json_t *doc, struct key_place *ret);

// Attributes that every new object may be given: "activation_date", "deactivation_date",
// "sensitive", "extractable".
MUST_USE enum err key_take_common(struct op *op, const json_t *doc, struct attrs *ret);

// What a key of this algorithm is for when nobody says it: bits of the usage mask. `published`: of
// a public key.
uint32_t key_usual_usage(uint32_t algorithm, bool published);

// Runs an operation of KMIP's that makes objects, as if whoever is to own them had asked.
MUST_USE enum err key_make(struct op *op, const struct key_place *place, struct request *request,
                           op_function *make, struct reply *ret);

#endif
