// SPDX-License-Identifier: Apache-2.0
//
// What is known of the HSM (contract B10): the outcome of the last time that the stored credential
// was used, whoever asked, and when the next look is due. Only memory; the PIN latch is what
// outlives a restart.
#ifndef KW_KEYRING_MONITOR_H
#define KW_KEYRING_MONITOR_H

#include <stdint.h>

#include "base/err.h"

enum {
    MONITOR_SECONDS = 300, // between two checks unless HSM_MONITOR_SECONDS says otherwise
    MONITOR_SECONDS_MIN = 10,
    MONITOR_SECONDS_MAX = 86400,
    MONITOR_PROBLEM_MAX = 32,
    MONITOR_MESSAGE_MAX = 600
};

// Which problem, as a word that programs may rely on; docs/API.md lists them.
#define MONITOR_FILES      "files"
#define MONITOR_AMBIGUOUS  "key_ambiguous"
#define MONITOR_MISSING    "key_missing"
#define MONITOR_BLOB       "blob_does_not_open"
#define MONITOR_PIN_LOCKED "pin_locked"

struct monitor {
    int64_t interval_ms; // 0: no check by itself
    int64_t due_ms;      // monotonic
    bool known;          // a check has ended
    bool up;
    bool extractable;                  // the root key could leave the HSM, as the HSM last told
    char problem[MONITOR_PROBLEM_MAX]; // "" when up
    char message[MONITOR_MESSAGE_MAX]; // for people, "" when up
    int64_t latency_ms;                // of the last check that asked the HSM, -1 none did
    int64_t checked_ms;                // wall clock
};

void monitor_init(struct monitor *monitor);

// Sets how often the HSM is looked at, unless `seconds` is 0; a shorter interval counts at once.
// ERR_INVALID.
MUST_USE enum err monitor_watch(struct monitor *monitor, uint32_t seconds);

// Starts a check: its return value goes to one of the next two.
int64_t monitor_begin(void);

// The HSM has opened the store by the one key there is.
void monitor_up(struct monitor *monitor, int64_t begun_ms);

// It has not: `err` with its detail. `problem` NULL: taken from them.
void monitor_down(struct monitor *monitor, int64_t begun_ms, const char *problem, enum err err);

// Nothing is known any more (the server is not HSM-enabled).
void monitor_forget(struct monitor *monitor);

#endif
