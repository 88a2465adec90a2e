// SPDX-License-Identifier: Apache-2.0
//
// Loading, making and wrapping again of data keys. A data key is bound to its id and purpose, so
// that the store cannot swap two of them.
#include "ops/keys.h"

#include <stdio.h>

#include "base/clock.h"
#include "keyring/keyring.h"

enum { SLOW_RECHECK_MS = 5000 };

static const char *const purposes[] = {"objects", "index", "audit"};

// Keeps the reason for whoever asks while the keys are not there.
static enum err locked(struct ops *ops, const char *reason)
{
    ops->open = false;
    (void)snprintf(ops->locked, sizeof ops->locked, "%s", reason);
    FAIL(ERR_LOCKED, "%s", reason);
}

enum err keys_check(const struct ops *ops)
{
    if (!ops->open)
        FAIL(ERR_LOCKED, "%s", ops->locked);
    return ERR_OK;
}

static void context_of(const struct uuid *id, const char *purpose, uint8_t out[UUID_LEN + 16])
{
    memset(out, 0, UUID_LEN + 16);
    memcpy(out, id->bytes, UUID_LEN);
    memcpy(out + UUID_LEN, purpose, strnlen(purpose, 15));
}

static bool is_known(const struct ops *ops, const struct uuid *id)
{
    for (size_t i = 0; i < ops->key_count; i++) {
        if (memcmp(&ops->keys[i].id, id, sizeof *id) == 0)
            return true;
    }
    return false;
}

static enum err remember(struct ops *ops, const struct uuid *id, const char *purpose,
                         struct secret *secret)
{
    if (ops->key_count >= KEYS_MAX) {
        secret_free(secret);
        FAIL(ERR_INTERNAL, "there are more than %d data keys", KEYS_MAX);
    }
    struct data_key *key = &ops->keys[ops->key_count++];
    *key = (struct data_key){.id = *id, .secret = secret};
    memcpy(key->purpose, purpose, strnlen(purpose, sizeof key->purpose - 1));
    return ERR_OK;
}

static bool has_purpose(const struct ops *ops, const char *purpose)
{
    struct uuid id;
    return keys_newest(ops, purpose, &id).len > 0;
}

static enum err make(struct ops *ops, const char *purpose)
{
    uint8_t context[UUID_LEN + 16];
    struct store_data_key row = {.id = uuid_ordered(clock_wall_ms()), .version = 1};
    struct secret *secret = NULL;
    struct buf wrapped CLEANUP(buf_done);
    buf_init(&wrapped, KEYRING_WRAPPED_MAX, false);
    memcpy(row.purpose, purpose, strnlen(purpose, sizeof row.purpose - 1));
    context_of(&row.id, purpose, context);
    TRY(keyring_new_key(ops->keeper, span_of(context, sizeof context), &secret, &wrapped));
    row.wrapped = span_buf(&wrapped);
    enum err err = store_data_key_put(ops->set.store, &row);
    if (err != ERR_OK) {
        secret_free(secret);
        return err;
    }
    return remember(ops, &row.id, purpose, secret);
}

static enum err unwrap_all(struct ops *ops, struct arena *arena)
{
    struct store_data_key *rows = NULL;
    size_t count = 0;
    TRY(store_data_key_list(ops->set.store, arena, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        uint8_t context[UUID_LEN + 16];
        struct secret *secret = NULL;
        if (is_known(ops, &rows[i].id))
            continue;
        rows[i].purpose[sizeof rows[i].purpose - 1] = '\0';
        context_of(&rows[i].id, rows[i].purpose, context);
        TRY(keyring_unwrap(ops->keeper, span_of(context, sizeof context), rows[i].wrapped,
                           &secret));
        TRY(remember(ops, &rows[i].id, rows[i].purpose, secret));
    }
    return ERR_OK;
}

static enum err ask_keeper(struct ops *ops)
{
    struct keyring_status status = {0};
    if (ops->keeper == NULL)
        return locked(ops, "the key process is not running; it is being started");
    // Only a keeper that fails is left alone for a while: an answer costs little, and whoever has
    // just opened the wallet must not meet an engine that still believes it locked.
    enum err err = keyring_status(ops->keeper, &status);
    if (err != ERR_OK) {
        ops->next_try = clock_mono_ms() + (err == ERR_TIMEOUT ? SLOW_RECHECK_MS : OPS_RECHECK_MS);
        return locked(ops, "the key process does not answer");
    }
    if (status.state == KEYRING_EMPTY)
        return locked(ops, "the server is not set up yet; run `keyward setup`");
    if (status.state != KEYRING_OPEN)
        return locked(ops, status.reason[0] != '\0' ? status.reason : "the wallet is not open");
    return ERR_OK;
}

enum err keys_load(struct ops *ops)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    TRY(ask_keeper(ops));
    TRY(arena_new(1024 * 1024, &arena));
    enum err err = unwrap_all(ops, arena);
    if (err != ERR_OK)
        return locked(ops, err_message(err));
    for (size_t i = 0; i < sizeof purposes / sizeof *purposes; i++) {
        if (has_purpose(ops, purposes[i]))
            continue;
        if (ops->set.role == OPS_READER)
            return locked(ops, "the data keys are not made yet; try again in a moment");
        TRY(make(ops, purposes[i]));
    }
    ops->open = true;
    ops->locked[0] = '\0';
    return ERR_OK;
}

struct span keys_newest(const struct ops *ops, const char *purpose, struct uuid *ret_id)
{
    const struct data_key *newest = NULL;
    for (size_t i = 0; i < ops->key_count; i++) {
        const struct data_key *key = &ops->keys[i];
        if (strcmp(key->purpose, purpose) == 0 &&
            (newest == NULL || memcmp(&key->id, &newest->id, sizeof key->id) > 0))
            newest = key;
    }
    if (newest == NULL)
        return (struct span){NULL, 0};
    *ret_id = newest->id;
    return secret_span(newest->secret);
}

static struct span held(const struct ops *ops, const struct uuid *id)
{
    for (size_t i = 0; i < ops->key_count; i++) {
        if (memcmp(&ops->keys[i].id, id, sizeof *id) == 0)
            return secret_span(ops->keys[i].secret);
    }
    return (struct span){NULL, 0};
}

enum err keys_get(struct ops *ops, const struct uuid *id, struct span *ret)
{
    *ret = held(ops, id);
    if (ret->len > 0)
        return ERR_OK;
    TRY(keys_load(ops));
    *ret = held(ops, id);
    if (ret->len == 0)
        FAIL(ERR_DAMAGED, "the store lacks the data key that a record was sealed with");
    return ERR_OK;
}

static enum err rewrap_one(struct ops *ops, struct store_data_key *row)
{
    uint8_t context[UUID_LEN + 16];
    bool changed = false;
    struct buf wrapped CLEANUP(buf_done);
    buf_init(&wrapped, KEYRING_WRAPPED_MAX, false);
    row->purpose[sizeof row->purpose - 1] = '\0';
    context_of(&row->id, row->purpose, context);
    TRY(keyring_rewrap(ops->keeper, span_of(context, sizeof context), row->wrapped, &wrapped,
                       &changed));
    if (!changed)
        return ERR_OK;
    row->wrapped = span_buf(&wrapped);
    return store_data_key_update(ops->set.store, row);
}

enum err keys_rewrap(struct ops *ops)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct store_data_key *rows = NULL;
    size_t count = 0;
    TRY(arena_new(1024 * 1024, &arena));
    TRY(store_data_key_list(ops->set.store, arena, &rows, &count));
    for (size_t i = 0; i < count; i++)
        TRY(rewrap_one(ops, &rows[i]));
    return ERR_OK;
}

void keys_forget(struct ops *ops)
{
    for (size_t i = 0; i < ops->key_count; i++)
        secret_freep(&ops->keys[i].secret);
    ops->key_count = 0;
    (void)snprintf(ops->locked, sizeof ops->locked, "the server is starting");
    ops->open = false;
}
