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

void hex_digits(struct span bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        *out++ = digits[bytes.data[i] >> 4];
        *out++ = digits[bytes.data[i] & 15];
    }
}

void hex_text(struct span bytes, char *out)
{
    hex_digits(bytes, out);
    out[2 * bytes.len] = '\0';
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

static bool read_digits(int (*digit)(uint8_t), struct span text, uint8_t *out, size_t size,
                        size_t *ret_len)
{
    if (text.len % 2 != 0 || text.len / 2 > size)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = digit(text.data[i]);
        int low = digit(text.data[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    *ret_len = text.len / 2;
    return true;
}

bool hex_bytes(struct span text, uint8_t *out, size_t size, size_t *ret_len)
{
    return read_digits(lower_digit, text, out, size, ret_len);
}

bool hex_bytes_any_case(struct span text, uint8_t *out, size_t size, size_t *ret_len)
{
    return read_digits(hex_digit, text, out, size, ret_len);
}
