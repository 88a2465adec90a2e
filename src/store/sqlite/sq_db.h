// SPDX-License-Identifier: Apache-2.0
//
// One connection to the embedded engine, its transactions and its statements. Values reach SQL by
// bound parameters only: a `struct sq_call` is one run of one statement, with parameters given and
// columns taken in order. Private to store/sqlite.
#ifndef KW_STORE_SQLITE_SQ_DB_H
#define KW_STORE_SQLITE_SQ_DB_H

#include <sqlite3.h>

#include "store/store.h"

enum sq_statement {
#define STATEMENT(name, sql) SQ_##name,
#include "store/sqlite/sq_statements.h"
#undef STATEMENT
    SQ_COUNT
};

enum { SQ_SHAPES = 16 }; // statements of find and count that are kept, by their text

struct sq_db {
    sqlite3 *db;
    sqlite3_stmt *statements[SQ_COUNT];
    struct {
        char *sql;
        sqlite3_stmt *st;
    } shapes[SQ_SHAPES];
    unsigned next_shape; // to be replaced next
    bool reading;        // the snapshot statement is open
    bool replaced;       // the log may hold what was replaced or destroyed since it was emptied
    int64_t others;      // data_version at the last housekeeping
};

// Opens and prepares a connection; see store_open for `mode` and errors.
MUST_USE enum err sq_db_open(int root, const char *path, enum store_mode mode, struct sq_db **ret);
void sq_db_close(struct sq_db *db);
void sq_db_closep(struct sq_db **db);

// Raises what SQLite returned as one of our codes.
enum err sq_db_raise(struct sq_db *db, int rc, const char *what);

// Runs the statements of a constant text, one after the other.
MUST_USE enum err sq_db_script(struct sq_db *db, const char *sql);

MUST_USE enum err sq_db_begin(struct sq_db *db, enum store_mode mode);
MUST_USE enum err sq_db_commit(struct sq_db *db);
void sq_db_rollback(struct sq_db *db, enum store_mode mode);
MUST_USE enum err sq_db_changed(struct sq_db *db, uint64_t *ret_version);
MUST_USE enum err sq_db_relieve(struct sq_db *db, bool *ret_busy);
MUST_USE enum err sq_db_maintain(struct sq_db *db, int64_t outcomes_before_s, bool *ret_done);

struct sq_call {
    struct sq_db *db;
    sqlite3_stmt *st;
    int at; // number of the parameter bound, or of the column taken, last
    int rc; // first failure of a binding
};

// Makes a statement ready; sq_call_done (by CLEANUP) gives it back.
MUST_USE enum err sq_call_start(struct sq_db *db, enum sq_statement which, struct sq_call *ret);
// The same for a text made at run time, which must hold no value.
MUST_USE enum err sq_call_start_text(struct sq_db *db, const char *sql, struct sq_call *ret);
void sq_call_done(struct sq_call *call);

// The next parameter. Bytes are borrowed until sq_call_done.
void sq_call_int(struct sq_call *call, int64_t value);
void sq_call_blob(struct sq_call *call, struct span bytes);
void sq_call_uuid(struct sq_call *call, const struct uuid *uuid);
void sq_call_text(struct sq_call *call, const char *text);
void sq_call_null(struct sq_call *call);

// The next row; *ret_row false after the last.
MUST_USE enum err sq_call_step(struct sq_call *call, bool *ret_row);
// Runs a statement that has no rows; *ret_changes (or NULL) gets the number of rows changed.
MUST_USE enum err sq_call_run(struct sq_call *call, int *ret_changes);

// The next column. Blobs go to the arena; fixed ones must have the right length (ERR_DAMAGED).
int64_t sq_call_get_int(struct sq_call *call);
MUST_USE enum err sq_call_get_blob(struct sq_call *call, struct arena *arena, struct span *ret);
MUST_USE enum err sq_call_get_fixed(struct sq_call *call, void *out, size_t len);

#endif
