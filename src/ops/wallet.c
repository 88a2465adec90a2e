// SPDX-License-Identifier: Apache-2.0
//
// Wallets: sets of objects to which endpoints and groups of endpoints are given access. Deleting
// one leaves its objects as they are.
#include "ops/access.h"
#include "ops/endpoint.h"
#include "ops/key.h"
#include "ops/named.h"
#include "ops/verbs.h"

enum { LIST_MAX = STORE_FIND_MAX };

enum err wallet_list_run(struct op *op)
{
    return named_list(op, NAMED_WALLET, "wallets", "objects");
}

enum err wallet_create_run(struct op *op)
{
    return named_create(op, NAMED_WALLET);
}

enum err wallet_update_run(struct op *op)
{
    return named_update(op, NAMED_WALLET);
}

enum err wallet_delete_run(struct op *op)
{
    return named_delete(op, NAMED_WALLET);
}

static const char *kind_name(uint32_t kind)
{
    return kind == GRANTEE_ENDPOINT ? "endpoint" : "endpoint_group";
}

static enum err add_grant(struct op *op, json_t *list, const struct store_grant *grant)
{
    json_t *name = grant->kind == GRANTEE_ENDPOINT ? endpoint_name(op, &grant->grantee)
                                                   : named_name(op, &grant->grantee);
    json_t *item =
        json_pack("{s:s, s:o, s:s, s:b}", "kind", kind_name(grant->kind), "name", name, "access",
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
    TRY(named_find(op, NAMED_WALLET, doc, "name", &row));
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
    TRY(named_find(op, NAMED_WALLET, doc, "name", &wallet));
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

static enum err take_change(struct op *op, struct change *ret)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_object row;
    struct span name;
    struct span member;
    TRY(doc_params(op, &doc));
    TRY(named_find(op, NAMED_WALLET, doc, "name", &ret->wallet));
    TRY(named_take_name(doc, "name", &name));
    TRY(doc_text(doc, "object", UUID_TEXT_LEN, true, &member));
    TRY(arena_copy(op->arena, name, &ret->name));
    TRY(arena_copy(op->arena, member, &ret->member));
    if (uuid_parse(member, &ret->id) != ERR_OK ||
        store_object_get(op->ops->set.store, &ret->id, op->arena, &row) != ERR_OK)
        FAIL(ERR_NOT_FOUND, "there is no object \"%.*s\"", (int)member.len,
             (const char *)member.data);
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

// The endpoint or the group that a document names.
static enum err take_grantee(struct op *op, const json_t *doc, struct store_grant *grant,
                             struct span *ret_name)
{
    bool endpoint = json_object_get(doc, "endpoint") != NULL;
    struct store_endpoint row;
    struct store_named group;
    if (endpoint == (json_object_get(doc, "endpoint_group") != NULL))
        FAIL(ERR_INVALID, "give either \"endpoint\" or \"endpoint_group\"");
    TRY(named_take_name(doc, endpoint ? "endpoint" : "endpoint_group", ret_name));
    grant->kind = endpoint ? GRANTEE_ENDPOINT : GRANTEE_ENDPOINT_GROUP;
    if (!endpoint) {
        TRY(named_find(op, NAMED_ENDPOINT_GROUP, doc, "endpoint_group", &group));
        grant->grantee = group.id;
        return ERR_OK;
    }
    TRY(endpoint_find(op, *ret_name, &row));
    grant->grantee = row.id;
    return ERR_OK;
}

// {"name", "endpoint" or "endpoint_group", "access", "manage"}, in place of the grant before
enum err wallet_grant_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_named wallet;
    struct store_grant grant = {0};
    struct span name;
    TRY(doc_params(op, &doc));
    TRY(named_find(op, NAMED_WALLET, doc, "name", &wallet));
    TRY(take_grantee(op, doc, &grant, &name));
    TRY(access_take(doc, &grant.access));
    grant.wallet = wallet.id;
    TRY(named_tell(
        op, &wallet.id, "%s%s to %s \"%.*s\" on wallet \"%s\"", access_name(grant.access),
        (grant.access & GRANT_MANAGE) != 0 ? " and manage" : "", kind_name(grant.kind),
        (int)name.len, (const char *)name.data, json_string_value(json_object_get(doc, "name"))));
    TRY(store_grant_put(op->ops->set.store, &grant));
    return doc_answer(op, json_pack("{s:O, s:s, s:o, s:s, s:b}", "wallet",
                                    json_object_get(doc, "name"), "kind", kind_name(grant.kind),
                                    "name", doc_string(name), "access", access_name(grant.access),
                                    "manage", (grant.access & GRANT_MANAGE) != 0));
}

// {"name", "endpoint" or "endpoint_group"}
enum err wallet_revoke_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_named wallet;
    struct store_grant grant = {0};
    struct span name;
    TRY(doc_params(op, &doc));
    TRY(named_find(op, NAMED_WALLET, doc, "name", &wallet));
    TRY(take_grantee(op, doc, &grant, &name));
    TRY(named_tell(op, &wallet.id, "%s \"%.*s\" on wallet \"%s\"", kind_name(grant.kind),
                   (int)name.len, (const char *)name.data,
                   json_string_value(json_object_get(doc, "name"))));
    enum err err = store_grant_remove(op->ops->set.store, &wallet.id, &grant.grantee);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "\"%.*s\" has no grant on this wallet", (int)name.len,
             (const char *)name.data);
    TRY(err);
    return doc_answer(op, json_pack("{s:O, s:s, s:o, s:b}", "wallet", json_object_get(doc, "name"),
                                    "kind", kind_name(grant.kind), "name", doc_string(name),
                                    "revoked", 1));
}
