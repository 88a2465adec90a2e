// SPDX-License-Identifier: Apache-2.0
//
// The tables of spec/kmip say which type a value has. Structures have one level here: no attribute
// that a client may set has more.
#include "ops/value.h"

#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "base/hex.h"
#include "ops/attributes.h"
#include "ops/render.h"
#include "wire/ttlv.h"

enum { BYTES_MAX = 4096, DIGITS_MAX = 19 };

static bool is_custom(struct span name)
{
    return name.len > 2 && (memcmp(name.data, "x-", 2) == 0 || memcmp(name.data, "y-", 2) == 0);
}

static const struct kmip_attr_info *find_attr(struct span name)
{
    for (size_t i = 0; i < KMIP_ATTR_TABLE_COUNT; i++) {
        const char *known = kmip_attr_table[i].name;
        if (strlen(known) == name.len && strncasecmp(known, (const char *)name.data, name.len) == 0)
            return &kmip_attr_table[i];
    }
    return NULL;
}

enum err value_name(struct span name, struct attr *ret)
{
    *ret = (struct attr){.tag = ATTR_CUSTOM, .index = ATTR_NO_INDEX};
    if (is_custom(name)) {
        ret->name = name;
        return ERR_OK;
    }
    const struct kmip_attr_info *info = find_attr(name);
    if (info == NULL || info->tag == KMIP_TAG_CUSTOM_ATTRIBUTE || info->tag == KMIP_TAG_ATTRIBUTE)
        FAIL(ERR_INVALID,
             "there is no attribute \"%.*s\"; the name of one of your own begins with x-",
             (int)(name.len > 128 ? 128 : name.len), (const char *)name.data);
    ret->tag = info->tag;
    return ERR_OK;
}

static enum err wrong(uint32_t tag, const char *what)
{
    const struct kmip_tag_info *info = kmip_tag_find(tag);
    FAIL(ERR_INVALID, "the value of \"%s\" must be %s", info == NULL ? "x-" : info->name, what);
}

// A number as such, or its digits as a text, as command lines give it.
static bool number_of(const json_t *value, int64_t *ret)
{
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    if (text == NULL || *text == '\0')
        return false;
    int64_t number = 0;
    size_t len = strspn(text, "0123456789");
    if (text[len] != '\0' || len >= DIGITS_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        number = number * 10 + (text[i] - '0');
    *ret = number;
    return true;
}

static enum err boolean_of(uint32_t tag, const json_t *value, int64_t *ret)
{
    const char *text = json_string_value(value);
    bool yes = json_is_true(value) || (text != NULL && strcasecmp(text, "true") == 0);
    bool no = json_is_false(value) || (text != NULL && strcasecmp(text, "false") == 0);
    if (!yes && !no)
        return wrong(tag, "true or false");
    *ret = yes;
    return ERR_OK;
}

static enum err date_of(uint32_t tag, const json_t *value, int64_t *ret)
{
    const char *text = json_string_value(value);
    int64_t ms = 0;
    if (text == NULL || !clock_parse(text, &ms))
        return wrong(tag, "a time: 2026-01-31 or 2026-01-31T12:00:00Z");
    *ret = ms / 1000;
    return ERR_OK;
}

static enum err word_of(enum kmip_enum_id id, const json_t *value, uint32_t *ret)
{
    if (!json_is_string(value))
        FAIL(ERR_INVALID, "the values of an enumeration are texts: KMIP's names");
    return render_find_enum(id, span_of(json_string_value(value), json_string_length(value)), ret);
}

enum err value_mask(enum kmip_enum_id id, const json_t *list, uint32_t *ret)
{
    uint32_t mask = 0;
    if (!json_is_array(list) && !json_is_string(list))
        FAIL(ERR_INVALID, "a mask is a list of KMIP's names");
    for (size_t i = 0; i < json_array_size(list); i++) {
        uint32_t bit = 0;
        TRY(word_of(id, json_array_get(list, i), &bit));
        mask |= bit;
    }
    if (json_is_string(list))
        TRY(word_of(id, list, &mask));
    *ret = mask;
    return ERR_OK;
}

static enum err integer_of(const struct kmip_tag_info *info, const json_t *value, int64_t least,
                           int64_t most, int64_t *ret)
{
    const struct kmip_enum_info *names = kmip_enum_find((enum kmip_enum_id)info->enum_id);
    bool mask = names != NULL && names->kind == KMIP_ENUM_KIND_MASK;
    uint32_t bits = 0;
    if (number_of(value, ret)) {
        if (*ret < least || *ret > most)
            return wrong(info->tag, "a smaller number");
        return ERR_OK;
    }
    if (!mask)
        return wrong(info->tag, "a number");
    TRY(value_mask((enum kmip_enum_id)info->enum_id, value, &bits));
    *ret = bits;
    return ERR_OK;
}

static enum err bytes_of(struct op *op, uint32_t tag, const json_t *value, struct span *ret)
{
    const char *text = json_string_value(value);
    size_t len = text == NULL ? 1 : json_string_length(value);
    uint8_t *out = NULL;
    if (len % 2 != 0 || len / 2 > BYTES_MAX)
        return wrong(tag, "bytes in hexadecimal");
    TRY(arena_alloc(op->arena, len / 2 + 1, 1, &out));
    if (!hex_bytes_any_case(span_of(text, len), out, len / 2, &len))
        return wrong(tag, "bytes in hexadecimal");
    *ret = span_of(out, len);
    return ERR_OK;
}

static enum err text_of(struct op *op, uint32_t tag, const json_t *value, struct span *ret)
{
    if (!json_is_string(value))
        return wrong(tag, "a text");
    return arena_copy(op->arena, span_of(json_string_value(value), json_string_length(value)), ret);
}

// The type that a value of this tag has here, 0 when it is none that can be given.
static uint8_t type_of(const struct kmip_tag_info *info)
{
    static const uint8_t order[] = {ATTR_STRUCTURE,    ATTR_TEXT,     ATTR_ENUMERATION,
                                    ATTR_INTEGER,      ATTR_BOOLEAN,  ATTR_DATE_TIME,
                                    ATTR_LONG_INTEGER, ATTR_INTERVAL, ATTR_BYTES};
    uint16_t types = info->types_1x != 0 ? info->types_1x : info->types_2x;
    for (size_t i = 0; i < sizeof order; i++) {
        if ((types & KMIP_TYPE_BIT(order[i])) != 0)
            return order[i];
    }
    return 0;
}

// Everything but structures.
static enum err plain_of(struct op *op, const struct kmip_tag_info *info, const json_t *value,
                         struct attr *ret)
{
    uint32_t word = 0;
    switch (ret->type) {
    case ATTR_TEXT:
        return text_of(op, info->tag, value, &ret->bytes);
    case ATTR_BYTES:
        return bytes_of(op, info->tag, value, &ret->bytes);
    case ATTR_BOOLEAN:
        return boolean_of(info->tag, value, &ret->number);
    case ATTR_DATE_TIME:
        return date_of(info->tag, value, &ret->number);
    case ATTR_ENUMERATION:
        TRY(word_of((enum kmip_enum_id)info->enum_id, value, &word));
        ret->number = word;
        return ERR_OK;
    case ATTR_INTEGER:
        return integer_of(info, value, INT32_MIN, INT32_MAX, &ret->number);
    case ATTR_INTERVAL:
        return integer_of(info, value, 0, UINT32_MAX, &ret->number);
    case ATTR_LONG_INTEGER:
        return integer_of(info, value, INT64_MIN, INT64_MAX, &ret->number);
    default:
        FAIL(ERR_FEATURE, "\"%s\" cannot be given here", info->name);
    }
}

// One member, when the object has it. Members are written in the standard's order.
static enum err put_member(struct op *op, const struct kmip_member *member, const json_t *object,
                           struct buf *out, size_t *used)
{
    const struct kmip_tag_info *info = kmip_tag_find(member->tag);
    const json_t *value = info == NULL ? NULL : json_object_get(object, info->name);
    struct attr attr = {.type = info == NULL ? 0 : type_of(info)};
    if (value == NULL)
        return member->cardinality == KMIP_ONE && info != NULL ? wrong(member->tag, "given")
                                                               : ERR_OK;
    TRY(plain_of(op, info, value, &attr));
    (*used)++;
    return ttlv_put_value(out, member->tag, attr.type, attr.number, attr.bytes);
}

static enum err structure_of(struct op *op, uint32_t tag, const json_t *value, struct span *ret)
{
    const struct kmip_struct_info *info = kmip_struct_find(tag);
    struct buf members CLEANUP(buf_done);
    size_t used = 0;
    buf_init(&members, TEXT_MAX + BYTES_MAX, false);
    if (info == NULL || !json_is_object(value))
        return wrong(tag, "an object with KMIP's members");
    for (size_t i = 0; i < info->count; i++)
        TRY(put_member(op, &info->members[i], value, &members, &used));
    if (used != json_object_size(value))
        return wrong(tag, "an object with KMIP's members, and no others");
    return arena_copy(op->arena, span_buf(&members), ret);
}

static enum err custom_of(struct op *op, const json_t *value, struct attr *ret)
{
    if (json_is_string(value)) {
        ret->type = ATTR_TEXT;
        return text_of(op, ATTR_CUSTOM, value, &ret->bytes);
    }
    if (json_is_boolean(value)) {
        ret->type = ATTR_BOOLEAN;
        ret->number = json_is_true(value);
        return ERR_OK;
    }
    if (!json_is_integer(value))
        FAIL(ERR_INVALID, "a custom attribute is a text, a whole number, true or false");
    ret->number = json_integer_value(value);
    bool fits = ret->number >= INT32_MIN && ret->number <= INT32_MAX;
    ret->type = fits ? ATTR_INTEGER : ATTR_LONG_INTEGER;
    return ERR_OK;
}

// A Name may be given as the text that it is.
static enum err name_of(struct op *op, const json_t *value, struct attr *ret)
{
    struct attrs one = {0};
    TRY(attributes_put_name(op, &one,
                            span_of(json_string_value(value), json_string_length(value))));
    ret->bytes = one.items[0].bytes;
    return ERR_OK;
}

enum err value_attr(struct op *op, struct span name, const json_t *value, struct attr *ret)
{
    TRY(value_name(name, ret));
    if (value == NULL || json_is_null(value))
        FAIL(ERR_MISSING_DATA, "\"value\" is missing");
    if (ret->tag == ATTR_CUSTOM)
        return custom_of(op, value, ret);
    const struct kmip_tag_info *info = kmip_tag_find(ret->tag);
    if (info == NULL)
        FAIL(ERR_INTERNAL, "attribute %06x has no tag", (unsigned)ret->tag);
    ret->type = type_of(info);
    if (ret->tag == KMIP_TAG_NAME && json_is_string(value))
        return name_of(op, value, ret);
    if (ret->type == ATTR_STRUCTURE)
        return structure_of(op, ret->tag, value, &ret->bytes);
    return plain_of(op, info, value, ret);
}
