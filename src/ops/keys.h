// SPDX-License-Identifier: Apache-2.0
//
// The data keys that an engine holds unwrapped, by purpose: "objects" seals, "index" makes blind
// index values, "audit" seals the trail. They are wrapped by the keeper and kept in the store;
// several of one purpose may stand side by side, the newest seals.
#ifndef KW_OPS_KEYS_H
#define KW_OPS_KEYS_H

#include "ops/context.h"

enum { KEYS_REFRESH_MS = 1000 }; // how often an engine compares its keys with the store's at most

// Within a transaction: unwraps what the store has, and makes what is missing unless this is a
// reader. ERR_LOCKED with the reason; other errors of the store. Blocks on the keeper.
MUST_USE enum err keys_load(struct ops *ops);

// ERR_LOCKED with the reason while the data keys are not there.
MUST_USE enum err keys_check(const struct ops *ops);

// The key that new bytes are sealed with; empty while locked.
struct span keys_newest(const struct ops *ops, const char *purpose, struct uuid *ret_id);

// The key with this id; loads again when it is not known yet. ERR_LOCKED, ERR_DAMAGED.
MUST_USE enum err keys_get(struct ops *ops, const struct uuid *id, struct span *ret);

// A new data key of this purpose, which seals from now on, within a write transaction. ERR_CONFLICT
// when there are too many to add one.
MUST_USE enum err keys_rotate(struct ops *ops, const char *purpose);

// Removes all of this purpose but the newest, within a write transaction. What they sealed is lost.
MUST_USE enum err keys_retire(struct ops *ops, const char *purpose);

// Forgets what the store no longer has, and learns what is new in it.
MUST_USE enum err keys_refresh(struct ops *ops);

// The n-th newest key of a purpose (0: the newest), empty past the last: for records that do not
// say which key sealed them.
struct span keys_nth(const struct ops *ops, const char *purpose, size_t nth);

// Wraps every data key under the keeper's newest master key, in a transaction of its own, unless
// that is known to be so.
MUST_USE enum err keys_follow(struct ops *ops);

void keys_forget(struct ops *ops);

#endif
