// SPDX-License-Identifier: Apache-2.0
//
// Certificates that were issued, over a version of the content. Private to store/ram.
#ifndef KW_STORE_RAM_RAM_ISSUED_H
#define KW_STORE_RAM_RAM_ISSUED_H

#include "store/issued.h"
#include "store/ram/ram_db.h"

MUST_USE enum err ram_issued_put(struct ram_db *db, const struct store_issued *issued);
MUST_USE enum err ram_issued_get(const struct ram_db *db, const uint8_t fingerprint[32],
                                 struct store_issued *ret);
MUST_USE enum err ram_issued_end(struct ram_db *db, const struct uuid *holder,
                                 const uint8_t *fingerprint, int64_t when_s, uint32_t reason);
MUST_USE enum err ram_issued_list(const struct ram_db *db, const struct store_issued_query *query,
                                  struct arena *arena, struct store_issued **ret,
                                  size_t *ret_count);
MUST_USE enum err ram_issued_count(const struct ram_db *db, const struct store_issued_query *query,
                                   uint64_t *ret);
MUST_USE enum err ram_issued_forget(struct ram_db *db, int64_t before_s);

#endif
