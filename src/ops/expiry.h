// SPDX-License-Identifier: Apache-2.0
//
// When certificates expire: for alerts, reports and the administrator's list. Dates lie in the
// clear, so all of it works while the server is locked.
#ifndef KW_OPS_EXPIRY_H
#define KW_OPS_EXPIRY_H

#include "ops/context.h"

enum expiry_kind {
    EXPIRY_AUTHORITY,
    EXPIRY_OLD_AUTHORITY,
    EXPIRY_SERVER,
    EXPIRY_CONSOLE,
    EXPIRY_ENDPOINT
};

struct expiry {
    enum expiry_kind kind;
    struct uuid holder; // the endpoint; zero for the others
    int64_t not_after;  // seconds since 1970
    uint8_t fingerprint[32];
};

const char *expiry_kind_name(enum expiry_kind kind);

// The server's own certificates, at most four, whenever they expire.
MUST_USE enum err expiry_own(struct ops *ops, struct arena *arena, struct expiry **ret,
                             size_t *ret_count);

// Certificates of endpoints that count and expire before `before_s` (0: whenever), expired ones
// too: at most `limit` in order of the fingerprint, from after `after` (zeros: start).
MUST_USE enum err expiry_endpoints(struct ops *ops, struct arena *arena, int64_t before_s,
                                   const uint8_t after[32], uint32_t limit, struct expiry **ret,
                                   size_t *ret_count);

#endif
