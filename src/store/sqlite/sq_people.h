// SPDX-License-Identifier: Apache-2.0
//
// Users, privileges, credentials and wrong tries. The functions are the driver's own (see
// store/driver.h); `self` is a struct sq_db. Private to store/sqlite.
#ifndef KW_STORE_SQLITE_SQ_PEOPLE_H
#define KW_STORE_SQLITE_SQ_PEOPLE_H

#include "store/people.h"
#include "store/sqlite/sq_db.h"

MUST_USE enum err sq_people_user_put(void *self, const struct store_user *user);
MUST_USE enum err sq_people_user_update(void *self, const struct store_user *user);
MUST_USE enum err sq_people_user_get(void *self, const struct uuid *id, struct arena *arena,
                                     struct store_user *ret);
MUST_USE enum err sq_people_user_by_name(void *self, const uint8_t name_hash[STORE_HASH_LEN],
                                         struct arena *arena, struct store_user *ret);
MUST_USE enum err sq_people_user_list(void *self, uint32_t rights, const struct uuid *after,
                                      uint32_t limit, struct arena *arena, struct store_user **ret,
                                      size_t *ret_count);
MUST_USE enum err sq_people_user_remove(void *self, const struct uuid *id, uint64_t version);
MUST_USE enum err sq_people_privilege_put(void *self, const struct store_privilege *privilege);
MUST_USE enum err sq_people_privilege_remove(void *self, const struct store_privilege *privilege);
MUST_USE enum err sq_people_privilege_has(void *self, const struct store_privilege *privilege,
                                          bool *ret);
MUST_USE enum err sq_people_privilege_list(void *self, const struct uuid *user,
                                           const struct uuid *after, uint32_t limit,
                                           struct arena *arena, struct uuid **ret,
                                           size_t *ret_count);
MUST_USE enum err sq_people_credential_put(void *self, const struct store_credential *credential);
MUST_USE enum err sq_people_credential_update(void *self,
                                              const struct store_credential *credential);
MUST_USE enum err sq_people_credential_get(void *self, const struct uuid *id, struct arena *arena,
                                           struct store_credential *ret);
MUST_USE enum err sq_people_credential_by_hash(void *self, const uint8_t hash[32],
                                               struct arena *arena, struct store_credential *ret);
MUST_USE enum err sq_people_credential_list(void *self, const struct uuid *user,
                                            const struct uuid *after, uint32_t limit,
                                            struct arena *arena, struct store_credential **ret,
                                            size_t *ret_count);
MUST_USE enum err sq_people_credential_remove(void *self, const struct uuid *id);
MUST_USE enum err sq_people_credential_forget(void *self, int64_t before_s);
MUST_USE enum err sq_people_tries_get(void *self, const uint8_t name_hash[STORE_HASH_LEN],
                                      struct store_tries *ret);
MUST_USE enum err sq_people_tries_put(void *self, const struct store_tries *tries);
MUST_USE enum err sq_people_tries_remove(void *self, const uint8_t name_hash[STORE_HASH_LEN]);
MUST_USE enum err sq_people_tries_list(void *self, const uint8_t after[STORE_HASH_LEN],
                                       uint32_t limit, struct arena *arena,
                                       struct store_tries **ret, size_t *ret_count);
MUST_USE enum err sq_people_tries_forget(void *self, int64_t before_s);

#endif
