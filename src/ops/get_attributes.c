// SPDX-License-Identifier: Apache-2.0
//
// Get Attributes and Get Attribute List (KMIP 1.4 sections 4.12, 4.13): all attributes, or those
// that are named; one that the object lacks is left out. Destroyed objects still have theirs.
#include "ops/attributes.h"
#include "ops/verbs.h"

static bool is_wanted(const struct attrs *names, const struct attr *attr)
{
    for (size_t i = 0; i < names->count; i++) {
        if (attr_same(&names->items[i], attr))
            return true;
    }
    return names->count == 0;
}

enum err get_attributes_run(struct op *op)
{
    struct object object;
    struct attrs all;
    TRY(object_get_attrs(op, &object));
    TRY(attributes_all(op, &object, &all));
    for (size_t i = 0; i < all.count; i++) {
        if (is_wanted(&op->request->attrs, &all.items[i]))
            TRY(attrs_add(&op->reply->attrs, op->arena, &all.items[i]));
    }
    op->reply->uid = object.uid;
    return ERR_OK;
}

// Each name once, however many instances there are.
enum err get_attribute_list_run(struct op *op)
{
    struct object object;
    struct attrs all;
    struct attrs *names = &op->reply->attrs;
    TRY(object_get_attrs(op, &object));
    TRY(attributes_all(op, &object, &all));
    for (size_t i = 0; i < all.count; i++) {
        struct attr name = {.tag = all.items[i].tag, .name = all.items[i].name};
        if (names->count == 0 || !is_wanted(names, &name))
            TRY(attrs_add(names, op->arena, &name));
    }
    op->reply->uid = object.uid;
    return ERR_OK;
}
