// SPDX-License-Identifier: Apache-2.0
//
// Password records: Argon2id (RFC 9106) through libsodium, with the parameters that each record was
// made with, so that they can rise later. What a record asks for is bounded both ways: a damaged
// or planted one makes no check cheap and exhausts no memory. Each call takes about a third of a
// second and PWHASH_MEMORY_KIB of memory while it runs.
#ifndef KW_BASE_PWHASH_H
#define KW_BASE_PWHASH_H

#include "base/buf.h"

enum {
    PWHASH_LEN = 57, // version 1, passes 4, memory in KiB 4, salt 16, hash 32
    PWHASH_PASSES = 4,
    PWHASH_MEMORY_KIB = 128 * 1024,
    PWHASH_PASSWORD_MAX = 256 // bytes
};

// A record with a new salt. ERR_INVALID when the password is longer than PWHASH_PASSWORD_MAX,
// ERR_MEMORY.
MUST_USE enum err pwhash_make(struct span password, uint8_t ret[PWHASH_LEN]);

// Whether the password is that of the record, in constant time. An empty record fits nothing and
// costs as much, so that nobody learns from the time whether there is one; so does a password that
// is too long. ERR_DAMAGED when it is no record or its parameters are out of bounds, ERR_MEMORY.
MUST_USE enum err pwhash_check(struct span password, struct span record, bool *ret_same);

// True when the record was made with other parameters than new ones are.
bool pwhash_is_old(struct span record);

#endif
