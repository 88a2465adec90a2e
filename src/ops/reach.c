// SPDX-License-Identifier: Apache-2.0
//
// A merge of sorted streams: one of the endpoint's own objects, one of each wallet. Each stream
// holds a page, and is asked for the next when that is used up.
#include "ops/reach.h"

#include <stdlib.h>

enum { ROWS_MAX = 500, ROWS_MIN = 8, PAGE_BYTES = 64 * 1024 * 1024 };

struct stream {
    struct store_query query;
    struct arena *page;
    struct store_object *rows;
    size_t count, at;
    bool ended;
};

struct reach {
    struct store *store;
    bool newest_first;
    struct uuid last; // what was handed out last
    bool begun;       // there is such a thing
    size_t count;
    struct stream streams[];
};

static bool is_last(const struct store_grant *grants, size_t count, size_t i)
{
    return i + 1 == count || memcmp(&grants[i].wallet, &grants[i + 1].wallet, UUID_LEN) != 0;
}

void reach_freep(struct reach **reach)
{
    for (size_t i = 0; *reach != NULL && i < (*reach)->count; i++)
        arena_freep(&(*reach)->streams[i].page);
    free(*reach);
    *reach = NULL;
}

static enum err add_stream(struct reach *reach, const struct store_query *query)
{
    struct stream *stream = &reach->streams[reach->count];
    TRY(arena_new(PAGE_BYTES, &stream->page));
    stream->query = *query;
    reach->count++;
    return ERR_OK;
}

enum err reach_new(struct op *op, const struct uuid *who, const struct store_query *filter,
                   struct reach **ret)
{
    struct store_grant *grants = NULL;
    size_t count = 0;
    struct store_query query = *filter;
    TRY(store_grant_reach(op->ops->set.store, who, op->arena, &grants, &count));
    size_t rows = ROWS_MAX / (count + 1);
    CLEANUP(reach_freep)
    struct reach *reach = calloc(1, sizeof *reach + (count + 1) * sizeof *reach->streams);
    if (reach == NULL)
        FAIL(ERR_MEMORY, "no memory for a search");
    reach->store = op->ops->set.store;
    reach->newest_first = filter->newest_first;
    query.skip = 0;
    query.limit = rows < ROWS_MIN ? ROWS_MIN : (uint32_t)rows;
    query.owner = *who;
    query.any_owner = false;
    TRY(add_stream(reach, &query));
    // Grants stand in order of the wallet: of several on one wallet the last counts.
    query.any_owner = true;
    for (size_t i = 0; i < count; i++) {
        bool wanted = uuid_is_zero(&filter->wallet) ||
                      memcmp(&filter->wallet, &grants[i].wallet, UUID_LEN) == 0;
        query.wallet = grants[i].wallet;
        if (wanted && is_last(grants, count, i))
            TRY(add_stream(reach, &query));
    }
    *ret = reach;
    reach = NULL;
    return ERR_OK;
}

bool reach_has_wallets(const struct reach *reach)
{
    return reach->count > 1;
}

// Whether `a` stands before `b` in the order that is wanted.
static bool before(const struct reach *reach, const struct uuid *a, const struct uuid *b)
{
    int order = memcmp(a, b, UUID_LEN);
    return reach->newest_first ? order > 0 : order < 0;
}

// The stream's next row that was not handed out yet, or NULL.
static enum err head(struct reach *reach, struct stream *stream, const struct store_object **ret)
{
    *ret = NULL;
    for (;;) {
        for (; stream->at < stream->count; stream->at++) {
            if (!reach->begun || before(reach, &reach->last, &stream->rows[stream->at].id)) {
                *ret = &stream->rows[stream->at];
                return ERR_OK;
            }
        }
        if (stream->ended)
            return ERR_OK;
        if (stream->count > 0)
            stream->query.after = stream->rows[stream->count - 1].id;
        arena_reset(stream->page);
        stream->at = 0;
        TRY(store_object_find(reach->store, &stream->query, stream->page, &stream->rows,
                              &stream->count));
        stream->ended = stream->count < stream->query.limit;
    }
}

enum err reach_next(struct reach *reach, const struct store_object **ret)
{
    const struct store_object *first = NULL;
    for (size_t i = 0; i < reach->count; i++) {
        const struct store_object *row = NULL;
        TRY(head(reach, &reach->streams[i], &row));
        if (row != NULL && (first == NULL || before(reach, &row->id, &first->id)))
            first = row;
    }
    if (first != NULL) {
        reach->last = first->id;
        reach->begun = true;
    }
    *ret = first;
    return ERR_OK;
}
