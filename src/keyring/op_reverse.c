// SPDX-License-Identifier: Apache-2.0
//
// Reverse Migrate (contract B6): back to the recovery passphrase and auto-login. What the HSM
// protected is removed everywhere, in RAM too. The root key stays on the HSM, since backups may
// need it.
//
// Both the credential and the old passphrase must open the wallet. Where one of the two can do so
// never again, the other is enough, since there would be no way out else:
// - the HSM, or what it alone opens, is lost, and a person says so (`hsm_lost`): the passphrase.
//   The HSM is not asked, and its root key is noted as an orphan;
// - the wallet under the passphrase is missing or damaged, which only who may write the server's
//   files can bring about: the HSM.
#include <stdio.h>

#include "base/log.h"
#include "base/paths.h"
#include "keyring/operate.h"
#include "keyring/verbs.h"

struct given {
    struct span credential;
    struct span old_passphrase;
    struct span new_passphrase;
    struct hsm_settings settings;
    bool lost;
};

// The passphrase stays the one it is unless another is given.
static enum err take_without_hsm(struct operation *op, struct given *given)
{
    if (operate_has_secret(op, "credential"))
        FAIL(ERR_INVALID, "\"hsm_lost\" goes without the HSM: give no \"credential\" with it");
    TRY(operate_secret(op, "recovery_passphrase", &given->old_passphrase));
    given->new_passphrase = given->old_passphrase;
    if (!operate_has_secret(op, "new_recovery_passphrase"))
        return ERR_OK;
    TRY(operate_secret(op, "new_recovery_passphrase", &given->new_passphrase));
    return operate_check_new_passphrase(given->new_passphrase);
}

static enum err take_all(struct operation *op, struct given *given)
{
    TRY(operate_credential(op, &given->credential));
    TRY(operate_secret(op, "recovery_passphrase", &given->old_passphrase));
    TRY(operate_secret(op, "new_recovery_passphrase", &given->new_passphrase));
    return operate_check_new_passphrase(given->new_passphrase);
}

static enum err check(struct operation *op, struct given *given)
{
    TRY(core_need_record(op->core));
    TRY(operate_flag(op, "hsm_lost", false, &given->lost));
    if (!op->core->record.hsm)
        FAIL(ERR_WRONG_STATE, "the server is not HSM-enabled: there is nothing to reverse");
    TRY(hsm_settings_load(op->core->root, &given->settings));
    if (!given->settings.reverse_migrate_enabled)
        FAIL(ERR_NOT_PERMITTED,
             "reverse migration is switched off: HSM_REVERSE_MIGRATE_ENABLED is \"0\" in \"%s\"; "
             "set it to \"1\" there to allow it",
             PATH_SECURITY_CONF);
    given->settings.attended = true;
    return given->lost ? take_without_hsm(op, given) : take_all(op, given);
}

static bool passphrase_opens_nothing(const struct operation *op)
{
    const struct opener o = {op->core->root, -1};
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, WALLET_FILE_MAX, true);
    enum err err = opener_read(&o, &op->core->record, ROOT_RESTORE_WALLET, WALLET_FILE_MAX, &bytes);
    return err == ERR_NOT_FOUND || err == ERR_DAMAGED;
}

static enum err open_by_passphrase(struct operation *op, const struct given *given,
                                   struct wallet **ret)
{
    const struct opener o = {op->core->root, -1};
    return operate_step(op, "verify the old recovery passphrase",
                        opener_passphrase(&o, &op->core->record, given->old_passphrase, ret));
}

// Whoever cannot reach the HSM any more is told the way without it; of a file that is missing its
// remedy says it.
static enum err ask_hsm(struct operation *op, const struct given *given, struct wallet **ret)
{
    const struct opener o = {op->core->root, -1};
    char detail[500];
    enum err err = opener_hsm(&o, &op->core->record, &given->settings, given->credential,
                              "reverse_migrate", NULL, ret);
    if (err < ERR_HSM_LIBRARY || err > ERR_HSM_CRASHED)
        return err;
    (void)snprintf(detail, sizeof detail, "%s", err_message(err));
    FAIL(err,
         "%s; where the HSM or its key is lost for good: keyward hsm reverse-migrate --hsm-lost",
         detail);
}

// The old passphrase first: the HSM is not asked when it is wrong.
static enum err open_both(struct operation *op, const struct given *given, struct wallet **ret)
{
    CLEANUP(wallet_freep) struct wallet *by_passphrase = NULL;
    if (passphrase_opens_nothing(op)) {
        log_event(LOG_LEVEL_WARN, "old_recovery_passphrase_not_verified path=\"%s\"",
                  rootfile_path(ROOT_RESTORE_WALLET));
        TRY(operate_step(op, "go without the wallet under the old recovery passphrase", ERR_OK));
    } else {
        TRY(open_by_passphrase(op, given, &by_passphrase));
    }
    return operate_step(op, "open the wallet by the HSM", ask_hsm(op, given, ret));
}

// A key that the HSM's administrator made (number 0) is his to know of.
static void note_left(struct orphan *left, const struct root_record *record)
{
    left->number = record->key.number;
    memcpy(left->token_label, record->token_label, sizeof left->token_label);
    memcpy(left->token_serial, record->token_serial, sizeof left->token_serial);
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
    TRY(given.lost ? open_by_passphrase(op, &given, &wallet) : open_both(op, &given, &wallet));
    if (op->dry_run)
        return ERR_OK;
    if (given.lost)
        note_left(&change.journal.left, &op->core->record);
    bool *put = change.journal.put;
    put[ROOT_TDE_WALLET] = put[ROOT_TDE_AUTOLOGIN] = put[ROOT_CONF] = true;
    bool *remove = change.journal.remove;
    remove[ROOT_HSM_CREDENTIAL] = remove[ROOT_HSM_PASSWORD] = true;
    remove[ROOT_RESTORE_WALLET] = remove[ROOT_RESTORE_CREDENTIAL] = true;
    remove[ROOT_RAM_AUTOLOGIN] = remove[ROOT_RAM_WALLET] = true;
    enum err err = change_over(op, &change, &given, &wallet);
    return operate_undo(op, &change, err);
}
