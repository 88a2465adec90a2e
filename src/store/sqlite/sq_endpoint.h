// SPDX-License-Identifier: Apache-2.0
//
// Endpoints. Private to store/sqlite.
#ifndef KW_STORE_SQLITE_SQ_ENDPOINT_H
#define KW_STORE_SQLITE_SQ_ENDPOINT_H

#include "store/sqlite/sq_db.h"

MUST_USE enum err sq_endpoint_put(struct sq_db *db, const struct store_endpoint *endpoint);
MUST_USE enum err sq_endpoint_update(struct sq_db *db, const struct store_endpoint *endpoint);
// The one whose id, fingerprint or name hash (as `which` says) is `key`.
MUST_USE enum err sq_endpoint_get(struct sq_db *db, enum sq_statement which, struct span key,
                                  struct arena *arena, struct store_endpoint *ret);
MUST_USE enum err sq_endpoint_list(struct sq_db *db, const struct uuid *after, uint32_t limit,
                                   struct arena *arena, struct store_endpoint **ret,
                                   size_t *ret_count);
MUST_USE enum err sq_endpoint_remove(struct sq_db *db, const struct uuid *id, uint64_t version);
MUST_USE enum err sq_endpoint_seen_put(struct sq_db *db, const struct uuid *id, int64_t time_s);
MUST_USE enum err sq_endpoint_seen_get(struct sq_db *db, const struct uuid *id, int64_t *ret);

#endif
