// SPDX-License-Identifier: Apache-2.0
//
// The audit trail of this node: one hash chain. What changes something commits its record in the
// same store transaction as the change. Reads are recorded before the answer in a journal file of
// the reading process, which survives the death of any process, is made durable at most
// AUDIT_SYNC_MS later (first, when AUDIT_STRICT is set), and is chained on its own with heads that
// the writer enters into the node's chain. No audit, no answer.
//
// A record's telling parts (names, addresses) are sealed under the audit data key; sequence, time,
// verb, object id, outcome stand in clear, so that the chain can be verified without the root of
// trust.
#ifndef KW_AUDIT_AUDIT_H
#define KW_AUDIT_AUDIT_H

#include "model/model.h"
#include "store/store.h"

enum {
    AUDIT_SYNC_MS = 100,
    AUDIT_HASH_LEN = 32,
    AUDIT_DETAIL_MAX = 1024,
    AUDIT_PUBLIC_LEN = 32,
    AUDIT_READERS_MAX = 64
};

// What is recorded of one request.
struct audit_record {
    int64_t time_ms;
    enum verb verb;
    enum err outcome;
    bool attempted; // written before the act; its outcome follows in another record
    const struct principal *who;
    struct uuid object; // zero when none
    uint32_t object_type;
    struct span
        detail; // a sentence: reason of a refusal, name of what was made; telling, so sealed
};

// The outcome that a row of the chain tells ("ERR_OK"), borrowed from its record; empty for what is
// no request. ERR_DAMAGED.
MUST_USE enum err audit_outcome(struct span record, struct span *ret);

// Appends to the node's chain within the store's current write transaction. `seal_key` empty (store
// locked): the telling parts are left out and the record says so.
MUST_USE enum err audit_append(struct store *store, struct span seal_key,
                               const struct audit_record *record);

// The journal of one reading process (index below 64): var/lib/keyward/audit/reads-<index>-<n>.log,
// where n counts segments of 64 MiB from 1. A torn end that is found at open is never written
// behind: a new segment begins, whose first record says how much of the old one counts.
// ERR_BUSY: another process has it open; ERR_DAMAGED; ERR_FILE_MODE.
struct audit_journal;
MUST_USE enum err audit_journal_open(int root, uint32_t index, bool strict,
                                     struct audit_journal **ret);
void audit_journal_free(struct audit_journal *journal);
void audit_journal_freep(struct audit_journal **journal);

// Queues a record; audit_journal_write puts all queued ones into the file by one write(2) (and
// fsyncs when strict). Call before the answers leave. A record that cannot be queued leaves the
// others as they are, and what it records may not be answered. When the write fails (ERR_NO_SPACE,
// ERR_IO), all queued records are dropped, and no answer to what they record may leave. Name and
// address of a principal are sealed once and referred to afterwards, so that a read costs one hash.
MUST_USE enum err audit_journal_add(struct audit_journal *journal, struct span seal_key,
                                    const struct audit_record *record);
MUST_USE enum err audit_journal_write(struct audit_journal *journal);

// Takes back what was queued since the mark: the requests will be answered, and recorded,
// elsewhere.
struct audit_mark {
    size_t length;    // of the queue
    uint64_t records; // in it
};
struct audit_mark audit_journal_mark(const struct audit_journal *journal);
void audit_journal_rewind(struct audit_journal *journal, struct audit_mark mark);

// fsyncs what is older than AUDIT_SYNC_MS; returns in *ret_wait_ms how long until the next is due
// (-1: nothing is).
MUST_USE enum err audit_journal_sync(struct audit_journal *journal, int *ret_wait_ms);

// Makes all journals durable and enters their heads, where they moved on, into the node's chain, in
// a transaction of its own (called by the writer at least once a second, and at stop; outside a
// transaction). ERR_DAMAGED when a journal is not sound or is gone; the others are entered all the
// same, and the caller logs it and goes on: audit_verify tells what is wrong.
MUST_USE enum err audit_anchor(int root, struct store *store);

// ---- signed heads: whoever has the public key need not trust this server's store ----
struct audit_signer {
    uint8_t public_key[AUDIT_PUBLIC_LEN];
    struct span private_key; // borrowed
};

enum { AUDIT_SIGN_RECORDS = 700, AUDIT_SIGN_MS = 60000 }; // sign after so many or so long

// What is known of signing: place and time of the last head, zero when there is none; the key that
// signs.
struct audit_signing {
    uint64_t sequence;
    int64_t time_ms;
    bool has_key;
    uint8_t public_key[AUDIT_PUBLIC_LEN];
};
MUST_USE enum err audit_signing_get(struct store *store, struct audit_signing *ret);

// Within a write transaction: enters a head signed over all records so far, when there are any
// since the last one. ERR_INVALID when `signer` is not the key that signs now.
MUST_USE enum err audit_sign(struct store *store, const struct audit_signer *signer,
                             bool *ret_signed);

// Within a write transaction: from here on `added` signs. `old` is the key so far; of the first one
// its own.
MUST_USE enum err audit_sign_with(struct store *store, const struct audit_signer *old,
                                  const uint8_t added[AUDIT_PUBLIC_LEN]);

// ---- retention ----
struct audit_extent {
    uint64_t chain; // last record
    uint64_t reads[AUDIT_READERS_MAX];
};

// How far the chain goes, and the journals as far as they are anchored in it (about a second ago).
MUST_USE enum err audit_extent_now(int root, struct store *store, struct audit_extent *ret);

// What was exported, as the exporter has confirmed: from the floor on without a gap.
MUST_USE enum err audit_exported_get(struct store *store, struct audit_extent *ret);
MUST_USE enum err audit_exported_put(struct store *store, const struct audit_extent *extent);

struct audit_purge {
    uint64_t through;         // last record of the chain that goes
    uint64_t records;         // that go
    uint32_t segments;        // of journals, that go
    struct audit_extent wish; // in: what may go at most
};

// Within a write transaction: what lies within `purge->wish`, was exported, is covered by a signed
// head and lies before the last sealed record (audit_verify_head looks at that) goes; of journals
// whole segments. A record of it, with the hashes that chain and journals are verified from, is
// entered. Nothing to purge is no error: records and segments are 0. `dry_run`: only says what
// would go.
MUST_USE enum err audit_purge(int root, struct store *store, bool dry_run,
                              struct audit_purge *purge);

// Gives back the room of what was purged, a bounded piece at a time, in a transaction of its own.
MUST_USE enum err audit_purge_settle(int root, struct store *store, bool *ret_more);

// The last record of the chain that is older than this; 0 for none.
MUST_USE enum err audit_chain_before(struct store *store, int64_t time_ms, uint64_t *ret);

struct audit_verdict {
    uint64_t first;        // record of the chain that is there: 1, or what a purge has left
    uint64_t records;      // in the chain
    uint64_t read_records; // in the journals
    bool sound;
    uint64_t bad_sequence;    // first bad one, 0 when sound
    char what[256];           // "record 17 was changed", …
    uint64_t signed_sequence; // place of the last signed head: it vouches for all before; 0 none
    int64_t signed_ms;
    bool has_key;
    uint8_t public_key[AUDIT_PUBLIC_LEN]; // that signed it
};

// Walks chain and journals, in a read transaction of its own, without any key: finds changed bytes,
// and records that were removed, reordered or cut off. A torn last record of a journal (power cut)
// is no damage beyond the anchored head. `trusted` is a public key that must have signed, or NULL:
// then the trail's own word is taken for which key signs.
MUST_USE enum err audit_verify(int root, struct store *store, const uint8_t *trusted,
                               struct audit_verdict *ret);

// With the audit data keys, and a verdict of audit_verify, which gets worse where they tell more:
// is the last record that was written while the store was open sealed with one of them? So an
// intruder who writes or cuts the chain without the root of trust is found, until the server itself
// seals the next record behind. An older copy of the whole store is not found by either, but by
// audit_head_check.
MUST_USE enum err audit_verify_head(struct store *store, const struct span *keys, size_t key_count,
                                    struct audit_verdict *verdict);

// ---- how far the trail has come, in a file beside the store: an older store is known by it ----
enum { AUDIT_HEAD_TEXT = 256 };

// Writes the file (PATH_AUDIT_HEAD). `last` must be durable.
MUST_USE enum err audit_head_keep(int root, struct span seal_key, const struct store_audit *last);

// Does the store hold what the file names? *ret_fits false, with a clause in `what`: it does not,
// or the file is none that a server with one of these keys wrote. Without a file it fits, and where
// the record was purged.
MUST_USE enum err audit_head_check(int root, struct store *store, const struct span *keys,
                                   size_t key_count, bool *ret_fits, char what[AUDIT_HEAD_TEXT]);

#endif
