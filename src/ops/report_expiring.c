// SPDX-License-Identifier: Apache-2.0
//
// What ends within some days, or has ended and still counts, as far as dates are known: the
// server's own certificates, those of endpoints, objects (their deactivation, and what a stored
// certificate says itself), API tokens and certificates of users, passwords. In this order, and
// each in an order of its own that does not change; not in order of time.
#include "crypto/pki.h"
#include "ops/authority.h"
#include "ops/certdoc.h"
#include "ops/credential.h"
#include "ops/endpoint.h"
#include "ops/expiry.h"
#include "ops/grantee.h"
#include "ops/key.h"
#include "ops/policy.h"
#include "ops/report.h"
#include "ops/verbs.h"

enum { DAYS_USUAL = 90, BATCH = 250, ARENA_BYTES = 64 * 1024 * 1024 };

struct expiring {
    struct report report;
    struct report_objects objects; // the owner stands for the endpoint or user that is asked for
    uint32_t only_kind;            // of enum grantee_kind; 0: whoever
    int64_t before;                // seconds
    bool certificates;             // the asker sees every endpoint's
    bool people;                   // and everybody's tokens and passwords
    int64_t password_s;            // how long a password lasts; 0: for ever
    struct arena *arena;           // emptied again and again
    bool full;
};

static enum err add(struct op *op, struct expiring *all, const char *kind, json_t *name,
                    json_t *owner, json_t *type, int64_t expires, const struct uuid *id)
{
    json_t *row = json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:o}", "kind", kind, "name", name,
                            "type", type, "owner", owner, "expires", doc_time(expires), "days_left",
                            certdoc_days_left(expires, op->now), "id",
                            uuid_is_zero(id) ? json_null() : doc_uuid(id));
    return report_add(&all->report, row);
}

static bool is_only(const struct expiring *all, const struct uuid *who)
{
    return all->only_kind == 0 || memcmp(who, &all->objects.owner, sizeof *who) == 0;
}

// ---- certificates ----

static enum err own_certificates(struct op *op, struct expiring *all)
{
    static const struct uuid none;
    struct expiry *rows = NULL;
    size_t count = 0;
    if (!all->certificates || all->only_kind != 0)
        return ERR_OK;
    TRY(expiry_own(op->ops, all->arena, &rows, &count));
    for (size_t i = all->report.place.at[0].bytes[0]; i < count; i++) {
        all->full = !report_goes_on(&all->report);
        if (all->full)
            return ERR_OK;
        if (rows[i].not_after < all->before)
            TRY(add(op, all, expiry_kind_name(rows[i].kind), json_null(), json_null(), json_null(),
                    rows[i].not_after, &none));
        all->report.place.at[0].bytes[0] = (uint8_t)(i + 1);
    }
    return ERR_OK;
}

static enum err endpoint_certificate(struct op *op, struct expiring *all, const struct expiry *row)
{
    bool seen = all->certificates;
    if (!is_only(all, &row->holder))
        return ERR_OK;
    if (!seen)
        TRY(report_manages(op, &row->holder, &seen));
    return seen ? add(op, all, expiry_kind_name(row->kind), endpoint_name(op, &row->holder),
                      json_null(), json_null(), row->not_after, &row->holder)
                : ERR_OK;
}

// A place is a fingerprint, which has the length of two identifiers.
static enum err endpoint_certificates(struct op *op, struct expiring *all)
{
    struct expiry *rows = NULL;
    size_t count = BATCH;
    uint8_t *place = (uint8_t *)all->report.place.at;
    if (all->only_kind == GRANTEE_USER)
        return ERR_OK;
    while (count == BATCH) {
        arena_reset(all->arena);
        TRY(expiry_endpoints(op->ops, all->arena, all->before, place, BATCH, &rows, &count));
        for (size_t i = 0; i < count; i++) {
            all->full = !report_goes_on(&all->report);
            if (all->full)
                return ERR_OK;
            TRY(endpoint_certificate(op, all, &rows[i]));
            memcpy(place, rows[i].fingerprint, sizeof rows[i].fingerprint);
        }
    }
    return ERR_OK;
}

// ---- objects ----

// A certificate that cannot be read says nothing of its end.
static void look_inside(struct op *op, struct expiring *all, const struct store_object *row,
                        int64_t *end)
{
    struct op inner = *op;
    struct span der;
    int64_t expires = 0;
    inner.arena = all->arena;
    arena_reset(all->arena);
    if (object_certificate(&inner, &row->id, &der) == ERR_OK &&
        pki_expires_der(der, &expires) == ERR_OK && (*end == 0 || expires < *end))
        *end = expires;
}

static enum err look_at_object(struct op *op, void *context, const struct store_object *row)
{
    struct expiring *all = context;
    enum kmip_state state = lifecycle_state_at(&row->dates, op->now);
    int64_t end = row->dates.deactivation;
    json_t *line = NULL;
    if (state != KMIP_STATE_PRE_ACTIVE && state != KMIP_STATE_ACTIVE)
        return ERR_OK;
    if (row->type == KMIP_OBJECT_TYPE_CERTIFICATE)
        look_inside(op, all, row, &end);
    if (end == 0 || end >= all->before)
        return ERR_OK;
    struct object object = {.row = *row};
    TRY(key_summary(op, &object, &line));
    enum err err = add(op, all, "object", json_incref(json_object_get(line, "name")),
                       json_incref(json_object_get(line, "owner")),
                       json_incref(json_object_get(line, "type")), end, &row->id);
    json_decref(line);
    return err;
}

static enum err objects(struct op *op, struct expiring *all)
{
    return report_each_object(op, &all->report, &all->objects, look_at_object, all, &all->full);
}

// ---- people ----

static bool is_seen(const struct op *op, const struct expiring *all, const struct uuid *user)
{
    return (all->people || report_is_self(op, user)) && is_only(all, user);
}

static enum err look_at_credential(struct op *op, struct expiring *all,
                                   const struct store_credential *row)
{
    struct span label;
    bool token = row->kind == STORED_TOKEN;
    bool lasting = (token || row->kind == STORED_CERTIFICATE) && row->expires > op->now;
    if (!lasting || row->expires >= all->before || !is_seen(op, all, &row->user))
        return ERR_OK;
    TRY(credential_open(op, row, &label));
    return add(op, all, token ? "token" : "user-certificate", doc_string(label),
               account_name(op, &row->user), json_null(), row->expires, &row->id);
}

static enum err credentials(struct op *op, struct expiring *all)
{
    struct store_credential *rows = NULL;
    size_t count = BATCH;
    struct uuid *place = &all->report.place.at[0];
    const struct uuid *user = all->people ? NULL : &op->who.id;
    bool nobodys = !all->people && uuid_is_zero(&op->who.id);
    if (all->only_kind == GRANTEE_ENDPOINT || nobodys)
        return ERR_OK;
    while (count == BATCH) {
        arena_reset(all->arena);
        TRY(store_credential_list(op->ops->set.store, user, place, BATCH, all->arena, &rows,
                                  &count));
        for (size_t i = 0; i < count; i++) {
            all->full = !report_goes_on(&all->report);
            if (all->full)
                return ERR_OK;
            TRY(look_at_credential(op, all, &rows[i]));
            *place = rows[i].id;
        }
    }
    return ERR_OK;
}

static enum err look_at_password(struct op *op, struct expiring *all, const struct store_user *row)
{
    int64_t expires = row->password_changed + all->password_s;
    bool counts = row->state == USER_ACTIVE && row->password_changed != 0;
    if (!counts || expires >= all->before || !is_seen(op, all, &row->id))
        return ERR_OK;
    return add(op, all, "password", account_name(op, &row->id), account_name(op, &row->id),
               json_null(), expires, &row->id);
}

static enum err passwords(struct op *op, struct expiring *all)
{
    struct store_user *rows = NULL;
    size_t count = BATCH;
    struct uuid *place = &all->report.place.at[0];
    if (all->password_s == 0 || all->only_kind == GRANTEE_ENDPOINT)
        return ERR_OK;
    while (count == BATCH) {
        arena_reset(all->arena);
        TRY(store_user_list(op->ops->set.store, 0, place, BATCH, all->arena, &rows, &count));
        for (size_t i = 0; i < count; i++) {
            all->full = !report_goes_on(&all->report);
            if (all->full)
                return ERR_OK;
            TRY(look_at_password(op, all, &rows[i]));
            *place = rows[i].id;
        }
    }
    return ERR_OK;
}

// ---- the parts ----

static const struct {
    const char *of;
    bool of_wallets; // also when one wallet is asked for
    enum err (*fill)(struct op *op, struct expiring *all);
} parts[] = {
    {"certificate", false, own_certificates},
    {"certificate", false, endpoint_certificates},
    {"object", true, objects},
    {"token", false, credentials},
    {"password", false, passwords},
};

enum { PARTS = sizeof parts / sizeof *parts };

static enum err fill(struct op *op, struct expiring *all)
{
    struct report_place *place = &all->report.place;
    const char *of = json_string_value(json_object_get(all->report.doc, "of"));
    bool one_wallet = !uuid_is_zero(&all->objects.wallet);
    while (place->part < PARTS && !all->full) {
        bool wanted = (of == NULL || strcmp(of, parts[place->part].of) == 0) &&
                      (!one_wallet || parts[place->part].of_wallets);
        if (wanted)
            TRY(parts[place->part].fill(op, all));
        if (!all->full)
            *place = (struct report_place){.part = place->part + 1};
    }
    all->report.ended = !all->full;
    return ERR_OK;
}

static enum err take(struct op *op, struct expiring *all)
{
    struct policy policy;
    struct uuid who;
    int64_t days = 0;
    bool whoever = authority_has(op, RIGHT_SYSTEM | RIGHT_KEY | RIGHT_AUDIT);
    TRY(report_days(&all->report, DAYS_USUAL, &days));
    TRY(policy_load(op, &policy));
    TRY(report_take_objects(op, &all->report, authority_has(op, RIGHT_KEY), whoever,
                            &all->objects));
    TRY(report_who(op, &all->report, &all->only_kind, &who));
    all->before = op->now + days * REPORT_DAY_S;
    all->password_s = policy.password_days * REPORT_DAY_S;
    all->certificates = authority_has(op, RIGHT_SYSTEM | RIGHT_AUDIT | RIGHT_MONITOR);
    all->people = authority_has(op, RIGHT_SYSTEM | RIGHT_AUDIT);
    return ERR_OK;
}

static enum err run(struct op *op, struct expiring *all)
{
    TRY(report_begin(op, "expiring", &all->report));
    TRY(take(op, all));
    TRY(arena_new(ARENA_BYTES, &all->arena));
    TRY(fill(op, all));
    return report_answer(op, &all->report);
}

// {"days", "of", "wallet", "endpoint", "user", "cursor", "limit"}
enum err report_expiring_run(struct op *op)
{
    struct expiring all = {.full = false};
    enum err err = run(op, &all);
    report_done(&all.report);
    arena_freep(&all.arena);
    return err;
}
