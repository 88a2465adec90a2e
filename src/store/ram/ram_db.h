// SPDX-License-Identifier: Apache-2.0
//
// A store's content in memory: sorted tables of rows that never change and are shared between
// versions by counting references. A transaction works on a clone, a snapshot is a reference.
// Private to store/ram.
#ifndef KW_STORE_RAM_RAM_DB_H
#define KW_STORE_RAM_RAM_DB_H

#include "store/store.h"

enum ram_table {
    RAM_OUTCOME,
    RAM_DATA_KEY,
    RAM_OBJECT,
    RAM_ENDPOINT,
    RAM_SEEN,
    RAM_NAMED,
    RAM_MEMBER, // key: set, member
    RAM_GRANT,  // key: wallet, grantee
    RAM_USER,
    RAM_PRIVILEGE, // key: user, thing
    RAM_CREDENTIAL,
    RAM_TRIES,  // key: hash of the name
    RAM_ISSUED, // key: fingerprint
    RAM_SETTING,
    RAM_NODE_SETTING,
    RAM_AUDIT,
    RAM_AUDIT_FLOOR, // one row
    RAM_TABLES
};

// `bytes` is a copy of the row's structure followed by what its spans point to.
struct ram_row {
    unsigned refs;
    size_t key_len;
    size_t len;
    uint8_t key[STORE_NAME_MAX];
    _Alignas(max_align_t) uint8_t bytes[];
};

struct ram_db {
    unsigned refs;
    uint64_t version; // of the commit
    struct {
        struct ram_row **rows;
        size_t count, cap;
    } tables[RAM_TABLES];
};

MUST_USE enum err ram_db_new(struct ram_db **ret);
MUST_USE enum err ram_db_clone(const struct ram_db *db, struct ram_db **ret);
struct ram_db *ram_db_ref(struct ram_db *db);
void ram_db_unref(struct ram_db *db); // NULL is allowed

// The place of the first row whose key is not less than `key`.
size_t ram_db_place(const struct ram_db *db, enum ram_table table, struct span key);
// The row with this key, or NULL.
const struct ram_row *ram_db_find(const struct ram_db *db, enum ram_table table, struct span key);
// Puts a row of `head` (a structure) and `tail`, in place of one with the same key.
MUST_USE enum err ram_db_put(struct ram_db *db, enum ram_table table, struct span key,
                             struct span head, struct span tail);
void ram_db_remove(struct ram_db *db, enum ram_table table, size_t place);

#endif
