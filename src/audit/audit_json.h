// SPDX-License-Identifier: Apache-2.0
//
// A record as JSON. Private to audit.
#ifndef KW_AUDIT_AUDIT_JSON_H
#define KW_AUDIT_AUDIT_JSON_H

#include <jansson.h>

#include "audit/audit_record.h"

// What of a record's sealed part is known, and how: "opened", "sealed" (no key, or not this one),
// "left out" (the store was locked) or "none".
struct audit_told {
    const char *how;
    struct audit_telling telling;
};

MUST_USE enum err audit_json_put(const struct audit_entry *entry, const struct audit_told *told,
                                 json_t **ret);

// "endpoint", "local", …
const char *audit_json_kind(uint8_t who_kind);

#endif
