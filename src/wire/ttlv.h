// SPDX-License-Identifier: Apache-2.0
//
// TTLV, KMIP's binary encoding (1.4 section 9.1), without I/O. Each item is a tag of three bytes, a
// type of one, a length of four, and a value that is padded with zeros to a multiple of eight.
//
// Reading: ttlv_check passes once over the bytes of a whole message and refuses all that is not
// well formed; ttlv_next then walks one structure. The walk is safe on bytes that were not checked,
// too: it never leaves them. Nothing here allocates, and values are borrowed from the message.
//
// Writing: values are appended to a buf; a structure's length is patched when it ends.
#ifndef KW_WIRE_TTLV_H
#define KW_WIRE_TTLV_H

#include "base/buf.h"

enum ttlv_type {
    TTLV_STRUCTURE = 1,
    TTLV_INTEGER = 2,
    TTLV_LONG_INTEGER = 3,
    TTLV_BIG_INTEGER = 4,
    TTLV_ENUMERATION = 5,
    TTLV_BOOLEAN = 6,
    TTLV_TEXT = 7,
    TTLV_BYTES = 8,
    TTLV_DATE_TIME = 9,
    TTLV_INTERVAL = 10,
    TTLV_DATE_TIME_EXTENDED = 11,
};

enum { TTLV_HEADER = 8 }; // bytes of tag, type and length

struct ttlv {
    uint32_t tag;      // 0x42xxxx, or 0x54xxxx for extensions
    uint8_t type;      // enum ttlv_type
    struct span value; // without padding; of a structure: its members
};

// How many bytes the message has whose first TTLV_HEADER bytes are `head`. ERR_MESSAGE when it is
// no structure with this tag, ERR_TOO_LARGE when it has more than `limit` bytes.
MUST_USE enum err ttlv_message_size(const uint8_t head[TTLV_HEADER], uint32_t tag, size_t limit,
                                    size_t *ret);

// Passes when `bytes` are a sequence of well-formed items: known types, right lengths, zero
// padding, tags of KMIP's two ranges, UTF-8 without NUL, Booleans 0 or 1, Intervals below 2^31, at
// most LIMIT_DEPTH structures inside each other and LIMIT_ITEMS items. ERR_MESSAGE, ERR_TOO_LARGE.
MUST_USE enum err ttlv_check(struct span bytes);

// The next item of `in`. ERR_MESSAGE when it is cut off; false in *ret_found at the end.
MUST_USE enum err ttlv_next(struct cursor *in, struct ttlv *ret, bool *ret_found);

// The first member with this tag; false when there is none (or what is before it is cut off).
bool ttlv_find(struct span members, uint32_t tag, struct ttlv *ret);

// Values. ERR_INVALID when the item has another type.
MUST_USE enum err ttlv_integer(const struct ttlv *item, int32_t *ret);
MUST_USE enum err ttlv_enumeration(const struct ttlv *item, uint32_t *ret);
MUST_USE enum err ttlv_boolean(const struct ttlv *item, bool *ret);
MUST_USE enum err ttlv_text(const struct ttlv *item, struct span *ret);
MUST_USE enum err ttlv_bytes(const struct ttlv *item, struct span *ret);
MUST_USE enum err ttlv_date_time(const struct ttlv *item, int64_t *ret);
MUST_USE enum err ttlv_structure(const struct ttlv *item, struct span *ret_members);

// The value of any type that is a number (Integer, Long Integer, Enumeration, Boolean, Date-Time,
// Interval, Date-Time Extended).
MUST_USE enum err ttlv_number(const struct ttlv *item, int64_t *ret);
bool ttlv_type_is_number(uint8_t type);

// Writes. *ret_at of a begun structure is to be given to ttlv_end.
MUST_USE enum err ttlv_begin(struct buf *out, uint32_t tag, size_t *ret_at);
void ttlv_end(struct buf *out, size_t at);
MUST_USE enum err ttlv_put_integer(struct buf *out, uint32_t tag, int32_t value);
MUST_USE enum err ttlv_put_long(struct buf *out, uint32_t tag, int64_t value);
MUST_USE enum err ttlv_put_enumeration(struct buf *out, uint32_t tag, uint32_t value);
MUST_USE enum err ttlv_put_boolean(struct buf *out, uint32_t tag, bool value);
MUST_USE enum err ttlv_put_text(struct buf *out, uint32_t tag, struct span value);
MUST_USE enum err ttlv_put_bytes(struct buf *out, uint32_t tag, struct span value);
MUST_USE enum err ttlv_put_date_time(struct buf *out, uint32_t tag, int64_t value);

// An item of any type: numbers from `number`, all others from `bytes` (of a structure: its members
// in TTLV).
MUST_USE enum err ttlv_put_value(struct buf *out, uint32_t tag, uint8_t type, int64_t number,
                                 struct span bytes);

#endif
