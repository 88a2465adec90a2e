// SPDX-License-Identifier: Apache-2.0
//
// What the requests about the audit trail share.
#ifndef KW_OPS_AUDIT_VIEW_H
#define KW_OPS_AUDIT_VIEW_H

#include "audit/audit_export.h"
#include "ops/doc.h"

// All audit data keys, newest first.
void audit_view_keys(const struct ops *ops, struct audit_keys *ret);

// audit_verify, and while the store is open audit_verify_head, too. Outside a transaction.
MUST_USE enum err audit_view_verify(struct ops *ops, const uint8_t *trusted,
                                    struct audit_verdict *ret);

// An optional time: RFC 3339 in UTC, or a day. *ret stays as it is when it is absent. ERR_INVALID.
MUST_USE enum err audit_view_time(const json_t *doc, const char *name, int64_t *ret_ms);

// A place in chain and journals as text: "c120.r0-33.r3-7", and back. ERR_INVALID.
enum { AUDIT_PLACE_MAX = 2048 };
MUST_USE enum err audit_view_place_text(const struct audit_extent *place, struct buf *out);
MUST_USE enum err audit_view_place_read(struct span text, struct audit_extent *ret);

json_t *audit_view_hex(const uint8_t *bytes, size_t len);

#endif
