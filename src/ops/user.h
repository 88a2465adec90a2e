// SPDX-License-Identifier: Apache-2.0
//
// What the operations on users have in common.
#ifndef KW_OPS_USER_H
#define KW_OPS_USER_H

#include "ops/account.h"
#include "ops/policy.h"

enum { USER_MADE_LEN = 23 }; // of a made-up password: four groups of five characters

// The account that the "name" of a document means, where the asker may use the verb on it; tells
// the audit trail. ERR_NOT_FOUND says the name.
MUST_USE enum err user_take(struct op *op, const json_t *doc, struct account *ret);

// {"full_name", "email"} where the document has them. ERR_INVALID.
MUST_USE enum err user_take_texts(struct op *op, const json_t *doc, struct account *account);

// The account as an administrator sees it.
MUST_USE enum err user_describe(struct op *op, const struct account *account, json_t **ret);

// A password that nobody has chosen, fit to be read aloud.
void user_make_password(char text[USER_MADE_LEN + 1]);

// ERR_WRONG_STATE when nobody else could act as System Administrator without this one.
MUST_USE enum err user_check_not_last(struct op *op, const struct account *account);

#endif
