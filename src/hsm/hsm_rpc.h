// SPDX-License-Identifier: Apache-2.0
//
// What the keeper may set for the time that hsm.h's functions wait in its process.
#ifndef KW_HSM_HSM_RPC_H
#define KW_HSM_HSM_RPC_H

#include <poll.h>

enum { HSM_PUMP_MAX = 64 };

// Other work while the HSM is slow. `fds` fills at most `max` entries (fd and events) and returns
// their number; `serve` is called when one of them is ready, and must not call hsm.h. Both are
// called only from within hsm.h's functions.
struct hsm_rpc_pump {
    void (*serve)(void *arg);
    int (*fds)(void *arg, struct pollfd *out, int max);
    void *arg;
};

// Copied; NULL: no other work.
void hsm_rpc_set_pump(const struct hsm_rpc_pump *pump);

#endif
