// SPDX-License-Identifier: Apache-2.0
//
// Room in the answer to a batch that changes something: too long an answer would not be heard, and
// the change is committed by then. So an item that reads fails while it can be told alone.
#ifndef KW_OPS_ROOM_H
#define KW_OPS_ROOM_H

#include "ops/context.h"

// Takes what the reply of an item that reads may need, encoded, from the batch's room.
// ERR_TOO_LARGE.
MUST_USE enum err room_take(struct op *op);

#endif
