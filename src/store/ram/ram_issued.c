// SPDX-License-Identifier: Apache-2.0
//
// Certificates that were issued.
#include "store/ram/ram_issued.h"

static struct span key_of(const uint8_t fingerprint[32])
{
    return span_of(fingerprint, 32);
}

static const struct store_issued *row_at(const struct ram_db *db, size_t i)
{
    return (const void *)db->tables[RAM_ISSUED].rows[i]->bytes;
}

static enum err put(struct ram_db *db, const struct store_issued *issued)
{
    return ram_db_put(db, RAM_ISSUED, key_of(issued->fingerprint), span_of(issued, sizeof *issued),
                      span_str(""));
}

enum err ram_issued_put(struct ram_db *db, const struct store_issued *issued)
{
    if (ram_db_find(db, RAM_ISSUED, key_of(issued->fingerprint)) != NULL)
        FAIL(ERR_CONFLICT, "the certificate was issued already");
    return put(db, issued);
}

enum err ram_issued_get(const struct ram_db *db, const uint8_t fingerprint[32],
                        struct store_issued *ret)
{
    const struct ram_row *row = ram_db_find(db, RAM_ISSUED, key_of(fingerprint));
    if (row == NULL)
        FAIL(ERR_NOT_FOUND, "no such certificate was issued");
    *ret = *(const struct store_issued *)(const void *)row->bytes;
    return ERR_OK;
}

enum err ram_issued_end(struct ram_db *db, const struct uuid *holder, const uint8_t *fingerprint,
                        int64_t when_s, uint32_t reason)
{
    for (size_t i = 0; i < db->tables[RAM_ISSUED].count; i++) {
        struct store_issued row = *row_at(db, i);
        if (memcmp(&row.holder, holder, sizeof *holder) != 0 ||
            (row.ended != 0 && row.ended <= when_s) ||
            (fingerprint != NULL && memcmp(row.fingerprint, fingerprint, 32) != 0))
            continue;
        row.ended = when_s;
        row.reason = reason;
        TRY(put(db, &row));
    }
    return ERR_OK;
}

static bool passes(const struct store_issued *row, enum issued_filter filter, int64_t at)
{
    switch (filter) {
    case ISSUED_STANDING:
        return row->expires > at && row->ended == 0;
    case ISSUED_COUNTING:
        return row->expires > at && (row->ended == 0 || row->ended > at);
    case ISSUED_ENDED:
        return row->ended > 0 && row->ended <= at;
    case ISSUED_ANY:
        break;
    }
    return true;
}

static bool matches(const struct store_issued *row, const struct store_issued_query *query)
{
    if (!uuid_is_zero(&query->authority) &&
        memcmp(&row->authority, &query->authority, sizeof row->authority) != 0)
        return false;
    if (!uuid_is_zero(&query->holder) &&
        memcmp(&row->holder, &query->holder, sizeof row->holder) != 0)
        return false;
    if (query->expires_before != 0 && row->expires >= query->expires_before)
        return false;
    return passes(row, query->filter, query->at);
}

enum err ram_issued_list(const struct ram_db *db, const struct store_issued_query *query,
                         struct arena *arena, struct store_issued **ret, size_t *ret_count)
{
    size_t count = 0;
    struct store_issued *list = NULL;
    TRY(arena_alloc(arena, query->limit, sizeof *list, &list));
    for (size_t i = 0; i < db->tables[RAM_ISSUED].count && count < query->limit; i++) {
        const struct store_issued *row = row_at(db, i);
        if (memcmp(row->fingerprint, query->after, sizeof query->after) > 0 && matches(row, query))
            list[count++] = *row;
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

enum err ram_issued_count(const struct ram_db *db, const struct store_issued_query *query,
                          uint64_t *ret)
{
    uint64_t count = 0;
    for (size_t i = 0; i < db->tables[RAM_ISSUED].count; i++)
        count += matches(row_at(db, i), query);
    *ret = count;
    return ERR_OK;
}

enum err ram_issued_forget(struct ram_db *db, int64_t before_s)
{
    for (size_t i = db->tables[RAM_ISSUED].count; i-- > 0;) {
        if (row_at(db, i)->expires < before_s && row_at(db, i)->ended > 0)
            ram_db_remove(db, RAM_ISSUED, i);
    }
    return ERR_OK;
}
