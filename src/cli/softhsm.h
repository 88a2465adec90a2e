// SPDX-License-Identifier: Apache-2.0
//
// The try-out token: SoftHSM below the server's root. For learning and tests only: its keys lie on
// the same disk.
#ifndef KW_CLI_SOFTHSM_H
#define KW_CLI_SOFTHSM_H

#include "base/secret.h"

#define SOFTHSM_VENDOR  "SoftHSM (try-out)"
#define SOFTHSM_LABEL   "keyward-tryout"
#define SOFTHSM_LIBRARY "/usr/lib/softhsm/libsofthsm2.so"

// ERR_UNAVAILABLE when library or tool are not installed (says what to install).
MUST_USE enum err softhsm_check(void);

// Makes the token (unless there is one), its settings (okv_hsm.conf, okv_hsm_env) and its PIN file.
// `root` is the absolute path of root_fd. *ret_pin is the user PIN; caller frees. Safe to repeat.
MUST_USE enum err softhsm_make(int root_fd, const char *root, struct secret **ret_pin);

#endif
