// SPDX-License-Identifier: Apache-2.0
//
// Wallets: sets of objects to which users, endpoints and groups of them are given access. Deleting
// one leaves its objects as they are.
#include "ops/access.h"
#include "ops/authority.h"
#include "ops/grantee.h"
#include "ops/key.h"
#include "ops/named.h"
#include "ops/verbs.h"

enum { LIST_MAX = STORE_FIND_MAX };

enum err wallet_list_run(struct op *op)
{
    return named_list(op, NAMED_WALLET, "wallets", "objects");
}

// Who makes one may read, modify and manage it.
enum err wallet_create_run(struct op *op)
{
    struct store_named row;
    TRY(named_create(op, NAMED_WALLET, &row));
    if (op->who.kind != PRINCIPAL_USER)
        return ERR_OK;
    const struct store_grant own = {row.id, op->who.id, GRANTEE_USER,
                                    GRANT_READ | GRANT_MODIFY | GRANT_MANAGE};
    return store_grant_put(op->ops->set.store, &own);
}

enum err wallet_update_run(struct op *op)
{
    return named_update(op, NAMED_WALLET);
}

enum err wallet_delete_run(struct op *op)
{
    return named_delete(op, NAMED_WALLET);
}

static enum err add_grant(struct op *op, json_t *list, const struct store_grant *grant)
{
    json_t *item =
        json_pack("{s:s, s:o, s:s, s:b}", "kind", grantee_kind_name(grant->kind), "name",
                  grantee_name(op, grant->kind, &grant->grantee), "access",
                  access_name(grant->access), "manage", (grant->access & GRANT_MANAGE) != 0);
    if (item == NULL || json_array_append_new(list, item) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

static enum err add_grants(struct op *op, const struct uuid *wallet, json_t *answer)
{
    struct uuid after = {{0}};
    struct store_grant *grants = NULL;
    size_t count = LIST_MAX;
    json_t *list = json_array();
    TRY(doc_set(answer, "grants", list));
    while (count == LIST_MAX) {
        TRY(store_grant_list(op->ops->set.store, wallet, &after, LIST_MAX, op->arena, &grants,
                             &count));
        for (size_t i = 0; i < count; i++)
            TRY(add_grant(op, list, &grants[i]));
        if (count > 0)
            after = grants[count - 1].grantee;
    }
    return ERR_OK;
}

// {"name"} → the wallet with its grants
enum err wallet_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = NULL;
    struct store_named row;
    uint64_t count = 0;
    TRY(doc_params(op, &doc));
    TRY(named_take(op, NAMED_WALLET, doc, &row));
    op->object = row.id;
    TRY(named_describe(op, &row, &answer));
    TRY(store_member_count(op->ops->set.store, &row.id, &count));
    TRY(doc_set(answer, "objects", json_integer((json_int_t)count)));
    TRY(add_grants(op, &row.id, answer));
    return doc_answer(op, json_incref(answer));
}

// {"name", "cursor", "limit"} → {"keys": […], "next_cursor"}
enum err wallet_objects_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_named wallet;
    struct store_query query = {.any_owner = true};
    TRY(doc_params(op, &doc));
    TRY(named_take(op, NAMED_WALLET, doc, &wallet));
    op->object = wallet.id;
    query.wallet = wallet.id;
    return key_answer_page(op, doc, &query);
}

struct change {
    struct store_named wallet;
    struct span name;
    struct span member; // text
    struct uuid id;     // of the object
};

// A manager of the wallet moves what is its own, or what it may modify already; a Key Administrator
// anything. Else whoever manages one wallet could open any object to itself.
static enum err check_object(struct op *op, const struct store_named *wallet,
                             const struct store_object *row)
{
    uint32_t access = 0;
    uint32_t here = 0;
    if (authority_has(op, RIGHT_KEY))
        return ERR_OK;
    TRY(store_access_get(op->ops->set.store, &op->who.id, &row->id, &access));
    TRY(authority_access(op, &wallet->id, &here));
    bool own = memcmp(&row->owner, &op->who.id, sizeof row->owner) == 0;
    if (!own && (access & GRANT_READ) == 0)
        FAIL(ERR_NOT_FOUND, "it is out of sight");
    if (!own && (access & GRANT_MODIFY) == 0)
        FAIL(ERR_NOT_PERMITTED, "you may read this object, not move it");
    if ((here & GRANT_MODIFY) == 0)
        FAIL(ERR_NOT_PERMITTED, "you may read what is in this wallet, not change it");
    return ERR_OK;
}

static enum err find_object(struct op *op, const struct store_named *wallet, struct span text,
                            struct store_object *ret)
{
    struct uuid id;
    enum err err = uuid_parse(text, &id);
    if (err == ERR_OK)
        err = store_object_get(op->ops->set.store, &id, op->arena, ret);
    if (err == ERR_OK)
        err = check_object(op, wallet, ret);
    if (err == ERR_NOT_FOUND || err == ERR_INVALID)
        FAIL(ERR_NOT_FOUND, "there is no object \"%.*s\"", (int)text.len, (const char *)text.data);
    return err;
}

static enum err take_change(struct op *op, struct change *ret)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_object row;
    struct span name;
    struct span member;
    TRY(doc_params(op, &doc));
    TRY(named_take(op, NAMED_WALLET, doc, &ret->wallet));
    TRY(named_take_name(doc, "name", &name));
    TRY(doc_text(doc, "object", UUID_TEXT_LEN, true, &member));
    TRY(arena_copy(op->arena, name, &ret->name));
    TRY(arena_copy(op->arena, member, &ret->member));
    TRY(find_object(op, &ret->wallet, member, &row));
    ret->id = row.id;
    op->object_type = row.type;
    return named_tell(op, &ret->id, "wallet \"%.*s\"", (int)name.len, (const char *)name.data);
}

static enum err answer_change(struct op *op, const struct change *change)
{
    uint64_t count = 0;
    TRY(store_member_count(op->ops->set.store, &change->wallet.id, &count));
    return doc_answer(op, json_pack("{s:o, s:o, s:I}", "wallet", doc_string(change->name), "object",
                                    doc_string(change->member), "objects", (json_int_t)count));
}

// {"name", "object": identifier}
enum err wallet_add_run(struct op *op)
{
    struct change change;
    TRY(take_change(op, &change));
    enum err err = store_member_put(op->ops->set.store, &change.wallet.id, &change.id);
    if (err == ERR_CONFLICT)
        FAIL(ERR_CONFLICT, "the object is in wallet \"%.*s\" already", (int)change.name.len,
             (const char *)change.name.data);
    TRY(err);
    return answer_change(op, &change);
}

// {"name", "object": identifier}
enum err wallet_remove_run(struct op *op)
{
    struct change change;
    TRY(take_change(op, &change));
    enum err err = store_member_remove(op->ops->set.store, &change.wallet.id, &change.id);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "the object is not in wallet \"%.*s\"", (int)change.name.len,
             (const char *)change.name.data);
    TRY(err);
    return answer_change(op, &change);
}

// ---- grants ----

// Nobody gives more than they hold, nor takes from who holds more; Key Administrators hold all.
static enum err check_reach(struct op *op, const struct store_grant *grant)
{
    uint32_t own = 0;
    struct store_grant *grants = NULL;
    size_t count = 0;
    uint32_t all = grant->access;
    if (authority_has(op, RIGHT_KEY))
        return ERR_OK;
    TRY(authority_access(op, &grant->wallet, &own));
    TRY(store_grant_reach(op->ops->set.store, &grant->grantee, op->arena, &grants, &count));
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&grants[i].wallet, &grant->wallet, UUID_LEN) == 0 &&
            memcmp(&grants[i].grantee, &grant->grantee, UUID_LEN) == 0)
            all |= grants[i].access;
    }
    if ((all & ~own) != 0)
        FAIL(ERR_NOT_PERMITTED, "this is more than you hold on the wallet yourself");
    return ERR_OK;
}

struct granting {
    struct store_named wallet;
    struct store_grant grant;
    struct span name; // of the grantee
};

static enum err take_granting(struct op *op, const json_t *doc, struct granting *ret)
{
    *ret = (struct granting){0};
    TRY(named_take(op, NAMED_WALLET, doc, &ret->wallet));
    TRY(grantee_take(op, doc, &ret->grant.kind, &ret->grant.grantee, &ret->name));
    ret->grant.wallet = ret->wallet.id;
    return ERR_OK;
}

// {"name", a grantee, "access", "manage"}, in place of the grant before
enum err wallet_grant_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct granting g;
    TRY(doc_params(op, &doc));
    TRY(take_granting(op, doc, &g));
    TRY(access_take(doc, &g.grant.access));
    bool manage = (g.grant.access & GRANT_MANAGE) != 0;
    TRY(named_tell(op, &g.wallet.id, "%s%s to %s \"%.*s\" on wallet \"%s\"",
                   access_name(g.grant.access), manage ? " and manage" : "",
                   grantee_kind_name(g.grant.kind), (int)g.name.len, (const char *)g.name.data,
                   json_string_value(json_object_get(doc, "name"))));
    TRY(check_reach(op, &g.grant));
    TRY(store_grant_put(op->ops->set.store, &g.grant));
    return doc_answer(op,
                      json_pack("{s:O, s:s, s:o, s:s, s:b}", "wallet", json_object_get(doc, "name"),
                                "kind", grantee_kind_name(g.grant.kind), "name", doc_string(g.name),
                                "access", access_name(g.grant.access), "manage", manage));
}

// {"name", a grantee}
enum err wallet_revoke_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct granting g;
    TRY(doc_params(op, &doc));
    TRY(take_granting(op, doc, &g));
    TRY(named_tell(op, &g.wallet.id, "%s \"%.*s\" on wallet \"%s\"",
                   grantee_kind_name(g.grant.kind), (int)g.name.len, (const char *)g.name.data,
                   json_string_value(json_object_get(doc, "name"))));
    TRY(check_reach(op, &g.grant));
    enum err err = store_grant_remove(op->ops->set.store, &g.wallet.id, &g.grant.grantee);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "\"%.*s\" has no grant on this wallet", (int)g.name.len,
             (const char *)g.name.data);
    TRY(err);
    return doc_answer(op, json_pack("{s:O, s:s, s:o, s:b}", "wallet", json_object_get(doc, "name"),
                                    "kind", grantee_kind_name(g.grant.kind), "name",
                                    doc_string(g.name), "revoked", 1));
}
