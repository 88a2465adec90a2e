// SPDX-License-Identifier: Apache-2.0
//
// Who may reach what: endpoints, groups of endpoints, users, groups of users, in this order and
// each in that of their making. For each: what it owns, then its default wallet, its grants and
// those of its groups in order of the wallet. The same rows decide each request (object_relate).
//
// Invariant: a place is who, wallet, grantee, and rows are told in this order. What is owned has no
// wallet, and its owner as grantee; a default wallet has no grantee.
#include "ops/access.h"
#include "ops/authority.h"
#include "ops/endpoint.h"
#include "ops/grantee.h"
#include "ops/named.h"
#include "ops/report.h"
#include "ops/verbs.h"
#include "store/people.h"

enum { BATCH = 250, BATCH_BYTES = 64 * 1024 * 1024, WHO = 0, WALLET = 1, GRANTEE = 2 };

// The parts of the report.
static const uint32_t kinds[] = {GRANTEE_ENDPOINT, GRANTEE_ENDPOINT_GROUP, GRANTEE_USER,
                                 GRANTEE_USER_GROUP};
enum { PARTS = sizeof kinds / sizeof *kinds };

// Behind every wallet: all of one who was told.
static const struct uuid last = {
    {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};

struct entitlement {
    struct report report;
    struct uuid wallet; // only this one; zero: all, and what is owned
    uint32_t only_kind; // only this one; 0: all
    struct uuid only;
    struct arena *arena; // emptied again and again
    json_t *counts;      // objects of the wallets that were counted for this page
};

// One of those who reach something, while its rows are told.
struct who {
    uint32_t kind;
    struct uuid id;
    json_t *name; // NULL until a row wants it
};

static void who_done(struct who *who)
{
    json_decref(who->name);
}

// ---- what the asker may see ----

// Of endpoints and their groups as `endpoint access` tells it, of users as `user access`.
static enum err sees(struct op *op, uint32_t kind, const struct uuid *id, bool *ret)
{
    bool people = kind == GRANTEE_USER || kind == GRANTEE_USER_GROUP;
    *ret =
        authority_has(op, people ? RIGHT_KEY : RIGHT_KEY | RIGHT_SYSTEM) || report_is_self(op, id);
    return *ret || people ? ERR_OK : report_manages(op, id, ret);
}

static enum err take_who(struct op *op, struct entitlement *all)
{
    bool seen = true;
    TRY(report_who(op, &all->report, &all->only_kind, &all->only));
    if (all->only_kind != 0)
        TRY(sees(op, all->only_kind, &all->only, &seen));
    if (!seen && authority_is_general(op))
        FAIL(ERR_NOT_PERMITTED, "what users reach is told to a Key Administrator, and to each user "
                                "of himself");
    return seen ? ERR_OK : report_not_found(&all->report, all->only_kind);
}

// ---- rows ----

static enum err count_wallet(struct op *op, struct entitlement *all, const struct uuid *wallet,
                             json_int_t *ret)
{
    char id[UUID_TEXT_LEN + 1];
    uint64_t count = 0;
    uuid_text(wallet, id);
    const json_t *known = json_object_get(all->counts, id);
    if (known == NULL) {
        TRY(store_member_count(op->ops->set.store, wallet, &count));
        TRY(doc_set(all->counts, id, json_integer((json_int_t)count)));
        known = json_object_get(all->counts, id);
    }
    *ret = json_integer_value(known);
    return ERR_OK;
}

static bool is_told(const struct entitlement *all, const struct who *who, const struct uuid *wallet,
                    const struct uuid *grantee)
{
    const struct uuid *at = all->report.place.at;
    int order = memcmp(wallet, &at[WALLET], sizeof *wallet);
    if (memcmp(&who->id, &at[WHO], sizeof who->id) != 0)
        return false;
    return order < 0 || (order == 0 && memcmp(grantee, &at[GRANTEE], sizeof *grantee) <= 0);
}

static enum err add(struct op *op, struct entitlement *all, struct who *who, json_t *row,
                    const struct uuid *wallet, const struct uuid *grantee)
{
    struct report_place *place = &all->report.place;
    CLEANUP(doc_freep) json_t *item = json_object();
    CLEANUP(doc_freep) json_t *more = row;
    if (who->name == NULL)
        who->name = grantee_name(op, who->kind, &who->id);
    TRY(doc_set(item, "kind", json_string(grantee_kind_name(who->kind))));
    TRY(doc_set(item, "name", json_incref(who->name)));
    if (more == NULL || json_object_update(item, more) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    place->at[WHO] = who->id;
    place->at[WALLET] = *wallet;
    place->at[GRANTEE] = *grantee;
    return report_add(&all->report, json_incref(item));
}

static enum err add_owned(struct op *op, struct entitlement *all, struct who *who)
{
    static const struct uuid none;
    uint64_t count = 0;
    struct store_query query = {.owner = who->id};
    if (!uuid_is_zero(&all->wallet) || is_told(all, who, &none, &who->id))
        return ERR_OK;
    TRY(store_object_count(op->ops->set.store, &query, &count));
    if (count == 0)
        return ERR_OK;
    return add(op, all, who,
               json_pack("{s:n, s:s, s:b, s:s, s:n, s:I}", "wallet", "access", "owner", "manage", 0,
                         "by", "owner", "group", "objects", (json_int_t)count),
               &none, &who->id);
}

static enum err add_grant(struct op *op, struct entitlement *all, struct who *who,
                          const struct store_grant *grant)
{
    json_int_t count = 0;
    bool direct = memcmp(&grant->grantee, &who->id, sizeof who->id) == 0;
    bool is_default = uuid_is_zero(&grant->grantee);
    TRY(count_wallet(op, all, &grant->wallet, &count));
    json_t *row = json_pack(
        "{s:o, s:s, s:b, s:s, s:o, s:I}", "wallet", named_name(op, &grant->wallet), "access",
        is_default ? "create" : access_name(grant->access), "manage",
        (grant->access & GRANT_MANAGE) != 0, "by",
        is_default ? "default-wallet" : (direct ? "grant" : "group"), "group",
        direct || is_default ? json_null() : named_name(op, &grant->grantee), "objects", count);
    return add(op, all, who, row, &grant->wallet, &grant->grantee);
}

// The default wallet as if it were a grant without grantee, among the others.
static enum err grants_of(struct op *op, struct entitlement *all, const struct who *who,
                          struct store_grant **ret, size_t *ret_count)
{
    struct store_endpoint row = {.state = 0};
    struct store_grant *grants = NULL;
    struct store_grant *list = NULL;
    size_t count = 0;
    size_t at = 0;
    TRY(store_grant_reach(op->ops->set.store, &who->id, all->arena, &grants, &count));
    TRY(arena_alloc(all->arena, count + 1, sizeof *list, &list));
    if (who->kind == GRANTEE_ENDPOINT)
        TRY(store_endpoint_get(op->ops->set.store, &who->id, all->arena, &row));
    bool has_default = !uuid_is_zero(&row.default_wallet);
    while (has_default && at < count &&
           memcmp(&grants[at].wallet, &row.default_wallet, UUID_LEN) < 0)
        at++;
    memcpy(list, grants, at * sizeof *list);
    if (has_default)
        list[at] = (struct store_grant){.wallet = row.default_wallet};
    memcpy(list + at + has_default, grants + at, (count - at) * sizeof *list);
    *ret = list;
    *ret_count = count + has_default;
    return ERR_OK;
}

// *ret_full: the page is full, and more of its rows may be to come.
static enum err tell(struct op *op, struct entitlement *all, struct who *who, bool *ret_full)
{
    struct store_grant *grants = NULL;
    size_t count = 0;
    bool seen = false;
    arena_reset(all->arena);
    TRY(sees(op, who->kind, &who->id, &seen));
    if (!seen)
        return ERR_OK;
    if (who->kind == GRANTEE_ENDPOINT || who->kind == GRANTEE_USER)
        TRY(add_owned(op, all, who));
    TRY(grants_of(op, all, who, &grants, &count));
    for (size_t i = 0; i < count; i++) {
        const struct store_grant *grant = &grants[i];
        bool wanted = uuid_is_zero(&all->wallet) ||
                      memcmp(&all->wallet, &grant->wallet, sizeof all->wallet) == 0;
        if (!wanted || is_told(all, who, &grant->wallet, &grant->grantee))
            continue;
        *ret_full = !report_goes_on(&all->report);
        if (*ret_full)
            return ERR_OK;
        TRY(add_grant(op, all, who, grant));
    }
    return ERR_OK;
}

// ---- who ----

static enum err list_endpoints(struct op *op, struct entitlement *all, const struct uuid *after,
                               struct uuid *ids, size_t *ret_count)
{
    struct store_endpoint *rows = NULL;
    TRY(store_endpoint_list(op->ops->set.store, after, BATCH, all->arena, &rows, ret_count));
    for (size_t i = 0; i < *ret_count; i++)
        ids[i] = rows[i].id;
    return ERR_OK;
}

static enum err list_users(struct op *op, struct entitlement *all, const struct uuid *after,
                           struct uuid *ids, size_t *ret_count)
{
    struct store_user *rows = NULL;
    TRY(store_user_list(op->ops->set.store, 0, after, BATCH, all->arena, &rows, ret_count));
    for (size_t i = 0; i < *ret_count; i++)
        ids[i] = rows[i].id;
    return ERR_OK;
}

static enum err list_groups(struct op *op, struct entitlement *all, uint32_t kind,
                            const struct uuid *after, struct uuid *ids, size_t *ret_count)
{
    struct store_named *rows = NULL;
    TRY(store_named_list(op->ops->set.store, kind, after, BATCH, all->arena, &rows, ret_count));
    for (size_t i = 0; i < *ret_count; i++)
        ids[i] = rows[i].id;
    return ERR_OK;
}

// The next ones of a kind, at most BATCH; fewer at the end.
static enum err list(struct op *op, struct entitlement *all, uint32_t kind, struct uuid *ids,
                     size_t *ret_count)
{
    const struct uuid *after = &all->report.place.at[WHO];
    *ret_count = 0;
    arena_reset(all->arena);
    if (all->only_kind != 0) {
        if (all->only_kind == kind && uuid_is_zero(after))
            ids[(*ret_count)++] = all->only;
        return ERR_OK;
    }
    switch (kind) {
    case GRANTEE_ENDPOINT:
        return list_endpoints(op, all, after, ids, ret_count);
    case GRANTEE_USER:
        return list_users(op, all, after, ids, ret_count);
    default:
        return list_groups(op, all,
                           kind == GRANTEE_USER_GROUP ? NAMED_USER_GROUP : NAMED_ENDPOINT_GROUP,
                           after, ids, ret_count);
    }
}

static enum err tell_and_pass(struct op *op, struct entitlement *all, uint32_t kind,
                              const struct uuid *id, bool *ret_full)
{
    CLEANUP(who_done) struct who who = {.kind = kind, .id = *id};
    *ret_full = !report_goes_on(&all->report);
    if (*ret_full)
        return ERR_OK;
    enum err err = tell(op, all, &who, ret_full);
    if (err != ERR_OK && err != ERR_NOT_FOUND) // it has gone since the page before
        return err;
    if (!*ret_full) {
        all->report.place.at[WHO] = *id;
        all->report.place.at[WALLET] = last;
    }
    return ERR_OK;
}

static enum err fill_part(struct op *op, struct entitlement *all, uint32_t kind, bool *ret_full)
{
    struct uuid ids[BATCH];
    const struct uuid at = all->report.place.at[WHO];
    size_t count = BATCH;
    if (!uuid_is_zero(&at) &&
        memcmp(&all->report.place.at[WALLET], &last, sizeof last) != 0) // in the midst of its rows
        TRY(tell_and_pass(op, all, kind, &at, ret_full));
    while (count == BATCH && !*ret_full) {
        TRY(list(op, all, kind, ids, &count));
        for (size_t i = 0; i < count && !*ret_full; i++)
            TRY(tell_and_pass(op, all, kind, &ids[i], ret_full));
    }
    return ERR_OK;
}

static enum err fill(struct op *op, struct entitlement *all)
{
    struct report_place *place = &all->report.place;
    bool full = false;
    while (place->part < PARTS && !full) {
        TRY(fill_part(op, all, kinds[place->part], &full));
        if (!full)
            *place = (struct report_place){.part = place->part + 1};
    }
    all->report.ended = !full;
    return ERR_OK;
}

static enum err run(struct op *op, struct entitlement *all)
{
    TRY(report_begin(op, "entitlement", &all->report));
    TRY(report_wallet(op, &all->report, authority_is_general(op), &all->wallet));
    TRY(take_who(op, all));
    TRY(arena_new(BATCH_BYTES, &all->arena));
    all->counts = json_object();
    TRY(fill(op, all));
    return report_answer(op, &all->report);
}

// {"wallet", "endpoint", "endpoint_group", "user", "user_group", "cursor", "limit"}
enum err report_entitlement_run(struct op *op)
{
    struct entitlement all = {.only_kind = 0};
    enum err err = run(op, &all);
    report_done(&all.report);
    json_decref(all.counts);
    arena_freep(&all.arena);
    return err;
}
