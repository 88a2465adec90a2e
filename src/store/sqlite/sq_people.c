// SPDX-License-Identifier: Apache-2.0
//
// Users, privileges, credentials and wrong tries. Invariant: a user that is removed takes every row
// that names it along.
#include "store/sqlite/sq_people.h"

#include "store/sqlite/sq_rows.h"

// ---- users ----

// state to sealed, the columns that put and update share.
static void bind_user(struct sq_call *call, const struct store_user *user)
{
    sq_call_int(call, user->state);
    sq_call_blob(call, span_of(user->name_hash, STORE_HASH_LEN));
    sq_call_int(call, user->rights);
    sq_call_int(call, user->forward);
    sq_call_int(call, user->flags);
    sq_call_int(call, user->created);
    sq_call_int(call, user->password_changed);
    sq_call_int(call, user->totp_step);
    sq_call_uuid(call, &user->key_id);
    sq_call_blob(call, user->sealed);
}

enum err sq_people_user_put(void *self, const struct store_user *user)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_USER_PUT, &call));
    sq_call_uuid(&call, &user->id);
    sq_call_int(&call, (int64_t)user->version);
    bind_user(&call, user);
    return sq_call_run(&call, NULL);
}

// One row was changed, or it is said why not.
static enum err check_user(struct sq_db *db, const struct uuid *id, int changes)
{
    db->replaced = true;
    if (changes == 1)
        return ERR_OK;
    TRY(sq_rows_exist(db, SQ_USER_GET, id, "user"));
    FAIL(ERR_CONFLICT, "the user was changed meanwhile");
}

enum err sq_people_user_update(void *self, const struct store_user *user)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_USER_UPDATE, &call));
    bind_user(&call, user);
    sq_call_uuid(&call, &user->id);
    sq_call_int(&call, (int64_t)user->version);
    TRY(sq_call_run(&call, &changes));
    return check_user(self, &user->id, changes);
}

static enum err take_user(struct sq_call *call, struct arena *arena, void *item)
{
    struct store_user *ret = item;
    TRY(sq_call_get_fixed(call, ret->id.bytes, UUID_LEN));
    ret->version = (uint64_t)sq_call_get_int(call);
    ret->state = (uint32_t)sq_call_get_int(call);
    TRY(sq_call_get_fixed(call, ret->name_hash, sizeof ret->name_hash));
    ret->rights = (uint32_t)sq_call_get_int(call);
    ret->forward = (uint32_t)sq_call_get_int(call);
    ret->flags = (uint32_t)sq_call_get_int(call);
    ret->created = sq_call_get_int(call);
    ret->password_changed = sq_call_get_int(call);
    ret->totp_step = sq_call_get_int(call);
    TRY(sq_call_get_fixed(call, ret->key_id.bytes, UUID_LEN));
    return sq_call_get_blob(call, arena, &ret->sealed);
}

static enum err get_user(struct sq_db *db, enum sq_statement which, struct span key,
                         struct arena *arena, struct store_user *ret)
{
    struct store_user user = {0};
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, which, &call));
    sq_call_blob(&call, key);
    TRY(sq_rows_one(&call, take_user, arena, "user", &user));
    *ret = user;
    return ERR_OK;
}

enum err sq_people_user_get(void *self, const struct uuid *id, struct arena *arena,
                            struct store_user *ret)
{
    return get_user(self, SQ_USER_GET, span_of(id->bytes, UUID_LEN), arena, ret);
}

enum err sq_people_user_by_name(void *self, const uint8_t name_hash[STORE_HASH_LEN],
                                struct arena *arena, struct store_user *ret)
{
    return get_user(self, SQ_USER_BY_NAME, span_of(name_hash, STORE_HASH_LEN), arena, ret);
}

enum err sq_people_user_list(void *self, uint32_t rights, const struct uuid *after, uint32_t limit,
                             struct arena *arena, struct store_user **ret, size_t *ret_count)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_USER_LIST, &call));
    sq_call_int(&call, rights);
    sq_call_uuid(&call, after);
    sq_call_int(&call, limit);
    return sq_rows_all(&call, sizeof **ret, take_user, arena, ret, ret_count);
}

enum err sq_people_user_remove(void *self, const struct uuid *id, uint64_t version)
{
    static const enum sq_statement rows[] = {
        SQ_CREDENTIAL_FORGET_SEEN_USER, SQ_CREDENTIAL_REMOVE_USER, SQ_PRIVILEGE_REMOVE_USER,
        SQ_MEMBER_REMOVE_EVERYWHERE,    SQ_GRANT_REMOVE_GRANTEE,   SQ_SEEN_REMOVE,
    };
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_USER_REMOVE, &call));
    sq_call_uuid(&call, id);
    sq_call_int(&call, (int64_t)version);
    TRY(sq_call_run(&call, &changes));
    TRY(check_user(self, id, changes));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        TRY(sq_rows_run(self, rows[i], id));
    return ERR_OK;
}

// ---- privileges ----

static enum err run_privilege(struct sq_db *db, enum sq_statement which,
                              const struct store_privilege *privilege, int *ret_changes)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, which, &call));
    sq_call_uuid(&call, &privilege->user);
    sq_call_uuid(&call, &privilege->thing);
    return sq_call_run(&call, ret_changes);
}

enum err sq_people_privilege_has(void *self, const struct store_privilege *privilege, bool *ret)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_PRIVILEGE_HAS, &call));
    sq_call_uuid(&call, &privilege->user);
    sq_call_uuid(&call, &privilege->thing);
    TRY(sq_call_step(&call, &row));
    *ret = row;
    return ERR_OK;
}

enum err sq_people_privilege_put(void *self, const struct store_privilege *privilege)
{
    bool has = false;
    TRY(sq_people_privilege_has(self, privilege, &has));
    if (has)
        FAIL(ERR_CONFLICT, "the user has this privilege already");
    return run_privilege(self, SQ_PRIVILEGE_PUT, privilege, NULL);
}

enum err sq_people_privilege_remove(void *self, const struct store_privilege *privilege)
{
    int changes = 0;
    TRY(run_privilege(self, SQ_PRIVILEGE_REMOVE, privilege, &changes));
    if (changes == 0)
        FAIL(ERR_NOT_FOUND, "the user has no such privilege");
    return ERR_OK;
}

enum err sq_people_privilege_list(void *self, const struct uuid *user, const struct uuid *after,
                                  uint32_t limit, struct arena *arena, struct uuid **ret,
                                  size_t *ret_count)
{
    return sq_rows_ids(self, SQ_PRIVILEGE_LIST, user, after, limit, arena, ret, ret_count);
}

// ---- credentials ----

static void bind_credential(struct sq_call *call, const struct store_credential *credential)
{
    sq_call_int(call, credential->kind);
    sq_call_blob(call, span_of(credential->hash, sizeof credential->hash));
    sq_call_uuid(call, &credential->user);
    sq_call_int(call, credential->created);
    sq_call_int(call, credential->expires);
    sq_call_int(call, credential->rights);
    sq_call_uuid(call, &credential->key_id);
    sq_call_blob(call, credential->sealed);
}

enum err sq_people_credential_put(void *self, const struct store_credential *credential)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_CREDENTIAL_PUT, &call));
    sq_call_uuid(&call, &credential->id);
    sq_call_int(&call, (int64_t)credential->version);
    bind_credential(&call, credential);
    return sq_call_run(&call, NULL);
}

enum err sq_people_credential_update(void *self, const struct store_credential *credential)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_CREDENTIAL_UPDATE, &call));
    bind_credential(&call, credential);
    sq_call_uuid(&call, &credential->id);
    sq_call_int(&call, (int64_t)credential->version);
    TRY(sq_call_run(&call, &changes));
    if (changes == 1)
        return ERR_OK;
    TRY(sq_rows_exist(self, SQ_CREDENTIAL_GET, &credential->id, "credential"));
    FAIL(ERR_CONFLICT, "the credential was changed meanwhile");
}

static enum err take_credential(struct sq_call *call, struct arena *arena, void *item)
{
    struct store_credential *ret = item;
    TRY(sq_call_get_fixed(call, ret->id.bytes, UUID_LEN));
    ret->version = (uint64_t)sq_call_get_int(call);
    ret->kind = (uint32_t)sq_call_get_int(call);
    TRY(sq_call_get_fixed(call, ret->hash, sizeof ret->hash));
    TRY(sq_call_get_fixed(call, ret->user.bytes, UUID_LEN));
    ret->created = sq_call_get_int(call);
    ret->expires = sq_call_get_int(call);
    ret->rights = (uint32_t)sq_call_get_int(call);
    TRY(sq_call_get_fixed(call, ret->key_id.bytes, UUID_LEN));
    return sq_call_get_blob(call, arena, &ret->sealed);
}

static enum err get_credential(struct sq_db *db, enum sq_statement which, struct span key,
                               struct arena *arena, struct store_credential *ret)
{
    struct store_credential credential = {0};
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, which, &call));
    sq_call_blob(&call, key);
    TRY(sq_rows_one(&call, take_credential, arena, "credential", &credential));
    *ret = credential;
    return ERR_OK;
}

enum err sq_people_credential_get(void *self, const struct uuid *id, struct arena *arena,
                                  struct store_credential *ret)
{
    return get_credential(self, SQ_CREDENTIAL_GET, span_of(id->bytes, UUID_LEN), arena, ret);
}

enum err sq_people_credential_by_hash(void *self, const uint8_t hash[32], struct arena *arena,
                                      struct store_credential *ret)
{
    return get_credential(self, SQ_CREDENTIAL_BY_HASH, span_of(hash, 32), arena, ret);
}

enum err sq_people_credential_list(void *self, const struct uuid *user, const struct uuid *after,
                                   uint32_t limit, struct arena *arena,
                                   struct store_credential **ret, size_t *ret_count)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, user == NULL ? SQ_CREDENTIAL_LIST : SQ_CREDENTIAL_LIST_USER, &call));
    if (user != NULL)
        sq_call_uuid(&call, user);
    sq_call_uuid(&call, after);
    sq_call_int(&call, limit);
    return sq_rows_all(&call, sizeof **ret, take_credential, arena, ret, ret_count);
}

enum err sq_people_credential_remove(void *self, const struct uuid *id)
{
    int changes = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_CREDENTIAL_REMOVE, &call));
    sq_call_uuid(&call, id);
    TRY(sq_call_run(&call, &changes));
    if (changes == 0)
        FAIL(ERR_NOT_FOUND, "there is no such credential");
    return sq_rows_run(self, SQ_SEEN_REMOVE, id);
}

static enum err run_before(struct sq_db *db, enum sq_statement which, int64_t before_s)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, which, &call));
    sq_call_int(&call, before_s);
    return sq_call_run(&call, NULL);
}

enum err sq_people_credential_forget(void *self, int64_t before_s)
{
    TRY(run_before(self, SQ_CREDENTIAL_FORGET_SEEN, before_s));
    return run_before(self, SQ_CREDENTIAL_FORGET, before_s);
}

// ---- wrong tries ----

static enum err take_tries(struct sq_call *call, struct store_tries *ret)
{
    TRY(sq_call_get_fixed(call, ret->name_hash, STORE_HASH_LEN));
    ret->wrong = (uint64_t)sq_call_get_int(call);
    ret->since = sq_call_get_int(call);
    ret->until = sq_call_get_int(call);
    return ERR_OK;
}

enum err sq_people_tries_get(void *self, const uint8_t name_hash[STORE_HASH_LEN],
                             struct store_tries *ret)
{
    bool row = false;
    struct store_tries tries = {0};
    struct sq_call call CLEANUP(sq_call_done) = {0};
    memcpy(tries.name_hash, name_hash, STORE_HASH_LEN);
    TRY(sq_call_start(self, SQ_TRIES_GET, &call));
    sq_call_blob(&call, span_of(name_hash, STORE_HASH_LEN));
    TRY(sq_call_step(&call, &row));
    if (row)
        TRY(take_tries(&call, &tries));
    *ret = tries;
    return ERR_OK;
}

enum err sq_people_tries_list(void *self, const uint8_t after[STORE_HASH_LEN], uint32_t limit,
                              struct arena *arena, struct store_tries **ret, size_t *ret_count)
{
    struct store_tries *list = NULL;
    size_t count = 0;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(arena_alloc(arena, limit, sizeof *list, &list));
    TRY(sq_call_start(self, SQ_TRIES_LIST, &call));
    sq_call_blob(&call, span_of(after, STORE_HASH_LEN));
    sq_call_int(&call, limit);
    for (bool row = true; count < limit; count++) {
        TRY(sq_call_step(&call, &row));
        if (!row)
            break;
        TRY(take_tries(&call, &list[count]));
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

enum err sq_people_tries_put(void *self, const struct store_tries *tries)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_TRIES_PUT, &call));
    sq_call_blob(&call, span_of(tries->name_hash, STORE_HASH_LEN));
    sq_call_int(&call, (int64_t)tries->wrong);
    sq_call_int(&call, tries->since);
    sq_call_int(&call, tries->until);
    return sq_call_run(&call, NULL);
}

enum err sq_people_tries_remove(void *self, const uint8_t name_hash[STORE_HASH_LEN])
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_TRIES_REMOVE, &call));
    sq_call_blob(&call, span_of(name_hash, STORE_HASH_LEN));
    return sq_call_run(&call, NULL);
}

enum err sq_people_tries_forget(void *self, int64_t before_s)
{
    return run_before(self, SQ_TRIES_FORGET, before_s);
}
