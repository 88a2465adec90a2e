// SPDX-License-Identifier: Apache-2.0
//
// The operations on the root of trust. What is attempted is recorded before, its outcome after; an
// operation that rotated the master key is followed by wrapping the data keys under the new one.
// Should that fail, the operation stands all the same: the wallet keeps the older master keys, and
// wrapping is tried again when the engine is idle.
#include <stdio.h>

#include "base/log.h"
#include "ops/doc.h"
#include "ops/keys.h"
#include "ops/root.h"
#include "ops/trail.h"
#include "ops/tries.h"
#include "ops/verbs.h"

struct row {
    enum verb verb;
    enum keyring_operation operation;
    bool changes; // an attempt is recorded first
    bool rotates; // the TDE master key
    bool token;   // takes vendor and token label
};

static const struct row table[] = {
    {VERB_HSM_STATUS, KEYRING_HSM_STATUS, false, false, false},
    {VERB_HSM_INITIALIZE, KEYRING_HSM_INITIALIZE, true, true, true},
    {VERB_HSM_SET_CREDENTIAL, KEYRING_HSM_CREDENTIAL, true, false, true},
    {VERB_HSM_REVERSE_MIGRATE, KEYRING_REVERSE_MIGRATE, true, true, true},
    {VERB_HSM_VERIFY, KEYRING_HSM_VERIFY, false, false, false},
    {VERB_HSM_OPEN_WALLET, KEYRING_OPEN_WALLET, true, false, false},
    {VERB_HSM_PRE_RESTORE, KEYRING_PRE_RESTORE, true, false, true},
    {VERB_PASSPHRASE_CHANGE, KEYRING_CHANGE_PASSPHRASE, true, false, false},
    {VERB_ROTATE_WALLET_PASSWORD, KEYRING_ROTATE_PASSWORD, true, false, false},
    {VERB_ROTATE_MASTER_KEY, KEYRING_ROTATE_MASTER, true, true, false},
};

static const struct row *find(enum verb verb)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].verb == verb)
            return &table[i];
    }
    return NULL;
}

static enum err count_try(struct op *op, struct recovery_door *door, bool right)
{
    struct store *store = op->ops->set.store;
    TRY(store_begin(store, STORE_WRITE));
    enum err err = tries_recovered(op, door, right);
    if (err != ERR_OK) {
        store_rollback(store);
        return err;
    }
    return store_commit(store);
}

// A user's recovery passphrase is counted, whatever operation it is for.
static enum err operate(struct op *op, enum keyring_operation operation, struct span params,
                        bool changes)
{
    struct recovery_door door;
    char detail[600];
    if (doc_secret(op, "recovery_passphrase").len == 0)
        return root_operate(op, operation, params, changes);
    TRY(tries_recovery(op, &door));
    if (!door.counted)
        return root_operate(op, operation, params, changes);
    enum err err = door.locked ? ERR_TOO_MANY : root_operate(op, operation, params, changes);
    if (err != ERR_OK && err != ERR_PASSPHRASE && !door.locked)
        return err;
    (void)snprintf(detail, sizeof detail, "%s", err_detail());
    enum err counted = count_try(op, &door, err == ERR_OK);
    if (counted != ERR_OK)
        log_error("wrong_try_not_counted", counted);
    if (door.locked)
        return tries_refuse_recovery(op, &door);
    if (err != ERR_OK)
        err_adopt(detail, strlen(detail));
    return err;
}

enum err hsm_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    bool dry_run = false;
    const struct row *row = find(op->request->verb);
    if (row == NULL)
        FAIL(ERR_OPERATION, "the operation is not supported");
    if (op->ops->in_transaction || op->ops->set.role != OPS_ADMIN)
        FAIL(ERR_INVALID, "this must be asked for alone, of the administration process");
    TRY(doc_params(op, &doc));
    TRY(doc_dry_run(doc, &dry_run));
    if (row->changes && !dry_run)
        TRY(trail_attempt(op));
    struct span params = op->request->doc.len > 0 ? op->request->doc : span_str("{}");
    TRY(operate(op, row->operation, params, row->changes && !dry_run));
    if (row->rotates && !dry_run) {
        // Tried again by itself (ops_idle) until it works.
        op->ops->wrapped_under = 0;
        enum err err = keys_follow(op->ops);
        if (err != ERR_OK)
            log_error("rewrap_failed", err);
    }
    return ERR_OK;
}
