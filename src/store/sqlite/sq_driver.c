// SPDX-License-Identifier: Apache-2.0
//
// The table of the embedded engine: gives each verb the connection that it runs on.
#include "store/driver.h"
#include "store/sqlite/sq_endpoint.h"
#include "store/sqlite/sq_find.h"
#include "store/sqlite/sq_issued.h"
#include "store/sqlite/sq_node.h"
#include "store/sqlite/sq_object.h"
#include "store/sqlite/sq_people.h"
#include "store/sqlite/sq_sets.h"

static enum err do_open(int root, const char *path, enum store_mode mode, void **ret_self)
{
    struct sq_db *db = NULL;
    TRY(sq_db_open(root, path, mode, &db));
    *ret_self = db;
    return ERR_OK;
}

static void do_close(void *self)
{
    sq_db_close(self);
}

static void do_rollback(void *self, enum store_mode mode)
{
    sq_db_rollback(self, mode);
}

static enum err run(void *self, enum sq_statement which)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, which, &call));
    return sq_call_run(&call, NULL);
}

static enum err do_save(void *self, unsigned depth)
{
    return run(self, depth == 0 ? SQ_SAVE_0 : SQ_SAVE_1);
}

static enum err do_keep(void *self, unsigned depth)
{
    return run(self, depth == 0 ? SQ_KEEP_0 : SQ_KEEP_1);
}

// ROLLBACK TO leaves the savepoint standing; the release takes it away.
static enum err do_undo(void *self, unsigned depth)
{
    TRY(run(self, depth == 0 ? SQ_UNDO_0 : SQ_UNDO_1));
    return do_keep(self, depth);
}

static enum err do_begin(void *self, enum store_mode mode)
{
    return sq_db_begin(self, mode);
}

static enum err do_commit(void *self)
{
    return sq_db_commit(self);
}

static enum err do_changed(void *self, uint64_t *ret_version)
{
    return sq_db_changed(self, ret_version);
}

static enum err do_relieve(void *self, bool *ret_busy)
{
    return sq_db_relieve(self, ret_busy);
}

static enum err do_maintain(void *self, int64_t before_s, bool *ret_done)
{
    return sq_db_maintain(self, before_s, ret_done);
}

static enum err do_outcome_put(void *self, const struct uuid *id, int64_t now_s, struct span answer)
{
    return sq_node_outcome_put(self, id, now_s, answer);
}

static enum err do_outcome_find(void *self, const struct uuid *id, struct arena *arena,
                                bool *ret_found, struct span *ret_answer)
{
    return sq_node_outcome_find(self, id, arena, ret_found, ret_answer);
}

static enum err do_data_key_put(void *self, const struct store_data_key *key)
{
    return sq_node_key_put(self, key);
}

static enum err do_data_key_update(void *self, const struct store_data_key *key)
{
    return sq_node_key_update(self, key);
}

static enum err do_data_key_delete(void *self, const struct uuid *id)
{
    return sq_node_key_delete(self, id);
}

static enum err do_data_key_list(void *self, struct arena *arena, struct store_data_key **ret,
                                 size_t *ret_count)
{
    return sq_node_key_list(self, arena, ret, ret_count);
}

static enum err do_object_put(void *self, const struct store_object *object,
                              const struct store_index *index, size_t index_count)
{
    return sq_object_put(self, object, index, index_count);
}

static enum err do_object_update(void *self, const struct store_object *object,
                                 const struct store_index *index, size_t index_count)
{
    return sq_object_update(self, object, index, index_count);
}

static enum err do_object_get(void *self, const struct uuid *id, struct arena *arena,
                              struct store_object *ret)
{
    return sq_object_get(self, id, arena, ret);
}

static enum err do_object_find(void *self, const struct store_query *query, struct arena *arena,
                               struct store_object **ret, size_t *ret_count)
{
    return sq_find_objects(self, query, arena, ret, ret_count);
}

static enum err do_object_count(void *self, const struct store_query *query, uint64_t *ret)
{
    return sq_find_count(self, query, ret);
}

static enum err do_object_move(void *self, const struct uuid *from, const struct uuid *to,
                               uint64_t *ret_count)
{
    return sq_object_move(self, from, to, ret_count);
}

static enum err do_endpoint_remove(void *self, const struct uuid *id, uint64_t version)
{
    return sq_endpoint_remove(self, id, version);
}

static enum err do_seen_put(void *self, const struct uuid *id, int64_t time_s)
{
    return sq_endpoint_seen_put(self, id, time_s);
}

static enum err do_seen_get(void *self, const struct uuid *id, int64_t *ret)
{
    return sq_endpoint_seen_get(self, id, ret);
}

static enum err do_endpoint_put(void *self, const struct store_endpoint *endpoint)
{
    return sq_endpoint_put(self, endpoint);
}

static enum err do_endpoint_update(void *self, const struct store_endpoint *endpoint)
{
    return sq_endpoint_update(self, endpoint);
}

static enum err do_endpoint_get(void *self, const struct uuid *id, struct arena *arena,
                                struct store_endpoint *ret)
{
    return sq_endpoint_get(self, SQ_ENDPOINT_GET, span_of(id->bytes, UUID_LEN), arena, ret);
}

static enum err do_endpoint_by_fingerprint(void *self, const uint8_t fingerprint[32],
                                           struct arena *arena, struct store_endpoint *ret)
{
    return sq_endpoint_get(self, SQ_ENDPOINT_BY_FINGERPRINT, span_of(fingerprint, 32), arena, ret);
}

static enum err do_endpoint_by_name(void *self, const uint8_t name_hash[STORE_HASH_LEN],
                                    struct arena *arena, struct store_endpoint *ret)
{
    return sq_endpoint_get(self, SQ_ENDPOINT_BY_NAME, span_of(name_hash, STORE_HASH_LEN), arena,
                           ret);
}

static enum err do_endpoint_list(void *self, const struct uuid *after, uint32_t limit,
                                 struct arena *arena, struct store_endpoint **ret,
                                 size_t *ret_count)
{
    return sq_endpoint_list(self, after, limit, arena, ret, ret_count);
}

static enum err do_setting_put(void *self, bool node, const char *name, struct span value)
{
    return sq_node_setting_put(self, node, name, value);
}

static enum err do_setting_get(void *self, bool node, const char *name, struct arena *arena,
                               struct span *ret)
{
    return sq_node_setting_get(self, node, name, arena, ret);
}

static enum err do_audit_append(void *self, const struct store_audit *row)
{
    return sq_node_audit_append(self, row);
}

static enum err do_audit_head(void *self, struct store_audit *ret)
{
    return sq_node_audit_head(self, ret);
}

static enum err do_audit_floor(void *self, struct store_audit *ret)
{
    return sq_node_audit_floor(self, ret);
}

static enum err do_audit_raise(void *self, uint64_t through)
{
    return sq_node_audit_raise(self, through);
}

static enum err do_audit_drop(void *self, uint32_t limit, bool *ret_more)
{
    return sq_node_audit_drop(self, limit, ret_more);
}

static enum err do_audit_list(void *self, uint64_t from, uint32_t limit, struct arena *arena,
                              struct store_audit **ret, size_t *ret_count)
{
    return sq_node_audit_list(self, from, limit, arena, ret, ret_count);
}

const struct store_driver sq_driver = {
    .open = do_open,
    .close = do_close,
    .begin = do_begin,
    .commit = do_commit,
    .rollback = do_rollback,
    .save = do_save,
    .keep = do_keep,
    .undo = do_undo,
    .changed = do_changed,
    .maintain = do_maintain,
    .relieve = do_relieve,
    .outcome_put = do_outcome_put,
    .outcome_find = do_outcome_find,
    .data_key_put = do_data_key_put,
    .data_key_update = do_data_key_update,
    .data_key_delete = do_data_key_delete,
    .data_key_list = do_data_key_list,
    .object_put = do_object_put,
    .object_update = do_object_update,
    .object_get = do_object_get,
    .object_find = do_object_find,
    .object_count = do_object_count,
    .object_move = do_object_move,
    .endpoint_put = do_endpoint_put,
    .endpoint_update = do_endpoint_update,
    .endpoint_get = do_endpoint_get,
    .endpoint_by_fingerprint = do_endpoint_by_fingerprint,
    .endpoint_by_name = do_endpoint_by_name,
    .endpoint_list = do_endpoint_list,
    .endpoint_remove = do_endpoint_remove,
    .seen_put = do_seen_put,
    .seen_get = do_seen_get,
    .named_put = sq_sets_named_put,
    .named_update = sq_sets_named_update,
    .named_get = sq_sets_named_get,
    .named_by_name = sq_sets_named_by_name,
    .named_list = sq_sets_named_list,
    .named_remove = sq_sets_named_remove,
    .member_put = sq_sets_member_put,
    .member_remove = sq_sets_member_remove,
    .member_list = sq_sets_member_list,
    .member_count = sq_sets_member_count,
    .member_of = sq_sets_member_of,
    .grant_put = sq_sets_grant_put,
    .grant_remove = sq_sets_grant_remove,
    .grant_list = sq_sets_grant_list,
    .grant_reach = sq_sets_grant_reach,
    .access_get = sq_sets_access_get,
    .user_put = sq_people_user_put,
    .user_update = sq_people_user_update,
    .user_get = sq_people_user_get,
    .user_by_name = sq_people_user_by_name,
    .user_list = sq_people_user_list,
    .user_remove = sq_people_user_remove,
    .privilege_put = sq_people_privilege_put,
    .privilege_remove = sq_people_privilege_remove,
    .privilege_has = sq_people_privilege_has,
    .privilege_list = sq_people_privilege_list,
    .credential_put = sq_people_credential_put,
    .credential_update = sq_people_credential_update,
    .credential_get = sq_people_credential_get,
    .credential_by_hash = sq_people_credential_by_hash,
    .credential_list = sq_people_credential_list,
    .credential_remove = sq_people_credential_remove,
    .credential_forget = sq_people_credential_forget,
    .tries_get = sq_people_tries_get,
    .tries_put = sq_people_tries_put,
    .tries_remove = sq_people_tries_remove,
    .tries_list = sq_people_tries_list,
    .tries_forget = sq_people_tries_forget,
    .issued_put = sq_issued_put,
    .issued_get = sq_issued_get,
    .issued_end = sq_issued_end,
    .issued_list = sq_issued_list,
    .issued_count = sq_issued_count,
    .issued_forget = sq_issued_forget,
    .setting_put = do_setting_put,
    .setting_get = do_setting_get,
    .audit_append = do_audit_append,
    .audit_head = do_audit_head,
    .audit_list = do_audit_list,
    .audit_floor = do_audit_floor,
    .audit_raise = do_audit_raise,
    .audit_drop = do_audit_drop,
};
