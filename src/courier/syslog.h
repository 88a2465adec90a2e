// SPDX-License-Identifier: Apache-2.0
//
// Audit records as syslog messages: RFC 5424, framed by octet counting (RFC 5425, and RFC 6587 for
// plain TCP). Facility 13 (log audit).
#ifndef KW_COURIER_SYSLOG_H
#define KW_COURIER_SYSLOG_H

#include <jansson.h>

#include "base/buf.h"

enum { SYSLOG_MESSAGE_MAX = 8192 };

// Appends the frame of one record of `audit list`, from this host.
MUST_USE enum err syslog_frame(const json_t *record, const char *host, struct buf *out);

#endif
