// SPDX-License-Identifier: Apache-2.0
//
// An older store that was put back is noticed: the writer keeps the end of the audit trail in a
// file beside the store (audit_head_keep) and compares when the store is first open. What was found
// stands in the trail, and is an alert until somebody acknowledges it.
#ifndef KW_OPS_HEAD_H
#define KW_OPS_HEAD_H

#include "ops/context.h"

#define HEAD_ALERT "store_older"

// The writer's housekeeping, outside a transaction. `stopping`: keep the end at once.
MUST_USE enum err head_idle(struct ops *ops, bool stopping);

// The sentence about the older store, with a NUL behind it, in the arena; empty when there is none,
// or it was acknowledged.
MUST_USE enum err head_told(struct ops *ops, struct arena *arena, struct span *ret);

// It was acknowledged; within a write transaction.
MUST_USE enum err head_forget(struct ops *ops);

#endif
