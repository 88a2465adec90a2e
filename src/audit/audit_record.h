// SPDX-License-Identifier: Apache-2.0
//
// The bytes of an audit record. All have format, kind, chain, sequence and time in clear; a request
// has more in clear and a sealed part, whose associated data is everything before it. Numbers that
// could shift with a release (verbs, error codes) are recorded by their names. Private to audit.
#ifndef KW_AUDIT_AUDIT_RECORD_H
#define KW_AUDIT_AUDIT_RECORD_H

#include "audit/audit.h"
#include "crypto/ed25519.h"

enum {
    AUDIT_FORMAT = 1,
    AUDIT_RECORD_MAX = 8192, // bytes of one record
    AUDIT_NAME_MAX = 1024,   // bytes of a principal's name; longer ones are cut
    AUDIT_ADDRESS_MAX = 128
};

enum audit_kind {
    AUDIT_REQUEST = 1,
    AUDIT_ANCHOR = 2,  // node chain: how far a journal went
    AUDIT_CONTEXT = 3, // journal: who, sealed once for the records that refer to it
    AUDIT_SEGMENT = 4, // journal: first record of a file
    AUDIT_HEAD = 5,    // node chain: a signature over all before it
    AUDIT_SIGNER = 6,  // node chain: the key that signs from here on, signed by the one before
    AUDIT_PURGED = 7   // node chain: where chain and journals begin from now on
};

enum audit_flag {
    AUDIT_SEALED = 1,   // a sealed part follows
    AUDIT_LOCKED = 2,   // the store was locked: the telling parts were left out
    AUDIT_ATTEMPTED = 4 // written before the act
};

// The node's own chain; the chain of reader `index` has number index + 1.
enum { AUDIT_CHAIN_NODE = 0 };

struct audit_anchored {
    uint32_t index, segment;
    uint64_t length; // bytes of that segment's file
    uint64_t count;  // records in all segments
    uint8_t hash[AUDIT_HASH_LEN];
};

// A signature over the record's place, its time and the hash before it (and, of AUDIT_SIGNER, the
// new key): so it vouches for everything before.
struct audit_signed {
    uint8_t signer[AUDIT_PUBLIC_LEN];
    uint8_t public_key[AUDIT_PUBLIC_LEN]; // AUDIT_SIGNER: the new one, else the signer
    uint8_t signature[ED25519_SIGNATURE_LEN];
};

enum { AUDIT_FLOOR_LEN = 4 + 4 + 8 + AUDIT_HASH_LEN };

// Where a journal begins after a purge.
struct audit_floor {
    uint32_t index, segment;
    uint64_t count; // records before that segment
    uint8_t hash[AUDIT_HASH_LEN];
};

struct audit_entry {
    struct span record; // all of it
    enum audit_kind kind;
    uint32_t chain;
    uint64_t sequence;
    int64_t time_ms;
    uint8_t flags;
    // requests
    uint8_t who_kind;
    uint32_t uid;
    struct uuid who;
    struct uuid object;
    uint32_t object_type;
    uint64_t context; // sequence of a record of kind AUDIT_CONTEXT in the same file, 0 none
    struct span verb, outcome;
    struct span clear;  // what the sealed part is bound to
    struct span sealed; // also of a context
    // anchors
    struct audit_anchored anchor;
    // heads and signers
    struct audit_signed sign;
    // purges
    uint64_t purged;    // last record of the chain that is gone, and its hash in `start`
    struct span floors; // AUDIT_FLOOR_LEN bytes each: audit_record_floor
    // segments
    uint32_t segment;
    uint64_t kept; // bytes of the segment before that count; what lay beyond was torn
    uint8_t start[AUDIT_HASH_LEN];
};

// What is sealed.
struct audit_telling {
    struct span name, address, detail;
};

struct audit_where {
    uint32_t chain;
    uint64_t sequence;
};

// Each appends one record. `context` other than 0: name and address stand there.
MUST_USE enum err audit_record_request(struct buf *out, struct audit_where where,
                                       struct span seal_key, uint64_t context,
                                       const struct audit_record *record);
MUST_USE enum err audit_record_context(struct buf *out, struct audit_where where, int64_t time_ms,
                                       struct span seal_key, const struct principal *who);
MUST_USE enum err audit_record_anchor(struct buf *out, struct audit_where where, int64_t time_ms,
                                      const struct audit_anchored *anchor);
MUST_USE enum err audit_record_segment(struct buf *out, struct audit_where where, int64_t time_ms,
                                       uint32_t segment, uint64_t kept,
                                       const uint8_t start[AUDIT_HASH_LEN]);

// `previous` is the hash of the record before. `added` other than NULL: a record of kind
// AUDIT_SIGNER.
MUST_USE enum err audit_record_signed(struct buf *out, struct audit_where where, int64_t time_ms,
                                      const uint8_t previous[AUDIT_HASH_LEN],
                                      const struct audit_signer *signer, const uint8_t *added);
bool audit_record_signature_is_good(const struct audit_entry *entry,
                                    const uint8_t previous[AUDIT_HASH_LEN]);
MUST_USE enum err audit_record_purged(struct buf *out, struct audit_where where, int64_t time_ms,
                                      const struct store_audit *last,
                                      const struct audit_floor *floors, size_t count);
// The floor of a journal in a record of kind AUDIT_PURGED; false when it names none.
bool audit_record_floor(const struct audit_entry *entry, uint32_t index, struct audit_floor *ret);

// Reads a record; spans in *ret borrow from it. ERR_DAMAGED.
MUST_USE enum err audit_record_read(struct span record, struct audit_entry *ret);

// Opens the sealed part of a request or context into `plain`, from which *ret borrows. ERR_DAMAGED
// also with another key.
MUST_USE enum err audit_record_open(struct span seal_key, const struct audit_entry *entry,
                                    struct buf *plain, struct audit_telling *ret);

// The next hash of the node's chain.
MUST_USE enum err audit_record_hash(const uint8_t previous[AUDIT_HASH_LEN], struct span record,
                                    uint8_t out[AUDIT_HASH_LEN]);

#endif
