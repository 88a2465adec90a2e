// SPDX-License-Identifier: Apache-2.0
//
// fork and exec of one child: descriptors 0 and 1 are /dev/null, 2 the log, PROC_CONTROL_FD its
// control channel, everything else closed; the environment is empty but for hsmd, which gets what
// okv_hsm_env says.
#ifndef KW_SUPERVISE_SPAWN_H
#define KW_SUPERVISE_SPAWN_H

#include <sys/types.h>

#include "supervise/children.h"

// *ret_control is the supervisor's end. ERR_UNAVAILABLE, ERR_CONFIG (okv_hsm_env).
MUST_USE enum err spawn_child(const struct children *all, const struct child *child, pid_t *ret_pid,
                              int *ret_control);

#endif
