// SPDX-License-Identifier: Apache-2.0
//
// What passwords must be like, how long they and sessions last, how many wrong tries there are: one
// shared setting, which administrators change (people/password-policy), with bounds that nobody can
// leave. No rule asks for certain kinds of characters: length counts, and that nobody guesses it.
#ifndef KW_OPS_POLICY_H
#define KW_OPS_POLICY_H

#include "ops/doc.h"

struct policy {
    int64_t password_min;  // characters
    int64_t password_days; // 0: a password does not age
    int64_t password_kept; // how many earlier ones may not come again
    int64_t tries;         // wrong ones, then the name is locked
    int64_t lock_s;        // for so long
    int64_t idle_s;        // a session that is not used ends
    int64_t session_s;     // and any
    int64_t token_days;    // the longest life of an API token
};

enum { POLICY_KEPT_MAX = 24 };

// The policy in force: the setting, or the defaults. ERR_DAMAGED.
MUST_USE enum err policy_load(struct op *op, struct policy *ret);

// Whether this may be the new password of the user `name`. ERR_INVALID says why not.
MUST_USE enum err policy_check(const struct policy *policy, struct span password, struct span name);

// Passwords that many people have, in lower case, ended by NULL (spec/passwords.txt).
extern const char *const policy_words[];

#endif
