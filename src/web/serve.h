// SPDX-License-Identifier: Apache-2.0
//
// The life of keyward-web.
#ifndef KW_WEB_SERVE_H
#define KW_WEB_SERVE_H

#include "base/err.h"

// Reads its limits from keywardd.conf below `root`, hardens the process, then serves until the
// supervisor says stop (ERR_OK) or is gone (ERR_UNAVAILABLE).
MUST_USE enum err serve_run(const char *root);

#endif
