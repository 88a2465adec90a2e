// SPDX-License-Identifier: Apache-2.0
//
// Clients whose TLS handshake failed, so that an administrator can see why one cannot connect. Each
// reader keeps the last ones in memory, as fronts and web report them; the same failure of the same
// client is one entry with a count, and those of endpoints are kept longer than those of strangers.
// The first reader writes them to a file, sealed, from which each begins after a restart.
#ifndef KW_OPS_REFUSALS_H
#define KW_OPS_REFUSALS_H

#include <jansson.h>

#include "ops/context.h"

struct refusals;

MUST_USE enum err refusals_new(struct refusals **ret);
void refusals_free(struct refusals *refusals); // NULL is allowed

// The last one of an endpoint as JSON, null when there is none; NULL without memory.
json_t *refusals_last(const struct refusals *refusals, const struct uuid *endpoint);

// Reads the file once the data keys are there; the first reader writes it when something has
// changed, at most every ten seconds however many clients fail. Returns in how many milliseconds to
// call again, -1: there is no need.
int refusals_idle(struct ops *ops);

// Before the end: writes what is not written yet.
void refusals_stop(struct ops *ops);

#endif
