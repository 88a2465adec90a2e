// SPDX-License-Identifier: Apache-2.0
//
// The rules that are the same for all drivers.
#include "store/issued.h"

#include "store/rules.h"

enum err store_issued_put(struct store *store, const struct store_issued *issued)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->issued_put(store->self, issued));
}

enum err store_issued_get(struct store *store, const uint8_t fingerprint[32],
                          struct store_issued *ret)
{
    TRY(rules_usable(store));
    return store->driver->issued_get(store->self, fingerprint, ret);
}

enum err store_issued_end(struct store *store, const struct uuid *holder,
                          const uint8_t *fingerprint, int64_t when_s, uint32_t reason)
{
    TRY(rules_writable(store));
    return rules_wrote(store,
                       store->driver->issued_end(store->self, holder, fingerprint, when_s, reason));
}

enum err store_issued_list(struct store *store, const struct store_issued_query *query,
                           struct arena *arena, struct store_issued **ret, size_t *ret_count)
{
    TRY(rules_usable(store));
    TRY(rules_limit(query->limit));
    return store->driver->issued_list(store->self, query, arena, ret, ret_count);
}

enum err store_issued_count(struct store *store, const struct store_issued_query *query,
                            uint64_t *ret)
{
    TRY(rules_usable(store));
    return store->driver->issued_count(store->self, query, ret);
}

enum err store_issued_forget(struct store *store, int64_t before_s)
{
    TRY(rules_writable(store));
    return rules_wrote(store, store->driver->issued_forget(store->self, before_s));
}
