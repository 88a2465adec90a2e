// SPDX-License-Identifier: Apache-2.0
//
// The root record as text. Labels are written in hexadecimal, since a token's label may hold
// anything. Invariant: parsing accepts exactly what rootrec_text writes.
#include "keyring/rootrec.h"

#include <stdio.h>

#include "base/file.h"
#include "base/paths.h"

#define FORMAT "keyward-root-1"

// All lines but proof and checksum.
static enum err put_body(const struct root_record *r, struct buf *out)
{
    char text[UUID_TEXT_LEN + 1];
    TRY(buf_put_str(out, "format=" FORMAT "\n"));
    uuid_text(&r->server, text);
    TRY(buf_printf(out, "server=%s\n", text));
    uuid_text(&r->operation, text);
    TRY(buf_printf(out, "operation=%s\n", text));
    TRY(buf_printf(out, "generation=%u\nmode=%s\nmaster=%u\n", r->generation,
                   r->hsm ? "hsm" : "passphrase", r->master));
    TRY(buf_printf(out, "key_number=%u\n", r->key.number));
    TRY(rootfile_put_hex(out, "key_id", span_of(r->key.id, r->key.id_len)));
    TRY(rootfile_put_hex(out, "key_label", span_str(r->key.label)));
    TRY(rootfile_put_hex(out, "token_label", span_str(r->token_label)));
    TRY(rootfile_put_hex(out, "token_serial", span_str(r->token_serial)));
    TRY(buf_printf(out, "mechanism=%s\n", r->mechanism));
    for (int i = 0; i < ROOT_HASHED_COUNT; i++)
        TRY(rootfile_put_hex(out, rootfile_name((enum root_file)i),
                             span_of(r->hash[i], r->present[i] ? CRYPTO_HASH_LEN : 0)));
    return ERR_OK;
}

enum err rootrec_text(const struct root_record *record, struct buf *out)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, ROOTREC_TEXT_MAX, false);
    TRY(put_body(record, &text));
    TRY(rootfile_put_hex(&text, "proof", span_of(record->proof, sizeof record->proof)));
    TRY(rootfile_seal_text(&text));
    return buf_put(out, span_buf(&text));
}

static enum err take_uuid(struct span *text, const char *key, struct uuid *ret)
{
    struct span value;
    TRY(rootfile_take(text, key, &value));
    return uuid_parse(value, ret);
}

static enum err take_hex(struct span *text, const char *key, uint8_t *out, size_t size,
                         size_t *ret_len)
{
    struct span value;
    TRY(rootfile_take(text, key, &value));
    return rootfile_unhex(value, out, size, ret_len);
}

static enum err take_mode(struct span *text, bool *ret)
{
    struct span value;
    TRY(rootfile_take(text, "mode", &value));
    *ret = span_eq_str(value, "hsm");
    if (!*ret && !span_eq_str(value, "passphrase"))
        FAIL(ERR_DAMAGED, "the mode is neither hsm nor passphrase");
    return ERR_OK;
}

static enum err take_key(struct span *text, struct root_record *r)
{
    struct span value;
    TRY(rootfile_take_u32(text, "key_number", &r->key.number));
    TRY(take_hex(text, "key_id", r->key.id, sizeof r->key.id, &r->key.id_len));
    TRY(rootfile_take_label(text, "key_label", r->key.label, sizeof r->key.label));
    TRY(rootfile_take_label(text, "token_label", r->token_label, sizeof r->token_label));
    TRY(rootfile_take_label(text, "token_serial", r->token_serial, sizeof r->token_serial));
    TRY(rootfile_take(text, "mechanism", &value));
    if (value.len >= sizeof r->mechanism)
        FAIL(ERR_DAMAGED, "the mechanism's name is too long");
    memcpy(r->mechanism, value.data, value.len);
    return ERR_OK;
}

static enum err take_hashes(struct span *text, struct root_record *r)
{
    for (int i = 0; i < ROOT_HASHED_COUNT; i++) {
        size_t len = 0;
        TRY(take_hex(text, rootfile_name((enum root_file)i), r->hash[i], CRYPTO_HASH_LEN, &len));
        if (len != 0 && len != CRYPTO_HASH_LEN)
            FAIL(ERR_DAMAGED, "a hash has %zu bytes", len);
        r->present[i] = len != 0;
    }
    return ERR_OK;
}

static enum err take_all(struct span text, struct root_record *r)
{
    struct span value;
    size_t len = 0;
    TRY(rootfile_take(&text, "format", &value));
    if (!span_eq_str(value, FORMAT))
        FAIL(ERR_DAMAGED, "the format is not known to this release");
    TRY(take_uuid(&text, "server", &r->server));
    TRY(take_uuid(&text, "operation", &r->operation));
    TRY(rootfile_take_u32(&text, "generation", &r->generation));
    TRY(take_mode(&text, &r->hsm));
    TRY(rootfile_take_u32(&text, "master", &r->master));
    TRY(take_key(&text, r));
    TRY(take_hashes(&text, r));
    TRY(take_hex(&text, "proof", r->proof, sizeof r->proof, &len));
    if (len != sizeof r->proof || text.len != 0)
        FAIL(ERR_DAMAGED, "the proof has %zu bytes, and %zu follow", len, text.len);
    return ERR_OK;
}

enum err rootrec_parse(struct span text, struct root_record *ret)
{
    struct root_record record = {0};
    struct span body;
    TRY(rootfile_open_text(text, PATH_ROOT_RECORD, &body));
    if (take_all(body, &record) != ERR_OK)
        FAIL(ERR_DAMAGED, "\"%s\" is damaged: put it back from a backup", PATH_ROOT_RECORD);
    *ret = record;
    return ERR_OK;
}

enum err rootrec_load(int dir, struct root_record *ret)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, ROOTREC_TEXT_MAX, false);
    TRY(file_read_private(dir, PATH_ROOT_RECORD, ROOTREC_TEXT_MAX, &text));
    return rootrec_parse(span_buf(&text), ret);
}

static enum err proof_of(const struct root_record *record, const struct wallet *wallet,
                         uint8_t out[CRYPTO_HASH_LEN])
{
    const struct wallet_key *master = wallet_newest(wallet);
    if (master == NULL)
        FAIL(ERR_INTERNAL, "a wallet without a master key proves nothing");
    uint8_t key[CRYPTO_KEY_LEN];
    struct buf text CLEANUP(buf_done);
    buf_init(&text, ROOTREC_TEXT_MAX, false);
    TRY(put_body(record, &text));
    TRY(crypto_derive(secret_span(master->key), "keyward root record", key));
    enum err err = crypto_hmac_sha256(span_of(key, sizeof key), span_buf(&text), out);
    explicit_bzero(key, sizeof key);
    return err;
}

enum err rootrec_prove(struct root_record *record, const struct wallet *wallet)
{
    const struct wallet_key *master = wallet_newest(wallet);
    record->master = master == NULL ? 0 : master->number;
    return proof_of(record, wallet, record->proof);
}

enum err rootrec_verify(const struct root_record *record, const struct wallet *wallet)
{
    uint8_t proof[CRYPTO_HASH_LEN];
    TRY(proof_of(record, wallet, proof));
    if (!secret_equal(span_of(proof, sizeof proof), span_of(record->proof, sizeof record->proof)))
        FAIL(ERR_DAMAGED,
             "the wallet does not belong to \"%s\": both must be of one generation, put back the "
             "right ones",
             PATH_ROOT_RECORD);
    return ERR_OK;
}

void rootrec_note(struct root_record *record, enum root_file file, struct span bytes)
{
    if (file >= ROOT_HASHED_COUNT)
        return;
    record->present[file] = bytes.data != NULL;
    memset(record->hash[file], 0, CRYPTO_HASH_LEN);
    if (bytes.data != NULL)
        crypto_sha256(bytes, record->hash[file]);
}

enum err rootrec_check(const struct root_record *record, enum root_file file, struct span bytes)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    if (file >= ROOT_HASHED_COUNT)
        return ERR_OK;
    if (!record->present[file])
        FAIL(ERR_DAMAGED, "\"%s\" should not be there in this mode: remove it",
             rootfile_path(file));
    crypto_sha256(bytes, hash);
    if (memcmp(hash, record->hash[file], sizeof hash) != 0)
        FAIL(ERR_DAMAGED,
             "\"%s\" is not the file of generation %u: it was changed, swapped or comes from "
             "another time; %s",
             rootfile_path(file), record->generation, rootfile_remedy(file));
    return ERR_OK;
}
