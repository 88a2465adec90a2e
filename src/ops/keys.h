// SPDX-License-Identifier: Apache-2.0
//
// The data keys that an engine holds unwrapped, by purpose: "objects" seals, "index" makes blind
// index values, "audit" seals the trail. They are made once, wrapped by the keeper and kept in the
// store; several of one purpose may stand side by side, the newest seals.
#ifndef KW_OPS_KEYS_H
#define KW_OPS_KEYS_H

#include "ops/context.h"

// Within a transaction: unwraps what the store has, and makes what is missing unless this is a
// reader. ERR_LOCKED with the reason; other errors of the store. Blocks on the keeper.
MUST_USE enum err keys_load(struct ops *ops);

// ERR_LOCKED with the reason while the data keys are not there.
MUST_USE enum err keys_check(const struct ops *ops);

// The key that new bytes are sealed with; empty while locked.
struct span keys_newest(const struct ops *ops, const char *purpose, struct uuid *ret_id);

// The key with this id; loads again when it is not known yet. ERR_LOCKED, ERR_DAMAGED.
MUST_USE enum err keys_get(struct ops *ops, const struct uuid *id, struct span *ret);

// Wraps every data key under the newest master key, within a write transaction.
MUST_USE enum err keys_rewrap(struct ops *ops);

void keys_forget(struct ops *ops);

#endif
