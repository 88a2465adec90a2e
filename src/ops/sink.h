// SPDX-License-Identifier: Apache-2.0
//
// Forwarding of the audit trail to a log server (docs/AUDIT.md). The trail itself is the spool: a
// cursor in the node setting "syslog.state" says how far it was delivered. The courier pulls from a
// reader and reports to the writer.
#ifndef KW_OPS_SINK_H
#define KW_OPS_SINK_H

#include "ops/doc.h"

enum { SINK_RECORDS = 250 };

// What the courier asks for: the next records behind the place that it has sent up to.
MUST_USE enum err sink_pull(struct ops *ops, struct arena *arena, const json_t *ask, json_t **ret);

// What the courier reports, within a write transaction.
MUST_USE enum err sink_tell(struct ops *ops, struct arena *arena, const json_t *tell);

// Since when the oldest record waits that was not delivered: wall clock in ms, 0 for none.
// *ret_error is the last error, "" for none, in the arena.
MUST_USE enum err sink_waits(struct ops *ops, struct arena *arena, int64_t *ret_since_ms,
                             struct span *ret_error);

// ERR_UNAVAILABLE while the server is to stop because the log server has been away too long. Looks
// at the store once a second.
MUST_USE enum err sink_check(struct ops *ops);

#endif
