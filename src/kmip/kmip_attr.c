// SPDX-License-Identifier: Apache-2.0
//
// Attributes in both forms. Structured values are kept as the TTLV of their members in the
// standard's order, so that two that are equal have equal bytes.
#include "kmip/kmip_attr.h"

#include "wire/limits.h"

enum { MEMBERS_MAX = 32 };

// ---- values ----

enum err kmip_check_value(uint16_t version, uint32_t tag, const struct ttlv *item)
{
    const struct kmip_tag_info *info = kmip_tag_find(tag);
    if (info == NULL)
        return ERR_OK;
    // A tag that came with 2.x and is used in 1.x nonetheless has its types there.
    unsigned types = kmip_tag_types(info, version);
    types = types != 0 ? types : info->types_2x;
    if ((types & KMIP_TYPE_BIT(item->type)) == 0)
        FAIL(ERR_INVALID, "the field \"%s\" has the wrong type", info->name);
    if (item->value.len > LIMIT_TEXT && item->type == TTLV_TEXT)
        FAIL(ERR_INVALID, "the field \"%s\" is longer than %d bytes", info->name, LIMIT_TEXT);
    if (item->type != TTLV_ENUMERATION || info->enum_id == KMIP_ENUM_NONE)
        return ERR_OK;
    uint32_t value;
    TRY(ttlv_enumeration(item, &value));
    const struct kmip_enum_info *members = kmip_enum_find((enum kmip_enum_id)info->enum_id);
    if (value >= KMIP_ENUM_EXTENSION || members == NULL || members->count == 0 ||
        members->kind == KMIP_ENUM_KIND_TAG)
        return ERR_OK;
    if (kmip_enum_member_find((enum kmip_enum_id)info->enum_id, value) == NULL)
        FAIL(ERR_INVALID, "the field \"%s\" has the unknown value %u", info->name, value);
    return ERR_OK;
}

// The place of a tag in a structure's table; `count` when it has none there.
static size_t place_of(const struct kmip_struct_info *info, uint32_t tag)
{
    size_t i = 0;
    while (i < info->count && info->members[i].tag != tag)
        i++;
    return i;
}

static bool may_repeat(const struct kmip_member *member)
{
    return member->cardinality == KMIP_ANY_NUMBER || member->cardinality == KMIP_AT_LEAST_ONE;
}

// Looks at each member of a structure; tells whether they stand in order and are all known.
static enum err check_members(const struct kmip_reader *in, const struct kmip_struct_info *info,
                              struct span members, bool *ret_canonical)
{
    struct cursor cursor = cursor_of(members);
    struct ttlv item;
    bool found;
    bool seen[MEMBERS_MAX] = {false};
    size_t last = 0;
    *ret_canonical = true;
    for (;;) {
        TRY(ttlv_next(&cursor, &item, &found));
        if (!found)
            break;
        size_t place = place_of(info, item.tag);
        if (place >= info->count || place >= MEMBERS_MAX) {
            *ret_canonical = false;
            continue;
        }
        if (seen[place] && !may_repeat(&info->members[place]))
            FAIL(ERR_INVALID, "the field \"%s\" has a member twice", info->name);
        TRY(kmip_check_value(in->version, item.tag, &item));
        *ret_canonical = *ret_canonical && place >= last;
        seen[place] = true;
        last = place;
    }
    for (size_t i = 0; i < info->count && i < MEMBERS_MAX; i++) {
        bool required = info->members[i].cardinality == KMIP_ONE ||
                        info->members[i].cardinality == KMIP_AT_LEAST_ONE;
        if (required && !seen[i] &&
            kmip_in_version(in->version, info->members[i].from, info->members[i].until))
            FAIL(ERR_MISSING_DATA, "the field \"%s\" lacks a member", info->name);
    }
    return ERR_OK;
}

// The same members in the table's order, without those that it does not know.
static enum err reorder(const struct kmip_reader *in, const struct kmip_struct_info *info,
                        struct span members, struct span *ret)
{
    uint8_t *copy = NULL;
    size_t len = 0;
    TRY(arena_alloc(in->arena, members.len, 1, &copy));
    for (size_t i = 0; i < info->count; i++) {
        struct cursor cursor = cursor_of(members);
        struct ttlv item;
        bool found;
        for (;;) {
            const uint8_t *start = cursor.rest.data;
            TRY(ttlv_next(&cursor, &item, &found));
            if (!found)
                break;
            if (item.tag != info->members[i].tag)
                continue;
            size_t size = (size_t)(cursor.rest.data - start);
            memcpy(copy + len, start, size);
            len += size;
        }
    }
    *ret = span_of(copy, len);
    return ERR_OK;
}

enum err kmip_get_structure(const struct kmip_reader *in, const struct ttlv *item, struct span *ret)
{
    const struct kmip_struct_info *info = kmip_struct_find(item->tag);
    bool canonical;
    struct span members;
    TRY(ttlv_structure(item, &members));
    if (info == NULL) {
        *ret = members;
        return ERR_OK;
    }
    TRY(check_members(in, info, members, &canonical));
    if (!canonical)
        return reorder(in, info, members, ret);
    *ret = members;
    return ERR_OK;
}

// The value `item` as that of the attribute `attr->tag`.
static enum err get_value(const struct kmip_reader *in, const struct ttlv *item, struct attr *attr)
{
    struct ttlv as_attr = {attr->tag, item->type, item->value};
    attr->type = item->type;
    if (attr->tag != ATTR_CUSTOM)
        TRY(kmip_check_value(in->version, attr->tag, item));
    else if (item->type == TTLV_TEXT && item->value.len > LIMIT_TEXT)
        FAIL(ERR_INVALID, "a custom attribute is longer than %d bytes", LIMIT_TEXT);
    if (ttlv_type_is_number(item->type))
        return ttlv_number(item, &attr->number);
    if (item->type == TTLV_STRUCTURE)
        return kmip_get_structure(in, &as_attr, &attr->bytes);
    attr->bytes = item->value;
    return ERR_OK;
}

// ---- names ----

static void name_from_text(struct span text, struct attr *attr)
{
    const struct kmip_attr_info *info = kmip_attr_by_name((const char *)text.data, text.len);
    bool standard =
        info != NULL && info->tag != KMIP_TAG_ATTRIBUTE && info->tag != KMIP_TAG_CUSTOM_ATTRIBUTE;
    attr->tag = standard ? info->tag : ATTR_CUSTOM;
    attr->name = standard ? span_str("") : text;
}

// "x" and "Name" become "x-Name"; "Acme.com" and "Name" become "Acme..com.Name".
static enum err join_name(const struct kmip_reader *in, struct span vendor, struct span name,
                          struct attr *attr)
{
    bool plain = span_eq_str(vendor, "x") || span_eq_str(vendor, "y");
    if (vendor.len == 0 || name.len == 0 || name.len > LIMIT_TEXT || vendor.len > LIMIT_TEXT)
        FAIL(ERR_INVALID, "a vendor attribute lacks its vendor or its name");
    if (!plain && (name.data[0] == '.' || vendor.data[vendor.len - 1] == '.'))
        FAIL(ERR_INVALID, "a vendor attribute has a dot between its vendor and its name");
    uint8_t *text = NULL;
    size_t len = 0;
    TRY(arena_alloc(in->arena, vendor.len * 2 + 1 + name.len, 1, &text));
    for (size_t i = 0; i < vendor.len; i++) {
        text[len++] = vendor.data[i];
        if (!plain && vendor.data[i] == '.')
            text[len++] = '.';
    }
    text[len++] = plain ? '-' : '.';
    memcpy(text + len, name.data, name.len);
    attr->tag = ATTR_CUSTOM;
    attr->name = span_of(text, len + name.len);
    return ERR_OK;
}

// Where the vendor ends in "vendor.name": the first dot that is not doubled.
static size_t vendor_end(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] != '.')
            continue;
        if (i + 1 >= name.len || name.data[i + 1] != '.')
            return i;
        i++;
    }
    return name.len;
}

static enum err put_vendor_name(struct buf *out, struct span name)
{
    struct span vendor = span_str("x");
    bool plain =
        name.len > 2 && (name.data[0] == 'x' || name.data[0] == 'y') && name.data[1] == '-';
    size_t end = plain ? 1 : vendor_end(name);
    if (end + 1 < name.len) {
        vendor = span_of(name.data, end);
        name = span_of(name.data + end + 1, name.len - end - 1);
    }
    // Doubled dots only shrink, so the vendor fits into what it was.
    struct buf undoubled CLEANUP(buf_done);
    buf_init(&undoubled, LIMIT_TEXT * 2, false);
    for (size_t i = 0; i < vendor.len; i++) {
        TRY(buf_put_u8(&undoubled, vendor.data[i]));
        i += vendor.data[i] == '.' ? 1 : 0;
    }
    TRY(ttlv_put_text(out, KMIP_TAG_VENDOR_IDENTIFICATION, span_buf(&undoubled)));
    return ttlv_put_text(out, KMIP_TAG_ATTRIBUTE_NAME, name);
}

// ---- reading ----

// The parts of an Attribute or Attribute Reference structure.
struct parts {
    struct span vendor;
    struct span name;
    int32_t index;
    bool has_vendor;
    bool has_name;
    bool has_value;
    struct ttlv value;
};

static enum err get_part(const struct ttlv *item, struct parts *parts)
{
    if (item->tag == KMIP_TAG_ATTRIBUTE_NAME && !parts->has_name) {
        parts->has_name = true;
        return ttlv_text(item, &parts->name);
    }
    if (item->tag == KMIP_TAG_VENDOR_IDENTIFICATION && !parts->has_vendor) {
        parts->has_vendor = true;
        return ttlv_text(item, &parts->vendor);
    }
    if (item->tag == KMIP_TAG_ATTRIBUTE_INDEX) {
        TRY(ttlv_integer(item, &parts->index));
        if (parts->index < 0)
            FAIL(ERR_INVALID, "an attribute has the index %d", parts->index);
        return ERR_OK;
    }
    if (item->tag == KMIP_TAG_ATTRIBUTE_VALUE && !parts->has_value) {
        parts->has_value = true;
        parts->value = *item;
        return ERR_OK;
    }
    FAIL(ERR_INVALID, "an attribute has the unexpected field %06X", item->tag);
}

static enum err get_parts(const struct ttlv *item, struct parts *ret)
{
    struct span members;
    struct ttlv part;
    bool found;
    *ret = (struct parts){.index = ATTR_NO_INDEX};
    TRY(ttlv_structure(item, &members));
    struct cursor cursor = cursor_of(members);
    for (;;) {
        TRY(ttlv_next(&cursor, &part, &found));
        if (!found)
            break;
        TRY(get_part(&part, ret));
    }
    if (!ret->has_name || ret->name.len == 0)
        FAIL(ERR_MISSING_DATA, "an attribute has no name");
    if (ret->name.len > LIMIT_TEXT)
        FAIL(ERR_INVALID, "an attribute's name is longer than %d bytes", LIMIT_TEXT);
    return ERR_OK;
}

static enum err get_named_attr(const struct kmip_reader *in, const struct ttlv *item,
                               struct attr *attr)
{
    struct parts parts;
    TRY(get_parts(item, &parts));
    attr->index = parts.index;
    if (parts.has_vendor)
        TRY(join_name(in, parts.vendor, parts.name, attr));
    else
        name_from_text(parts.name, attr);
    // A 1.x Attribute without a value names an attribute (Delete Attribute of some clients).
    if (!parts.has_value)
        FAIL(ERR_MISSING_DATA, "the attribute \"%.*s\" has no value", (int)parts.name.len,
             (const char *)parts.name.data);
    return get_value(in, &parts.value, attr);
}

enum err kmip_get_attr(const struct kmip_reader *in, const struct ttlv *item, struct attrs *ret)
{
    struct attr attr = {.index = ATTR_NO_INDEX};
    if (item->tag == KMIP_TAG_ATTRIBUTE) {
        TRY(get_named_attr(in, item, &attr));
        return attrs_add(ret, in->arena, &attr);
    }
    if (!kmip_is_2x(in->version) || kmip_attr_by_tag(item->tag) == NULL)
        FAIL(ERR_INVALID, "%06X is not an attribute", item->tag);
    attr.tag = item->tag;
    TRY(get_value(in, item, &attr));
    return attrs_add(ret, in->arena, &attr);
}

enum err kmip_get_attr_list(const struct kmip_reader *in, const struct ttlv *item,
                            struct attrs *ret)
{
    struct span members;
    struct ttlv member;
    bool found;
    TRY(ttlv_structure(item, &members));
    struct cursor cursor = cursor_of(members);
    for (;;) {
        TRY(ttlv_next(&cursor, &member, &found));
        if (!found)
            return ERR_OK;
        if (member.tag == KMIP_TAG_NAME && !kmip_is_2x(in->version))
            FAIL(ERR_FEATURE, "templates are not supported, give the attributes themselves");
        TRY(kmip_get_attr(in, &member, ret));
    }
}

enum err kmip_get_attr_name(const struct kmip_reader *in, const struct ttlv *item,
                            struct attrs *ret)
{
    struct attr attr = {.index = ATTR_NO_INDEX};
    struct span text;
    if (item->tag == KMIP_TAG_ATTRIBUTE_NAME) {
        TRY(ttlv_text(item, &text));
        if (text.len == 0 || text.len > LIMIT_TEXT)
            FAIL(ERR_INVALID, "an attribute's name has %zu bytes", text.len);
        name_from_text(text, &attr);
    } else if (item->type == TTLV_STRUCTURE) {
        struct parts parts;
        TRY(get_parts(item, &parts));
        TRY(join_name(in, parts.vendor, parts.name, &attr));
    } else {
        TRY(ttlv_enumeration(item, &attr.tag));
        if (kmip_attr_by_tag(attr.tag) == NULL)
            FAIL(ERR_INVALID, "%06X is not an attribute", attr.tag);
    }
    return attrs_add(ret, in->arena, &attr);
}

// ---- writing ----

// Members of a structured value that `version` has. Nothing is left out where all are.
static enum err put_members(struct buf *out, uint16_t version, uint32_t tag, struct span members)
{
    const struct kmip_struct_info *info = kmip_struct_find(tag);
    struct cursor cursor = cursor_of(members);
    struct ttlv item;
    bool found;
    if (info == NULL)
        return buf_put(out, members);
    for (;;) {
        const uint8_t *start = cursor.rest.data;
        TRY(ttlv_next(&cursor, &item, &found));
        if (!found)
            return ERR_OK;
        size_t place = place_of(info, item.tag);
        if (place >= info->count ||
            !kmip_in_version(version, info->members[place].from, info->members[place].until))
            continue;
        TRY(buf_put(out, span_of(start, (size_t)(cursor.rest.data - start))));
    }
}

// An Enumeration's value, or the type, may be newer than the version.
static bool value_in_version(uint16_t version, const struct attr *attr)
{
    const struct kmip_tag_info *info = kmip_tag_find(attr->tag);
    if (attr->tag == ATTR_CUSTOM)
        return attr->type != TTLV_DATE_TIME_EXTENDED || kmip_is_2x(version);
    if (info == NULL || (kmip_tag_types(info, version) & KMIP_TYPE_BIT(attr->type)) == 0)
        return false;
    if (attr->type != TTLV_ENUMERATION || info->enum_id == KMIP_ENUM_NONE)
        return true;
    const struct kmip_enum_member *member =
        kmip_enum_member_find((enum kmip_enum_id)info->enum_id, (uint32_t)attr->number);
    return member == NULL || kmip_in_version(version, member->from, member->until);
}

// PyKMIP wants a Key Format Type in the Digest of 1.0, which has none there, and ends without it.
// So in 1.0 a Digest is given to those alone who name it.
static bool is_kept_back(uint16_t version, uint32_t tag)
{
    return tag == KMIP_TAG_DIGEST && version == KMIP_VERSION(1, 0);
}

static bool attr_in_version(uint16_t version, bool named, const struct attr *attr)
{
    if (attr->tag == ATTR_CUSTOM)
        return attr->name.len > 0;
    const struct kmip_attr_info *info = kmip_attr_by_tag(attr->tag);
    if (info == NULL)
        return false;
    if (named)
        return kmip_in_major(version, info->from, info->until);
    return kmip_in_version(version, info->from, info->until);
}

// Bits of a mask that the version has.
static int64_t mask_in_version(uint16_t version, const struct attr *attr)
{
    const struct kmip_tag_info *tag = kmip_tag_find(attr->tag);
    const struct kmip_enum_info *info =
        tag == NULL ? NULL : kmip_enum_find((enum kmip_enum_id)tag->enum_id);
    if (attr->type != TTLV_INTEGER || info == NULL || info->kind != KMIP_ENUM_KIND_MASK)
        return attr->number;
    int64_t number = attr->number;
    for (size_t i = 0; i < info->count; i++) {
        if (!kmip_in_version(version, info->members[i].from, info->members[i].until))
            number &= ~(int64_t)info->members[i].value;
    }
    return number;
}

static enum err put_value(struct buf *out, uint16_t version, uint32_t tag, const struct attr *attr)
{
    if (attr->type != TTLV_STRUCTURE)
        return ttlv_put_value(out, tag, attr->type, mask_in_version(version, attr), attr->bytes);
    size_t at;
    TRY(ttlv_begin(out, tag, &at));
    TRY(put_members(out, version, attr->tag, attr->bytes));
    ttlv_end(out, at);
    return ERR_OK;
}

static struct span name_of(const struct attr *attr)
{
    const struct kmip_attr_info *info = kmip_attr_by_tag(attr->tag);
    return info == NULL ? attr->name : span_str(info->name);
}

static enum err put_attr_2x(struct buf *out, uint16_t version, const struct attr *attr)
{
    if (attr->tag != ATTR_CUSTOM)
        return put_value(out, version, attr->tag, attr);
    size_t at;
    TRY(ttlv_begin(out, KMIP_TAG_ATTRIBUTE, &at));
    TRY(put_vendor_name(out, attr->name));
    TRY(put_value(out, version, KMIP_TAG_ATTRIBUTE_VALUE, attr));
    ttlv_end(out, at);
    return ERR_OK;
}

enum err kmip_put_attr(struct buf *out, uint16_t version, bool named, const struct attr *attr)
{
    if (!attr_in_version(version, named, attr) || !value_in_version(version, attr) ||
        (!named && is_kept_back(version, attr->tag)))
        return ERR_OK;
    if (kmip_is_2x(version))
        return put_attr_2x(out, version, attr);
    size_t at;
    TRY(ttlv_begin(out, KMIP_TAG_ATTRIBUTE, &at));
    TRY(ttlv_put_text(out, KMIP_TAG_ATTRIBUTE_NAME, name_of(attr)));
    // Index 0 is what a client takes when there is none.
    if (attr->index > 0)
        TRY(ttlv_put_integer(out, KMIP_TAG_ATTRIBUTE_INDEX, attr->index));
    TRY(put_value(out, version, KMIP_TAG_ATTRIBUTE_VALUE, attr));
    ttlv_end(out, at);
    return ERR_OK;
}

enum err kmip_put_attr_name(struct buf *out, uint16_t version, const struct attr *attr)
{
    if (!attr_in_version(version, false, attr))
        return ERR_OK;
    if (!kmip_is_2x(version))
        return ttlv_put_text(out, KMIP_TAG_ATTRIBUTE_NAME, name_of(attr));
    if (attr->tag != ATTR_CUSTOM)
        return ttlv_put_enumeration(out, KMIP_TAG_ATTRIBUTE_REFERENCE, attr->tag);
    size_t at;
    TRY(ttlv_begin(out, KMIP_TAG_ATTRIBUTE_REFERENCE, &at));
    TRY(put_vendor_name(out, attr->name));
    ttlv_end(out, at);
    return ERR_OK;
}
