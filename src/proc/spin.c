// SPDX-License-Identifier: Apache-2.0
//
// sched_yield(2) between looks.
#include "proc/spin.h"

#include <sched.h>

#include "base/clock.h"

void spin_start_at(struct spin *spin, int64_t now_us)
{
    spin->until_us = spin->rest > 0 ? 0 : now_us + SPIN_US;
    spin->last_us = now_us;
    if (spin->rest > 0)
        spin->rest--;
}

bool spin_on_at(struct spin *spin, int64_t now_us)
{
    if (spin->until_us == 0)
        return false;
    if (now_us - spin->last_us > SPIN_AWAY_US)
        spin->rest = SPIN_REST;
    spin->last_us = now_us;
    if (now_us < spin->until_us)
        return true;
    spin->until_us = 0;
    return false;
}

void spin_start(struct spin *spin)
{
    spin_start_at(spin, clock_mono_us());
}

bool spin_on(struct spin *spin)
{
    if (spin->until_us == 0)
        return false;
    (void)sched_yield();
    return spin_on_at(spin, clock_mono_us());
}
