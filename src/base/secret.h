// SPDX-License-Identifier: Apache-2.0
//
// Secrets: keys, PINs, passphrases. The bytes lie in guarded, locked memory that is left out of
// core dumps and wiped when freed (libsodium's sodium_malloc). A secret is never printed and never
// compared but in constant time. Making one costs a few system calls: for the bytes of one request
// use a buf with `secret` set instead.
#ifndef KW_BASE_SECRET_H
#define KW_BASE_SECRET_H

#include "base/buf.h"

struct secret {
    uint8_t *data;
    size_t len;
};

// Once, before the first secret. ERR_INTERNAL when the library cannot start.
MUST_USE enum err secret_setup(void);

// A secret of `len` zero bytes. Caller frees. ERR_MEMORY. Where the memory may not be locked
// (RLIMIT_MEMLOCK), that is logged once: keys that may be swapped are better than none.
MUST_USE enum err secret_new(size_t len, struct secret **ret);
MUST_USE enum err secret_copy(struct span bytes, struct secret **ret);

// A secret of `len` random bytes from the kernel.
MUST_USE enum err secret_random(size_t len, struct secret **ret);

// Wipes and frees; NULL is allowed.
void secret_free(struct secret *secret);
void secret_freep(struct secret **secret);

// Constant time for equal lengths; lengths are public.
bool secret_equal(struct span a, struct span b);

static inline struct span secret_span(const struct secret *secret)
{
    return secret == NULL ? (struct span){NULL, 0} : span_of(secret->data, secret->len);
}

#endif
