// SPDX-License-Identifier: Apache-2.0
//
// The supervisor: opens ports, starts and wires the processes of a server, restarts what dies,
// stops in order.
#ifndef KW_SUPERVISE_SUPERVISOR_H
#define KW_SUPERVISE_SUPERVISOR_H

#include "base/err.h"

struct supervisor_options {
    const char *root;     // absolute
    const char *programs; // directory of the binaries
    int ready_fd;         // gets "ready\n" when all processes serve, or "error: …\n"; -1: none
    bool foreground;      // leave standard error as it is
};

// Runs until SIGTERM or SIGINT. Returns ERR_OK after a clean stop, or why it could not start:
// ERR_CONFLICT (already running, port taken), ERR_CONFIG, ERR_IO.
MUST_USE enum err supervisor_run(const struct supervisor_options *options);

#endif
