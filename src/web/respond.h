// SPDX-License-Identifier: Apache-2.0
//
// An answer as HTTP/1.1 bytes. Every answer has the same headers for browsers, errors too.
#ifndef KW_WEB_RESPOND_H
#define KW_WEB_RESPOND_H

#include "web/answer.h"

// Appends head and body to `out`. Without `keep_alive` the connection is said to end.
MUST_USE enum err respond_write(const struct answer *answer, bool keep_alive, struct buf *out);

#endif
