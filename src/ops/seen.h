// SPDX-License-Identifier: Apache-2.0
//
// When endpoints asked for something last, and when sessions and tokens were used last. A request
// costs one write to memory; each engine but the writer puts what it knows into a file of its own,
// the writer gathers these files and its own knowledge into the store, about each at most once a
// minute. So the time is right to about a minute.
#ifndef KW_OPS_SEEN_H
#define KW_OPS_SEEN_H

#include "ops/ops.h"

struct seen;

// A file is begun anew. ERR_MEMORY, ERR_IO.
MUST_USE enum err seen_open(const struct ops_settings *settings, struct seen **ret);
void seen_free(struct seen *seen); // NULL is allowed

// What this engine itself knows: seconds, 0 for never.
int64_t seen_last(const struct seen *seen, const struct uuid *id);

// NULL is allowed: nothing is noted then.
void seen_note(struct seen *seen, const struct uuid *id, int64_t now_s);

// Not the writer's, between turns: writes what is due. Returns after how many milliseconds to call
// again, -1 when nothing is left. A failure costs nothing but the time of last sight, so it is only
// logged.
int seen_write(struct seen *seen);

// The writer's, outside a transaction: reads the files that have changed, and stores what is due.
MUST_USE enum err seen_collect(struct seen *seen);

#endif
