// SPDX-License-Identifier: Apache-2.0
//
// The rules by which a client changes attributes: the generated table says which verb is open for
// which attribute, lifecycle.c in which state a date may move, and Sensitive and Extractable only
// ever get stricter.
#include "ops/rules.h"

#include "wire/ttlv.h"

bool rules_may(const struct attr *attr, unsigned flag)
{
    if (attr->tag == ATTR_CUSTOM)
        return true;
    const struct kmip_attr_info *info = kmip_attr_by_tag(attr->tag);
    return info != NULL && (info->flags & flag) != 0;
}

struct span rules_name(const struct attr *attr)
{
    if (attr->tag == ATTR_CUSTOM)
        return attr->name.len > 128 ? span_of(attr->name.data, 128) : attr->name;
    const struct kmip_attr_info *info = kmip_attr_by_tag(attr->tag);
    return span_str(info == NULL ? "unknown" : info->name);
}

int32_t rules_next_index(const struct attrs *attrs, const struct attr *attr)
{
    int32_t next = 0;
    for (size_t i = 0; i < attrs->count; i++) {
        if (attr_same(&attrs->items[i], attr) && attrs->items[i].index >= next)
            next = attrs->items[i].index + 1;
    }
    return next;
}

static enum err refuse_read_only(const struct attr *attr)
{
    struct span name = rules_name(attr);
    FAIL(ERR_READ_ONLY, "attribute \"%.*s\" cannot be set by a client", (int)name.len,
         (const char *)name.data);
}

static bool is_plain_text(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    }
    return span_is_utf8(text);
}

enum err rules_check_value(const struct attr *attr)
{
    struct span name = rules_name(attr);
    struct span value = attr->bytes;
    if (attr->tag == ATTR_CUSTOM &&
        (attr->name.len == 0 || attr->name.len > RULES_NAME_MAX || !is_plain_text(attr->name)))
        FAIL(ERR_INVALID, "a custom attribute's name is empty, too long or not plain text");
    if (attr->bytes.len > TEXT_MAX)
        FAIL(ERR_INVALID, "the value of \"%.*s\" is longer than %d bytes", (int)name.len,
             (const char *)name.data, TEXT_MAX);
    if (attr->tag == KMIP_TAG_NAME) {
        struct ttlv item = {0};
        if (attr->type != ATTR_STRUCTURE || !ttlv_find(attr->bytes, KMIP_TAG_NAME_VALUE, &item) ||
            item.value.len == 0)
            FAIL(ERR_INVALID, "a name must not be empty");
        if (!is_plain_text(item.value))
            FAIL(ERR_INVALID, "a name holds a control character or is not UTF-8");
    }
    if (attr->type == ATTR_TEXT && !span_is_utf8(value))
        FAIL(ERR_INVALID, "the value of \"%.*s\" is not UTF-8", (int)name.len,
             (const char *)name.data);
    return ERR_OK;
}

static uint32_t flag_of(uint32_t tag)
{
    if (tag == KMIP_TAG_SENSITIVE)
        return OBJECT_SENSITIVE;
    return tag == KMIP_TAG_EXTRACTABLE ? OBJECT_EXTRACTABLE : 0;
}

static void set_flag(struct object *object, uint32_t flag, bool on)
{
    object->row.flags = on ? object->row.flags | flag : object->row.flags & ~flag;
}

// Sensitive may only be switched on, Extractable only off (the other way needs more than being the
// owner).
static enum err tighten(struct object *object, uint32_t flag, bool on)
{
    bool is_on = (object->row.flags & flag) != 0;
    bool stricter = flag == OBJECT_SENSITIVE ? on : !on;
    if (is_on != on && !stricter)
        FAIL(ERR_NOT_PERMITTED, "Sensitive and Extractable can only be made stricter");
    set_flag(object, flag, on);
    return ERR_OK;
}

static const struct attr *find_equal(const struct attrs *attrs, const struct attr *attr)
{
    for (size_t i = 0; i < attrs->count; i++) {
        if (attr_equal(&attrs->items[i], attr))
            return &attrs->items[i];
    }
    return NULL;
}

static struct attr *find_instance(struct attrs *attrs, const struct attr *attr, int32_t index)
{
    for (size_t i = 0; i < attrs->count; i++) {
        if (attr_same(&attrs->items[i], attr) &&
            (index == ATTR_NO_INDEX || attrs->items[i].index == index))
            return &attrs->items[i];
    }
    return NULL;
}

static enum err missing(const struct attr *attr)
{
    struct span name = rules_name(attr);
    FAIL(ERR_NO_ATTRIBUTE, "the object has no attribute \"%.*s\" of this index or value",
         (int)name.len, (const char *)name.data);
}

// Puts one more instance into the sealed list.
static enum err append(struct op *op, struct object *object, const struct attr *attr,
                       struct attr *ret)
{
    struct span name = rules_name(attr);
    struct attr stored = *attr;
    TRY(rules_check_value(attr));
    stored.index = rules_next_index(&object->attrs, attr);
    if (stored.index > 0 && !rules_may(attr, KMIP_ATTR_MULTI))
        FAIL(ERR_SINGLE_VALUED, "attribute \"%.*s\" has one value only", (int)name.len,
             (const char *)name.data);
    if (find_equal(&object->attrs, attr) != NULL)
        FAIL(ERR_CONFLICT, "the object has this value of \"%.*s\" already", (int)name.len,
             (const char *)name.data);
    *ret = stored;
    return attrs_add(&object->attrs, op->arena, &stored);
}

static enum err take_one(struct op *op, struct object *object, const struct attr *attr)
{
    struct attr stored;
    if (attr->tag == KMIP_TAG_OBJECT_TYPE && attr->number == object->row.type)
        return ERR_OK; // said twice, as some clients do
    if (!rules_may(attr, KMIP_ATTR_SET))
        return refuse_read_only(attr);
    if (lifecycle_date(&object->row.dates, attr->tag) != NULL)
        return lifecycle_set_date(&object->row.dates, attr->tag, attr->number, op->now);
    if (flag_of(attr->tag) != 0) {
        set_flag(object, flag_of(attr->tag), attr->number != 0);
        return ERR_OK;
    }
    return append(op, object, attr, &stored);
}

enum err rules_take(struct op *op, struct object *object, const struct attrs *given)
{
    // Dates depend on each other: they are set as on an object that has none of them reached.
    struct op before = *op;
    before.now = INT64_MIN;
    for (size_t i = 0; i < given->count; i++) {
        const struct attr *attr = &given->items[i];
        bool is_date = lifecycle_date(&object->row.dates, attr->tag) != NULL;
        TRY(take_one(is_date ? &before : op, object, attr));
    }
    return ERR_OK;
}

enum err rules_add(struct op *op, struct object *object, const struct attr *attr, struct attr *ret)
{
    int64_t *date = lifecycle_date(&object->row.dates, attr->tag);
    if (!rules_may(attr, KMIP_ATTR_ADD)) {
        if (flag_of(attr->tag) != 0)
            FAIL(ERR_SINGLE_VALUED, "the object has this attribute already");
        return refuse_read_only(attr);
    }
    if (date == NULL)
        return append(op, object, attr, ret);
    if (*date != 0)
        FAIL(ERR_SINGLE_VALUED, "the object has this date already");
    *ret = *attr;
    ret->index = 0;
    return lifecycle_set_date(&object->row.dates, attr->tag, attr->number, op->now);
}

static enum err modify_date(struct op *op, struct object *object, const struct attr *attr,
                            const struct attr *current)
{
    int64_t date = *lifecycle_date(&object->row.dates, attr->tag);
    if (date == 0 || (current != NULL && current->number != date))
        return missing(attr);
    return lifecycle_set_date(&object->row.dates, attr->tag, attr->number, op->now);
}

enum err rules_modify(struct op *op, struct object *object, const struct attr *attr,
                      const struct attr *current, struct attr *ret)
{
    if (!rules_may(attr, KMIP_ATTR_MODIFY))
        return refuse_read_only(attr);
    if (current != NULL && !attr_same(attr, current))
        FAIL(ERR_INVALID, "the current and the new attribute are not the same one");
    TRY(rules_check_value(attr));
    *ret = *attr;
    ret->index = attr->index < 0 ? 0 : attr->index;
    if (flag_of(attr->tag) != 0)
        return tighten(object, flag_of(attr->tag), attr->number != 0);
    if (lifecycle_date(&object->row.dates, attr->tag) != NULL)
        return modify_date(op, object, attr, current);
    struct attr *stored = NULL;
    if (current != NULL)
        stored = (struct attr *)(uintptr_t)find_equal(&object->attrs, current);
    else
        stored = find_instance(&object->attrs, attr, ret->index);
    if (stored == NULL)
        return missing(attr);
    const struct attr *equal = find_equal(&object->attrs, attr);
    if (equal != NULL && equal != stored)
        FAIL(ERR_CONFLICT, "the object has this value already");
    ret->index = stored->index;
    *stored = *ret;
    return ERR_OK;
}

static void remove_at(struct attrs *attrs, size_t at)
{
    attrs->count--;
    memmove(&attrs->items[at], &attrs->items[at + 1], (attrs->count - at) * sizeof *attrs->items);
}

enum err rules_delete(struct op *op, struct object *object, const struct attr *attr, bool by_value,
                      bool every, struct attr *ret)
{
    (void)op;
    bool found = false;
    int32_t index = attr->index < 0 ? 0 : attr->index;
    if (!rules_may(attr, KMIP_ATTR_DELETE))
        return refuse_read_only(attr);
    for (size_t i = 0; i < object->attrs.count;) {
        const struct attr *at = &object->attrs.items[i];
        bool meant =
            by_value ? attr_equal(at, attr) : attr_same(at, attr) && (every || at->index == index);
        if (!meant) {
            i++;
            continue;
        }
        if (!found)
            *ret = *at;
        found = true;
        remove_at(&object->attrs, i);
    }
    return found ? ERR_OK : missing(attr);
}

void rules_drop(struct attrs *attrs, const struct attr *attr)
{
    for (size_t i = 0; i < attrs->count;) {
        if (attr_same(&attrs->items[i], attr))
            remove_at(attrs, i);
        else
            i++;
    }
}

enum err rules_check_alive(const struct op *op, const struct object *object)
{
    if (lifecycle_is_destroyed(lifecycle_state_at(&object->row.dates, op->now)))
        FAIL(ERR_DESTROYED, "the object is destroyed; its attributes cannot be changed");
    return ERR_OK;
}
