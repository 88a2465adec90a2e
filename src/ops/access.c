// SPDX-License-Identifier: Apache-2.0
//
// Who can reach what: the endpoints that reach a key, and by what; what an endpoint can reach, and
// by what. The same rows decide each KMIP request (object_relate).
#include "ops/access.h"

#include "ops/endpoint.h"
#include "ops/key.h"
#include "ops/named.h"
#include "ops/reach.h"
#include "ops/verbs.h"

enum { LIST_MAX = STORE_FIND_MAX, PAGE_DEFAULT = 100 };

const char *access_name(uint32_t access)
{
    return (access & GRANT_MODIFY) != 0 ? "read-modify" : "read-only";
}

enum err access_take(const json_t *doc, uint32_t *ret)
{
    struct span text;
    const json_t *manage = json_object_get(doc, "manage");
    TRY(doc_text(doc, "access", 32, true, &text));
    if (span_eq_str(text, "read-only"))
        *ret = GRANT_READ;
    else if (span_eq_str(text, "read-modify"))
        *ret = GRANT_READ | GRANT_MODIFY;
    else
        FAIL(ERR_INVALID, "\"access\" must be \"read-only\" or \"read-modify\"");
    if (manage != NULL && !json_is_boolean(manage))
        FAIL(ERR_INVALID, "\"manage\" must be true or false");
    *ret |= json_is_true(manage) ? GRANT_MANAGE : 0;
    return ERR_OK;
}

static enum err append(json_t *list, json_t *item)
{
    if (item == NULL || json_array_append_new(list, item) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

// A row of who reaches a key: by a wallet, and perhaps by a group.
static enum err add_endpoint(struct op *op, json_t *list, const struct uuid *endpoint,
                             const struct store_grant *grant, const struct uuid *group)
{
    return append(list, json_pack("{s:o, s:s, s:o, s:o}", "endpoint", endpoint_name(op, endpoint),
                                  "access", access_name(grant->access), "wallet",
                                  named_name(op, &grant->wallet), "group",
                                  group == NULL ? json_null() : named_name(op, group)));
}

static enum err add_grant(struct op *op, json_t *list, const struct store_grant *grant)
{
    struct uuid after = {{0}};
    struct uuid *members = NULL;
    size_t count = LIST_MAX;
    if (grant->kind == GRANTEE_ENDPOINT)
        return add_endpoint(op, list, &grant->grantee, grant, NULL);
    while (count == LIST_MAX) {
        TRY(store_member_list(op->ops->set.store, &grant->grantee, &after, LIST_MAX, op->arena,
                              &members, &count));
        for (size_t i = 0; i < count; i++)
            TRY(add_endpoint(op, list, &members[i], grant, &grant->grantee));
        if (count > 0)
            after = members[count - 1];
    }
    return ERR_OK;
}

static enum err add_wallet(struct op *op, json_t *list, const struct uuid *wallet)
{
    struct uuid after = {{0}};
    struct store_grant *grants = NULL;
    size_t count = LIST_MAX;
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

static enum err take_object(struct op *op, const json_t *doc, struct store_object *ret)
{
    struct span text;
    struct uuid id;
    TRY(doc_text(doc, "id", UUID_TEXT_LEN, true, &text));
    if (uuid_parse(text, &id) != ERR_OK ||
        store_object_get(op->ops->set.store, &id, op->arena, ret) != ERR_OK)
        FAIL(ERR_NOT_FOUND, "there is no key \"%.*s\"", (int)text.len, (const char *)text.data);
    op->object = ret->id;
    op->object_type = ret->type;
    return ERR_OK;
}

// {"id"} → {"access": […]}: the owner first, then everybody by wallet
enum err access_key_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct store_object row;
    struct uuid after = {{0}};
    struct uuid *wallets = NULL;
    size_t count = LIST_MAX;
    TRY(doc_params(op, &doc));
    TRY(take_object(op, doc, &row));
    json_t *list = json_array();
    TRY(doc_set(answer, "access", list));
    if (!uuid_is_zero(&row.owner))
        TRY(append(list,
                   json_pack("{s:o, s:s, s:n, s:n}", "endpoint", endpoint_name(op, &row.owner),
                             "access", "owner", "wallet", "group")));
    while (count == LIST_MAX) {
        TRY(store_member_of(op->ops->set.store, &row.id, &after, LIST_MAX, op->arena, &wallets,
                            &count));
        for (size_t i = 0; i < count; i++)
            TRY(add_wallet(op, list, &wallets[i]));
        if (count > 0)
            after = wallets[count - 1];
    }
    return doc_answer(op, json_incref(answer));
}

static enum err take_endpoint(struct op *op, const json_t *doc, struct store_endpoint *ret)
{
    struct span name;
    TRY(named_take_name(doc, "name", &name));
    TRY(endpoint_find(op, name, ret));
    op->object = ret->id;
    return ERR_OK;
}

static enum err add_reach(struct op *op, json_t *list, const struct store_endpoint *endpoint,
                          const struct store_grant *grant)
{
    uint64_t count = 0;
    bool direct = memcmp(&grant->grantee, &endpoint->id, sizeof endpoint->id) == 0;
    TRY(store_member_count(op->ops->set.store, &grant->wallet, &count));
    return append(list,
                  json_pack("{s:o, s:s, s:b, s:o, s:I}", "wallet", named_name(op, &grant->wallet),
                            "access", access_name(grant->access), "manage",
                            (grant->access & GRANT_MANAGE) != 0, "group",
                            direct ? json_null() : named_name(op, &grant->grantee), "objects",
                            (json_int_t)count));
}

// {"name"} → {"access": […]}: what it owns, then wallet by wallet
enum err access_endpoint_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct store_endpoint row;
    struct store_grant *grants = NULL;
    size_t count = 0;
    uint64_t own = 0;
    TRY(doc_params(op, &doc));
    TRY(take_endpoint(op, doc, &row));
    struct store_query query = {.owner = row.id};
    TRY(store_object_count(op->ops->set.store, &query, &own));
    TRY(store_grant_reach(op->ops->set.store, &row.id, op->arena, &grants, &count));
    json_t *list = json_array();
    TRY(doc_set(answer, "access", list));
    TRY(append(list, json_pack("{s:n, s:s, s:b, s:n, s:I}", "wallet", "access", "owner", "manage",
                               0, "group", "objects", (json_int_t)own)));
    for (size_t i = 0; i < count; i++)
        TRY(add_reach(op, list, &row, &grants[i]));
    return doc_answer(op, json_incref(answer));
}

static enum err add_object(struct op *op, json_t *list, const struct uuid *who,
                           const struct store_object *row)
{
    struct object object = {.row = *row};
    uint32_t access = 0;
    json_t *item = NULL;
    bool own = memcmp(&row->owner, who, sizeof *who) == 0;
    TRY(key_summary(op, &object, &item));
    TRY(append(list, item));
    if (!own)
        TRY(store_access_get(op->ops->set.store, who, &row->id, &access));
    return doc_set(item, "access", json_string(own ? "owner" : access_name(access)));
}

// {"name", "cursor", "limit"} → {"keys": […], "next_cursor"}: each object that it can reach
enum err access_objects_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    CLEANUP(reach_freep) struct reach *reach = NULL;
    struct store_endpoint row;
    struct store_query query = {0};
    int64_t limit = PAGE_DEFAULT;
    const struct store_object *at = NULL;
    struct uuid last = {{0}};
    TRY(doc_params(op, &doc));
    TRY(take_endpoint(op, doc, &row));
    TRY(doc_cursor(doc, &query.after));
    TRY(doc_integer(doc, "limit", 1, STORE_FIND_MAX, &limit));
    TRY(reach_new(op, &row.id, &query, &reach));
    json_t *list = json_array();
    TRY(doc_set(answer, "keys", list));
    for (int64_t i = 0; i < limit; i++) {
        TRY(reach_next(reach, &at));
        if (at == NULL)
            break;
        TRY(add_object(op, list, &row.id, at));
        last = at->id;
    }
    TRY(doc_set(answer, "next_cursor", at != NULL ? doc_uuid(&last) : json_null()));
    return doc_answer(op, json_incref(answer));
}
