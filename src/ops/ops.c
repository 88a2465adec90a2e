// SPDX-License-Identifier: Apache-2.0
//
// Turns, batches and items. Invariants: every request that reaches an engine is recorded before its
// answer leaves, refused ones too; what a failed item wrote is taken back to its savepoint, and of
// a batch with the Undo option either all items stand or none; the permission table is asked before
// any operation is entered.
#include "ops/ops.h"

#include <stdlib.h>

#include "audit/audit_feed.h"
#include "authz/authz.h"
#include "base/clock.h"
#include "base/log.h"
#include "ops/alert.h"
#include "ops/audit_keep.h"
#include "ops/count.h"
#include "ops/dispatch.h"
#include "ops/doc.h"
#include "ops/etag.h"
#include "ops/head.h"
#include "ops/identity.h"
#include "ops/keys.h"
#include "ops/once.h"
#include "ops/peer.h"
#include "ops/refusals.h"
#include "ops/reseal.h"
#include "ops/rights.h"
#include "ops/room.h"
#include "ops/seen.h"
#include "ops/signer.h"
#include "ops/sink.h"
#include "ops/tlsfile.h"
#include "ops/trail.h"

enum { SCRATCH_MAX = 8 * 1024 * 1024, ANCHOR_MS = 1000, MAINTAIN_MS = 5000, OUTCOME_S = 24 * 3600 };
// How often the admin engine looks at the store's log, and for how long it counts as busy.
enum { RELIEF_MS = 250, RELIEF_BUSY_MS = 10, BUSY_MS = 1000 };

// The admin and the people engine begin and end a transaction for each batch.
static bool works_alone(const struct ops *ops)
{
    return ops->set.role == OPS_ADMIN || ops->set.role == OPS_PEOPLE;
}

enum err ops_new(const struct ops_settings *settings, struct ops **ret)
{
    CLEANUP(ops_freep) struct ops *ops = calloc(1, sizeof *ops);
    if (ops == NULL)
        FAIL(ERR_MEMORY, "no memory for an engine");
    ops->set = *settings;
    ops->tls_stale = settings->role == OPS_WRITER || settings->role == OPS_ADMIN;
    buf_init(&ops->scratch, SCRATCH_MAX, true);
    keys_forget(ops);
    if (settings->role == OPS_READER)
        TRY(audit_journal_open(settings->root, settings->index, settings->audit_strict,
                               &ops->journal));
    if (settings->role == OPS_READER)
        TRY(refusals_new(&ops->refusals));
    TRY(count_open(settings, &ops->counts));
    TRY(seen_open(settings, &ops->seen));
    *ret = ops;
    ops = NULL;
    return ERR_OK;
}

void ops_free(struct ops *ops)
{
    if (ops == NULL)
        return;
    keys_forget(ops);
    audit_journal_free(ops->journal);
    audit_feed_free(ops->feed);
    seen_free(ops->seen);
    refusals_free(ops->refusals);
    count_free(ops->counts);
    buf_done(&ops->scratch);
    free(ops);
}

void ops_freep(struct ops **ops)
{
    ops_free(*ops);
    *ops = NULL;
}

void ops_set_keeper(struct ops *ops, struct ipc *keeper)
{
    ops->keeper = keeper;
    ops->next_try = 0;
}

// Keys that were made or read within a transaction that is taken back are forgotten with it.
static void roll_back(struct ops *ops)
{
    if (ops->in_transaction)
        store_rollback(ops->set.store);
    ops->in_transaction = false;
}

// When something was committed, what was removed from the store is forgotten here, too, at most
// once a second. Whatever goes wrong is met again by whoever needs a key.
static void refresh(struct ops *ops)
{
    if (!ops->open || !ops->keys_stale || clock_mono_ms() < ops->next_refresh)
        return;
    ops->keys_stale = false;
    enum err err = keys_refresh(ops);
    if (err != ERR_OK)
        log_error("data_keys_not_refreshed", err);
}

static enum err begin_transaction(struct ops *ops)
{
    bool changed = true;
    TRY(store_begin(ops->set.store, ops->set.role == OPS_READER ? STORE_READ : STORE_WRITE));
    ops->in_transaction = true;
    enum err err = store_changed(ops->set.store, &changed);
    if (err != ERR_OK) {
        roll_back(ops);
        return err;
    }
    if (changed || ops->administered)
        ops->turn++;
    ops->administered = false;
    ops->keys_stale = ops->keys_stale || changed;
    refresh(ops);
    if (ops->open || clock_mono_ms() < ops->next_try)
        return ERR_OK;
    // Locked is no error of the turn: each request is told.
    err = keys_load(ops);
    if (err != ERR_OK && err != ERR_LOCKED) {
        roll_back(ops);
        keys_forget(ops);
        return err;
    }
    return ERR_OK;
}

static enum err end_transaction(struct ops *ops)
{
    if (!ops->in_transaction)
        return ERR_OK;
    ops->in_transaction = false;
    if (ops->set.role == OPS_READER) {
        store_rollback(ops->set.store);
        return audit_journal_write(ops->journal);
    }
    ops->unsettled = true;
    enum err err = store_commit(ops->set.store);
    if (err != ERR_OK)
        keys_forget(ops);
    else if (ops->tls_stale)
        tlsfile_settle(ops);
    return err;
}

enum err ops_begin(struct ops *ops)
{
    return works_alone(ops) ? ERR_OK : begin_transaction(ops);
}

enum err ops_end(struct ops *ops)
{
    return works_alone(ops) ? ERR_OK : end_transaction(ops);
}

void ops_abort(struct ops *ops)
{
    // Data keys that were made in the turn are gone with it.
    if (ops->in_transaction && ops->set.role != OPS_READER)
        keys_forget(ops);
    roll_back(ops);
}

// Who may, where somebody may not.
static enum err refuse(struct op *op, const char *why)
{
    char text[RIGHTS_TEXT_MAX];
    uint32_t wanted = authz_words(op->request->verb) & RIGHT_ALL;
    op->detail = span_str(why);
    if (op->who.kind == PRINCIPAL_NOBODY)
        FAIL(ERR_AUTHENTICATION, "this is not for everybody: sign in, or show an API token");
    if (op->who.kind != PRINCIPAL_USER || op->who.held)
        FAIL(ERR_NOT_PERMITTED, "%s", why);
    if (wanted == 0)
        FAIL(ERR_NOT_PERMITTED, "this is for root and the service's own user alone, on the server");
    rights_text(wanted, text);
    FAIL(ERR_NOT_PERMITTED, "%s: it takes %s (\"keyward me show\" tells what one has)", why, text);
}

// Whether the principal may use the verb at all, before the operation looks at any object.
static enum err admit(struct op *op, const struct dispatch_row *row, enum err peer_error)
{
    if (row == NULL)
        FAIL(ERR_OPERATION, "the operation is not supported");
    if (peer_error != ERR_OK)
        FAIL(peer_error, "%s", err_message(peer_error));
    struct authz_decision decision =
        authz_decide(&op->who, op->request->verb, AUTHZ_NO_OBJECT, op->ops->set.service_uid);
    if (!decision.permit)
        return refuse(op, decision.why);
    if (op->must_change && !identity_may_wait(op->request->verb))
        FAIL(ERR_NOT_PERMITTED, "the password must be changed before anything else "
                                "(keyward me change-password)");
    if (op->who.kind == PRINCIPAL_ENDPOINT)
        TRY(sink_check(op->ops));
    return row->needs_keys ? keys_check(op->ops) : ERR_OK;
}

static enum err run_admitted(struct op *op, const struct dispatch_row *row, enum err peer_error)
{
    bool done;
    TRY(admit(op, row, peer_error));
    TRY(once_find(op, &done));
    if (done)
        return ERR_OK;
    TRY(etag_check(op));
    TRY(room_time(op));
    TRY(row->run(op));
    TRY(room_take(op));
    TRY(etag_tell(op));
    enum err err = once_keep(op);
    if (err != ERR_OK && row->own_transaction) {
        log_error("answer_not_kept", err); // what was done is done
        return ERR_OK;
    }
    return err;
}

// What the client is told of an error; the detail goes to the log when the client may not see it.
// Without memory for the text the table's own has to do.
static void tell(struct op *op, enum err code)
{
    if (!err_info(code)->shown)
        log_error("request_failed", code);
    op->reply->status = code;
    if (arena_copy(op->arena, span_str(err_message(code)), &op->reply->message) != ERR_OK)
        op->reply->message = span_str(err_info(code)->text);
    if (op->detail.len == 0)
        op->detail = op->reply->message;
}

static void clear_reply(struct op *op)
{
    *op->reply = (struct reply){.verb = op->request->verb, .located_items = -1};
}

enum err ops_late_begin(struct op *op)
{
    if (op->ops->in_transaction || !works_alone(op->ops))
        FAIL(ERR_INVALID, "this must be asked for alone");
    return begin_transaction(op->ops);
}

enum err ops_late_save(struct op *op)
{
    TRY(store_save(op->ops->set.store));
    op->saved = true;
    return ERR_OK;
}

// What no transaction takes back is told as it went, whatever becomes of its record; that it was
// attempted has been recorded before.
static enum err record_outcome(struct op *op, enum err code)
{
    enum err err = trail_record(op, code);
    if (err == ERR_OK || !(op->stands || op->reply->unsure))
        return err;
    log_error("outcome_not_recorded", err);
    if (code == ERR_OK && doc_warn(op, "the change was made, but the audit trail has only that it "
                                       "was attempted: the log says why") != ERR_OK)
        log_error("warning_not_told", ERR_MEMORY);
    return ERR_OK;
}

// What it writes stands or falls with it, its record with it too.
static enum err run_recorded(struct op *op, enum err peer_error)
{
    const struct dispatch_row *row = dispatch_find(op->request->verb);
    clear_reply(op);
    op->object = (struct uuid){{0}};
    op->object_type = 0;
    op->detail = (struct span){NULL, 0};
    op->ops->made_key = false;
    op->saved = op->stands = false;
    if (op->ops->in_transaction && op->ops->set.role != OPS_READER)
        TRY(ops_late_save(op));
    enum err code = run_admitted(op, row, peer_error);
    if (code == ERR_TO_WRITER)
        return code;
    if (code == ERR_OK) {
        code = record_outcome(op, ERR_OK);
        if (code == ERR_OK)
            return op->saved ? store_keep(op->ops->set.store) : ERR_OK;
        op->reply->doc = (struct span){NULL, 0}; // what is not recorded does not leave
    }
    if (op->saved) {
        store_undo(op->ops->set.store);
        op->ops->turn++; // the snapshot may be another one now
    }
    if (op->ops->made_key) // gone with the item; the next turn reads the others again
        keys_forget(op->ops);
    // A failed operation on the root of trust tells its steps all the same.
    struct reply told = *op->reply;
    clear_reply(op);
    op->reply->doc = told.doc;
    op->reply->unsure = told.unsure;
    tell(op, code);
    return record_outcome(op, code);
}

// One item.
static enum err run_item(struct op *op, enum err peer_error)
{
    int64_t start = clock_mono_us();
    enum err err = run_recorded(op, peer_error);
    if (err == ERR_OK)
        count_note(op->ops->counts, op->request->verb, op->reply->status,
                   (uint64_t)(clock_mono_us() - start));
    return err;
}

static void skip_rest(struct op *op, struct replies *replies, size_t from)
{
    for (size_t i = from; i < replies->count; i++) {
        op->request = &op->batch->items[i];
        op->reply = &replies->items[i];
        clear_reply(op);
        op->reply->skipped = true;
        op->reply->status = ERR_CANCELED;
        op->reply->message = span_str("the item was not run, since an earlier one failed");
    }
}

// Everything before `failed` was taken back with its records: it is recorded as undone.
static enum err record_undone(struct op *op, struct replies *replies, size_t failed, enum err code)
{
    for (size_t i = 0; i <= failed; i++) {
        op->request = &op->batch->items[i];
        op->reply = &replies->items[i];
        op->object = (struct uuid){{0}};
        op->detail = i < failed ? span_str("taken back, since a later item of the batch failed")
                                : op->reply->message;
        if (i < failed) {
            clear_reply(op);
            op->reply->undone = true;
        }
        TRY(trail_record(op, i < failed ? ERR_CANCELED : code));
    }
    return ERR_OK;
}

static enum err undo_batch(struct op *op, struct replies *replies, size_t failed)
{
    enum err code = replies->items[failed].status;
    store_undo(op->ops->set.store);
    return record_undone(op, replies, failed, code);
}

static enum err run_items(struct op *op, struct replies *replies, bool undo)
{
    enum err peer_error = peer_resolve(op);
    char why[256] = "";
    if (peer_error != ERR_OK)
        (void)memccpy(why, err_detail(), '\0', sizeof why - 1);
    for (size_t i = 0; i < replies->count; i++) {
        op->request = &op->batch->items[i];
        op->reply = &replies->items[i];
        if (peer_error != ERR_OK)
            err_adopt(why, strlen(why));
        TRY(run_item(op, peer_error));
        if (op->reply->status == ERR_OK || op->batch->on_error == ON_ERROR_CONTINUE)
            continue;
        skip_rest(op, replies, i + 1);
        return undo ? undo_batch(op, replies, i) : ERR_OK;
    }
    return undo ? store_keep(op->ops->set.store) : ERR_OK;
}

static enum err run_in_transaction(struct op *op, struct replies *replies)
{
    bool undo = op->batch->on_error == ON_ERROR_UNDO && replies->count > 1 &&
                op->ops->set.role != OPS_READER && op->ops->in_transaction;
    if (undo)
        TRY(store_save(op->ops->set.store));
    return run_items(op, replies, undo);
}

static enum err load_when_idle(struct ops *ops, int *wait_ms)
{
    int64_t now = clock_mono_ms();
    if (ops->open)
        return ERR_OK;
    *wait_ms = OPS_RECHECK_MS;
    if (now < ops->next_try || ops->keeper == NULL)
        return ERR_OK;
    TRY(begin_transaction(ops));
    return end_transaction(ops);
}

// A turn of its own for each batch; an operation that keeps its own may leave one open, too, which
// then ends with the record of what it did.
static enum err run_alone(struct op *op, struct replies *replies)
{
    const struct dispatch_row *row = dispatch_find(op->batch->items[0].verb);
    op->ops->keys_stale = true;
    op->ops->next_refresh = 0;
    refresh(op->ops);
    bool own = row != NULL && row->own_transaction && replies->count == 1;
    int wait_ms = 0;
    if (own && row->needs_keys)
        TRY(load_when_idle(op->ops, &wait_ms));
    if (!own)
        TRY(begin_transaction(op->ops));
    enum err err = own ? run_items(op, replies, false) : run_in_transaction(op, replies);
    if (err == ERR_OK)
        return end_transaction(op->ops);
    ops_abort(op->ops);
    return err;
}

// What a reader leaves to the writer it has not done, so that there is no record of it either.
static enum err run_or_decline(struct op *op, struct replies *replies)
{
    struct audit_journal *journal = op->ops->journal;
    if (journal == NULL)
        return run_in_transaction(op, replies);
    struct audit_mark mark = audit_journal_mark(journal);
    enum err err = run_in_transaction(op, replies);
    if (err == ERR_TO_WRITER)
        audit_journal_rewind(journal, mark);
    return err;
}

enum err ops_run_batch(struct ops *ops, const struct batch *batch, struct arena *arena,
                       struct replies *ret)
{
    struct replies replies = {.count = batch->count};
    struct op op = {
        .ops = ops, .arena = arena, .batch = batch, .room = batch->room, .now = clock_wall_s()};
    if (batch->count == 0 || batch->count > BATCH_MAX)
        FAIL(ERR_MESSAGE, "a batch has 1 to %d items", BATCH_MAX);
    room_begin(&op);
    ops->administered = ops->administered || batch->who.kind != PRINCIPAL_ENDPOINT;
    TRY(arena_alloc(arena, replies.count, sizeof *replies.items, &replies.items));
    if (works_alone(ops))
        TRY(run_alone(&op, &replies));
    else
        TRY(run_or_decline(&op, &replies));
    *ret = replies;
    return ERR_OK;
}

// The writer's housekeeping: the heads of the journals enter the chain, the log of the store enters
// its file, so that destroyed material does not stay in it.
static enum err write_when_idle(struct ops *ops, int *wait_ms)
{
    int64_t now = clock_mono_ms();
    bool done = false;
    if (now >= ops->next_anchor) {
        ops->next_anchor = now + ANCHOR_MS;
        TRY(audit_anchor(ops->set.root, ops->set.store));
        TRY(seen_collect(ops->seen));
    }
    if (ops->unsettled && now >= ops->next_maintain) {
        ops->next_maintain = now + MAINTAIN_MS;
        TRY(store_maintain(ops->set.store, clock_wall_s() - OUTCOME_S, &done));
        ops->unsettled = !done;
    }
    *wait_ms = (int)(ops->next_anchor - now);
    return ERR_OK;
}

// The admin engine's: while the writer is busy, its log is moved into the file here, where nobody
// waits for it. What is left undone the writer does itself.
static enum err relieve_when_idle(struct ops *ops, int *wait_ms)
{
    int64_t now = clock_mono_ms();
    if (now >= ops->next_relief) {
        bool busy = false;
        TRY(store_relieve(ops->set.store, &busy));
        now = clock_mono_ms();
        if (busy)
            ops->busy_until = now + BUSY_MS;
        ops->next_relief = now + (now < ops->busy_until ? RELIEF_BUSY_MS : RELIEF_MS);
    }
    int left = (int)(ops->next_relief - now);
    *wait_ms = *wait_ms < 0 || left < *wait_ms ? left : *wait_ms;
    return ERR_OK;
}

static int sooner(int a, int b)
{
    if (a < 0)
        return b;
    return b >= 0 && b < a ? b : a;
}

enum err ops_idle(struct ops *ops, int *ret_wait_ms)
{
    int wait_ms = -1;
    int sync_ms = -1;
    TRY(load_when_idle(ops, &wait_ms));
    if (ops->journal != NULL)
        TRY(audit_journal_sync(ops->journal, &sync_ms));
    if (ops->tls_stale)
        tlsfile_settle(ops);
    if (ops->set.role == OPS_WRITER) {
        TRY(head_idle(ops, false)); // before anything makes the trail longer, or shorter
        TRY(write_when_idle(ops, &sync_ms));
        TRY(signer_idle(ops, false));
        TRY(audit_keep_idle(ops, &sync_ms));
        TRY(reseal_idle(ops, &sync_ms));
    }
    if (ops->set.role == OPS_ADMIN) {
        TRY(alert_idle(ops, &sync_ms));
        TRY(relieve_when_idle(ops, &sync_ms));
    }
    if (ops->set.role != OPS_WRITER)
        wait_ms = sooner(wait_ms, seen_write(ops->seen));
    wait_ms = sooner(wait_ms, count_write(ops->counts));
    wait_ms = sooner(wait_ms, refusals_idle(ops));
    *ret_wait_ms = sooner(wait_ms, sync_ms);
    return ERR_OK;
}

enum err ops_stop(struct ops *ops)
{
    refusals_stop(ops);
    if (ops->set.role != OPS_WRITER)
        return ERR_OK;
    TRY(audit_anchor(ops->set.root, ops->set.store));
    TRY(signer_idle(ops, true));
    return head_idle(ops, true);
}
