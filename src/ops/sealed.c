// SPDX-License-Identifier: Apache-2.0
//
// An empty value stands for none, since a setting cannot be removed.
#include "ops/sealed.h"

#include "ops/keys.h"
#include "ops/seal.h"

static enum err load(struct op *op, const char *name, struct uuid *ret_key_id, struct span *ret)
{
    struct span stored;
    struct span id;
    TRY(store_setting_get(op->ops->set.store, false, name, op->arena, &stored));
    if (stored.len == 0)
        FAIL(ERR_NOT_FOUND, "there is no setting \"%s\"", name);
    struct cursor in = cursor_of(stored);
    TRY(cursor_bytes(&in, UUID_LEN, &id));
    memcpy(ret_key_id->bytes, id.data, UUID_LEN);
    *ret = in.rest;
    return ERR_OK;
}

enum err sealed_get(struct op *op, const char *name, struct span *ret)
{
    struct uuid key_id;
    struct span sealed;
    const struct seal_bound bound = {.part = name};
    TRY(load(op, name, &key_id, &sealed));
    return seal_open(op->ops, op->arena, &bound, &key_id, sealed, ret);
}

enum err sealed_put(struct op *op, const char *name, struct span plain)
{
    struct uuid key_id;
    struct span sealed;
    const struct seal_bound bound = {.part = name};
    struct buf value CLEANUP(buf_done);
    buf_init(&value, SEALED_MAX, false);
    if (strlen(name) > SEALED_NAME_MAX)
        FAIL(ERR_INTERNAL, "the name of a sealed setting is too long");
    TRY(seal_close(op->ops, op->arena, &bound, plain, &sealed, &key_id));
    TRY(buf_put(&value, span_of(key_id.bytes, UUID_LEN)));
    TRY(buf_put(&value, sealed));
    return store_setting_put(op->ops->set.store, false, name, span_buf(&value));
}

enum err sealed_drop(struct op *op, const char *name)
{
    return store_setting_put(op->ops->set.store, false, name, span_str(""));
}

enum err sealed_reseal(struct op *op, const char *name, bool *ret_moved)
{
    struct uuid key_id;
    struct uuid newest;
    struct span sealed;
    struct span plain;
    const struct seal_bound bound = {.part = name};
    *ret_moved = false;
    enum err err = load(op, name, &key_id, &sealed);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    if (keys_newest(op->ops, "objects", &newest).len > 0 &&
        memcmp(&key_id, &newest, sizeof newest) == 0)
        return ERR_OK;
    TRY(seal_open(op->ops, op->arena, &bound, &key_id, sealed, &plain));
    *ret_moved = true;
    return sealed_put(op, name, plain);
}
