// SPDX-License-Identifier: Apache-2.0
//
// Signed heads. Invariants: the setting "audit_signed" changes with the chain and names the last
// record that is signed; a key signs only after a record of kind AUDIT_SIGNER has named it, which
// the key before it has signed, so that from one key that an auditor has noted all later ones
// follow.
#include "audit/audit.h"
#include "audit/audit_chain.h"
#include "base/clock.h"

static const char signed_name[] = "audit_signed";

enum { ARENA_LIMIT = 1 << 16 };

static enum err take(struct span value, struct audit_signing *ret)
{
    struct cursor in = cursor_of(value);
    struct span key;
    uint64_t time = 0;
    TRY(cursor_u64(&in, &ret->sequence));
    TRY(cursor_u64(&in, &time));
    TRY(cursor_bytes(&in, AUDIT_PUBLIC_LEN, &key));
    memcpy(ret->public_key, key.data, AUDIT_PUBLIC_LEN);
    ret->time_ms = (int64_t)time;
    ret->has_key = true;
    return cursor_end(&in);
}

enum err audit_signing_get(struct store *store, struct audit_signing *ret)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct span value;
    struct audit_signing got = {0};
    TRY(arena_new(ARENA_LIMIT, &arena));
    enum err err = store_setting_get(store, true, signed_name, arena, &value);
    if (err == ERR_OK && take(value, &got) != ERR_OK)
        FAIL(ERR_DAMAGED, "the setting \"%s\" is damaged", signed_name);
    if (err != ERR_NOT_FOUND)
        TRY(err);
    *ret = got;
    return ERR_OK;
}

static enum err put(struct store *store, uint64_t sequence, int64_t time_ms,
                    const uint8_t key[AUDIT_PUBLIC_LEN])
{
    uint8_t bytes[16 + AUDIT_PUBLIC_LEN];
    struct buf out = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    TRY(buf_put_u64(&out, sequence));
    TRY(buf_put_u64(&out, (uint64_t)time_ms));
    TRY(buf_put(&out, span_of(key, AUDIT_PUBLIC_LEN)));
    return store_setting_put(store, true, signed_name, span_buf(&out));
}

static enum err enter(struct store *store, const struct audit_signer *signer, const uint8_t *added)
{
    struct audit_chain_head last;
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, AUDIT_RECORD_MAX, false);
    TRY(audit_chain_head_get(store, &last));
    struct audit_where where = {AUDIT_CHAIN_NODE, last.sequence + 1};
    int64_t now = clock_wall_ms();
    TRY(audit_record_signed(&bytes, where, now, last.hash, signer, added));
    TRY(audit_chain_append(store, span_of(NULL, 0), &last, now, span_buf(&bytes)));
    return put(store, where.sequence, now, added == NULL ? signer->public_key : added);
}

enum err audit_sign(struct store *store, const struct audit_signer *signer, bool *ret_signed)
{
    struct store_audit last;
    struct audit_signing signing;
    TRY(audit_signing_get(store, &signing));
    if (!signing.has_key || memcmp(signing.public_key, signer->public_key, AUDIT_PUBLIC_LEN) != 0)
        FAIL(ERR_INVALID, "the audit trail is not signed with this key");
    TRY(store_audit_head(store, &last));
    *ret_signed = last.sequence > signing.sequence;
    return *ret_signed ? enter(store, signer, NULL) : ERR_OK;
}

enum err audit_sign_with(struct store *store, const struct audit_signer *old,
                         const uint8_t added[AUDIT_PUBLIC_LEN])
{
    struct audit_signing signing;
    TRY(audit_signing_get(store, &signing));
    const uint8_t *now = signing.has_key ? signing.public_key : added;
    if (memcmp(now, old->public_key, AUDIT_PUBLIC_LEN) != 0)
        FAIL(ERR_INVALID, "a new key of the audit trail is signed by the one before");
    return enter(store, old, added);
}
