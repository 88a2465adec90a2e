// SPDX-License-Identifier: Apache-2.0
//
// The ports: opened by the supervisor, served by fronts and web.
#ifndef KW_SUPERVISE_LISTEN_H
#define KW_SUPERVISE_LISTEN_H

#include "base/err.h"

// A listening TCP socket for "ADDRESS:PORT" or "[V6]:PORT"; caller closes. ERR_CONFIG for a text
// that is no such thing or an address that this machine does not have, ERR_CONFLICT when the port
// is taken (the message says how to find by whom).
MUST_USE enum err listen_tcp(const char *address, int *ret_fd);

// A listening Unix socket at `path` below `dir` with mode 0600, replacing a stale one; caller
// closes.
MUST_USE enum err listen_unix(int dir, const char *path, int *ret_fd);

// Says in the file `path`, for the command line, whether a port is open ("open ADDRESS"), and if
// not, why ("closed WHY", "none WHY"). What cannot be told is logged.
void listen_tell(int root, const char *path, const char *state, const char *what);

#endif
