// SPDX-License-Identifier: Apache-2.0
//
// Lists of attributes. A list lives in an arena and doubles when it is full; it never holds more
// than ATTRS_MAX.
#include "model/model.h"

enum { FIRST_CAP = 8 };

static enum err grow(struct attrs *attrs, struct arena *arena)
{
    if (attrs->count >= ATTRS_MAX)
        FAIL(ERR_TOO_LARGE, "there are more than %d attributes", ATTRS_MAX);
    size_t cap = attrs->cap == 0 ? FIRST_CAP : attrs->cap * 2;
    if (cap > ATTRS_MAX)
        cap = ATTRS_MAX;
    struct attr *items = NULL;
    TRY(arena_alloc(arena, cap, sizeof *items, &items));
    if (attrs->count > 0)
        memcpy(items, attrs->items, attrs->count * sizeof *items);
    attrs->items = items;
    attrs->cap = cap;
    return ERR_OK;
}

enum err attrs_add(struct attrs *attrs, struct arena *arena, const struct attr *attr)
{
    // `attr` may stand in the list itself, which grow() leaves readable where it was.
    if (attrs->count >= attrs->cap)
        TRY(grow(attrs, arena));
    attrs->items[attrs->count++] = *attr;
    return ERR_OK;
}

const struct attr *attrs_find(const struct attrs *attrs, uint32_t tag)
{
    for (size_t i = 0; i < attrs->count; i++) {
        if (attrs->items[i].tag == tag)
            return &attrs->items[i];
    }
    return NULL;
}

bool attr_same(const struct attr *a, const struct attr *b)
{
    return a->tag == b->tag && (a->tag != ATTR_CUSTOM || span_eq(a->name, b->name));
}

bool attr_equal(const struct attr *a, const struct attr *b)
{
    return attr_same(a, b) && a->type == b->type && a->number == b->number &&
           span_eq(a->bytes, b->bytes);
}
