// SPDX-License-Identifier: Apache-2.0
//
// Recording of requests: a reader's go to its journal, all others into the node's chain within the
// store's transaction.
#ifndef KW_OPS_TRAIL_H
#define KW_OPS_TRAIL_H

#include "ops/context.h"

// Records the request's outcome. `code` is what the request ended with.
MUST_USE enum err trail_record(const struct op *op, enum err code);

// Records, in a transaction of its own, that an act is about to be tried.
MUST_USE enum err trail_attempt(const struct op *op);

#endif
