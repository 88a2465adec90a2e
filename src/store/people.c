// SPDX-License-Identifier: Apache-2.0
//
// The verbs about people: the rules that hold for every engine, then a call to the driver.
#include "store/people.h"

#include "store/rules.h"

enum err store_user_put(struct store *store, const struct store_user *user)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->user_put(store->self, user));
}

enum err store_user_update(struct store *store, const struct store_user *user)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->user_update(store->self, user));
}

enum err store_user_get(struct store *store, const struct uuid *id, struct arena *arena,
                        struct store_user *ret)
{
    TRY(rules_usable(store));
    return store->driver->user_get(store->self, id, arena, ret);
}

enum err store_user_by_name(struct store *store, const uint8_t name_hash[STORE_HASH_LEN],
                            struct arena *arena, struct store_user *ret)
{
    TRY(rules_usable(store));
    return store->driver->user_by_name(store->self, name_hash, arena, ret);
}

enum err store_user_list(struct store *store, uint32_t rights, const struct uuid *after,
                         uint32_t limit, struct arena *arena, struct store_user **ret,
                         size_t *ret_count)
{
    TRY(rules_usable(store));
    TRY(rules_limit(limit));
    return store->driver->user_list(store->self, rights, after, limit, arena, ret, ret_count);
}

enum err store_user_remove(struct store *store, const struct uuid *id, uint64_t version)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->user_remove(store->self, id, version));
}

enum err store_privilege_put(struct store *store, const struct store_privilege *privilege)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->privilege_put(store->self, privilege));
}

enum err store_privilege_remove(struct store *store, const struct store_privilege *privilege)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->privilege_remove(store->self, privilege));
}

enum err store_privilege_has(struct store *store, const struct store_privilege *privilege,
                             bool *ret)
{
    TRY(rules_usable(store));
    return store->driver->privilege_has(store->self, privilege, ret);
}

enum err store_privilege_list(struct store *store, const struct uuid *user,
                              const struct uuid *after, uint32_t limit, struct arena *arena,
                              struct uuid **ret, size_t *ret_count)
{
    TRY(rules_usable(store));
    TRY(rules_limit(limit));
    return store->driver->privilege_list(store->self, user, after, limit, arena, ret, ret_count);
}

enum err store_credential_put(struct store *store, const struct store_credential *credential)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->credential_put(store->self, credential));
}

enum err store_credential_update(struct store *store, const struct store_credential *credential)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->credential_update(store->self, credential));
}

enum err store_credential_get(struct store *store, const struct uuid *id, struct arena *arena,
                              struct store_credential *ret)
{
    TRY(rules_usable(store));
    return store->driver->credential_get(store->self, id, arena, ret);
}

enum err store_credential_by_hash(struct store *store, const uint8_t hash[32], struct arena *arena,
                                  struct store_credential *ret)
{
    TRY(rules_usable(store));
    return store->driver->credential_by_hash(store->self, hash, arena, ret);
}

enum err store_credential_list(struct store *store, const struct uuid *user,
                               const struct uuid *after, uint32_t limit, struct arena *arena,
                               struct store_credential **ret, size_t *ret_count)
{
    TRY(rules_usable(store));
    TRY(rules_limit(limit));
    return store->driver->credential_list(store->self, user, after, limit, arena, ret, ret_count);
}

enum err store_credential_remove(struct store *store, const struct uuid *id)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->credential_remove(store->self, id));
}

enum err store_credential_forget(struct store *store, int64_t before_s)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->credential_forget(store->self, before_s));
}

enum err store_tries_get(struct store *store, const uint8_t name_hash[STORE_HASH_LEN],
                         struct store_tries *ret)
{
    TRY(rules_usable(store));
    return store->driver->tries_get(store->self, name_hash, ret);
}

enum err store_tries_put(struct store *store, const struct store_tries *tries)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->tries_put(store->self, tries));
}

enum err store_tries_remove(struct store *store, const uint8_t name_hash[STORE_HASH_LEN])
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->tries_remove(store->self, name_hash));
}

enum err store_tries_list(struct store *store, const uint8_t after[STORE_HASH_LEN], uint32_t limit,
                          struct arena *arena, struct store_tries **ret, size_t *ret_count)
{
    TRY(rules_usable(store));
    TRY(rules_limit(limit));
    return store->driver->tries_list(store->self, after, limit, arena, ret, ret_count);
}

enum err store_tries_forget(struct store *store, int64_t before_s)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->tries_forget(store->self, before_s));
}
