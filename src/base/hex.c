// SPDX-License-Identifier: Apache-2.0
//
// Digits by arithmetic.
#include "base/hex.h"

int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void hex_text(struct span bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        *out++ = digits[bytes.data[i] >> 4];
        *out++ = digits[bytes.data[i] & 15];
    }
    *out = '\0';
}

enum err hex_put(struct buf *out, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        char text[3];
        hex_text(span_of(bytes.data + i, 1), text);
        TRY(buf_put_str(out, text));
    }
    return ERR_OK;
}

static int lower_digit(uint8_t c)
{
    return c >= 'A' && c <= 'F' ? -1 : hex_digit(c);
}

bool hex_bytes(struct span text, uint8_t *out, size_t size, size_t *ret_len)
{
    if (text.len % 2 != 0 || text.len / 2 > size)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = lower_digit(text.data[i]);
        int low = lower_digit(text.data[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    *ret_len = text.len / 2;
    return true;
}
