// SPDX-License-Identifier: Apache-2.0
//
// Reading DER (X.690) that a stranger has made: definite lengths in their shortest form, tags of
// one byte, nothing copied, no recursion. Whatever is not so is ERR_INVALID. Private to crypto.
#ifndef KW_CRYPTO_DER_H
#define KW_CRYPTO_DER_H

#include "base/buf.h"

enum der_tag {
    DER_INTEGER = 0x02,
    DER_OCTETS = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_BMP = 0x1e,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT_0 = 0xa0,      // [0], constructed
    DER_CONTEXT_0_PLAIN = 0x80 // [0], primitive
};

struct der_item {
    uint8_t tag;
    struct span body;
    struct span whole; // with tag and length
};

// The next item; ERR_INVALID at the end, too.
MUST_USE enum err der_next(struct cursor *in, struct der_item *ret);

// The next item must have this tag: its body.
MUST_USE enum err der_take(struct cursor *in, uint8_t tag, struct span *ret);
MUST_USE enum err der_enter(struct cursor *in, uint8_t tag, struct cursor *ret);

// Whether an item of this tag comes next.
bool der_is_next(const struct cursor *in, uint8_t tag);

// An INTEGER from 0 to INT32_MAX.
MUST_USE enum err der_number(struct cursor *in, int32_t *ret);

MUST_USE enum err der_end(const struct cursor *in);

#endif
