// SPDX-License-Identifier: Apache-2.0
//
// Wrapping of data keys. The master key itself wraps nothing: each use derives a key for this one
// purpose from it, so that the root record's proof and the wrapping never share a key.
#include "keyring/datakey.h"

#include "crypto/crypto.h"

enum { HEAD_LEN = 4, WRAPPED_LEN = HEAD_LEN + DATAKEY_LEN + CRYPTO_SEAL_OVERHEAD };

static enum err associated(uint32_t generation, struct span context, struct buf *out)
{
    buf_init(out, DATAKEY_CONTEXT_MAX + 64, false);
    if (context.len > DATAKEY_CONTEXT_MAX)
        FAIL(ERR_TOO_LARGE, "a data key's context has more than %d bytes", DATAKEY_CONTEXT_MAX);
    TRY(buf_put_str(out, "keyward data key 1"));
    TRY(buf_put_u32(out, generation));
    return buf_put(out, context);
}

enum err datakey_wrap(const struct wallet *wallet, struct span context, struct span key,
                      struct buf *out)
{
    const struct wallet_key *master = wallet_newest(wallet);
    if (master == NULL || key.len != DATAKEY_LEN)
        FAIL(ERR_INTERNAL, "no master key, or a data key of %zu bytes", key.len);
    struct buf aad CLEANUP(buf_done);
    uint8_t kek[CRYPTO_KEY_LEN];
    TRY(associated(master->number, context, &aad));
    TRY(crypto_derive(secret_span(master->key), "keyward data key", kek));
    size_t start = out->len;
    enum err err = buf_put_u32(out, master->number);
    if (err == ERR_OK)
        err = crypto_seal(span_of(kek, sizeof kek), span_buf(&aad), key, out);
    explicit_bzero(kek, sizeof kek);
    if (err != ERR_OK)
        buf_cut(out, start);
    return err;
}

enum err datakey_generation(struct span wrapped, uint32_t *ret)
{
    struct cursor in = cursor_of(wrapped);
    if (wrapped.len != WRAPPED_LEN)
        FAIL(ERR_DAMAGED, "a wrapped data key has %zu bytes instead of %d", wrapped.len,
             WRAPPED_LEN);
    return cursor_u32(&in, ret);
}

enum err datakey_unwrap(const struct wallet *wallet, struct span context, struct span wrapped,
                        struct secret **ret)
{
    uint32_t generation = 0;
    TRY(datakey_generation(wrapped, &generation));
    const struct wallet_key *master = wallet_find(wallet, generation);
    if (master == NULL)
        FAIL(ERR_NOT_FOUND, "the wallet has no master key of generation %u, only 1 to %zu",
             generation, wallet_count(wallet));
    struct buf aad CLEANUP(buf_done);
    struct buf plain CLEANUP(buf_done);
    uint8_t kek[CRYPTO_KEY_LEN];
    buf_init(&plain, DATAKEY_LEN, true);
    TRY(associated(generation, context, &aad));
    TRY(crypto_derive(secret_span(master->key), "keyward data key", kek));
    enum err err = crypto_open(span_of(kek, sizeof kek), span_buf(&aad),
                               span_of(wrapped.data + HEAD_LEN, wrapped.len - HEAD_LEN), &plain);
    explicit_bzero(kek, sizeof kek);
    TRY(err);
    return secret_copy(span_buf(&plain), ret);
}
