// SPDX-License-Identifier: Apache-2.0
//
// sched_yield(2) between looks.
#include "proc/spin.h"

#include <sched.h>

#include "base/clock.h"

void spin_start_at(struct spin *spin, int64_t window_us, int64_t now_us)
{
    if (spin->until_us != 0)
        spin->rest_next = 0;
    spin->until_us = spin->rest > 0 ? 0 : now_us + window_us;
    spin->last_us = now_us;
    if (spin->rest > 0)
        spin->rest--;
}

static void rest(struct spin *spin)
{
    int next = spin->rest_next * 2;
    spin->rest = spin->rest_next;
    spin->rest_next = next == 0 ? 1 : next < SPIN_REST_MAX ? next : SPIN_REST_MAX;
    spin->until_us = 0;
}

bool spin_on_at(struct spin *spin, int64_t now_us)
{
    if (spin->until_us == 0)
        return false;
    bool away = now_us - spin->last_us > SPIN_AWAY_US;
    spin->last_us = now_us;
    if (!away && now_us < spin->until_us)
        return true;
    rest(spin);
    if (away)
        spin->rest = SPIN_REST_AWAY;
    return false;
}

void spin_start(struct spin *spin, int64_t window_us)
{
    spin_start_at(spin, window_us, clock_mono_us());
}

bool spin_on(struct spin *spin)
{
    if (spin->until_us == 0)
        return false;
    (void)sched_yield();
    return spin_on_at(spin, clock_mono_us());
}
