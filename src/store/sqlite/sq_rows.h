// SPDX-License-Identifier: Apache-2.0
//
// What the files of several tables do with rows: one, all of a statement, or none of a kind.
#ifndef KW_STORE_SQLITE_SQ_ROWS_H
#define KW_STORE_SQLITE_SQ_ROWS_H

#include "store/sqlite/sq_db.h"

// Reads the columns of the row a call stands on into one item of its table.
typedef enum err sq_take_fn(struct sq_call *call, struct arena *arena, void *item);

// The only row of a call whose parameters are bound. ERR_NOT_FOUND: "there is no such `what`";
// `ret` may be half filled after any error.
MUST_USE enum err sq_rows_one(struct sq_call *call, sq_take_fn *take, struct arena *arena,
                              const char *what, void *ret);

// All rows, as an array of items of `size` bytes in the arena. `ret` is a pointer to a pointer to
// items; the statement itself bounds how many there are.
MUST_USE enum err sq_rows_all(struct sq_call *call, size_t size, sq_take_fn *take,
                              struct arena *arena, void *ret, size_t *ret_count);

// At most `limit` ids after `after` of a statement that takes `of`, `after` and `limit`.
MUST_USE enum err sq_rows_ids(struct sq_db *db, enum sq_statement which, const struct uuid *of,
                              const struct uuid *after, uint32_t limit, struct arena *arena,
                              struct uuid **ret, size_t *ret_count);

// ERR_NOT_FOUND when a statement that takes an id has no row.
MUST_USE enum err sq_rows_exist(struct sq_db *db, enum sq_statement which, const struct uuid *id,
                                const char *what);

// Runs a statement whose only parameter is an id.
MUST_USE enum err sq_rows_run(struct sq_db *db, enum sq_statement which, const struct uuid *id);

#endif
