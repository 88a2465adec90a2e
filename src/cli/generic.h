// SPDX-License-Identifier: Apache-2.0
//
// The files that vendors' guides have an administrator edit: okv_hsm.conf, okv_hsm_env,
// okv_hsm_mid_upgrade and okv_security.conf. They are there from the first day, with the server's
// owner and mode, so that opening one in an editor is all that a guide's step takes.
#ifndef KW_CLI_GENERIC_H
#define KW_CLI_GENERIC_H

#include "base/err.h"

// Writes those that are not there; what somebody has written stays as it is.
MUST_USE enum err generic_make(int root_fd);

#endif
