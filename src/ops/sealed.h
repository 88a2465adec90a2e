// SPDX-License-Identifier: Apache-2.0
//
// Settings of the store whose value is sealed: 16 bytes id of the data key, then the sealed bytes.
// A setting's name is bound to its value. Whoever adds one names it in ops/reseal.c's reach
// (ca_reseal). The writer alone puts them, since it alone knows that no older data key is going.
#ifndef KW_OPS_SEALED_H
#define KW_OPS_SEALED_H

#include "ops/context.h"

enum { SEALED_MAX = 64 * 1024, SEALED_NAME_MAX = 15 };

// The clear bytes, in the arena. ERR_NOT_FOUND, ERR_LOCKED, ERR_DAMAGED.
MUST_USE enum err sealed_get(struct op *op, const char *name, struct span *ret);

// Within a write transaction.
MUST_USE enum err sealed_put(struct op *op, const char *name, struct span plain);
MUST_USE enum err sealed_drop(struct op *op, const char *name);

// Seals it under the newest data key. *ret_moved false: it was, or there is none.
MUST_USE enum err sealed_reseal(struct op *op, const char *name, bool *ret_moved);

#endif
