// SPDX-License-Identifier: Apache-2.0
//
// Either the store's rows, or those of ops/reach.h.
#include "ops/walk.h"

#include <stdlib.h>

#include "ops/reach.h"

enum { PAGE_ROWS = 500, PAGE_BYTES = 64 * 1024 * 1024 };

struct walk {
    struct store *store;
    struct reach *reach; // NULL: the store's
    struct store_query query;
    struct arena *page;
    struct store_object *rows;
    size_t count, at;
    bool ended;
};

void walk_freep(struct walk **walk)
{
    if (*walk == NULL)
        return;
    reach_freep(&(*walk)->reach);
    arena_freep(&(*walk)->page);
    free(*walk);
    *walk = NULL;
}

enum err walk_new(struct op *op, const struct store_query *query, bool any, struct walk **ret)
{
    CLEANUP(walk_freep) struct walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL)
        FAIL(ERR_MEMORY, "no memory for a search");
    walk->store = op->ops->set.store;
    walk->query = *query;
    walk->query.skip = 0;
    walk->query.limit = PAGE_ROWS;
    TRY(any ? arena_new(PAGE_BYTES, &walk->page) : reach_new(op, &op->who.id, query, &walk->reach));
    *ret = walk;
    walk = NULL;
    return ERR_OK;
}

static enum err next_page(struct walk *walk)
{
    arena_reset(walk->page);
    walk->at = 0;
    TRY(store_object_find(walk->store, &walk->query, walk->page, &walk->rows, &walk->count));
    walk->ended = walk->count < walk->query.limit;
    if (walk->count > 0)
        walk->query.after = walk->rows[walk->count - 1].id;
    return ERR_OK;
}

enum err walk_next(struct walk *walk, const struct store_object **ret)
{
    *ret = NULL;
    if (walk->reach != NULL)
        return reach_next(walk->reach, ret);
    if (walk->at == walk->count && !walk->ended)
        TRY(next_page(walk));
    if (walk->at < walk->count)
        *ret = &walk->rows[walk->at++];
    return ERR_OK;
}
