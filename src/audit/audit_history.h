// SPDX-License-Identifier: Apache-2.0
//
// What the trail tells of one object. There is no index, which every Get would pay for; the look is
// bounded instead: the newest records of the chain and of the journals, and, further back, those
// around times when something is known to have happened. In a reading process it takes about ten
// milliseconds at most.
#ifndef KW_AUDIT_AUDIT_HISTORY_H
#define KW_AUDIT_AUDIT_HISTORY_H

#include "audit/audit.h"

struct audit_history_want {
    int root;            // borrowed
    struct store *store; // borrowed, within a transaction
    struct uuid object;
    struct uuid other;    // whose events are handed out, too; zero: none
    const int64_t *times; // seconds, ascending; looked at by a second before and two behind
    size_t time_count;
};

// A request about one of the objects that was done; spans are borrowed for the call.
struct audit_history_event {
    int64_t time_ms;
    struct uuid object;
    struct span verb;
    uint8_t who_kind; // enum principal_kind
    uint32_t uid;     // of a local one
    struct uuid who;
};

typedef enum err (*audit_history_found)(void *context, const struct audit_history_event *event);

// Hands out what is found, in no order. *ret_since_ms: from then on nothing was left out. What is
// not sound is passed over: audit_verify tells of it.
MUST_USE enum err audit_history(const struct audit_history_want *want, audit_history_found found,
                                void *context, int64_t *ret_since_ms);

#endif
