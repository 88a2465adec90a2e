// SPDX-License-Identifier: Apache-2.0
//
// What is indexed: what picks out few objects, such as names, links, groups, identifiers of
// applications and custom attributes. What most objects share (algorithm, length, masks) would cost
// each Create a page of the index for little gain: Locate compares it object by object.
#include "ops/index.h"

#include "crypto/crypto.h"
#include "ops/keys.h"

enum { KIND_ENDPOINT = 1, KIND_USER = 2, KIND_NAMED = 0x100 };

bool index_has(const struct attr *attr)
{
    static const uint32_t tags[] = {
        KMIP_TAG_NAME,        KMIP_TAG_OBJECT_GROUP,     KMIP_TAG_APPLICATION_SPECIFIC_INFORMATION,
        KMIP_TAG_LINK,        KMIP_TAG_ALTERNATIVE_NAME, KMIP_TAG_CONTACT_INFORMATION,
        KMIP_TAG_DESCRIPTION, KMIP_TAG_COMMENT,
    };
    if (attr->tag == ATTR_CUSTOM)
        return true;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (tags[i] == attr->tag)
            return true;
    }
    return false;
}

static enum err hash(struct ops *ops, struct span canonical, uint8_t ret[STORE_HASH_LEN])
{
    struct uuid id;
    uint8_t mac[CRYPTO_HASH_LEN];
    struct span key = keys_newest(ops, "index", &id);
    if (key.len == 0)
        FAIL(ERR_LOCKED, "%s", ops->locked);
    TRY(crypto_hmac_sha256(key, canonical, mac));
    memcpy(ret, mac, STORE_HASH_LEN);
    return ERR_OK;
}

enum err index_of(struct ops *ops, const struct attr *attr, struct store_index *ret)
{
    uint32_t kind = attr->tag == ATTR_CUSTOM ? (uint32_t)KMIP_TAG_ATTRIBUTE : attr->tag;
    struct store_index index = {.kind = kind, .unique = attr->tag == KMIP_TAG_NAME};
    buf_clear(&ops->scratch);
    enum err err = buf_put_u32(&ops->scratch, kind);
    if (err == ERR_OK)
        err = buf_put_var(&ops->scratch, attr->tag == ATTR_CUSTOM ? attr->name : span_str(""));
    if (err == ERR_OK)
        err = buf_put_u8(&ops->scratch, attr->type);
    if (err == ERR_OK)
        err = buf_put_u64(&ops->scratch, (uint64_t)attr->number);
    if (err == ERR_OK)
        err = buf_put(&ops->scratch, attr->bytes);
    if (err == ERR_OK)
        err = hash(ops, span_buf(&ops->scratch), index.hash);
    buf_clear(&ops->scratch);
    *ret = index;
    return err;
}

static enum err hash_name(struct ops *ops, uint32_t kind, struct span name,
                          uint8_t ret[STORE_HASH_LEN])
{
    buf_clear(&ops->scratch);
    enum err err = buf_put_u32(&ops->scratch, kind);
    if (err == ERR_OK)
        err = buf_put(&ops->scratch, name);
    if (err == ERR_OK)
        err = hash(ops, span_buf(&ops->scratch), ret);
    buf_clear(&ops->scratch);
    return err;
}

enum err index_endpoint(struct ops *ops, struct span name, uint8_t ret[STORE_HASH_LEN])
{
    return hash_name(ops, KIND_ENDPOINT, name, ret);
}

enum err index_user(struct ops *ops, struct span name, uint8_t ret[STORE_HASH_LEN])
{
    return hash_name(ops, KIND_USER, name, ret);
}

enum err index_named(struct ops *ops, uint32_t kind, struct span name, uint8_t ret[STORE_HASH_LEN])
{
    return hash_name(ops, KIND_NAMED + kind, name, ret);
}

static bool stands_already(const struct store_index *index, size_t count,
                           const struct store_index *value)
{
    for (size_t i = 0; i < count; i++) {
        if (index[i].kind == value->kind &&
            memcmp(index[i].hash, value->hash, sizeof value->hash) == 0)
            return true;
    }
    return false;
}

enum err index_build(struct op *op, const struct object *object, struct store_index **ret,
                     size_t *ret_count)
{
    struct store_index *index = NULL;
    size_t count = 0;
    bool destroyed = object->row.dates.destroy != 0;
    if (object->attrs.count > STORE_INDEX_MAX)
        FAIL(ERR_TOO_LARGE, "the object has more than %d attributes", STORE_INDEX_MAX);
    TRY(arena_alloc(op->arena, object->attrs.count + 1, sizeof *index, &index));
    for (size_t i = 0; i < object->attrs.count; i++) {
        if (!index_has(&object->attrs.items[i]))
            continue;
        struct store_index value;
        TRY(index_of(op->ops, &object->attrs.items[i], &value));
        value.unique = value.unique && !destroyed;
        if (!stands_already(index, count, &value))
            index[count++] = value;
    }
    *ret = index;
    *ret_count = count;
    return ERR_OK;
}
