// SPDX-License-Identifier: Apache-2.0
//
// The keeper's process: serves the engines' verbs, runs root-of-trust operations one at a time, and
// opens the wallet by itself when it can. Single-threaded. While an operation waits for the HSM or
// the prover, keeper_fds and keeper_serve go on answering the verbs that need only memory.
#ifndef KW_KEYRING_KEEPER_H
#define KW_KEYRING_KEEPER_H

#include <poll.h>

#include "base/err.h"
#include "proc/proc.h"

struct keeper;

// Borrows `root`, a directory descriptor of the root prefix. `control` is PROC_CONTROL_FD, or -1
// where nobody supervises (tests).
MUST_USE enum err keeper_new(int root, int control, struct keeper **ret);
void keeper_free(struct keeper *keeper);
void keeper_freep(struct keeper **keeper);

// From now on the HSM is checked by itself every so many seconds (contract B10), the first time as
// soon as the store is open. 0: not, as it is at first.
void keeper_watch_hsm(struct keeper *keeper, uint32_t seconds);

// A channel to an engine; takes `fd`. Replaces an earlier one of the same role and index.
// ERR_NOT_PERMITTED for a role that has no business here.
MUST_USE enum err keeper_attach(struct keeper *keeper, enum proc_role role, uint32_t index, int fd);

// For hsm_rpc_set_pump: what to poll for, and what to do when something is ready. `arg` is the
// keeper.
int keeper_fds(void *arg, struct pollfd *out, int max);
void keeper_serve(void *arg);

// One turn: waits at most timeout_ms for something to do, and does it. ERR_CANCELED when told to
// stop, ERR_UNAVAILABLE when the supervisor is gone, ERR_IO when a commit's outcome is unknown: the
// process must then end.
MUST_USE enum err keeper_turn(struct keeper *keeper, int timeout_ms);

// Turns until told to stop (ERR_OK) or until it must end.
MUST_USE enum err keeper_run(struct keeper *keeper);

#endif
