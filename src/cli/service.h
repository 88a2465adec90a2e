// SPDX-License-Identifier: Apache-2.0
//
// The server as a process: is it running, start it, stop it.
#ifndef KW_CLI_SERVICE_H
#define KW_CLI_SERVICE_H

#include <sys/types.h>

#include "cli/state.h"

enum {
    SERVICE_START_MS = 30000,
    SERVICE_KEYS_MS = 15000,
    SERVICE_STOP_MS = 30000, // the supervisor kills what has not ended after 9 s
    SERVICE_ERROR_MAX = 800
};

// True when a supervisor holds the lock of this root: a stale process id counts for nothing.
bool service_is_running(int root_fd, pid_t *ret_pid);

// The last error in the server's log, for whoever waits in vain: "" when there is none.
void service_last_error(int root_fd, char out[SERVICE_ERROR_MAX]);

// Starts keywardd in the background, waits until it says that it serves and then, for at most
// SERVICE_KEYS_MS, until it has tried to open its keys; where it cannot yet, says why.
// ERR_UNAVAILABLE with what it said, ERR_TIMEOUT.
MUST_USE enum err service_launch(struct cli *cli);

// Ends the server in order, if it runs, and waits for the end. ERR_TIMEOUT.
MUST_USE enum err service_halt(struct cli *cli);

// The path of another of Keyward's programs, which lies beside this one or where packages put it.
MUST_USE enum err service_find(const char *program, char *out, size_t room);

#endif
