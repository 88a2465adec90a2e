// SPDX-License-Identifier: Apache-2.0
//
// Wallets and groups stand in one table, what is in them in another: ids are unique, so that a set
// of objects and one of endpoints cannot be mixed up. Invariant: removing a set or an endpoint
// takes away every row that names it.
#include "store/sqlite/sq_sets.h"

#include "store/sqlite/sq_rows.h"

// ---- wallets and groups ----

enum err sq_sets_named_put(void *self, const struct store_named *named)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_NAMED_PUT, &call));
    sq_call_uuid(&call, &named->id);
    sq_call_int(&call, (int64_t)named->version);
    sq_call_int(&call, named->kind);
    sq_call_blob(&call, span_of(named->name_hash, STORE_HASH_LEN));
    sq_call_int(&call, named->created);
    sq_call_uuid(&call, &named->key_id);
    sq_call_blob(&call, named->sealed);
    return sq_call_run(&call, NULL);
}

static enum err check_changed(struct sq_db *db, const struct uuid *id, int changes)
{
    if (changes == 1)
        return ERR_OK;
    TRY(sq_rows_exist(db, SQ_NAMED_GET, id, "wallet or group"));
    FAIL(ERR_CONFLICT, "the wallet or group was changed meanwhile");
}

enum err sq_sets_named_update(void *self, const struct store_named *named)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_NAMED_UPDATE, &call));
    sq_call_int(&call, named->kind);
    sq_call_blob(&call, span_of(named->name_hash, STORE_HASH_LEN));
    sq_call_int(&call, named->created);
    sq_call_uuid(&call, &named->key_id);
    sq_call_blob(&call, named->sealed);
    sq_call_uuid(&call, &named->id);
    sq_call_int(&call, (int64_t)named->version);
    TRY(sq_call_run(&call, &changes));
    return check_changed(self, &named->id, changes);
}

static enum err take_named(struct sq_call *call, struct arena *arena, void *item)
{
    struct store_named *ret = item;
    TRY(sq_call_get_fixed(call, ret->id.bytes, UUID_LEN));
    ret->version = (uint64_t)sq_call_get_int(call);
    ret->kind = (uint32_t)sq_call_get_int(call);
    TRY(sq_call_get_fixed(call, ret->name_hash, sizeof ret->name_hash));
    ret->created = sq_call_get_int(call);
    TRY(sq_call_get_fixed(call, ret->key_id.bytes, UUID_LEN));
    return sq_call_get_blob(call, arena, &ret->sealed);
}

// The only row of a call whose parameters are bound.
static enum err take_one(struct sq_call *call, struct arena *arena, struct store_named *ret)
{
    struct store_named named = {0};
    TRY(sq_rows_one(call, take_named, arena, "wallet or group", &named));
    *ret = named;
    return ERR_OK;
}

enum err sq_sets_named_get(void *self, const struct uuid *id, struct arena *arena,
                           struct store_named *ret)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_NAMED_GET, &call));
    sq_call_uuid(&call, id);
    return take_one(&call, arena, ret);
}

enum err sq_sets_named_by_name(void *self, uint32_t kind, const uint8_t name_hash[STORE_HASH_LEN],
                               struct arena *arena, struct store_named *ret)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_NAMED_BY_NAME, &call));
    sq_call_int(&call, kind);
    sq_call_blob(&call, span_of(name_hash, STORE_HASH_LEN));
    return take_one(&call, arena, ret);
}

enum err sq_sets_named_list(void *self, uint32_t kind, const struct uuid *after, uint32_t limit,
                            struct arena *arena, struct store_named **ret, size_t *ret_count)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_NAMED_LIST, &call));
    sq_call_int(&call, kind);
    sq_call_uuid(&call, after);
    sq_call_int(&call, limit);
    return sq_rows_all(&call, sizeof **ret, take_named, arena, ret, ret_count);
}

enum err sq_sets_named_remove(void *self, const struct uuid *id, uint64_t version)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_NAMED_REMOVE, &call));
    sq_call_uuid(&call, id);
    sq_call_int(&call, (int64_t)version);
    TRY(sq_call_run(&call, &changes));
    TRY(check_changed(self, id, changes));
    TRY(sq_rows_run(self, SQ_MEMBER_REMOVE_SET, id));
    TRY(sq_rows_run(self, SQ_GRANT_REMOVE_WALLET, id));
    TRY(sq_rows_run(self, SQ_GRANT_REMOVE_GRANTEE, id));
    TRY(sq_rows_run(self, SQ_PRIVILEGE_REMOVE_THING, id));
    return sq_rows_run(self, SQ_ENDPOINT_NO_DEFAULT, id);
}

// ---- members ----

static enum err has(struct sq_db *db, const struct uuid *set, const struct uuid *member, bool *ret)
{
    struct uuid before = *member;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    // The place just before this id: the next member is the one that is asked for, or another.
    for (int i = UUID_LEN - 1; i >= 0 && before.bytes[i]-- == 0; i--)
        ;
    *ret = false;
    TRY(sq_call_start(db, SQ_MEMBER_LIST, &call));
    sq_call_uuid(&call, set);
    sq_call_uuid(&call, &before);
    sq_call_int(&call, 1);
    bool row = false;
    struct uuid found;
    TRY(sq_call_step(&call, &row));
    if (!row)
        return ERR_OK;
    TRY(sq_call_get_fixed(&call, found.bytes, UUID_LEN));
    *ret = memcmp(&found, member, sizeof found) == 0;
    return ERR_OK;
}

enum err sq_sets_member_put(void *self, const struct uuid *set, const struct uuid *member)
{
    bool is = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(has(self, set, member, &is));
    if (is)
        FAIL(ERR_CONFLICT, "it is in there already");
    TRY(sq_call_start(self, SQ_MEMBER_PUT, &call));
    sq_call_uuid(&call, set);
    sq_call_uuid(&call, member);
    return sq_call_run(&call, NULL);
}

// Runs a statement that takes away the row of these two.
static enum err remove_pair(struct sq_db *db, enum sq_statement which, const struct uuid *a,
                            const struct uuid *b)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, which, &call));
    sq_call_uuid(&call, a);
    sq_call_uuid(&call, b);
    TRY(sq_call_run(&call, &changes));
    if (changes == 0)
        FAIL(ERR_NOT_FOUND, "it is not in there");
    return ERR_OK;
}

enum err sq_sets_member_remove(void *self, const struct uuid *set, const struct uuid *member)
{
    return remove_pair(self, SQ_MEMBER_REMOVE, set, member);
}

enum err sq_sets_member_list(void *self, const struct uuid *set, const struct uuid *after,
                             uint32_t limit, struct arena *arena, struct uuid **ret,
                             size_t *ret_count)
{
    return sq_rows_ids(self, SQ_MEMBER_LIST, set, after, limit, arena, ret, ret_count);
}

enum err sq_sets_member_count(void *self, const struct uuid *set, uint64_t *ret)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_MEMBER_COUNT, &call));
    sq_call_uuid(&call, set);
    TRY(sq_call_step(&call, &row));
    *ret = row ? (uint64_t)sq_call_get_int(&call) : 0;
    return ERR_OK;
}

enum err sq_sets_member_of(void *self, const struct uuid *member, const struct uuid *after,
                           uint32_t limit, struct arena *arena, struct uuid **ret,
                           size_t *ret_count)
{
    return sq_rows_ids(self, SQ_MEMBER_OF, member, after, limit, arena, ret, ret_count);
}

// ---- grants ----

enum err sq_sets_grant_put(void *self, const struct store_grant *grant)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_GRANT_PUT, &call));
    sq_call_uuid(&call, &grant->wallet);
    sq_call_uuid(&call, &grant->grantee);
    sq_call_int(&call, grant->kind);
    sq_call_int(&call, grant->access);
    return sq_call_run(&call, NULL);
}

enum err sq_sets_grant_remove(void *self, const struct uuid *wallet, const struct uuid *grantee)
{
    return remove_pair(self, SQ_GRANT_REMOVE, wallet, grantee);
}

static enum err take_grant(struct sq_call *call, struct arena *arena, void *item)
{
    struct store_grant *ret = item;
    (void)arena;
    TRY(sq_call_get_fixed(call, ret->wallet.bytes, UUID_LEN));
    TRY(sq_call_get_fixed(call, ret->grantee.bytes, UUID_LEN));
    ret->kind = (uint32_t)sq_call_get_int(call);
    ret->access = (uint32_t)sq_call_get_int(call);
    return ERR_OK;
}

enum err sq_sets_grant_list(void *self, const struct uuid *wallet, const struct uuid *after,
                            uint32_t limit, struct arena *arena, struct store_grant **ret,
                            size_t *ret_count)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_GRANT_LIST, &call));
    sq_call_uuid(&call, wallet);
    sq_call_uuid(&call, after);
    sq_call_int(&call, limit);
    return sq_rows_all(&call, sizeof **ret, take_grant, arena, ret, ret_count);
}

enum err sq_sets_grant_reach(void *self, const struct uuid *who, struct arena *arena,
                             struct store_grant **ret, size_t *ret_count)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_GRANT_REACH, &call));
    sq_call_uuid(&call, who);
    return sq_rows_all(&call, sizeof **ret, take_grant, arena, ret, ret_count);
}

enum err sq_sets_access_get(void *self, const struct uuid *who, const struct uuid *object,
                            uint32_t *ret)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_ACCESS_GET, &call));
    sq_call_uuid(&call, who);
    sq_call_uuid(&call, object);
    TRY(sq_call_step(&call, &row));
    *ret = row ? (uint32_t)sq_call_get_int(&call) : 0;
    return ERR_OK;
}
