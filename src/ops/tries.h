// SPDX-License-Identifier: Apache-2.0
//
// Wrong passwords, codes and passphrases, counted by name whatever door they came to, whether
// somebody has the name or not. Too many lock the name for a while. The last System Administrator
// is never locked out that way: each further wrong try only makes the wait longer.
#ifndef KW_OPS_TRIES_H
#define KW_OPS_TRIES_H

#include "ops/policy.h"
#include "store/people.h"

enum { TRIES_KEPT_S = 3600 }; // what is older, and locks nothing, is forgotten

// Of the last administrator: doubled with each wrong try, up to the longest.
enum { TRIES_FIRST_WAIT_S = 15, TRIES_LONGEST_WAIT_S = 300 };

// Whether the name is locked: then nothing is compared, but counted.
bool tries_is_locked(const struct op *op, const struct store_tries *tries);

// ERR_TOO_MANY, with how long to wait.
MUST_USE enum err tries_refuse(const struct op *op, const struct store_tries *tries);

// One more wrong try, within a write transaction; what the caller writes later may be taken back,
// this stays. `last` is true for the last System Administrator.
MUST_USE enum err tries_count(struct op *op, const struct policy *policy, struct store_tries *tries,
                              bool last);

// It was right: nothing is counted any more.
MUST_USE enum err tries_clear(struct op *op, const struct store_tries *tries);

// Wrong recovery passphrases, whatever door they came to, are counted for each user and, with
// TRIES_OF_ALL times as many allowed, for all together, so that one user cannot shut the door for
// others. Over the local socket nothing is counted: who has that has the files.
enum { TRIES_OF_ALL = 10 };

struct recovery_door {
    struct policy policy;
    struct store_tries own;
    struct store_tries all;
    bool counted; // false: the local administrator
    bool locked;  // nothing is compared then
};
MUST_USE enum err tries_recovery(struct op *op, struct recovery_door *ret);

// ERR_TOO_MANY, with how long to wait.
MUST_USE enum err tries_refuse_recovery(const struct op *op, const struct recovery_door *door);

// Counts what came of it, within a write transaction.
MUST_USE enum err tries_recovered(struct op *op, struct recovery_door *door, bool right);

// Whether these are wrong passphrases; of one user or of all together.
bool tries_are_of_recovery(const struct store_tries *tries, bool *ret_all);

// ERR_PASSPHRASE, in words that tell nothing else.
MUST_USE enum err tries_wrong_passphrase(void);

#endif
