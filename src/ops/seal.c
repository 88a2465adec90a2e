// SPDX-License-Identifier: Apache-2.0
//
// The associated data: 16 bytes part, 16 id, 8 version, 4 type, 4 flags. Clear bytes pass through
// one scratch buffer of the engine that is wiped after each use, and live in the arena, which is
// wiped at reset.
#include "ops/seal.h"

#include "crypto/crypto.h"
#include "ops/keys.h"

enum { BOUND_LEN = 48 };

static void put_number(uint8_t *out, uint64_t value, int len)
{
    for (int i = 0; i < len; i++)
        out[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
}

static void bound_bytes(const struct seal_bound *bound, uint8_t out[BOUND_LEN])
{
    memset(out, 0, BOUND_LEN);
    memcpy(out, bound->part, strnlen(bound->part, 15));
    memcpy(out + 16, bound->id.bytes, UUID_LEN);
    put_number(out + 32, bound->version, 8);
    put_number(out + 40, bound->type, 4);
    put_number(out + 44, bound->flags, 4);
}

enum err seal_close(struct ops *ops, struct arena *arena, const struct seal_bound *bound,
                    struct span plain, struct span *ret, struct uuid *ret_key_id)
{
    uint8_t aad[BOUND_LEN];
    struct span key = keys_newest(ops, "objects", ret_key_id);
    if (key.len == 0)
        FAIL(ERR_LOCKED, "%s", ops->locked);
    bound_bytes(bound, aad);
    buf_clear(&ops->scratch);
    enum err err = crypto_seal(key, span_of(aad, sizeof aad), plain, &ops->scratch);
    if (err == ERR_OK)
        err = arena_copy(arena, span_buf(&ops->scratch), ret);
    buf_clear(&ops->scratch);
    return err;
}

enum err seal_open(struct ops *ops, struct arena *arena, const struct seal_bound *bound,
                   const struct uuid *key_id, struct span sealed, struct span *ret)
{
    uint8_t aad[BOUND_LEN];
    struct span key;
    TRY(keys_get(ops, key_id, &key));
    bound_bytes(bound, aad);
    buf_clear(&ops->scratch);
    enum err err = crypto_open(key, span_of(aad, sizeof aad), sealed, &ops->scratch);
    if (err == ERR_OK)
        err = arena_copy(arena, span_buf(&ops->scratch), ret);
    buf_clear(&ops->scratch);
    return err;
}
