// SPDX-License-Identifier: Apache-2.0
//
// Walking and writing TTLV. Invariant of the walk: a cursor never moves past the bytes that it was
// made of, whatever lengths they claim. Invariant of the writer: after each call `out` holds whole
// items, padded to eight bytes.
#include "wire/ttlv.h"

static uint32_t load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t load_u64(const uint8_t *p)
{
    return (uint64_t)load_u32(p) << 32 | load_u32(p + 4);
}

static void store_u32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

// ---- reading ----

enum err ttlv_message_size(const uint8_t head[TTLV_HEADER], uint32_t tag, size_t limit, size_t *ret)
{
    uint32_t len = load_u32(head + 4);
    if (load_u32(head) != (tag << 8 | TTLV_STRUCTURE) || len % 8 != 0)
        FAIL(ERR_MESSAGE, "a message does not begin as a KMIP message does");
    if (len > limit - TTLV_HEADER)
        FAIL(ERR_TOO_LARGE, "a message of %u bytes is larger than %zu bytes", len, limit);
    *ret = (size_t)len + TTLV_HEADER;
    return ERR_OK;
}

enum err ttlv_next(struct cursor *in, struct ttlv *ret, bool *ret_found)
{
    const uint8_t *p = in->rest.data;
    *ret_found = false;
    if (in->rest.len == 0)
        return ERR_OK;
    if (in->rest.len < TTLV_HEADER)
        FAIL(ERR_MESSAGE, "an item is cut off");
    size_t len = load_u32(p + 4);
    size_t padded = (len + 7) & ~(size_t)7;
    if (padded > in->rest.len - TTLV_HEADER)
        FAIL(ERR_MESSAGE, "an item is longer than what holds it");
    ret->tag = load_u32(p) >> 8;
    ret->type = p[3];
    ret->value = span_of(p + TTLV_HEADER, len);
    in->rest = span_of(p + TTLV_HEADER + padded, in->rest.len - TTLV_HEADER - padded);
    *ret_found = true;
    return ERR_OK;
}

bool ttlv_find(struct span members, uint32_t tag, struct ttlv *ret)
{
    struct cursor in = cursor_of(members);
    struct ttlv item;
    bool found;
    while (ttlv_next(&in, &item, &found) == ERR_OK && found) {
        if (item.tag == tag) {
            *ret = item;
            return true;
        }
    }
    return false;
}

static enum err want(const struct ttlv *item, enum ttlv_type type, size_t len)
{
    if (item->type != type)
        FAIL(ERR_INVALID, "the item %06X has type %u, not %d", item->tag, item->type, type);
    if (len != 0 && item->value.len != len)
        FAIL(ERR_MESSAGE, "the item %06X has the wrong length", item->tag);
    return ERR_OK;
}

enum err ttlv_integer(const struct ttlv *item, int32_t *ret)
{
    TRY(want(item, TTLV_INTEGER, 4));
    *ret = (int32_t)load_u32(item->value.data);
    return ERR_OK;
}

enum err ttlv_enumeration(const struct ttlv *item, uint32_t *ret)
{
    TRY(want(item, TTLV_ENUMERATION, 4));
    *ret = load_u32(item->value.data);
    return ERR_OK;
}

enum err ttlv_boolean(const struct ttlv *item, bool *ret)
{
    TRY(want(item, TTLV_BOOLEAN, 8));
    *ret = load_u64(item->value.data) != 0;
    return ERR_OK;
}

enum err ttlv_text(const struct ttlv *item, struct span *ret)
{
    TRY(want(item, TTLV_TEXT, 0));
    *ret = item->value;
    return ERR_OK;
}

enum err ttlv_bytes(const struct ttlv *item, struct span *ret)
{
    TRY(want(item, TTLV_BYTES, 0));
    *ret = item->value;
    return ERR_OK;
}

enum err ttlv_date_time(const struct ttlv *item, int64_t *ret)
{
    TRY(want(item, TTLV_DATE_TIME, 8));
    *ret = (int64_t)load_u64(item->value.data);
    return ERR_OK;
}

enum err ttlv_structure(const struct ttlv *item, struct span *ret_members)
{
    TRY(want(item, TTLV_STRUCTURE, 0));
    *ret_members = item->value;
    return ERR_OK;
}

// What the numeric types look like: bytes of the value, and whether four bytes carry a sign. No
// length: not a number.
static const struct {
    uint8_t len;
    bool is_signed;
} number_forms[] = {
    [TTLV_INTEGER] = {4, true},
    [TTLV_LONG_INTEGER] = {8, true},
    [TTLV_ENUMERATION] = {4, false},
    [TTLV_BOOLEAN] = {8, true},
    [TTLV_DATE_TIME] = {8, true},
    [TTLV_INTERVAL] = {4, false},
    [TTLV_DATE_TIME_EXTENDED] = {8, true},
};

bool ttlv_type_is_number(uint8_t type)
{
    return type < sizeof number_forms / sizeof *number_forms && number_forms[type].len > 0;
}

enum err ttlv_number(const struct ttlv *item, int64_t *ret)
{
    if (!ttlv_type_is_number(item->type))
        FAIL(ERR_INVALID, "the item %06X is not a number", item->tag);
    if (item->value.len != number_forms[item->type].len)
        FAIL(ERR_MESSAGE, "the item %06X has the wrong length", item->tag);
    if (item->value.len == 8)
        *ret = (int64_t)load_u64(item->value.data);
    else if (number_forms[item->type].is_signed)
        *ret = (int32_t)load_u32(item->value.data);
    else
        *ret = load_u32(item->value.data);
    return ERR_OK;
}

// ---- writing ----

// Appends a header and room for a value of `len` bytes, with its padding zeroed.
static enum err put_item(struct buf *out, uint32_t tag, uint8_t type, size_t len, uint8_t **ret)
{
    if (len > UINT32_MAX - 7)
        FAIL(ERR_TOO_LARGE, "a value of %zu bytes does not fit into a message", len);
    size_t padded = (len + 7) & ~(size_t)7;
    TRY(buf_reserve(out, TTLV_HEADER + padded));
    uint8_t *p = out->data + out->len;
    store_u32(p, tag << 8 | type);
    store_u32(p + 4, (uint32_t)len);
    if (padded > 0)
        memset(p + TTLV_HEADER + padded - 8, 0, 8);
    out->len += TTLV_HEADER + padded;
    *ret = p + TTLV_HEADER;
    return ERR_OK;
}

enum err ttlv_begin(struct buf *out, uint32_t tag, size_t *ret_at)
{
    uint8_t *unused;
    size_t at = out->len;
    TRY(put_item(out, tag, TTLV_STRUCTURE, 0, &unused));
    *ret_at = at;
    return ERR_OK;
}

void ttlv_end(struct buf *out, size_t at)
{
    // A buf that carries messages is limited to far less than 4 GiB.
    buf_patch_u32(out, at + 4, (uint32_t)(out->len - at - TTLV_HEADER));
}

static enum err put_u32(struct buf *out, uint32_t tag, uint8_t type, uint32_t value)
{
    uint8_t *p;
    TRY(put_item(out, tag, type, 4, &p));
    store_u32(p, value);
    return ERR_OK;
}

static enum err put_u64(struct buf *out, uint32_t tag, uint8_t type, uint64_t value)
{
    uint8_t *p;
    TRY(put_item(out, tag, type, 8, &p));
    store_u32(p, (uint32_t)(value >> 32));
    store_u32(p + 4, (uint32_t)value);
    return ERR_OK;
}

static enum err put_span(struct buf *out, uint32_t tag, uint8_t type, struct span value)
{
    uint8_t *p;
    TRY(put_item(out, tag, type, value.len, &p));
    if (value.len > 0)
        memcpy(p, value.data, value.len);
    return ERR_OK;
}

enum err ttlv_put_integer(struct buf *out, uint32_t tag, int32_t value)
{
    return put_u32(out, tag, TTLV_INTEGER, (uint32_t)value);
}

enum err ttlv_put_long(struct buf *out, uint32_t tag, int64_t value)
{
    return put_u64(out, tag, TTLV_LONG_INTEGER, (uint64_t)value);
}

enum err ttlv_put_enumeration(struct buf *out, uint32_t tag, uint32_t value)
{
    return put_u32(out, tag, TTLV_ENUMERATION, value);
}

enum err ttlv_put_boolean(struct buf *out, uint32_t tag, bool value)
{
    return put_u64(out, tag, TTLV_BOOLEAN, value ? 1 : 0);
}

enum err ttlv_put_text(struct buf *out, uint32_t tag, struct span value)
{
    return put_span(out, tag, TTLV_TEXT, value);
}

enum err ttlv_put_bytes(struct buf *out, uint32_t tag, struct span value)
{
    return put_span(out, tag, TTLV_BYTES, value);
}

enum err ttlv_put_date_time(struct buf *out, uint32_t tag, int64_t value)
{
    return put_u64(out, tag, TTLV_DATE_TIME, (uint64_t)value);
}

enum err ttlv_put_value(struct buf *out, uint32_t tag, uint8_t type, int64_t number,
                        struct span bytes)
{
    if (type == 0 || type > TTLV_DATE_TIME_EXTENDED)
        FAIL(ERR_INTERNAL, "the item %06X has no type", tag);
    if (!ttlv_type_is_number(type))
        return put_span(out, tag, type, bytes);
    if (number_forms[type].len == 4)
        return put_u32(out, tag, type, (uint32_t)number);
    return put_u64(out, tag, type, (uint64_t)number);
}
