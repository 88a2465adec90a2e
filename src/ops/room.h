// SPDX-License-Identifier: Apache-2.0
//
// What one message may take. Room in the answer to a batch that changes something: too long an
// answer would not be heard, and the change is committed by then, so an item that reads fails while
// it can be told alone. And the engine's time, since all others wait for the end of a batch.
#ifndef KW_OPS_ROOM_H
#define KW_OPS_ROOM_H

#include "ops/context.h"

// Takes what the reply of an item that reads may need, encoded, from the batch's room.
// ERR_TOO_LARGE.
MUST_USE enum err room_take(struct op *op);

// Processor time, so that a machine that stands still fails nobody. One item alone may take longer:
// nobody could ask for less.
enum { ROOM_CPU_MS = 2000 };

// The batch begins.
void room_begin(struct op *op);

// Is there time left? Asked before each item, and within what looks through many objects.
// ERR_TOO_LARGE.
MUST_USE enum err room_time(const struct op *op);

#endif
