// SPDX-License-Identifier: Apache-2.0
//
// What is kept of the chain's head beside the chain. Private to audit.
#ifndef KW_AUDIT_AUDIT_CHAIN_H
#define KW_AUDIT_AUDIT_CHAIN_H

#include "audit/audit_record.h"

struct audit_chain_head {
    uint64_t sequence; // 0: none was ever written
    uint8_t hash[AUDIT_HASH_LEN];
    uint64_t sealed_sequence; // last one written while the store was open, 0 none
    uint8_t sealed_hash[AUDIT_HASH_LEN];
    uint8_t mac[AUDIT_HASH_LEN];
};

MUST_USE enum err audit_chain_head_get(struct store *store, struct arena *arena,
                                       struct audit_chain_head *ret);

// The MAC over a record's place and hash.
MUST_USE enum err audit_chain_mac(struct span seal_key, uint64_t sequence,
                                  const uint8_t hash[AUDIT_HASH_LEN], uint8_t out[AUDIT_HASH_LEN]);

#endif
