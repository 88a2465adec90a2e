// SPDX-License-Identifier: Apache-2.0
//
// Who can reach what: the endpoints and users that reach a key, and by what; what one of them can
// reach, and by what. The same rows decide each request (object_relate).
#include "ops/access.h"

#include "ops/endpoint.h"
#include "ops/grantee.h"
#include "ops/key.h"
#include "ops/named.h"
#include "ops/reach.h"
#include "ops/user.h"
#include "ops/verbs.h"

enum { LIST_MAX = STORE_FIND_MAX };

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
static enum err add_reacher(struct op *op, json_t *list, uint32_t kind, const struct uuid *who,
                            const struct store_grant *grant)
{
    bool direct = memcmp(who, &grant->grantee, sizeof *who) == 0;
    return append(list,
                  json_pack("{s:s, s:o, s:s, s:o, s:o}", "kind", grantee_kind_name(kind), "name",
                            grantee_name(op, kind, who), "access", access_name(grant->access),
                            "wallet", named_name(op, &grant->wallet), "group",
                            direct ? json_null() : named_name(op, &grant->grantee)));
}

static enum err add_grant(struct op *op, json_t *list, const struct store_grant *grant)
{
    struct uuid after = {{0}};
    struct uuid *members = NULL;
    size_t count = LIST_MAX;
    bool users = grant->kind == GRANTEE_USER || grant->kind == GRANTEE_USER_GROUP;
    uint32_t kind = users ? GRANTEE_USER : GRANTEE_ENDPOINT;
    if (grant->kind == kind)
        return add_reacher(op, list, kind, &grant->grantee, grant);
    while (count == LIST_MAX) {
        TRY(store_member_list(op->ops->set.store, &grant->grantee, &after, LIST_MAX, op->arena,
                              &members, &count));
        for (size_t i = 0; i < count; i++)
            TRY(add_reacher(op, list, kind, &members[i], grant));
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

// An object that the asker may ask this about.
static enum err take_object(struct op *op, const json_t *doc, struct store_object *ret)
{
    struct request request = *op->request;
    struct op inner = *op;
    struct object object;
    TRY(doc_text(doc, "id", UUID_TEXT_LEN, true, &request.uid));
    inner.request = &request;
    enum err err = object_get(&inner, &object);
    op->object = inner.object;
    op->object_type = inner.object_type;
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "there is no key \"%.*s\"", (int)request.uid.len,
             (const char *)request.uid.data);
    TRY(err);
    *ret = object.row;
    return ERR_OK;
}

static enum err add_owner(struct op *op, json_t *list, const struct uuid *owner)
{
    uint32_t kind = grantee_owner_kind(op, owner);
    if (kind == 0)
        return ERR_OK;
    return append(list,
                  json_pack("{s:s, s:o, s:s, s:n, s:n}", "kind", grantee_kind_name(kind), "name",
                            grantee_name(op, kind, owner), "access", "owner", "wallet", "group"));
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
    TRY(add_owner(op, list, &row.owner));
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

static enum err add_reach(struct op *op, json_t *list, const struct uuid *who,
                          const struct store_grant *grant)
{
    uint64_t count = 0;
    bool direct = memcmp(&grant->grantee, who, sizeof *who) == 0;
    TRY(store_member_count(op->ops->set.store, &grant->wallet, &count));
    return append(list,
                  json_pack("{s:o, s:s, s:b, s:o, s:I}", "wallet", named_name(op, &grant->wallet),
                            "access", access_name(grant->access), "manage",
                            (grant->access & GRANT_MANAGE) != 0, "group",
                            direct ? json_null() : named_name(op, &grant->grantee), "objects",
                            (json_int_t)count));
}

// {"access": […]}: what somebody owns, then wallet by wallet
static enum err answer_access(struct op *op, const struct uuid *who)
{
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct store_grant *grants = NULL;
    size_t count = 0;
    uint64_t own = 0;
    struct store_query query = {.owner = *who};
    TRY(store_object_count(op->ops->set.store, &query, &own));
    TRY(store_grant_reach(op->ops->set.store, who, op->arena, &grants, &count));
    json_t *list = json_array();
    TRY(doc_set(answer, "access", list));
    TRY(append(list, json_pack("{s:n, s:s, s:b, s:n, s:I}", "wallet", "access", "owner", "manage",
                               0, "group", "objects", (json_int_t)own)));
    for (size_t i = 0; i < count; i++)
        TRY(add_reach(op, list, who, &grants[i]));
    return doc_answer(op, json_incref(answer));
}

// {"name"}
enum err access_endpoint_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_endpoint row;
    struct span name;
    TRY(doc_params(op, &doc));
    TRY(endpoint_take(op, doc, &row, &name));
    return answer_access(op, &row.id);
}

// {"name"}
enum err access_user_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    TRY(doc_params(op, &doc));
    TRY(user_take(op, doc, &account));
    return answer_access(op, &account.row.id);
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

// {"keys": […], "next_cursor"}
static enum err answer_objects(struct op *op, const json_t *doc, const struct uuid *who)
{
    CLEANUP(doc_freep) json_t *answer = json_object();
    CLEANUP(reach_freep) struct reach *reach = NULL;
    struct store_query query = {0};
    struct doc_page page;
    const struct store_object *at = NULL;
    struct uuid last = {{0}};
    TRY(doc_page(doc, &page));
    query.after = page.after;
    TRY(reach_new(op, who, &query, &reach));
    json_t *list = json_array();
    TRY(doc_set(answer, "keys", list));
    for (uint32_t i = 0; i < page.limit; i++) {
        TRY(reach_next(reach, &at));
        if (at == NULL)
            break;
        TRY(add_object(op, list, who, at));
        last = at->id;
    }
    TRY(doc_page_end(answer, at != NULL ? &last : NULL));
    return doc_answer(op, json_incref(answer));
}

// {"name", "cursor", "limit"}
enum err access_objects_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_endpoint row;
    struct span name;
    TRY(doc_params(op, &doc));
    TRY(endpoint_take(op, doc, &row, &name));
    return answer_objects(op, doc, &row.id);
}

// {"name", "cursor", "limit"}
enum err access_user_objects_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    TRY(doc_params(op, &doc));
    TRY(user_take(op, doc, &account));
    return answer_objects(op, doc, &account.row.id);
}
