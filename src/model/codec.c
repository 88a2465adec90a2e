// SPDX-License-Identifier: Apache-2.0
//
// The flat encodings, by table. A record is a mask of 32 bits, one for each row of its table, and
// then the fields whose bit is set, in the table's order; a field that has its absent value is left
// out. Numbers are big-endian, bytes have a 32-bit length before them. Rows are only ever appended:
// a change of anything else raises MODEL_FORMAT.
//
// Readers check that every bit is known, every count fits into what is left of the input before
// memory is taken for it, and that nothing is left over.
#include "model/model.h"

enum field_kind {
    FIELD_BOOL,
    FIELD_U32,
    FIELD_I64,
    FIELD_SPAN,
    FIELD_ATTRS,
    FIELD_ATTR,
    FIELD_OBJECT,
    FIELD_UIDS,
    FIELD_SECRETS,
};

struct field {
    uint16_t offset;
    uint8_t kind;
    bool minus_one; // absent is -1, not 0
};

struct table {
    const struct field *fields;
    size_t count;
};

#define ROW(type, member, kind)                                                                    \
    {                                                                                              \
        offsetof(type, member), kind, false                                                        \
    }
#define ROW_MINUS_ONE(type, member, kind)                                                          \
    {                                                                                              \
        offsetof(type, member), kind, true                                                         \
    }
#define TABLE(rows)                                                                                \
    {                                                                                              \
        rows, sizeof(rows) / sizeof *(rows)                                                        \
    }

static const struct field object_rows[] = {
    ROW(struct object_data, type, FIELD_U32),
    ROW(struct object_data, key_format, FIELD_U32),
    ROW(struct object_data, compression, FIELD_U32),
    ROW(struct object_data, algorithm, FIELD_U32),
    ROW(struct object_data, length, FIELD_U32),
    ROW(struct object_data, subtype, FIELD_U32),
    ROW(struct object_data, structured, FIELD_BOOL),
    ROW(struct object_data, material, FIELD_SPAN),
    ROW(struct object_data, wrapping, FIELD_SPAN),
    ROW(struct object_data, attributes, FIELD_ATTRS),
};

static const struct field request_rows[] = {
    ROW(struct request, uid, FIELD_SPAN),
    ROW(struct request, object_type, FIELD_U32),
    ROW(struct request, attrs, FIELD_ATTRS),
    ROW(struct request, private_attrs, FIELD_ATTRS),
    ROW(struct request, public_attrs, FIELD_ATTRS),
    ROW(struct request, current, FIELD_ATTR),
    ROW(struct request, has_current, FIELD_BOOL),
    ROW(struct request, object, FIELD_OBJECT),
    ROW(struct request, key_format, FIELD_U32),
    ROW(struct request, key_compression, FIELD_U32),
    ROW(struct request, has_wrapping, FIELD_BOOL),
    ROW_MINUS_ONE(struct request, maximum_items, FIELD_U32),
    ROW(struct request, offset_items, FIELD_U32),
    ROW(struct request, storage_mask, FIELD_U32),
    ROW(struct request, reason, FIELD_U32),
    ROW(struct request, reason_text, FIELD_SPAN),
    ROW(struct request, compromise_date, FIELD_I64),
    ROW(struct request, doc, FIELD_SPAN),
    ROW(struct request, secret_count, FIELD_SECRETS),
    ROW(struct request, has_offset, FIELD_BOOL),
    ROW(struct request, offset, FIELD_U32),
    ROW(struct request, once, FIELD_SPAN),
    ROW(struct request, if_match, FIELD_SPAN),
};

static const struct field reply_rows[] = {
    ROW(struct reply, message, FIELD_SPAN),   ROW(struct reply, object_type, FIELD_U32),
    ROW(struct reply, uid, FIELD_SPAN),       ROW(struct reply, public_uid, FIELD_SPAN),
    ROW(struct reply, uid_count, FIELD_UIDS), ROW_MINUS_ONE(struct reply, located_items, FIELD_I64),
    ROW(struct reply, attrs, FIELD_ATTRS),    ROW(struct reply, object, FIELD_OBJECT),
    ROW(struct reply, skipped, FIELD_BOOL),   ROW(struct reply, undone, FIELD_BOOL),
    ROW(struct reply, doc, FIELD_SPAN),       ROW(struct reply, etag, FIELD_SPAN),
    ROW(struct reply, unsure, FIELD_BOOL),
};

static const struct table object_table = TABLE(object_rows);
static const struct table request_table = TABLE(request_rows);
static const struct table reply_table = TABLE(reply_rows);

_Static_assert(sizeof(int32_t) == sizeof(uint32_t) && sizeof(enum verb) == sizeof(uint32_t),
               "signed and unsigned members share FIELD_U32");

// Parts of an attribute that are there.
enum { HAS_NAME = 1, HAS_INDEX = 2, HAS_NUMBER = 4, HAS_BYTES = 8, HAS_ALL = 15 };

// The least bytes of one item, so that a count can be held against what is left of the input.
enum { ATTR_MIN = 6, SPAN_MIN = 4, REQUEST_MIN = 6, REPLY_MIN = 8 };

static enum err check_format(struct cursor *in)
{
    uint8_t format;
    TRY(cursor_u8(in, &format));
    if (format != MODEL_FORMAT)
        FAIL(ERR_MESSAGE, "a record has format %u, not %d", format, MODEL_FORMAT);
    return ERR_OK;
}

static enum err check_count(const struct cursor *in, uint64_t count, uint64_t limit, size_t least)
{
    if (count > limit || count > in->rest.len / least)
        FAIL(ERR_MESSAGE, "a record claims %llu items", (unsigned long long)count);
    return ERR_OK;
}

static enum err get_bool(struct cursor *in, bool *ret)
{
    uint8_t value;
    TRY(cursor_u8(in, &value));
    if (value > 1)
        FAIL(ERR_MESSAGE, "a record holds a boolean %u", value);
    *ret = value == 1;
    return ERR_OK;
}

// ---- attributes ----

static enum err put_attr(struct buf *out, const struct attr *attr)
{
    unsigned has = (attr->name.len > 0 ? HAS_NAME : 0u) |
                   (attr->index != ATTR_NO_INDEX ? HAS_INDEX : 0u) |
                   (attr->number != 0 ? HAS_NUMBER : 0u) | (attr->bytes.len > 0 ? HAS_BYTES : 0u);
    TRY(buf_put_u32(out, attr->tag));
    TRY(buf_put_u8(out, attr->type));
    TRY(buf_put_u8(out, (uint8_t)has));
    if (has & HAS_NAME)
        TRY(buf_put_var(out, attr->name));
    if (has & HAS_INDEX)
        TRY(buf_put_u32(out, (uint32_t)attr->index));
    if (has & HAS_NUMBER)
        TRY(buf_put_u64(out, (uint64_t)attr->number));
    if (has & HAS_BYTES)
        TRY(buf_put_var(out, attr->bytes));
    return ERR_OK;
}

static enum err get_attr(struct cursor *in, struct attr *ret)
{
    struct attr attr = {.index = ATTR_NO_INDEX};
    uint8_t has;
    TRY(cursor_u32(in, &attr.tag));
    TRY(cursor_u8(in, &attr.type));
    TRY(cursor_u8(in, &has));
    if (attr.type > ATTR_DATE_TIME_EXTENDED || has > HAS_ALL)
        FAIL(ERR_MESSAGE, "a record holds an attribute of an unknown form");
    if (has & HAS_NAME)
        TRY(cursor_var(in, &attr.name));
    if (has & HAS_INDEX) {
        uint32_t index;
        TRY(cursor_u32(in, &index));
        attr.index = (int32_t)index;
    }
    if (has & HAS_NUMBER) {
        uint64_t number;
        TRY(cursor_u64(in, &number));
        attr.number = (int64_t)number;
    }
    if (has & HAS_BYTES)
        TRY(cursor_var(in, &attr.bytes));
    *ret = attr;
    return ERR_OK;
}

static enum err put_list(struct buf *out, const struct attrs *attrs)
{
    if (attrs->count > ATTRS_MAX)
        FAIL(ERR_TOO_LARGE, "there are more than %d attributes", ATTRS_MAX);
    TRY(buf_put_u16(out, (uint16_t)attrs->count));
    for (size_t i = 0; i < attrs->count; i++)
        TRY(put_attr(out, &attrs->items[i]));
    return ERR_OK;
}

static enum err get_list(struct cursor *in, struct arena *arena, struct attrs *ret)
{
    uint16_t count;
    TRY(cursor_u16(in, &count));
    TRY(check_count(in, count, ATTRS_MAX, ATTR_MIN));
    struct attrs attrs = {.count = count, .cap = count};
    if (count > 0)
        TRY(arena_alloc(arena, count, sizeof *attrs.items, &attrs.items));
    for (size_t i = 0; i < count; i++)
        TRY(get_attr(in, &attrs.items[i]));
    *ret = attrs;
    return ERR_OK;
}

// ---- lists that have no table ----

static enum err put_uids(struct buf *out, const struct reply *reply)
{
    if (reply->uid_count > UIDS_MAX)
        FAIL(ERR_TOO_LARGE, "there are more than %d identifiers", UIDS_MAX);
    TRY(buf_put_u32(out, (uint32_t)reply->uid_count));
    for (size_t i = 0; i < reply->uid_count; i++)
        TRY(buf_put_var(out, reply->uids[i]));
    return ERR_OK;
}

static enum err get_uids(struct cursor *in, struct arena *arena, struct reply *ret)
{
    uint32_t count;
    TRY(cursor_u32(in, &count));
    TRY(check_count(in, count, UIDS_MAX, SPAN_MIN));
    struct span *uids = NULL;
    TRY(arena_alloc(arena, count, sizeof *uids, &uids));
    for (size_t i = 0; i < count; i++)
        TRY(cursor_var(in, &uids[i]));
    ret->uids = uids;
    ret->uid_count = count;
    return ERR_OK;
}

static enum err put_secrets(struct buf *out, const struct request *request)
{
    if (request->secret_count > SECRETS_MAX)
        FAIL(ERR_TOO_LARGE, "there are more than %d secrets", SECRETS_MAX);
    TRY(buf_put_u8(out, (uint8_t)request->secret_count));
    for (size_t i = 0; i < request->secret_count; i++) {
        TRY(buf_put_var(out, request->secrets[i].name));
        TRY(buf_put_var(out, request->secrets[i].value));
    }
    return ERR_OK;
}

static enum err get_secrets(struct cursor *in, struct request *ret)
{
    uint8_t count;
    TRY(cursor_u8(in, &count));
    TRY(check_count(in, count, SECRETS_MAX, 2 * SPAN_MIN));
    for (size_t i = 0; i < count; i++) {
        TRY(cursor_var(in, &ret->secrets[i].name));
        TRY(cursor_var(in, &ret->secrets[i].value));
    }
    ret->secret_count = count;
    return ERR_OK;
}

// ---- records ----

static uint32_t mask_of(const struct table *table, const void *record);

static bool is_absent(const struct field *field, const uint8_t *record)
{
    const uint8_t *at = record + field->offset;
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL:
        return !*(const bool *)at;
    case FIELD_U32:
        return *(const uint32_t *)(const void *)at == (field->minus_one ? UINT32_MAX : 0);
    case FIELD_I64:
        return *(const int64_t *)(const void *)at == (field->minus_one ? -1 : 0);
    case FIELD_SPAN:
        return ((const struct span *)(const void *)at)->len == 0;
    case FIELD_ATTRS:
        return ((const struct attrs *)(const void *)at)->count == 0;
    case FIELD_ATTR:
        return !((const struct request *)(const void *)record)->has_current;
    case FIELD_OBJECT:
        return mask_of(&object_table, at) == 0;
    case FIELD_UIDS:
    case FIELD_SECRETS:
        return *(const size_t *)(const void *)at == 0;
    }
    return true;
}

static uint32_t mask_of(const struct table *table, const void *record)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < table->count; i++) {
        if (!is_absent(&table->fields[i], record))
            mask |= 1u << i;
    }
    return mask;
}

// Depth: a request or a reply holds an object, an object holds none.
static enum err put_record(struct buf *out, const struct table *table, const void *record);
static enum err get_record(struct cursor *in, struct arena *arena, const struct table *table,
                           void *record);

static enum err put_field(struct buf *out, const struct field *field, const void *record)
{
    const void *at = (const uint8_t *)record + field->offset;
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL:
        return buf_put_u8(out, *(const bool *)at ? 1 : 0);
    case FIELD_U32:
        return buf_put_u32(out, *(const uint32_t *)at);
    case FIELD_I64:
        return buf_put_u64(out, (uint64_t) * (const int64_t *)at);
    case FIELD_SPAN:
        return buf_put_var(out, *(const struct span *)at);
    case FIELD_ATTRS:
        return put_list(out, at);
    case FIELD_ATTR:
        return put_attr(out, at);
    case FIELD_OBJECT:
        return put_record(out, &object_table, at);
    case FIELD_UIDS:
        return put_uids(out, record);
    case FIELD_SECRETS:
        return put_secrets(out, record);
    }
    return ERR_OK;
}

static enum err get_i64(struct cursor *in, int64_t *ret)
{
    uint64_t value;
    TRY(cursor_u64(in, &value));
    *ret = (int64_t)value;
    return ERR_OK;
}

static enum err get_field(struct cursor *in, struct arena *arena, const struct field *field,
                          void *record)
{
    void *at = (uint8_t *)record + field->offset;
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL:
        return get_bool(in, at);
    case FIELD_U32:
        return cursor_u32(in, at);
    case FIELD_I64:
        return get_i64(in, at);
    case FIELD_SPAN:
        return cursor_var(in, at);
    case FIELD_ATTRS:
        return get_list(in, arena, at);
    case FIELD_ATTR:
        return get_attr(in, at);
    case FIELD_OBJECT:
        return get_record(in, arena, &object_table, at);
    case FIELD_UIDS:
        return get_uids(in, arena, record);
    case FIELD_SECRETS:
        return get_secrets(in, record);
    }
    return ERR_OK;
}

static enum err put_record(struct buf *out, const struct table *table, const void *record)
{
    uint32_t mask = mask_of(table, record);
    TRY(buf_put_u32(out, mask));
    for (; mask != 0; mask &= mask - 1)
        TRY(put_field(out, &table->fields[__builtin_ctz(mask)], record));
    return ERR_OK;
}

static enum err get_record(struct cursor *in, struct arena *arena, const struct table *table,
                           void *record)
{
    uint32_t mask;
    TRY(cursor_u32(in, &mask));
    if (mask >> table->count != 0)
        FAIL(ERR_MESSAGE, "a record holds unknown fields");
    for (; mask != 0; mask &= mask - 1)
        TRY(get_field(in, arena, &table->fields[__builtin_ctz(mask)], record));
    return ERR_OK;
}

// ---- what the header declares ----

enum err model_put_attrs(struct buf *out, const struct attrs *attrs)
{
    TRY(buf_put_u8(out, MODEL_FORMAT));
    return put_list(out, attrs);
}

enum err model_get_attrs(struct cursor *in, struct arena *arena, struct attrs *ret)
{
    TRY(check_format(in));
    return get_list(in, arena, ret);
}

enum err model_put_object(struct buf *out, const struct object_data *object)
{
    TRY(buf_put_u8(out, MODEL_FORMAT));
    return put_record(out, &object_table, object);
}

enum err model_get_object(struct cursor *in, struct arena *arena, struct object_data *ret)
{
    struct object_data object = {0};
    TRY(check_format(in));
    TRY(get_record(in, arena, &object_table, &object));
    *ret = object;
    return ERR_OK;
}

static enum err put_principal(struct buf *out, const struct principal *who)
{
    TRY(buf_put_u8(out, (uint8_t)who->kind));
    TRY(buf_put_u8(out, (uint8_t)who->credential));
    TRY(buf_put(out, span_of(who->fingerprint, sizeof who->fingerprint)));
    TRY(buf_put_u32(out, who->uid));
    TRY(buf_put(out, span_of(who->id.bytes, sizeof who->id.bytes)));
    TRY(buf_put_var(out, who->name));
    return buf_put_var(out, who->address);
}

static enum err get_principal(struct cursor *in, struct principal *ret)
{
    uint8_t kind;
    uint8_t credential;
    struct span bytes;
    TRY(cursor_u8(in, &kind));
    TRY(cursor_u8(in, &credential));
    if (kind > PRINCIPAL_USER || credential > CREDENTIAL_CERTIFICATE)
        FAIL(ERR_MESSAGE, "a record holds an unknown kind of principal");
    ret->kind = (enum principal_kind)kind;
    ret->credential = (enum credential_kind)credential;
    TRY(cursor_bytes(in, sizeof ret->fingerprint, &bytes));
    memcpy(ret->fingerprint, bytes.data, sizeof ret->fingerprint);
    TRY(cursor_u32(in, &ret->uid));
    TRY(cursor_bytes(in, sizeof ret->id.bytes, &bytes));
    memcpy(ret->id.bytes, bytes.data, sizeof ret->id.bytes);
    TRY(cursor_var(in, &ret->name));
    return cursor_var(in, &ret->address);
}

enum err model_put_batch(struct buf *out, const struct batch *batch)
{
    if (batch->count > BATCH_MAX)
        FAIL(ERR_TOO_LARGE, "a message has more than %d items", BATCH_MAX);
    TRY(buf_put_u8(out, MODEL_FORMAT));
    TRY(put_principal(out, &batch->who));
    TRY(buf_put_u16(out, batch->version));
    TRY(buf_put_u8(out, (uint8_t)batch->on_error));
    TRY(buf_put_u8(out, batch->ordered ? 1 : 0));
    TRY(buf_put_u32(out, batch->room));
    TRY(buf_put(out, span_of(batch->id.bytes, sizeof batch->id.bytes)));
    TRY(buf_put_u16(out, (uint16_t)batch->count));
    for (size_t i = 0; i < batch->count; i++) {
        TRY(buf_put_u16(out, (uint16_t)batch->items[i].verb));
        TRY(put_record(out, &request_table, &batch->items[i]));
    }
    return ERR_OK;
}

static enum err get_batch_head(struct cursor *in, struct batch *ret)
{
    uint8_t on_error;
    struct span id;
    TRY(check_format(in));
    TRY(get_principal(in, &ret->who));
    TRY(cursor_u16(in, &ret->version));
    TRY(cursor_u8(in, &on_error));
    if (on_error > ON_ERROR_UNDO)
        FAIL(ERR_MESSAGE, "a record holds an unknown batch error continuation option");
    ret->on_error = (enum on_error)on_error;
    TRY(get_bool(in, &ret->ordered));
    TRY(cursor_u32(in, &ret->room));
    TRY(cursor_bytes(in, sizeof ret->id.bytes, &id));
    memcpy(ret->id.bytes, id.data, sizeof ret->id.bytes);
    return ERR_OK;
}

static enum err get_request(struct cursor *in, struct arena *arena, struct request *ret)
{
    uint16_t verb;
    ret->maximum_items = -1;
    TRY(cursor_u16(in, &verb));
    ret->verb = (enum verb)verb;
    return get_record(in, arena, &request_table, ret);
}

enum err model_get_batch(struct span in, struct arena *arena, struct batch *ret)
{
    struct cursor cursor = cursor_of(in);
    struct batch batch = {0};
    uint16_t count;
    TRY(get_batch_head(&cursor, &batch));
    TRY(cursor_u16(&cursor, &count));
    TRY(check_count(&cursor, count, BATCH_MAX, REQUEST_MIN));
    TRY(arena_alloc(arena, count, sizeof *batch.items, &batch.items));
    batch.count = count;
    for (size_t i = 0; i < count; i++)
        TRY(get_request(&cursor, arena, &batch.items[i]));
    TRY(cursor_end(&cursor));
    *ret = batch;
    return ERR_OK;
}

enum err model_put_replies(struct buf *out, const struct replies *replies)
{
    if (replies->count > BATCH_MAX)
        FAIL(ERR_TOO_LARGE, "a message has more than %d items", BATCH_MAX);
    TRY(buf_put_u8(out, MODEL_FORMAT));
    TRY(buf_put_u16(out, (uint16_t)replies->count));
    for (size_t i = 0; i < replies->count; i++) {
        TRY(buf_put_u16(out, (uint16_t)replies->items[i].status));
        TRY(buf_put_u16(out, (uint16_t)replies->items[i].verb));
        TRY(put_record(out, &reply_table, &replies->items[i]));
    }
    return ERR_OK;
}

static enum err get_reply(struct cursor *in, struct arena *arena, struct reply *ret)
{
    uint16_t status;
    uint16_t verb;
    ret->located_items = -1;
    TRY(cursor_u16(in, &status));
    TRY(cursor_u16(in, &verb));
    if (status >= ERR_COUNT)
        FAIL(ERR_MESSAGE, "a record holds an unknown status");
    ret->status = (enum err)status;
    ret->verb = (enum verb)verb;
    return get_record(in, arena, &reply_table, ret);
}

enum err model_get_replies(struct span in, struct arena *arena, struct replies *ret)
{
    struct cursor cursor = cursor_of(in);
    struct replies replies = {0};
    uint16_t count;
    TRY(check_format(&cursor));
    TRY(cursor_u16(&cursor, &count));
    TRY(check_count(&cursor, count, BATCH_MAX, REPLY_MIN));
    TRY(arena_alloc(arena, count, sizeof *replies.items, &replies.items));
    replies.count = count;
    for (size_t i = 0; i < count; i++)
        TRY(get_reply(&cursor, arena, &replies.items[i]));
    TRY(cursor_end(&cursor));
    *ret = replies;
    return ERR_OK;
}
