// SPDX-License-Identifier: Apache-2.0
//
// A bump allocator over a list of blocks, the newest first. Invariant: `total` is the sum of the
// blocks' sizes and never exceeds `limit`.
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

enum { BLOCK_MIN = 64 * 1024 };

struct block {
    struct block *next;
    size_t size; // of bytes[]
    size_t used;
    alignas(max_align_t) uint8_t bytes[];
};

struct arena {
    struct block *top;
    size_t total;
    size_t limit;
};

enum err arena_new(size_t limit, struct arena **ret)
{
    struct arena *arena = calloc(1, sizeof *arena);
    if (arena == NULL)
        FAIL(ERR_MEMORY, "no memory for an arena");
    arena->limit = limit;
    *ret = arena;
    return ERR_OK;
}

static void wipe(struct block *block)
{
    explicit_bzero(block->bytes, block->used);
    block->used = 0;
}

// Drops the blocks above `keep`, all when it is NULL.
static void drop_above(struct arena *arena, struct block *keep)
{
    while (arena->top != keep) {
        struct block *block = arena->top;
        arena->top = block->next;
        wipe(block);
        free(block);
    }
    arena->total = 0;
    if (keep != NULL) {
        wipe(keep);
        arena->total = keep->size;
    }
}

void arena_reset(struct arena *arena)
{
    struct block *first = arena->top;
    while (first != NULL && first->next != NULL)
        first = first->next;
    drop_above(arena, first);
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    drop_above(arena, NULL);
    free(arena);
}

void arena_freep(struct arena **arena)
{
    arena_free(*arena);
    *arena = NULL;
}

static enum err add_block(struct arena *arena, size_t need)
{
    size_t size = need > BLOCK_MIN ? need : BLOCK_MIN;
    if (size > arena->limit - arena->total)
        size = need;
    if (size > arena->limit - arena->total)
        FAIL(ERR_TOO_LARGE, "a request needs more than %zu bytes of memory", arena->limit);
    struct block *block = malloc(sizeof *block + size);
    if (block == NULL)
        FAIL(ERR_MEMORY, "no memory for %zu bytes", size);
    block->next = arena->top;
    block->size = size;
    block->used = 0;
    arena->top = block;
    arena->total += size;
    return ERR_OK;
}

enum err arena_alloc(struct arena *arena, size_t count, size_t size, void *ret_pointer)
{
    size_t need;
    size_t align = alignof(max_align_t);
    if (__builtin_mul_overflow(count, size, &need) || need > SIZE_MAX - align)
        FAIL(ERR_TOO_LARGE, "a request needs too much memory");
    need = (need + align - 1) / align * align;
    if (arena->top == NULL || arena->top->size - arena->top->used < need)
        TRY(add_block(arena, need));
    void *at = arena->top->bytes + arena->top->used;
    arena->top->used += need;
    memset(at, 0, need);
    memcpy(ret_pointer, &at, sizeof at);
    return ERR_OK;
}

size_t arena_used(const struct arena *arena)
{
    return arena->total;
}

enum err arena_copy(struct arena *arena, struct span bytes, struct span *ret)
{
    uint8_t *copy = NULL;
    TRY(arena_alloc(arena, bytes.len, 1, &copy));
    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    *ret = span_of(copy, bytes.len);
    return ERR_OK;
}
