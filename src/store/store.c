// SPDX-License-Identifier: Apache-2.0
//
// The rules that hold for every engine, then a call to the driver. Invariants: a driver's writing
// verb runs only inside a write transaction; after a failed commit (`failed`) nothing runs; after a
// failure that an engine may have answered by dropping its transaction (`doomed`) nothing runs
// until store_rollback, so that no later statement can commit by itself.
#include "store/store.h"

#include <stdlib.h>

#include "store/rules.h"

enum { SAVE_DEPTH = 2, PATH_LIMIT = 1024 };

enum err store_open(int root, const char *path, enum store_mode mode, struct store **ret)
{
    if (strlen(path) >= PATH_LIMIT)
        FAIL(ERR_INVALID, "the path \"%s\" is too long", path);
    CLEANUP(store_closep) struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        FAIL(ERR_MEMORY, "no memory for a store");
    store->driver = strncmp(path, "ram:", 4) == 0 ? &ram_driver : &sq_driver;
    store->mode = mode;
    TRY(store->driver->open(root, path, mode, &store->self));
    *ret = store;
    store = NULL;
    return ERR_OK;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    store_rollback(store);
    if (store->self != NULL)
        store->driver->close(store->self);
    free(store);
}

void store_closep(struct store **store)
{
    store_close(*store);
    *store = NULL;
}

enum err store_begin(struct store *store, enum store_mode mode)
{
    TRY(rules_usable(store));
    if (store->active)
        FAIL(ERR_INTERNAL, "a transaction is open already");
    if (mode == STORE_WRITE && store->mode != STORE_WRITE)
        FAIL(ERR_INTERNAL, "the store was opened for reading only");
    TRY(store->driver->begin(store->self, mode));
    store->active = true;
    store->kind = mode;
    store->touched = store->bare = false;
    store->depth = 0;
    return ERR_OK;
}

// So that store_changed tells of others only.
static void see_own_commit(struct store *store)
{
    if (store->seen && store->driver->changed(store->self, &store->seen_version) != ERR_OK)
        store->seen = false;
}

enum err store_commit(struct store *store)
{
    enum err err = rules_usable(store);
    if (store->doomed != ERR_OK)
        store_rollback(store);
    TRY(err);
    if (!store->active || store->depth != 0)
        FAIL(ERR_INTERNAL, "there is no transaction to commit, or a save in it is still open");
    if (store->kind == STORE_READ) {
        store_rollback(store);
        return ERR_OK;
    }
    err = store->driver->commit(store->self);
    if (err == ERR_NO_SPACE) {
        // A driver says so only where nothing was made durable: it ends as if rolled back.
        store_rollback(store);
        FAIL(ERR_NO_SPACE, "could not commit: %s", err_info(ERR_NO_SPACE)->text);
    }
    if (err != ERR_OK) {
        store->failed = true;
        return err;
    }
    store->active = false;
    see_own_commit(store);
    return ERR_OK;
}

void store_rollback(struct store *store)
{
    if (!store->active)
        return;
    store->driver->rollback(store->self, store->kind);
    store->active = false;
    store->doomed = ERR_OK;
    store->bare = false;
    store->depth = 0;
}

bool store_is_doomed(const struct store *store)
{
    return store->doomed != ERR_OK;
}

bool store_is_unsure(const struct store *store)
{
    return store->failed;
}

enum err store_changed(struct store *store, bool *ret)
{
    TRY(rules_usable(store));
    uint64_t version = 0;
    TRY(store->driver->changed(store->self, &version));
    *ret = !store->seen || version != store->seen_version;
    store->seen = true;
    store->seen_version = version;
    return ERR_OK;
}

enum err store_maintain(struct store *store, int64_t outcomes_before_s, bool *ret_done)
{
    TRY(rules_usable(store));
    if (store->active || store->mode != STORE_WRITE)
        FAIL(ERR_INTERNAL, "housekeeping was asked for inside a transaction or by a reader");
    return store->driver->maintain(store->self, outcomes_before_s, ret_done);
}

enum err store_relieve(struct store *store, bool *ret_busy)
{
    TRY(rules_usable(store));
    if (store->active || store->mode != STORE_WRITE)
        FAIL(ERR_INTERNAL, "the log was to be moved inside a transaction or by a reader");
    return store->driver->relieve(store->self, ret_busy);
}

// Before the first change the beginning of the transaction is the save: most transactions have one
// request, and mostly it succeeds, so that an engine's own savepoint would be made for nothing.
enum err store_save(struct store *store)
{
    TRY(rules_writing(store));
    if (store->depth >= SAVE_DEPTH)
        FAIL(ERR_INTERNAL, "saves nest to %d", SAVE_DEPTH);
    if (store->depth == 0 && !store->touched)
        store->bare = true;
    else
        TRY(rules_wrote(store, store->driver->save(store->self, store->depth)));
    store->depth++;
    return ERR_OK;
}

enum err store_keep(struct store *store)
{
    TRY(rules_writing(store));
    if (store->depth == 0)
        FAIL(ERR_INTERNAL, "there is no save to keep");
    store->depth--;
    if (store->depth == 0 && store->bare) {
        store->bare = false;
        return ERR_OK;
    }
    return rules_wrote(store, store->driver->keep(store->self, store->depth));
}

static enum err begin_again(struct store *store)
{
    if (!store->touched)
        return ERR_OK;
    store->driver->rollback(store->self, STORE_WRITE);
    store->touched = false;
    return store->driver->begin(store->self, STORE_WRITE);
}

void store_undo(struct store *store)
{
    if (!store->active || store->depth == 0)
        return;
    store->depth--;
    bool bare = store->depth == 0 && store->bare;
    store->bare = store->bare && !bare;
    if (store->doomed != ERR_OK)
        return;
    enum err err = bare ? begin_again(store) : store->driver->undo(store->self, store->depth);
    if (err != ERR_OK)
        store->doomed = err;
}

enum err store_outcome_put(struct store *store, const struct uuid *id, int64_t now_s,
                           struct span answer)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->outcome_put(store->self, id, now_s, answer));
}

enum err store_outcome_find(struct store *store, const struct uuid *id, struct arena *arena,
                            bool *ret_found, struct span *ret_answer)
{
    TRY(rules_usable(store));
    return store->driver->outcome_find(store->self, id, arena, ret_found, ret_answer);
}

static enum err check_key(const struct store_data_key *key)
{
    if (memchr(key->purpose, '\0', sizeof key->purpose) == NULL || key->purpose[0] == '\0')
        FAIL(ERR_INVALID, "the purpose of a data key must have 1 to 15 bytes");
    return ERR_OK;
}

enum err store_data_key_put(struct store *store, const struct store_data_key *key)
{
    TRY(rules_writable(store));
    TRY(check_key(key));
    return rules_wrote(store, store->driver->data_key_put(store->self, key));
}

enum err store_data_key_update(struct store *store, const struct store_data_key *key)
{
    TRY(rules_writable(store));
    TRY(check_key(key));
    return rules_wrote(store, store->driver->data_key_update(store->self, key));
}

enum err store_data_key_delete(struct store *store, const struct uuid *id)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->data_key_delete(store->self, id));
}

enum err store_data_key_list(struct store *store, struct arena *arena, struct store_data_key **ret,
                             size_t *ret_count)
{
    TRY(rules_usable(store));
    return store->driver->data_key_list(store->self, arena, ret, ret_count);
}

static enum err check_index_count(size_t count)
{
    if (count > STORE_INDEX_MAX)
        FAIL(ERR_TOO_LARGE, "an object can be found by at most %d values", STORE_INDEX_MAX);
    return ERR_OK;
}

enum err store_object_put(struct store *store, const struct store_object *object,
                          const struct store_index *index, size_t index_count)
{
    TRY(rules_writable(store));
    TRY(check_index_count(index_count));
    return rules_wrote(store, store->driver->object_put(store->self, object, index, index_count));
}

enum err store_object_update(struct store *store, const struct store_object *object,
                             const struct store_index *index, size_t index_count)
{
    TRY(rules_writable(store));
    TRY(check_index_count(index_count));
    return rules_wrote(store,
                       store->driver->object_update(store->self, object, index, index_count));
}

enum err store_object_get(struct store *store, const struct uuid *id, struct arena *arena,
                          struct store_object *ret)
{
    TRY(rules_usable(store));
    return store->driver->object_get(store->self, id, arena, ret);
}

static enum err check_query(const struct store_query *query)
{
    if (query->index_count > STORE_FILTER_MAX)
        FAIL(ERR_TOO_LARGE, "a search takes at most %d values", STORE_FILTER_MAX);
    return ERR_OK;
}

enum err store_object_find(struct store *store, const struct store_query *query,
                           struct arena *arena, struct store_object **ret, size_t *ret_count)
{
    TRY(rules_usable(store));
    TRY(check_query(query));
    TRY(rules_limit(query->limit));
    return store->driver->object_find(store->self, query, arena, ret, ret_count);
}

enum err store_object_count(struct store *store, const struct store_query *query, uint64_t *ret)
{
    TRY(rules_usable(store));
    TRY(check_query(query));
    return store->driver->object_count(store->self, query, ret);
}

enum err store_object_move(struct store *store, const struct uuid *from, const struct uuid *to,
                           uint64_t *ret_count)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->object_move(store->self, from, to, ret_count));
}

enum err store_endpoint_put(struct store *store, const struct store_endpoint *endpoint)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->endpoint_put(store->self, endpoint));
}

enum err store_endpoint_update(struct store *store, const struct store_endpoint *endpoint)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->endpoint_update(store->self, endpoint));
}

enum err store_endpoint_get(struct store *store, const struct uuid *id, struct arena *arena,
                            struct store_endpoint *ret)
{
    TRY(rules_usable(store));
    return store->driver->endpoint_get(store->self, id, arena, ret);
}

enum err store_endpoint_by_fingerprint(struct store *store, const uint8_t fingerprint[32],
                                       struct arena *arena, struct store_endpoint *ret)
{
    static const uint8_t none[32];
    TRY(rules_usable(store));
    if (memcmp(fingerprint, none, sizeof none) == 0)
        FAIL(ERR_NOT_FOUND, "there is no endpoint with this certificate");
    return store->driver->endpoint_by_fingerprint(store->self, fingerprint, arena, ret);
}

enum err store_endpoint_by_name(struct store *store, const uint8_t name_hash[STORE_HASH_LEN],
                                struct arena *arena, struct store_endpoint *ret)
{
    TRY(rules_usable(store));
    return store->driver->endpoint_by_name(store->self, name_hash, arena, ret);
}

enum err store_endpoint_list(struct store *store, const struct uuid *after, uint32_t limit,
                             struct arena *arena, struct store_endpoint **ret, size_t *ret_count)
{
    TRY(rules_usable(store));
    TRY(rules_limit(limit));
    return store->driver->endpoint_list(store->self, after, limit, arena, ret, ret_count);
}

enum err store_endpoint_remove(struct store *store, const struct uuid *id, uint64_t version)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->endpoint_remove(store->self, id, version));
}

enum err store_seen_put(struct store *store, const struct uuid *id, int64_t time_s)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->seen_put(store->self, id, time_s));
}

enum err store_seen_get(struct store *store, const struct uuid *id, int64_t *ret)
{
    TRY(rules_usable(store));
    return store->driver->seen_get(store->self, id, ret);
}

enum err store_named_put(struct store *store, const struct store_named *named)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->named_put(store->self, named));
}

enum err store_named_update(struct store *store, const struct store_named *named)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->named_update(store->self, named));
}

enum err store_named_get(struct store *store, const struct uuid *id, struct arena *arena,
                         struct store_named *ret)
{
    TRY(rules_usable(store));
    return store->driver->named_get(store->self, id, arena, ret);
}

enum err store_named_by_name(struct store *store, uint32_t kind,
                             const uint8_t name_hash[STORE_HASH_LEN], struct arena *arena,
                             struct store_named *ret)
{
    TRY(rules_usable(store));
    return store->driver->named_by_name(store->self, kind, name_hash, arena, ret);
}

enum err store_named_list(struct store *store, uint32_t kind, const struct uuid *after,
                          uint32_t limit, struct arena *arena, struct store_named **ret,
                          size_t *ret_count)
{
    TRY(rules_usable(store));
    TRY(rules_limit(limit));
    return store->driver->named_list(store->self, kind, after, limit, arena, ret, ret_count);
}

enum err store_named_remove(struct store *store, const struct uuid *id, uint64_t version)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->named_remove(store->self, id, version));
}

enum err store_member_put(struct store *store, const struct uuid *set, const struct uuid *member)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->member_put(store->self, set, member));
}

enum err store_member_remove(struct store *store, const struct uuid *set, const struct uuid *member)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->member_remove(store->self, set, member));
}

enum err store_member_list(struct store *store, const struct uuid *set, const struct uuid *after,
                           uint32_t limit, struct arena *arena, struct uuid **ret,
                           size_t *ret_count)
{
    TRY(rules_usable(store));
    TRY(rules_limit(limit));
    return store->driver->member_list(store->self, set, after, limit, arena, ret, ret_count);
}

enum err store_member_count(struct store *store, const struct uuid *set, uint64_t *ret)
{
    TRY(rules_usable(store));
    return store->driver->member_count(store->self, set, ret);
}

enum err store_member_of(struct store *store, const struct uuid *member, const struct uuid *after,
                         uint32_t limit, struct arena *arena, struct uuid **ret, size_t *ret_count)
{
    TRY(rules_usable(store));
    TRY(rules_limit(limit));
    return store->driver->member_of(store->self, member, after, limit, arena, ret, ret_count);
}

enum err store_grant_put(struct store *store, const struct store_grant *grant)
{
    const uint32_t all = GRANT_READ | GRANT_MODIFY | GRANT_MANAGE;
    TRY(rules_writable(store));
    if ((grant->access & GRANT_READ) == 0 || (grant->access & ~all) != 0)
        FAIL(ERR_INVALID, "a grant lets its grantee read at least");
    return rules_wrote(store, store->driver->grant_put(store->self, grant));
}

enum err store_grant_remove(struct store *store, const struct uuid *wallet,
                            const struct uuid *grantee)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->grant_remove(store->self, wallet, grantee));
}

enum err store_grant_list(struct store *store, const struct uuid *wallet, const struct uuid *after,
                          uint32_t limit, struct arena *arena, struct store_grant **ret,
                          size_t *ret_count)
{
    TRY(rules_usable(store));
    TRY(rules_limit(limit));
    return store->driver->grant_list(store->self, wallet, after, limit, arena, ret, ret_count);
}

enum err store_grant_reach(struct store *store, const struct uuid *who, struct arena *arena,
                           struct store_grant **ret, size_t *ret_count)
{
    TRY(rules_usable(store));
    return store->driver->grant_reach(store->self, who, arena, ret, ret_count);
}

enum err store_access_get(struct store *store, const struct uuid *who, const struct uuid *object,
                          uint32_t *ret)
{
    TRY(rules_usable(store));
    return store->driver->access_get(store->self, who, object, ret);
}

static enum err check_name(const char *name)
{
    size_t len = strlen(name);
    if (len < 1 || len > STORE_NAME_MAX)
        FAIL(ERR_INVALID, "the name of a setting must have 1 to %d bytes", STORE_NAME_MAX);
    return ERR_OK;
}

enum err store_setting_put(struct store *store, bool node, const char *name, struct span value)
{
    TRY(rules_writable(store));
    TRY(check_name(name));
    return rules_wrote(store, store->driver->setting_put(store->self, node, name, value));
}

enum err store_setting_get(struct store *store, bool node, const char *name, struct arena *arena,
                           struct span *ret)
{
    TRY(rules_usable(store));
    TRY(check_name(name));
    return store->driver->setting_get(store->self, node, name, arena, ret);
}

enum err store_audit_append(struct store *store, const struct store_audit *row)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->audit_append(store->self, row));
}

enum err store_audit_head(struct store *store, struct store_audit *ret)
{
    TRY(rules_usable(store));
    return store->driver->audit_head(store->self, ret);
}

enum err store_audit_list(struct store *store, uint64_t from, uint32_t limit, struct arena *arena,
                          struct store_audit **ret, size_t *ret_count)
{
    TRY(rules_usable(store));
    TRY(rules_limit(limit));
    return store->driver->audit_list(store->self, from, limit, arena, ret, ret_count);
}

enum err store_audit_floor(struct store *store, struct store_audit *ret)
{
    TRY(rules_usable(store));
    return store->driver->audit_floor(store->self, ret);
}

enum err store_audit_raise(struct store *store, uint64_t through)
{
    struct store_audit head;
    TRY(rules_writable(store));
    TRY(store_audit_head(store, &head));
    if (through >= head.sequence)
        FAIL(ERR_INVALID, "the last record of the audit trail stays: it ends at record %llu",
             (unsigned long long)head.sequence);
    return rules_wrote(store, store->driver->audit_raise(store->self, through));
}

enum err store_audit_drop(struct store *store, uint32_t limit, bool *ret_more)
{
    TRY(rules_writable(store));
    TRY(rules_limit(limit));
    return rules_wrote(store, store->driver->audit_drop(store->self, limit, ret_more));
}
