// SPDX-License-Identifier: Apache-2.0
//
// One table of kinds.
#include "ops/grantee.h"

#include "ops/account.h"
#include "ops/endpoint.h"
#include "ops/named.h"

static const struct {
    uint32_t kind;
    const char *field;
} kinds[] = {
    {GRANTEE_ENDPOINT, "endpoint"},
    {GRANTEE_ENDPOINT_GROUP, "endpoint_group"},
    {GRANTEE_USER, "user"},
    {GRANTEE_USER_GROUP, "user_group"},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

const char *grantee_kind_name(uint32_t kind)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (kinds[i].kind == kind)
            return kinds[i].field;
    }
    return "nobody";
}

static enum err take_kind(const json_t *doc, size_t *ret)
{
    size_t given = 0;
    for (size_t i = 0; i < KINDS; i++) {
        if (json_object_get(doc, kinds[i].field) == NULL)
            continue;
        *ret = i;
        given++;
    }
    if (given != 1)
        FAIL(ERR_INVALID,
             "give one of \"endpoint\", \"endpoint_group\", \"user\" and \"user_group\"");
    return ERR_OK;
}

enum err grantee_take(struct op *op, const json_t *doc, uint32_t *ret_kind, struct uuid *ret,
                      struct span *ret_name)
{
    size_t at = 0;
    struct store_endpoint endpoint;
    struct store_named group;
    struct account account;
    TRY(take_kind(doc, &at));
    const char *field = kinds[at].field;
    TRY(named_take_name(doc, field, ret_name));
    *ret_kind = kinds[at].kind;
    switch (kinds[at].kind) {
    case GRANTEE_ENDPOINT:
        TRY(endpoint_find(op, *ret_name, &endpoint));
        *ret = endpoint.id;
        return ERR_OK;
    case GRANTEE_USER:
        TRY(account_find(op, doc, field, &account));
        *ret = account.row.id;
        return ERR_OK;
    default:
        TRY(named_find(
            op, kinds[at].kind == GRANTEE_USER_GROUP ? NAMED_USER_GROUP : NAMED_ENDPOINT_GROUP, doc,
            field, &group));
        *ret = group.id;
        return ERR_OK;
    }
}

json_t *grantee_name(struct op *op, uint32_t kind, const struct uuid *id)
{
    if (kind == GRANTEE_ENDPOINT)
        return endpoint_name(op, id);
    return kind == GRANTEE_USER ? account_name(op, id) : named_name(op, id);
}

enum err grantee_find_owner(struct op *op, struct span name, struct uuid *ret)
{
    struct store_endpoint endpoint;
    struct account account;
    enum err err = endpoint_find(op, name, &endpoint);
    if (err == ERR_OK)
        *ret = endpoint.id;
    if (err != ERR_NOT_FOUND)
        return err;
    err = account_named(op, name, &account);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "there is no endpoint and no user \"%.*s\"", (int)name.len,
             (const char *)name.data);
    TRY(err);
    *ret = account.row.id;
    return ERR_OK;
}

json_t *grantee_owner(struct op *op, const struct uuid *id)
{
    if (uuid_is_zero(id))
        return json_null();
    return grantee_owner_kind(op, id) == GRANTEE_USER ? account_name(op, id)
                                                      : endpoint_name(op, id);
}

uint32_t grantee_owner_kind(struct op *op, const struct uuid *id)
{
    struct store_endpoint endpoint;
    struct store_user user;
    if (store_endpoint_get(op->ops->set.store, id, op->arena, &endpoint) == ERR_OK)
        return GRANTEE_ENDPOINT;
    return store_user_get(op->ops->set.store, id, op->arena, &user) == ERR_OK ? GRANTEE_USER : 0;
}
