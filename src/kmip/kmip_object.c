// SPDX-License-Identifier: Apache-2.0
//
// Managed objects. Key material that is a structure (the Transparent formats) is kept as the TTLV
// of its members; its meaning is the engine's business.
#include "kmip/kmip_object.h"

static const struct {
    uint32_t type;
    uint32_t tag;
} object_tags[] = {
    {KMIP_OBJECT_TYPE_CERTIFICATE, KMIP_TAG_CERTIFICATE},
    {KMIP_OBJECT_TYPE_SYMMETRIC_KEY, KMIP_TAG_SYMMETRIC_KEY},
    {KMIP_OBJECT_TYPE_PUBLIC_KEY, KMIP_TAG_PUBLIC_KEY},
    {KMIP_OBJECT_TYPE_PRIVATE_KEY, KMIP_TAG_PRIVATE_KEY},
    {KMIP_OBJECT_TYPE_SPLIT_KEY, KMIP_TAG_SPLIT_KEY},
    {KMIP_OBJECT_TYPE_TEMPLATE, KMIP_TAG_TEMPLATE},
    {KMIP_OBJECT_TYPE_SECRET_DATA, KMIP_TAG_SECRET_DATA},
    {KMIP_OBJECT_TYPE_OPAQUE_OBJECT, KMIP_TAG_OPAQUE_OBJECT},
    {KMIP_OBJECT_TYPE_PGP_KEY, KMIP_TAG_PGP_KEY},
};

uint32_t kmip_object_type_of(uint32_t tag)
{
    for (size_t i = 0; i < sizeof object_tags / sizeof *object_tags; i++) {
        if (object_tags[i].tag == tag)
            return object_tags[i].type;
    }
    return 0;
}

static uint32_t tag_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof object_tags / sizeof *object_tags; i++) {
        if (object_tags[i].type == type)
            return object_tags[i].tag;
    }
    return 0;
}

// ---- reading ----

static enum err need(struct span members, uint32_t tag, struct ttlv *ret)
{
    const struct kmip_tag_info *info = kmip_tag_find(tag);
    if (!ttlv_find(members, tag, ret))
        FAIL(ERR_MISSING_DATA, "the object lacks its \"%s\"", info == NULL ? "" : info->name);
    return ERR_OK;
}

// An Enumeration that the tables know.
static enum err get_enumeration(const struct kmip_reader *in, const struct ttlv *item,
                                uint32_t *ret)
{
    TRY(kmip_check_value(in->version, item->tag, item));
    return ttlv_enumeration(item, ret);
}

static enum err need_enumeration(const struct kmip_reader *in, struct span members, uint32_t tag,
                                 uint32_t *ret)
{
    struct ttlv item;
    TRY(need(members, tag, &item));
    return get_enumeration(in, &item, ret);
}

static enum err find_enumeration(const struct kmip_reader *in, struct span members, uint32_t tag,
                                 uint32_t *ret)
{
    struct ttlv item;
    return ttlv_find(members, tag, &item) ? get_enumeration(in, &item, ret) : ERR_OK;
}

static enum err get_material(const struct ttlv *item, struct object_data *object)
{
    object->structured = item->type == TTLV_STRUCTURE;
    if (!object->structured && item->type != TTLV_BYTES)
        FAIL(ERR_INVALID, "the key material is neither bytes nor a structure");
    if (item->value.len == 0)
        FAIL(ERR_INVALID, "the key material is empty");
    object->material = item->value;
    return ERR_OK;
}

// Key Value: a structure with the material and attributes, or, wrapped, just bytes.
static enum err get_key_value(const struct kmip_reader *in, const struct ttlv *item,
                              struct object_data *object)
{
    if (item->type == TTLV_BYTES)
        return get_material(item, object);
    struct span members;
    struct ttlv member;
    bool found;
    TRY(ttlv_structure(item, &members));
    TRY(need(members, KMIP_TAG_KEY_MATERIAL, &member));
    TRY(get_material(&member, object));
    struct cursor cursor = cursor_of(members);
    for (;;) {
        TRY(ttlv_next(&cursor, &member, &found));
        if (!found)
            return ERR_OK;
        if (member.tag == KMIP_TAG_ATTRIBUTE)
            TRY(kmip_get_attr(in, &member, &object->attributes));
        else if (member.tag == KMIP_TAG_ATTRIBUTES)
            TRY(kmip_get_attr_list(in, &member, &object->attributes));
    }
}

static enum err get_length(struct span block, struct object_data *object)
{
    struct ttlv item;
    int32_t length;
    if (!ttlv_find(block, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, &item))
        return ERR_OK;
    TRY(ttlv_integer(&item, &length));
    if (length < 0)
        FAIL(ERR_INVALID, "the cryptographic length is %d", length);
    object->length = (uint32_t)length;
    return ERR_OK;
}

static enum err get_key_block(const struct kmip_reader *in, struct span members,
                              struct object_data *object)
{
    struct ttlv item;
    struct span block;
    TRY(need(members, KMIP_TAG_KEY_BLOCK, &item));
    TRY(ttlv_structure(&item, &block));
    TRY(need_enumeration(in, block, KMIP_TAG_KEY_FORMAT_TYPE, &object->key_format));
    TRY(find_enumeration(in, block, KMIP_TAG_KEY_COMPRESSION_TYPE, &object->compression));
    TRY(find_enumeration(in, block, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, &object->algorithm));
    TRY(get_length(block, object));
    if (ttlv_find(block, KMIP_TAG_KEY_WRAPPING_DATA, &item))
        TRY(ttlv_structure(&item, &object->wrapping));
    TRY(need(block, KMIP_TAG_KEY_VALUE, &item));
    if (item.type == TTLV_BYTES && object->wrapping.len == 0)
        FAIL(ERR_INVALID, "the key value is wrapped, but nothing says how");
    return get_key_value(in, &item, object);
}

// Certificate and Opaque Object: a type and bytes.
static enum err get_plain(const struct kmip_reader *in, struct span members, uint32_t type_tag,
                          uint32_t value_tag, struct object_data *object)
{
    struct ttlv item;
    TRY(need_enumeration(in, members, type_tag, &object->subtype));
    TRY(need(members, value_tag, &item));
    TRY(ttlv_bytes(&item, &object->material));
    if (object->material.len == 0)
        FAIL(ERR_INVALID, "the object is empty");
    return ERR_OK;
}

enum err kmip_get_object(const struct kmip_reader *in, const struct ttlv *item,
                         struct object_data *ret)
{
    struct object_data object = {.type = kmip_object_type_of(item->tag)};
    struct span members;
    TRY(ttlv_structure(item, &members));
    switch (item->tag) {
    case KMIP_TAG_CERTIFICATE:
        TRY(get_plain(in, members, KMIP_TAG_CERTIFICATE_TYPE, KMIP_TAG_CERTIFICATE_VALUE, &object));
        break;
    case KMIP_TAG_OPAQUE_OBJECT:
        TRY(get_plain(in, members, KMIP_TAG_OPAQUE_DATA_TYPE, KMIP_TAG_OPAQUE_DATA_VALUE, &object));
        break;
    case KMIP_TAG_SECRET_DATA:
        TRY(need_enumeration(in, members, KMIP_TAG_SECRET_DATA_TYPE, &object.subtype));
        TRY(get_key_block(in, members, &object));
        break;
    case KMIP_TAG_SYMMETRIC_KEY:
    case KMIP_TAG_PUBLIC_KEY:
    case KMIP_TAG_PRIVATE_KEY:
        TRY(get_key_block(in, members, &object));
        break;
    default:
        FAIL(ERR_FEATURE, "objects of this type cannot be registered");
    }
    *ret = object;
    return ERR_OK;
}

// ---- writing ----

static enum err put_attributes(struct buf *out, uint16_t version, const struct attrs *attrs)
{
    size_t at = 0;
    if (attrs->count == 0)
        return ERR_OK;
    if (kmip_is_2x(version))
        TRY(ttlv_begin(out, KMIP_TAG_ATTRIBUTES, &at));
    for (size_t i = 0; i < attrs->count; i++)
        TRY(kmip_put_attr(out, version, false, &attrs->items[i]));
    if (kmip_is_2x(version))
        ttlv_end(out, at);
    return ERR_OK;
}

static enum err put_structure(struct buf *out, uint32_t tag, struct span members)
{
    return ttlv_put_value(out, tag, TTLV_STRUCTURE, 0, members);
}

// Wrapped material is the whole Key Value, and then bytes, unless its Encoding Option says that
// only the Key Material was wrapped (1.4 section 2.1.5; before 1.1 there is no such option).
static bool is_wrapped_whole(const struct object_data *object)
{
    struct ttlv item;
    uint32_t option = KMIP_ENCODING_OPTION_TTLV_ENCODING;
    if (object->wrapping.len == 0 || object->structured)
        return false;
    if (ttlv_find(object->wrapping, KMIP_TAG_ENCODING_OPTION, &item) &&
        ttlv_enumeration(&item, &option) != ERR_OK)
        return false;
    return option != KMIP_ENCODING_OPTION_NO_ENCODING;
}

static enum err put_key_value(struct buf *out, uint16_t version, const struct object_data *object)
{
    size_t at;
    if (is_wrapped_whole(object))
        return ttlv_put_bytes(out, KMIP_TAG_KEY_VALUE, object->material);
    TRY(ttlv_begin(out, KMIP_TAG_KEY_VALUE, &at));
    if (object->structured)
        TRY(put_structure(out, KMIP_TAG_KEY_MATERIAL, object->material));
    else
        TRY(ttlv_put_bytes(out, KMIP_TAG_KEY_MATERIAL, object->material));
    TRY(put_attributes(out, version, &object->attributes));
    ttlv_end(out, at);
    return ERR_OK;
}

static bool algorithm_in_version(uint16_t version, uint32_t algorithm)
{
    const struct kmip_enum_member *member =
        kmip_enum_member_find(KMIP_ENUM_CRYPTOGRAPHIC_ALGORITHM, algorithm);
    return algorithm != 0 &&
           (member == NULL || kmip_in_version(version, member->from, member->until));
}

static enum err put_key_block(struct buf *out, uint16_t version, const struct object_data *object)
{
    size_t at;
    TRY(ttlv_begin(out, KMIP_TAG_KEY_BLOCK, &at));
    TRY(ttlv_put_enumeration(out, KMIP_TAG_KEY_FORMAT_TYPE, object->key_format));
    if (object->compression != 0)
        TRY(ttlv_put_enumeration(out, KMIP_TAG_KEY_COMPRESSION_TYPE, object->compression));
    TRY(put_key_value(out, version, object));
    if (algorithm_in_version(version, object->algorithm))
        TRY(ttlv_put_enumeration(out, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, object->algorithm));
    if (object->length != 0)
        TRY(ttlv_put_integer(out, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, (int32_t)object->length));
    if (object->wrapping.len > 0)
        TRY(put_structure(out, KMIP_TAG_KEY_WRAPPING_DATA, object->wrapping));
    ttlv_end(out, at);
    return ERR_OK;
}

static enum err put_content(struct buf *out, uint16_t version, const struct object_data *object)
{
    switch (object->type) {
    case KMIP_OBJECT_TYPE_CERTIFICATE:
        TRY(ttlv_put_enumeration(out, KMIP_TAG_CERTIFICATE_TYPE, object->subtype));
        return ttlv_put_bytes(out, KMIP_TAG_CERTIFICATE_VALUE, object->material);
    case KMIP_OBJECT_TYPE_OPAQUE_OBJECT:
        TRY(ttlv_put_enumeration(out, KMIP_TAG_OPAQUE_DATA_TYPE, object->subtype));
        return ttlv_put_bytes(out, KMIP_TAG_OPAQUE_DATA_VALUE, object->material);
    case KMIP_OBJECT_TYPE_SECRET_DATA:
        TRY(ttlv_put_enumeration(out, KMIP_TAG_SECRET_DATA_TYPE, object->subtype));
        return put_key_block(out, version, object);
    default:
        return put_key_block(out, version, object);
    }
}

enum err kmip_put_object(struct buf *out, uint16_t version, const struct object_data *object)
{
    uint32_t tag = tag_of(object->type);
    size_t at;
    if (tag == 0)
        FAIL(ERR_INTERNAL, "an engine answered with an object of the type %u", object->type);
    TRY(ttlv_begin(out, tag, &at));
    TRY(put_content(out, version, object));
    ttlv_end(out, at);
    return ERR_OK;
}
