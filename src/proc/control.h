// SPDX-License-Identifier: Apache-2.0
//
// Control messages on any descriptor: what proc.h does for a child on PROC_CONTROL_FD, for the
// supervisor, which holds one such socket a child. A child that polls by itself must look at
// proc_has_kept before it sleeps.
#ifndef KW_PROC_CONTROL_H
#define KW_PROC_CONTROL_H

#include <stdint.h>

#include "proc/proc.h"

// Sends one message, with a descriptor unless fd is negative (the caller keeps it).
// ERR_UNAVAILABLE; ERR_BUSY where `control` does not block and the other end has long not read.
MUST_USE enum err control_send(int control, const struct proc_message *message, int fd);

// Waits at most timeout_ms for one. *ret_fd is -1 or a descriptor that the caller owns.
// ERR_TIMEOUT, ERR_UNAVAILABLE.
MUST_USE enum err control_receive(int control, int timeout_ms, struct proc_message *ret,
                                  int *ret_fd);

#endif
