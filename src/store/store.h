// SPDX-License-Identifier: Apache-2.0
//
// Persistence as verbs; SQL stays inside. store/sqlite is the embedded engine, a networked one can
// stand beside it, and one contract suite (tests/contract) runs on every driver. The store sees no
// clear key and no clear name: values that tell come sealed, and equality search goes by keyed
// hashes (blind index) that the caller makes.
//
// Shared state (objects, endpoints, data keys, settings) stands apart from node-local state (audit
// trail of this node, node settings): table names start with `node_` for the latter. Rows have
// UUIDs, every change is conditional on the version that was read (ERR_CONFLICT otherwise), and
// every write transaction carries an id by which its outcome can be looked up.
//
// Every call may block on the disk. Spans in results live in the arena that the call was given.
#ifndef KW_STORE_STORE_H
#define KW_STORE_STORE_H

#include "base/arena.h"
#include "base/rand.h"

enum {
    STORE_SCHEMA = 3,
    STORE_HASH_LEN = 16,   // bytes of a blind index value
    STORE_INDEX_MAX = 512, // index values of one object
    STORE_FIND_MAX = 1000, // objects of one page
    STORE_FILTER_MAX = 16, // index values of one query
    STORE_NAME_MAX = 64    // bytes of a setting's name
};

struct store;

enum store_mode { STORE_READ, STORE_WRITE };

// Opens (for STORE_WRITE: makes or migrates) the store below the root prefix. ERR_DAMAGED,
// ERR_VERSION (a newer schema), ERR_FILE_MODE, ERR_NOT_FOUND (STORE_READ before the first
// STORE_WRITE), ERR_IO. A path "ram:NAME" opens a store in this process's memory, for tests; it
// lives until the last handle to that name is closed.
MUST_USE enum err store_open(int root, const char *path, enum store_mode mode, struct store **ret);
void store_close(struct store *store);
void store_closep(struct store **store);

// One transaction at a time. A read transaction sees one snapshot; it ends by commit or rollback.
// One process writes at a time: store_begin waits up to 5 seconds for the other (then ERR_BUSY).
// store_commit returns after fsync. ERR_NO_SPACE: the log had no room, the transaction is rolled
// back and the store goes on. After any other failure of a commit the store refuses everything
// until it is opened again (a failed fsync is never retried).
//
// Verbs that change something want a write transaction (ERR_INTERNAL), the others may stand alone.
// One that fails with ERR_CONFLICT, ERR_NOT_FOUND or ERR_INVALID has changed nothing and the
// transaction goes on; any other failure (ERR_NO_SPACE, ERR_IO …) dooms the transaction: all verbs
// fail with that error until store_rollback, or until store_commit, which then rolls back.
MUST_USE enum err store_begin(struct store *store, enum store_mode mode);
MUST_USE enum err store_commit(struct store *store);
void store_rollback(struct store *store);

// Whether the transaction is doomed; whether a commit has failed whose outcome is not known.
bool store_is_doomed(const struct store *store);
bool store_is_unsure(const struct store *store);

// Whether anything was committed through another handle, by whatever process, between the snapshot
// of the current transaction and that of the transaction in which this was asked last (true the
// first time). Much cheaper than a row, so that what was read may be kept for as long as this says
// false.
MUST_USE enum err store_changed(struct store *store, bool *ret);

// Housekeeping for the writer's idle moments, outside a transaction: forgets outcomes older than
// `outcomes_before_s` and moves the write-ahead log into the file and empties it, so that destroyed
// material is not left in it. *ret_done false: a reader is in the way, call again later.
MUST_USE enum err store_maintain(struct store *store, int64_t outcomes_before_s, bool *ret_done);

// For a process that has time: moves what has gathered in the write-ahead log into the file, beside
// the one that writes, which else has to stop for it. *ret_busy: there was enough to be worth it.
// Outside a transaction.
MUST_USE enum err store_relieve(struct store *store, bool *ret_busy);

// A point to which one request of a group can be taken back: store_save, then store_keep or
// store_undo. They nest to 2. store_undo may leave another snapshot than the one before: where
// nothing was changed before the save, the transaction begins again, and another handle may have
// committed in between.
MUST_USE enum err store_save(struct store *store);
MUST_USE enum err store_keep(struct store *store);
void store_undo(struct store *store);

// Remembers, in the current transaction, that the write with this id is done; `answer` is what is
// to be told again.
MUST_USE enum err store_outcome_put(struct store *store, const struct uuid *id, int64_t now_s,
                                    struct span answer);
MUST_USE enum err store_outcome_find(struct store *store, const struct uuid *id,
                                     struct arena *arena, bool *ret_found, struct span *ret_answer);

// ---- data keys: wrapped by the keeper ----
struct store_data_key {
    struct uuid id;
    uint64_t version;
    char purpose[16]; // "objects", "index", "audit", …
    struct span wrapped;
};
MUST_USE enum err store_data_key_put(struct store *store, const struct store_data_key *key);
MUST_USE enum err store_data_key_update(struct store *store, const struct store_data_key *key);
// Removes one that nothing is sealed under any more; what it sealed would be lost. ERR_NOT_FOUND.
MUST_USE enum err store_data_key_delete(struct store *store, const struct uuid *id);
MUST_USE enum err store_data_key_list(struct store *store, struct arena *arena,
                                      struct store_data_key **ret, size_t *ret_count);

// ---- objects ----
// The dates that the life cycle looks at, seconds since 1970; 0 when not set.
struct store_dates {
    int64_t initial, activation, process_start, protect_stop, deactivation, destroy, compromise,
        compromise_occurrence, last_change, archive;
};

struct store_object {
    struct uuid id;
    uint64_t version; // of the row; an update wants the one that was read and writes it plus one
    uint32_t type;    // Object Type
    uint32_t state;   // State as last written; dates may have moved it on since
    uint32_t flags;   // the model's object flags: sensitive, extractable, …
    struct uuid owner;
    struct uuid key_id; // data key that sealed the two below
    struct store_dates dates;
    struct span attributes; // sealed
    struct span material;   // sealed; empty after destruction
};

// One value that the object can be found by: `kind` separates name spaces (the attribute's tag),
// `hash` is the blind index.
struct store_index {
    uint32_t kind;
    uint8_t hash[STORE_HASH_LEN];
    bool unique; // no other object of the same owner may have this kind and hash: ERR_CONFLICT
};

MUST_USE enum err store_object_put(struct store *store, const struct store_object *object,
                                   const struct store_index *index, size_t index_count);
// Replaces row and index where id and version match; ERR_CONFLICT, ERR_NOT_FOUND.
MUST_USE enum err store_object_update(struct store *store, const struct store_object *object,
                                      const struct store_index *index, size_t index_count);
MUST_USE enum err store_object_get(struct store *store, const struct uuid *id, struct arena *arena,
                                   struct store_object *ret);

struct store_range {
    int64_t from, to; // both inclusive; from > to matches nothing
};

// What to find: every part that is set must match. Order: by id, which is the order of creation, or
// the newest first; `after` is exclusive, in that order (zero: start).
struct store_query {
    bool any_owner;
    struct uuid owner;
    struct uuid wallet; // only what is in this wallet; zero: wherever it is
    struct uuid only;   // only the object with this id; zero: any
    const struct store_index *index;
    size_t index_count;
    uint32_t type;   // 0 any
    uint32_t states; // bit (1 << State); 0 any
    bool has_initial, has_activation, has_deactivation, has_process_start, has_protect_stop,
        has_destroy, has_compromise, has_last_change;
    struct store_range initial, activation, deactivation, process_start, protect_stop, destroy,
        compromise, last_change;
    bool newest_first;
    struct uuid after;
    uint32_t skip;
    uint32_t limit; // 1 to STORE_FIND_MAX
};

// Whole rows without material, at most `limit`.
MUST_USE enum err store_object_find(struct store *store, const struct store_query *query,
                                    struct arena *arena, struct store_object **ret,
                                    size_t *ret_count);
MUST_USE enum err store_object_count(struct store *store, const struct store_query *query,
                                     uint64_t *ret);

// Gives all objects of one owner to another; versions stay. ERR_CONFLICT when both have an object
// with one unique value. *ret_count is how many were moved.
MUST_USE enum err store_object_move(struct store *store, const struct uuid *from,
                                    const struct uuid *to, uint64_t *ret_count);

// ---- endpoints ----
enum endpoint_state { ENDPOINT_REGISTERED = 1, ENDPOINT_ENROLLED = 2, ENDPOINT_SUSPENDED = 3 };

struct store_endpoint {
    struct uuid id;
    uint64_t version;
    uint32_t state;                    // enum endpoint_state
    uint8_t name_hash[STORE_HASH_LEN]; // unique: ERR_CONFLICT
    uint8_t fingerprint[32];           // SHA-256 of its certificate; zeros before enrolment; unique
    uint8_t previous[32];              // of the certificate before that; zeros: there is none
    int64_t previous_until;            // seconds; so long the previous one counts, too
    uint8_t token_hash[32];            // SHA-256 of the one-time token; zeros when used up
    int64_t token_expires;             // seconds
    int64_t created, enrolled;
    struct uuid default_wallet; // what it creates goes there; zero: nowhere
    struct uuid key_id;
    struct span sealed; // name, description, certificate, …
};
MUST_USE enum err store_endpoint_put(struct store *store, const struct store_endpoint *endpoint);
MUST_USE enum err store_endpoint_update(struct store *store, const struct store_endpoint *endpoint);
MUST_USE enum err store_endpoint_get(struct store *store, const struct uuid *id,
                                     struct arena *arena, struct store_endpoint *ret);
// The endpoint whose certificate, or previous certificate, this is.
MUST_USE enum err store_endpoint_by_fingerprint(struct store *store, const uint8_t fingerprint[32],
                                                struct arena *arena, struct store_endpoint *ret);
MUST_USE enum err store_endpoint_by_name(struct store *store,
                                         const uint8_t name_hash[STORE_HASH_LEN],
                                         struct arena *arena, struct store_endpoint *ret);
MUST_USE enum err store_endpoint_list(struct store *store, const struct uuid *after, uint32_t limit,
                                      struct arena *arena, struct store_endpoint **ret,
                                      size_t *ret_count);

// Takes the endpoint with its grants and memberships away. Its objects stay: move them before.
// ERR_NOT_FOUND, ERR_CONFLICT.
MUST_USE enum err store_endpoint_remove(struct store *store, const struct uuid *id,
                                        uint64_t version);

// When an endpoint asked for something last, on this node: seconds, 0 for never. A time that is
// older than the known one is passed over.
MUST_USE enum err store_seen_put(struct store *store, const struct uuid *id, int64_t time_s);
MUST_USE enum err store_seen_get(struct store *store, const struct uuid *id, int64_t *ret);

// ---- named sets: wallets (sets of objects) and groups (sets of endpoints) ----
enum named_kind { NAMED_WALLET = 1, NAMED_ENDPOINT_GROUP = 2, NAMED_USER_GROUP = 3 };

struct store_named {
    struct uuid id;
    uint64_t version;
    uint32_t kind;                     // enum named_kind
    uint8_t name_hash[STORE_HASH_LEN]; // unique within the kind: ERR_CONFLICT
    int64_t created;
    struct uuid key_id;
    struct span sealed; // name, description
};
MUST_USE enum err store_named_put(struct store *store, const struct store_named *named);
MUST_USE enum err store_named_update(struct store *store, const struct store_named *named);
MUST_USE enum err store_named_get(struct store *store, const struct uuid *id, struct arena *arena,
                                  struct store_named *ret);
MUST_USE enum err store_named_by_name(struct store *store, uint32_t kind,
                                      const uint8_t name_hash[STORE_HASH_LEN], struct arena *arena,
                                      struct store_named *ret);
MUST_USE enum err store_named_list(struct store *store, uint32_t kind, const struct uuid *after,
                                   uint32_t limit, struct arena *arena, struct store_named **ret,
                                   size_t *ret_count);
// With its members, its grants and, of a wallet, its being a default. The members themselves stay.
MUST_USE enum err store_named_remove(struct store *store, const struct uuid *id, uint64_t version);

// Members of a set, in order of id. ERR_CONFLICT when it is one already, ERR_NOT_FOUND when not.
MUST_USE enum err store_member_put(struct store *store, const struct uuid *set,
                                   const struct uuid *member);
MUST_USE enum err store_member_remove(struct store *store, const struct uuid *set,
                                      const struct uuid *member);
MUST_USE enum err store_member_list(struct store *store, const struct uuid *set,
                                    const struct uuid *after, uint32_t limit, struct arena *arena,
                                    struct uuid **ret, size_t *ret_count);
MUST_USE enum err store_member_count(struct store *store, const struct uuid *set, uint64_t *ret);
// The sets that somebody or something is in, in order of id.
MUST_USE enum err store_member_of(struct store *store, const struct uuid *member,
                                  const struct uuid *after, uint32_t limit, struct arena *arena,
                                  struct uuid **ret, size_t *ret_count);

// ---- grants: what may be done with the objects of a wallet, and with the wallet ----
enum grantee_kind {
    GRANTEE_ENDPOINT = 1,
    GRANTEE_ENDPOINT_GROUP = 2,
    GRANTEE_USER = 3,
    GRANTEE_USER_GROUP = 4
};
enum grant_access { GRANT_READ = 1, GRANT_MODIFY = 2, GRANT_MANAGE = 4 };

struct store_grant {
    struct uuid wallet;
    struct uuid grantee;
    uint32_t kind;   // enum grantee_kind
    uint32_t access; // of enum grant_access
};
// In place of the grant to the same grantee on the same wallet.
MUST_USE enum err store_grant_put(struct store *store, const struct store_grant *grant);
MUST_USE enum err store_grant_remove(struct store *store, const struct uuid *wallet,
                                     const struct uuid *grantee); // ERR_NOT_FOUND
// On one wallet, in order of the grantee's id.
MUST_USE enum err store_grant_list(struct store *store, const struct uuid *wallet,
                                   const struct uuid *after, uint32_t limit, struct arena *arena,
                                   struct store_grant **ret, size_t *ret_count);
// All grants to somebody: to himself and to the groups that he is in; in order of the wallet.
MUST_USE enum err store_grant_reach(struct store *store, const struct uuid *who,
                                    struct arena *arena, struct store_grant **ret,
                                    size_t *ret_count);
// All that is granted to somebody and his groups on the wallets that hold an object: bits of enum
// grant_access, 0 for nothing.
MUST_USE enum err store_access_get(struct store *store, const struct uuid *who,
                                   const struct uuid *object, uint32_t *ret);

// ---- settings: small sealed or public values by name; `node` selects node-local ones ----
MUST_USE enum err store_setting_put(struct store *store, bool node, const char *name,
                                    struct span value);
MUST_USE enum err store_setting_get(struct store *store, bool node, const char *name,
                                    struct arena *arena, struct span *ret); // ERR_NOT_FOUND

// ---- audit trail of this node: rows in order, never changed, purged from the start alone ----
enum { STORE_MARK_LEN = 48 };
struct store_audit {
    uint64_t sequence; // from 1, without gaps
    int64_t time_ms;
    uint8_t hash[32]; // of the previous row's hash and this record
    struct span record;
    bool marked; // the last row alone has a mark, so that rows which are cut off are missed
    uint8_t mark[STORE_MARK_LEN];
};
// The row becomes the last one: it has the mark, and the row before loses its own. ERR_CONFLICT
// when the sequence is not the last one plus one.
MUST_USE enum err store_audit_append(struct store *store, const struct store_audit *row);
// The last row without its record; sequence 0 and zero hash when there is none.
MUST_USE enum err store_audit_head(struct store *store, struct store_audit *ret);
// What was purged is not listed.
MUST_USE enum err store_audit_list(struct store *store, uint64_t from, uint32_t limit,
                                   struct arena *arena, struct store_audit **ret,
                                   size_t *ret_count);

// The last row that was purged (its record left empty): the trail begins behind it. Sequence 0 and
// zero hash when none was.
MUST_USE enum err store_audit_floor(struct store *store, struct store_audit *ret);
// Purges the rows up to and including `through`, which must be there and not be the last one:
// ERR_NOT_FOUND, ERR_INVALID. They are gone at once for whoever lists; store_audit_drop gives back
// their room, at most `limit` rows a call.
MUST_USE enum err store_audit_raise(struct store *store, uint64_t through);
MUST_USE enum err store_audit_drop(struct store *store, uint32_t limit, bool *ret_more);

#endif
