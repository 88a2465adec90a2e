// SPDX-License-Identifier: Apache-2.0
//
// Auto-login files.
#include "keyring/autologin.h"

#include "crypto/crypto.h"

enum { MAGIC_LEN = 6, VERSION = 1, KEY_AT = MAGIC_LEN + 2 + 1 + UUID_LEN };

static const char magic[MAGIC_LEN] = "KWSSO";

enum err autologin_encode(enum autologin_kind kind, const struct uuid *server, struct span payload,
                          struct buf *out)
{
    CLEANUP(secret_freep) struct secret *key = NULL;
    struct buf file CLEANUP(buf_done);
    buf_init(&file, AUTOLOGIN_FILE_MAX, true);
    TRY(secret_random(CRYPTO_KEY_LEN, &key));
    TRY(buf_put(&file, span_of(magic, MAGIC_LEN)));
    TRY(buf_put_u16(&file, VERSION));
    TRY(buf_put_u8(&file, (uint8_t)kind));
    TRY(buf_put(&file, span_of(server->bytes, UUID_LEN)));
    TRY(buf_put(&file, secret_span(key)));
    struct buf aad CLEANUP(buf_done);
    buf_init(&aad, file.len, true);
    TRY(buf_put(&aad, span_buf(&file)));
    TRY(crypto_seal(secret_span(key), span_buf(&aad), payload, &file));
    return buf_put(out, span_buf(&file));
}

enum err autologin_decode(enum autologin_kind kind, const struct uuid *server, struct span bytes,
                          const char *path, struct secret **ret)
{
    const size_t head = KEY_AT + CRYPTO_KEY_LEN;
    if (bytes.len < head + CRYPTO_SEAL_OVERHEAD || memcmp(bytes.data, magic, MAGIC_LEN) != 0)
        FAIL(ERR_DAMAGED, "\"%s\" is no auto-login file of Keyward", path);
    if (bytes.data[MAGIC_LEN] != 0 || bytes.data[MAGIC_LEN + 1] != VERSION)
        FAIL(ERR_DAMAGED, "\"%s\" has version %u.%u, which this release does not know", path,
             bytes.data[MAGIC_LEN], bytes.data[MAGIC_LEN + 1]);
    if (bytes.data[MAGIC_LEN + 2] != (uint8_t)kind)
        FAIL(ERR_DAMAGED, "\"%s\" is an auto-login file of another kind: put back the right one",
             path);
    if (memcmp(bytes.data + MAGIC_LEN + 3, server->bytes, UUID_LEN) != 0)
        FAIL(ERR_DAMAGED, "\"%s\" belongs to another server: put back this server's own", path);
    struct buf plain CLEANUP(buf_done);
    buf_init(&plain, AUTOLOGIN_FILE_MAX, true);
    if (crypto_open(span_of(bytes.data + KEY_AT, CRYPTO_KEY_LEN), span_of(bytes.data, head),
                    span_of(bytes.data + head, bytes.len - head), &plain) != ERR_OK)
        FAIL(ERR_DAMAGED, "\"%s\" is damaged: its bytes were changed", path);
    return secret_copy(span_buf(&plain), ret);
}
