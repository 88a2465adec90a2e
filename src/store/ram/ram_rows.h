// SPDX-License-Identifier: Apache-2.0
//
// The store's verbs over a version of the content. Private to store/ram.
#ifndef KW_STORE_RAM_RAM_ROWS_H
#define KW_STORE_RAM_RAM_ROWS_H

#include "store/ram/ram_db.h"

MUST_USE enum err ram_rows_outcome_put(struct ram_db *db, const struct uuid *id, int64_t now_s,
                                       struct span answer);
MUST_USE enum err ram_rows_outcome_find(const struct ram_db *db, const struct uuid *id,
                                        struct arena *arena, bool *ret_found,
                                        struct span *ret_answer);
void ram_rows_outcome_forget(struct ram_db *db, int64_t before_s);

// `update` false: there must be none with this id; true: one with this version.
MUST_USE enum err ram_rows_key_put(struct ram_db *db, const struct store_data_key *key,
                                   bool update);
MUST_USE enum err ram_rows_key_delete(struct ram_db *db, const struct uuid *id);
MUST_USE enum err ram_rows_key_list(const struct ram_db *db, struct arena *arena,
                                    struct store_data_key **ret, size_t *ret_count);

MUST_USE enum err ram_rows_object_put(struct ram_db *db, const struct store_object *object,
                                      const struct store_index *index, size_t count, bool update);
MUST_USE enum err ram_rows_object_get(const struct ram_db *db, const struct uuid *id,
                                      struct arena *arena, struct store_object *ret);
// Matches from query->skip on, at most query->limit (ret NULL: all are counted).
MUST_USE enum err ram_rows_object_find(const struct ram_db *db, const struct store_query *query,
                                       struct arena *arena, struct store_object *ret,
                                       size_t *ret_count);

MUST_USE enum err ram_rows_endpoint_put(struct ram_db *db, const struct store_endpoint *endpoint,
                                        bool update);
// The endpoint that has this id, fingerprint or name hash; the other two NULL.
MUST_USE enum err ram_rows_endpoint_get(const struct ram_db *db, const struct uuid *id,
                                        const uint8_t *fingerprint, const uint8_t *name_hash,
                                        struct arena *arena, struct store_endpoint *ret);
MUST_USE enum err ram_rows_endpoint_list(const struct ram_db *db, const struct uuid *after,
                                         uint32_t limit, struct arena *arena,
                                         struct store_endpoint **ret, size_t *ret_count);
MUST_USE enum err ram_rows_endpoint_remove(struct ram_db *db, const struct uuid *id,
                                           uint64_t version);
// The wallet is no endpoint's default any more.
MUST_USE enum err ram_rows_no_default(struct ram_db *db, const struct uuid *wallet);
MUST_USE enum err ram_rows_seen_put(struct ram_db *db, const struct uuid *id, int64_t time_s);
int64_t ram_rows_seen_get(const struct ram_db *db, const struct uuid *id);
MUST_USE enum err ram_rows_object_move(struct ram_db *db, const struct uuid *from,
                                       const struct uuid *to, uint64_t *ret_count);

MUST_USE enum err ram_rows_setting_put(struct ram_db *db, bool node, const char *name,
                                       struct span value);
MUST_USE enum err ram_rows_setting_get(const struct ram_db *db, bool node, const char *name,
                                       struct arena *arena, struct span *ret);

MUST_USE enum err ram_rows_audit_append(struct ram_db *db, const struct store_audit *row);
void ram_rows_audit_head(const struct ram_db *db, struct store_audit *ret);
void ram_rows_audit_floor(const struct ram_db *db, struct store_audit *ret);
MUST_USE enum err ram_rows_audit_raise(struct ram_db *db, uint64_t through);
void ram_rows_audit_drop(struct ram_db *db, uint32_t limit, bool *ret_more);
MUST_USE enum err ram_rows_audit_list(const struct ram_db *db, uint64_t from, uint32_t limit,
                                      struct arena *arena, struct store_audit **ret,
                                      size_t *ret_count);

#endif
