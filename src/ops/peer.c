// SPDX-License-Identifier: Apache-2.0
//
// Endpoints as principals. What was looked up is kept as long as the store says that nothing was
// committed since, so that a suspended or deleted endpoint is refused from its next request on.
#include "ops/peer.h"

#include "ops/identity.h"
#include "ops/seal.h"
#include "ops/seen.h"

enum err peer_open(struct ops *ops, struct arena *arena, const struct store_endpoint *row,
                   struct peer_record *ret)
{
    struct span plain;
    struct seal_bound bound = {.part = "endpoint", .id = row->id};
    TRY(seal_open(ops, arena, &bound, &row->key_id, row->sealed, &plain));
    struct cursor in = cursor_of(plain);
    TRY(cursor_var(&in, &ret->name));
    TRY(cursor_var(&in, &ret->type));
    TRY(cursor_var(&in, &ret->description));
    TRY(cursor_var(&in, &ret->certificate));
    return cursor_end(&in);
}

enum err peer_seal(struct ops *ops, struct arena *arena, const struct peer_record *record,
                   struct store_endpoint *row)
{
    struct seal_bound bound = {.part = "endpoint", .id = row->id};
    struct buf plain CLEANUP(buf_done);
    buf_init(&plain, ENDPOINT_SEALED_MAX, false);
    TRY(buf_put_var(&plain, record->name));
    TRY(buf_put_var(&plain, record->type));
    TRY(buf_put_var(&plain, record->description));
    TRY(buf_put_var(&plain, record->certificate));
    return seal_close(ops, arena, &bound, span_buf(&plain), &row->sealed, &row->key_id);
}

static struct known_endpoint *slot_of(struct ops *ops, const uint8_t fingerprint[32])
{
    return &ops->endpoints[fingerprint[0] % ENDPOINT_CACHE];
}

// The name is opened again only when the row has changed since.
static enum err learn(struct op *op, struct known_endpoint *slot)
{
    struct store_endpoint row;
    struct peer_record record = {0};
    TRY(store_endpoint_by_fingerprint(op->ops->set.store, op->who.fingerprint, op->arena, &row));
    bool same = slot->version == row.version && memcmp(&slot->id, &row.id, sizeof row.id) == 0;
    // While the server is locked an endpoint has no name yet, but it is known all the same.
    if (!same || slot->name_len == 0) {
        slot->name_len = 0;
        if (op->ops->open) {
            TRY(peer_open(op->ops, op->arena, &row, &record));
            slot->name_len =
                record.name.len < ENDPOINT_NAME_MAX ? record.name.len : ENDPOINT_NAME_MAX;
            memcpy(slot->name, record.name.data, slot->name_len);
        }
    }
    memcpy(slot->fingerprint, op->who.fingerprint, sizeof slot->fingerprint);
    slot->id = row.id;
    slot->version = row.version;
    slot->state = row.state;
    slot->until = 0;
    if (memcmp(row.fingerprint, op->who.fingerprint, sizeof row.fingerprint) != 0)
        slot->until = row.previous_until == 0 ? 1 : row.previous_until;
    slot->default_wallet = row.default_wallet;
    slot->turn = op->ops->turn;
    return ERR_OK;
}

static enum err resolve_endpoint(struct op *op)
{
    static const uint8_t none[32];
    struct known_endpoint *slot = slot_of(op->ops, op->who.fingerprint);
    bool known = slot->turn == op->ops->turn &&
                 memcmp(slot->fingerprint, op->who.fingerprint, sizeof none) == 0 &&
                 (slot->name_len > 0 || !op->ops->open);
    if (memcmp(op->who.fingerprint, none, sizeof none) == 0)
        FAIL(ERR_AUTHENTICATION, "the client has no certificate");
    if (!known) {
        enum err err = learn(op, slot);
        if (err == ERR_NOT_FOUND)
            FAIL(ERR_AUTHENTICATION,
                 "the client's certificate belongs to no endpoint; enroll it first");
        TRY(err);
    }
    if (slot->state != ENDPOINT_ENROLLED)
        FAIL(ERR_AUTHENTICATION, "the endpoint is suspended");
    if (slot->until != 0 && slot->until <= op->now)
        FAIL(ERR_AUTHENTICATION,
             "the client's certificate was replaced by a newer one, and its time is over");
    seen_note(op->ops->seen, &slot->id, op->now);
    op->default_wallet = slot->default_wallet;
    op->who.id = slot->id;
    op->who.name = span_of(slot->name, slot->name_len);
    return ERR_OK;
}

enum err peer_resolve(struct op *op)
{
    op->who = op->batch->who;
    op->who.id = (struct uuid){{0}};
    op->who.name = (struct span){NULL, 0};
    op->default_wallet = (struct uuid){{0}};
    op->who.rights = 0;
    op->who.held = false;
    op->must_change = false;
    if (op->who.kind == PRINCIPAL_USER)
        return identity_resolve(op);
    return op->who.kind == PRINCIPAL_ENDPOINT ? resolve_endpoint(op) : ERR_OK;
}
