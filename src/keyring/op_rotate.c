// SPDX-License-Identifier: Apache-2.0
//
// Rotation of what lies between the root key and the data keys, with a new root record each time:
//
// - the wallet password: a new random one, under a new DEK under the same root key (HSM mode);
// - the TDE master key: a new generation at the end of the wallet. The older ones stay, since data
//   keys are wrapped under them until the engines have wrapped them again.
//
// Copies in RAM go with the old: the keeper writes them anew. Both use the stored credential, so a
// credential that was refused before is not tried (ERR_HSM_PIN_LATCHED).
#include "keyring/operate.h"
#include "keyring/verbs.h"

struct sealed {
    struct password_header header;
    struct secret *dek;
    struct buf sealed;
};

static void sealed_done(struct sealed *sealed)
{
    secret_freep(&sealed->dek);
    buf_done(&sealed->sealed);
}

static void found_done(struct opener_found *found)
{
    secret_freep(&found->wallet);
}

// By the HSM; an ambiguous key would leave open which one the next blob is for.
static enum err open_by_hsm(struct operation *op, const char *trace, struct opener_found *found,
                            struct wallet **ret)
{
    TRY(core_unseal(op->core, trace, false, found, ret));
    operate_tell_token(op, &found->token);
    if (found->keys.count != 1)
        FAIL(ERR_HSM_KEY,
             "the HSM has %u root keys with number %u: reverse migrate and "
             "initialize again",
             found->keys.count, op->core->record.key.number);
    return ERR_OK;
}

// A fresh DEK under the root key of the record.
static enum err seal_dek(struct operation *op, struct sealed *sealed)
{
    const struct opener o = {op->core->root, -1};
    const struct root_record *record = &op->core->record;
    struct hsm_settings settings;
    CLEANUP(secret_freep) struct secret *credential = NULL;
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    struct hsm_token token;
    TRY(opener_settings(&o, &settings));
    TRY(opener_credential(&o, record, &credential));
    TRY(hsm_open(op->core->root, &settings, secret_span(credential), "rotate", &hsm));
    TRY(hsm_token_info(hsm, &token));
    sealed->header.key = record->key;
    memcpy(sealed->header.mechanism, record->mechanism, sizeof record->mechanism);
    memcpy(sealed->header.token_label, token.label, sizeof token.label);
    memcpy(sealed->header.token_serial, token.serial, sizeof token.serial);
    TRY(secret_random(HSM_DEK_LEN, &sealed->dek));
    return hsm_seal(hsm, &sealed->header.key, sealed->header.mechanism, secret_span(sealed->dek),
                    &sealed->sealed);
}

static enum err stage_password(struct operation *op, struct operate_change *change,
                               struct sealed *sealed, const struct wallet *wallet)
{
    CLEANUP(secret_freep) struct secret *password = NULL;
    TRY(operate_new_password(&password));
    TRY(operate_stage_wallet(op, change, ROOT_TDE_WALLET, wallet, secret_span(password),
                             WALLET_RANDOM_ITERATIONS));
    return operate_stage_password(op, change, &sealed->header, span_buf(&sealed->sealed),
                                  secret_span(sealed->dek), secret_span(password));
}

static enum err new_password(struct operation *op, struct operate_change *change,
                             struct sealed *sealed, struct wallet **wallet)
{
    TRY(operate_begin(op, "rotate_password", change));
    TRY(operate_step(op, "encrypt a new wallet password with the root key", seal_dek(op, sealed)));
    memcpy(change->record.mechanism, sealed->header.mechanism, sizeof sealed->header.mechanism);
    TRY(operate_step(op, "protect the wallet by the new wallet password",
                     stage_password(op, change, sealed, *wallet)));
    return operate_commit(op, change, wallet, PROVE_HSM, (struct span){NULL, 0});
}

static enum err check_password(struct operation *op)
{
    TRY(core_need_record(op->core));
    if (!op->core->record.hsm)
        FAIL(ERR_WRONG_STATE,
             "without an HSM the wallet has no password of its own: change the recovery passphrase "
             "instead (keyward passphrase change)");
    return ERR_OK;
}

enum err op_rotate_password(struct operation *op)
{
    struct operate_change change = {0};
    CLEANUP(sealed_done) struct sealed sealed = {0};
    CLEANUP(found_done) struct opener_found found = {0};
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    buf_init(&sealed.sealed, HSM_SEALED_MAX, false);
    TRY(operate_step(op, "check the request", check_password(op)));
    TRY(operate_step(op, "open the wallet by the HSM", open_by_hsm(op, "rotate", &found, &wallet)));
    if (op->dry_run)
        return ERR_OK;
    change.journal.put[ROOT_TDE_WALLET] = change.journal.put[ROOT_HSM_PASSWORD] = true;
    change.journal.remove[ROOT_RAM_AUTOLOGIN] = change.journal.remove[ROOT_RAM_WALLET] = true;
    enum err err = new_password(op, &change, &sealed, &wallet);
    return operate_undo(op, &change, err);
}

struct given {
    struct span passphrase;
    struct opener_found found; // HSM mode: with the wallet password
};

static void given_done(struct given *given)
{
    found_done(&given->found);
}

static enum err stage_master(struct operation *op, struct operate_change *change,
                             const struct given *given, const struct wallet *wallet)
{
    if (!op->core->record.hsm) {
        TRY(operate_stage_wallet(op, change, ROOT_TDE_WALLET, wallet, given->passphrase,
                                 WALLET_PASSPHRASE_ITERATIONS));
        return operate_stage_autologin(op, change, wallet);
    }
    TRY(operate_stage_wallet(op, change, ROOT_RESTORE_WALLET, wallet, given->passphrase,
                             WALLET_PASSPHRASE_ITERATIONS));
    return operate_stage_wallet(op, change, ROOT_TDE_WALLET, wallet,
                                secret_span(given->found.wallet), WALLET_RANDOM_ITERATIONS);
}

static enum err new_master(struct operation *op, struct operate_change *change,
                           const struct given *given, struct wallet **wallet)
{
    unsigned ways = PROVE_PASSPHRASE | (op->core->record.hsm ? PROVE_HSM : PROVE_AUTOLOGIN);
    TRY(operate_begin(op, "rotate_master_key", change));
    TRY(operate_step(op, "make a new generation of the TDE master key", wallet_rotate(*wallet)));
    TRY(operate_step(op, "write the wallet under each of its protectors",
                     stage_master(op, change, given, *wallet)));
    TRY(operate_commit(op, change, wallet, ways, given->passphrase));
    (void)json_object_set_new(op->result, "master_key",
                              json_integer((json_int_t)op->core->record.master));
    return ERR_OK;
}

// The passphrase first: the HSM is not asked when it is wrong.
static enum err open_both(struct operation *op, struct given *given, struct wallet **ret)
{
    const struct opener o = {op->core->root, -1};
    CLEANUP(wallet_freep) struct wallet *by_hsm = NULL;
    TRY(operate_step(op, "verify the recovery passphrase",
                     opener_passphrase(&o, &op->core->record, given->passphrase, ret)));
    if (!op->core->record.hsm)
        return ERR_OK;
    return operate_step(op, "open the wallet by the HSM",
                        open_by_hsm(op, "rotate", &given->found, &by_hsm));
}

enum err op_rotate_master(struct operation *op)
{
    struct operate_change change = {0};
    CLEANUP(given_done) struct given given = {0};
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    enum err err = core_need_record(op->core);
    if (err == ERR_OK)
        err = operate_secret(op, "recovery_passphrase", &given.passphrase);
    TRY(operate_step(op, "check the request", err));
    TRY(open_both(op, &given, &wallet));
    if (op->dry_run)
        return ERR_OK;
    bool *put = change.journal.put;
    put[ROOT_TDE_WALLET] = true;
    put[op->core->record.hsm ? ROOT_RESTORE_WALLET : ROOT_TDE_AUTOLOGIN] = true;
    change.journal.remove[ROOT_RAM_AUTOLOGIN] = op->core->record.hsm;
    change.journal.remove[ROOT_RAM_WALLET] = op->core->record.hsm;
    err = new_master(op, &change, &given, &wallet);
    return operate_undo(op, &change, err);
}
