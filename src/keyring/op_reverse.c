// SPDX-License-Identifier: Apache-2.0
//
// Reverse Migrate (contract B6): back to the recovery passphrase and auto-login. Both the
// credential and the old passphrase must open the wallet; what the HSM protected is removed
// everywhere, in RAM too. The root key stays on the HSM, since backups may need it.
#include "base/paths.h"
#include "keyring/operate.h"
#include "keyring/verbs.h"

struct given {
    struct span credential;
    struct span old_passphrase;
    struct span new_passphrase;
    struct hsm_settings settings;
};

static enum err check(struct operation *op, struct given *given)
{
    TRY(core_need_record(op->core));
    if (!op->core->record.hsm)
        FAIL(ERR_WRONG_STATE, "the server is not HSM-enabled: there is nothing to reverse");
    TRY(hsm_settings_load(op->core->root, &given->settings));
    if (!given->settings.reverse_migrate_enabled)
        FAIL(ERR_NOT_PERMITTED,
             "reverse migration is switched off: HSM_REVERSE_MIGRATE_ENABLED is \"0\" in \"%s\"",
             PATH_SECURITY_CONF);
    given->settings.attended = true;
    TRY(operate_credential(op, &given->credential));
    TRY(operate_secret(op, "recovery_passphrase", &given->old_passphrase));
    TRY(operate_secret(op, "new_recovery_passphrase", &given->new_passphrase));
    return operate_check_new_passphrase(given->new_passphrase);
}

// The old passphrase first: the HSM is not asked when it is wrong.
static enum err open_both(struct operation *op, const struct given *given, struct wallet **ret)
{
    const struct opener o = {op->core->root, -1};
    CLEANUP(wallet_freep) struct wallet *by_passphrase = NULL;
    TRY(operate_step(
        op, "verify the old recovery passphrase",
        opener_passphrase(&o, &op->core->record, given->old_passphrase, &by_passphrase)));
    return operate_step(op, "open the wallet by the HSM",
                        opener_hsm(&o, &op->core->record, &given->settings, given->credential,
                                   "reverse_migrate", NULL, ret));
}

static void forget_hsm(struct root_record *record)
{
    record->hsm = false;
    memset(&record->key, 0, sizeof record->key);
    memset(record->token_label, 0, sizeof record->token_label);
    memset(record->token_serial, 0, sizeof record->token_serial);
    memset(record->mechanism, 0, sizeof record->mechanism);
}

static enum err change_over(struct operation *op, struct operate_change *change,
                            struct given *given, struct wallet **wallet)
{
    TRY(operate_begin(op, "reverse_migrate", change));
    forget_hsm(&change->record);
    given->settings.enabled = false;
    enum err err = operate_stage_wallet(op, change, ROOT_TDE_WALLET, *wallet, given->new_passphrase,
                                        WALLET_PASSPHRASE_ITERATIONS);
    if (err == ERR_OK)
        err = operate_stage_autologin(op, change, *wallet);
    if (err == ERR_OK)
        err = operate_stage_settings(op, change, &given->settings);
    TRY(operate_step(op, "protect the wallet by the new recovery passphrase", err));
    TRY(operate_commit(op, change, wallet, PROVE_PASSPHRASE | PROVE_AUTOLOGIN,
                       given->new_passphrase));
    op->core->proven_ms = 0;
    operate_forget_latch(op);
    return ERR_OK;
}

enum err op_reverse_run(struct operation *op)
{
    struct given given = {0};
    struct operate_change change = {0};
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    TRY(operate_step(op, "check the request", check(op, &given)));
    TRY(open_both(op, &given, &wallet));
    if (op->dry_run)
        return ERR_OK;
    bool *put = change.journal.put;
    put[ROOT_TDE_WALLET] = put[ROOT_TDE_AUTOLOGIN] = put[ROOT_CONF] = true;
    bool *remove = change.journal.remove;
    remove[ROOT_HSM_CREDENTIAL] = remove[ROOT_HSM_PASSWORD] = true;
    remove[ROOT_RESTORE_WALLET] = remove[ROOT_RESTORE_CREDENTIAL] = true;
    remove[ROOT_RAM_AUTOLOGIN] = remove[ROOT_RAM_WALLET] = true;
    enum err err = change_over(op, &change, &given, &wallet);
    return operate_undo(op, &change, err);
}
