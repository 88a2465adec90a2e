// SPDX-License-Identifier: Apache-2.0
//
// The small tables. Invariant: node_audit has no gaps, since a row goes in only as the last one
// plus one, and is never changed (triggers refuse it) but for the mark, which the last row has.
#include "store/sqlite/sq_node.h"

#include "store/sqlite/sq_rows.h"

enum err sq_node_outcome_put(struct sq_db *db, const struct uuid *id, int64_t now_s,
                             struct span answer)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_OUTCOME_PUT, &call));
    sq_call_uuid(&call, id);
    sq_call_int(&call, now_s);
    sq_call_blob(&call, answer);
    return sq_call_run(&call, NULL);
}

enum err sq_node_outcome_find(struct sq_db *db, const struct uuid *id, struct arena *arena,
                              bool *ret_found, struct span *ret_answer)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_OUTCOME_FIND, &call));
    sq_call_uuid(&call, id);
    TRY(sq_call_step(&call, &row));
    *ret_found = row;
    *ret_answer = span_of(NULL, 0);
    return row ? sq_call_get_blob(&call, arena, ret_answer) : ERR_OK;
}

enum err sq_node_key_put(struct sq_db *db, const struct store_data_key *key)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_DATA_KEY_PUT, &call));
    sq_call_uuid(&call, &key->id);
    sq_call_int(&call, (int64_t)key->version);
    sq_call_text(&call, key->purpose);
    sq_call_blob(&call, key->wrapped);
    return sq_call_run(&call, NULL);
}

static enum err key_exists(struct sq_db *db, const struct uuid *id)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_DATA_KEY_HAS, &call));
    sq_call_uuid(&call, id);
    TRY(sq_call_step(&call, &row));
    if (!row)
        FAIL(ERR_NOT_FOUND, "there is no such data key");
    return ERR_OK;
}

enum err sq_node_key_update(struct sq_db *db, const struct store_data_key *key)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_DATA_KEY_UPDATE, &call));
    sq_call_text(&call, key->purpose);
    sq_call_blob(&call, key->wrapped);
    sq_call_uuid(&call, &key->id);
    sq_call_int(&call, (int64_t)key->version);
    TRY(sq_call_run(&call, &changes));
    db->replaced = true;
    if (changes == 1)
        return ERR_OK;
    TRY(key_exists(db, &key->id));
    FAIL(ERR_CONFLICT, "the data key was changed meanwhile");
}

enum err sq_node_key_delete(struct sq_db *db, const struct uuid *id)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_DATA_KEY_DELETE, &call));
    sq_call_uuid(&call, id);
    TRY(sq_call_run(&call, &changes));
    db->replaced = true;
    if (changes != 1)
        FAIL(ERR_NOT_FOUND, "there is no such data key");
    return ERR_OK;
}

static enum err take_key(struct sq_call *call, struct arena *arena, struct store_data_key *ret)
{
    struct span purpose;
    TRY(sq_call_get_fixed(call, ret->id.bytes, UUID_LEN));
    ret->version = (uint64_t)sq_call_get_int(call);
    TRY(sq_call_get_blob(call, arena, &purpose));
    if (purpose.len == 0 || purpose.len >= sizeof ret->purpose)
        FAIL(ERR_DAMAGED, "the purpose of a data key is damaged");
    memcpy(ret->purpose, purpose.data, purpose.len);
    return sq_call_get_blob(call, arena, &ret->wrapped);
}

static enum err count_keys(struct sq_db *db, size_t *ret)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_DATA_KEY_COUNT, &call));
    TRY(sq_call_step(&call, &row));
    *ret = row ? (size_t)sq_call_get_int(&call) : 0;
    return ERR_OK;
}

enum err sq_node_key_list(struct sq_db *db, struct arena *arena, struct store_data_key **ret,
                          size_t *ret_count)
{
    struct store_data_key *list = NULL;
    size_t cap = 0;
    size_t count = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_DATA_KEY_LIST, &call));
    // The first step pins the snapshot that the count is then taken in.
    for (bool row = false;; count++) {
        TRY(sq_call_step(&call, &row));
        if (!row)
            break;
        if (list == NULL) {
            TRY(count_keys(db, &cap));
            TRY(arena_alloc(arena, cap, sizeof *list, &list));
        }
        if (count >= cap)
            FAIL(ERR_DAMAGED, "the table of data keys is damaged");
        TRY(take_key(&call, arena, &list[count]));
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

enum err sq_node_setting_put(struct sq_db *db, bool node, const char *name, struct span value)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, node ? SQ_NODE_SETTING_PUT : SQ_SETTING_PUT, &call));
    sq_call_text(&call, name);
    sq_call_blob(&call, value);
    return sq_call_run(&call, NULL);
}

enum err sq_node_setting_get(struct sq_db *db, bool node, const char *name, struct arena *arena,
                             struct span *ret)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, node ? SQ_NODE_SETTING_GET : SQ_SETTING_GET, &call));
    sq_call_text(&call, name);
    TRY(sq_call_step(&call, &row));
    if (!row)
        FAIL(ERR_NOT_FOUND, "there is no setting \"%s\"", name);
    return sq_call_get_blob(&call, arena, ret);
}

static enum err not_next(uint64_t sequence)
{
    FAIL(ERR_CONFLICT, "audit record %llu is not the next one", (unsigned long long)sequence);
}

// Takes the mark from the row before the one that comes. Of a row that is not the last one there is
// none to take, so that a conflict leaves everything as it was.
static enum err unmark(struct sq_db *db, uint64_t sequence)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_AUDIT_UNMARK, &call));
    sq_call_int(&call, (int64_t)sequence);
    TRY(sq_call_run(&call, &changes));
    return changes == 1 ? ERR_OK : not_next(sequence + 1);
}

enum err sq_node_audit_append(struct sq_db *db, const struct store_audit *row)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    if (row->sequence != 1)
        TRY(unmark(db, row->sequence - 1));
    TRY(sq_call_start(db, SQ_AUDIT_APPEND, &call));
    sq_call_int(&call, (int64_t)row->sequence);
    sq_call_int(&call, row->time_ms);
    sq_call_blob(&call, span_of(row->hash, sizeof row->hash));
    sq_call_blob(&call, row->record);
    sq_call_blob(&call, span_of(row->mark, sizeof row->mark));
    enum err err = sq_call_run(&call, NULL);
    return err == ERR_CONFLICT ? not_next(row->sequence) : err;
}

// sequence to mark.
static enum err take_audit(struct sq_call *call, struct store_audit *ret)
{
    struct store_audit row = {.sequence = (uint64_t)sq_call_get_int(call)};
    row.time_ms = sq_call_get_int(call);
    TRY(sq_call_get_fixed(call, row.hash, sizeof row.hash));
    row.marked = sqlite3_column_type(call->st, call->at + 1) != SQLITE_NULL;
    if (row.marked)
        TRY(sq_call_get_fixed(call, row.mark, sizeof row.mark));
    else
        call->at++;
    *ret = row;
    return ERR_OK;
}

static enum err take_record(struct sq_call *call, struct arena *arena, void *item)
{
    struct store_audit *ret = item;
    TRY(take_audit(call, ret));
    return sq_call_get_blob(call, arena, &ret->record);
}

static enum err one_audit(struct sq_db *db, enum sq_statement statement, struct store_audit *ret)
{
    bool row = false;
    struct store_audit head = {0};
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, statement, &call));
    TRY(sq_call_step(&call, &row));
    if (row)
        TRY(take_audit(&call, &head));
    *ret = head;
    return ERR_OK;
}

enum err sq_node_audit_head(struct sq_db *db, struct store_audit *ret)
{
    return one_audit(db, SQ_AUDIT_HEAD, ret);
}

enum err sq_node_audit_floor(struct sq_db *db, struct store_audit *ret)
{
    return one_audit(db, SQ_AUDIT_FLOOR, ret);
}

enum err sq_node_audit_raise(struct sq_db *db, uint64_t through)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_AUDIT_RAISE, &call));
    sq_call_int(&call, through > INT64_MAX ? INT64_MAX : (int64_t)through);
    TRY(sq_call_run(&call, &changes));
    if (changes != 1)
        FAIL(ERR_NOT_FOUND, "the audit trail has no record %llu", (unsigned long long)through);
    return ERR_OK;
}

enum err sq_node_audit_drop(struct sq_db *db, uint32_t limit, bool *ret_more)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_AUDIT_DROP, &call));
    sq_call_int(&call, limit);
    TRY(sq_call_run(&call, &changes));
    *ret_more = (uint32_t)changes == limit;
    return ERR_OK;
}

enum err sq_node_audit_list(struct sq_db *db, uint64_t from, uint32_t limit, struct arena *arena,
                            struct store_audit **ret, size_t *ret_count)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_AUDIT_LIST, &call));
    sq_call_int(&call, from > INT64_MAX ? INT64_MAX : (int64_t)from);
    sq_call_int(&call, limit);
    return sq_rows_all(&call, sizeof **ret, take_record, arena, ret, ret_count);
}
