// SPDX-License-Identifier: Apache-2.0
//
// The part of the store that is about people: users with the rights that they hold, privileges on
// one endpoint or group, credentials (sessions, tokens, certificates, set-up links) by the hash of
// their secret, and wrong tries by name. Rules and errors are those of store/store.h. Bits of
// rights are the model's; here they are numbers.
#ifndef KW_STORE_PEOPLE_H
#define KW_STORE_PEOPLE_H

#include "store/store.h"

// ---- users ----
enum user_state { USER_ACTIVE = 1, USER_LOCKED = 2 };

enum user_flag {
    USER_MUST_CHANGE = 1,  // the password was set by somebody else
    USER_TOTP = 2,         // a second factor is asked for
    USER_TOTP_PENDING = 4, // one was made and not confirmed yet
    USER_HELD = 8          // reaches no keys until a Key Administrator restores it
};

struct store_user {
    struct uuid id;
    uint64_t version;
    uint32_t state;                    // enum user_state
    uint8_t name_hash[STORE_HASH_LEN]; // of the normal form of the name; unique: ERR_CONFLICT
    uint32_t rights;                   // roles and privileges that it holds
    uint32_t forward;                  // of these, what it may grant to others
    uint32_t flags;                    // of enum user_flag
    int64_t created, password_changed;
    int64_t totp_step; // the last one that was used: codes of this and earlier ones count no more
    struct uuid key_id;
    struct span sealed; // name, full name, e-mail, password record, secret of the second factor
};
MUST_USE enum err store_user_put(struct store *store, const struct store_user *user);
MUST_USE enum err store_user_update(struct store *store, const struct store_user *user);
MUST_USE enum err store_user_get(struct store *store, const struct uuid *id, struct arena *arena,
                                 struct store_user *ret);
MUST_USE enum err store_user_by_name(struct store *store, const uint8_t name_hash[STORE_HASH_LEN],
                                     struct arena *arena, struct store_user *ret);
// Those that hold one of `rights` at least (0: all), in order of id.
MUST_USE enum err store_user_list(struct store *store, uint32_t rights, const struct uuid *after,
                                  uint32_t limit, struct arena *arena, struct store_user **ret,
                                  size_t *ret_count);
// With its credentials, privileges, grants and memberships. Its objects stay: move them before.
MUST_USE enum err store_user_remove(struct store *store, const struct uuid *id, uint64_t version);

// ---- privileges: who manages one endpoint or one group ----
struct store_privilege {
    struct uuid user;
    struct uuid thing; // endpoint or group
};
// ERR_CONFLICT when it stands already. They go with the user, and with the endpoint or group.
MUST_USE enum err store_privilege_put(struct store *store, const struct store_privilege *privilege);
MUST_USE enum err store_privilege_remove(struct store *store,
                                         const struct store_privilege *privilege);
MUST_USE enum err store_privilege_has(struct store *store, const struct store_privilege *privilege,
                                      bool *ret);
// The things that a user manages, in order of id.
MUST_USE enum err store_privilege_list(struct store *store, const struct uuid *user,
                                       const struct uuid *after, uint32_t limit,
                                       struct arena *arena, struct uuid **ret, size_t *ret_count);

// ---- credentials: what stands for a user without its password ----
enum stored_kind {
    STORED_SESSION = 1,
    STORED_TOKEN = 2,
    STORED_CERTIFICATE = 3,
    STORED_LINK = 4 // makes one account; `user` is zero
};

struct store_credential {
    struct uuid id;
    uint64_t version;
    uint32_t kind;    // enum stored_kind
    uint8_t hash[32]; // SHA-256 of the secret or the certificate; unique: ERR_CONFLICT
    struct uuid user;
    int64_t created, expires; // seconds
    uint32_t rights;          // what it lets through of the user's; a link: what the account gets
    struct uuid key_id;
    struct span sealed; // a label
};
MUST_USE enum err store_credential_put(struct store *store,
                                       const struct store_credential *credential);
MUST_USE enum err store_credential_update(struct store *store,
                                          const struct store_credential *credential);
MUST_USE enum err store_credential_get(struct store *store, const struct uuid *id,
                                       struct arena *arena, struct store_credential *ret);
MUST_USE enum err store_credential_by_hash(struct store *store, const uint8_t hash[32],
                                           struct arena *arena, struct store_credential *ret);
// All (user NULL), or those of one user, in order of id.
MUST_USE enum err store_credential_list(struct store *store, const struct uuid *user,
                                        const struct uuid *after, uint32_t limit,
                                        struct arena *arena, struct store_credential **ret,
                                        size_t *ret_count);
MUST_USE enum err store_credential_remove(struct store *store, const struct uuid *id);
// Those that expired before this.
MUST_USE enum err store_credential_forget(struct store *store, int64_t before_s);

// ---- wrong tries, by the hash of a name, whether somebody has that name or not ----
struct store_tries {
    uint8_t name_hash[STORE_HASH_LEN];
    uint64_t wrong;
    int64_t since, until; // seconds: of the first one; no try before the latter
};
// Zero but for the name when there were none.
MUST_USE enum err store_tries_get(struct store *store, const uint8_t name_hash[STORE_HASH_LEN],
                                  struct store_tries *ret);
MUST_USE enum err store_tries_put(struct store *store, const struct store_tries *tries);
MUST_USE enum err store_tries_remove(struct store *store, const uint8_t name_hash[STORE_HASH_LEN]);
// In order of the hash, from after `after` (zeros: start).
MUST_USE enum err store_tries_list(struct store *store, const uint8_t after[STORE_HASH_LEN],
                                   uint32_t limit, struct arena *arena, struct store_tries **ret,
                                   size_t *ret_count);
// Those that both times lie before.
MUST_USE enum err store_tries_forget(struct store *store, int64_t before_s);

#endif
