// SPDX-License-Identifier: Apache-2.0
//
// Kept: hash of the request and its answer, sealed together, so that neither an enrolment token in
// the one nor a PIN behind the other can be had from the store. While the server is locked nothing
// can be sealed: then it is only kept that the request was done.
#include "ops/once.h"

#include "crypto/crypto.h"
#include "ops/seal.h"

enum { PLAIN_MAX = 3 * 1024 * 1024 + 64, HEAD_MAX = 1024 };

// A sign-in proves anew who one is, a key does not outlive its destruction in an old answer, and
// the private key of an endpoint is nowhere but in its package.
static bool may_be_kept(enum verb verb)
{
    return verb_writes(verb) && verb != VERB_SESSION_CREATE && verb != VERB_KEY_EXPORT &&
           verb != VERB_ENDPOINT_PACKAGE;
}

static bool is_asked(const struct op *op)
{
    return op->request->once.len > 0 && may_be_kept(op->request->verb);
}

// Nobody's key is another one's: the id is made of both.
static enum err id_of(const struct op *op, struct uuid *ret)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    struct buf text CLEANUP(buf_done);
    buf_init(&text, HEAD_MAX, false);
    TRY(buf_put_str(&text, "once"));
    TRY(buf_put_u8(&text, (uint8_t)op->who.kind));
    // What a session was answered is not for a token of the same user, which may have less scope.
    TRY(buf_put_u8(&text, (uint8_t)op->who.credential));
    TRY(buf_put(&text, span_of(op->who.fingerprint, sizeof op->who.fingerprint)));
    TRY(buf_put_u32(&text, op->who.uid));
    TRY(buf_put(&text, span_of(op->who.id.bytes, sizeof op->who.id.bytes)));
    TRY(buf_put_var(&text, op->request->once));
    crypto_sha256(span_buf(&text), hash);
    memcpy(ret->bytes, hash, sizeof ret->bytes);
    return ERR_OK;
}

static enum err hash_request(const struct op *op, uint8_t ret[CRYPTO_HASH_LEN])
{
    const struct request *request = op->request;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, PLAIN_MAX, true);
    TRY(buf_put_u32(&text, (uint32_t)request->verb));
    TRY(buf_put_var(&text, request->doc));
    for (size_t i = 0; i < request->secret_count; i++) {
        TRY(buf_put_var(&text, request->secrets[i].name));
        TRY(buf_put_var(&text, request->secrets[i].value));
    }
    crypto_sha256(span_buf(&text), ret);
    return ERR_OK;
}

static struct seal_bound bound_of(const struct uuid *id)
{
    return (struct seal_bound){.part = "outcome", .id = *id};
}

static enum err open_kept(struct op *op, const struct uuid *id, struct span kept)
{
    struct uuid key_id;
    struct span plain;
    struct span hash;
    uint8_t wanted[CRYPTO_HASH_LEN];
    struct cursor in = cursor_of(kept);
    struct seal_bound bound = bound_of(id);
    TRY(cursor_bytes(&in, sizeof key_id.bytes, &hash));
    memcpy(key_id.bytes, hash.data, sizeof key_id.bytes);
    if (seal_open(op->ops, op->arena, &bound, &key_id, in.rest, &plain) != ERR_OK)
        FAIL(ERR_CONFLICT, "this request was done already; its answer cannot be read any more");
    in = cursor_of(plain);
    TRY(cursor_bytes(&in, sizeof wanted, &hash));
    TRY(hash_request(op, wanted));
    if (!secret_equal(hash, span_of(wanted, sizeof wanted)))
        FAIL(ERR_REUSED, "the \"Idempotency-Key\" came with another request before: each request "
                         "wants a key of its own");
    op->reply->doc = in.rest;
    op->detail = span_str("done before, answered again");
    return ERR_OK;
}

static enum err look(struct op *op, bool *ret_done)
{
    struct uuid id;
    struct span kept;
    TRY(id_of(op, &id));
    TRY(store_outcome_find(op->ops->set.store, &id, op->arena, ret_done, &kept));
    if (!*ret_done)
        return ERR_OK;
    if (kept.len == 0)
        FAIL(ERR_CONFLICT, "this request was done already, while the server was locked");
    return open_kept(op, &id, kept);
}

enum err once_find(struct op *op, bool *ret_done)
{
    *ret_done = false;
    if (!is_asked(op))
        return ERR_OK;
    if (op->ops->in_transaction)
        return look(op, ret_done);
    TRY(store_begin(op->ops->set.store, STORE_READ));
    enum err err = look(op, ret_done);
    store_rollback(op->ops->set.store);
    return err;
}

// What is kept of the request that was just done; empty while the server is locked.
static enum err seal_kept(struct op *op, const struct uuid *id, struct buf *out)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    struct uuid key_id;
    struct span sealed;
    struct buf plain CLEANUP(buf_done);
    struct seal_bound bound = bound_of(id);
    if (!op->ops->open)
        return ERR_OK;
    buf_init(&plain, PLAIN_MAX, true);
    TRY(hash_request(op, hash));
    TRY(buf_put(&plain, span_of(hash, sizeof hash)));
    TRY(buf_put(&plain, op->reply->doc));
    TRY(seal_close(op->ops, op->arena, &bound, span_buf(&plain), &sealed, &key_id));
    TRY(buf_put(out, span_of(key_id.bytes, sizeof key_id.bytes)));
    return buf_put(out, sealed);
}

static enum err put(struct op *op)
{
    struct uuid id;
    struct buf kept CLEANUP(buf_done);
    buf_init(&kept, PLAIN_MAX + HEAD_MAX, false);
    TRY(id_of(op, &id));
    TRY(seal_kept(op, &id, &kept));
    return store_outcome_put(op->ops->set.store, &id, op->now, span_buf(&kept));
}

enum err once_keep(struct op *op)
{
    if (!is_asked(op))
        return ERR_OK;
    if (op->ops->in_transaction)
        return put(op);
    TRY(store_begin(op->ops->set.store, STORE_WRITE));
    enum err err = put(op);
    if (err != ERR_OK) {
        store_rollback(op->ops->set.store);
        return err;
    }
    return store_commit(op->ops->set.store);
}
