// SPDX-License-Identifier: Apache-2.0
//
// The timeline of a key: what its dates say, and what the audit trail says, as far as whoever asks
// may see that.
#ifndef KW_OPS_KEY_HISTORY_H
#define KW_OPS_KEY_HISTORY_H

#include "ops/doc.h"
#include "ops/object.h"

// Puts "timeline" and "trail_since" into the answer.
MUST_USE enum err key_history_put(struct op *op, const struct object *object, json_t *answer);

#endif
