// SPDX-License-Identifier: Apache-2.0
//
// Users, privileges, credentials and wrong tries over a version of the content. Private to
// store/ram.
#ifndef KW_STORE_RAM_RAM_PEOPLE_H
#define KW_STORE_RAM_RAM_PEOPLE_H

#include "store/people.h"
#include "store/ram/ram_db.h"

// `update` false: there must be none with this id; true: one with this version.
MUST_USE enum err ram_people_user_put(struct ram_db *db, const struct store_user *user,
                                      bool update);
MUST_USE enum err ram_people_user_get(const struct ram_db *db, const struct uuid *id,
                                      struct arena *arena, struct store_user *ret);
MUST_USE enum err ram_people_user_by_name(const struct ram_db *db,
                                          const uint8_t name_hash[STORE_HASH_LEN],
                                          struct arena *arena, struct store_user *ret);
MUST_USE enum err ram_people_user_list(const struct ram_db *db, uint32_t rights,
                                       const struct uuid *after, uint32_t limit,
                                       struct arena *arena, struct store_user **ret,
                                       size_t *ret_count);
MUST_USE enum err ram_people_user_remove(struct ram_db *db, const struct uuid *id,
                                         uint64_t version);
MUST_USE enum err ram_people_privilege_put(struct ram_db *db,
                                           const struct store_privilege *privilege);
MUST_USE enum err ram_people_privilege_remove(struct ram_db *db,
                                              const struct store_privilege *privilege);
MUST_USE enum err ram_people_privilege_has(const struct ram_db *db,
                                           const struct store_privilege *privilege, bool *ret);
MUST_USE enum err ram_people_privilege_list(const struct ram_db *db, const struct uuid *user,
                                            const struct uuid *after, uint32_t limit,
                                            struct arena *arena, struct uuid **ret,
                                            size_t *ret_count);
// `update` false: there must be none with this id; true: one with this version.
MUST_USE enum err ram_people_credential_put(struct ram_db *db,
                                            const struct store_credential *credential, bool update);
MUST_USE enum err ram_people_credential_get(const struct ram_db *db, const struct uuid *id,
                                            struct arena *arena, struct store_credential *ret);
MUST_USE enum err ram_people_credential_by_hash(const struct ram_db *db, const uint8_t hash[32],
                                                struct arena *arena, struct store_credential *ret);
MUST_USE enum err ram_people_credential_list(const struct ram_db *db, const struct uuid *user,
                                             const struct uuid *after, uint32_t limit,
                                             struct arena *arena, struct store_credential **ret,
                                             size_t *ret_count);
MUST_USE enum err ram_people_credential_remove(struct ram_db *db, const struct uuid *id);
MUST_USE enum err ram_people_credential_forget(struct ram_db *db, int64_t before_s);
MUST_USE enum err ram_people_tries_get(const struct ram_db *db,
                                       const uint8_t name_hash[STORE_HASH_LEN],
                                       struct store_tries *ret);
MUST_USE enum err ram_people_tries_put(struct ram_db *db, const struct store_tries *tries);
MUST_USE enum err ram_people_tries_remove(struct ram_db *db,
                                          const uint8_t name_hash[STORE_HASH_LEN]);
MUST_USE enum err ram_people_tries_list(const struct ram_db *db,
                                        const uint8_t after[STORE_HASH_LEN], uint32_t limit,
                                        struct arena *arena, struct store_tries **ret,
                                        size_t *ret_count);
MUST_USE enum err ram_people_tries_forget(struct ram_db *db, int64_t before_s);

#endif
