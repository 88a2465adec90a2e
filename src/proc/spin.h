// SPDX-License-Identifier: Apache-2.0
//
// A short look for more work before going to sleep. To fall asleep and be woken costs a process
// some 25 µs of latency; the next frame is often nearer than that.
//
// One window lasts SPIN_US from spin_start, and each look gives way to whoever wants the processor.
// Who wanted it more than that keeps it: after SPIN_AWAY_US without it, the next SPIN_REST windows
// are none. Measured: docs/decisions/0010-a-look-before-sleep.md.
#ifndef KW_PROC_SPIN_H
#define KW_PROC_SPIN_H

#include <stdbool.h>
#include <stdint.h>

enum { SPIN_US = 50, SPIN_AWAY_US = 400, SPIN_REST = 16 };

struct spin {
    int64_t until_us; // 0: no window is open
    int64_t last_us;  // of the last look
    int rest;         // windows not to open
};

void spin_start(struct spin *spin);

// True: look again, without sleeping. Gives way, so it may return late. False: sleep.
bool spin_on(struct spin *spin);

// The rule of both, at a given monotonic time.
void spin_start_at(struct spin *spin, int64_t now_us);
bool spin_on_at(struct spin *spin, int64_t now_us);

#endif
