// SPDX-License-Identifier: Apache-2.0
//
// Searches. Private to store/sqlite.
#ifndef KW_STORE_SQLITE_SQ_FIND_H
#define KW_STORE_SQLITE_SQ_FIND_H

#include "store/sqlite/sq_db.h"

MUST_USE enum err sq_find_objects(struct sq_db *db, const struct store_query *query,
                                  struct arena *arena, struct store_object **ret,
                                  size_t *ret_count);
MUST_USE enum err sq_find_count(struct sq_db *db, const struct store_query *query, uint64_t *ret);

// The text of the statement that answers the query, for EXPLAIN in tests.
MUST_USE enum err sq_find_text(struct sq_db *db, const struct store_query *query, bool count,
                               struct buf *out);

#endif
