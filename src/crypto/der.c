// SPDX-License-Identifier: Apache-2.0
#include "crypto/der.h"

static enum err bad(const char *what)
{
    FAIL(ERR_INVALID, "the file is not well-formed DER: %s", what);
}

static enum err take_length(struct cursor *in, size_t *ret)
{
    uint8_t first = 0;
    if (cursor_u8(in, &first) != ERR_OK)
        return bad("it is cut off");
    if (first < 0x80) {
        *ret = first;
        return ERR_OK;
    }
    size_t len = 0;
    if (first == 0x80)
        return bad("an item has an indefinite length (BER); export the file again");
    if (first > 0x84)
        return bad("an item is too long");
    for (int i = first & 0x7f; i > 0; i--) {
        uint8_t byte = 0;
        if (cursor_u8(in, &byte) != ERR_OK)
            return bad("it is cut off");
        len = len << 8 | byte;
    }
    if (len < 0x80 || len >> (8 * ((first & 0x7f) - 1)) == 0)
        return bad("a length is not in its shortest form");
    *ret = len;
    return ERR_OK;
}

enum err der_next(struct cursor *in, struct der_item *ret)
{
    struct span before = in->rest;
    size_t len = 0;
    uint8_t tag = 0;
    if (cursor_u8(in, &tag) != ERR_OK)
        return bad("an item is missing");
    if ((tag & 0x1f) == 0x1f)
        return bad("a tag is longer than one byte");
    TRY(take_length(in, &len));
    if (cursor_bytes(in, len, &ret->body) != ERR_OK)
        return bad("it is cut off");
    ret->tag = tag;
    ret->whole = span_of(before.data, before.len - in->rest.len);
    return ERR_OK;
}

enum err der_take(struct cursor *in, uint8_t tag, struct span *ret)
{
    struct der_item item;
    TRY(der_next(in, &item));
    if (item.tag != tag)
        return bad("an item is of another type than it should be");
    *ret = item.body;
    return ERR_OK;
}

enum err der_enter(struct cursor *in, uint8_t tag, struct cursor *ret)
{
    struct span body;
    TRY(der_take(in, tag, &body));
    *ret = cursor_of(body);
    return ERR_OK;
}

bool der_is_next(const struct cursor *in, uint8_t tag)
{
    return in->rest.len > 0 && in->rest.data[0] == tag;
}

enum err der_number(struct cursor *in, int32_t *ret)
{
    struct span body;
    uint32_t number = 0;
    TRY(der_take(in, DER_INTEGER, &body));
    if (body.len == 0 || (body.data[0] & 0x80) != 0 || body.len > 5 ||
        (body.len == 5 && body.data[0] != 0))
        return bad("a number is negative or too large");
    for (size_t i = 0; i < body.len; i++)
        number = number << 8 | body.data[i];
    if (number > INT32_MAX)
        return bad("a number is too large");
    *ret = (int32_t)number;
    return ERR_OK;
}

enum err der_end(const struct cursor *in)
{
    return in->rest.len == 0 ? ERR_OK : bad("something stands behind its end");
}
