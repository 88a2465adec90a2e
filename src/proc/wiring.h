// SPDX-License-Identifier: Apache-2.0
//
// Who is wired to whom, and who may ask for whom: two tables that are the data-flow diagram. The
// supervisor makes no socket pair that does not stand here; tests/system/test_walls.py compares
// them with the running processes.
#ifndef KW_PROC_WIRING_H
#define KW_PROC_WIRING_H

#include <stdbool.h>
#include <stddef.h>

#include "proc/proc.h"

struct wiring_pair {
    enum proc_role a, b;
    bool shared; // their bytes cross in shared memory; `a` is the first end
};

// Every process of role `a` has a channel to every process of role `b`.
extern const struct wiring_pair wiring_pairs[];
extern const size_t wiring_pair_count;

// May `asker` have a fresh `role` started for it?
bool wiring_may_spawn(enum proc_role asker, enum proc_role role);

// The binary and its --role argument (NULL: none).
const char *wiring_program(enum proc_role role);
const char *wiring_role_argument(enum proc_role role);

#endif
