// SPDX-License-Identifier: Apache-2.0
//
// The life cycle of an object (KMIP 1.4 section 3.22): which state its dates put it in, and which
// step is allowed from there.
#ifndef KW_OPS_LIFECYCLE_H
#define KW_OPS_LIFECYCLE_H

#include "kmip/kmip_tables.h"
#include "store/store.h"

// The state at `now`, seconds since 1970. The dates alone decide; the state in a row is only what
// they said when it was written.
enum kmip_state lifecycle_state_at(const struct store_dates *dates, int64_t now);

// States that rows may have been written with which are in `state` now: bits (1 << state).
uint32_t lifecycle_written_states(enum kmip_state state);

// States in which an object has its material: bits (1 << state).
enum {
    LIFECYCLE_LIVING = 1U << KMIP_STATE_PRE_ACTIVE | 1U << KMIP_STATE_ACTIVE |
                       1U << KMIP_STATE_DEACTIVATED | 1U << KMIP_STATE_COMPROMISED
};

bool lifecycle_is_destroyed(enum kmip_state state);
const char *lifecycle_name(enum kmip_state state);

// The steps. Each changes the dates or fails with ERR_WRONG_STATE (ERR_DESTROYED once destroyed).
MUST_USE enum err lifecycle_activate(struct store_dates *dates, int64_t now);
MUST_USE enum err lifecycle_deactivate(struct store_dates *dates, int64_t now);
MUST_USE enum err lifecycle_compromise(struct store_dates *dates, int64_t now, int64_t occurred);
MUST_USE enum err lifecycle_destroy(struct store_dates *dates, int64_t now);

// May a client set this date (tag) to `value` now? ERR_WRONG_STATE, ERR_INVALID for an order that
// cannot be.
MUST_USE enum err lifecycle_set_date(struct store_dates *dates, uint32_t tag, int64_t value,
                                     int64_t now);

// The place of a date attribute among the row's dates; NULL for other tags.
int64_t *lifecycle_date(struct store_dates *dates, uint32_t tag);

#endif
