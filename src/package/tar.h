// SPDX-License-Identifier: Apache-2.0
//
// An archive that every tar reads (POSIX.1-1988, "ustar"): private files in order, no owner.
#ifndef KW_PACKAGE_TAR_H
#define KW_PACKAGE_TAR_H

#include "base/buf.h"

enum { TAR_BLOCK = 512, TAR_PATH_MAX = 99 };

// Appends a file of mode 0600, or, where the path ends with '/', a directory of mode 0700. `time`
// in seconds since 1970. ERR_INVALID for a path that is too long.
MUST_USE enum err tar_put(struct buf *out, const char *path, struct span bytes, int64_t time);

// Appends the end.
MUST_USE enum err tar_end(struct buf *out);

#endif
