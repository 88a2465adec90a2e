// SPDX-License-Identifier: Apache-2.0
//
// The sealed key: 16 bytes id of the data key, then the sealed private half. Invariant: the setting
// changes in the transaction in which the chain names the key that signs.
#include "ops/signer.h"

#include "base/clock.h"
#include "crypto/ed25519.h"
#include "ops/keys.h"
#include "ops/seal.h"

#define SETTING "audit.key"

enum { SIGN_LOOK_MS = 1000, SIGN_ARENA = 256 * 1024, SEALED_MAX = 256 };

static const struct seal_bound bound = {.part = "audit key"};

static enum err load(struct ops *ops, struct arena *arena, struct uuid *ret_key_id,
                     struct span *ret_private)
{
    struct span stored;
    struct span id;
    TRY(store_setting_get(ops->set.store, true, SETTING, arena, &stored));
    struct cursor in = cursor_of(stored);
    TRY(cursor_bytes(&in, UUID_LEN, &id));
    memcpy(ret_key_id->bytes, id.data, UUID_LEN);
    return seal_open(ops, arena, &bound, ret_key_id, in.rest, ret_private);
}

static enum err keep(struct ops *ops, struct arena *arena, struct span private_key)
{
    struct uuid key_id;
    struct span sealed;
    struct buf value CLEANUP(buf_done);
    buf_init(&value, SEALED_MAX, false);
    TRY(seal_close(ops, arena, &bound, private_key, &sealed, &key_id));
    TRY(buf_put(&value, span_of(key_id.bytes, UUID_LEN)));
    TRY(buf_put(&value, sealed));
    return store_setting_put(ops->set.store, true, SETTING, span_buf(&value));
}

enum err signer_get(struct ops *ops, struct arena *arena, struct audit_signer *ret)
{
    struct uuid key_id;
    struct audit_signing signing;
    TRY(load(ops, arena, &key_id, &ret->private_key));
    TRY(audit_signing_get(ops->set.store, &signing));
    memcpy(ret->public_key, signing.public_key, AUDIT_PUBLIC_LEN);
    return ERR_OK;
}

enum err signer_reseal(struct op *op, bool *ret_moved)
{
    struct uuid newest;
    struct uuid key_id = {{0}};
    struct span private_key;
    *ret_moved = false;
    enum err err = load(op->ops, op->arena, &key_id, &private_key);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    bool known = keys_newest(op->ops, "objects", &newest).len > 0;
    TRY(err);
    if (known && memcmp(&key_id, &newest, sizeof newest) == 0)
        return ERR_OK;
    *ret_moved = true;
    return keep(op->ops, op->arena, private_key);
}

// Makes a key that signs from here on; the one before, or for the first one itself, vouches for it.
static enum err make(struct ops *ops, struct arena *arena, const struct audit_signer *old,
                     uint8_t ret_public[AUDIT_PUBLIC_LEN])
{
    struct audit_signer fresh;
    struct buf private_key CLEANUP(buf_done);
    buf_init(&private_key, ED25519_KEY_LEN, true);
    TRY(ed25519_make(&private_key, fresh.public_key));
    fresh.private_key = span_buf(&private_key);
    TRY(audit_sign_with(ops->set.store, old == NULL ? &fresh : old, fresh.public_key));
    memcpy(ret_public, fresh.public_key, AUDIT_PUBLIC_LEN);
    return keep(ops, arena, fresh.private_key);
}

enum err signer_rotate(struct op *op, uint8_t ret_public[AUDIT_PUBLIC_LEN])
{
    struct audit_signer old;
    TRY(signer_get(op->ops, op->arena, &old));
    return make(op->ops, op->arena, &old, ret_public);
}

static enum err sign_now(struct ops *ops, struct arena *arena)
{
    bool done = false;
    struct audit_signer signer;
    TRY(signer_get(ops, arena, &signer));
    return audit_sign(ops->set.store, &signer, &done);
}

static enum err is_due(struct ops *ops, bool stopping, bool *ret_due, bool *ret_make)
{
    struct audit_signing signing;
    struct store_audit head;
    TRY(audit_signing_get(ops->set.store, &signing));
    TRY(store_audit_head(ops->set.store, &head));
    *ret_make = !signing.has_key;
    uint64_t open = head.sequence - signing.sequence;
    int64_t age = clock_wall_ms() - signing.time_ms;
    bool old = age >= AUDIT_SIGN_MS || age < 0; // the clock may have been set back
    *ret_due = *ret_make || (open > 0 && (stopping || old || open >= AUDIT_SIGN_RECORDS));
    return ERR_OK;
}

enum err signer_idle(struct ops *ops, bool stopping)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    int64_t now = clock_mono_ms();
    uint8_t public_key[AUDIT_PUBLIC_LEN];
    bool due = false;
    bool make_one = false;
    bool look = stopping || now >= ops->next_sign || ops->unsigned_records >= AUDIT_SIGN_RECORDS;
    if (!ops->open || !look)
        return ERR_OK;
    ops->next_sign = now + SIGN_LOOK_MS;
    ops->unsigned_records = 0;
    TRY(is_due(ops, stopping, &due, &make_one));
    if (!due)
        return ERR_OK;
    TRY(arena_new(SIGN_ARENA, &arena));
    TRY(store_begin(ops->set.store, STORE_WRITE));
    enum err err = make_one ? make(ops, arena, NULL, public_key) : sign_now(ops, arena);
    if (err != ERR_OK) {
        store_rollback(ops->set.store);
        return err;
    }
    ops->turn++;
    ops->unsettled = true;
    return store_commit(ops->set.store);
}
