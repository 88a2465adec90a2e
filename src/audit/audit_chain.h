// SPDX-License-Identifier: Apache-2.0
//
// The chain's head and the mark that its last row carries. Private to audit.
#ifndef KW_AUDIT_AUDIT_CHAIN_H
#define KW_AUDIT_AUDIT_CHAIN_H

#include "audit/audit_record.h"

struct audit_chain_head {
    uint64_t sequence; // of the last row; 0: there is none
    uint8_t hash[AUDIT_HASH_LEN];
    uint64_t missing; // first record that was cut off, as far as was noticed; 0 none
    uint64_t sealed;  // last one written while the store was open, 0 none
    uint8_t mac[AUDIT_HASH_LEN];
};

// A last row without a mark, or none at all where the trail was begun once, is noticed here.
MUST_USE enum err audit_chain_head_get(struct store *store, struct audit_chain_head *ret);

// The MAC over a record's place and hash.
MUST_USE enum err audit_chain_mac(struct span seal_key, uint64_t sequence,
                                  const uint8_t hash[AUDIT_HASH_LEN], uint8_t out[AUDIT_HASH_LEN]);

#endif
