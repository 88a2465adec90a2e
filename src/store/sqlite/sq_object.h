// SPDX-License-Identifier: Apache-2.0
//
// Objects: rows, and the values that they are found by. Private to store/sqlite.
#ifndef KW_STORE_SQLITE_SQ_OBJECT_H
#define KW_STORE_SQLITE_SQ_OBJECT_H

#include "store/sqlite/sq_db.h"

MUST_USE enum err sq_object_put(struct sq_db *db, const struct store_object *object,
                                const struct store_index *index, size_t index_count);
MUST_USE enum err sq_object_update(struct sq_db *db, const struct store_object *object,
                                   const struct store_index *index, size_t index_count);
MUST_USE enum err sq_object_get(struct sq_db *db, const struct uuid *id, struct arena *arena,
                                struct store_object *ret);

// Takes OBJECT_COLUMNS of the row that the call stands on (all but the material).
MUST_USE enum err sq_object_row(struct sq_call *call, struct arena *arena, void *item);

MUST_USE enum err sq_object_move(struct sq_db *db, const struct uuid *from, const struct uuid *to,
                                 uint64_t *ret_count);

#endif
