// SPDX-License-Identifier: Apache-2.0
//
// Key Format Types (KMIP 1.4 section 9.1.3.2.3): is the material what its format says, and the same
// key in another format.
#ifndef KW_OPS_KEYFORMAT_H
#define KW_OPS_KEYFORMAT_H

#include "ops/object.h"

// Checks material against format, algorithm and length, and fills in the latter two where they are
// not given. ERR_INVALID.
MUST_USE enum err keyformat_check(struct object_data *data);

// The same object with its material in `format`, in the arena. ERR_KEY_FORMAT.
MUST_USE enum err keyformat_convert(struct op *op, uint32_t format, struct object_data *data);

#endif
