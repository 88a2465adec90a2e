// SPDX-License-Identifier: Apache-2.0
//
// An open store, and the rules that each verb asks before it calls the driver. Private to the store
// room.
#ifndef KW_STORE_RULES_H
#define KW_STORE_RULES_H

#include "store/driver.h"

struct store {
    const struct store_driver *driver;
    void *self;
    enum store_mode mode; // that it was opened with
    bool active;          // a transaction is open
    enum store_mode kind; // of that transaction
    bool touched;         // something may have been changed in it
    unsigned depth;       // of saves
    bool bare;            // the first of them is the beginning of the transaction itself
    enum err doomed;      // what doomed the transaction; ERR_OK: nothing did
    bool failed;
    bool seen; // store_changed was asked before, and then
    uint64_t seen_version;
};

// Nothing runs after a failed commit, nor in a transaction that cannot go on; there the error is
// the one that doomed it, since what it means for the asker and for the process stays true.
MUST_USE enum err rules_usable(const struct store *store);

// The same, and a write transaction is open.
MUST_USE enum err rules_writing(const struct store *store);

// The same, at the head of each verb that changes something.
MUST_USE enum err rules_writable(struct store *store);

// Passes the result of a writing verb on, and dooms the transaction where nobody can tell any more
// what it holds.
MUST_USE enum err rules_wrote(struct store *store, enum err err);

// 1 to STORE_FIND_MAX.
MUST_USE enum err rules_limit(uint32_t limit);

#endif
