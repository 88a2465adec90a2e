// SPDX-License-Identifier: Apache-2.0
//
// Four characters are three bytes. The bits that an end leaves over must be zero, so that equal
// bytes have one text.
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum err base64_put(struct buf *out, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
        group |= left > 2 ? bytes.data[i + 2] : 0;
        uint8_t text[4] = {
            (uint8_t)alphabet[group >> 18],
            (uint8_t)alphabet[group >> 12 & 63],
            left > 1 ? (uint8_t)alphabet[group >> 6 & 63] : '=',
            left > 2 ? (uint8_t)alphabet[group & 63] : '=',
        };
        TRY(buf_put(out, span_of(text, sizeof text)));
    }
    return ERR_OK;
}

static int digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// What is left when the text has ended: `digits` characters of a group.
static enum err take_rest(struct buf *out, uint32_t group, unsigned digits)
{
    if (digits == 1 || (digits == 2 && (group & 15) != 0) || (digits == 3 && (group & 3) != 0))
        FAIL(ERR_INVALID, "the base64 text is cut off");
    if (digits == 2)
        return buf_put_u8(out, (uint8_t)(group >> 4));
    return digits == 3 ? buf_put_u16(out, (uint16_t)(group >> 2)) : ERR_OK;
}

enum err base64_take(struct span text, struct buf *out)
{
    uint32_t group = 0;
    unsigned digits = 0; // of the group
    unsigned padding = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        int value = digit(c);
        if (is_blank(c))
            continue;
        if (c == '=' && digits + padding < 4 && digits >= 2) {
            padding++;
            continue;
        }
        if (value < 0 || padding > 0)
            FAIL(ERR_INVALID, "byte %zu of the base64 text does not belong there", i);
        group = group << 6 | (uint32_t)value;
        if (++digits < 4)
            continue;
        uint8_t bytes[3] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group};
        TRY(buf_put(out, span_of(bytes, sizeof bytes)));
        group = 0;
        digits = 0;
    }
    return take_rest(out, group, digits);
}
