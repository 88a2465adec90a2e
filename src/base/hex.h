// SPDX-License-Identifier: Apache-2.0
//
// Bytes as hexadecimal digits. Written in lower case; read in lower case alone where there is to be
// one way to write a thing, in either case where people write it.
#ifndef KW_BASE_HEX_H
#define KW_BASE_HEX_H

#include "base/buf.h"

// The value of a digit in either case, -1 when it is none.
int hex_digit(uint8_t c);

// Two digits a byte, terminated: out has room for 2 * bytes.len + 1.
void hex_text(struct span bytes, char *out);

// The same, not terminated: 2 * bytes.len characters.
void hex_digits(struct span bytes, char *out);

// The same, appended to a buffer and not terminated.
MUST_USE enum err hex_put(struct buf *out, struct span bytes);

// Lower-case digits as bytes. False when they are odd, more than `size` bytes, or others stand
// among them; `out` may be half filled then.
bool hex_bytes(struct span text, uint8_t *out, size_t size, size_t *ret_len);

// The same of digits in either case.
bool hex_bytes_any_case(struct span text, uint8_t *out, size_t size, size_t *ret_len);

#endif
