// SPDX-License-Identifier: Apache-2.0
//
// Base64 (RFC 4648 section 4).
#ifndef KW_BASE_BASE64_H
#define KW_BASE_BASE64_H

#include "base/buf.h"

// Appends the text, in one line, with padding.
MUST_USE enum err base64_put(struct buf *out, struct span bytes);

// Appends the bytes. Blanks and line ends between the characters do not count; padding may be
// missing. ERR_INVALID for any other character, or for what cannot be an end.
MUST_USE enum err base64_take(struct span text, struct buf *out);

#endif
