// SPDX-License-Identifier: Apache-2.0
//
// The engine for tests: stores by name within this process, single-threaded. Invariant: `current`
// of a shared store is never changed in place; a write transaction works on a clone that the commit
// puts in its stead, and one handle at a time has such a clone.
#include <stdlib.h>

#include "store/driver.h"
#include "store/ram/ram_issued.h"
#include "store/ram/ram_people.h"
#include "store/ram/ram_rows.h"
#include "store/ram/ram_sets.h"

enum { SAVES = 2 };

struct shared {
    struct shared *next;
    char *name;
    unsigned handles;
    bool writing;
    struct ram_db *current;
};

struct handle {
    struct shared *shared;
    struct ram_db *view;         // of the open transaction, else NULL
    struct ram_db *saved[SAVES]; // what to go back to
    bool writer;                 // the open transaction writes
};

static struct shared *all;

static struct shared *find(const char *name)
{
    for (struct shared *s = all; s != NULL; s = s->next) {
        if (strcmp(s->name, name) == 0)
            return s;
    }
    return NULL;
}

static enum err make(const char *name, struct shared **ret)
{
    struct shared *s = calloc(1, sizeof *s);
    char *copy = strdup(name);
    struct ram_db *db = NULL;
    if (s == NULL || copy == NULL || ram_db_new(&db) != ERR_OK) {
        free(s);
        free(copy);
        FAIL(ERR_MEMORY, "no memory for a store");
    }
    *s = (struct shared){.next = all, .name = copy, .current = db};
    all = s;
    *ret = s;
    return ERR_OK;
}

static enum err do_open(int root, const char *path, enum store_mode mode, void **ret_self)
{
    (void)root;
    struct shared *shared = find(path);
    if (shared == NULL && mode == STORE_READ)
        FAIL(ERR_NOT_FOUND, "the store \"%s\" has not been made yet", path);
    if (shared == NULL)
        TRY(make(path, &shared));
    struct handle *handle = calloc(1, sizeof *handle);
    if (handle == NULL)
        FAIL(ERR_MEMORY, "no memory for a store");
    handle->shared = shared;
    shared->handles++;
    *ret_self = handle;
    return ERR_OK;
}

static void do_close(void *self)
{
    struct handle *handle = self;
    struct shared *shared = handle->shared;
    free(handle);
    if (--shared->handles > 0)
        return;
    struct shared **at = &all;
    while (*at != shared)
        at = &(*at)->next;
    *at = shared->next;
    ram_db_unref(shared->current);
    free(shared->name);
    free(shared);
}

static enum err do_begin(void *self, enum store_mode mode)
{
    struct handle *handle = self;
    if (mode == STORE_READ) {
        handle->view = ram_db_ref(handle->shared->current);
        return ERR_OK;
    }
    if (handle->shared->writing)
        FAIL(ERR_BUSY, "another handle is writing to the store");
    TRY(ram_db_clone(handle->shared->current, &handle->view));
    handle->shared->writing = true;
    handle->writer = true;
    return ERR_OK;
}

static void do_rollback(void *self, enum store_mode mode)
{
    struct handle *handle = self;
    for (int i = 0; i < SAVES; i++) {
        ram_db_unref(handle->saved[i]);
        handle->saved[i] = NULL;
    }
    ram_db_unref(handle->view);
    handle->view = NULL;
    if (mode == STORE_WRITE && handle->writer)
        handle->shared->writing = false;
    handle->writer = false;
}

static enum err do_commit(void *self)
{
    struct handle *handle = self;
    ram_db_unref(handle->shared->current);
    handle->shared->current = ram_db_ref(handle->view);
    handle->view->version++;
    do_rollback(self, STORE_WRITE);
    return ERR_OK;
}

static enum err do_save(void *self, unsigned depth)
{
    struct handle *handle = self;
    return ram_db_clone(handle->view, &handle->saved[depth]);
}

static enum err do_keep(void *self, unsigned depth)
{
    struct handle *handle = self;
    ram_db_unref(handle->saved[depth]);
    handle->saved[depth] = NULL;
    return ERR_OK;
}

static enum err do_undo(void *self, unsigned depth)
{
    struct handle *handle = self;
    ram_db_unref(handle->view);
    handle->view = handle->saved[depth];
    handle->saved[depth] = NULL;
    return ERR_OK;
}

// What a verb works on: the transaction's view, or what is current.
static struct ram_db *view(void *self)
{
    struct handle *handle = self;
    return handle->view != NULL ? handle->view : handle->shared->current;
}

static enum err do_changed(void *self, uint64_t *ret_version)
{
    *ret_version = view(self)->version;
    return ERR_OK;
}

// There is no log.
static enum err do_relieve(void *self, bool *ret_busy)
{
    (void)self;
    *ret_busy = false;
    return ERR_OK;
}

static enum err do_maintain(void *self, int64_t before_s, bool *ret_done)
{
    TRY(do_begin(self, STORE_WRITE));
    ram_rows_outcome_forget(view(self), before_s);
    TRY(do_commit(self));
    *ret_done = true;
    return ERR_OK;
}

static enum err do_object_find(void *self, const struct store_query *query, struct arena *arena,
                               struct store_object **ret, size_t *ret_count)
{
    struct store_object *list = NULL;
    TRY(arena_alloc(arena, query->limit, sizeof *list, &list));
    TRY(ram_rows_object_find(view(self), query, arena, list, ret_count));
    *ret = list;
    return ERR_OK;
}

static enum err do_object_count(void *self, const struct store_query *query, uint64_t *ret)
{
    size_t count = 0;
    TRY(ram_rows_object_find(view(self), query, NULL, NULL, &count));
    *ret = count;
    return ERR_OK;
}

static enum err do_audit_head(void *self, struct store_audit *ret)
{
    ram_rows_audit_head(view(self), ret);
    return ERR_OK;
}

static enum err do_outcome_put(void *self, const struct uuid *id, int64_t now_s, struct span answer)
{
    return ram_rows_outcome_put(view(self), id, now_s, answer);
}

static enum err do_outcome_find(void *self, const struct uuid *id, struct arena *arena,
                                bool *ret_found, struct span *ret_answer)
{
    return ram_rows_outcome_find(view(self), id, arena, ret_found, ret_answer);
}

static enum err do_data_key_put(void *self, const struct store_data_key *key)
{
    return ram_rows_key_put(view(self), key, false);
}

static enum err do_data_key_update(void *self, const struct store_data_key *key)
{
    return ram_rows_key_put(view(self), key, true);
}

static enum err do_data_key_delete(void *self, const struct uuid *id)
{
    return ram_rows_key_delete(view(self), id);
}

static enum err do_data_key_list(void *self, struct arena *arena, struct store_data_key **ret,
                                 size_t *ret_count)
{
    return ram_rows_key_list(view(self), arena, ret, ret_count);
}

static enum err do_object_put(void *self, const struct store_object *object,
                              const struct store_index *index, size_t index_count)
{
    return ram_rows_object_put(view(self), object, index, index_count, false);
}

static enum err do_object_update(void *self, const struct store_object *object,
                                 const struct store_index *index, size_t index_count)
{
    return ram_rows_object_put(view(self), object, index, index_count, true);
}

static enum err do_object_get(void *self, const struct uuid *id, struct arena *arena,
                              struct store_object *ret)
{
    return ram_rows_object_get(view(self), id, arena, ret);
}

static enum err do_endpoint_put(void *self, const struct store_endpoint *endpoint)
{
    return ram_rows_endpoint_put(view(self), endpoint, false);
}

static enum err do_endpoint_update(void *self, const struct store_endpoint *endpoint)
{
    return ram_rows_endpoint_put(view(self), endpoint, true);
}

static enum err do_endpoint_get(void *self, const struct uuid *id, struct arena *arena,
                                struct store_endpoint *ret)
{
    return ram_rows_endpoint_get(view(self), id, NULL, NULL, arena, ret);
}

static enum err do_endpoint_by_fingerprint(void *self, const uint8_t fingerprint[32],
                                           struct arena *arena, struct store_endpoint *ret)
{
    return ram_rows_endpoint_get(view(self), NULL, fingerprint, NULL, arena, ret);
}

static enum err do_endpoint_by_name(void *self, const uint8_t name_hash[STORE_HASH_LEN],
                                    struct arena *arena, struct store_endpoint *ret)
{
    return ram_rows_endpoint_get(view(self), NULL, NULL, name_hash, arena, ret);
}

static enum err do_endpoint_list(void *self, const struct uuid *after, uint32_t limit,
                                 struct arena *arena, struct store_endpoint **ret,
                                 size_t *ret_count)
{
    return ram_rows_endpoint_list(view(self), after, limit, arena, ret, ret_count);
}

static enum err do_object_move(void *self, const struct uuid *from, const struct uuid *to,
                               uint64_t *ret_count)
{
    return ram_rows_object_move(view(self), from, to, ret_count);
}

static enum err do_endpoint_remove(void *self, const struct uuid *id, uint64_t version)
{
    return ram_rows_endpoint_remove(view(self), id, version);
}

static enum err do_seen_put(void *self, const struct uuid *id, int64_t time_s)
{
    return ram_rows_seen_put(view(self), id, time_s);
}

static enum err do_seen_get(void *self, const struct uuid *id, int64_t *ret)
{
    *ret = ram_rows_seen_get(view(self), id);
    return ERR_OK;
}

static enum err do_named_put(void *self, const struct store_named *named)
{
    return ram_sets_named_put(view(self), named, false);
}

static enum err do_named_update(void *self, const struct store_named *named)
{
    return ram_sets_named_put(view(self), named, true);
}

static enum err do_named_get(void *self, const struct uuid *id, struct arena *arena,
                             struct store_named *ret)
{
    return ram_sets_named_get(view(self), id, arena, ret);
}

static enum err do_named_by_name(void *self, uint32_t kind, const uint8_t name_hash[STORE_HASH_LEN],
                                 struct arena *arena, struct store_named *ret)
{
    return ram_sets_named_by_name(view(self), kind, name_hash, arena, ret);
}

static enum err do_named_list(void *self, uint32_t kind, const struct uuid *after, uint32_t limit,
                              struct arena *arena, struct store_named **ret, size_t *ret_count)
{
    return ram_sets_named_list(view(self), kind, after, limit, arena, ret, ret_count);
}

static enum err do_named_remove(void *self, const struct uuid *id, uint64_t version)
{
    TRY(ram_sets_named_remove(view(self), id, version));
    return ram_rows_no_default(view(self), id);
}

static enum err do_member_put(void *self, const struct uuid *set, const struct uuid *member)
{
    return ram_sets_member_put(view(self), set, member);
}

static enum err do_member_remove(void *self, const struct uuid *set, const struct uuid *member)
{
    return ram_sets_member_remove(view(self), set, member);
}

static enum err do_member_list(void *self, const struct uuid *set, const struct uuid *after,
                               uint32_t limit, struct arena *arena, struct uuid **ret,
                               size_t *ret_count)
{
    return ram_sets_member_list(view(self), set, after, limit, arena, ret, ret_count);
}

static enum err do_member_count(void *self, const struct uuid *set, uint64_t *ret)
{
    *ret = ram_sets_member_count(view(self), set);
    return ERR_OK;
}

static enum err do_member_of(void *self, const struct uuid *member, const struct uuid *after,
                             uint32_t limit, struct arena *arena, struct uuid **ret,
                             size_t *ret_count)
{
    return ram_sets_member_of(view(self), member, after, limit, arena, ret, ret_count);
}

static enum err do_grant_put(void *self, const struct store_grant *grant)
{
    return ram_sets_grant_put(view(self), grant);
}

static enum err do_grant_remove(void *self, const struct uuid *wallet, const struct uuid *grantee)
{
    return ram_sets_grant_remove(view(self), wallet, grantee);
}

static enum err do_grant_list(void *self, const struct uuid *wallet, const struct uuid *after,
                              uint32_t limit, struct arena *arena, struct store_grant **ret,
                              size_t *ret_count)
{
    return ram_sets_grant_list(view(self), wallet, after, limit, arena, ret, ret_count);
}

static enum err do_grant_reach(void *self, const struct uuid *who, struct arena *arena,
                               struct store_grant **ret, size_t *ret_count)
{
    return ram_sets_grant_reach(view(self), who, arena, ret, ret_count);
}

static enum err do_access_get(void *self, const struct uuid *who, const struct uuid *object,
                              uint32_t *ret)
{
    *ret = ram_sets_access_get(view(self), who, object);
    return ERR_OK;
}

static enum err do_user_put(void *self, const struct store_user *user)
{
    return ram_people_user_put(view(self), user, false);
}

static enum err do_user_update(void *self, const struct store_user *user)
{
    return ram_people_user_put(view(self), user, true);
}

static enum err do_user_get(void *self, const struct uuid *id, struct arena *arena,
                            struct store_user *ret)
{
    return ram_people_user_get(view(self), id, arena, ret);
}

static enum err do_user_by_name(void *self, const uint8_t name_hash[STORE_HASH_LEN],
                                struct arena *arena, struct store_user *ret)
{
    return ram_people_user_by_name(view(self), name_hash, arena, ret);
}

static enum err do_user_list(void *self, uint32_t rights, const struct uuid *after, uint32_t limit,
                             struct arena *arena, struct store_user **ret, size_t *ret_count)
{
    return ram_people_user_list(view(self), rights, after, limit, arena, ret, ret_count);
}

static enum err do_user_remove(void *self, const struct uuid *id, uint64_t version)
{
    return ram_people_user_remove(view(self), id, version);
}

static enum err do_privilege_put(void *self, const struct store_privilege *privilege)
{
    return ram_people_privilege_put(view(self), privilege);
}

static enum err do_privilege_remove(void *self, const struct store_privilege *privilege)
{
    return ram_people_privilege_remove(view(self), privilege);
}

static enum err do_privilege_has(void *self, const struct store_privilege *privilege, bool *ret)
{
    return ram_people_privilege_has(view(self), privilege, ret);
}

static enum err do_privilege_list(void *self, const struct uuid *user, const struct uuid *after,
                                  uint32_t limit, struct arena *arena, struct uuid **ret,
                                  size_t *ret_count)
{
    return ram_people_privilege_list(view(self), user, after, limit, arena, ret, ret_count);
}

static enum err do_credential_put(void *self, const struct store_credential *credential)
{
    return ram_people_credential_put(view(self), credential, false);
}

static enum err do_credential_update(void *self, const struct store_credential *credential)
{
    return ram_people_credential_put(view(self), credential, true);
}

static enum err do_credential_get(void *self, const struct uuid *id, struct arena *arena,
                                  struct store_credential *ret)
{
    return ram_people_credential_get(view(self), id, arena, ret);
}

static enum err do_credential_by_hash(void *self, const uint8_t hash[32], struct arena *arena,
                                      struct store_credential *ret)
{
    return ram_people_credential_by_hash(view(self), hash, arena, ret);
}

static enum err do_credential_list(void *self, const struct uuid *user, const struct uuid *after,
                                   uint32_t limit, struct arena *arena,
                                   struct store_credential **ret, size_t *ret_count)
{
    return ram_people_credential_list(view(self), user, after, limit, arena, ret, ret_count);
}

static enum err do_credential_remove(void *self, const struct uuid *id)
{
    return ram_people_credential_remove(view(self), id);
}

static enum err do_credential_forget(void *self, int64_t before_s)
{
    return ram_people_credential_forget(view(self), before_s);
}

static enum err do_tries_get(void *self, const uint8_t name_hash[STORE_HASH_LEN],
                             struct store_tries *ret)
{
    return ram_people_tries_get(view(self), name_hash, ret);
}

static enum err do_tries_put(void *self, const struct store_tries *tries)
{
    return ram_people_tries_put(view(self), tries);
}

static enum err do_tries_remove(void *self, const uint8_t name_hash[STORE_HASH_LEN])
{
    return ram_people_tries_remove(view(self), name_hash);
}

static enum err do_tries_list(void *self, const uint8_t after[STORE_HASH_LEN], uint32_t limit,
                              struct arena *arena, struct store_tries **ret, size_t *ret_count)
{
    return ram_people_tries_list(view(self), after, limit, arena, ret, ret_count);
}

static enum err do_tries_forget(void *self, int64_t before_s)
{
    return ram_people_tries_forget(view(self), before_s);
}

static enum err do_issued_put(void *self, const struct store_issued *issued)
{
    return ram_issued_put(view(self), issued);
}

static enum err do_issued_get(void *self, const uint8_t fingerprint[32], struct store_issued *ret)
{
    return ram_issued_get(view(self), fingerprint, ret);
}

static enum err do_issued_end(void *self, const struct uuid *holder, const uint8_t *fingerprint,
                              int64_t when_s, uint32_t reason)
{
    return ram_issued_end(view(self), holder, fingerprint, when_s, reason);
}

static enum err do_issued_list(void *self, const struct store_issued_query *query,
                               struct arena *arena, struct store_issued **ret, size_t *ret_count)
{
    return ram_issued_list(view(self), query, arena, ret, ret_count);
}

static enum err do_issued_count(void *self, const struct store_issued_query *query, uint64_t *ret)
{
    return ram_issued_count(view(self), query, ret);
}

static enum err do_issued_forget(void *self, int64_t before_s)
{
    return ram_issued_forget(view(self), before_s);
}

static enum err do_setting_put(void *self, bool node, const char *name, struct span value)
{
    return ram_rows_setting_put(view(self), node, name, value);
}

static enum err do_setting_get(void *self, bool node, const char *name, struct arena *arena,
                               struct span *ret)
{
    return ram_rows_setting_get(view(self), node, name, arena, ret);
}

static enum err do_audit_append(void *self, const struct store_audit *row)
{
    return ram_rows_audit_append(view(self), row);
}

static enum err do_audit_floor(void *self, struct store_audit *ret)
{
    ram_rows_audit_floor(view(self), ret);
    return ERR_OK;
}

static enum err do_audit_raise(void *self, uint64_t through)
{
    return ram_rows_audit_raise(view(self), through);
}

static enum err do_audit_drop(void *self, uint32_t limit, bool *ret_more)
{
    ram_rows_audit_drop(view(self), limit, ret_more);
    return ERR_OK;
}

static enum err do_audit_list(void *self, uint64_t from, uint32_t limit, struct arena *arena,
                              struct store_audit **ret, size_t *ret_count)
{
    return ram_rows_audit_list(view(self), from, limit, arena, ret, ret_count);
}

const struct store_driver ram_driver = {
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
    .named_put = do_named_put,
    .named_update = do_named_update,
    .named_get = do_named_get,
    .named_by_name = do_named_by_name,
    .named_list = do_named_list,
    .named_remove = do_named_remove,
    .member_put = do_member_put,
    .member_remove = do_member_remove,
    .member_list = do_member_list,
    .member_count = do_member_count,
    .member_of = do_member_of,
    .grant_put = do_grant_put,
    .grant_remove = do_grant_remove,
    .grant_list = do_grant_list,
    .grant_reach = do_grant_reach,
    .access_get = do_access_get,
    .user_put = do_user_put,
    .user_update = do_user_update,
    .user_get = do_user_get,
    .user_by_name = do_user_by_name,
    .user_list = do_user_list,
    .user_remove = do_user_remove,
    .privilege_put = do_privilege_put,
    .privilege_remove = do_privilege_remove,
    .privilege_has = do_privilege_has,
    .privilege_list = do_privilege_list,
    .credential_put = do_credential_put,
    .credential_update = do_credential_update,
    .credential_get = do_credential_get,
    .credential_by_hash = do_credential_by_hash,
    .credential_list = do_credential_list,
    .credential_remove = do_credential_remove,
    .credential_forget = do_credential_forget,
    .tries_get = do_tries_get,
    .tries_put = do_tries_put,
    .tries_remove = do_tries_remove,
    .tries_list = do_tries_list,
    .tries_forget = do_tries_forget,
    .issued_put = do_issued_put,
    .issued_get = do_issued_get,
    .issued_end = do_issued_end,
    .issued_list = do_issued_list,
    .issued_count = do_issued_count,
    .issued_forget = do_issued_forget,
    .setting_put = do_setting_put,
    .setting_get = do_setting_get,
    .audit_append = do_audit_append,
    .audit_head = do_audit_head,
    .audit_list = do_audit_list,
    .audit_floor = do_audit_floor,
    .audit_raise = do_audit_raise,
    .audit_drop = do_audit_drop,
};
