// SPDX-License-Identifier: Apache-2.0
//
// Privileges below the roles: what is about groups is granted by Key Administrators, the rest by
// System Administrators. They cannot be passed on.
#include "ops/authority.h"
#include "ops/endpoint.h"
#include "ops/named.h"
#include "ops/user.h"
#include "ops/verbs.h"

static const struct row {
    const char *word;
    uint32_t by;    // who grants it
    uint32_t right; // for everything of its kind, or 0: on one thing
    bool group;     // which is a group, else an endpoint
} table[] = {
    {"monitor", RIGHT_SYSTEM, RIGHT_MONITOR, false},
    {"create-endpoint", RIGHT_SYSTEM, RIGHT_CREATE_ENDPOINT, false},
    {"manage-endpoint", RIGHT_SYSTEM, 0, false},
    {"create-endpoint-group", RIGHT_KEY, RIGHT_CREATE_GROUP, true},
    {"manage-endpoint-group", RIGHT_KEY, 0, true},
};

struct change {
    const struct row *row;
    struct account account;
    struct uuid thing; // zero: none
};

static enum err find_row(const json_t *doc, const struct row **ret)
{
    const char *word = json_string_value(json_object_get(doc, "privilege"));
    for (size_t i = 0; word != NULL && i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].word, word) == 0) {
            *ret = &table[i];
            return ERR_OK;
        }
    }
    FAIL(ERR_INVALID, "\"privilege\" is none that there is");
}

static enum err find_thing(struct op *op, const json_t *doc, struct change *change)
{
    const char *field = change->row->group ? "endpoint_group" : "endpoint";
    const char *other = change->row->group ? "endpoint" : "endpoint_group";
    bool one = change->row->right == 0;
    struct store_endpoint endpoint;
    struct store_named group;
    struct span name;
    if (json_object_get(doc, other) != NULL || (json_object_get(doc, field) != NULL) != one)
        FAIL(ERR_INVALID, "the privilege \"%s\" wants %s%s", change->row->word,
             one ? "exactly " : "neither \"endpoint\" nor \"endpoint_group\"", one ? field : "");
    if (!one)
        return ERR_OK;
    if (change->row->group) {
        TRY(named_find(op, NAMED_ENDPOINT_GROUP, doc, field, &group));
        change->thing = group.id;
        return ERR_OK;
    }
    TRY(named_take_name(doc, field, &name));
    TRY(endpoint_find(op, name, &endpoint));
    change->thing = endpoint.id;
    return ERR_OK;
}

static enum err take(struct op *op, const json_t *doc, struct change *ret)
{
    *ret = (struct change){0};
    TRY(find_row(doc, &ret->row));
    TRY(user_take(op, doc, &ret->account));
    TRY(named_tell(op, &ret->account.row.id, "%s, user \"%.*s\"", ret->row->word,
                   (int)ret->account.name.len, (const char *)ret->account.name.data));
    if (!authority_has(op, ret->row->by))
        FAIL(ERR_NOT_PERMITTED, "the privilege \"%s\" is the %s's to grant", ret->row->word,
             ret->row->by == RIGHT_KEY ? "Key Administrator" : "System Administrator");
    return find_thing(op, doc, ret);
}

static enum err answer(struct op *op, const struct account *account)
{
    json_t *doc = NULL;
    TRY(user_describe(op, account, &doc));
    return doc_answer(op, doc);
}

// {"name", "privilege", "endpoint" or "endpoint_group" for those that are about one} → the user
enum err privilege_grant_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct change change;
    TRY(doc_params(op, &doc));
    TRY(take(op, doc, &change));
    const struct store_privilege privilege = {change.account.row.id, change.thing};
    bool has = (change.account.row.rights & change.row->right) != 0;
    if (change.row->right == 0)
        TRY(store_privilege_has(op->ops->set.store, &privilege, &has));
    if (has)
        FAIL(ERR_CONFLICT, "the user has this privilege already");
    change.account.row.rights |= change.row->right;
    if (change.row->right == 0)
        TRY(store_privilege_put(op->ops->set.store, &privilege));
    else
        TRY(account_update(op, &change.account));
    return answer(op, &change.account);
}

// The same → the user
enum err privilege_revoke_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct change change;
    TRY(doc_params(op, &doc));
    TRY(take(op, doc, &change));
    const struct store_privilege privilege = {change.account.row.id, change.thing};
    if (change.row->right == 0) {
        TRY(store_privilege_remove(op->ops->set.store, &privilege));
        return answer(op, &change.account);
    }
    if ((change.account.row.rights & change.row->right) == 0)
        FAIL(ERR_NOT_FOUND, "the user has no such privilege");
    change.account.row.rights &= ~change.row->right;
    TRY(account_update(op, &change.account));
    return answer(op, &change.account);
}
