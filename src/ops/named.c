// SPDX-License-Identifier: Apache-2.0
//
// Wallets and groups as far as they are alike.
#include "ops/named.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "ops/authority.h"
#include "ops/index.h"
#include "ops/seal.h"
#include "store/people.h"

enum { TELL_MAX = 512 };

struct named_record {
    struct span name;
    struct span description;
};

static const char *kind_name(uint32_t kind)
{
    if (kind == NAMED_WALLET)
        return "wallet";
    return kind == NAMED_USER_GROUP ? "user group" : "endpoint group";
}

static struct seal_bound bound_of(const struct store_named *row)
{
    return (struct seal_bound){.part = SEAL_NAMED, .id = row->id, .type = row->kind};
}

static enum err open_record(struct op *op, const struct store_named *row, struct named_record *ret)
{
    struct span plain;
    struct seal_bound bound = bound_of(row);
    TRY(seal_open(op->ops, op->arena, &bound, &row->key_id, row->sealed, &plain));
    struct cursor in = cursor_of(plain);
    TRY(cursor_var(&in, &ret->name));
    TRY(cursor_var(&in, &ret->description));
    return cursor_end(&in);
}

static enum err seal_record(struct op *op, const struct named_record *record,
                            struct store_named *row)
{
    struct seal_bound bound = bound_of(row);
    struct buf plain CLEANUP(buf_done);
    buf_init(&plain, NAMED_SEALED_MAX, false);
    TRY(buf_put_var(&plain, record->name));
    TRY(buf_put_var(&plain, record->description));
    TRY(index_named(op->ops, row->kind, record->name, row->name_hash));
    return seal_close(op->ops, op->arena, &bound, span_buf(&plain), &row->sealed, &row->key_id);
}

static enum err check_name(struct span name, const char *field)
{
    if (name.data[0] == ' ' || name.data[name.len - 1] == ' ')
        FAIL(ERR_INVALID, "\"%s\" begins or ends with a blank", field);
    for (size_t i = 0; i < name.len; i++) {
        if (strchr("/\\\"'<>&", name.data[i]) != NULL)
            FAIL(ERR_INVALID, "\"%s\" holds the character '%c'", field, name.data[i]);
    }
    return ERR_OK;
}

enum err named_take_name(const json_t *doc, const char *field, struct span *ret)
{
    TRY(doc_text(doc, field, NAMED_NAME_MAX, true, ret));
    return check_name(*ret, field);
}

enum err named_find(struct op *op, uint32_t kind, const json_t *doc, const char *field,
                    struct store_named *ret)
{
    uint8_t hash[STORE_HASH_LEN];
    struct span name;
    TRY(named_take_name(doc, field, &name));
    TRY(index_named(op->ops, kind, name, hash));
    enum err err = store_named_by_name(op->ops->set.store, kind, hash, op->arena, ret);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "there is no %s \"%.*s\"", kind_name(kind), (int)name.len,
             (const char *)name.data);
    return err;
}

// How the asker stands to it.
static enum err check_authority(struct op *op, const struct store_named *row)
{
    if (row->kind == NAMED_WALLET)
        return authority_wallet(op, &row->id);
    return authority_thing(op, &row->id);
}

enum err named_take(struct op *op, uint32_t kind, const json_t *doc, struct store_named *ret)
{
    TRY(named_find(op, kind, doc, "name", ret));
    enum err err = check_authority(op, ret);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "there is no %s \"%s\"", kind_name(kind),
             json_string_value(json_object_get(doc, "name")));
    return err;
}

json_t *named_name(struct op *op, const struct uuid *id)
{
    struct store_named row;
    struct named_record record;
    if (uuid_is_zero(id) || store_named_get(op->ops->set.store, id, op->arena, &row) != ERR_OK ||
        open_record(op, &row, &record) != ERR_OK)
        return json_null();
    return doc_string(record.name);
}

enum err named_describe(struct op *op, const struct store_named *row, json_t **ret)
{
    struct named_record record;
    TRY(open_record(op, row, &record));
    *ret =
        json_pack("{s:o, s:o, s:o, s:o}", "id", doc_uuid(&row->id), "name", doc_string(record.name),
                  "description", doc_string(record.description), "created", doc_time(row->created));
    if (*ret == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

enum err named_tell(struct op *op, const struct uuid *object, const char *format, ...)
{
    char text[TELL_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    op->object = *object;
    if (len < 0)
        FAIL(ERR_INTERNAL, "an audit detail could not be made");
    return arena_copy(op->arena, span_str(text), &op->detail);
}

static enum err list_item(struct op *op, const struct store_named *row, const char *members,
                          json_t *list)
{
    uint64_t count = 0;
    json_t *item = NULL;
    TRY(named_describe(op, row, &item));
    if (json_array_append_new(list, item) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    TRY(store_member_count(op->ops->set.store, &row->id, &count));
    return doc_set(item, members, json_integer((json_int_t)count));
}

// Wallets are seen by whom they are granted to, groups by whom they are managed; all by whom a role
// lets.
static enum err may_see(struct op *op, const struct store_named *row, bool *ret)
{
    uint32_t access = 0;
    const struct store_privilege privilege = {op->who.id, row->id};
    *ret = row->kind == NAMED_WALLET ? authority_has(op, RIGHT_KEY) : authority_is_general(op);
    if (*ret)
        return ERR_OK;
    if (row->kind != NAMED_WALLET)
        return store_privilege_has(op->ops->set.store, &privilege, ret);
    TRY(authority_access(op, &row->id, &access));
    *ret = access != 0;
    return ERR_OK;
}

enum err named_list(struct op *op, uint32_t kind, const char *list_name, const char *members)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct store_named *rows = NULL;
    struct doc_page page;
    size_t count = 0;
    TRY(doc_params(op, &doc));
    TRY(doc_page(doc, &page));
    TRY(store_named_list(op->ops->set.store, kind, &page.after, page.limit, op->arena, &rows,
                         &count));
    json_t *list = json_array();
    TRY(doc_set(answer, list_name, list));
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        TRY(may_see(op, &rows[i], &seen));
        if (seen)
            TRY(list_item(op, &rows[i], members, list));
    }
    TRY(doc_page_end(answer, count == page.limit ? &rows[count - 1].id : NULL));
    return doc_answer(op, json_incref(answer));
}

static enum err taken(enum err err, uint32_t kind, struct span name)
{
    if (err == ERR_CONFLICT)
        FAIL(ERR_CONFLICT, "%s \"%.*s\" exists already; choose another name", kind_name(kind),
             (int)name.len, (const char *)name.data);
    return err;
}

enum err named_create(struct op *op, uint32_t kind, struct store_named *ret)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct named_record record;
    json_t *answer = NULL;
    struct store_named row = {
        .id = uuid_ordered(clock_wall_ms()), .version = 1, .kind = kind, .created = op->now};
    TRY(doc_params(op, &doc));
    TRY(named_take_name(doc, "name", &record.name));
    TRY(doc_text(doc, "description", NAMED_TEXT_MAX, false, &record.description));
    TRY(named_tell(op, &row.id, "%s \"%.*s\"", kind_name(kind), (int)record.name.len,
                   (const char *)record.name.data));
    TRY(seal_record(op, &record, &row));
    TRY(taken(store_named_put(op->ops->set.store, &row), kind, record.name));
    *ret = row;
    TRY(named_describe(op, &row, &answer));
    return doc_answer(op, answer);
}

enum err named_update(struct op *op, uint32_t kind)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_named row;
    struct named_record record;
    json_t *answer = NULL;
    TRY(doc_params(op, &doc));
    TRY(named_take(op, kind, doc, &row));
    TRY(open_record(op, &row, &record));
    TRY(named_tell(op, &row.id, "%s \"%.*s\"", kind_name(kind), (int)record.name.len,
                   (const char *)record.name.data));
    if (json_object_get(doc, "new_name") != NULL)
        TRY(named_take_name(doc, "new_name", &record.name));
    if (json_object_get(doc, "description") != NULL)
        TRY(doc_text(doc, "description", NAMED_TEXT_MAX, false, &record.description));
    TRY(seal_record(op, &record, &row));
    TRY(taken(store_named_update(op->ops->set.store, &row), kind, record.name));
    TRY(named_describe(op, &row, &answer));
    return doc_answer(op, answer);
}

enum err named_delete(struct op *op, uint32_t kind)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_named row;
    struct named_record record;
    TRY(doc_params(op, &doc));
    TRY(named_take(op, kind, doc, &row));
    TRY(open_record(op, &row, &record));
    TRY(named_tell(op, &row.id, "%s \"%.*s\"", kind_name(kind), (int)record.name.len,
                   (const char *)record.name.data));
    TRY(store_named_remove(op->ops->set.store, &row.id, row.version));
    return doc_answer(op, json_pack("{s:o, s:o, s:b}", "id", doc_uuid(&row.id), "name",
                                    doc_string(record.name), "deleted", 1));
}
