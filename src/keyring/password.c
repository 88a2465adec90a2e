// SPDX-License-Identifier: Apache-2.0
//
// `enctdepwd`. Layout: magic "KWPWD" and NUL, version (2 bytes), server id (16), generation (4),
// token label, token serial, key label, CKA_ID, each with a 4-byte length, key number (4),
// mechanism, sealed DEK | sealed password. All before the last part is associated data.
#include "keyring/password.h"

#include "crypto/crypto.h"

enum { MAGIC_LEN = 6, VERSION = 1 };

static const char magic[MAGIC_LEN] = "KWPWD";

static enum err put_header(const struct password_header *header, struct span sealed_dek,
                           struct buf *out)
{
    TRY(buf_put(out, span_of(magic, MAGIC_LEN)));
    TRY(buf_put_u16(out, VERSION));
    TRY(buf_put(out, span_of(header->server.bytes, UUID_LEN)));
    TRY(buf_put_u32(out, header->generation));
    TRY(buf_put_var(out, span_str(header->token_label)));
    TRY(buf_put_var(out, span_str(header->token_serial)));
    TRY(buf_put_var(out, span_str(header->key.label)));
    TRY(buf_put_var(out, span_of(header->key.id, header->key.id_len)));
    TRY(buf_put_u32(out, header->key.number));
    TRY(buf_put_var(out, span_str(header->mechanism)));
    return buf_put_var(out, sealed_dek);
}

enum err password_encode(const struct password_header *header, struct span sealed_dek,
                         struct span dek, struct span password, struct buf *out)
{
    struct buf head CLEANUP(buf_done);
    buf_init(&head, PASSWORD_FILE_MAX, false);
    TRY(put_header(header, sealed_dek, &head));
    TRY(buf_put(out, span_buf(&head)));
    return crypto_seal(dek, span_buf(&head), password, out);
}

static enum err take_text(struct cursor *in, char *out, size_t size)
{
    struct span text;
    TRY(cursor_var(in, &text));
    if (text.len >= size || memchr(text.data, '\0', text.len) != NULL)
        FAIL(ERR_DAMAGED, "a text of %zu bytes is too long", text.len);
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return ERR_OK;
}

static enum err take_header(struct cursor *in, struct password_header *ret,
                            struct span *ret_sealed_dek)
{
    struct span bytes;
    uint16_t version = 0;
    TRY(cursor_bytes(in, MAGIC_LEN, &bytes));
    if (memcmp(bytes.data, magic, MAGIC_LEN) != 0)
        FAIL(ERR_DAMAGED, "the magic number is wrong");
    TRY(cursor_u16(in, &version));
    if (version != VERSION)
        FAIL(ERR_DAMAGED, "version %u is not known to this release", version);
    TRY(cursor_bytes(in, UUID_LEN, &bytes));
    memcpy(ret->server.bytes, bytes.data, UUID_LEN);
    TRY(cursor_u32(in, &ret->generation));
    TRY(take_text(in, ret->token_label, sizeof ret->token_label));
    TRY(take_text(in, ret->token_serial, sizeof ret->token_serial));
    TRY(take_text(in, ret->key.label, sizeof ret->key.label));
    TRY(cursor_var(in, &bytes));
    if (bytes.len > sizeof ret->key.id)
        FAIL(ERR_DAMAGED, "a CKA_ID of %zu bytes is too long", bytes.len);
    memcpy(ret->key.id, bytes.data, bytes.len);
    ret->key.id_len = bytes.len;
    TRY(cursor_u32(in, &ret->key.number));
    TRY(take_text(in, ret->mechanism, sizeof ret->mechanism));
    TRY(cursor_var(in, ret_sealed_dek));
    if (ret_sealed_dek->len > HSM_SEALED_MAX)
        FAIL(ERR_DAMAGED, "an encrypted key of %zu bytes is too long", ret_sealed_dek->len);
    return ERR_OK;
}

enum err password_decode(struct span bytes, struct password_header *ret,
                         struct span *ret_sealed_dek, struct span *ret_sealed)
{
    struct cursor in = cursor_of(bytes);
    struct password_header header = {0};
    enum err err =
        bytes.len > PASSWORD_FILE_MAX ? ERR_DAMAGED : take_header(&in, &header, ret_sealed_dek);
    if (err != ERR_OK || in.rest.len < CRYPTO_SEAL_OVERHEAD)
        FAIL(ERR_DAMAGED, "the file of the encrypted wallet password (enctdepwd) is damaged");
    *ret = header;
    *ret_sealed = in.rest;
    return ERR_OK;
}

enum err password_open(struct span bytes, struct span dek, struct secret **ret)
{
    struct password_header header;
    struct span sealed_dek;
    struct span sealed;
    struct buf plain CLEANUP(buf_done);
    buf_init(&plain, PASSWORD_FILE_MAX, true);
    TRY(password_decode(bytes, &header, &sealed_dek, &sealed));
    TRY(crypto_open(dek, span_of(bytes.data, bytes.len - sealed.len), sealed, &plain));
    return secret_copy(span_buf(&plain), ret);
}
