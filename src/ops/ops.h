// SPDX-License-Identifier: Apache-2.0
//
// The operations: what each request means. One file an operation, all of the shape check → decide →
// load → act → record → answer (ops/activate.c is the one to copy), behind one table from verb to
// function (ops/dispatch.c). Nothing here knows sockets or the wire.
//
// An engine works in turns: ops_begin, any number of ops_run_batch, ops_end. A reader's turn is one
// read snapshot, a writer's one transaction; only when ops_end has succeeded may answers leave. The
// admin engine and the people engine run one batch a turn; operations on the root of trust, which
// may take minutes, and the hashing of passwords hold no transaction meanwhile.
#ifndef KW_OPS_OPS_H
#define KW_OPS_OPS_H

#include "ipc/ipc.h"
#include "model/model.h"
#include "store/store.h"

enum ops_role { OPS_READER, OPS_WRITER, OPS_ADMIN, OPS_PEOPLE };

enum {
    OPS_RECHECK_MS = 200,    // how often an idle engine asks a locked keeper
    OPS_LOCATE_MAX = 10000,  // identifiers of one Locate answer
    OPS_TOKEN_S = 24 * 3600, // life of an enrolment token
    OPS_LEASE_S = 3600       // Lease Time
};

struct ops_settings {
    enum ops_role role;
    uint32_t index;       // of this reader: names its audit journal
    bool audit_strict;    // the audit of a read is durable before its answer
    int root;             // directory descriptor of the root prefix, borrowed
    struct store *store;  // borrowed
    uint32_t service_uid; // may administer, beside root
    unsigned kmip_port;   // where clients find the server; 0: the usual one
};

struct ops;

// ERR_MEMORY, or what opening the audit journal gives.
MUST_USE enum err ops_new(const struct ops_settings *settings, struct ops **ret);

// Wipes the data keys.
void ops_free(struct ops *ops);
void ops_freep(struct ops **ops);

// The channel to the keeper, borrowed; NULL while there is none. Keys that were unwrapped before
// stay in use.
void ops_set_keeper(struct ops *ops, struct ipc *keeper);

// Begins a turn. Asks the keeper (blocking) where the data keys are not there yet; one that failed
// to answer is left alone for OPS_RECHECK_MS.
MUST_USE enum err ops_begin(struct ops *ops);

// Runs one message's requests in order and puts a reply for each into the arena, where they live
// with what they borrow from `batch`. Failures of requests stand in their replies; an error here
// means that nothing may be answered, since it could not be recorded (no audit, no answer).
// ERR_TO_WRITER, of a reader alone: nothing was done, the batch is the writer's.
MUST_USE enum err ops_run_batch(struct ops *ops, const struct batch *batch, struct arena *arena,
                                struct replies *ret);

// What a courier asks or tells (ops/courier.c), within a turn; the answer lies in the arena. Its
// failure is the courier's alone.
MUST_USE enum err ops_run_courier(struct ops *ops, struct span ask, struct arena *arena,
                                  struct span *ret);

// A report, of a front or of web, of a refused client (model_put_refusal), within a turn; readers
// keep it.
MUST_USE enum err ops_note_refusal(struct ops *ops, struct span body);

// Ends the turn: commits, or writes the journal of reads. After an error no answer of the turn may
// say success; ERR_NO_SPACE and ERR_BUSY mean that nothing was changed, after any other the outcome
// is not known.
MUST_USE enum err ops_end(struct ops *ops);

// Takes a turn back: nothing of it was done.
void ops_abort(struct ops *ops);

// What falls due between turns: data keys, anchoring and syncing the audit trail. *ret_wait_ms is
// when to call again at the latest (-1: at the next turn).
MUST_USE enum err ops_idle(struct ops *ops, int *ret_wait_ms);

// Before the end, after the last turn: the audit trail is anchored and signed, and its end kept.
MUST_USE enum err ops_stop(struct ops *ops);

#endif
