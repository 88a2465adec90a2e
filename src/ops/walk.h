// SPDX-License-Identifier: Apache-2.0
//
// Objects one after the other in order of their identifiers, a page of the store at a time: all
// that there are, or those that the one who asks reaches.
#ifndef KW_OPS_WALK_H
#define KW_OPS_WALK_H

#include "ops/context.h"

struct walk;

// `query` says what is wanted, in which order and from where on (`after`); skip and limit are set
// here, and the owner when not `any`.
MUST_USE enum err walk_new(struct op *op, const struct store_query *query, bool any,
                           struct walk **ret);
void walk_freep(struct walk **walk);

// The next row, without material, borrowed until the next call; NULL at the end.
MUST_USE enum err walk_next(struct walk *walk, const struct store_object **ret);

#endif
