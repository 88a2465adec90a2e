// SPDX-License-Identifier: Apache-2.0
//
// What the server makes and what a client sees. Whether a client may change something is decided in
// rules.c, by the table of spec/kmip.
#include "ops/attributes.h"

#include "crypto/crypto.h"
#include "ops/rules.h"
#include "wire/ttlv.h"

enum { MEMBERS_MAX = 4096 };

enum err attributes_put_number(struct op *op, struct attrs *attrs, uint32_t tag, uint8_t type,
                               int64_t number)
{
    struct attr attr = {.tag = tag, .type = type, .number = number};
    return attrs_add(attrs, op->arena, &attr);
}

enum err attributes_put_bytes(struct op *op, struct attrs *attrs, uint32_t tag, uint8_t type,
                              struct span bytes)
{
    struct attr attr = {.tag = tag, .type = type};
    attr.index = rules_next_index(attrs, &attr);
    TRY(arena_copy(op->arena, bytes, &attr.bytes));
    return attrs_add(attrs, op->arena, &attr);
}

enum err attributes_put_link(struct op *op, struct attrs *attrs, uint32_t link_type,
                             struct span uid)
{
    struct buf members CLEANUP(buf_done);
    buf_init(&members, MEMBERS_MAX, false);
    TRY(ttlv_put_enumeration(&members, KMIP_TAG_LINK_TYPE, link_type));
    TRY(ttlv_put_text(&members, KMIP_TAG_LINKED_OBJECT_IDENTIFIER, uid));
    return attributes_put_bytes(op, attrs, KMIP_TAG_LINK, ATTR_STRUCTURE, span_buf(&members));
}

enum err attributes_put_name(struct op *op, struct attrs *attrs, struct span name)
{
    struct buf members CLEANUP(buf_done);
    buf_init(&members, TEXT_MAX + 64, false);
    TRY(ttlv_put_text(&members, KMIP_TAG_NAME_VALUE, name));
    TRY(ttlv_put_enumeration(&members, KMIP_TAG_NAME_TYPE,
                             KMIP_NAME_TYPE_UNINTERPRETED_TEXT_STRING));
    return attributes_put_bytes(op, attrs, KMIP_TAG_NAME, ATTR_STRUCTURE, span_buf(&members));
}

bool attributes_find_link(const struct attrs *attrs, uint32_t link_type, struct span *ret_uid)
{
    for (size_t i = 0; i < attrs->count; i++) {
        const struct attr *attr = &attrs->items[i];
        struct ttlv type;
        struct ttlv uid;
        uint32_t number = 0;
        if (attr->tag == KMIP_TAG_LINK && ttlv_find(attr->bytes, KMIP_TAG_LINK_TYPE, &type) &&
            ttlv_enumeration(&type, &number) == ERR_OK && number == link_type &&
            ttlv_find(attr->bytes, KMIP_TAG_LINKED_OBJECT_IDENTIFIER, &uid)) {
            *ret_uid = uid.value;
            return true;
        }
    }
    return false;
}

int64_t attributes_number(const struct attrs *attrs, uint32_t tag, int64_t fallback)
{
    const struct attr *attr = attrs_find(attrs, tag);
    return attr == NULL ? fallback : attr->number;
}

struct span attributes_name(const struct attrs *attrs)
{
    struct ttlv name = {0};
    for (size_t i = 0; i < attrs->count; i++) {
        if (attrs->items[i].tag != KMIP_TAG_NAME)
            continue;
        if (name.value.len > 0)
            return (struct span){NULL, 0};
        if (!ttlv_find(attrs->items[i].bytes, KMIP_TAG_NAME_VALUE, &name))
            return (struct span){NULL, 0};
    }
    return name.value;
}

// Digest of the key material as it was registered or made (KMIP 1.4 section 3.17).
static enum err put_digest(struct op *op, struct object *object)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    struct buf members CLEANUP(buf_done);
    buf_init(&members, MEMBERS_MAX, false);
    crypto_sha256(object->data.material, hash);
    TRY(ttlv_put_enumeration(&members, KMIP_TAG_HASHING_ALGORITHM, KMIP_HASHING_ALGORITHM_SHA_256));
    TRY(ttlv_put_bytes(&members, KMIP_TAG_DIGEST_VALUE, span_of(hash, sizeof hash)));
    uint32_t format = object->data.key_format;
    if (object->data.type == KMIP_OBJECT_TYPE_CERTIFICATE)
        format = KMIP_KEY_FORMAT_TYPE_X_509;
    if (object->data.type == KMIP_OBJECT_TYPE_OPAQUE_OBJECT)
        format = KMIP_KEY_FORMAT_TYPE_OPAQUE;
    if (format != 0)
        TRY(ttlv_put_enumeration(&members, KMIP_TAG_KEY_FORMAT_TYPE, format));
    return attributes_put_bytes(op, &object->attrs, KMIP_TAG_DIGEST, ATTR_STRUCTURE,
                                span_buf(&members));
}

static enum err put_once(struct op *op, struct attrs *attrs, uint32_t tag, uint8_t type,
                         uint32_t number)
{
    if (number == 0 || attrs_find(attrs, tag) != NULL)
        return ERR_OK;
    return attributes_put_number(op, attrs, tag, type, number);
}

static enum err put_rng(struct op *op, struct attrs *attrs)
{
    struct buf members CLEANUP(buf_done);
    buf_init(&members, MEMBERS_MAX, false);
    if (attrs_find(attrs, KMIP_TAG_RANDOM_NUMBER_GENERATOR) != NULL)
        return ERR_OK;
    TRY(ttlv_put_enumeration(&members, KMIP_TAG_RNG_ALGORITHM, KMIP_RNG_ALGORITHM_UNSPECIFIED));
    return attributes_put_bytes(op, attrs, KMIP_TAG_RANDOM_NUMBER_GENERATOR, ATTR_STRUCTURE,
                                span_buf(&members));
}

enum err attributes_make(struct op *op, struct object *object, bool made_here)
{
    const struct object_data *data = &object->data;
    struct attrs *attrs = &object->attrs;
    TRY(put_once(op, attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, ATTR_ENUMERATION, data->algorithm));
    TRY(put_once(op, attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, ATTR_INTEGER, data->length));
    TRY(put_once(op, attrs, KMIP_TAG_KEY_FORMAT_TYPE, ATTR_ENUMERATION, data->key_format));
    if (data->type == KMIP_OBJECT_TYPE_CERTIFICATE) {
        TRY(put_once(op, attrs, KMIP_TAG_CERTIFICATE_TYPE, ATTR_ENUMERATION, data->subtype));
        TRY(put_once(op, attrs, KMIP_TAG_CERTIFICATE_LENGTH, ATTR_INTEGER,
                     (uint32_t)data->material.len));
    }
    if (data->type == KMIP_OBJECT_TYPE_OPAQUE_OBJECT)
        TRY(put_once(op, attrs, KMIP_TAG_OPAQUE_DATA_TYPE, ATTR_ENUMERATION, data->subtype));
    if (attrs_find(attrs, KMIP_TAG_FRESH) == NULL)
        TRY(attributes_put_number(op, attrs, KMIP_TAG_FRESH, ATTR_BOOLEAN, 1));
    if (made_here)
        TRY(put_rng(op, attrs));
    if ((object->row.flags & OBJECT_SENSITIVE) != 0)
        object->row.flags |= OBJECT_ALWAYS_SENSITIVE;
    if ((object->row.flags & OBJECT_EXTRACTABLE) == 0)
        object->row.flags |= OBJECT_NEVER_EXTRACTABLE;
    return put_digest(op, object);
}

static enum err put_identity(struct op *op, const struct object *object, struct attrs *all)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    TRY(attributes_put_bytes(op, all, KMIP_TAG_UNIQUE_IDENTIFIER, ATTR_TEXT, object->uid));
    crypto_sha256(span_of(object->row.id.bytes, UUID_LEN), hash);
    TRY(attributes_put_bytes(op, all, KMIP_TAG_SHORT_UNIQUE_IDENTIFIER, ATTR_BYTES,
                             span_of(hash, sizeof hash)));
    TRY(attributes_put_number(op, all, KMIP_TAG_OBJECT_TYPE, ATTR_ENUMERATION, object->row.type));
    return attributes_put_number(op, all, KMIP_TAG_STATE, ATTR_ENUMERATION,
                                 lifecycle_state_at(&object->row.dates, op->now));
}

static enum err put_dates(struct op *op, const struct object *object, struct attrs *all)
{
    static const uint32_t tags[] = {
        KMIP_TAG_INITIAL_DATE,       KMIP_TAG_ACTIVATION_DATE,
        KMIP_TAG_PROCESS_START_DATE, KMIP_TAG_PROTECT_STOP_DATE,
        KMIP_TAG_DEACTIVATION_DATE,  KMIP_TAG_DESTROY_DATE,
        KMIP_TAG_COMPROMISE_DATE,    KMIP_TAG_COMPROMISE_OCCURRENCE_DATE,
        KMIP_TAG_LAST_CHANGE_DATE,   KMIP_TAG_ARCHIVE_DATE,
    };
    struct store_dates dates = object->row.dates;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        int64_t value = *lifecycle_date(&dates, tags[i]);
        if (value != 0)
            TRY(attributes_put_number(op, all, tags[i], ATTR_DATE_TIME, value));
    }
    if (attrs_find(&object->attrs, KMIP_TAG_ORIGINAL_CREATION_DATE) != NULL)
        return ERR_OK;
    return attributes_put_number(op, all, KMIP_TAG_ORIGINAL_CREATION_DATE, ATTR_DATE_TIME,
                                 dates.initial);
}

static enum err put_flags(struct op *op, const struct object *object, struct attrs *all)
{
    static const struct {
        uint32_t tag;
        uint32_t flag;
    } table[] = {
        {KMIP_TAG_SENSITIVE, OBJECT_SENSITIVE},
        {KMIP_TAG_ALWAYS_SENSITIVE, OBJECT_ALWAYS_SENSITIVE},
        {KMIP_TAG_EXTRACTABLE, OBJECT_EXTRACTABLE},
        {KMIP_TAG_NEVER_EXTRACTABLE, OBJECT_NEVER_EXTRACTABLE},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        TRY(attributes_put_number(op, all, table[i].tag, ATTR_BOOLEAN,
                                  (object->row.flags & table[i].flag) != 0));
    TRY(attributes_put_number(op, all, KMIP_TAG_LEASE_TIME, ATTR_INTERVAL, OPS_LEASE_S));
    return attributes_put_number(op, all, KMIP_TAG_PROTECTION_STORAGE_MASK, ATTR_INTEGER,
                                 KMIP_PROTECTION_STORAGE_MASK_SOFTWARE);
}

enum err attributes_all(struct op *op, const struct object *object, struct attrs *ret)
{
    struct attrs all = {0};
    TRY(put_identity(op, object, &all));
    TRY(put_dates(op, object, &all));
    TRY(put_flags(op, object, &all));
    for (size_t i = 0; i < object->attrs.count; i++)
        TRY(attrs_add(&all, op->arena, &object->attrs.items[i]));
    *ret = all;
    return ERR_OK;
}
