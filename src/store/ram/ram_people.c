// SPDX-License-Identifier: Apache-2.0
//
// People. Invariant: a user that is removed takes every row that names it along.
#include "store/ram/ram_people.h"

#include "store/ram/ram_sets.h"

struct pair {
    uint8_t key[2 * UUID_LEN];
};

static struct span key_of(const struct uuid *id)
{
    return span_of(id->bytes, sizeof id->bytes);
}

static bool same(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static const void *row_at(const struct ram_db *db, enum ram_table table, size_t i)
{
    return db->tables[table].rows[i]->bytes;
}

static void drop(struct ram_db *db, enum ram_table table, struct span key)
{
    if (ram_db_find(db, table, key) != NULL)
        ram_db_remove(db, table, ram_db_place(db, table, key));
}

// ---- users ----

static enum err take_user(const struct store_user *row, struct arena *arena, struct store_user *ret)
{
    struct store_user user = *row;
    TRY(arena_copy(arena, span_of(row + 1, row->sealed.len), &user.sealed));
    *ret = user;
    return ERR_OK;
}

enum err ram_people_user_put(struct ram_db *db, const struct store_user *user, bool update)
{
    struct store_user copy = *user;
    const struct ram_row *row = ram_db_find(db, RAM_USER, key_of(&user->id));
    const struct store_user *old = row == NULL ? NULL : (const void *)row->bytes;
    if (update && old == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such user");
    if (update ? old->version != user->version : old != NULL)
        FAIL(ERR_CONFLICT, "the user exists already or was changed meanwhile");
    for (size_t i = 0; i < db->tables[RAM_USER].count; i++) {
        const struct store_user *other = row_at(db, RAM_USER, i);
        if (!same(&other->id, &user->id) &&
            memcmp(other->name_hash, user->name_hash, STORE_HASH_LEN) == 0)
            FAIL(ERR_CONFLICT, "another user has this name already");
    }
    copy.version += update ? 1 : 0;
    return ram_db_put(db, RAM_USER, key_of(&user->id), span_of(&copy, sizeof copy), user->sealed);
}

enum err ram_people_user_get(const struct ram_db *db, const struct uuid *id, struct arena *arena,
                             struct store_user *ret)
{
    const struct ram_row *row = ram_db_find(db, RAM_USER, key_of(id));
    if (row == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such user");
    return take_user((const void *)row->bytes, arena, ret);
}

enum err ram_people_user_by_name(const struct ram_db *db, const uint8_t name_hash[STORE_HASH_LEN],
                                 struct arena *arena, struct store_user *ret)
{
    for (size_t i = 0; i < db->tables[RAM_USER].count; i++) {
        const struct store_user *user = row_at(db, RAM_USER, i);
        if (memcmp(user->name_hash, name_hash, STORE_HASH_LEN) == 0)
            return take_user(user, arena, ret);
    }
    FAIL(ERR_NOT_FOUND, "there is no such user");
}

enum err ram_people_user_list(const struct ram_db *db, uint32_t rights, const struct uuid *after,
                              uint32_t limit, struct arena *arena, struct store_user **ret,
                              size_t *ret_count)
{
    struct store_user *list = NULL;
    size_t count = 0;
    TRY(arena_alloc(arena, limit, sizeof *list, &list));
    for (size_t i = 0; i < db->tables[RAM_USER].count && count < limit; i++) {
        const struct store_user *user = row_at(db, RAM_USER, i);
        if (memcmp(&user->id, after, sizeof *after) > 0 &&
            (rights == 0 || (user->rights & rights) != 0))
            TRY(take_user(user, arena, &list[count++]));
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

enum err ram_people_user_remove(struct ram_db *db, const struct uuid *id, uint64_t version)
{
    const struct ram_row *row = ram_db_find(db, RAM_USER, key_of(id));
    if (row == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such user");
    if (((const struct store_user *)(const void *)row->bytes)->version != version)
        FAIL(ERR_CONFLICT, "the user was changed meanwhile");
    drop(db, RAM_USER, key_of(id));
    drop(db, RAM_SEEN, key_of(id));
    ram_sets_forget(db, id);
    for (size_t i = db->tables[RAM_CREDENTIAL].count; i-- > 0;) {
        struct store_credential credential =
            *(const struct store_credential *)row_at(db, RAM_CREDENTIAL, i);
        if (same(&credential.user, id))
            TRY(ram_people_credential_remove(db, &credential.id));
    }
    return ERR_OK;
}

// ---- privileges ----

static struct pair pair_of(const struct store_privilege *privilege)
{
    struct pair pair;
    memcpy(pair.key, privilege->user.bytes, UUID_LEN);
    memcpy(pair.key + UUID_LEN, privilege->thing.bytes, UUID_LEN);
    return pair;
}

enum err ram_people_privilege_has(const struct ram_db *db, const struct store_privilege *privilege,
                                  bool *ret)
{
    struct pair pair = pair_of(privilege);
    *ret = ram_db_find(db, RAM_PRIVILEGE, span_of(pair.key, sizeof pair.key)) != NULL;
    return ERR_OK;
}

enum err ram_people_privilege_put(struct ram_db *db, const struct store_privilege *privilege)
{
    bool has = false;
    struct pair pair = pair_of(privilege);
    TRY(ram_people_privilege_has(db, privilege, &has));
    if (has)
        FAIL(ERR_CONFLICT, "the user has this privilege already");
    return ram_db_put(db, RAM_PRIVILEGE, span_of(pair.key, sizeof pair.key),
                      span_of(privilege, sizeof *privilege), span_str(""));
}

enum err ram_people_privilege_remove(struct ram_db *db, const struct store_privilege *privilege)
{
    bool has = false;
    struct pair pair = pair_of(privilege);
    TRY(ram_people_privilege_has(db, privilege, &has));
    if (!has)
        FAIL(ERR_NOT_FOUND, "the user has no such privilege");
    drop(db, RAM_PRIVILEGE, span_of(pair.key, sizeof pair.key));
    return ERR_OK;
}

enum err ram_people_privilege_list(const struct ram_db *db, const struct uuid *user,
                                   const struct uuid *after, uint32_t limit, struct arena *arena,
                                   struct uuid **ret, size_t *ret_count)
{
    struct uuid *list = NULL;
    size_t count = 0;
    TRY(arena_alloc(arena, limit, sizeof *list, &list));
    for (size_t i = 0; i < db->tables[RAM_PRIVILEGE].count && count < limit; i++) {
        const struct store_privilege *row = row_at(db, RAM_PRIVILEGE, i);
        if (same(&row->user, user) && memcmp(&row->thing, after, sizeof *after) > 0)
            list[count++] = row->thing;
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

// ---- credentials ----

static enum err take_credential(const struct store_credential *row, struct arena *arena,
                                struct store_credential *ret)
{
    struct store_credential credential = *row;
    TRY(arena_copy(arena, span_of(row + 1, row->sealed.len), &credential.sealed));
    *ret = credential;
    return ERR_OK;
}

enum err ram_people_credential_put(struct ram_db *db, const struct store_credential *credential,
                                   bool update)
{
    struct store_credential copy = *credential;
    const struct ram_row *row = ram_db_find(db, RAM_CREDENTIAL, key_of(&credential->id));
    const struct store_credential *old = row == NULL ? NULL : (const void *)row->bytes;
    if (update && old == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such credential");
    if (update ? old->version != credential->version : old != NULL)
        FAIL(ERR_CONFLICT, "the credential exists already or was changed meanwhile");
    for (size_t i = 0; i < db->tables[RAM_CREDENTIAL].count; i++) {
        const struct store_credential *other = row_at(db, RAM_CREDENTIAL, i);
        if (!same(&other->id, &credential->id) &&
            memcmp(other->hash, credential->hash, sizeof other->hash) == 0)
            FAIL(ERR_CONFLICT, "another credential has this hash already");
    }
    copy.version += update ? 1 : 0;
    return ram_db_put(db, RAM_CREDENTIAL, key_of(&credential->id), span_of(&copy, sizeof copy),
                      credential->sealed);
}

enum err ram_people_credential_get(const struct ram_db *db, const struct uuid *id,
                                   struct arena *arena, struct store_credential *ret)
{
    const struct ram_row *row = ram_db_find(db, RAM_CREDENTIAL, key_of(id));
    if (row == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such credential");
    return take_credential((const void *)row->bytes, arena, ret);
}

enum err ram_people_credential_by_hash(const struct ram_db *db, const uint8_t hash[32],
                                       struct arena *arena, struct store_credential *ret)
{
    for (size_t i = 0; i < db->tables[RAM_CREDENTIAL].count; i++) {
        const struct store_credential *credential = row_at(db, RAM_CREDENTIAL, i);
        if (memcmp(credential->hash, hash, sizeof credential->hash) == 0)
            return take_credential(credential, arena, ret);
    }
    FAIL(ERR_NOT_FOUND, "there is no such credential");
}

enum err ram_people_credential_list(const struct ram_db *db, const struct uuid *user,
                                    const struct uuid *after, uint32_t limit, struct arena *arena,
                                    struct store_credential **ret, size_t *ret_count)
{
    struct store_credential *list = NULL;
    size_t count = 0;
    TRY(arena_alloc(arena, limit, sizeof *list, &list));
    for (size_t i = 0; i < db->tables[RAM_CREDENTIAL].count && count < limit; i++) {
        const struct store_credential *credential = row_at(db, RAM_CREDENTIAL, i);
        if ((user == NULL || same(&credential->user, user)) &&
            memcmp(&credential->id, after, sizeof *after) > 0)
            TRY(take_credential(credential, arena, &list[count++]));
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

enum err ram_people_credential_remove(struct ram_db *db, const struct uuid *id)
{
    if (ram_db_find(db, RAM_CREDENTIAL, key_of(id)) == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such credential");
    drop(db, RAM_CREDENTIAL, key_of(id));
    drop(db, RAM_SEEN, key_of(id));
    return ERR_OK;
}

enum err ram_people_credential_forget(struct ram_db *db, int64_t before_s)
{
    for (size_t i = db->tables[RAM_CREDENTIAL].count; i-- > 0;) {
        struct store_credential credential =
            *(const struct store_credential *)row_at(db, RAM_CREDENTIAL, i);
        if (credential.expires < before_s)
            TRY(ram_people_credential_remove(db, &credential.id));
    }
    return ERR_OK;
}

// ---- wrong tries ----

enum err ram_people_tries_get(const struct ram_db *db, const uint8_t name_hash[STORE_HASH_LEN],
                              struct store_tries *ret)
{
    const struct ram_row *row = ram_db_find(db, RAM_TRIES, span_of(name_hash, STORE_HASH_LEN));
    struct store_tries none = {0};
    memcpy(none.name_hash, name_hash, STORE_HASH_LEN);
    *ret = row == NULL ? none : *(const struct store_tries *)(const void *)row->bytes;
    return ERR_OK;
}

enum err ram_people_tries_put(struct ram_db *db, const struct store_tries *tries)
{
    return ram_db_put(db, RAM_TRIES, span_of(tries->name_hash, STORE_HASH_LEN),
                      span_of(tries, sizeof *tries), span_str(""));
}

enum err ram_people_tries_remove(struct ram_db *db, const uint8_t name_hash[STORE_HASH_LEN])
{
    drop(db, RAM_TRIES, span_of(name_hash, STORE_HASH_LEN));
    return ERR_OK;
}

enum err ram_people_tries_list(const struct ram_db *db, const uint8_t after[STORE_HASH_LEN],
                               uint32_t limit, struct arena *arena, struct store_tries **ret,
                               size_t *ret_count)
{
    struct store_tries *list = NULL;
    size_t count = 0;
    TRY(arena_alloc(arena, limit, sizeof *list, &list));
    for (size_t i = 0; i < db->tables[RAM_TRIES].count && count < limit; i++) {
        const struct store_tries *tries = row_at(db, RAM_TRIES, i);
        if (memcmp(tries->name_hash, after, STORE_HASH_LEN) > 0)
            list[count++] = *tries;
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

enum err ram_people_tries_forget(struct ram_db *db, int64_t before_s)
{
    for (size_t i = db->tables[RAM_TRIES].count; i-- > 0;) {
        const struct store_tries *tries = row_at(db, RAM_TRIES, i);
        if (tries->since < before_s && tries->until < before_s)
            ram_db_remove(db, RAM_TRIES, i);
    }
    return ERR_OK;
}
