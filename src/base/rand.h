// SPDX-License-Identifier: Apache-2.0
//
// Random bytes and random identifiers, straight from the kernel (getrandom(2)), so that no state is
// shared after a fork.
#ifndef KW_BASE_RAND_H
#define KW_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

// Fills `len` bytes. Ends the process when the kernel has none to give, which it always has.
void rand_bytes(void *out, size_t len);

enum { UUID_LEN = 16, UUID_TEXT_LEN = 36 };

// RFC 9562 version 4, and version 7 (time-ordered, for ids of rows that are written in order).
struct uuid {
    uint8_t bytes[UUID_LEN];
};

struct uuid uuid_random(void);
struct uuid uuid_ordered(int64_t unix_ms);
void uuid_text(const struct uuid *uuid, char out[UUID_TEXT_LEN + 1]);

// Lower or upper case, exactly 36 characters. ERR_INVALID otherwise.
MUST_USE enum err uuid_parse(struct span text, struct uuid *ret);
bool uuid_is_zero(const struct uuid *uuid);

#endif
