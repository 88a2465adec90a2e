// SPDX-License-Identifier: Apache-2.0
//
// Objects. Invariants: object.found_by lists exactly the object's rows of object_index, sorted, 21
// bytes each (kind, hash, only_one); whatever can conflict is looked at before the first change, so
// that a put or update that fails with a conflict leaves nothing behind.
#include "store/sqlite/sq_object.h"

#include <stdlib.h>

enum { ENTRY_LEN = 4 + STORE_HASH_LEN + 1 };

// An entry of found_by: kind (big-endian), hash, only_one. Same kind and hash are the same entry.
static int compare_entries(const void *a, const void *b)
{
    return memcmp(a, b, ENTRY_LEN - 1);
}

// Sorted, without doubles: of two with the same kind and hash the unique one stays.
static enum err make_entries(const struct store_index *index, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        TRY(buf_put_u32(out, index[i].kind));
        TRY(buf_put(out, span_of(index[i].hash, STORE_HASH_LEN)));
        TRY(buf_put_u8(out, index[i].unique ? 1 : 0));
    }
    if (count == 0)
        return ERR_OK;
    qsort(out->data, count, ENTRY_LEN, compare_entries);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        uint8_t *last = out->data + (kept - 1) * ENTRY_LEN;
        const uint8_t *entry = out->data + i * ENTRY_LEN;
        if (compare_entries(last, entry) == 0)
            last[ENTRY_LEN - 1] |= entry[ENTRY_LEN - 1];
        else
            memmove(out->data + kept++ * ENTRY_LEN, entry, ENTRY_LEN);
    }
    out->len = kept * ENTRY_LEN;
    return ERR_OK;
}

static int64_t entry_kind(const uint8_t *entry)
{
    return (int64_t)entry[0] << 24 | entry[1] << 16 | entry[2] << 8 | entry[3];
}

static enum err put_entry(struct sq_db *db, const struct uuid *owner, const struct uuid *id,
                          const uint8_t *entry)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_INDEX_PUT, &call));
    sq_call_int(&call, entry_kind(entry));
    sq_call_blob(&call, span_of(entry + 4, STORE_HASH_LEN));
    sq_call_uuid(&call, owner);
    sq_call_uuid(&call, id);
    sq_call_int(&call, entry[ENTRY_LEN - 1]);
    return sq_call_run(&call, NULL);
}

static enum err drop_entry(struct sq_db *db, const struct uuid *owner, const struct uuid *id,
                           const uint8_t *entry)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_INDEX_DROP, &call));
    sq_call_int(&call, entry_kind(entry));
    sq_call_blob(&call, span_of(entry + 4, STORE_HASH_LEN));
    sq_call_uuid(&call, owner);
    sq_call_uuid(&call, id);
    TRY(sq_call_run(&call, &changes));
    if (changes != 1)
        FAIL(ERR_DAMAGED, "a value that an object is found by is missing from the index");
    return ERR_OK;
}

// Drops the entries that are in `old` and not, octet for octet, in `new`.
static enum err drop_missing(struct sq_db *db, const struct uuid *owner, const struct uuid *id,
                             struct span old, struct span new)
{
    for (size_t at = 0, other = 0; at < old.len; at += ENTRY_LEN) {
        const uint8_t *entry = old.data + at;
        while (other < new.len && memcmp(new.data + other, entry, ENTRY_LEN) < 0)
            other += ENTRY_LEN;
        if (other >= new.len || memcmp(new.data + other, entry, ENTRY_LEN) != 0)
            TRY(drop_entry(db, owner, id, entry));
    }
    return ERR_OK;
}

static enum err put_missing(struct sq_db *db, const struct uuid *owner, const struct uuid *id,
                            struct span old, struct span new)
{
    for (size_t at = 0, other = 0; at < new.len; at += ENTRY_LEN) {
        const uint8_t *entry = new.data + at;
        while (other < old.len && memcmp(old.data + other, entry, ENTRY_LEN) < 0)
            other += ENTRY_LEN;
        if (other >= old.len || memcmp(old.data + other, entry, ENTRY_LEN) != 0)
            TRY(put_entry(db, owner, id, entry));
    }
    return ERR_OK;
}

// No other object of the owner may have one of the unique values. Asked before anything is changed,
// so that a conflict leaves nothing behind and costs no savepoint; nobody can come between, since
// only one process at a time holds the write transaction.
static enum err check_unique(struct sq_db *db, const struct store_object *object,
                             struct span entries)
{
    for (size_t at = 0; at < entries.len; at += ENTRY_LEN) {
        bool row = false;
        const uint8_t *entry = entries.data + at;
        struct sq_call call CLEANUP(sq_call_done) = {0};
        if (entry[ENTRY_LEN - 1] == 0)
            continue;
        TRY(sq_call_start(db, SQ_INDEX_UNIQUE, &call));
        sq_call_int(&call, entry_kind(entry));
        sq_call_blob(&call, span_of(entry + 4, STORE_HASH_LEN));
        sq_call_uuid(&call, &object->owner);
        sq_call_uuid(&call, &object->id);
        TRY(sq_call_step(&call, &row));
        if (row)
            FAIL(ERR_CONFLICT, "another object has this value already");
    }
    return ERR_OK;
}

static void bind_dates(struct sq_call *call, const struct store_dates *dates)
{
    sq_call_int(call, dates->initial);
    sq_call_int(call, dates->activation);
    sq_call_int(call, dates->process_start);
    sq_call_int(call, dates->protect_stop);
    sq_call_int(call, dates->deactivation);
    sq_call_int(call, dates->destroy);
    sq_call_int(call, dates->compromise);
    sq_call_int(call, dates->compromise_occurrence);
    sq_call_int(call, dates->last_change);
    sq_call_int(call, dates->archive);
}

// type to found_by and material, the columns that put and update share.
static void bind_rest(struct sq_call *call, const struct store_object *object, struct span entries)
{
    sq_call_int(call, object->type);
    sq_call_int(call, object->state);
    sq_call_int(call, object->flags);
    sq_call_uuid(call, &object->owner);
    sq_call_uuid(call, &object->key_id);
    bind_dates(call, &object->dates);
    sq_call_blob(call, object->attributes);
    sq_call_blob(call, entries);
    sq_call_blob(call, object->material);
}

static enum err put_row(struct sq_db *db, const struct store_object *object, struct span entries)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_OBJECT_PUT, &call));
    sq_call_uuid(&call, &object->id);
    sq_call_int(&call, (int64_t)object->version);
    bind_rest(&call, object, entries);
    return sq_call_run(&call, NULL);
}

static enum err update_row(struct sq_db *db, const struct store_object *object, struct span entries)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_OBJECT_UPDATE, &call));
    bind_rest(&call, object, entries);
    sq_call_uuid(&call, &object->id);
    sq_call_int(&call, (int64_t)object->version);
    TRY(sq_call_run(&call, &changes));
    if (changes != 1)
        FAIL(ERR_CONFLICT, "the object was changed meanwhile");
    db->replaced = true;
    return ERR_OK;
}

// What the row says it is found by now.
static enum err old_entries(struct sq_db *db, const struct store_object *object,
                            struct uuid *ret_owner, struct buf *out)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_OBJECT_FOUND_BY, &call));
    sq_call_uuid(&call, &object->id);
    TRY(sq_call_step(&call, &row));
    if (!row)
        FAIL(ERR_NOT_FOUND, "there is no such object");
    if ((uint64_t)sq_call_get_int(&call) != object->version)
        FAIL(ERR_CONFLICT, "the object was changed meanwhile");
    TRY(sq_call_get_fixed(&call, ret_owner->bytes, UUID_LEN));
    int at = ++call.at;
    const void *data = sqlite3_column_blob(call.st, at);
    size_t len = (size_t)sqlite3_column_bytes(call.st, at);
    if (len % ENTRY_LEN != 0)
        FAIL(ERR_DAMAGED, "an object's list of index values is damaged");
    return buf_put(out, span_of(data, len));
}

enum err sq_object_put(struct sq_db *db, const struct store_object *object,
                       const struct store_index *index, size_t index_count)
{
    struct buf entries CLEANUP(buf_done);
    buf_init(&entries, (size_t)STORE_INDEX_MAX * ENTRY_LEN, false);
    TRY(make_entries(index, index_count, &entries));
    TRY(check_unique(db, object, span_buf(&entries)));
    TRY(put_row(db, object, span_buf(&entries)));
    return put_missing(db, &object->owner, &object->id, span_of(NULL, 0), span_buf(&entries));
}

enum err sq_object_update(struct sq_db *db, const struct store_object *object,
                          const struct store_index *index, size_t index_count)
{
    struct buf new CLEANUP(buf_done);
    struct buf old CLEANUP(buf_done);
    struct span none = span_of(NULL, 0);
    struct uuid owner;
    buf_init(&new, (size_t)STORE_INDEX_MAX * ENTRY_LEN, false);
    buf_init(&old, (size_t)STORE_INDEX_MAX * ENTRY_LEN, false);
    TRY(make_entries(index, index_count, &new));
    TRY(old_entries(db, object, &owner, &old));
    TRY(check_unique(db, object, span_buf(&new)));
    TRY(update_row(db, object, span_buf(&new)));
    bool moved = memcmp(&owner, &object->owner, sizeof owner) != 0;
    TRY(drop_missing(db, &owner, &object->id, span_buf(&old), moved ? none : span_buf(&new)));
    return put_missing(db, &object->owner, &object->id, moved ? none : span_buf(&old),
                       span_buf(&new));
}

static void take_dates(struct sq_call *call, struct store_dates *ret)
{
    ret->initial = sq_call_get_int(call);
    ret->activation = sq_call_get_int(call);
    ret->process_start = sq_call_get_int(call);
    ret->protect_stop = sq_call_get_int(call);
    ret->deactivation = sq_call_get_int(call);
    ret->destroy = sq_call_get_int(call);
    ret->compromise = sq_call_get_int(call);
    ret->compromise_occurrence = sq_call_get_int(call);
    ret->last_change = sq_call_get_int(call);
    ret->archive = sq_call_get_int(call);
}

enum err sq_object_row(struct sq_call *call, struct arena *arena, void *item)
{
    struct store_object *ret = item;
    TRY(sq_call_get_fixed(call, ret->id.bytes, UUID_LEN));
    ret->version = (uint64_t)sq_call_get_int(call);
    ret->type = (uint32_t)sq_call_get_int(call);
    ret->state = (uint32_t)sq_call_get_int(call);
    ret->flags = (uint32_t)sq_call_get_int(call);
    TRY(sq_call_get_fixed(call, ret->owner.bytes, UUID_LEN));
    TRY(sq_call_get_fixed(call, ret->key_id.bytes, UUID_LEN));
    take_dates(call, &ret->dates);
    return sq_call_get_blob(call, arena, &ret->attributes);
}

enum err sq_object_get(struct sq_db *db, const struct uuid *id, struct arena *arena,
                       struct store_object *ret)
{
    bool row = false;
    struct store_object object = {0};
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_OBJECT_GET, &call));
    sq_call_uuid(&call, id);
    TRY(sq_call_step(&call, &row));
    if (!row)
        FAIL(ERR_NOT_FOUND, "there is no such object");
    TRY(sq_object_row(&call, arena, &object));
    TRY(sq_call_get_blob(&call, arena, &object.material));
    *ret = object;
    return ERR_OK;
}

// The owner's next object after `after`: its id, and what it is found by.
static enum err next_owned(struct sq_db *db, const struct uuid *owner, const struct uuid *after,
                           struct store_object *ret, struct buf *entries, bool *ret_found)
{
    const void *bytes = NULL;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_OBJECT_OWNED, &call));
    sq_call_uuid(&call, owner);
    sq_call_uuid(&call, after);
    TRY(sq_call_step(&call, ret_found));
    if (!*ret_found)
        return ERR_OK;
    TRY(sq_call_get_fixed(&call, ret->id.bytes, UUID_LEN));
    bytes = sqlite3_column_blob(call.st, 1);
    buf_clear(entries);
    return buf_put(entries, span_of(bytes, (size_t)sqlite3_column_bytes(call.st, 1)));
}

static enum err give(struct sq_db *db, const struct uuid *from, const struct uuid *to,
                     const struct uuid *id, struct span entries)
{
    static const struct span none = {NULL, 0};
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(drop_missing(db, from, id, entries, none));
    TRY(put_missing(db, to, id, none, entries));
    TRY(sq_call_start(db, SQ_OBJECT_GIVE, &call));
    sq_call_uuid(&call, to);
    sq_call_uuid(&call, id);
    return sq_call_run(&call, NULL);
}

enum err sq_object_move(struct sq_db *db, const struct uuid *from, const struct uuid *to,
                        uint64_t *ret_count)
{
    bool found = true;
    uint64_t count = 0;
    struct store_object object = {.owner = *to};
    struct buf entries CLEANUP(buf_done);
    buf_init(&entries, (size_t)STORE_INDEX_MAX * ENTRY_LEN, false);
    if (memcmp(from, to, sizeof *from) == 0)
        FAIL(ERR_INVALID, "the objects are the owner's already");
    // All are looked at before the first is touched.
    for (;;) {
        TRY(next_owned(db, from, &object.id, &object, &entries, &found));
        if (!found)
            break;
        TRY(check_unique(db, &object, span_buf(&entries)));
    }
    for (const struct uuid start = {{0}};; count++) {
        TRY(next_owned(db, from, &start, &object, &entries, &found));
        if (!found)
            break;
        TRY(give(db, from, to, &object.id, span_buf(&entries)));
    }
    *ret_count = count;
    return ERR_OK;
}
