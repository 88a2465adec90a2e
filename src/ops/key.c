// SPDX-License-Identifier: Apache-2.0
//
// Keys as an administrator sees them: list, create, show. Attributes, never material.
#include "ops/key.h"
#include "ops/attributes.h"
#include "ops/endpoint.h"
#include "ops/make.h"
#include "ops/render.h"
#include "ops/verbs.h"
#include "wire/ttlv.h"

enum { PAGE_DEFAULT = 100, NAME_BYTES_MAX = 1024, ALGORITHM_MAX = 64 };

enum err key_summary(struct op *op, struct object *object, json_t **ret)
{
    char uid[UUID_TEXT_LEN + 1];
    const struct store_object *row = &object->row;
    TRY(object_open_attrs(op->ops, op->arena, object));
    uuid_text(&row->id, uid);
    uint32_t algorithm =
        (uint32_t)attributes_number(&object->attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, 0);
    struct span name = attributes_name(&object->attrs);
    *ret = json_pack(
        "{s:s, s:o, s:o, s:o, s:I, s:s, s:o, s:o}", "id", uid, "name",
        name.len > 0 ? doc_string(name) : json_null(), "type",
        render_enum(KMIP_ENUM_OBJECT_TYPE, row->type), "algorithm",
        algorithm != 0 ? render_enum(KMIP_ENUM_CRYPTOGRAPHIC_ALGORITHM, algorithm) : json_null(),
        "length", (json_int_t)attributes_number(&object->attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 0),
        "state", lifecycle_name(lifecycle_state_at(&row->dates, op->now)), "owner",
        endpoint_name(op, &row->owner), "created", doc_time(row->dates.initial));
    if (*ret == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

enum err key_answer_page(struct op *op, const json_t *doc, struct store_query *query)
{
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct store_object *rows = NULL;
    size_t count = 0;
    int64_t limit = PAGE_DEFAULT;
    TRY(doc_cursor(doc, &query->after));
    TRY(doc_integer(doc, "limit", 1, STORE_FIND_MAX, &limit));
    query->limit = (uint32_t)limit;
    TRY(store_object_find(op->ops->set.store, query, op->arena, &rows, &count));
    json_t *list = json_array();
    TRY(doc_set(answer, "keys", list));
    for (size_t i = 0; i < count; i++) {
        struct object object = {.row = rows[i]};
        json_t *item = NULL;
        TRY(key_summary(op, &object, &item));
        if (json_array_append_new(list, item) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    bool more = count == (size_t)limit;
    TRY(doc_set(answer, "next_cursor", more ? doc_uuid(&rows[count - 1].id) : json_null()));
    return doc_answer(op, json_incref(answer));
}

// {"cursor", "limit"} → {"keys": […], "next_cursor": text or null}
enum err key_list_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_query query = {.any_owner = true};
    TRY(doc_params(op, &doc));
    return key_answer_page(op, doc, &query);
}

static enum err add_name(struct op *op, struct attrs *attrs, struct span name)
{
    struct buf members CLEANUP(buf_done);
    buf_init(&members, NAME_BYTES_MAX + 64, false);
    TRY(ttlv_put_text(&members, KMIP_TAG_NAME_VALUE, name));
    TRY(ttlv_put_enumeration(&members, KMIP_TAG_NAME_TYPE,
                             KMIP_NAME_TYPE_UNINTERPRETED_TEXT_STRING));
    return attributes_put_bytes(op, attrs, KMIP_TAG_NAME, ATTR_STRUCTURE, span_buf(&members));
}

struct wanted {
    struct span name;
    struct span owner;
    bool dry_run;
    struct attrs attrs;
};

static enum err take_wanted(struct op *op, const json_t *doc, struct wanted *wanted)
{
    struct span algorithm;
    uint32_t number = 0;
    int64_t length = 256;
    const int64_t usage =
        KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT;
    TRY(doc_dry_run(doc, &wanted->dry_run));
    TRY(doc_text(doc, "algorithm", ALGORITHM_MAX, false, &algorithm));
    TRY(doc_integer(doc, "length", 8, UINT16_MAX, &length));
    TRY(doc_text(doc, "name", NAME_BYTES_MAX, false, &wanted->name));
    TRY(doc_text(doc, "owner", ENDPOINT_NAME_MAX, false, &wanted->owner));
    TRY(render_find_enum(KMIP_ENUM_CRYPTOGRAPHIC_ALGORITHM,
                         algorithm.len > 0 ? algorithm : span_str("AES"), &number));
    TRY(attributes_put_number(op, &wanted->attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM,
                              ATTR_ENUMERATION, number));
    TRY(attributes_put_number(op, &wanted->attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, ATTR_INTEGER,
                              length));
    TRY(attributes_put_number(op, &wanted->attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, ATTR_INTEGER,
                              usage));
    return wanted->name.len > 0 ? add_name(op, &wanted->attrs, wanted->name) : ERR_OK;
}

// {"algorithm", "length", "name", "owner"} → the key without its material
enum err key_create_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct wanted wanted = {0};
    struct store_endpoint owner;
    struct object object;
    json_t *answer = NULL;
    TRY(doc_params(op, &doc));
    TRY(take_wanted(op, doc, &wanted));
    TRY(arena_copy(op->arena, wanted.name, &op->detail));
    TRY(make_symmetric(op, &wanted.attrs, &object));
    if (wanted.owner.len > 0) {
        TRY(endpoint_find(op, wanted.owner, &owner));
        object.row.owner = owner.id;
    }
    if (wanted.dry_run)
        return doc_answer(op, json_pack("{s:b}", "dry_run", 1));
    TRY(object_put(op, &object));
    TRY(key_summary(op, &object, &answer));
    return doc_answer(op, answer);
}

// {"id"} → summary and all attributes
enum err key_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = NULL;
    struct request request = *op->request;
    struct op inner = *op;
    struct object object;
    struct attrs all;
    json_t *list = NULL;
    TRY(doc_params(op, &doc));
    TRY(doc_text(doc, "id", UUID_TEXT_LEN, true, &request.uid));
    inner.request = &request;
    enum err err = object_get(&inner, &object);
    op->object = inner.object;
    op->object_type = inner.object_type;
    op->detail = inner.detail;
    TRY(err);
    TRY(key_summary(op, &object, &answer));
    TRY(attributes_all(op, &object, &all));
    TRY(render_attrs(&all, &list));
    TRY(doc_set(answer, "attributes", list));
    return doc_answer(op, json_incref(answer));
}
