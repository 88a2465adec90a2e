// SPDX-License-Identifier: Apache-2.0
//
// Members and grants are rows whose key is the pair of ids; questions that go by the second one
// walk the table.
#include "store/ram/ram_sets.h"

enum { PAIR_LEN = 2 * UUID_LEN };

struct pair {
    uint8_t key[PAIR_LEN];
};

static bool same(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static struct span key_of(const struct uuid *id)
{
    return span_of(id->bytes, sizeof id->bytes);
}

static struct pair pair_of(const struct uuid *a, const struct uuid *b)
{
    struct pair pair;
    memcpy(pair.key, a->bytes, UUID_LEN);
    memcpy(pair.key + UUID_LEN, b->bytes, UUID_LEN);
    return pair;
}

static struct span pair_span(const struct pair *pair)
{
    return span_of(pair->key, sizeof pair->key);
}

static void ids_at(const struct ram_db *db, enum ram_table table, size_t i, struct uuid *ret_first,
                   struct uuid *ret_second)
{
    const uint8_t *key = db->tables[table].rows[i]->key;
    memcpy(ret_first->bytes, key, UUID_LEN);
    memcpy(ret_second->bytes, key + UUID_LEN, UUID_LEN);
}

// ---- wallets and groups ----

static const struct store_named *named_at(const struct ram_db *db, size_t i)
{
    return (const void *)db->tables[RAM_NAMED].rows[i]->bytes;
}

static enum err check_name(const struct ram_db *db, const struct store_named *named)
{
    for (size_t i = 0; i < db->tables[RAM_NAMED].count; i++) {
        const struct store_named *other = named_at(db, i);
        if (!same(&other->id, &named->id) && other->kind == named->kind &&
            memcmp(other->name_hash, named->name_hash, STORE_HASH_LEN) == 0)
            FAIL(ERR_CONFLICT, "another one has this name already");
    }
    return ERR_OK;
}

enum err ram_sets_named_put(struct ram_db *db, const struct store_named *named, bool update)
{
    struct store_named copy = *named;
    const struct ram_row *row = ram_db_find(db, RAM_NAMED, key_of(&named->id));
    const struct store_named *old = row == NULL ? NULL : (const void *)row->bytes;
    if (update && old == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such wallet or group");
    if (update ? old->version != named->version : old != NULL)
        FAIL(ERR_CONFLICT, "the wallet or group exists already or was changed meanwhile");
    TRY(check_name(db, named));
    copy.version += update ? 1 : 0;
    return ram_db_put(db, RAM_NAMED, key_of(&named->id), span_of(&copy, sizeof copy),
                      named->sealed);
}

static enum err take_named(const struct store_named *row, struct arena *arena,
                           struct store_named *ret)
{
    struct store_named named = *row;
    TRY(arena_copy(arena, span_of(row + 1, row->sealed.len), &named.sealed));
    *ret = named;
    return ERR_OK;
}

enum err ram_sets_named_get(const struct ram_db *db, const struct uuid *id, struct arena *arena,
                            struct store_named *ret)
{
    const struct ram_row *row = ram_db_find(db, RAM_NAMED, key_of(id));
    if (row == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such wallet or group");
    return take_named((const void *)row->bytes, arena, ret);
}

enum err ram_sets_named_by_name(const struct ram_db *db, uint32_t kind,
                                const uint8_t name_hash[STORE_HASH_LEN], struct arena *arena,
                                struct store_named *ret)
{
    for (size_t i = 0; i < db->tables[RAM_NAMED].count; i++) {
        const struct store_named *named = named_at(db, i);
        if (named->kind == kind && memcmp(named->name_hash, name_hash, STORE_HASH_LEN) == 0)
            return take_named(named, arena, ret);
    }
    FAIL(ERR_NOT_FOUND, "there is no such wallet or group");
}

enum err ram_sets_named_list(const struct ram_db *db, uint32_t kind, const struct uuid *after,
                             uint32_t limit, struct arena *arena, struct store_named **ret,
                             size_t *ret_count)
{
    struct store_named *list = NULL;
    size_t count = 0;
    TRY(arena_alloc(arena, limit, sizeof *list, &list));
    for (size_t i = 0; i < db->tables[RAM_NAMED].count && count < limit; i++) {
        const struct store_named *named = named_at(db, i);
        if (named->kind == kind && memcmp(&named->id, after, sizeof *after) > 0)
            TRY(take_named(named, arena, &list[count++]));
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

void ram_sets_forget(struct ram_db *db, const struct uuid *id)
{
    static const enum ram_table tables[] = {RAM_MEMBER, RAM_GRANT, RAM_PRIVILEGE};
    for (size_t t = 0; t < 3; t++) {
        for (size_t i = db->tables[tables[t]].count; i-- > 0;) {
            struct uuid first;
            struct uuid second;
            ids_at(db, tables[t], i, &first, &second);
            if (same(&first, id) || same(&second, id))
                ram_db_remove(db, tables[t], i);
        }
    }
}

enum err ram_sets_named_remove(struct ram_db *db, const struct uuid *id, uint64_t version)
{
    const struct ram_row *row = ram_db_find(db, RAM_NAMED, key_of(id));
    if (row == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such wallet or group");
    if (((const struct store_named *)(const void *)row->bytes)->version != version)
        FAIL(ERR_CONFLICT, "the wallet or group was changed meanwhile");
    ram_db_remove(db, RAM_NAMED, ram_db_place(db, RAM_NAMED, key_of(id)));
    ram_sets_forget(db, id);
    return ERR_OK;
}

// ---- members ----

bool ram_sets_has(const struct ram_db *db, const struct uuid *set, const struct uuid *member)
{
    struct pair pair = pair_of(set, member);
    return ram_db_find(db, RAM_MEMBER, pair_span(&pair)) != NULL;
}

enum err ram_sets_member_put(struct ram_db *db, const struct uuid *set, const struct uuid *member)
{
    struct pair pair = pair_of(set, member);
    if (ram_sets_has(db, set, member))
        FAIL(ERR_CONFLICT, "it is in there already");
    return ram_db_put(db, RAM_MEMBER, pair_span(&pair), span_str(""), span_str(""));
}

static enum err remove_pair(struct ram_db *db, enum ram_table table, const struct uuid *a,
                            const struct uuid *b)
{
    struct pair pair = pair_of(a, b);
    if (ram_db_find(db, table, pair_span(&pair)) == NULL)
        FAIL(ERR_NOT_FOUND, "it is not in there");
    ram_db_remove(db, table, ram_db_place(db, table, pair_span(&pair)));
    return ERR_OK;
}

enum err ram_sets_member_remove(struct ram_db *db, const struct uuid *set,
                                const struct uuid *member)
{
    return remove_pair(db, RAM_MEMBER, set, member);
}

// Pairs with `id` on one side: the ids of the other side.
static enum err list_ids(const struct ram_db *db, bool id_is_first, const struct uuid *id,
                         const struct uuid *after, uint32_t limit, struct arena *arena,
                         struct uuid **ret, size_t *ret_count)
{
    struct uuid *list = NULL;
    size_t count = 0;
    TRY(arena_alloc(arena, limit, sizeof *list, &list));
    for (size_t i = 0; i < db->tables[RAM_MEMBER].count && count < limit; i++) {
        struct uuid first;
        struct uuid second;
        ids_at(db, RAM_MEMBER, i, &first, &second);
        const struct uuid *other = id_is_first ? &second : &first;
        if (same(id_is_first ? &first : &second, id) && memcmp(other, after, sizeof *after) > 0)
            list[count++] = *other;
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

enum err ram_sets_member_list(const struct ram_db *db, const struct uuid *set,
                              const struct uuid *after, uint32_t limit, struct arena *arena,
                              struct uuid **ret, size_t *ret_count)
{
    return list_ids(db, true, set, after, limit, arena, ret, ret_count);
}

uint64_t ram_sets_member_count(const struct ram_db *db, const struct uuid *set)
{
    uint64_t count = 0;
    for (size_t i = 0; i < db->tables[RAM_MEMBER].count; i++)
        count += memcmp(db->tables[RAM_MEMBER].rows[i]->key, set->bytes, UUID_LEN) == 0;
    return count;
}

enum err ram_sets_member_of(const struct ram_db *db, const struct uuid *member,
                            const struct uuid *after, uint32_t limit, struct arena *arena,
                            struct uuid **ret, size_t *ret_count)
{
    return list_ids(db, false, member, after, limit, arena, ret, ret_count);
}

// ---- grants ----

static const struct store_grant *grant_at(const struct ram_db *db, size_t i)
{
    return (const void *)db->tables[RAM_GRANT].rows[i]->bytes;
}

enum err ram_sets_grant_put(struct ram_db *db, const struct store_grant *grant)
{
    struct pair pair = pair_of(&grant->wallet, &grant->grantee);
    return ram_db_put(db, RAM_GRANT, pair_span(&pair), span_of(grant, sizeof *grant), span_str(""));
}

enum err ram_sets_grant_remove(struct ram_db *db, const struct uuid *wallet,
                               const struct uuid *grantee)
{
    return remove_pair(db, RAM_GRANT, wallet, grantee);
}

enum err ram_sets_grant_list(const struct ram_db *db, const struct uuid *wallet,
                             const struct uuid *after, uint32_t limit, struct arena *arena,
                             struct store_grant **ret, size_t *ret_count)
{
    struct store_grant *list = NULL;
    size_t count = 0;
    TRY(arena_alloc(arena, limit, sizeof *list, &list));
    for (size_t i = 0; i < db->tables[RAM_GRANT].count && count < limit; i++) {
        const struct store_grant *grant = grant_at(db, i);
        if (same(&grant->wallet, wallet) && memcmp(&grant->grantee, after, sizeof *after) > 0)
            list[count++] = *grant;
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

static bool is_granted_to(const struct ram_db *db, const struct store_grant *grant,
                          const struct uuid *who)
{
    return same(&grant->grantee, who) || ram_sets_has(db, &grant->grantee, who);
}

enum err ram_sets_grant_reach(const struct ram_db *db, const struct uuid *who, struct arena *arena,
                              struct store_grant **ret, size_t *ret_count)
{
    struct store_grant *list = NULL;
    size_t count = 0;
    TRY(arena_alloc(arena, db->tables[RAM_GRANT].count, sizeof *list, &list));
    for (size_t i = 0; i < db->tables[RAM_GRANT].count; i++) {
        if (is_granted_to(db, grant_at(db, i), who))
            list[count++] = *grant_at(db, i);
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

uint32_t ram_sets_access_get(const struct ram_db *db, const struct uuid *who,
                             const struct uuid *object)
{
    uint32_t access = 0;
    for (size_t i = 0; i < db->tables[RAM_GRANT].count; i++) {
        const struct store_grant *grant = grant_at(db, i);
        if (is_granted_to(db, grant, who) && ram_sets_has(db, &grant->wallet, object))
            access |= grant->access;
    }
    return access;
}
