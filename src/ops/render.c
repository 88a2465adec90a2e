// SPDX-License-Identifier: Apache-2.0
//
// Values by their type: numbers as numbers or names, dates in RFC 3339, bytes in hexadecimal,
// structures as objects, to a bounded depth.
#include "ops/render.h"

#include <stdio.h>
#include <strings.h>

#include "base/hex.h"
#include "ops/doc.h"
#include "ops/rules.h"
#include "wire/ttlv.h"

enum { HEX_BYTES_MAX = 1024 };

json_t *render_enum(enum kmip_enum_id id, uint32_t value)
{
    char number[16];
    const struct kmip_enum_member *member = kmip_enum_member_find(id, value);
    if (member != NULL)
        return json_string(member->name);
    (void)snprintf(number, sizeof number, "0x%08x", (unsigned)value);
    return json_string(number);
}

enum err render_find_enum(enum kmip_enum_id id, struct span name, uint32_t *ret)
{
    const struct kmip_enum_info *info = kmip_enum_find(id);
    for (size_t i = 0; info != NULL && i < info->count; i++) {
        const char *known = info->members[i].name;
        if (strlen(known) == name.len &&
            strncasecmp(known, (const char *)name.data, name.len) == 0) {
            *ret = info->members[i].value;
            return ERR_OK;
        }
    }
    FAIL(ERR_INVALID, "there is no \"%.*s\" among the values of %s", (int)name.len,
         (const char *)name.data, info == NULL ? "this enumeration" : info->name);
}

static json_t *render_bytes(struct span bytes)
{
    char hex[2 * HEX_BYTES_MAX + 1];
    if (bytes.len > HEX_BYTES_MAX)
        bytes.len = HEX_BYTES_MAX;
    hex_text(bytes, hex);
    return json_string(hex);
}

static bool is_mask(enum kmip_enum_id id)
{
    const struct kmip_enum_info *info = kmip_enum_find(id);
    return info != NULL && info->kind == KMIP_ENUM_KIND_MASK;
}

// The names of the bits that are set.
static json_t *render_mask(enum kmip_enum_id id, uint32_t mask)
{
    json_t *list = json_array();
    for (uint32_t bit = 1; list != NULL && bit != 0; bit <<= 1) {
        if ((mask & bit) != 0 && json_array_append_new(list, render_enum(id, bit)) != 0)
            break;
    }
    return list;
}

static json_t *render_number(uint32_t tag, uint8_t type, int64_t number)
{
    const struct kmip_tag_info *info = kmip_tag_find(tag);
    if (type == ATTR_INTEGER && info != NULL && is_mask((enum kmip_enum_id)info->enum_id))
        return render_mask((enum kmip_enum_id)info->enum_id, (uint32_t)number);
    switch (type) {
    case ATTR_ENUMERATION:
        return info != NULL ? render_enum((enum kmip_enum_id)info->enum_id, (uint32_t)number)
                            : json_integer(number);
    case ATTR_BOOLEAN:
        return json_boolean(number != 0);
    case ATTR_DATE_TIME:
        return doc_time(number);
    default:
        return json_integer(number);
    }
}

static json_t *render_structure(struct span members, int depth);

static json_t *render_item(const struct ttlv *item, int depth)
{
    int64_t number = 0;
    if (item->type == TTLV_STRUCTURE)
        return render_structure(item->value, depth + 1);
    if (item->type == TTLV_TEXT)
        return doc_string(item->value);
    if (ttlv_type_is_number(item->type) && ttlv_number(item, &number) == ERR_OK)
        return render_number(item->tag, item->type, number);
    return render_bytes(item->value);
}

// Recursion ends at RENDER_DEPTH.
static json_t *render_structure(struct span members, int depth)
{
    bool found = true;
    struct ttlv item;
    struct cursor in = cursor_of(members);
    json_t *object = json_object();
    while (object != NULL && depth < RENDER_DEPTH && ttlv_next(&in, &item, &found) == ERR_OK &&
           found) {
        char number[16];
        const struct kmip_tag_info *info = kmip_tag_find(item.tag);
        (void)snprintf(number, sizeof number, "0x%06x", (unsigned)item.tag);
        if (json_object_set_new(object, info != NULL ? info->name : number,
                                render_item(&item, depth)) != 0)
            break;
    }
    return object;
}

static json_t *render_value(const struct attr *attr)
{
    if (attr->type == ATTR_STRUCTURE)
        return render_structure(attr->bytes, 0);
    if (attr->type == ATTR_TEXT)
        return doc_string(attr->bytes);
    if (attr->type == ATTR_BYTES || attr->type == ATTR_BIG_INTEGER)
        return render_bytes(attr->bytes);
    return render_number(attr->tag, attr->type, attr->number);
}

enum err render_attrs(const struct attrs *attrs, json_t **ret)
{
    CLEANUP(doc_freep) json_t *list = json_array();
    for (size_t i = 0; i < attrs->count; i++) {
        const struct attr *attr = &attrs->items[i];
        json_t *item = json_pack("{s:o, s:i, s:o}", "name", doc_string(rules_name(attr)), "index",
                                 (int)attr->index, "value", render_value(attr));
        if (item == NULL || json_array_append_new(list, item) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    *ret = json_incref(list);
    return ERR_OK;
}
