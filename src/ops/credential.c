// SPDX-License-Identifier: Apache-2.0
//
// The sealed record repeats what the row says, so that no row can be given to another user or made
// to last longer by whoever writes to the store's file alone.
#include "ops/credential.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/secret.h"
#include "crypto/crypto.h"
#include "ops/seal.h"

enum { PREFIX_LEN = 4, SECRET_LEN = 32, PAGE = STORE_FIND_MAX };
_Static_assert(CREDENTIAL_TEXT_LEN == PREFIX_LEN + 2 * SECRET_LEN, "prefix and hexadecimal digits");

void credential_make(uint32_t kind, char text[CREDENTIAL_TEXT_LEN + 1], uint8_t hash[32])
{
    uint8_t secret[SECRET_LEN];
    const char *prefix = kind == STORED_SESSION ? "kws_" : kind == STORED_TOKEN ? "kwt_" : "kwl_";
    rand_bytes(secret, sizeof secret);
    memcpy(text, prefix, PREFIX_LEN);
    hex_text(span_of(secret, sizeof secret), text + PREFIX_LEN);
    explicit_bzero(secret, sizeof secret);
    crypto_sha256(span_of(text, CREDENTIAL_TEXT_LEN), hash);
}

static struct seal_bound bound_of(const struct store_credential *row)
{
    return (struct seal_bound){
        .part = SEAL_CREDENTIAL, .id = row->id, .type = row->kind, .flags = row->rights};
}

static enum err seal(struct op *op, struct store_credential *row, struct span label)
{
    struct seal_bound bound = bound_of(row);
    struct buf plain CLEANUP(buf_done);
    buf_init(&plain, CREDENTIAL_SEALED_MAX, false);
    TRY(buf_put_var(&plain, label));
    TRY(buf_put(&plain, span_of(row->hash, sizeof row->hash)));
    TRY(buf_put(&plain, span_of(row->user.bytes, UUID_LEN)));
    TRY(buf_put_u64(&plain, (uint64_t)row->expires));
    return seal_close(op->ops, op->arena, &bound, span_buf(&plain), &row->sealed, &row->key_id);
}

enum err credential_put(struct op *op, struct store_credential *row, struct span label)
{
    row->id = uuid_ordered(clock_wall_ms());
    row->version = 1;
    row->created = op->now;
    TRY(seal(op, row, label));
    return store_credential_put(op->ops->set.store, row);
}

enum err credential_open(struct op *op, const struct store_credential *row, struct span *ret_label)
{
    struct span plain;
    struct span hash;
    struct span user;
    uint64_t expires = 0;
    struct seal_bound bound = bound_of(row);
    TRY(seal_open(op->ops, op->arena, &bound, &row->key_id, row->sealed, &plain));
    struct cursor in = cursor_of(plain);
    TRY(cursor_var(&in, ret_label));
    TRY(cursor_bytes(&in, sizeof row->hash, &hash));
    TRY(cursor_bytes(&in, UUID_LEN, &user));
    TRY(cursor_u64(&in, &expires));
    TRY(cursor_end(&in));
    if (!span_eq(hash, span_of(row->hash, sizeof row->hash)) ||
        !span_eq(user, span_of(row->user.bytes, UUID_LEN)) || expires != (uint64_t)row->expires)
        FAIL(ERR_DAMAGED, "a credential in the store is not as it was made");
    return ERR_OK;
}

enum err credential_reseal(struct op *op, struct store_credential *row)
{
    struct span label;
    TRY(credential_open(op, row, &label));
    TRY(seal(op, row, label));
    return store_credential_update(op->ops->set.store, row);
}

enum err credential_own(struct op *op, struct span id, uint32_t kind, struct store_credential *ret)
{
    struct uuid wanted;
    struct store_credential row = {0};
    enum err err = uuid_parse(id, &wanted);
    if (err == ERR_OK)
        err = store_credential_get(op->ops->set.store, &wanted, op->arena, &row);
    bool own =
        err == ERR_OK && row.kind == kind && memcmp(&row.user, &op->who.id, sizeof row.user) == 0;
    if (err != ERR_OK && err != ERR_NOT_FOUND && err != ERR_INVALID)
        return err;
    if (!own)
        FAIL(ERR_NOT_FOUND, "you have no %s \"%.*s\"",
             kind == STORED_SESSION ? "session" : "API token", (int)id.len, (const char *)id.data);
    *ret = row;
    return ERR_OK;
}

enum err credential_end_all(struct op *op, const struct uuid *user, uint32_t kind,
                            const struct uuid *but, uint64_t *ret_count)
{
    struct store *store = op->ops->set.store;
    struct store_credential *rows = NULL;
    struct uuid after = {{0}};
    size_t count = PAGE;
    *ret_count = 0;
    while (count == PAGE) {
        TRY(store_credential_list(store, user, &after, PAGE, op->arena, &rows, &count));
        for (size_t i = 0; i < count; i++) {
            after = rows[i].id;
            if ((kind != 0 && rows[i].kind != kind) || memcmp(&after, but, sizeof after) == 0)
                continue;
            TRY(store_credential_remove(store, &after));
            (*ret_count)++;
        }
    }
    return ERR_OK;
}
