// SPDX-License-Identifier: Apache-2.0
//
// Groups of endpoints: what is granted to a group is granted to each of its members. An endpoint
// may be in any number of them.
#include "ops/endpoint.h"
#include "ops/named.h"
#include "ops/verbs.h"

enum { LIST_MAX = STORE_FIND_MAX };

enum err group_list_run(struct op *op)
{
    return named_list(op, NAMED_ENDPOINT_GROUP, "endpoint_groups", "members");
}

enum err group_create_run(struct op *op)
{
    return named_create(op, NAMED_ENDPOINT_GROUP);
}

enum err group_update_run(struct op *op)
{
    return named_update(op, NAMED_ENDPOINT_GROUP);
}

enum err group_delete_run(struct op *op)
{
    return named_delete(op, NAMED_ENDPOINT_GROUP);
}

static enum err add_members(struct op *op, const struct uuid *group, json_t *answer)
{
    struct uuid after = {{0}};
    struct uuid *ids = NULL;
    size_t count = LIST_MAX;
    json_t *list = json_array();
    TRY(doc_set(answer, "members", list));
    while (count == LIST_MAX) {
        TRY(store_member_list(op->ops->set.store, group, &after, LIST_MAX, op->arena, &ids,
                              &count));
        for (size_t i = 0; i < count; i++) {
            if (json_array_append_new(list, endpoint_name(op, &ids[i])) != 0)
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
    TRY(add_members(op, &row->id, answer));
    return doc_answer(op, json_incref(answer));
}

// {"name"} → the group with the names of its members
enum err group_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_named row;
    TRY(doc_params(op, &doc));
    TRY(named_find(op, NAMED_ENDPOINT_GROUP, doc, "name", &row));
    op->object = row.id;
    return answer_group(op, &row);
}

static enum err change(struct op *op, bool add)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_named row;
    struct store_endpoint endpoint;
    struct span name;
    TRY(doc_params(op, &doc));
    TRY(named_find(op, NAMED_ENDPOINT_GROUP, doc, "name", &row));
    TRY(named_take_name(doc, "endpoint", &name));
    TRY(endpoint_find(op, name, &endpoint));
    TRY(named_tell(op, &row.id, "endpoint \"%.*s\", group \"%s\"", (int)name.len,
                   (const char *)name.data, json_string_value(json_object_get(doc, "name"))));
    struct store *store = op->ops->set.store;
    enum err err = add ? store_member_put(store, &row.id, &endpoint.id)
                       : store_member_remove(store, &row.id, &endpoint.id);
    if (err == ERR_CONFLICT || err == ERR_NOT_FOUND)
        FAIL(err, "endpoint \"%.*s\" is %s in this group", (int)name.len, (const char *)name.data,
             add ? "already" : "not");
    TRY(err);
    return answer_group(op, &row);
}

// {"name", "endpoint"} → the group
enum err group_add_run(struct op *op)
{
    return change(op, true);
}

// {"name", "endpoint"} → the group
enum err group_remove_run(struct op *op)
{
    return change(op, false);
}
