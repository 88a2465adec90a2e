// SPDX-License-Identifier: Apache-2.0
//
// Certificates that the server's own authorities have issued, by number and date alone: what a
// revocation list names, who still depends on which authority, what expires when. No name and no
// key is in a row. The verbs keep the rules of store/store.h.
#ifndef KW_STORE_ISSUED_H
#define KW_STORE_ISSUED_H

#include "store/store.h"

enum { ISSUED_SERIAL_LEN = 16 };

struct store_issued {
    uint8_t fingerprint[32]; // SHA-256 of the certificate (DER); unique: ERR_CONFLICT
    uint8_t serial[ISSUED_SERIAL_LEN];
    struct uuid authority;   // who signed it
    struct uuid holder;      // the endpoint, or one of the server's own certificates
    int64_t issued, expires; // seconds, as all below
    int64_t ended;           // from then on it counts no more; 0: it counts until it expires
    uint32_t reason;         // CRLReason (RFC 5280 section 5.3.1), where `ended` is set
};

enum issued_filter {
    ISSUED_ANY,
    ISSUED_STANDING, // not expired at `at`, and no end is set
    ISSUED_COUNTING, // not expired, and the end, where one is set, is still to come
    ISSUED_ENDED     // the end was before, or at, `at`
};

struct store_issued_query {
    struct uuid authority; // zero: any
    struct uuid holder;    // zero: any
    enum issued_filter filter;
    int64_t at;
    int64_t expires_before; // 0: whenever
    uint8_t after[32];      // fingerprint, exclusive; zeros: start
    uint32_t limit;         // 1 to STORE_FIND_MAX; not for a count
};

MUST_USE enum err store_issued_put(struct store *store, const struct store_issued *issued);
MUST_USE enum err store_issued_get(struct store *store, const uint8_t fingerprint[32],
                                   struct store_issued *ret); // ERR_NOT_FOUND
// Sets an end: of all certificates of a holder, or of one (fingerprint not NULL). One that has
// ended, or ends, earlier stays as it is.
MUST_USE enum err store_issued_end(struct store *store, const struct uuid *holder,
                                   const uint8_t *fingerprint, int64_t when_s, uint32_t reason);
// In order of the fingerprint.
MUST_USE enum err store_issued_list(struct store *store, const struct store_issued_query *query,
                                    struct arena *arena, struct store_issued **ret,
                                    size_t *ret_count);
MUST_USE enum err store_issued_count(struct store *store, const struct store_issued_query *query,
                                     uint64_t *ret);
// Forgets those that have ended and expired before this.
MUST_USE enum err store_issued_forget(struct store *store, int64_t before_s);

#endif
