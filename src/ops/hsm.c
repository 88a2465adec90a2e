// SPDX-License-Identifier: Apache-2.0
//
// The operations on the root of trust. What is attempted is recorded before, its outcome after; an
// operation that rotated the master key is followed by wrapping the data keys under the new one.
// Should that fail, the operation stands all the same: the wallet keeps the older master keys, and
// wrapping is tried again when the engine is idle.
#include "base/log.h"
#include "ops/doc.h"
#include "ops/keys.h"
#include "ops/root.h"
#include "ops/trail.h"
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
    TRY(root_operate(op, row->operation, params));
    if (row->rotates && !dry_run) {
        // Tried again by itself (ops_idle) until it works.
        op->ops->wrapped_under = 0;
        enum err err = keys_follow(op->ops);
        if (err != ERR_OK)
            log_error("rewrap_failed", err);
    }
    return ERR_OK;
}
