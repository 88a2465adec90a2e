// SPDX-License-Identifier: Apache-2.0
//
// HSM Initialize (contract B2, B3): a new root key on the HSM, a new random wallet password under
// it, a new generation of the TDE master key, and the server in HSM mode, or nothing of it.
//
// Order: the passphrase is verified before the HSM hears anything. A root key's number goes into
// the journal before and right after the key is made, so that a key left by a failure is known, by
// its number or, unless the HSM's process answers that none was left, as one that may exist. The
// key is counted and its decryption tried in a second fresh process; where two servers took one
// number at once the count is not 1, the key stays behind as an orphan, and the next number is
// taken. A key that the HSM's administrator made (HSM_ADOPT_KEY_LABEL) is found instead of made: it
// is never noted as ours, never removed, and proved by the same two round trips.
#include <stdio.h>

#include "base/log.h"
#include "crypto/crypto.h"
#include "keyring/operate.h"
#include "keyring/verbs.h"

enum { NUMBER_TRIES = 5 };

struct made {
    struct password_header header;
    struct hsm_token token;
    struct hsm_key_state keys; // that answer to the new key's label and id
    struct secret *dek;
    struct buf sealed;
};

static void made_done(struct made *made)
{
    secret_freep(&made->dek);
    buf_done(&made->sealed);
}

// What of the new key the journal knows is what `verify` will list when all this fails.
static enum err note_key(struct operation *op, struct journal *journal, uint32_t number)
{
    if (number == 0) // adopted
        return ERR_OK;
    if (journal->key_count == JOURNAL_KEYS_MAX)
        FAIL(ERR_HSM_FAILED, "too many root keys were made in one operation");
    journal->keys[journal->key_count++] = number;
    return journal_update(op->core->root, journal);
}

// Creates a key and encrypts a fresh DEK with it; a key that cannot do that is removed again.
static enum err make_key(struct operation *op, struct journal *journal, struct hsm *hsm,
                         const struct hsm_settings *settings, struct made *made)
{
    struct password_header *header = &made->header;
    bool adopt = settings->adopt_label[0] != '\0';
    bool pending = journal->key_pending; // since a number before, which another server took, too
    journal->key_pending = pending || !adopt;
    TRY(journal_update(op->core->root, journal));
    enum err err = hsm_key_create(hsm, KEYWARD_VERSION, &header->key);
    journal->key_pending = pending || (!adopt && hsm_key_left(hsm));
    TRY(operate_step(op, adopt ? "find the root key to adopt" : "make the root key", err));
    TRY(note_key(op, journal, header->key.number));
    memcpy(header->mechanism, settings->mechanism, sizeof header->mechanism);
    secret_freep(&made->dek);
    buf_clear(&made->sealed);
    TRY(secret_random(HSM_DEK_LEN, &made->dek));
    err = hsm_seal(hsm, &header->key, header->mechanism, secret_span(made->dek), &made->sealed);
    TRY(operate_step(op, "encrypt with the root key", err));
    return ERR_OK;
}

// A failure after the creation, in the process that made the key: only that one may remove it.
static enum err make_or_remove(struct operation *op, struct journal *journal, struct hsm *hsm,
                               const struct hsm_settings *settings, struct made *made)
{
    size_t before = journal->key_count;
    enum err err = make_key(op, journal, hsm, settings, made);
    if (err == ERR_OK || journal->key_count == before)
        return err;
    char detail[512];
    size_t len = strlen(err_detail());
    len = len < sizeof detail - 1 ? len : sizeof detail - 1;
    memcpy(detail, err_detail(), len);
    detail[len] = '\0';
    if (hsm_key_destroy(hsm, &made->header.key) == ERR_OK)
        journal->key_count = before;
    FAIL(err, "%s", detail);
}

static enum err create(struct operation *op, struct journal *journal,
                       const struct hsm_settings *settings, struct span credential,
                       struct made *made)
{
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    TRY(operate_step(op, "open the token",
                     hsm_open(op->core->root, settings, credential, "initialize", &hsm)));
    TRY(hsm_token_info(hsm, &made->token));
    memcpy(made->header.token_label, made->token.label, sizeof made->token.label);
    memcpy(made->header.token_serial, made->token.serial, sizeof made->token.serial);
    operate_tell_token(op, &made->token);
    return make_or_remove(op, journal, hsm, settings, made);
}

static enum err decrypt_again(struct hsm *hsm, const struct made *made)
{
    CLEANUP(secret_freep) struct secret *dek = NULL;
    TRY(hsm_unseal(hsm, &made->header.key, 0, made->header.mechanism, span_buf(&made->sealed),
                   &dek));
    if (!secret_equal(secret_span(dek), secret_span(made->dek)))
        FAIL(ERR_HSM_FAILED, "the HSM decrypts to other bytes than it was given: root key %u",
             made->header.key.number);
    return ERR_OK;
}

// In a fresh process: how many keys answer, and does decryption give the same bytes.
static enum err recheck(struct operation *op, const struct hsm_settings *settings,
                        struct span credential, struct made *made)
{
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    TRY(hsm_open(op->core->root, settings, credential, "initialize", &hsm));
    TRY(hsm_key_look(hsm, &made->header.key, &made->keys));
    if (made->keys.count == 0)
        FAIL(ERR_HSM_KEY, "root key %u was made but is not found again", made->header.key.number);
    if (made->keys.count > 1)
        return ERR_OK;
    return decrypt_again(hsm, made);
}

// Another server made a key of the same number at the same time. This one stays on the HSM, since
// nobody can say which of the two is whose by looking at them.
static enum err tell_clash(struct operation *op, uint32_t number, uint32_t count)
{
    char text[160];
    (void)snprintf(text, sizeof text,
                   "root key %u is not alone on the HSM (%u answer): another server took the same "
                   "number; the next one is taken",
                   number, count);
    json_t *entry =
        json_pack("{s:s, s:b, s:s}", "step", "take a key number", "ok", true, "detail", text);
    (void)json_array_append_new(json_object_get(op->result, "steps"), entry);
    log_event(LOG_LEVEL_WARN, "root_key_not_alone number=%u count=%u", number, count);
    if (number == 0)
        FAIL(ERR_HSM_KEY, "%u keys on the HSM answer to the adopted key's label", count);
    return ERR_OK;
}

// Whoever may use the token could take such a key away with him.
static void warn_extractable(struct operation *op, uint32_t number)
{
    static const char text[] =
        "the root key can be extracted from the HSM, as HSM_KEY_EXTRACTABLE=\"1\" asks: set it to "
        "\"0\" unless the HSM's backup needs it, then reverse migrate and initialize again";
    json_t *entry = json_pack("{s:s, s:b, s:s}", "step", "warn of an extractable key", "ok", true,
                              "detail", text);
    (void)json_array_append_new(json_object_get(op->result, "steps"), entry);
    log_event(LOG_LEVEL_WARN, "root_key_extractable number=%u: %s", number, text);
}

static enum err make_root_key(struct operation *op, struct journal *journal,
                              const struct hsm_settings *settings, struct span credential,
                              struct made *made)
{
    for (int i = 0; i < NUMBER_TRIES; i++) {
        TRY(create(op, journal, settings, credential, made));
        TRY(operate_step(op, "find the root key again in a fresh process, and decrypt with it",
                         recheck(op, settings, credential, made)));
        if (made->keys.count == 1)
            return ERR_OK;
        TRY(tell_clash(op, made->header.key.number, made->keys.count));
        hsm_back_off();
    }
    FAIL(ERR_HSM_KEY,
         "other servers took the same key number %d times: initialize again when "
         "they have ended",
         NUMBER_TRIES);
}

static void fill_record(struct root_record *record, const struct password_header *header)
{
    record->hsm = true;
    record->key = header->key;
    memcpy(record->token_label, header->token_label, sizeof record->token_label);
    memcpy(record->token_serial, header->token_serial, sizeof record->token_serial);
    memcpy(record->mechanism, header->mechanism, sizeof record->mechanism);
}

struct given {
    struct span credential;
    struct span passphrase;
    struct hsm_settings settings;
};

static enum err stage_all(struct operation *op, struct operate_change *change, struct given *given,
                          struct made *made, const struct wallet *wallet)
{
    CLEANUP(secret_freep) struct secret *password = NULL;
    TRY(operate_new_password(&password));
    TRY(operate_stage_wallet(op, change, ROOT_TDE_WALLET, wallet, secret_span(password),
                             WALLET_RANDOM_ITERATIONS));
    TRY(operate_stage_wallet(op, change, ROOT_RESTORE_WALLET, wallet, given->passphrase,
                             WALLET_PASSPHRASE_ITERATIONS));
    TRY(operate_stage_password(op, change, &made->header, span_buf(&made->sealed),
                               secret_span(made->dek), secret_span(password)));
    TRY(operate_stage_credential(op, change, ROOT_HSM_CREDENTIAL, AUTOLOGIN_CREDENTIAL,
                                 given->credential));
    given->settings.enabled = true;
    return operate_stage_settings(op, change, &given->settings);
}

static enum err change_over(struct operation *op, struct operate_change *change,
                            struct given *given, struct made *made, struct wallet **wallet)
{
    TRY(operate_begin(op, "initialize", change));
    TRY(make_root_key(op, &change->journal, &given->settings, given->credential, made));
    if (given->settings.key_extractable && made->header.key.number != 0)
        warn_extractable(op, made->header.key.number);
    fill_record(&change->record, &made->header);
    TRY(operate_step(op, "make a new generation of the TDE master key", wallet_rotate(*wallet)));
    TRY(operate_step(op, "protect the wallet by the HSM",
                     stage_all(op, change, given, made, *wallet)));
    int64_t begun = monitor_begin();
    TRY(operate_commit(op, change, wallet, PROVE_HSM | PROVE_PASSPHRASE, given->passphrase));
    const struct opener_found found = {.token = made->token, .keys = made->keys};
    core_proven(op->core, begun, &found);
    (void)json_object_set_new(op->result, "key_number",
                              json_integer((json_int_t)made->header.key.number));
    operate_forget_latch(op);
    return ERR_OK;
}

static enum err check(struct operation *op, struct given *given, struct wallet **ret)
{
    const struct opener o = {op->core->root, -1};
    TRY(core_need_record(op->core));
    if (op->core->record.hsm)
        FAIL(ERR_WRONG_STATE,
             "the server is HSM-enabled already: reverse migrate first (keyward hsm "
             "reverse-migrate, with --hsm-lost where the HSM or its key is lost for good)");
    TRY(operate_credential(op, &given->credential));
    TRY(operate_secret(op, "recovery_passphrase", &given->passphrase));
    TRY(operate_settings(op, &given->settings));
    return opener_passphrase(&o, &op->core->record, given->passphrase, ret);
}

enum err op_initialize_run(struct operation *op)
{
    struct given given = {0};
    struct operate_change change = {0};
    CLEANUP(made_done) struct made made = {0};
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    buf_init(&made.sealed, HSM_SEALED_MAX, false);
    TRY(operate_step(op, "check the request and the recovery passphrase",
                     check(op, &given, &wallet)));
    if (op->dry_run)
        return operate_step(op, "open the token",
                            operate_try_token(op, &given.settings, given.credential, "initialize"));
    bool *put = change.journal.put;
    put[ROOT_TDE_WALLET] = put[ROOT_HSM_CREDENTIAL] = put[ROOT_HSM_PASSWORD] = true;
    put[ROOT_RESTORE_WALLET] = put[ROOT_CONF] = true;
    bool *remove = change.journal.remove;
    remove[ROOT_TDE_AUTOLOGIN] = remove[ROOT_RESTORE_CREDENTIAL] = true;
    enum err err = change_over(op, &change, &given, &made, &wallet);
    return operate_undo(op, &change, err);
}
