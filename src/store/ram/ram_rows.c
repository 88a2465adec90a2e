// SPDX-License-Identifier: Apache-2.0
//
// The verbs, written for plainness: searches walk the table. What a structure's spans point to
// follows it in the row, and the spans are made again when it is read.
#include "store/ram/ram_rows.h"

#include "store/ram/ram_sets.h"

static struct span key_of(const struct uuid *id)
{
    return span_of(id->bytes, sizeof id->bytes);
}

static enum err copy_out(struct arena *arena, const uint8_t **at, size_t len, struct span *ret)
{
    TRY(arena_copy(arena, span_of(*at, len), ret));
    *at += len;
    return ERR_OK;
}

// ---- outcomes ----

struct outcome {
    int64_t time;
};

enum err ram_rows_outcome_put(struct ram_db *db, const struct uuid *id, int64_t now_s,
                              struct span answer)
{
    struct outcome outcome = {now_s};
    if (ram_db_find(db, RAM_OUTCOME, key_of(id)) != NULL)
        FAIL(ERR_CONFLICT, "the outcome is known already");
    return ram_db_put(db, RAM_OUTCOME, key_of(id), span_of(&outcome, sizeof outcome), answer);
}

enum err ram_rows_outcome_find(const struct ram_db *db, const struct uuid *id, struct arena *arena,
                               bool *ret_found, struct span *ret_answer)
{
    const struct ram_row *row = ram_db_find(db, RAM_OUTCOME, key_of(id));
    *ret_found = row != NULL;
    *ret_answer = span_of(NULL, 0);
    if (row == NULL)
        return ERR_OK;
    size_t head = sizeof(struct outcome);
    return arena_copy(arena, span_of(row->bytes + head, row->len - head), ret_answer);
}

void ram_rows_outcome_forget(struct ram_db *db, int64_t before_s)
{
    for (size_t i = db->tables[RAM_OUTCOME].count; i-- > 0;) {
        const struct outcome *outcome = (const void *)db->tables[RAM_OUTCOME].rows[i]->bytes;
        if (outcome->time < before_s)
            ram_db_remove(db, RAM_OUTCOME, i);
    }
}

// ---- data keys ----

enum err ram_rows_key_put(struct ram_db *db, const struct store_data_key *key, bool update)
{
    struct store_data_key copy = *key;
    const struct ram_row *row = ram_db_find(db, RAM_DATA_KEY, key_of(&key->id));
    const struct store_data_key *old = row == NULL ? NULL : (const void *)row->bytes;
    if (update && old == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such data key");
    if (update ? old->version != key->version : old != NULL)
        FAIL(ERR_CONFLICT, "the data key exists already or was changed meanwhile");
    copy.version += update ? 1 : 0;
    return ram_db_put(db, RAM_DATA_KEY, key_of(&key->id), span_of(&copy, sizeof copy),
                      key->wrapped);
}

enum err ram_rows_key_delete(struct ram_db *db, const struct uuid *id)
{
    if (ram_db_find(db, RAM_DATA_KEY, key_of(id)) == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such data key");
    ram_db_remove(db, RAM_DATA_KEY, ram_db_place(db, RAM_DATA_KEY, key_of(id)));
    return ERR_OK;
}

enum err ram_rows_key_list(const struct ram_db *db, struct arena *arena,
                           struct store_data_key **ret, size_t *ret_count)
{
    size_t count = db->tables[RAM_DATA_KEY].count;
    struct store_data_key *list = NULL;
    TRY(arena_alloc(arena, count, sizeof *list, &list));
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = db->tables[RAM_DATA_KEY].rows[i]->bytes;
        memcpy(&list[i], at, sizeof *list);
        at += sizeof *list;
        TRY(copy_out(arena, &at, list[i].wrapped.len, &list[i].wrapped));
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

// ---- objects ----

struct object_row {
    struct store_object object;
    size_t index_count;
    struct store_index index[];
};

static const struct object_row *object_at(const struct ram_db *db, size_t i)
{
    return (const void *)db->tables[RAM_OBJECT].rows[i]->bytes;
}

static bool has_value(const struct object_row *row, const struct store_index *value,
                      bool unique_only)
{
    for (size_t i = 0; i < row->index_count; i++) {
        const struct store_index *own = &row->index[i];
        if (own->kind == value->kind && memcmp(own->hash, value->hash, STORE_HASH_LEN) == 0 &&
            (own->unique || !unique_only))
            return true;
    }
    return false;
}

static enum err check_unique(const struct ram_db *db, const struct store_object *object,
                             const struct store_index *index, size_t count)
{
    for (size_t i = 0; i < db->tables[RAM_OBJECT].count; i++) {
        const struct object_row *other = object_at(db, i);
        if (memcmp(&other->object.owner, &object->owner, sizeof object->owner) != 0 ||
            memcmp(&other->object.id, &object->id, sizeof object->id) == 0)
            continue;
        for (size_t k = 0; k < count; k++) {
            if (index[k].unique && has_value(other, &index[k], true))
                FAIL(ERR_CONFLICT, "another object has this value already");
        }
    }
    return ERR_OK;
}

static bool any_unique(const struct store_index *index, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (index[i].unique)
            return true;
    }
    return false;
}

enum err ram_rows_object_put(struct ram_db *db, const struct store_object *object,
                             const struct store_index *index, size_t count, bool update)
{
    const struct ram_row *row = ram_db_find(db, RAM_OBJECT, key_of(&object->id));
    const struct object_row *old = row == NULL ? NULL : (const void *)row->bytes;
    if (update && old == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such object");
    if (update ? old->object.version != object->version : old != NULL)
        FAIL(ERR_CONFLICT, "the object exists already or was changed meanwhile");
    if (any_unique(index, count))
        TRY(check_unique(db, object, index, count));
    struct object_row head = {*object, count};
    head.object.version += update ? 1 : 0;
    struct buf tail CLEANUP(buf_done);
    buf_init(&tail, SIZE_MAX / 2, true);
    TRY(buf_put(&tail, span_of(index, count * sizeof *index)));
    TRY(buf_put(&tail, object->attributes));
    TRY(buf_put(&tail, object->material));
    return ram_db_put(db, RAM_OBJECT, key_of(&object->id), span_of(&head, sizeof head),
                      span_buf(&tail));
}

static enum err take_object(const struct object_row *row, struct arena *arena, bool material,
                            struct store_object *ret)
{
    const uint8_t *at = (const uint8_t *)(row->index + row->index_count);
    struct store_object object = row->object;
    TRY(copy_out(arena, &at, object.attributes.len, &object.attributes));
    if (material)
        TRY(copy_out(arena, &at, object.material.len, &object.material));
    else
        object.material = span_of(NULL, 0);
    *ret = object;
    return ERR_OK;
}

enum err ram_rows_object_get(const struct ram_db *db, const struct uuid *id, struct arena *arena,
                             struct store_object *ret)
{
    const struct ram_row *row = ram_db_find(db, RAM_OBJECT, key_of(id));
    if (row == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such object");
    return take_object((const void *)row->bytes, arena, true, ret);
}

static bool in_range(bool has, struct store_range range, int64_t value)
{
    return !has || (value != 0 && value >= range.from && value <= range.to);
}

static bool dates_match(const struct store_query *q, const struct store_dates *dates)
{
    return in_range(q->has_initial, q->initial, dates->initial) &&
           in_range(q->has_activation, q->activation, dates->activation) &&
           in_range(q->has_deactivation, q->deactivation, dates->deactivation) &&
           in_range(q->has_process_start, q->process_start, dates->process_start) &&
           in_range(q->has_protect_stop, q->protect_stop, dates->protect_stop) &&
           in_range(q->has_destroy, q->destroy, dates->destroy) &&
           in_range(q->has_compromise, q->compromise, dates->compromise) &&
           in_range(q->has_last_change, q->last_change, dates->last_change);
}

// What the query says of ids, owner and wallet.
static bool place_matches(const struct ram_db *db, const struct store_query *q,
                          const struct store_object *object)
{
    int past = memcmp(&object->id, &q->after, sizeof q->after);
    return (q->newest_first ? past < 0 || uuid_is_zero(&q->after) : past > 0) &&
           (q->any_owner || memcmp(&object->owner, &q->owner, sizeof q->owner) == 0) &&
           (uuid_is_zero(&q->only) || memcmp(&object->id, &q->only, sizeof q->only) == 0) &&
           (uuid_is_zero(&q->wallet) || ram_sets_has(db, &q->wallet, &object->id));
}

static bool matches(const struct ram_db *db, const struct store_query *q,
                    const struct object_row *row)
{
    const struct store_object *object = &row->object;
    if (!place_matches(db, q, object) || (q->type != 0 && q->type != object->type) ||
        (q->states != 0 && (object->state > 31 || (q->states >> object->state & 1) == 0)) ||
        !dates_match(q, &object->dates))
        return false;
    for (size_t i = 0; i < q->index_count; i++) {
        if (!has_value(row, &q->index[i], false))
            return false;
    }
    return true;
}

enum err ram_rows_object_find(const struct ram_db *db, const struct store_query *query,
                              struct arena *arena, struct store_object *ret, size_t *ret_count)
{
    size_t found = 0;
    size_t taken = 0;
    size_t rows = db->tables[RAM_OBJECT].count;
    for (size_t i = 0; i < rows; i++) {
        const struct object_row *row = object_at(db, query->newest_first ? rows - 1 - i : i);
        if (!matches(db, query, row))
            continue;
        found++;
        if (ret == NULL || found <= query->skip)
            continue;
        if (taken == query->limit)
            break;
        TRY(take_object(row, arena, false, &ret[taken]));
        taken++;
    }
    *ret_count = ret == NULL ? found : taken;
    return ERR_OK;
}

enum err ram_rows_object_move(struct ram_db *db, const struct uuid *from, const struct uuid *to,
                              uint64_t *ret_count)
{
    uint64_t count = 0;
    size_t rows = db->tables[RAM_OBJECT].count;
    if (memcmp(from, to, sizeof *from) == 0)
        FAIL(ERR_INVALID, "the objects are the owner's already");
    for (size_t i = 0; i < rows; i++) {
        struct store_object object = object_at(db, i)->object;
        if (memcmp(&object.owner, from, sizeof *from) != 0)
            continue;
        object.owner = *to;
        TRY(check_unique(db, &object, object_at(db, i)->index, object_at(db, i)->index_count));
    }
    for (size_t i = 0; i < rows; i++) {
        struct object_row head = *object_at(db, i);
        const struct ram_row *row = db->tables[RAM_OBJECT].rows[i];
        if (memcmp(&head.object.owner, from, sizeof *from) != 0)
            continue;
        head.object.owner = *to;
        struct buf tail CLEANUP(buf_done);
        buf_init(&tail, SIZE_MAX / 2, true);
        TRY(buf_put(&tail, span_of(row->bytes + sizeof head, row->len - sizeof head)));
        TRY(ram_db_put(db, RAM_OBJECT, key_of(&head.object.id), span_of(&head, sizeof head),
                       span_buf(&tail)));
        count++;
    }
    *ret_count = count;
    return ERR_OK;
}

// ---- endpoints ----

static const struct store_endpoint *endpoint_at(const struct ram_db *db, size_t i)
{
    return (const void *)db->tables[RAM_ENDPOINT].rows[i]->bytes;
}

static enum err check_endpoint(const struct ram_db *db, const struct store_endpoint *e)
{
    static const uint8_t zero[32];
    bool enrolled = memcmp(e->fingerprint, zero, sizeof zero) != 0;
    bool rotated = memcmp(e->previous, zero, sizeof zero) != 0;
    for (size_t i = 0; i < db->tables[RAM_ENDPOINT].count; i++) {
        const struct store_endpoint *other = endpoint_at(db, i);
        if (memcmp(&other->id, &e->id, sizeof e->id) == 0)
            continue;
        if (memcmp(other->name_hash, e->name_hash, STORE_HASH_LEN) == 0)
            FAIL(ERR_CONFLICT, "another endpoint has this name already");
        if ((enrolled && memcmp(other->fingerprint, e->fingerprint, 32) == 0) ||
            (rotated && memcmp(other->previous, e->previous, 32) == 0))
            FAIL(ERR_CONFLICT, "another endpoint has this certificate already");
    }
    return ERR_OK;
}

enum err ram_rows_endpoint_put(struct ram_db *db, const struct store_endpoint *endpoint,
                               bool update)
{
    struct store_endpoint copy = *endpoint;
    const struct ram_row *row = ram_db_find(db, RAM_ENDPOINT, key_of(&endpoint->id));
    const struct store_endpoint *old = row == NULL ? NULL : (const void *)row->bytes;
    if (update && old == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such endpoint");
    if (update ? old->version != endpoint->version : old != NULL)
        FAIL(ERR_CONFLICT, "the endpoint exists already or was changed meanwhile");
    TRY(check_endpoint(db, endpoint));
    copy.version += update ? 1 : 0;
    return ram_db_put(db, RAM_ENDPOINT, key_of(&endpoint->id), span_of(&copy, sizeof copy),
                      endpoint->sealed);
}

static enum err take_endpoint(const struct store_endpoint *row, struct arena *arena,
                              struct store_endpoint *ret)
{
    const uint8_t *at = (const uint8_t *)(row + 1);
    struct store_endpoint endpoint = *row;
    TRY(copy_out(arena, &at, endpoint.sealed.len, &endpoint.sealed));
    *ret = endpoint;
    return ERR_OK;
}

enum err ram_rows_endpoint_get(const struct ram_db *db, const struct uuid *id,
                               const uint8_t *fingerprint, const uint8_t *name_hash,
                               struct arena *arena, struct store_endpoint *ret)
{
    for (size_t i = 0; i < db->tables[RAM_ENDPOINT].count; i++) {
        const struct store_endpoint *e = endpoint_at(db, i);
        if ((id != NULL && memcmp(&e->id, id, sizeof *id) == 0) ||
            (fingerprint != NULL && (memcmp(e->fingerprint, fingerprint, 32) == 0 ||
                                     memcmp(e->previous, fingerprint, 32) == 0)) ||
            (name_hash != NULL && memcmp(e->name_hash, name_hash, STORE_HASH_LEN) == 0))
            return take_endpoint(e, arena, ret);
    }
    FAIL(ERR_NOT_FOUND, "there is no such endpoint");
}

enum err ram_rows_endpoint_list(const struct ram_db *db, const struct uuid *after, uint32_t limit,
                                struct arena *arena, struct store_endpoint **ret, size_t *ret_count)
{
    struct store_endpoint *list = NULL;
    size_t count = 0;
    TRY(arena_alloc(arena, limit, sizeof *list, &list));
    for (size_t i = 0; i < db->tables[RAM_ENDPOINT].count && count < limit; i++) {
        const struct store_endpoint *e = endpoint_at(db, i);
        if (memcmp(&e->id, after, sizeof *after) > 0)
            TRY(take_endpoint(e, arena, &list[count++]));
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

enum err ram_rows_endpoint_remove(struct ram_db *db, const struct uuid *id, uint64_t version)
{
    size_t place = ram_db_place(db, RAM_ENDPOINT, key_of(id));
    if (ram_db_find(db, RAM_ENDPOINT, key_of(id)) == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such endpoint");
    if (endpoint_at(db, place)->version != version)
        FAIL(ERR_CONFLICT, "the endpoint was changed meanwhile");
    ram_db_remove(db, RAM_ENDPOINT, place);
    ram_sets_forget(db, id);
    if (ram_db_find(db, RAM_SEEN, key_of(id)) != NULL)
        ram_db_remove(db, RAM_SEEN, ram_db_place(db, RAM_SEEN, key_of(id)));
    return ERR_OK;
}

enum err ram_rows_no_default(struct ram_db *db, const struct uuid *wallet)
{
    for (size_t i = 0; i < db->tables[RAM_ENDPOINT].count; i++) {
        struct store_endpoint copy = *endpoint_at(db, i);
        if (memcmp(&copy.default_wallet, wallet, sizeof *wallet) != 0)
            continue;
        const uint8_t *sealed = db->tables[RAM_ENDPOINT].rows[i]->bytes + sizeof copy;
        copy.default_wallet = (struct uuid){{0}};
        copy.version++;
        TRY(ram_db_put(db, RAM_ENDPOINT, key_of(&copy.id), span_of(&copy, sizeof copy),
                       span_of(sealed, copy.sealed.len)));
    }
    return ERR_OK;
}

enum err ram_rows_seen_put(struct ram_db *db, const struct uuid *id, int64_t time_s)
{
    int64_t known = ram_rows_seen_get(db, id);
    if (known >= time_s)
        return ERR_OK;
    return ram_db_put(db, RAM_SEEN, key_of(id), span_of(&time_s, sizeof time_s), span_str(""));
}

int64_t ram_rows_seen_get(const struct ram_db *db, const struct uuid *id)
{
    int64_t time_s = 0;
    const struct ram_row *row = ram_db_find(db, RAM_SEEN, key_of(id));
    if (row != NULL)
        memcpy(&time_s, row->bytes, sizeof time_s);
    return time_s;
}

// ---- settings ----

enum err ram_rows_setting_put(struct ram_db *db, bool node, const char *name, struct span value)
{
    return ram_db_put(db, node ? RAM_NODE_SETTING : RAM_SETTING, span_str(name), span_str(""),
                      value);
}

enum err ram_rows_setting_get(const struct ram_db *db, bool node, const char *name,
                              struct arena *arena, struct span *ret)
{
    const struct ram_row *row =
        ram_db_find(db, node ? RAM_NODE_SETTING : RAM_SETTING, span_str(name));
    if (row == NULL)
        FAIL(ERR_NOT_FOUND, "there is no setting \"%s\"", name);
    return arena_copy(arena, span_of(row->bytes, row->len), ret);
}

// ---- audit ----

static void audit_key(uint64_t sequence, uint8_t out[8])
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(sequence >> (56 - 8 * i));
}

void ram_rows_audit_head(const struct ram_db *db, struct store_audit *ret)
{
    size_t count = db->tables[RAM_AUDIT].count;
    *ret = (struct store_audit){0};
    if (count > 0)
        memcpy(ret, db->tables[RAM_AUDIT].rows[count - 1]->bytes, sizeof *ret);
    ret->record = span_of(NULL, 0);
}

// Takes the mark from the last row. Rows are shared between versions: it becomes another one.
static enum err unmark_last(struct ram_db *db)
{
    uint8_t key[8];
    struct store_audit last;
    size_t count = db->tables[RAM_AUDIT].count;
    if (count == 0)
        return ERR_OK;
    const uint8_t *at = db->tables[RAM_AUDIT].rows[count - 1]->bytes;
    memcpy(&last, at, sizeof last);
    last.marked = false;
    memset(last.mark, 0, sizeof last.mark);
    audit_key(last.sequence, key);
    return ram_db_put(db, RAM_AUDIT, span_of(key, sizeof key), span_of(&last, sizeof last),
                      span_of(at + sizeof last, last.record.len));
}

enum err ram_rows_audit_append(struct ram_db *db, const struct store_audit *row)
{
    uint8_t key[8];
    struct store_audit head;
    struct store_audit marked = *row;
    ram_rows_audit_head(db, &head);
    if (row->sequence != head.sequence + 1)
        FAIL(ERR_CONFLICT, "audit record %llu is not the next one",
             (unsigned long long)row->sequence);
    TRY(unmark_last(db));
    marked.marked = true;
    audit_key(row->sequence, key);
    return ram_db_put(db, RAM_AUDIT, span_of(key, sizeof key), span_of(&marked, sizeof marked),
                      row->record);
}

void ram_rows_audit_floor(const struct ram_db *db, struct store_audit *ret)
{
    *ret = (struct store_audit){0};
    if (db->tables[RAM_AUDIT_FLOOR].count > 0)
        memcpy(ret, db->tables[RAM_AUDIT_FLOOR].rows[0]->bytes, sizeof *ret);
    ret->record = span_of(NULL, 0);
}

enum err ram_rows_audit_raise(struct ram_db *db, uint64_t through)
{
    uint8_t key[8];
    struct store_audit floor;
    ram_rows_audit_floor(db, &floor);
    audit_key(through, key);
    const struct ram_row *row = ram_db_find(db, RAM_AUDIT, span_of(key, sizeof key));
    if (row == NULL || through <= floor.sequence)
        FAIL(ERR_NOT_FOUND, "the audit trail has no record %llu", (unsigned long long)through);
    memcpy(&floor, row->bytes, sizeof floor);
    return ram_db_put(db, RAM_AUDIT_FLOOR, span_str("floor"), span_of(&floor, sizeof floor),
                      span_of(NULL, 0));
}

void ram_rows_audit_drop(struct ram_db *db, uint32_t limit, bool *ret_more)
{
    uint32_t dropped = 0;
    struct store_audit floor;
    struct store_audit first;
    ram_rows_audit_floor(db, &floor);
    for (; dropped < limit && db->tables[RAM_AUDIT].count > 0; dropped++) {
        memcpy(&first, db->tables[RAM_AUDIT].rows[0]->bytes, sizeof first);
        if (first.sequence > floor.sequence)
            break;
        ram_db_remove(db, RAM_AUDIT, 0);
    }
    *ret_more = dropped == limit;
}

enum err ram_rows_audit_list(const struct ram_db *db, uint64_t from, uint32_t limit,
                             struct arena *arena, struct store_audit **ret, size_t *ret_count)
{
    uint8_t key[8];
    struct store_audit *list = NULL;
    size_t count = 0;
    TRY(arena_alloc(arena, limit, sizeof *list, &list));
    struct store_audit floor;
    ram_rows_audit_floor(db, &floor);
    audit_key(from > floor.sequence ? from : floor.sequence + 1, key);
    size_t place = ram_db_place(db, RAM_AUDIT, span_of(key, sizeof key));
    for (; place < db->tables[RAM_AUDIT].count && count < limit; place++, count++) {
        const uint8_t *at = db->tables[RAM_AUDIT].rows[place]->bytes;
        memcpy(&list[count], at, sizeof *list);
        at += sizeof *list;
        TRY(copy_out(arena, &at, list[count].record.len, &list[count].record));
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}
