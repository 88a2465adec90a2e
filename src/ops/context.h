// SPDX-License-Identifier: Apache-2.0
//
// What the files of this room share: the engine's state (struct ops) and that of one request
// (struct op). Not for other rooms.
#ifndef KW_OPS_CONTEXT_H
#define KW_OPS_CONTEXT_H

#include "audit/audit.h"
#include "base/secret.h"
#include "ops/ops.h"

enum { TRIES_MAX = 64 };
enum { KEYS_MAX = 256, ENDPOINT_CACHE = 64, ENDPOINT_NAME_MAX = 64, LOCKED_REASON_MAX = 512 };

// A data key in the clear, in locked memory.
struct data_key {
    struct uuid id;
    char purpose[16];
    struct secret *secret;
};

// What is known of an endpoint: `turn` says for which snapshot.
struct known_endpoint {
    uint64_t turn;
    uint8_t fingerprint[32];
    uint32_t state;
    struct uuid id;
    uint64_t version;
    int64_t until; // seconds: the certificate counts so long; 0: as long as it is valid
    struct uuid default_wallet;
    size_t name_len;
    uint8_t name[ENDPOINT_NAME_MAX];
};

// Wrong tokens that came for one name, or from one address, since the first of them.
struct token_tries {
    uint8_t hash[STORE_HASH_LEN];
    int64_t since_ms; // monotonic
    unsigned wrong;
};

enum { ALERT_TYPES_MAX = 32, SIGN_INS_MAX = 1000 };

// When sign-ins were refused lately, as the chain tells.
struct sign_ins {
    uint64_t seen; // last record of the chain that was looked at
    int64_t at[SIGN_INS_MAX];
    size_t next;
};

struct ops {
    struct ops_settings set;
    struct ipc *keeper;
    struct audit_journal *journal; // readers only
    struct data_key keys[KEYS_MAX];
    size_t key_count;
    bool open;                      // every purpose has a key
    int64_t next_try;               // monotonic ms: not before this is the keeper asked again
    char locked[LOCKED_REASON_MAX]; // why `open` is false
    struct buf scratch;             // clear bytes on their way into an arena; wiped after each use
    struct known_endpoint endpoints[ENDPOINT_CACHE];
    uint64_t turn;
    bool administered; // by this engine since the turn began: endpoints may have changed
    bool in_transaction;
    int64_t next_anchor; // monotonic ms, as the next
    int64_t next_maintain;
    bool made_key;          // by the item that runs: it goes when the item is taken back
    bool keys_stale;        // the store may have other data keys than this engine
    int64_t next_refresh;   // monotonic ms: before that they are not compared
    uint32_t wrapped_under; // master key that all data keys are known to be wrapped under
    bool no_rotation;       // the writer knows that no data key is being rotated
    int64_t next_reseal;    // monotonic ms, as the next
    int64_t next_watch;
    int64_t next_sign;
    int64_t next_head;
    bool head_looked;   // the writer has compared the store with the file of ops/head.h
    uint64_t head_kept; // record that the file names, or that was the last at the first look
    int64_t next_retention;
    int64_t next_settle;
    unsigned unsigned_records;           // of this engine, since it looked last
    int64_t next_alert[ALERT_TYPES_MAX]; // the admin engine: when each type is looked at
    int64_t alerts_set;                  // which settings it knows
    struct sign_ins sign_ins;
    struct audit_feed *feed; // a reader: where the courier that forwards records is
    int64_t next_sink_look;
    bool sink_away;                      // so long that endpoints are refused
    struct seen *seen;                   // readers and the writer
    struct token_tries tries[TRIES_MAX]; // writer and people engine, as the next: by name
    struct token_tries source_tries[TRIES_MAX];
    struct token_tries all_tries;
    int64_t next_relief; // the admin engine, monotonic ms, as the next
    int64_t busy_until;
    struct counts *counts;
    struct refusals *refusals; // readers only
    bool tls_stale;            // the files of ops/tlsfile.h may be behind the store
    bool unsettled;            // something was committed since the store's log was emptied last
};

// One request on its way. `who` is the principal with what the store knows of it.
struct op {
    struct ops *ops;
    struct arena *arena;
    const struct batch *batch;
    struct principal who;
    const struct request *request;
    struct reply *reply;
    struct uuid default_wallet; // of `who`: where new objects go
    bool has_placeholder;       // the ID Placeholder of the batch
    struct uuid placeholder;
    size_t room;      // what is left of the batch's
    int64_t cpu_end;  // clock_cpu_us by which the batch has had its time
    bool saved;       // a save is open that is undone should the item fail
    bool stands;      // it has changed what no transaction of ours takes back
    bool must_change; // `who` may do nothing before the password is changed
    int64_t now;      // seconds since 1970
    // What the audit trail is to tell:
    struct uuid object;
    uint32_t object_type;
    struct span detail;
};

// For an operation that keeps its own transaction and works long before it writes: opens one, in
// which the record of the request is written, too. What is written before ops_late_save stays even
// when the operation fails.
MUST_USE enum err ops_late_begin(struct op *op);
MUST_USE enum err ops_late_save(struct op *op);

// One operation: fills op->reply. On failure nothing that it wrote stays (the caller's savepoint).
typedef enum err op_function(struct op *op);

#endif
