// SPDX-License-Identifier: Apache-2.0
//
// Bounded bytes: growth by doubling up to the limit, big-endian numbers, a checked reader.
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool span_eq_str(struct span a, const char *text)
{
    return span_eq(a, span_str(text));
}

enum err span_strdup(struct span text, char **ret_text)
{
    if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL)
        FAIL(ERR_INVALID, "a text holds a NUL byte");
    char *copy = malloc(text.len + 1);
    if (copy == NULL)
        FAIL(ERR_MEMORY, "no memory for %zu bytes", text.len + 1);
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    *ret_text = copy;
    return ERR_OK;
}

// The second byte of a sequence is bounded more tightly after some first bytes: no overlong forms,
// no surrogates, nothing above U+10FFFF. RFC 3629 section 4.
static bool second_byte_fits(uint8_t first, uint8_t second)
{
    static const struct {
        uint8_t first, low, high;
    } bounds[] = {{0xe0, 0xa0, 0xbf}, {0xed, 0x80, 0x9f}, {0xf0, 0x90, 0xbf}, {0xf4, 0x80, 0x8f}};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        if (bounds[i].first == first)
            return second >= bounds[i].low && second <= bounds[i].high;
    }
    return true;
}

size_t span_utf8_len(struct span text)
{
    const uint8_t *p = text.data;
    if (text.len == 0)
        return 0;
    if (p[0] < 0x80)
        return p[0] != 0;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || text.len < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return second_byte_fits(p[0], p[1]) ? len : 0;
}

bool span_is_utf8(struct span text)
{
    size_t at = 0;
    while (at < text.len) {
        size_t len = span_utf8_len(span_of(text.data + at, text.len - at));
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

size_t span_control_len(struct span text)
{
    // UTF-8: what the last byte of the character may be, behind those before it.
    static const struct {
        size_t len;
        uint8_t before[2], least, most;
    } ranges[] = {
        {2, {0xc2}, 0x80, 0x9f},       {2, {0xd8}, 0x9c, 0x9c},       {3, {0xe2, 0x80}, 0x8e, 0x8f},
        {3, {0xe2, 0x80}, 0xa8, 0xae}, {3, {0xe2, 0x81}, 0xa6, 0xa9},
    };
    if (text.len == 0)
        return 0;
    if (text.data[0] < 0x20 || text.data[0] == 0x7f)
        return 1;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        size_t last = ranges[i].len - 1;
        if (text.len > last && memcmp(text.data, ranges[i].before, last) == 0 &&
            text.data[last] >= ranges[i].least && text.data[last] <= ranges[i].most)
            return ranges[i].len;
    }
    return 0;
}

void buf_init(struct buf *buf, size_t limit, bool secret)
{
    *buf = (struct buf){.limit = limit, .secret = secret};
}

static void wipe(const struct buf *buf)
{
    if (buf->secret && buf->data != NULL)
        explicit_bzero(buf->data, buf->cap);
}

void buf_done(struct buf *buf)
{
    wipe(buf);
    free(buf->data);
    buf->data = NULL;
    buf->len = buf->cap = 0;
}

void buf_clear(struct buf *buf)
{
    if (buf->secret && buf->len > 0)
        explicit_bzero(buf->data, buf->len);
    buf->len = 0;
}

enum err buf_reserve(struct buf *buf, size_t extra)
{
    size_t need;
    if (__builtin_add_overflow(buf->len, extra, &need) || need > buf->limit)
        FAIL(ERR_TOO_LARGE, "a message would exceed %zu bytes", buf->limit);
    if (need <= buf->cap)
        return ERR_OK;
    size_t cap = buf->cap < 64 ? 64 : buf->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > buf->limit)
        cap = buf->limit;
    // Not realloc: what moves must be wiped where it was.
    uint8_t *data = malloc(cap);
    if (data == NULL)
        FAIL(ERR_MEMORY, "no memory for %zu bytes", cap);
    if (buf->len > 0)
        memcpy(data, buf->data, buf->len);
    wipe(buf);
    free(buf->data);
    buf->data = data;
    buf->cap = cap;
    return ERR_OK;
}

enum err buf_put(struct buf *buf, struct span bytes)
{
    if (bytes.len == 0)
        return ERR_OK;
    TRY(buf_reserve(buf, bytes.len));
    memcpy(buf->data + buf->len, bytes.data, bytes.len);
    buf->len += bytes.len;
    return ERR_OK;
}

enum err buf_put_str(struct buf *buf, const char *text)
{
    return buf_put(buf, span_str(text));
}

// Writes the low `width` bytes of value, most significant first.
static enum err put_number(struct buf *buf, uint64_t value, size_t width)
{
    TRY(buf_reserve(buf, width));
    for (size_t i = 0; i < width; i++)
        buf->data[buf->len + i] = (uint8_t)(value >> (8 * (width - 1 - i)));
    buf->len += width;
    return ERR_OK;
}

enum err buf_put_u8(struct buf *buf, uint8_t value)
{
    return put_number(buf, value, 1);
}

enum err buf_put_u16(struct buf *buf, uint16_t value)
{
    return put_number(buf, value, 2);
}

enum err buf_put_u32(struct buf *buf, uint32_t value)
{
    return put_number(buf, value, 4);
}

enum err buf_put_u64(struct buf *buf, uint64_t value)
{
    return put_number(buf, value, 8);
}

enum err buf_put_zeros(struct buf *buf, size_t len)
{
    TRY(buf_reserve(buf, len));
    if (len > 0)
        memset(buf->data + buf->len, 0, len);
    buf->len += len;
    return ERR_OK;
}

enum err buf_put_var(struct buf *buf, struct span bytes)
{
    if (bytes.len > UINT32_MAX)
        FAIL(ERR_TOO_LARGE, "a field of %zu bytes is too large", bytes.len);
    TRY(buf_put_u32(buf, (uint32_t)bytes.len));
    return buf_put(buf, bytes);
}

enum err buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0)
        FAIL(ERR_INTERNAL, "a text could not be formatted");
    TRY(buf_reserve(buf, (size_t)len + 1));
    va_start(args, fmt);
    (void)vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)len;
    return ERR_OK;
}

void buf_consume(struct buf *buf, size_t len)
{
    if (len > buf->len)
        len = buf->len;
    size_t rest = buf->len - len;
    if (rest > 0 && len > 0)
        memmove(buf->data, buf->data + len, rest);
    if (buf->secret && len > 0)
        explicit_bzero(buf->data + rest, len);
    buf->len = rest;
}

void buf_cut(struct buf *buf, size_t len)
{
    if (len >= buf->len)
        return;
    explicit_bzero(buf->data + len, buf->len - len);
    buf->len = len;
}

void buf_patch_u32(struct buf *buf, size_t offset, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        buf->data[offset + i] = (uint8_t)(value >> (8 * (3 - i)));
}

static enum err take_number(struct cursor *in, size_t width, uint64_t *ret)
{
    if (in->rest.len < width)
        FAIL(ERR_MESSAGE, "a message ends early");
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | in->rest.data[i];
    in->rest = span_of(in->rest.data + width, in->rest.len - width);
    *ret = value;
    return ERR_OK;
}

enum err cursor_u8(struct cursor *in, uint8_t *ret)
{
    uint64_t value;
    TRY(take_number(in, 1, &value));
    *ret = (uint8_t)value;
    return ERR_OK;
}

enum err cursor_u16(struct cursor *in, uint16_t *ret)
{
    uint64_t value;
    TRY(take_number(in, 2, &value));
    *ret = (uint16_t)value;
    return ERR_OK;
}

enum err cursor_u32(struct cursor *in, uint32_t *ret)
{
    uint64_t value;
    TRY(take_number(in, 4, &value));
    *ret = (uint32_t)value;
    return ERR_OK;
}

enum err cursor_u64(struct cursor *in, uint64_t *ret)
{
    return take_number(in, 8, ret);
}

enum err cursor_bytes(struct cursor *in, size_t len, struct span *ret)
{
    if (in->rest.len < len)
        FAIL(ERR_MESSAGE, "a message ends early");
    *ret = span_of(in->rest.data, len);
    in->rest = span_of(in->rest.data + len, in->rest.len - len);
    return ERR_OK;
}

enum err cursor_var(struct cursor *in, struct span *ret)
{
    uint32_t len;
    TRY(cursor_u32(in, &len));
    return cursor_bytes(in, len, ret);
}

enum err cursor_end(const struct cursor *in)
{
    if (in->rest.len != 0)
        FAIL(ERR_MESSAGE, "a message has %zu bytes too many", in->rest.len);
    return ERR_OK;
}
