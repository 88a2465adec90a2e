// SPDX-License-Identifier: Apache-2.0
//
// Bytes. `struct span` borrows bytes, `struct buf` owns them and never grows past its limit. Every
// write is bounds-checked and every size computed with checked arithmetic; a buf that may have held
// key material is made with `secret` set and wipes whatever it gives back to the heap.
#ifndef KW_BASE_BUF_H
#define KW_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct span {
    const uint8_t *data;
    size_t len;
};

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t limit; // `len` never exceeds it
    bool secret;  // wiped before each release to the heap
};

static inline struct span span_of(const void *data, size_t len)
{
    return (struct span){(const uint8_t *)data, len};
}

static inline struct span span_str(const char *text)
{
    return (struct span){(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
}

static inline struct span span_buf(const struct buf *buf)
{
    return (struct span){buf->data, buf->len};
}

// Compares public bytes. For secrets and MACs use secret_equal.
bool span_eq(struct span a, struct span b);
bool span_eq_str(struct span a, const char *text);

// A NUL-terminated heap copy of `text`, caller frees. ERR_INVALID when it holds a NUL byte.
MUST_USE enum err span_strdup(struct span text, char **ret_text);

// Bytes of the well-formed UTF-8 character that text begins with; 0: it begins with none, or with
// NUL.
size_t span_utf8_len(struct span text);

// True for well-formed UTF-8 without NUL (RFC 3629: no surrogates, no overlong forms).
bool span_is_utf8(struct span text);

// Bytes of the character that text begins with when it is one that does something to a terminal
// instead of being seen: C0, DEL, C1, or what turns or breaks a line (U+061C, U+200E, U+200F,
// U+2028 to U+202E, U+2066 to U+2069). 0 for every other.
size_t span_control_len(struct span text);

// An empty buf that grows on the heap up to `limit` bytes. Allocates nothing yet.
void buf_init(struct buf *buf, size_t limit, bool secret);

// Frees (and wipes) the bytes; the buf is empty and usable again with the same limit.
void buf_done(struct buf *buf);

// Forgets the bytes but keeps the memory; wipes when secret.
void buf_clear(struct buf *buf);

// Makes room for `extra` more bytes. ERR_TOO_LARGE past the limit, ERR_MEMORY.
MUST_USE enum err buf_reserve(struct buf *buf, size_t extra);

MUST_USE enum err buf_put(struct buf *buf, struct span bytes);
MUST_USE enum err buf_put_str(struct buf *buf, const char *text);
MUST_USE enum err buf_put_u8(struct buf *buf, uint8_t value);
MUST_USE enum err buf_put_u16(struct buf *buf, uint16_t value); // big-endian, as all below
MUST_USE enum err buf_put_u32(struct buf *buf, uint32_t value);
MUST_USE enum err buf_put_u64(struct buf *buf, uint64_t value);
MUST_USE enum err buf_put_zeros(struct buf *buf, size_t len);
MUST_USE enum err buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);

// A 32-bit length and the bytes.
MUST_USE enum err buf_put_var(struct buf *buf, struct span bytes);

// Drops the first `len` bytes (at most all), moving the rest to the front.
void buf_consume(struct buf *buf, size_t len);

// Takes back what was appended after the first `len` bytes, and wipes it.
void buf_cut(struct buf *buf, size_t len);

// Overwrites four bytes at `offset` (which buf must already hold) with a big-endian value.
void buf_patch_u32(struct buf *buf, size_t offset, uint32_t value);

// A reader over borrowed bytes. Each take checks what is left: ERR_MESSAGE when too little.
struct cursor {
    struct span rest;
};

static inline struct cursor cursor_of(struct span bytes)
{
    return (struct cursor){bytes};
}

MUST_USE enum err cursor_u8(struct cursor *in, uint8_t *ret);
MUST_USE enum err cursor_u16(struct cursor *in, uint16_t *ret);
MUST_USE enum err cursor_u32(struct cursor *in, uint32_t *ret);
MUST_USE enum err cursor_u64(struct cursor *in, uint64_t *ret);
MUST_USE enum err cursor_bytes(struct cursor *in, size_t len, struct span *ret);
MUST_USE enum err cursor_var(struct cursor *in, struct span *ret);

// ERR_MESSAGE unless everything was read.
MUST_USE enum err cursor_end(const struct cursor *in);

#endif
