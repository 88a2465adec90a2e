// SPDX-License-Identifier: Apache-2.0
//
// The small tables: outcomes, data keys, settings, the audit trail. Private to store/sqlite.
#ifndef KW_STORE_SQLITE_SQ_NODE_H
#define KW_STORE_SQLITE_SQ_NODE_H

#include "store/sqlite/sq_db.h"

MUST_USE enum err sq_node_outcome_put(struct sq_db *db, const struct uuid *id, int64_t now_s,
                                      struct span answer);
MUST_USE enum err sq_node_outcome_find(struct sq_db *db, const struct uuid *id, struct arena *arena,
                                       bool *ret_found, struct span *ret_answer);
MUST_USE enum err sq_node_key_put(struct sq_db *db, const struct store_data_key *key);
MUST_USE enum err sq_node_key_update(struct sq_db *db, const struct store_data_key *key);
MUST_USE enum err sq_node_key_delete(struct sq_db *db, const struct uuid *id);
MUST_USE enum err sq_node_key_list(struct sq_db *db, struct arena *arena,
                                   struct store_data_key **ret, size_t *ret_count);
MUST_USE enum err sq_node_setting_put(struct sq_db *db, bool node, const char *name,
                                      struct span value);
MUST_USE enum err sq_node_setting_get(struct sq_db *db, bool node, const char *name,
                                      struct arena *arena, struct span *ret);
MUST_USE enum err sq_node_audit_append(struct sq_db *db, const struct store_audit *row);
MUST_USE enum err sq_node_audit_head(struct sq_db *db, struct store_audit *ret);
MUST_USE enum err sq_node_audit_floor(struct sq_db *db, struct store_audit *ret);
MUST_USE enum err sq_node_audit_raise(struct sq_db *db, uint64_t through);
MUST_USE enum err sq_node_audit_drop(struct sq_db *db, uint32_t limit, bool *ret_more);
MUST_USE enum err sq_node_audit_list(struct sq_db *db, uint64_t from, uint32_t limit,
                                     struct arena *arena, struct store_audit **ret,
                                     size_t *ret_count);

#endif
