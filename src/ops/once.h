// SPDX-License-Identifier: Apache-2.0
//
// Requests that are to be done once, however often they are sent (Idempotency-Key). What was
// answered is kept for a day, sealed, in the transaction of the change itself, under an id made of
// who asks and of the key that came with the request. An operation on the root of trust has
// transactions of its own: its answer is kept right after it.
#ifndef KW_OPS_ONCE_H
#define KW_OPS_ONCE_H

#include "ops/context.h"

// *ret_done: the request was done before, and the reply's document is what was answered then.
// ERR_REUSED when the key came with another request.
MUST_USE enum err once_find(struct op *op, bool *ret_done);

// Keeps the answer. Call when the operation has succeeded.
MUST_USE enum err once_keep(struct op *op);

#endif
