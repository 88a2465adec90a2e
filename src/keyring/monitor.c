// SPDX-License-Identifier: Apache-2.0
//
// The monitor's memory. Invariants: a green state was proved by an unwrap; the log tells changes
// alone, however often an HSM is asked.
#include "keyring/monitor.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define ALERT "HSM configuration error. "

// The first row that fits. `phrase` is part of the HSM room's own messages.
static const struct {
    enum err err;
    const char *phrase; // NULL: any
    const char *problem;
} problems[] = {
    {ERR_HSM_LIBRARY, NULL, "library_not_loaded"},
    {ERR_HSM_SLOT, " tokens have the label ", "label_not_unique"},
    {ERR_HSM_SLOT, "set the token label of one", "label_not_unique"},
    {ERR_HSM_SLOT, NULL, "no_token"},
    {ERR_HSM_PIN, "CKR_PIN_LOCKED", MONITOR_PIN_LOCKED},
    {ERR_HSM_PIN, "user PIN is locked", MONITOR_PIN_LOCKED},
    {ERR_HSM_PIN, NULL, "pin_refused"},
    {ERR_HSM_PIN_LATCHED, NULL, "pin_refused"},
    {ERR_HSM_KEY, "has no root key", MONITOR_MISSING},
    {ERR_HSM_KEY, "is not on the HSM", MONITOR_MISSING},
    {ERR_HSM_KEY, NULL, MONITOR_BLOB},
    {ERR_HSM_TIMEOUT, NULL, "timeout"},
    {ERR_HSM_CRASHED, NULL, "crash"},
    {ERR_DAMAGED, NULL, MONITOR_FILES},
    {ERR_NOT_FOUND, NULL, MONITOR_FILES},
    {ERR_FILE_MODE, NULL, MONITOR_FILES},
    {ERR_CONFIG, NULL, MONITOR_FILES},
};

void monitor_init(struct monitor *monitor)
{
    *monitor = (struct monitor){.latency_ms = -1};
}

enum err monitor_watch(struct monitor *monitor, uint32_t seconds)
{
    int64_t interval_ms = (int64_t)seconds * 1000;
    if (seconds == 0 || interval_ms == monitor->interval_ms)
        return ERR_OK;
    if (seconds < MONITOR_SECONDS_MIN || seconds > MONITOR_SECONDS_MAX)
        FAIL(ERR_INVALID, "the HSM is looked at every %d to %d seconds", MONITOR_SECONDS_MIN,
             MONITOR_SECONDS_MAX);
    monitor->interval_ms = interval_ms;
    int64_t latest = clock_mono_ms() + interval_ms;
    if (monitor->due_ms > latest)
        monitor->due_ms = latest;
    return ERR_OK;
}

int64_t monitor_begin(void)
{
    return clock_mono_ms();
}

static const char *problem_of(const struct monitor *monitor, enum err err, const char *text)
{
    // The latch does not know which refusal set it.
    if (err == ERR_HSM_PIN_LATCHED && strcmp(monitor->problem, MONITOR_PIN_LOCKED) == 0)
        return MONITOR_PIN_LOCKED;
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        if (problems[i].err == err &&
            (problems[i].phrase == NULL || strstr(text, problems[i].phrase) != NULL))
            return problems[i].problem;
    }
    return "failed";
}

static void note(struct monitor *monitor, int64_t begun_ms, bool up)
{
    int64_t now = clock_mono_ms();
    monitor->known = true;
    monitor->up = up;
    monitor->latency_ms = now - begun_ms;
    monitor->checked_ms = clock_wall_ms();
    monitor->due_ms = now + monitor->interval_ms;
}

void monitor_up(struct monitor *monitor, int64_t begun_ms)
{
    if (monitor->known && !monitor->up)
        log_event(LOG_LEVEL_INFO, "hsm_up after=%s", monitor->problem);
    note(monitor, begun_ms, true);
    monitor->problem[0] = '\0';
    monitor->message[0] = '\0';
}

void monitor_down(struct monitor *monitor, int64_t begun_ms, const char *problem, enum err err)
{
    char text[MONITOR_MESSAGE_MAX - sizeof ALERT];
    (void)snprintf(text, sizeof text, "%s", err_message(err));
    const char *named = problem == NULL ? problem_of(monitor, err, text) : problem;
    if (monitor->up || !monitor->known || strcmp(monitor->problem, named) != 0)
        log_event(LOG_LEVEL_WARN, "hsm_down problem=%s error=%s", named, err_info(err)->name);
    note(monitor, begun_ms, false);
    if (named != monitor->problem)
        (void)snprintf(monitor->problem, sizeof monitor->problem, "%s", named);
    (void)snprintf(monitor->message, sizeof monitor->message, ALERT "%s", text);
}

void monitor_forget(struct monitor *monitor)
{
    int64_t interval_ms = monitor->interval_ms;
    monitor_init(monitor);
    monitor->interval_ms = interval_ms;
}
