// SPDX-License-Identifier: Apache-2.0
//
// Certificates that were issued. The functions are the driver's own (see store/driver.h); `self` is
// a struct sq_db. Private to store/sqlite.
#ifndef KW_STORE_SQLITE_SQ_ISSUED_H
#define KW_STORE_SQLITE_SQ_ISSUED_H

#include "store/issued.h"
#include "store/sqlite/sq_db.h"

MUST_USE enum err sq_issued_put(void *self, const struct store_issued *issued);
MUST_USE enum err sq_issued_get(void *self, const uint8_t fingerprint[32],
                                struct store_issued *ret);
MUST_USE enum err sq_issued_end(void *self, const struct uuid *holder, const uint8_t *fingerprint,
                                int64_t when_s, uint32_t reason);
MUST_USE enum err sq_issued_list(void *self, const struct store_issued_query *query,
                                 struct arena *arena, struct store_issued **ret, size_t *ret_count);
MUST_USE enum err sq_issued_count(void *self, const struct store_issued_query *query,
                                  uint64_t *ret);
MUST_USE enum err sq_issued_forget(void *self, int64_t before_s);

#endif
