// SPDX-License-Identifier: Apache-2.0
//
// The rules of a sound chain, record by record: for the store's trail and for exported files alike.
// Private to audit.
#ifndef KW_AUDIT_AUDIT_CHECK_H
#define KW_AUDIT_AUDIT_CHECK_H

#include "audit/audit_record.h"

struct audit_check {
    uint64_t last; // sequence of the last record that was sound, and its hash
    uint8_t hash[AUDIT_HASH_LEN];
    const uint8_t *trusted; // public key, or NULL
    bool saw_trusted;
    bool has_key; // that signs here
    uint8_t key[AUDIT_PUBLIC_LEN];
    uint64_t signed_sequence; // of the last head
    int64_t signed_ms;
    char why[200]; // of the last refusal
};

// Does the row follow? *ret_entry borrows from its record. False: `why` says why not, and the check
// is to be given up.
bool audit_check_next(struct audit_check *check, const struct store_audit *row,
                      struct audit_entry *ret_entry);

// After the last one: was the trusted key among those that signed?
bool audit_check_end(struct audit_check *check);

#endif
