// SPDX-License-Identifier: Apache-2.0
//
// What a fuzz target has in common: libFuzzer's entry, an arena, and a way to say that a promise
// was broken. Without libFuzzer replay.c calls the same entry for each file of a corpus.
#ifndef KW_TESTS_FUZZ_H
#define KW_TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

// Ends the process, so that the input is kept.
#define PROMISE(expr)                                                                              \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            (void)fprintf(stderr, "ERROR: %s:%d: broken: %s\n", __FILE__, __LINE__, #expr);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { FUZZ_ARENA = 16 * 1024 * 1024 };

// One arena for all inputs, reset before each.
static inline struct arena *fuzz_arena(void)
{
    static struct arena *arena;
    if (arena == NULL)
        PROMISE(arena_new(FUZZ_ARENA, &arena) == ERR_OK);
    arena_reset(arena);
    return arena;
}

#endif
