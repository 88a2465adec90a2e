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

enum { AUDIT_SYNC_MS = 100, AUDIT_HASH_LEN = 32, AUDIT_DETAIL_MAX = 1024 };

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

// Appends to the node's chain within the store's current write transaction. `seal_key` NULL (store
// locked): the telling parts are left out and the record says so.
MUST_USE enum err audit_append(struct store *store, struct span seal_key,
                               const struct audit_record *record);

// The journal of one reading process: var/lib/keyward/audit/reads-<index>.log.
struct audit_journal;
MUST_USE enum err audit_journal_open(int root, uint32_t index, bool strict,
                                     struct audit_journal **ret);
void audit_journal_free(struct audit_journal *journal);
void audit_journal_freep(struct audit_journal **journal);

// Queues a record; audit_journal_write puts all queued ones into the file by one write(2) (and
// fsyncs when strict). Call before the answers leave. ERR_NO_SPACE, ERR_IO: then no answer may
// leave.
MUST_USE enum err audit_journal_add(struct audit_journal *journal, struct span seal_key,
                                    const struct audit_record *record);
MUST_USE enum err audit_journal_write(struct audit_journal *journal);

// fsyncs what is older than AUDIT_SYNC_MS; returns in *ret_wait_ms how long until the next is due
// (-1: nothing is).
MUST_USE enum err audit_journal_sync(struct audit_journal *journal, int *ret_wait_ms);

// Enters the heads of all journals into the node's chain (called by the writer at least once a
// second while there are new ones, and at stop).
MUST_USE enum err audit_anchor(int root, struct store *store);

struct audit_verdict {
    uint64_t records;      // in the chain
    uint64_t read_records; // in the journals
    bool sound;
    uint64_t bad_sequence; // first bad one, 0 when sound
    char what[256];        // "record 17 was changed", …
};

// Walks chain and journals. A torn last line of a journal (power cut) is no damage beyond the
// anchored head.
MUST_USE enum err audit_verify(int root, struct store *store, struct audit_verdict *ret);

// One record as a JSON object, opened with `seal_key` where it is sealed.
MUST_USE enum err audit_to_json(struct span seal_key, const struct store_audit *row,
                                struct buf *out);

#endif
