// SPDX-License-Identifier: Apache-2.0
//
// Set Credential (contract B5): on an HSM-enabled server another credential, label or vendor, after
// they have opened the wallet; on one that is not, the credential that a restore will need.
//
// The old ones are never touched before the new ones have proved themselves, so there is nothing to
// put back. A wrong credential costs exactly one login.
#include "keyring/operate.h"
#include "keyring/verbs.h"

static enum err replace_credential(struct operation *op, struct operate_change *change,
                                   struct hsm_settings *settings, struct span credential,
                                   const struct opener_found *found, struct wallet **wallet)
{
    settings->enabled = true;
    TRY(operate_begin(op, "set_credential", change));
    memcpy(change->record.token_label, found->token.label, sizeof found->token.label);
    TRY(operate_stage_credential(op, change, ROOT_HSM_CREDENTIAL, AUTOLOGIN_CREDENTIAL,
                                 credential));
    TRY(operate_stage_settings(op, change, settings));
    int64_t begun = monitor_begin();
    TRY(operate_commit(op, change, wallet, PROVE_HSM, (struct span){NULL, 0}));
    core_proven(op->core, begun, found);
    return ERR_OK;
}

static enum err try_new(struct operation *op, const struct hsm_settings *settings,
                        struct span credential, struct opener_found *found, struct wallet **ret)
{
    const struct opener o = {op->core->root, -1};
    enum err err =
        opener_hsm(&o, &op->core->record, settings, credential, "set_credential", found, ret);
    secret_freep(&found->wallet);
    TRY(operate_step(op, "open the wallet with the new credential", err));
    operate_tell_token(op, &found->token);
    return ERR_OK;
}

static enum err check(struct operation *op, struct hsm_settings *settings, struct span *credential)
{
    TRY(core_need_record(op->core));
    TRY(operate_credential(op, credential));
    return operate_settings(op, settings);
}

enum err op_credential_run(struct operation *op)
{
    struct hsm_settings settings;
    struct span credential = {0};
    struct operate_change change = {0};
    struct opener_found found = {0};
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    TRY(operate_step(op, "check the request", check(op, &settings, &credential)));
    if (!op->core->record.hsm)
        return op_credential_prepare(op);
    TRY(try_new(op, &settings, credential, &found, &wallet));
    if (op->dry_run)
        return ERR_OK;
    change.journal.put[ROOT_HSM_CREDENTIAL] = change.journal.put[ROOT_CONF] = true;
    enum err err = replace_credential(op, &change, &settings, credential, &found, &wallet);
    TRY(operate_undo(op, &change, err));
    operate_forget_latch(op);
    return ERR_OK;
}

static enum err check_prepare(struct operation *op, struct hsm_settings *settings,
                              struct span *credential)
{
    TRY(check(op, settings, credential));
    if (op->core->record.hsm)
        FAIL(ERR_WRONG_STATE,
             "the server is HSM-enabled: a restore uses the credential that is set");
    if (op->core->wallet == NULL)
        FAIL(ERR_LOCKED, "the wallet is locked: %s", op->core->reason);
    return ERR_OK;
}

static enum err prepare(struct operation *op, struct operate_change *change,
                        const struct hsm_settings *settings, struct span credential)
{
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    TRY(wallet_copy(op->core->wallet, &wallet));
    TRY(operate_begin(op, "pre_restore", change));
    TRY(operate_stage_credential(op, change, ROOT_RESTORE_CREDENTIAL, AUTOLOGIN_RESTORE,
                                 credential));
    TRY(operate_stage_settings(op, change, settings));
    return operate_commit(op, change, &wallet, PROVE_AUTOLOGIN, (struct span){NULL, 0});
}

enum err op_credential_prepare(struct operation *op)
{
    struct hsm_settings settings;
    struct span credential = {0};
    struct operate_change change = {0};
    TRY(operate_step(op, "prepare for an HSM restore", check_prepare(op, &settings, &credential)));
    TRY(operate_step(op, "open the token",
                     operate_try_token(op, &settings, credential, "pre_restore")));
    if (op->dry_run)
        return ERR_OK;
    change.journal.put[ROOT_RESTORE_CREDENTIAL] = change.journal.put[ROOT_CONF] = true;
    enum err err = prepare(op, &change, &settings, credential);
    return operate_undo(op, &change, err);
}
