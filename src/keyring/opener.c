// SPDX-License-Identifier: Apache-2.0
//
// The ways to open the TDE wallet.
#include "keyring/opener.h"

#include "base/file.h"
#include "base/paths.h"
#include "keyring/autologin.h"
#include "keyring/keyring.h"

enum err opener_read(const struct opener *o, const struct root_record *record, enum root_file file,
                     size_t limit, struct buf *out)
{
    const char *path = rootfile_path(file);
    bool staged = o->staging >= 0 && file_exists(o->staging, path);
    enum err err = file_read_private(staged ? o->staging : o->root, path, limit, out);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "\"%s\" is missing: %s", path, rootfile_remedy(file));
    TRY(err);
    return rootrec_check(record, file, span_buf(out));
}

enum err opener_record(const struct opener *o, struct root_record *ret)
{
    bool staged = o->staging >= 0 && file_exists(o->staging, PATH_ROOT_RECORD);
    return rootrec_load(staged ? o->staging : o->root, ret);
}

enum err opener_settings(const struct opener *o, struct hsm_settings *ret)
{
    bool staged = o->staging >= 0 && file_exists(o->staging, PATH_SECURITY_CONF);
    return hsm_settings_load(staged ? o->staging : o->root, ret);
}

static enum err hand_out(const struct root_record *record, struct wallet **wallet,
                         struct wallet **ret)
{
    TRY(rootrec_verify(record, *wallet));
    *ret = *wallet;
    *wallet = NULL;
    return ERR_OK;
}

enum err opener_passphrase(const struct opener *o, const struct root_record *record,
                           struct span passphrase, struct wallet **ret)
{
    enum root_file file = record->hsm ? ROOT_RESTORE_WALLET : ROOT_TDE_WALLET;
    struct buf bytes CLEANUP(buf_done);
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    buf_init(&bytes, WALLET_FILE_MAX, true);
    TRY(opener_read(o, record, file, WALLET_FILE_MAX, &bytes));
    enum err err = wallet_decode(span_buf(&bytes), passphrase, &wallet);
    if (err == ERR_PASSPHRASE || err == ERR_INVALID)
        FAIL(ERR_PASSPHRASE, KEYRING_WRONG_PASSPHRASE "; it does not open \"%s\"",
             rootfile_path(file));
    TRY(err);
    return hand_out(record, &wallet, ret);
}

enum err opener_autologin(const struct opener *o, const struct root_record *record,
                          struct wallet **ret)
{
    struct buf bytes CLEANUP(buf_done);
    CLEANUP(secret_freep) struct secret *plain = NULL;
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    buf_init(&bytes, AUTOLOGIN_FILE_MAX, true);
    TRY(opener_read(o, record, ROOT_TDE_AUTOLOGIN, AUTOLOGIN_FILE_MAX, &bytes));
    TRY(autologin_decode(AUTOLOGIN_TDE, &record->server, span_buf(&bytes), PATH_TDE_AUTOLOGIN,
                         &plain));
    TRY(wallet_unpack(secret_span(plain), &wallet));
    return hand_out(record, &wallet, ret);
}

enum err opener_credential(const struct opener *o, const struct root_record *record,
                           struct secret **ret)
{
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, AUTOLOGIN_FILE_MAX, true);
    TRY(opener_read(o, record, ROOT_HSM_CREDENTIAL, AUTOLOGIN_FILE_MAX, &bytes));
    return autologin_decode(AUTOLOGIN_CREDENTIAL, &record->server, span_buf(&bytes),
                            PATH_HSM_CREDENTIAL, ret);
}

// The header of enctdepwd must tell the same key as the record.
static enum err check_header(const struct root_record *record, const struct password_header *header)
{
    if (memcmp(header->server.bytes, record->server.bytes, UUID_LEN) != 0 ||
        header->key.number != record->key.number || header->key.id_len != record->key.id_len ||
        memcmp(header->key.id, record->key.id, record->key.id_len) != 0)
        FAIL(ERR_DAMAGED, "\"%s\" is for root key %u but the root record is for root key %u: %s",
             PATH_HSM_PASSWORD, header->key.number, record->key.number,
             rootfile_remedy(ROOT_HSM_PASSWORD));
    return ERR_OK;
}

// Tries each key that answers; the seal of enctdepwd decides.
static enum err unseal(struct hsm *hsm, struct span file, uint32_t count, struct secret **ret)
{
    struct password_header header;
    struct span sealed_dek;
    struct span sealed;
    TRY(password_decode(file, &header, &sealed_dek, &sealed));
    if (count == 0)
        FAIL(ERR_HSM_KEY,
             "the HSM has no root key \"%s\" with number %u: put the key back on the token, or "
             "open the wallet with the recovery passphrase",
             header.key.label, header.key.number);
    enum err err = ERR_HSM_KEY;
    for (uint32_t nth = 0; nth < count; nth++) {
        CLEANUP(secret_freep) struct secret *dek = NULL;
        err = hsm_unseal(hsm, &header.key, nth, header.mechanism, sealed_dek, &dek);
        if (err == ERR_OK)
            err = password_open(file, secret_span(dek), ret);
        if (err == ERR_OK || err == ERR_HSM_TIMEOUT || err == ERR_HSM_CRASHED)
            return err;
    }
    if (err != ERR_DAMAGED && err != ERR_CRYPTOGRAPHIC)
        return err;
    FAIL(ERR_HSM_KEY,
         "\"%s\" does not open with root key %u (%u keys tried): the key on the token is another "
         "one, or the file was changed",
         PATH_HSM_PASSWORD, header.key.number, count);
}

static enum err ask_hsm(const struct opener *o, const struct hsm_settings *settings,
                        struct span credential, const char *trace, struct span file,
                        struct opener_found *found)
{
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    struct password_header header;
    struct span sealed_dek;
    struct span sealed;
    TRY(password_decode(file, &header, &sealed_dek, &sealed));
    TRY(hsm_open(o->root, settings, credential, trace, &hsm));
    TRY(hsm_token_info(hsm, &found->token));
    TRY(hsm_key_look(hsm, &header.key, &found->keys));
    return unseal(hsm, file, found->keys.count, &found->wallet);
}

static enum err open_with(const struct opener *o, const struct root_record *record,
                          const struct hsm_settings *settings, struct span credential,
                          const char *trace, struct opener_found *found, struct wallet **ret)
{
    struct buf password_file CLEANUP(buf_done);
    struct buf wallet_file CLEANUP(buf_done);
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    struct password_header header;
    struct span sealed_dek;
    struct span sealed;
    buf_init(&password_file, PASSWORD_FILE_MAX, false);
    buf_init(&wallet_file, WALLET_FILE_MAX, true);
    TRY(opener_read(o, record, ROOT_HSM_PASSWORD, PASSWORD_FILE_MAX, &password_file));
    TRY(opener_read(o, record, ROOT_TDE_WALLET, WALLET_FILE_MAX, &wallet_file));
    TRY(password_decode(span_buf(&password_file), &header, &sealed_dek, &sealed));
    TRY(check_header(record, &header));
    TRY(ask_hsm(o, settings, credential, trace, span_buf(&password_file), found));
    enum err err = wallet_decode(span_buf(&wallet_file), secret_span(found->wallet), &wallet);
    if (err == ERR_PASSPHRASE)
        FAIL(ERR_DAMAGED, "\"%s\" and \"%s\" do not belong together: put back both of one time",
             PATH_TDE_WALLET, PATH_HSM_PASSWORD);
    TRY(err);
    return hand_out(record, &wallet, ret);
}

enum err opener_hsm(const struct opener *o, const struct root_record *record,
                    const struct hsm_settings *settings, struct span credential, const char *trace,
                    struct opener_found *ret_found, struct wallet **ret)
{
    struct opener_found found = {0};
    if (!record->hsm)
        FAIL(ERR_WRONG_STATE, "this server is not HSM-enabled: initialize the HSM first");
    enum err err = open_with(o, record, settings, credential, trace, &found, ret);
    if (ret_found == NULL)
        secret_free(found.wallet);
    else
        *ret_found = found;
    return err;
}
