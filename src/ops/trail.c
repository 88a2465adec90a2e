// SPDX-License-Identifier: Apache-2.0
//
// Audit records of requests.
#include "ops/trail.h"

#include "base/clock.h"
#include "ops/keys.h"

static enum err record(const struct op *op, enum err code, bool attempted)
{
    struct uuid id;
    struct ops *ops = op->ops;
    struct span key = keys_newest(ops, "audit", &id);
    struct audit_record row = {
        .time_ms = clock_wall_ms(),
        .verb = op->request->verb,
        .outcome = code,
        .attempted = attempted,
        .who = &op->who,
        .object = op->object,
        .object_type = op->object_type,
        .detail = op->detail,
    };
    if (row.detail.len > AUDIT_DETAIL_MAX)
        row.detail.len = AUDIT_DETAIL_MAX;
    if (ops->journal != NULL)
        return audit_journal_add(ops->journal, key, &row);
    ops->unsigned_records++;
    if (ops->in_transaction)
        return audit_append(ops->set.store, key, &row);
    TRY(store_begin(ops->set.store, STORE_WRITE));
    row.time_ms = clock_wall_ms(); // others may have written while it was waited for
    enum err err = audit_append(ops->set.store, key, &row);
    if (err != ERR_OK) {
        store_rollback(ops->set.store);
        return err;
    }
    return store_commit(ops->set.store);
}

// Health checks and looks at one's own operation come every second, and tell nothing of the store;
// the status is what is asked for when nothing can be recorded any more.
static bool is_mere_look(const struct op *op, enum err code)
{
    enum verb verb = op->request->verb;
    bool own = verb == VERB_OPERATION_SHOW || verb == VERB_OPERATION_EVENTS;
    return code == ERR_OK && (own || verb == VERB_READY || verb == VERB_STATUS);
}

enum err trail_record(const struct op *op, enum err code)
{
    if (is_mere_look(op, code))
        return ERR_OK;
    return record(op, code, false);
}

enum err trail_attempt(const struct op *op)
{
    return record(op, ERR_OK, true);
}
