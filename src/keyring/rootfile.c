// SPDX-License-Identifier: Apache-2.0
//
// Table of root files, and the text form that record and journal share.
#include "keyring/rootfile.h"

#include <stdio.h>

#include "base/hex.h"
#include "base/paths.h"
#include "crypto/crypto.h"

static const struct {
    const char *name;
    const char *path;
    const char *remedy;
} files[ROOT_FILE_COUNT] = {
    [ROOT_TDE_WALLET] = {"tde_wallet", PATH_TDE_WALLET, "put it back from a backup"},
    [ROOT_TDE_AUTOLOGIN] =
        {"tde_autologin", PATH_TDE_AUTOLOGIN,
         "open the wallet with the recovery passphrase (open_wallet), then rotate "
         "the master key, which writes it anew"},
    [ROOT_HSM_CREDENTIAL] = {"hsm_credential", PATH_HSM_CREDENTIAL,
                             "give the HSM credential again (Set Credential)"},
    [ROOT_HSM_PASSWORD] = {"hsm_password", PATH_HSM_PASSWORD,
                           "put it back from a backup, or run keyward hsm reverse-migrate "
                           "--hsm-lost, which the recovery passphrase is enough for, then keyward "
                           "hsm initialize"},
    [ROOT_RESTORE_WALLET] = {"restore_wallet", PATH_RESTORE_WALLET,
                             "put it back from a backup, or run keyward hsm reverse-migrate, which "
                             "the HSM is then enough for, then keyward hsm initialize"},
    [ROOT_RESTORE_CREDENTIAL] = {"restore_credential", PATH_RESTORE_AUTOLOGIN,
                                 "prepare for the restore again (pre_restore)"},
    [ROOT_CONF] = {"security_conf", PATH_SECURITY_CONF, "correct it by hand"},
    [ROOT_RAM_AUTOLOGIN] = {"ram_autologin", PATH_RAM_AUTOLOGIN, "restart the server"},
    [ROOT_RAM_WALLET] = {"ram_wallet", PATH_RAM_WALLET, "restart the server"},
};

const char *rootfile_name(enum root_file file)
{
    return files[file].name;
}

const char *rootfile_path(enum root_file file)
{
    return files[file].path;
}

const char *rootfile_remedy(enum root_file file)
{
    return files[file].remedy;
}

enum err rootfile_find(struct span name, enum root_file *ret)
{
    for (int i = 0; i < ROOT_FILE_COUNT; i++) {
        if (span_eq_str(name, files[i].name)) {
            *ret = (enum root_file)i;
            return ERR_OK;
        }
    }
    FAIL(ERR_DAMAGED, "there is no root file \"%.*s\"", (int)name.len, (const char *)name.data);
}

enum err rootfile_put_hex(struct buf *out, const char *key, struct span bytes)
{
    TRY(buf_printf(out, "%s=", key));
    TRY(hex_put(out, bytes));
    return buf_put_str(out, "\n");
}

enum err rootfile_seal_text(struct buf *text)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    crypto_sha256(span_buf(text), hash);
    return rootfile_put_hex(text, "sha256", span_of(hash, sizeof hash));
}

enum err rootfile_open_text(struct span text, const char *path, struct span *ret)
{
    const size_t tail = sizeof "sha256=" - 1 + 2 * CRYPTO_HASH_LEN + 1;
    uint8_t hash[CRYPTO_HASH_LEN];
    struct buf want CLEANUP(buf_done);
    buf_init(&want, tail, false);
    if (text.len < tail)
        FAIL(ERR_DAMAGED, "\"%s\" is damaged: it is too short", path);
    struct span head = span_of(text.data, text.len - tail);
    crypto_sha256(head, hash);
    TRY(rootfile_put_hex(&want, "sha256", span_of(hash, sizeof hash)));
    if (!span_eq(span_buf(&want), span_of(text.data + head.len, tail)))
        FAIL(ERR_DAMAGED, "\"%s\" is damaged: its checksum is wrong", path);
    *ret = head;
    return ERR_OK;
}

bool rootfile_next_is(struct span text, const char *key)
{
    size_t len = strlen(key);
    return text.len > len && memcmp(text.data, key, len) == 0 && text.data[len] == '=';
}

enum err rootfile_take(struct span *text, const char *key, struct span *ret_value)
{
    const uint8_t *end = text->len == 0 ? NULL : memchr(text->data, '\n', text->len);
    if (end == NULL || !rootfile_next_is(*text, key))
        FAIL(ERR_DAMAGED, "the line \"%s\" is missing", key);
    const uint8_t *value = text->data + strlen(key) + 1;
    *ret_value = span_of(value, (size_t)(end - value));
    *text = span_of(end + 1, text->len - (size_t)(end + 1 - text->data));
    return ERR_OK;
}

enum err rootfile_take_u32(struct span *text, const char *key, uint32_t *ret)
{
    struct span value;
    uint64_t number = 0;
    TRY(rootfile_take(text, key, &value));
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9' || i >= 10)
            FAIL(ERR_DAMAGED, "\"%s\" is not a number", key);
        number = number * 10 + (uint64_t)(value.data[i] - '0');
    }
    if (value.len == 0 || number > UINT32_MAX || (value.len > 1 && value.data[0] == '0'))
        FAIL(ERR_DAMAGED, "\"%s\" is not a number", key);
    *ret = (uint32_t)number;
    return ERR_OK;
}

enum err rootfile_take_label(struct span *text, const char *key, char *out, size_t size)
{
    struct span value;
    size_t len = 0;
    TRY(rootfile_take(text, key, &value));
    TRY(rootfile_unhex(value, (uint8_t *)out, size - 1, &len));
    out[len] = '\0';
    return ERR_OK;
}

enum err rootfile_unhex(struct span text, uint8_t *out, size_t size, size_t *ret_len)
{
    if (text.len % 2 != 0 || text.len / 2 > size)
        FAIL(ERR_DAMAGED, "%zu hexadecimal digits are too many or odd", text.len);
    if (!hex_bytes(text, out, size, ret_len))
        FAIL(ERR_DAMAGED, "a hexadecimal digit is wrong");
    return ERR_OK;
}
