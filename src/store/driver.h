// SPDX-License-Identifier: Apache-2.0
//
// What an engine must do to be a store: one table of functions. store.c keeps the rules that are
// the same for all of them (what may be called when, bounds of arguments, refusal after a failed
// commit) and calls the driver only within these rules, so a driver need not check them again.
// Private to the store room.
#ifndef KW_STORE_DRIVER_H
#define KW_STORE_DRIVER_H

#include "store/issued.h"
#include "store/people.h"

struct store_driver {
    enum err (*open)(int root, const char *path, enum store_mode mode, void **ret_self);
    void (*close)(void *self);
    enum err (*begin)(void *self, enum store_mode mode);
    enum err (*commit)(void *self);
    void (*rollback)(void *self, enum store_mode mode);
    enum err (*save)(void *self, unsigned depth);
    enum err (*keep)(void *self, unsigned depth);
    enum err (*undo)(void *self, unsigned depth);
    enum err (*changed)(void *self, uint64_t *ret_version);
    enum err (*maintain)(void *self, int64_t outcomes_before_s, bool *ret_done);
    enum err (*relieve)(void *self, bool *ret_busy);

    enum err (*outcome_put)(void *self, const struct uuid *id, int64_t now_s, struct span answer);
    enum err (*outcome_find)(void *self, const struct uuid *id, struct arena *arena,
                             bool *ret_found, struct span *ret_answer);

    enum err (*data_key_put)(void *self, const struct store_data_key *key);
    enum err (*data_key_update)(void *self, const struct store_data_key *key);
    enum err (*data_key_delete)(void *self, const struct uuid *id);
    enum err (*data_key_list)(void *self, struct arena *arena, struct store_data_key **ret,
                              size_t *ret_count);

    enum err (*object_put)(void *self, const struct store_object *object,
                           const struct store_index *index, size_t index_count);
    enum err (*object_update)(void *self, const struct store_object *object,
                              const struct store_index *index, size_t index_count);
    enum err (*object_get)(void *self, const struct uuid *id, struct arena *arena,
                           struct store_object *ret);
    enum err (*object_find)(void *self, const struct store_query *query, struct arena *arena,
                            struct store_object **ret, size_t *ret_count);
    enum err (*object_count)(void *self, const struct store_query *query, uint64_t *ret);
    enum err (*object_move)(void *self, const struct uuid *from, const struct uuid *to,
                            uint64_t *ret_count);

    enum err (*endpoint_put)(void *self, const struct store_endpoint *endpoint);
    enum err (*endpoint_update)(void *self, const struct store_endpoint *endpoint);
    enum err (*endpoint_get)(void *self, const struct uuid *id, struct arena *arena,
                             struct store_endpoint *ret);
    enum err (*endpoint_by_fingerprint)(void *self, const uint8_t fingerprint[32],
                                        struct arena *arena, struct store_endpoint *ret);
    enum err (*endpoint_by_name)(void *self, const uint8_t name_hash[STORE_HASH_LEN],
                                 struct arena *arena, struct store_endpoint *ret);
    enum err (*endpoint_list)(void *self, const struct uuid *after, uint32_t limit,
                              struct arena *arena, struct store_endpoint **ret, size_t *ret_count);
    enum err (*endpoint_remove)(void *self, const struct uuid *id, uint64_t version);
    enum err (*seen_put)(void *self, const struct uuid *id, int64_t time_s);
    enum err (*seen_get)(void *self, const struct uuid *id, int64_t *ret);

    enum err (*named_put)(void *self, const struct store_named *named);
    enum err (*named_update)(void *self, const struct store_named *named);
    enum err (*named_get)(void *self, const struct uuid *id, struct arena *arena,
                          struct store_named *ret);
    enum err (*named_by_name)(void *self, uint32_t kind, const uint8_t name_hash[STORE_HASH_LEN],
                              struct arena *arena, struct store_named *ret);
    enum err (*named_list)(void *self, uint32_t kind, const struct uuid *after, uint32_t limit,
                           struct arena *arena, struct store_named **ret, size_t *ret_count);
    enum err (*named_remove)(void *self, const struct uuid *id, uint64_t version);
    enum err (*member_put)(void *self, const struct uuid *set, const struct uuid *member);
    enum err (*member_remove)(void *self, const struct uuid *set, const struct uuid *member);
    enum err (*member_list)(void *self, const struct uuid *set, const struct uuid *after,
                            uint32_t limit, struct arena *arena, struct uuid **ret,
                            size_t *ret_count);
    enum err (*member_count)(void *self, const struct uuid *set, uint64_t *ret);
    enum err (*member_of)(void *self, const struct uuid *member, const struct uuid *after,
                          uint32_t limit, struct arena *arena, struct uuid **ret,
                          size_t *ret_count);
    enum err (*grant_put)(void *self, const struct store_grant *grant);
    enum err (*grant_remove)(void *self, const struct uuid *wallet, const struct uuid *grantee);
    enum err (*grant_list)(void *self, const struct uuid *wallet, const struct uuid *after,
                           uint32_t limit, struct arena *arena, struct store_grant **ret,
                           size_t *ret_count);
    enum err (*grant_reach)(void *self, const struct uuid *who, struct arena *arena,
                            struct store_grant **ret, size_t *ret_count);
    enum err (*access_get)(void *self, const struct uuid *who, const struct uuid *object,
                           uint32_t *ret);

    enum err (*user_put)(void *self, const struct store_user *user);
    enum err (*user_update)(void *self, const struct store_user *user);
    enum err (*user_get)(void *self, const struct uuid *id, struct arena *arena,
                         struct store_user *ret);
    enum err (*user_by_name)(void *self, const uint8_t name_hash[STORE_HASH_LEN],
                             struct arena *arena, struct store_user *ret);
    enum err (*user_list)(void *self, uint32_t rights, const struct uuid *after, uint32_t limit,
                          struct arena *arena, struct store_user **ret, size_t *ret_count);
    enum err (*user_remove)(void *self, const struct uuid *id, uint64_t version);
    enum err (*privilege_put)(void *self, const struct store_privilege *privilege);
    enum err (*privilege_remove)(void *self, const struct store_privilege *privilege);
    enum err (*privilege_has)(void *self, const struct store_privilege *privilege, bool *ret);
    enum err (*privilege_list)(void *self, const struct uuid *user, const struct uuid *after,
                               uint32_t limit, struct arena *arena, struct uuid **ret,
                               size_t *ret_count);
    enum err (*credential_put)(void *self, const struct store_credential *credential);
    enum err (*credential_update)(void *self, const struct store_credential *credential);
    enum err (*credential_get)(void *self, const struct uuid *id, struct arena *arena,
                               struct store_credential *ret);
    enum err (*credential_by_hash)(void *self, const uint8_t hash[32], struct arena *arena,
                                   struct store_credential *ret);
    enum err (*credential_list)(void *self, const struct uuid *user, const struct uuid *after,
                                uint32_t limit, struct arena *arena, struct store_credential **ret,
                                size_t *ret_count);
    enum err (*credential_remove)(void *self, const struct uuid *id);
    enum err (*credential_forget)(void *self, int64_t before_s);
    enum err (*tries_get)(void *self, const uint8_t name_hash[STORE_HASH_LEN],
                          struct store_tries *ret);
    enum err (*tries_put)(void *self, const struct store_tries *tries);
    enum err (*tries_remove)(void *self, const uint8_t name_hash[STORE_HASH_LEN]);
    enum err (*tries_list)(void *self, const uint8_t after[STORE_HASH_LEN], uint32_t limit,
                           struct arena *arena, struct store_tries **ret, size_t *ret_count);
    enum err (*tries_forget)(void *self, int64_t before_s);

    enum err (*issued_put)(void *self, const struct store_issued *issued);
    enum err (*issued_get)(void *self, const uint8_t fingerprint[32], struct store_issued *ret);
    enum err (*issued_end)(void *self, const struct uuid *holder, const uint8_t *fingerprint,
                           int64_t when_s, uint32_t reason);
    enum err (*issued_list)(void *self, const struct store_issued_query *query, struct arena *arena,
                            struct store_issued **ret, size_t *ret_count);
    enum err (*issued_count)(void *self, const struct store_issued_query *query, uint64_t *ret);
    enum err (*issued_forget)(void *self, int64_t before_s);

    enum err (*setting_put)(void *self, bool node, const char *name, struct span value);
    enum err (*setting_get)(void *self, bool node, const char *name, struct arena *arena,
                            struct span *ret);

    enum err (*audit_append)(void *self, const struct store_audit *row);
    enum err (*audit_head)(void *self, struct store_audit *ret);
    enum err (*audit_list)(void *self, uint64_t from, uint32_t limit, struct arena *arena,
                           struct store_audit **ret, size_t *ret_count);
    enum err (*audit_floor)(void *self, struct store_audit *ret);
    enum err (*audit_raise)(void *self, uint64_t through);
    enum err (*audit_drop)(void *self, uint32_t limit, bool *ret_more);
};

extern const struct store_driver sq_driver;  // sqlite/
extern const struct store_driver ram_driver; // ram/

#endif
