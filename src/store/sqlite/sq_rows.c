// SPDX-License-Identifier: Apache-2.0
//
// Loops over rows.
#include "store/sqlite/sq_rows.h"

enum { FIRST_ROWS = 16 };

enum err sq_rows_one(struct sq_call *call, sq_take_fn *take, struct arena *arena, const char *what,
                     void *ret)
{
    bool row = false;
    TRY(sq_call_step(call, &row));
    if (!row)
        FAIL(ERR_NOT_FOUND, "there is no such %s", what);
    return take(call, arena, ret);
}

struct rows {
    uint8_t *items;
    size_t size; // of an item
    size_t count;
    size_t room;
};

// Room for one more: the list doubles within the arena.
static enum err grow(struct arena *arena, struct rows *rows)
{
    if (rows->count < rows->room)
        return ERR_OK;
    size_t larger = rows->room == 0 ? FIRST_ROWS : rows->room * 2;
    uint8_t *copy = NULL;
    TRY(arena_alloc(arena, larger, rows->size, &copy));
    if (rows->count > 0)
        memcpy(copy, rows->items, rows->count * rows->size);
    rows->items = copy;
    rows->room = larger;
    return ERR_OK;
}

enum err sq_rows_all(struct sq_call *call, size_t size, sq_take_fn *take, struct arena *arena,
                     void *ret, size_t *ret_count)
{
    struct rows rows = {.size = size};
    for (;; rows.count++) {
        bool row = false;
        TRY(sq_call_step(call, &row));
        if (!row)
            break;
        TRY(grow(arena, &rows));
        TRY(take(call, arena, rows.items + rows.count * size));
    }
    memcpy(ret, &rows.items, sizeof rows.items);
    *ret_count = rows.count;
    return ERR_OK;
}

static enum err take_id(struct sq_call *call, struct arena *arena, void *item)
{
    struct uuid *id = item;
    (void)arena;
    return sq_call_get_fixed(call, id->bytes, UUID_LEN);
}

enum err sq_rows_ids(struct sq_db *db, enum sq_statement which, const struct uuid *of,
                     const struct uuid *after, uint32_t limit, struct arena *arena,
                     struct uuid **ret, size_t *ret_count)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, which, &call));
    sq_call_uuid(&call, of);
    sq_call_uuid(&call, after);
    sq_call_int(&call, limit);
    return sq_rows_all(&call, sizeof **ret, take_id, arena, ret, ret_count);
}

enum err sq_rows_exist(struct sq_db *db, enum sq_statement which, const struct uuid *id,
                       const char *what)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, which, &call));
    sq_call_uuid(&call, id);
    TRY(sq_call_step(&call, &row));
    if (!row)
        FAIL(ERR_NOT_FOUND, "there is no such %s", what);
    return ERR_OK;
}

enum err sq_rows_run(struct sq_db *db, enum sq_statement which, const struct uuid *id)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, which, &call));
    sq_call_uuid(&call, id);
    return sq_call_run(&call, NULL);
}
