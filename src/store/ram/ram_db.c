// SPDX-License-Identifier: Apache-2.0
//
// Tables of shared rows. Invariant: rows of a table are sorted by key, without doubles; a row that
// stands in a table holds one reference for it.
#include "store/ram/ram_db.h"

#include <stdlib.h>

static void row_unref(struct ram_row *row)
{
    if (--row->refs > 0)
        return;
    explicit_bzero(row->bytes, row->len);
    free(row);
}

enum err ram_db_new(struct ram_db **ret)
{
    struct ram_db *db = calloc(1, sizeof *db);
    if (db == NULL)
        FAIL(ERR_MEMORY, "no memory for a store");
    db->refs = 1;
    *ret = db;
    return ERR_OK;
}

struct ram_db *ram_db_ref(struct ram_db *db)
{
    db->refs++;
    return db;
}

void ram_db_unref(struct ram_db *db)
{
    if (db == NULL || --db->refs > 0)
        return;
    for (int table = 0; table < RAM_TABLES; table++) {
        for (size_t i = 0; i < db->tables[table].count; i++)
            row_unref(db->tables[table].rows[i]);
        free(db->tables[table].rows);
    }
    free(db);
}

enum err ram_db_clone(const struct ram_db *db, struct ram_db **ret)
{
    struct ram_db *copy = NULL;
    TRY(ram_db_new(&copy));
    copy->version = db->version;
    for (int table = 0; table < RAM_TABLES; table++) {
        size_t count = db->tables[table].count;
        if (count == 0)
            continue;
        struct ram_row **rows = calloc(count, sizeof(struct ram_row *));
        if (rows == NULL) {
            ram_db_unref(copy);
            FAIL(ERR_MEMORY, "no memory for a store");
        }
        for (size_t i = 0; i < count; i++) {
            rows[i] = db->tables[table].rows[i];
            rows[i]->refs++;
        }
        copy->tables[table].rows = rows;
        copy->tables[table].count = count;
        copy->tables[table].cap = count;
    }
    *ret = copy;
    return ERR_OK;
}

static int compare(const struct ram_row *row, struct span key)
{
    size_t least = row->key_len < key.len ? row->key_len : key.len;
    int order = memcmp(row->key, key.data, least);
    if (order != 0)
        return order;
    return row->key_len < key.len ? -1 : row->key_len > key.len;
}

size_t ram_db_place(const struct ram_db *db, enum ram_table table, struct span key)
{
    size_t low = 0;
    size_t high = db->tables[table].count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(db->tables[table].rows[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct ram_row *ram_db_find(const struct ram_db *db, enum ram_table table, struct span key)
{
    size_t place = ram_db_place(db, table, key);
    if (place == db->tables[table].count || compare(db->tables[table].rows[place], key) != 0)
        return NULL;
    return db->tables[table].rows[place];
}

static enum err make_row(struct span key, struct span head, struct span tail, struct ram_row **ret)
{
    if (key.len > sizeof(*ret)->key)
        FAIL(ERR_INVALID, "the key of a row has %zu bytes", key.len);
    struct ram_row *row = calloc(1, sizeof *row + head.len + tail.len);
    if (row == NULL)
        FAIL(ERR_MEMORY, "no memory for a row");
    row->refs = 1;
    row->key_len = key.len;
    row->len = head.len + tail.len;
    memcpy(row->key, key.data, key.len);
    memcpy(row->bytes, head.data, head.len);
    if (tail.len > 0)
        memcpy(row->bytes + head.len, tail.data, tail.len);
    *ret = row;
    return ERR_OK;
}

static enum err make_room(struct ram_db *db, enum ram_table table)
{
    if (db->tables[table].count < db->tables[table].cap)
        return ERR_OK;
    size_t cap = db->tables[table].cap * 2 + 16;
    struct ram_row **rows = reallocarray(db->tables[table].rows, cap, sizeof(struct ram_row *));
    if (rows == NULL)
        FAIL(ERR_MEMORY, "no memory for a table");
    db->tables[table].rows = rows;
    db->tables[table].cap = cap;
    return ERR_OK;
}

enum err ram_db_put(struct ram_db *db, enum ram_table table, struct span key, struct span head,
                    struct span tail)
{
    TRY(make_room(db, table));
    struct ram_row *row = NULL;
    TRY(make_row(key, head, tail, &row));
    size_t place = ram_db_place(db, table, key);
    struct ram_row **rows = db->tables[table].rows;
    size_t count = db->tables[table].count;
    if (place < count && compare(rows[place], key) == 0) {
        row_unref(rows[place]);
        rows[place] = row;
        return ERR_OK;
    }
    memmove(rows + place + 1, rows + place, (count - place) * sizeof(struct ram_row *));
    rows[place] = row;
    db->tables[table].count++;
    return ERR_OK;
}

void ram_db_remove(struct ram_db *db, enum ram_table table, size_t place)
{
    struct ram_row **rows = db->tables[table].rows;
    size_t count = --db->tables[table].count;
    row_unref(rows[place]);
    memmove(rows + place, rows + place + 1, (count - place) * sizeof(struct ram_row *));
}
