// SPDX-License-Identifier: Apache-2.0
//
// Clients whose TLS handshake failed, so that an administrator can see why one cannot connect. Each
// reader keeps the last ones in memory, as the fronts report them; the same failure of the same
// client is one entry with a count, and those of endpoints are kept longer than those of strangers.
#ifndef KW_OPS_REFUSALS_H
#define KW_OPS_REFUSALS_H

#include <jansson.h>

#include "ops/context.h"

struct refusals;

MUST_USE enum err refusals_new(struct refusals **ret);
void refusals_free(struct refusals *refusals); // NULL is allowed

// The last one of an endpoint as JSON, null when there is none; NULL without memory.
json_t *refusals_last(const struct refusals *refusals, const struct uuid *endpoint);

#endif
