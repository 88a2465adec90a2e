// SPDX-License-Identifier: Apache-2.0
//
// Rotation of the data keys for objects: whatever is sealed under an older key is sealed again
// under the newest, batch by batch, while the writer serves. How far it has come is committed with
// each batch (setting "rotation"), so that a writer which is killed goes on where it was. When a
// whole pass has found nothing under an older key, the older keys are removed.
#ifndef KW_OPS_RESEAL_H
#define KW_OPS_RESEAL_H

#include <jansson.h>

#include "ops/context.h"

enum { RESEAL_ROWS = 64, RESEAL_SCAN = 512, RESEAL_BYTES = 1024 * 1024, RESEAL_MS = 10 };

enum reseal_state { RESEAL_NEVER, RESEAL_RUNNING, RESEAL_DONE, RESEAL_INCOMPLETE };
enum reseal_phase {
    RESEAL_SETTINGS,
    RESEAL_ENDPOINTS,
    RESEAL_NAMED,
    RESEAL_USERS,
    RESEAL_CREDENTIALS,
    RESEAL_OBJECTS,
    RESEAL_PHASES
};

struct reseal {
    enum reseal_state state;
    enum reseal_phase phase;
    int64_t pass;         // 1, 2 …: the last one finds nothing to do
    struct uuid cursor;   // last one looked at
    int64_t total;        // objects when it began
    int64_t seen;         // objects in this pass
    int64_t moved;        // whatever was sealed again, in all passes
    int64_t moved_before; // of these, before this pass
    int64_t unreadable;   // in this pass: left as they are, with their key
    int64_t started, finished;
};

// The state as it was committed last. ERR_DAMAGED.
MUST_USE enum err reseal_load(struct ops *ops, struct arena *arena, struct reseal *ret);

// Makes new data keys and begins, within the writer's transaction. ERR_BUSY while one is running.
MUST_USE enum err reseal_start(struct op *op, struct reseal *ret);

// For people and programs: NULL without memory.
json_t *reseal_json(const struct reseal *reseal);

// One batch when one is due; *wait_ms is shortened to when the next is.
MUST_USE enum err reseal_idle(struct ops *ops, int *wait_ms);

#endif
