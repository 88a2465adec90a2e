// SPDX-License-Identifier: Apache-2.0
//
// Keys as an administrator sees them: one line, all that is known of one, and how a change of
// KMIP's is made by an administrator's verb. Attributes, never material.
#include "ops/key.h"

#include "base/clock.h"
#include "ops/attributes.h"
#include "ops/grantee.h"
#include "ops/key_history.h"
#include "ops/named.h"
#include "ops/render.h"
#include "ops/verbs.h"
#include "wire/ttlv.h"

enum { WALLETS_PAGE = 100 };

static json_t *enum_or_null(enum kmip_enum_id id, uint32_t value)
{
    return value != 0 ? render_enum(id, value) : json_null();
}

enum err key_summary(struct op *op, struct object *object, json_t **ret)
{
    char uid[UUID_TEXT_LEN + 1];
    const struct store_object *row = &object->row;
    TRY(object_open_attrs(op->ops, op->arena, object));
    uuid_text(&row->id, uid);
    uint32_t algorithm =
        (uint32_t)attributes_number(&object->attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, 0);
    struct span name = attributes_name(&object->attrs);
    *ret =
        json_pack("{s:s, s:o, s:o, s:o, s:I, s:s, s:o, s:o}", "id", uid, "name",
                  name.len > 0 ? doc_string(name) : json_null(), "type",
                  render_enum(KMIP_ENUM_OBJECT_TYPE, row->type), "algorithm",
                  enum_or_null(KMIP_ENUM_CRYPTOGRAPHIC_ALGORITHM, algorithm), "length",
                  (json_int_t)attributes_number(&object->attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 0),
                  "state", lifecycle_name(lifecycle_state_at(&row->dates, op->now)), "owner",
                  grantee_owner(op, &row->owner), "created", doc_time(row->dates.initial));
    if (*ret == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

enum err key_answer_page(struct op *op, const json_t *doc, struct store_query *query)
{
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct store_object *rows = NULL;
    size_t count = 0;
    struct doc_page page;
    TRY(doc_page(doc, &page));
    query->after = page.after;
    query->limit = page.limit;
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
    TRY(doc_page_end(answer, count == page.limit ? &rows[count - 1].id : NULL));
    return doc_answer(op, json_incref(answer));
}

bool key_is_any(const struct op *op)
{
    return authz_decide(&op->who, op->request->verb, AUTHZ_OTHER, op->ops->set.service_uid).permit;
}

enum err key_take_time(const json_t *doc, const char *name, int64_t now, int64_t *ret)
{
    struct span text;
    int64_t ms = 0;
    TRY(doc_text(doc, name, CLOCK_TEXT_LEN, false, &text));
    if (text.len == 0) {
        *ret = 0;
        return ERR_OK;
    }
    if (span_eq_str(text, "now")) {
        *ret = now;
        return ERR_OK;
    }
    if (!clock_parse((const char *)text.data, &ms))
        FAIL(ERR_INVALID, "\"%s\" is no time: write 2026-01-31 or 2026-01-31T12:00:00Z", name);
    *ret = ms / 1000 > 0 ? ms / 1000 : 1;
    return ERR_OK;
}

// Runs `run` with the document's identifier, and tells the audit trail what it has found out.
static enum err operate(struct op *op, const json_t *doc, struct request *request, op_function *run)
{
    struct op inner = *op;
    struct reply reply = {.located_items = -1};
    TRY(doc_text(doc, "id", UUID_TEXT_LEN, true, &request->uid));
    request->verb = op->request->verb;
    inner.request = request;
    inner.reply = &reply;
    enum err err = run(&inner);
    op->object = inner.object;
    op->object_type = inner.object_type;
    // Of a failure the trail tells why, not what was meant to be said of the success.
    if (err != ERR_OK && inner.detail.data == op->detail.data)
        op->detail = (struct span){NULL, 0};
    else
        op->detail = inner.detail;
    return err;
}

enum err key_take(struct op *op, const json_t *doc, struct object *ret)
{
    struct op inner = *op;
    struct request request = *op->request;
    TRY(doc_text(doc, "id", UUID_TEXT_LEN, true, &request.uid));
    inner.request = &request;
    enum err err = object_get_attrs(&inner, ret);
    op->object = inner.object;
    op->object_type = inner.object_type;
    if (err != ERR_OK)
        op->detail = inner.detail;
    return err;
}

static enum err change_and_answer(struct op *op, const json_t *doc, struct request *request,
                                  op_function *change, bool dry_run)
{
    struct object object = {0};
    json_t *answer = NULL;
    TRY(operate(op, doc, request, change));
    TRY(store_object_get(op->ops->set.store, &op->object, op->arena, &object.row));
    TRY(key_summary(op, &object, &answer));
    if (dry_run)
        TRY(doc_set(answer, "dry_run", json_true()));
    return doc_answer(op, answer);
}

enum err key_change(struct op *op, const json_t *doc, struct request *request, op_function *change)
{
    bool dry_run = false;
    TRY(doc_dry_run(doc, &dry_run));
    if (!dry_run)
        return change_and_answer(op, doc, request, change, false);
    TRY(store_save(op->ops->set.store));
    enum err err = change_and_answer(op, doc, request, change, true);
    store_undo(op->ops->set.store);
    if (err == ERR_OK)
        op->detail = span_str("a dry run: nothing was changed");
    return err;
}

// ---- one key in detail ----

static enum err append(json_t *list, json_t *item)
{
    if (item == NULL || json_array_append_new(list, item) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

// Whether the one who asks may know that the wallet is there.
static bool may_see(const struct store_grant *grants, size_t count, const struct uuid *wallet)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&grants[i].wallet, wallet, sizeof *wallet) == 0)
            return true;
    }
    return false;
}

enum err key_wallets(struct op *op, const struct uuid *object, bool any, json_t *list)
{
    struct store_grant *grants = NULL;
    struct uuid *wallets = NULL;
    struct uuid after = {{0}};
    size_t grant_count = 0;
    size_t count = WALLETS_PAGE;
    if (!any)
        TRY(store_grant_reach(op->ops->set.store, &op->who.id, op->arena, &grants, &grant_count));
    while (count == WALLETS_PAGE) {
        TRY(store_member_of(op->ops->set.store, object, &after, WALLETS_PAGE, op->arena, &wallets,
                            &count));
        for (size_t i = 0; i < count; i++) {
            if (any || may_see(grants, grant_count, &wallets[i]))
                TRY(append(list, named_name(op, &wallets[i])));
        }
        if (count > 0)
            after = wallets[count - 1];
    }
    return ERR_OK;
}

static enum err list_links(const struct object *object, json_t *list)
{
    for (size_t i = 0; i < object->attrs.count; i++) {
        const struct attr *attr = &object->attrs.items[i];
        struct ttlv type;
        struct ttlv id;
        uint32_t number = 0;
        if (attr->tag != KMIP_TAG_LINK || !ttlv_find(attr->bytes, KMIP_TAG_LINK_TYPE, &type) ||
            !ttlv_find(attr->bytes, KMIP_TAG_LINKED_OBJECT_IDENTIFIER, &id))
            continue;
        TRY(ttlv_enumeration(&type, &number));
        TRY(append(list, json_pack("{s:o, s:o}", "type", render_enum(KMIP_ENUM_LINK_TYPE, number),
                                   "id", doc_string(id.value))));
    }
    return ERR_OK;
}

static enum err describe(struct op *op, struct object *object, json_t *answer)
{
    struct attrs all;
    json_t *attributes = NULL;
    json_t *wallets = json_array();
    TRY(doc_set(answer, "wallets", wallets));
    json_t *links = json_array();
    TRY(doc_set(answer, "links", links));
    TRY(doc_set(answer, "sensitive", json_boolean(object->row.flags & OBJECT_SENSITIVE)));
    TRY(doc_set(answer, "extractable", json_boolean(object->row.flags & OBJECT_EXTRACTABLE)));
    TRY(key_wallets(op, &object->row.id, key_is_any(op), wallets));
    TRY(list_links(object, links));
    TRY(key_history_put(op, object, answer));
    TRY(attributes_all(op, object, &all));
    TRY(render_attrs(&all, &attributes));
    return doc_set(answer, "attributes", attributes);
}

// {"id"} → the key's line, all attributes, wallets, links and timeline
enum err key_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = NULL;
    struct object object;
    TRY(doc_params(op, &doc));
    TRY(key_take(op, doc, &object));
    TRY(key_summary(op, &object, &answer));
    TRY(describe(op, &object, answer));
    return doc_answer(op, json_incref(answer));
}
