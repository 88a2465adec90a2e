// SPDX-License-Identifier: Apache-2.0
//
// All objects that an endpoint can reach: its own and those of the wallets that are granted to it
// or to its groups, merged in order of their identifiers, each once. The cost is that of what can
// be reached, whatever else is in the store.
#ifndef KW_OPS_REACH_H
#define KW_OPS_REACH_H

#include "ops/context.h"

struct reach;

// `filter` says what is wanted, in which order and from where on (`after`), of one wallet or of
// all; owner, skip and limit are set here.
MUST_USE enum err reach_new(struct op *op, const struct uuid *who, const struct store_query *filter,
                            struct reach **ret);
void reach_freep(struct reach **reach);

// True when there is more than what it owns.
bool reach_has_wallets(const struct reach *reach);

// The next row, without material, borrowed until the next call; NULL at the end.
MUST_USE enum err reach_next(struct reach *reach, const struct store_object **ret);

#endif
