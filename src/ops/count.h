// SPDX-License-Identifier: Apache-2.0
//
// What the engines have done, counted: requests by operation and outcome, and how long they took.
// Each engine counts in its own memory, which costs a request two looks at the clock, and puts what
// it knows into a file of its own at most once a second; whoever is asked for metrics adds up the
// files. Counts go on after a restart. They are for dashboards, not for the audit: what was counted
// in the last second before a process is killed is lost.
#ifndef KW_OPS_COUNT_H
#define KW_OPS_COUNT_H

#include "ops/ops.h"

enum { COUNT_BUCKETS = 9 };

// Upper ends of the histogram's buckets in microseconds; the last bucket has none.
extern const uint32_t count_ends_us[COUNT_BUCKETS - 1];

// Of one operation.
struct count_row {
    uint64_t done;
    uint64_t refused;                // for a reason that the client is told
    uint64_t failed;                 // for one of the server's own
    uint64_t buckets[COUNT_BUCKETS]; // how many took so long
    uint64_t microseconds;           // all together
};

struct counts;

// Goes on from the engine's file, where it has one that can be read. ERR_MEMORY.
MUST_USE enum err count_open(const struct ops_settings *settings, struct counts **ret);
void count_free(struct counts *counts); // NULL is allowed

// One request that took `us` microseconds.
void count_note(struct counts *counts, enum verb verb, enum err outcome, uint64_t us);

// Between turns: writes what is due. Returns after how many milliseconds to call again, -1 when
// nothing is left. A failure costs the counts alone, so it is only logged.
int count_write(struct counts *counts);

// All engines together: *ret_name is the operation's name, or "administration" for all of its
// verbs. False past the end.
struct count_sums;
MUST_USE enum err count_sum(int root, struct arena *arena, struct count_sums **ret);
bool count_at(const struct count_sums *sums, size_t index, const char **ret_name,
              const struct count_row **ret_row);

#endif
