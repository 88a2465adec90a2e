// SPDX-License-Identifier: Apache-2.0
//
// Loading, making and wrapping again of data keys. A data key is bound to its id and purpose, so
// that the store cannot swap two of them.
#include "ops/keys.h"

#include <stdio.h>

#include "base/clock.h"
#include "keyring/keyring.h"

enum {
    SLOW_RECHECK_MS = 5000,
    KEYS_ARENA = 1024 * 1024,
    KEYS_SPARE = 16 // below KEYS_MAX no rotation begins
};

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

// The newest key has the greatest id, whatever the clock says.
static struct uuid next_id(const struct ops *ops, const char *purpose)
{
    struct uuid newest;
    uint64_t ms = 0;
    int64_t now = clock_wall_ms();
    if (keys_newest(ops, purpose, &newest).len == 0)
        return uuid_ordered(now);
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | newest.bytes[i];
    return uuid_ordered(now > (int64_t)ms ? now : (int64_t)ms + 1);
}

static enum err make(struct ops *ops, const char *purpose)
{
    uint8_t context[UUID_LEN + 16];
    struct store_data_key row = {.id = next_id(ops, purpose), .version = 1};
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

static bool is_listed(const struct store_data_key *rows, size_t count, const struct uuid *id)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&rows[i].id, id, sizeof *id) == 0)
            return true;
    }
    return false;
}

// What this snapshot of the store lacks seals nothing in it, nor in a later one.
static void prune(struct ops *ops, const struct store_data_key *rows, size_t count)
{
    for (size_t i = ops->key_count; i-- > 0;) {
        if (is_listed(rows, count, &ops->keys[i].id))
            continue;
        secret_freep(&ops->keys[i].secret);
        ops->keys[i] = ops->keys[--ops->key_count];
    }
}

static enum err unwrap_all(struct ops *ops, struct arena *arena)
{
    struct store_data_key *rows = NULL;
    size_t count = 0;
    TRY(store_data_key_list(ops->set.store, arena, &rows, &count));
    prune(ops, rows, count);
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
    TRY(arena_new(KEYS_ARENA, &arena));
    ops->next_refresh = clock_mono_ms() + KEYS_REFRESH_MS;
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

enum err keys_refresh(struct ops *ops)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    ops->next_refresh = clock_mono_ms() + KEYS_REFRESH_MS;
    if (!ops->open || ops->keeper == NULL)
        return ERR_OK;
    TRY(arena_new(KEYS_ARENA, &arena));
    return unwrap_all(ops, arena);
}

enum err keys_rotate(struct ops *ops, const char *purpose)
{
    if (ops->key_count + KEYS_SPARE > KEYS_MAX)
        FAIL(ERR_CONFLICT,
             "there are %zu data keys, which is as many as there may be: those of the audit trail "
             "are kept as long as its records",
             ops->key_count);
    if (ops->keeper == NULL)
        FAIL(ERR_UNAVAILABLE, "the key process is not running; try again in a moment");
    ops->made_key = true;
    return make(ops, purpose);
}

enum err keys_retire(struct ops *ops, const char *purpose)
{
    struct uuid newest;
    if (keys_newest(ops, purpose, &newest).len == 0)
        FAIL(ERR_INTERNAL, "there is no data key for \"%s\"", purpose);
    for (size_t i = ops->key_count; i-- > 0;) {
        struct data_key *key = &ops->keys[i];
        if (strcmp(key->purpose, purpose) != 0 || memcmp(&key->id, &newest, sizeof newest) == 0)
            continue;
        TRY(store_data_key_delete(ops->set.store, &key->id));
        secret_freep(&key->secret);
        *key = ops->keys[--ops->key_count];
    }
    return ERR_OK;
}

struct span keys_nth(const struct ops *ops, const char *purpose, size_t nth)
{
    for (size_t i = 0; i < ops->key_count; i++) {
        const struct data_key *key = &ops->keys[i];
        size_t newer = 0;
        for (size_t j = 0; j < ops->key_count; j++)
            newer += strcmp(ops->keys[j].purpose, purpose) == 0 &&
                     memcmp(&ops->keys[j].id, &key->id, sizeof key->id) > 0;
        if (strcmp(key->purpose, purpose) == 0 && newer == nth)
            return secret_span(key->secret);
    }
    return (struct span){NULL, 0};
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

static enum err rewrap_all(struct ops *ops)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct store_data_key *rows = NULL;
    size_t count = 0;
    TRY(arena_new(KEYS_ARENA, &arena));
    TRY(store_data_key_list(ops->set.store, arena, &rows, &count));
    for (size_t i = 0; i < count; i++)
        TRY(rewrap_one(ops, &rows[i]));
    return ERR_OK;
}

enum err keys_follow(struct ops *ops)
{
    struct keyring_status status = {0};
    struct store *store = ops->set.store;
    if (ops->keeper == NULL)
        return ERR_OK;
    TRY(keyring_status(ops->keeper, &status));
    if (status.state != KEYRING_OPEN || status.master == ops->wrapped_under)
        return ERR_OK;
    TRY(store_begin(store, STORE_WRITE));
    enum err err = rewrap_all(ops);
    if (err != ERR_OK) {
        store_rollback(store);
        return err;
    }
    TRY(store_commit(store));
    ops->wrapped_under = status.master;
    return ERR_OK;
}

void keys_forget(struct ops *ops)
{
    for (size_t i = 0; i < ops->key_count; i++)
        secret_freep(&ops->keys[i].secret);
    ops->key_count = 0;
    (void)snprintf(ops->locked, sizeof ops->locked, KEYRING_STARTING);
    ops->open = false;
}
