// SPDX-License-Identifier: Apache-2.0
//
//            activation date                deactivation date, revoke
//  Pre-Active ──────────────► Active ──────────────────────────► Deactivated
//      │ │                      │                                  │    │
//      │ └──────────────────────┴──── revoke: compromise ──────────┘    │ destroy
//      │ destroy                ▼                                       ▼
//      │                   Compromised ── destroy ──► Destroyed     Destroyed
//      └──► Destroyed                                 Compromised
//
// Invariants: a date that lies in the past is never moved by a client; Destroyed is final but for
// becoming known as compromised.
#include "ops/lifecycle.h"

#include "base/clock.h"

static bool reached(int64_t date, int64_t now)
{
    return date != 0 && date <= now;
}

enum kmip_state lifecycle_state_at(const struct store_dates *dates, int64_t now)
{
    if (dates->destroy != 0)
        return dates->compromise != 0 ? KMIP_STATE_DESTROYED_COMPROMISED : KMIP_STATE_DESTROYED;
    if (dates->compromise != 0)
        return KMIP_STATE_COMPROMISED;
    if (reached(dates->deactivation, now))
        return KMIP_STATE_DEACTIVATED;
    if (reached(dates->activation, now))
        return KMIP_STATE_ACTIVE;
    return KMIP_STATE_PRE_ACTIVE;
}

uint32_t lifecycle_written_states(enum kmip_state state)
{
    uint32_t states = 1U << state;
    if (state == KMIP_STATE_ACTIVE)
        states |= 1U << KMIP_STATE_PRE_ACTIVE;
    if (state == KMIP_STATE_DEACTIVATED)
        states |= 1U << KMIP_STATE_PRE_ACTIVE | 1U << KMIP_STATE_ACTIVE;
    return states;
}

bool lifecycle_is_destroyed(enum kmip_state state)
{
    return state == KMIP_STATE_DESTROYED || state == KMIP_STATE_DESTROYED_COMPROMISED;
}

const char *lifecycle_name(enum kmip_state state)
{
    static const char *const names[] = {
        [KMIP_STATE_PRE_ACTIVE] = "pre-active",
        [KMIP_STATE_ACTIVE] = "active",
        [KMIP_STATE_DEACTIVATED] = "deactivated",
        [KMIP_STATE_COMPROMISED] = "compromised",
        [KMIP_STATE_DESTROYED] = "destroyed",
        [KMIP_STATE_DESTROYED_COMPROMISED] = "destroyed-compromised",
    };
    return (unsigned)state < sizeof names / sizeof *names && names[state] != NULL ? names[state]
                                                                                  : "unknown";
}

static enum err wrong_state(enum kmip_state state, const char *step)
{
    if (lifecycle_is_destroyed(state))
        FAIL(ERR_DESTROYED, "the object is destroyed");
    FAIL(ERR_WRONG_STATE, "the object is %s; it cannot be %s", lifecycle_name(state), step);
}

enum err lifecycle_activate(struct store_dates *dates, int64_t now)
{
    enum kmip_state state = lifecycle_state_at(dates, now);
    if (state != KMIP_STATE_PRE_ACTIVE)
        return wrong_state(state, "activated");
    dates->activation = now;
    return ERR_OK;
}

enum err lifecycle_deactivate(struct store_dates *dates, int64_t now)
{
    enum kmip_state state = lifecycle_state_at(dates, now);
    if (state != KMIP_STATE_PRE_ACTIVE && state != KMIP_STATE_ACTIVE)
        return wrong_state(state, "revoked");
    dates->deactivation = now;
    return ERR_OK;
}

enum err lifecycle_compromise(struct store_dates *dates, int64_t now, int64_t occurred)
{
    enum kmip_state state = lifecycle_state_at(dates, now);
    if (dates->compromise != 0)
        return wrong_state(state, "compromised again");
    if (occurred > now)
        FAIL(ERR_INVALID, "the compromise occurrence date lies in the future");
    dates->compromise = now;
    dates->compromise_occurrence = occurred != 0 ? occurred : dates->initial;
    return ERR_OK;
}

enum err lifecycle_destroy(struct store_dates *dates, int64_t now)
{
    enum kmip_state state = lifecycle_state_at(dates, now);
    if (lifecycle_is_destroyed(state))
        return wrong_state(state, "destroyed");
    if (state == KMIP_STATE_ACTIVE)
        FAIL(ERR_WRONG_STATE, "the object is active; revoke it before it is destroyed");
    dates->destroy = now;
    return ERR_OK;
}

int64_t *lifecycle_date(struct store_dates *dates, uint32_t tag)
{
    const struct {
        uint32_t tag;
        int64_t *date;
    } table[] = {
        {KMIP_TAG_INITIAL_DATE, &dates->initial},
        {KMIP_TAG_ACTIVATION_DATE, &dates->activation},
        {KMIP_TAG_PROCESS_START_DATE, &dates->process_start},
        {KMIP_TAG_PROTECT_STOP_DATE, &dates->protect_stop},
        {KMIP_TAG_DEACTIVATION_DATE, &dates->deactivation},
        {KMIP_TAG_DESTROY_DATE, &dates->destroy},
        {KMIP_TAG_COMPROMISE_DATE, &dates->compromise},
        {KMIP_TAG_COMPROMISE_OCCURRENCE_DATE, &dates->compromise_occurrence},
        {KMIP_TAG_LAST_CHANGE_DATE, &dates->last_change},
        {KMIP_TAG_ARCHIVE_DATE, &dates->archive},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].tag == tag)
            return table[i].date;
    }
    return NULL;
}

// A later date must not lie before an earlier one of the same object.
static enum err check_order(const struct store_dates *dates)
{
    if (dates->activation != 0 && dates->deactivation != 0 &&
        dates->deactivation < dates->activation)
        FAIL(ERR_INVALID, "the deactivation date lies before the activation date");
    if (dates->process_start != 0 && dates->protect_stop != 0 && dates->activation != 0 &&
        dates->process_start < dates->activation)
        FAIL(ERR_INVALID, "the process start date lies before the activation date");
    return ERR_OK;
}

enum err lifecycle_set_date(struct store_dates *dates, uint32_t tag, int64_t value, int64_t now)
{
    enum kmip_state state = lifecycle_state_at(dates, now);
    struct store_dates changed = *dates;
    int64_t *date = lifecycle_date(&changed, tag);
    if (date == NULL)
        FAIL(ERR_INTERNAL, "tag %06x is no date", (unsigned)tag);
    if (tag == KMIP_TAG_ACTIVATION_DATE && state != KMIP_STATE_PRE_ACTIVE)
        FAIL(ERR_WRONG_STATE, "the object is %s; its activation date cannot be changed",
             lifecycle_name(state));
    if (state != KMIP_STATE_PRE_ACTIVE && state != KMIP_STATE_ACTIVE)
        FAIL(ERR_WRONG_STATE, "the object is %s; its dates cannot be changed",
             lifecycle_name(state));
    if (reached(*date, now))
        FAIL(ERR_WRONG_STATE, "the date has been reached; it cannot be changed");
    // 0 means "not set" in a row: the first second of 1970 stands for the second after it.
    *date = value == 0 ? 1 : value;
    TRY(check_order(&changed));
    *dates = changed;
    return ERR_OK;
}
