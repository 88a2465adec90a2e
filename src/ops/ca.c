// SPDX-License-Identifier: Apache-2.0
//
// Settings of the store: "ca.key" and "ca-old.key" (sealed), "ca.crt" and "ca-old.crt" (clear, the
// whole chain), "certificates" (validity). Invariant: an authority's place has both, or neither.
#include "ops/ca.h"

#include <stdio.h>

#include "ops/published.h"
#include "ops/sealed.h"
#include "ops/tlsfile.h"

enum { DAYS_AUTHORITY = 3650, DAYS_OTHER = 825, FORGET_S = 86400 };

static const struct {
    const char *key;
    const char *chain;
} names[] = {
    [CA_CURRENT] = {"ca.key", "ca.crt"},
    [CA_OLD] = {"ca-old.key", "ca-old.crt"},
};

static enum err set_id(struct ca *ca)
{
    uint8_t fingerprint[PKI_FINGERPRINT_LEN];
    TRY(pki_fingerprint(ca->chain, fingerprint));
    memcpy(ca->id.bytes, fingerprint, UUID_LEN);
    return ERR_OK;
}

enum err ca_public(struct ops *ops, struct arena *arena, enum ca_slot slot, struct ca *ret)
{
    struct ca ca = {0};
    TRY(store_setting_get(ops->set.store, false, names[slot].chain, arena, &ca.chain));
    if (ca.chain.len == 0)
        FAIL(ERR_NOT_FOUND, "there is no such authority");
    TRY(set_id(&ca));
    *ret = ca;
    return ERR_OK;
}

enum err ca_get(struct op *op, enum ca_slot slot, struct ca *ret)
{
    struct ca ca;
    TRY(ca_public(op->ops, op->arena, slot, &ca));
    TRY(sealed_get(op, names[slot].key, &ca.key));
    *ret = ca;
    return ERR_OK;
}

enum err ca_put(struct op *op, enum ca_slot slot, const struct ca *ca)
{
    TRY(sealed_put(op, names[slot].key, ca->key));
    op->ops->tls_stale = true;
    return store_setting_put(op->ops->set.store, false, names[slot].chain, ca->chain);
}

enum err ca_drop(struct op *op, enum ca_slot slot)
{
    TRY(sealed_drop(op, names[slot].key));
    op->ops->tls_stale = true;
    return store_setting_put(op->ops->set.store, false, names[slot].chain, span_str(""));
}

enum err ca_make(struct op *op, const char *common_name, int64_t days, struct ca *ret)
{
    struct buf key CLEANUP(buf_done);
    struct buf cert CLEANUP(buf_done);
    buf_init(&key, CA_PEM_MAX, true);
    buf_init(&cert, CA_PEM_MAX, false);
    TRY(pki_make_key(&key));
    TRY(pki_make_ca(span_buf(&key), common_name, (int)days, &cert));
    TRY(arena_copy(op->arena, span_buf(&key), &ret->key));
    TRY(arena_copy(op->arena, span_buf(&cert), &ret->chain));
    return set_id(ret);
}

enum err ca_reseal(struct op *op, bool *ret_moved)
{
    static const char *const sealed[] = {"ca.key", "ca-old.key", CA_PENDING_KEY,
                                         TLSFILE_PENDING_SERVER, TLSFILE_PENDING_CONSOLE};
    *ret_moved = false;
    for (size_t i = 0; i < sizeof sealed / sizeof *sealed; i++) {
        bool moved = false;
        TRY(sealed_reseal(op, sealed[i], &moved));
        *ret_moved = *ret_moved || moved;
    }
    return ERR_OK;
}

// ---- validity ----

enum err ca_days_load(struct ops *ops, struct arena *arena, struct ca_days *ret)
{
    struct span text;
    struct ca_days days = {DAYS_AUTHORITY, DAYS_OTHER, DAYS_OTHER, DAYS_OTHER};
    enum err err = store_setting_get(ops->set.store, false, "certificates", arena, &text);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    if (err == ERR_OK) {
        CLEANUP(doc_freep) json_t *doc = json_loadb((const char *)text.data, text.len, 0, NULL);
        json_int_t set[4];
        if (json_unpack(doc, "[I,I,I,I]", &set[0], &set[1], &set[2], &set[3]) != 0)
            FAIL(ERR_DAMAGED, "the setting \"certificates\" of the store is damaged");
        days = (struct ca_days){set[0], set[1], set[2], set[3]};
    }
    *ret = days;
    return ERR_OK;
}

enum err ca_days_store(struct op *op, const struct ca_days *days)
{
    char text[128];
    (void)snprintf(text, sizeof text, "[%lld,%lld,%lld,%lld]", (long long)days->authority,
                   (long long)days->server, (long long)days->console, (long long)days->endpoint);
    return store_setting_put(op->ops->set.store, false, "certificates", span_str(text));
}

// ---- what clients trust ----

static enum err add_chain(struct op *op, enum ca_slot slot, struct buf *out)
{
    struct ca ca;
    enum err err = ca_public(op->ops, op->arena, slot, &ca);
    return err == ERR_OK ? buf_put(out, ca.chain) : err;
}

// Of a chain that was signed outside, what is above the server's own certificate.
static enum err add_outside(struct op *op, struct buf *out)
{
    struct span chain;
    uint8_t fingerprint[PKI_FINGERPRINT_LEN];
    struct store_issued issued;
    enum err err = tlsfile_chain(op->ops, op->arena, TLSFILE_SERVER, &chain);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    TRY(pki_fingerprint(chain, fingerprint));
    err = store_issued_get(op->ops->set.store, fingerprint, &issued);
    if (err != ERR_NOT_FOUND)
        return err;
    return pki_chain_part(chain, PKI_ABOVE, out);
}

enum err ca_bundle(struct op *op, struct span *ret)
{
    struct buf all CLEANUP(buf_done);
    buf_init(&all, (size_t)4 * CA_PEM_MAX, false);
    TRY(add_chain(op, CA_CURRENT, &all));
    enum err err = add_chain(op, CA_OLD, &all);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    TRY(add_outside(op, &all));
    return arena_copy(op->arena, span_buf(&all), ret);
}

// ---- signing ----

static enum err note(struct op *op, const struct uuid *authority, struct span cert,
                     const struct uuid *holder)
{
    struct pki_info info;
    TRY(pki_describe(cert, &info));
    struct store_issued row = {
        .authority = *authority, .holder = *holder, .issued = op->now, .expires = info.not_after};
    memcpy(row.fingerprint, info.fingerprint, sizeof row.fingerprint);
    if (info.serial_len != sizeof row.serial)
        FAIL(ERR_INTERNAL, "a serial number of ours has %zu bytes", info.serial_len);
    memcpy(row.serial, info.serial, sizeof row.serial);
    TRY(store_issued_forget(op->ops->set.store, op->now - FORGET_S));
    return store_issued_put(op->ops->set.store, &row);
}

enum err ca_sign_client(struct op *op, struct span csr_pem, const char *name, struct ca_signed *ret)
{
    struct ca ca;
    struct ca_days days;
    struct pki_places places;
    struct buf cert CLEANUP(buf_done);
    buf_init(&cert, CA_PEM_MAX, false);
    TRY(ca_get(op, CA_CURRENT, &ca));
    TRY(ca_days_load(op->ops, op->arena, &days));
    TRY(published_places(op, &ca.id, &places));
    TRY(pki_sign_client(ca.key, ca.chain, csr_pem, name, (int)days.endpoint, &places, &cert,
                        ret->fingerprint));
    ret->authority = ca.id;
    return arena_copy(op->arena, span_buf(&cert), &ret->cert);
}

enum err ca_enter_client(struct op *op, const struct ca_signed *signed_cert,
                         const struct uuid *holder)
{
    struct ca ca;
    TRY(ca_public(op->ops, op->arena, CA_CURRENT, &ca));
    if (memcmp(&ca.id, &signed_cert->authority, sizeof ca.id) != 0)
        FAIL(ERR_BUSY, "the authority has changed at this moment: try again");
    return note(op, &ca.id, signed_cert->cert, holder);
}

// Clients know the old authority while there is one; once it has expired it helps nobody.
static enum err choose(struct op *op, struct ca *ret)
{
    struct pki_info info;
    enum err err = ca_get(op, CA_OLD, ret);
    if (err == ERR_NOT_FOUND)
        return ca_get(op, CA_CURRENT, ret);
    TRY(err);
    TRY(pki_describe(ret->chain, &info));
    return info.not_after > op->now ? ERR_OK : ca_get(op, CA_CURRENT, ret);
}

enum err ca_sign_server(struct op *op, struct span key_pem, const struct hosts *hosts, int64_t days,
                        const struct uuid *holder, struct span *ret_chain)
{
    struct ca ca;
    struct pki_places places;
    struct buf chain CLEANUP(buf_done);
    buf_init(&chain, (size_t)2 * CA_PEM_MAX, false);
    TRY(choose(op, &ca));
    TRY(store_issued_end(op->ops->set.store, holder, NULL, op->now, CA_END_SUPERSEDED));
    TRY(published_places(op, &ca.id, &places));
    TRY(pki_sign_server(ca.key, ca.chain, key_pem, hosts->names, hosts->count, (int)days, &places,
                        &chain));
    TRY(note(op, &ca.id, span_buf(&chain), holder));
    TRY(buf_put(&chain, ca.chain));
    return arena_copy(op->arena, span_buf(&chain), ret_chain);
}
