// SPDX-License-Identifier: Apache-2.0
//
// Endpoints. A fingerprint of zeros (not enrolled) is NULL in the table.
#include "store/sqlite/sq_endpoint.h"

#include "store/sqlite/sq_rows.h"

static bool is_zero(const uint8_t bytes[32])
{
    static const uint8_t zero[32];
    return memcmp(bytes, zero, sizeof zero) == 0;
}

static void bind_fingerprint(struct sq_call *call, const uint8_t bytes[32])
{
    if (is_zero(bytes))
        sq_call_null(call);
    else
        sq_call_blob(call, span_of(bytes, 32));
}

// state to sealed, the columns that put and update share.
static void bind_rest(struct sq_call *call, const struct store_endpoint *e)
{
    sq_call_int(call, e->state);
    sq_call_blob(call, span_of(e->name_hash, sizeof e->name_hash));
    bind_fingerprint(call, e->fingerprint);
    bind_fingerprint(call, e->previous);
    sq_call_int(call, e->previous_until);
    sq_call_blob(call, span_of(e->token_hash, sizeof e->token_hash));
    sq_call_int(call, e->token_expires);
    sq_call_int(call, e->created);
    sq_call_int(call, e->enrolled);
    sq_call_uuid(call, &e->default_wallet);
    sq_call_uuid(call, &e->key_id);
    sq_call_blob(call, e->sealed);
}

enum err sq_endpoint_put(struct sq_db *db, const struct store_endpoint *endpoint)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_ENDPOINT_PUT, &call));
    sq_call_uuid(&call, &endpoint->id);
    sq_call_int(&call, (int64_t)endpoint->version);
    bind_rest(&call, endpoint);
    return sq_call_run(&call, NULL);
}

enum err sq_endpoint_update(struct sq_db *db, const struct store_endpoint *endpoint)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_ENDPOINT_UPDATE, &call));
    bind_rest(&call, endpoint);
    sq_call_uuid(&call, &endpoint->id);
    sq_call_int(&call, (int64_t)endpoint->version);
    TRY(sq_call_run(&call, &changes));
    db->replaced = true;
    if (changes == 1)
        return ERR_OK;
    TRY(sq_rows_exist(db, SQ_ENDPOINT_GET, &endpoint->id, "endpoint"));
    FAIL(ERR_CONFLICT, "the endpoint was changed meanwhile");
}

static enum err take_fingerprint(struct sq_call *call, uint8_t ret[32])
{
    if (sqlite3_column_type(call->st, call->at + 1) != SQLITE_NULL)
        return sq_call_get_fixed(call, ret, 32);
    call->at++;
    return ERR_OK;
}

static enum err take(struct sq_call *call, struct arena *arena, void *item)
{
    struct store_endpoint *ret = item;
    TRY(sq_call_get_fixed(call, ret->id.bytes, UUID_LEN));
    ret->version = (uint64_t)sq_call_get_int(call);
    ret->state = (uint32_t)sq_call_get_int(call);
    TRY(sq_call_get_fixed(call, ret->name_hash, sizeof ret->name_hash));
    TRY(take_fingerprint(call, ret->fingerprint));
    TRY(take_fingerprint(call, ret->previous));
    ret->previous_until = sq_call_get_int(call);
    TRY(sq_call_get_fixed(call, ret->token_hash, sizeof ret->token_hash));
    ret->token_expires = sq_call_get_int(call);
    ret->created = sq_call_get_int(call);
    ret->enrolled = sq_call_get_int(call);
    TRY(sq_call_get_fixed(call, ret->default_wallet.bytes, UUID_LEN));
    TRY(sq_call_get_fixed(call, ret->key_id.bytes, UUID_LEN));
    return sq_call_get_blob(call, arena, &ret->sealed);
}

enum err sq_endpoint_get(struct sq_db *db, enum sq_statement which, struct span key,
                         struct arena *arena, struct store_endpoint *ret)
{
    struct store_endpoint endpoint = {0};
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, which, &call));
    sq_call_blob(&call, key);
    TRY(sq_rows_one(&call, take, arena, "endpoint", &endpoint));
    *ret = endpoint;
    return ERR_OK;
}

enum err sq_endpoint_list(struct sq_db *db, const struct uuid *after, uint32_t limit,
                          struct arena *arena, struct store_endpoint **ret, size_t *ret_count)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_ENDPOINT_LIST, &call));
    sq_call_uuid(&call, after);
    sq_call_int(&call, limit);
    return sq_rows_all(&call, sizeof **ret, take, arena, ret, ret_count);
}

enum err sq_endpoint_remove(struct sq_db *db, const struct uuid *id, uint64_t version)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_ENDPOINT_REMOVE, &call));
    sq_call_uuid(&call, id);
    sq_call_int(&call, (int64_t)version);
    TRY(sq_call_run(&call, &changes));
    if (changes == 0) {
        TRY(sq_rows_exist(db, SQ_ENDPOINT_GET, id, "endpoint"));
        FAIL(ERR_CONFLICT, "the endpoint was changed meanwhile");
    }
    TRY(sq_rows_run(db, SQ_MEMBER_REMOVE_EVERYWHERE, id));
    TRY(sq_rows_run(db, SQ_GRANT_REMOVE_GRANTEE, id));
    TRY(sq_rows_run(db, SQ_PRIVILEGE_REMOVE_THING, id));
    return sq_rows_run(db, SQ_SEEN_REMOVE, id);
}

enum err sq_endpoint_seen_put(struct sq_db *db, const struct uuid *id, int64_t time_s)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_SEEN_PUT, &call));
    sq_call_uuid(&call, id);
    sq_call_int(&call, time_s);
    return sq_call_run(&call, NULL);
}

enum err sq_endpoint_seen_get(struct sq_db *db, const struct uuid *id, int64_t *ret)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_SEEN_GET, &call));
    sq_call_uuid(&call, id);
    TRY(sq_call_step(&call, &row));
    *ret = row ? sq_call_get_int(&call) : 0;
    return ERR_OK;
}
