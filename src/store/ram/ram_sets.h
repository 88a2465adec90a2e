// SPDX-License-Identifier: Apache-2.0
//
// Wallets, groups, members and grants over a version of the content. Private to store/ram.
#ifndef KW_STORE_RAM_RAM_SETS_H
#define KW_STORE_RAM_RAM_SETS_H

#include "store/ram/ram_db.h"

MUST_USE enum err ram_sets_named_put(struct ram_db *db, const struct store_named *named,
                                     bool update);
MUST_USE enum err ram_sets_named_get(const struct ram_db *db, const struct uuid *id,
                                     struct arena *arena, struct store_named *ret);
MUST_USE enum err ram_sets_named_by_name(const struct ram_db *db, uint32_t kind,
                                         const uint8_t name_hash[STORE_HASH_LEN],
                                         struct arena *arena, struct store_named *ret);
MUST_USE enum err ram_sets_named_list(const struct ram_db *db, uint32_t kind,
                                      const struct uuid *after, uint32_t limit, struct arena *arena,
                                      struct store_named **ret, size_t *ret_count);
MUST_USE enum err ram_sets_named_remove(struct ram_db *db, const struct uuid *id, uint64_t version);

bool ram_sets_has(const struct ram_db *db, const struct uuid *set, const struct uuid *member);
// Takes away all memberships, grants and privileges that name this id, on either side.
void ram_sets_forget(struct ram_db *db, const struct uuid *id);
MUST_USE enum err ram_sets_member_put(struct ram_db *db, const struct uuid *set,
                                      const struct uuid *member);
MUST_USE enum err ram_sets_member_remove(struct ram_db *db, const struct uuid *set,
                                         const struct uuid *member);
MUST_USE enum err ram_sets_member_list(const struct ram_db *db, const struct uuid *set,
                                       const struct uuid *after, uint32_t limit,
                                       struct arena *arena, struct uuid **ret, size_t *ret_count);
uint64_t ram_sets_member_count(const struct ram_db *db, const struct uuid *set);
MUST_USE enum err ram_sets_member_of(const struct ram_db *db, const struct uuid *member,
                                     const struct uuid *after, uint32_t limit, struct arena *arena,
                                     struct uuid **ret, size_t *ret_count);

MUST_USE enum err ram_sets_grant_put(struct ram_db *db, const struct store_grant *grant);
MUST_USE enum err ram_sets_grant_remove(struct ram_db *db, const struct uuid *wallet,
                                        const struct uuid *grantee);
MUST_USE enum err ram_sets_grant_list(const struct ram_db *db, const struct uuid *wallet,
                                      const struct uuid *after, uint32_t limit, struct arena *arena,
                                      struct store_grant **ret, size_t *ret_count);
MUST_USE enum err ram_sets_grant_reach(const struct ram_db *db, const struct uuid *who,
                                       struct arena *arena, struct store_grant **ret,
                                       size_t *ret_count);
uint32_t ram_sets_access_get(const struct ram_db *db, const struct uuid *who,
                             const struct uuid *object);

#endif
