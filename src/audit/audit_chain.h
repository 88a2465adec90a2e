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

// Appends the row that follows `last`.
MUST_USE enum err audit_chain_append(struct store *store, struct span seal_key,
                                     const struct audit_chain_head *last, int64_t time_ms,
                                     struct span record);

// How far a journal is anchored; count 0 when it is not.
MUST_USE enum err audit_chain_anchor_get(struct store *store, struct arena *arena, uint32_t index,
                                         struct audit_anchored *ret);

// The record of the last purge: sequence 0 when there was none. `record` lies in the arena.
MUST_USE enum err audit_chain_purge_get(struct store *store, struct arena *arena,
                                        struct store_audit *ret);
MUST_USE enum err audit_chain_purge_put(struct store *store, uint64_t sequence);

// The MAC over a record's place and hash, for one of two uses: what is made for one is none for the
// other.
#define AUDIT_MAC_MARK "keyward audit head"
#define AUDIT_MAC_FILE "keyward audit head file"
MUST_USE enum err audit_chain_mac(struct span seal_key, const char *use, uint64_t sequence,
                                  const uint8_t hash[AUDIT_HASH_LEN], uint8_t out[AUDIT_HASH_LEN]);

#endif
