// SPDX-License-Identifier: Apache-2.0
//
// Proof of being somebody: password and second factor, checked in two halves. The first takes long
// and holds no transaction; the second opens the one in which the outcome is counted, whatever door
// the proof came to (ops/tries.h). Names that nobody has cost as much as others, and end in the
// same words.
#ifndef KW_OPS_PROOF_H
#define KW_OPS_PROOF_H

#include "ops/account.h"
#include "ops/tries.h"

// What is wanted: a password; a code; a code where the account has a second factor.
enum { PROOF_PASSWORD = 1, PROOF_CODE = 2, PROOF_FACTOR = 4 };

struct proof {
    unsigned wanted;
    bool known; // there is such an account
    struct account account;
    struct policy policy;
    struct store_tries tries; // found under the name
    bool right;
    int64_t code_step; // of the code that fitted, 0: none was wanted
};

// Compares the request's secrets "password" and "code" with the account of this name hash. While
// the name is locked nothing is compared.
MUST_USE enum err proof_compare(struct op *op, const uint8_t hash[STORE_HASH_LEN], unsigned wanted,
                                struct proof *ret);

// Opens the transaction and counts. When it was wrong: fails with `code` and `words`, or with
// ERR_TOO_MANY while the name is locked. When it was right: `proof->account` is as it is now, a
// used code counts no more, and a save is open for what the caller writes.
MUST_USE enum err proof_settle(struct op *op, struct proof *proof, enum err code,
                               const char *words);

#endif
