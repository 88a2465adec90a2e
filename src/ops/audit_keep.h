// SPDX-License-Identifier: Apache-2.0
//
// Retention of the audit trail (docs/AUDIT.md).
#ifndef KW_OPS_AUDIT_KEEP_H
#define KW_OPS_AUDIT_KEEP_H

#include "ops/context.h"

// For how many days records are kept at least; 0: for ever.
MUST_USE enum err audit_keep_days(struct ops *ops, struct arena *arena, int64_t *ret);

// The writer's housekeeping: what is older and was exported goes.
MUST_USE enum err audit_keep_idle(struct ops *ops, int *wait_ms);

#endif
