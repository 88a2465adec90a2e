// SPDX-License-Identifier: Apache-2.0
//
// Groups of endpoints and of users: what is granted to a group is granted to each of its members.
// Somebody may be in any number of them.
#include "ops/account.h"
#include "ops/authority.h"
#include "ops/endpoint.h"
#include "ops/named.h"
#include "ops/verbs.h"

enum { LIST_MAX = STORE_FIND_MAX };

static json_t *member_name(struct op *op, uint32_t kind, const struct uuid *id)
{
    return kind == NAMED_USER_GROUP ? account_name(op, id) : endpoint_name(op, id);
}

static enum err add_members(struct op *op, const struct store_named *group, json_t *answer)
{
    struct uuid after = {{0}};
    struct uuid *ids = NULL;
    size_t count = LIST_MAX;
    json_t *list = json_array();
    TRY(doc_set(answer, "members", list));
    while (count == LIST_MAX) {
        TRY(store_member_list(op->ops->set.store, &group->id, &after, LIST_MAX, op->arena, &ids,
                              &count));
        for (size_t i = 0; i < count; i++) {
            if (json_array_append_new(list, member_name(op, group->kind, &ids[i])) != 0)
                FAIL(ERR_MEMORY, "no memory for an answer");
        }
        if (count > 0)
            after = ids[count - 1];
    }
    return ERR_OK;
}

static enum err answer_group(struct op *op, const struct store_named *row)
{
    CLEANUP(doc_freep) json_t *answer = NULL;
    TRY(named_describe(op, row, &answer));
    TRY(add_members(op, row, answer));
    return doc_answer(op, json_incref(answer));
}

static enum err show(struct op *op, uint32_t kind)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_named row;
    TRY(doc_params(op, &doc));
    TRY(named_take(op, kind, doc, &row));
    op->object = row.id;
    return answer_group(op, &row);
}

// The endpoint or the user that is to join or to leave.
static enum err take_member(struct op *op, uint32_t kind, const json_t *doc, struct uuid *ret)
{
    struct store_endpoint endpoint;
    struct account account;
    struct span name;
    if (kind == NAMED_USER_GROUP) {
        TRY(account_find(op, doc, "user", &account));
        *ret = account.row.id;
        return ERR_OK;
    }
    TRY(named_take_name(doc, "endpoint", &name));
    TRY(endpoint_find(op, name, &endpoint));
    *ret = endpoint.id;
    return ERR_OK;
}

static enum err change(struct op *op, uint32_t kind, bool add)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_named row;
    struct uuid member;
    const char *field = kind == NAMED_USER_GROUP ? "user" : "endpoint";
    TRY(doc_params(op, &doc));
    TRY(named_take(op, kind, doc, &row));
    TRY(take_member(op, kind, doc, &member));
    const char *name = json_string_value(json_object_get(doc, field));
    TRY(named_tell(op, &row.id, "%s \"%s\", group \"%s\"", field, name,
                   json_string_value(json_object_get(doc, "name"))));
    struct store *store = op->ops->set.store;
    enum err err = add ? store_member_put(store, &row.id, &member)
                       : store_member_remove(store, &row.id, &member);
    if (err == ERR_CONFLICT || err == ERR_NOT_FOUND)
        FAIL(err, "%s \"%s\" is %s in this group", field, name, add ? "already" : "not");
    TRY(err);
    return answer_group(op, &row);
}

// ---- of endpoints ----

enum err group_list_run(struct op *op)
{
    return named_list(op, NAMED_ENDPOINT_GROUP, "endpoint_groups", "members");
}

// Who makes one without being Key Administrator manages it.
enum err group_create_run(struct op *op)
{
    struct store_named row;
    TRY(named_create(op, NAMED_ENDPOINT_GROUP, &row));
    if (authority_has(op, RIGHT_KEY))
        return ERR_OK;
    return authority_give(op, &row.id);
}

enum err group_update_run(struct op *op)
{
    return named_update(op, NAMED_ENDPOINT_GROUP);
}

enum err group_delete_run(struct op *op)
{
    return named_delete(op, NAMED_ENDPOINT_GROUP);
}

// {"name"} → the group with the names of its members
enum err group_show_run(struct op *op)
{
    return show(op, NAMED_ENDPOINT_GROUP);
}

// {"name", "endpoint"} → the group
enum err group_add_run(struct op *op)
{
    return change(op, NAMED_ENDPOINT_GROUP, true);
}

// {"name", "endpoint"} → the group
enum err group_remove_run(struct op *op)
{
    return change(op, NAMED_ENDPOINT_GROUP, false);
}

// ---- of users ----

enum err user_group_list_run(struct op *op)
{
    return named_list(op, NAMED_USER_GROUP, "user_groups", "members");
}

enum err user_group_create_run(struct op *op)
{
    struct store_named row;
    return named_create(op, NAMED_USER_GROUP, &row);
}

enum err user_group_update_run(struct op *op)
{
    return named_update(op, NAMED_USER_GROUP);
}

enum err user_group_delete_run(struct op *op)
{
    return named_delete(op, NAMED_USER_GROUP);
}

// {"name"} → the group with the names of its members
enum err user_group_show_run(struct op *op)
{
    return show(op, NAMED_USER_GROUP);
}

// {"name", "user"} → the group
enum err user_group_add_run(struct op *op)
{
    return change(op, NAMED_USER_GROUP, true);
}

// {"name", "user"} → the group
enum err user_group_remove_run(struct op *op)
{
    return change(op, NAMED_USER_GROUP, false);
}
