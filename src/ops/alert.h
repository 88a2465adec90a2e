// SPDX-License-Identifier: Apache-2.0
//
// Alerts: what a person should look after (docs/ALERTS.md). The administration engine looks, raises
// an alert when its condition begins and clears it when it ends; both stand in the audit trail, and
// so reach the log server. The alerts in force lie in the node setting "alerts", so that they are
// told while nothing else works; no name is in them, only identifiers.
#ifndef KW_OPS_ALERT_H
#define KW_OPS_ALERT_H

#include <jansson.h>

#include "base/clock.h"
#include "ops/context.h"

enum {
    ALERT_SELDOM_MS = 24 * 3600 * 1000,
    ALERT_WATCH_MS = 1000,
    ALERT_PER_TYPE = 100,
    ALERT_MESSAGE_MAX = 700
};

// A look at the world on behalf of one type.
struct alert_watch {
    struct ops *ops;
    struct arena *arena;
    const struct alert_type *type;
    int64_t threshold;
    bool configured; // the threshold is not the default
    int64_t now;     // seconds
    json_t *found;   // conditions that hold
    size_t count;    // of this type
    int64_t tried;   // names, for a check that counts them
};

struct alert_type {
    const char *name;
    const char *severity;
    const char *unit; // of the threshold, "" when it has none
    int64_t threshold, least, most;
    int64_t every_ms; // between two looks
    bool on;          // unless configured otherwise
    const char *summary;
    const char *fix; // what helps: a command or words; NAME stands for the one that it is about
    enum err (*check)(struct alert_watch *watch);
};

extern const struct alert_type alert_types[];
extern const size_t alert_type_count;

// NULL when there is none.
const struct alert_type *alert_type_find(const char *name);

// Notes a condition. `subject` NULL: there is one only. `severity` NULL: the type's. `message`
// holds no name; with a subject it is what is said of it ("expires on …"). Beyond ALERT_PER_TYPE
// nothing is noted.
MUST_USE enum err alert_found(struct alert_watch *watch, const struct uuid *subject,
                              const char *severity, const char *problem, const char *message);

// The day of a time: "2026-01-31".
void alert_day(int64_t seconds, char out[CLOCK_TEXT_LEN + 1]);

// What a check ends with when it cannot tell: its alerts stay as they are.
enum { ALERT_UNKNOWN = ERR_BUSY };

// Is the type looked at, and with which threshold? `settings` may be NULL.
bool alert_is_on(const json_t *settings, const struct alert_type *type, int64_t *ret_threshold);

// Is it told this way, "mail" or "syslog"? Yes, unless configured otherwise.
bool alert_is_told(const json_t *settings, const char *type, const char *way);

// What was configured of the types, or NULL. Caller frees.
MUST_USE enum err alert_settings(struct ops *ops, struct arena *arena, json_t **ret);

// The administration engine's housekeeping; *wait_ms is shortened to when the next is due.
MUST_USE enum err alert_idle(struct ops *ops, int *wait_ms);

// One for people: adds "message" with the subject's name, "subject_name", and times as text.
MUST_USE enum err alert_describe(struct ops *ops, struct arena *arena, const json_t *alert,
                                 json_t **ret);

// Alerts that are to be mailed: not mailed yet, not silenced, of a type that is mailed. Appends
// {"id", "type", "severity", "text"}.
MUST_USE enum err alert_mails(struct ops *ops, struct arena *arena, json_t *mails);
// They were; within a write transaction. Identifiers that are not known are passed over.
MUST_USE enum err alert_mailed(struct ops *ops, struct arena *arena, const json_t *ids);

#endif
