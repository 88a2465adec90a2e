// SPDX-License-Identifier: Apache-2.0
//
// A look before sleep: a process that has just worked, or waits for an answer that takes no longer
// than falling asleep and being woken, looks for it for a while before it sleeps. Each look gives
// way to whoever wants the processor.
//
// After a window in which nothing came ever more are left out, up to SPIN_REST_MAX, until one is of
// use again. Who wants the processor in earnest keeps it for a time slice, milliseconds: after more
// than SPIN_AWAY_US without it, SPIN_REST_AWAY windows are left out. So a request now and then
// costs a ninth of a window, and busy neighbours cost little.
// docs/decisions/0010 has the figures.
#ifndef KW_PROC_SPIN_H
#define KW_PROC_SPIN_H

#include <stdbool.h>
#include <stdint.h>

// Windows: for what a reader does, and for what waits for the disk.
enum { SPIN_READ_US = 100, SPIN_COMMIT_US = 400 };
enum { SPIN_AWAY_US = 400, SPIN_REST_MAX = 8, SPIN_REST_AWAY = 64 };

struct spin {
    int64_t until_us; // 0: no window is open
    int64_t last_us;  // of the last look
    int rest;         // windows to leave out
    int rest_next;    // how many, should the next one be for nothing, too
};

// Opens a window; closes one that is open as one that was of use.
void spin_start(struct spin *spin, int64_t window_us);

// True: look again, without sleeping. Gives way, so it may return late. False: sleep.
bool spin_on(struct spin *spin);

// The rule of both, at a given monotonic time.
void spin_start_at(struct spin *spin, int64_t window_us, int64_t now_us);
bool spin_on_at(struct spin *spin, int64_t now_us);

#endif
