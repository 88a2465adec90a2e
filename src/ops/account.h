// SPDX-License-Identifier: Apache-2.0
//
// A user as the operations see it: the row with its sealed record opened. What the user holds is
// bound to the record, so that nobody who writes to the store's file alone can give it more. Names
// are compared in their normal form only (account_normal): lower case, without blanks and what
// cannot be seen.
#ifndef KW_OPS_ACCOUNT_H
#define KW_OPS_ACCOUNT_H

#include "ops/doc.h"
#include "store/people.h"

enum {
    ACCOUNT_NAME_MAX = 64,
    ACCOUNT_TYPED_MAX = 256, // of a name that somebody typed
    ACCOUNT_TEXT_MAX = 256,
    ACCOUNT_SEALED_MAX = 8192
};

struct account {
    struct store_user row;
    struct span name; // in normal form
    struct span full_name;
    struct span email;
    struct span password; // record (base/pwhash.h), empty when there is none yet
    struct span totp;     // secret of the second factor, empty when there is none
    struct span kept;     // earlier password records, the newest first
};

// The normal form of what somebody typed. Applied to a normal form it changes nothing. The result
// lies in `out`; what is longer than its room is cut.
struct span account_normal(struct span typed, uint8_t out[ACCOUNT_TYPED_MAX]);

// A name for a new account, from a document: letters, digits, '_', '.' and '-', which begins with a
// letter or digit. The normal form, in the arena. ERR_INVALID, ERR_MISSING_DATA.
MUST_USE enum err account_take_name(struct op *op, const json_t *doc, const char *field,
                                    struct span *ret);

// ERR_CONFLICT when an endpoint has the name: one name, one who acts.
MUST_USE enum err account_check_free(struct op *op, struct span name);

// The same from the other side: ERR_CONFLICT when a user has the name that an endpoint is to get.
MUST_USE enum err account_check_endpoint(struct op *op, struct span name);

// The hash that wrong tries are counted under and accounts are found by, of a normal form.
MUST_USE enum err account_hash(struct op *op, struct span normal, uint8_t ret[STORE_HASH_LEN]);

// ERR_DAMAGED when the row is not what was sealed.
MUST_USE enum err account_open(struct op *op, const struct store_user *row, struct account *ret);
MUST_USE enum err account_get(struct op *op, const struct uuid *id, struct account *ret);

// By a name as somebody typed it (at most ACCOUNT_TYPED_MAX bytes), or by the one in `field` of a
// document. ERR_NOT_FOUND says the name.
MUST_USE enum err account_named(struct op *op, struct span name, struct account *ret);
MUST_USE enum err account_find(struct op *op, const json_t *doc, const char *field,
                               struct account *ret);

// Stores a new one (id, version and created are set here), or one that was changed. ERR_CONFLICT.
MUST_USE enum err account_put(struct op *op, struct account *account);
MUST_USE enum err account_update(struct op *op, struct account *account);

// The name as JSON; the identifier when there is no such user any more.
json_t *account_name(struct op *op, const struct uuid *id);

// A new password record; the one before goes to the kept ones.
MUST_USE enum err account_set_password(struct op *op, struct account *account,
                                       const uint8_t *record, int64_t keep);

#endif
