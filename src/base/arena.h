// SPDX-License-Identifier: Apache-2.0
//
// An arena: memory for what lives as long as one batch of requests. Nothing in it is freed alone; a
// reset takes all back and wipes what was used, since requests and replies may hold key material.
#ifndef KW_BASE_ARENA_H
#define KW_BASE_ARENA_H

#include "base/buf.h"

struct arena;

// `limit` bounds the sum of all blocks, in bytes.
MUST_USE enum err arena_new(size_t limit, struct arena **ret);
void arena_free(struct arena *arena);
void arena_freep(struct arena **arena);

// Wipes and takes back everything; keeps the first block for the next batch.
void arena_reset(struct arena *arena);

// `count * size` zeroed bytes, aligned for any type, valid until reset. ERR_TOO_LARGE past the
// limit.
MUST_USE enum err arena_alloc(struct arena *arena, size_t count, size_t size, void *ret_pointer);

// Bytes taken from the heap so far.
size_t arena_used(const struct arena *arena);

// A copy of `bytes` in the arena.
MUST_USE enum err arena_copy(struct arena *arena, struct span bytes, struct span *ret);

#endif
