// SPDX-License-Identifier: Apache-2.0
//
// Change of the recovery passphrase (contract C4): the wallet that it opens is written again under
// the new one, tde/ewallet.p12 or with an HSM hsm/restore/ewallet.p12. Nothing else changes: the
// HSM is not asked, auto-login and what the HSM protects hold the same master keys. Works with the
// HSM away, and while the store is locked. And the check alone, for people who recover a role by
// it.
#include "keyring/operate.h"
#include "keyring/verbs.h"

static enum err check(struct operation *op, struct span *old, struct span *new)
{
    TRY(core_need_record(op->core));
    TRY(operate_secret(op, "recovery_passphrase", old));
    TRY(operate_secret(op, "new_recovery_passphrase", new));
    if (old->len == new->len && memcmp(old->data, new->data, old->len) == 0)
        FAIL(ERR_INVALID, "the new recovery passphrase is the old one: choose another");
    return operate_check_new_passphrase(*new);
}

static enum err change_over(struct operation *op, struct operate_change *change,
                            enum root_file file, struct span passphrase, struct wallet **wallet)
{
    unsigned ways = op->core->record.hsm ? PROVE_PASSPHRASE : PROVE_PASSPHRASE | PROVE_AUTOLOGIN;
    TRY(operate_begin(op, "change_passphrase", change));
    TRY(operate_step(
        op, "protect the wallet by the new recovery passphrase",
        operate_stage_wallet(op, change, file, *wallet, passphrase, WALLET_PASSPHRASE_ITERATIONS)));
    return operate_commit(op, change, wallet, ways, passphrase);
}

enum err op_passphrase_run(struct operation *op)
{
    const struct opener o = {op->core->root, -1};
    struct span old = {0};
    struct span new = {0};
    struct operate_change change = {0};
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    TRY(operate_step(op, "check the request", check(op, &old, &new)));
    TRY(operate_step(op, "verify the old recovery passphrase",
                     opener_passphrase(&o, &op->core->record, old, &wallet)));
    if (op->dry_run)
        return ERR_OK;
    enum root_file file = op->core->record.hsm ? ROOT_RESTORE_WALLET : ROOT_TDE_WALLET;
    change.journal.put[file] = true;
    enum err err = change_over(op, &change, file, new, &wallet);
    return operate_undo(op, &change, err);
}

// Changes nothing: somebody proves that he knows it.
enum err op_passphrase_check(struct operation *op)
{
    const struct opener o = {op->core->root, -1};
    struct span passphrase = {0};
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    TRY(core_need_record(op->core));
    TRY(operate_secret(op, "recovery_passphrase", &passphrase));
    return operate_step(op, "verify the recovery passphrase",
                        opener_passphrase(&o, &op->core->record, passphrase, &wallet));
}
