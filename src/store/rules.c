// SPDX-License-Identifier: Apache-2.0
//
// What holds for every verb of every engine.
#include "store/rules.h"

enum err rules_usable(const struct store *store)
{
    if (store->failed)
        FAIL(ERR_IO, "the store takes nothing more since a commit failed: it must be opened again");
    if (store->doomed != ERR_OK)
        FAIL(store->doomed, "the transaction cannot go on: %s", err_info(store->doomed)->text);
    return ERR_OK;
}

enum err rules_writing(const struct store *store)
{
    TRY(rules_usable(store));
    if (!store->active || store->kind != STORE_WRITE)
        FAIL(ERR_INTERNAL, "a change was asked for outside a write transaction");
    return ERR_OK;
}

enum err rules_writable(struct store *store)
{
    TRY(rules_writing(store));
    store->touched = true;
    return ERR_OK;
}

enum err rules_wrote(struct store *store, enum err err)
{
    if (err != ERR_OK && err != ERR_CONFLICT && err != ERR_NOT_FOUND && err != ERR_INVALID)
        store->doomed = err;
    return err;
}

enum err rules_limit(uint32_t limit)
{
    if (limit < 1 || limit > STORE_FIND_MAX)
        FAIL(ERR_INVALID, "a page holds 1 to %d rows, not %u", STORE_FIND_MAX, (unsigned)limit);
    return ERR_OK;
}
