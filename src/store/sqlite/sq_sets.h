// SPDX-License-Identifier: Apache-2.0
//
// Wallets, groups, who and what is in them, and grants. The functions are the driver's own (see
// store/driver.h); `self` is a struct sq_db. Private to store/sqlite.
#ifndef KW_STORE_SQLITE_SQ_SETS_H
#define KW_STORE_SQLITE_SQ_SETS_H

#include "store/sqlite/sq_db.h"

MUST_USE enum err sq_sets_named_put(void *self, const struct store_named *named);
MUST_USE enum err sq_sets_named_update(void *self, const struct store_named *named);
MUST_USE enum err sq_sets_named_get(void *self, const struct uuid *id, struct arena *arena,
                                    struct store_named *ret);
MUST_USE enum err sq_sets_named_by_name(void *self, uint32_t kind,
                                        const uint8_t name_hash[STORE_HASH_LEN],
                                        struct arena *arena, struct store_named *ret);
MUST_USE enum err sq_sets_named_list(void *self, uint32_t kind, const struct uuid *after,
                                     uint32_t limit, struct arena *arena, struct store_named **ret,
                                     size_t *ret_count);
MUST_USE enum err sq_sets_named_remove(void *self, const struct uuid *id, uint64_t version);

MUST_USE enum err sq_sets_member_put(void *self, const struct uuid *set, const struct uuid *member);
MUST_USE enum err sq_sets_member_remove(void *self, const struct uuid *set,
                                        const struct uuid *member);
MUST_USE enum err sq_sets_member_list(void *self, const struct uuid *set, const struct uuid *after,
                                      uint32_t limit, struct arena *arena, struct uuid **ret,
                                      size_t *ret_count);
MUST_USE enum err sq_sets_member_count(void *self, const struct uuid *set, uint64_t *ret);
MUST_USE enum err sq_sets_member_of(void *self, const struct uuid *member, const struct uuid *after,
                                    uint32_t limit, struct arena *arena, struct uuid **ret,
                                    size_t *ret_count);

MUST_USE enum err sq_sets_grant_put(void *self, const struct store_grant *grant);
MUST_USE enum err sq_sets_grant_remove(void *self, const struct uuid *wallet,
                                       const struct uuid *grantee);
MUST_USE enum err sq_sets_grant_list(void *self, const struct uuid *wallet,
                                     const struct uuid *after, uint32_t limit, struct arena *arena,
                                     struct store_grant **ret, size_t *ret_count);
MUST_USE enum err sq_sets_grant_reach(void *self, const struct uuid *who, struct arena *arena,
                                      struct store_grant **ret, size_t *ret_count);
MUST_USE enum err sq_sets_access_get(void *self, const struct uuid *who, const struct uuid *object,
                                     uint32_t *ret);

#endif
