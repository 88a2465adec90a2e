// SPDX-License-Identifier: Apache-2.0
//
// Each block is preceded by its size, which is what has to be wiped.
#include "web/wipe.h"

#include <event2/event.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 16 }; // keeps the alignment that malloc gives

static void *take(size_t size)
{
    if (size > SIZE_MAX - HEADER)
        return NULL;
    unsigned char *block = malloc(size + HEADER);
    if (block == NULL)
        return NULL;
    memcpy(block, &size, sizeof size);
    return block + HEADER;
}

static size_t size_of(const void *pointer)
{
    size_t size;
    memcpy(&size, (const unsigned char *)pointer - HEADER, sizeof size);
    return size;
}

static void give(void *pointer)
{
    if (pointer == NULL)
        return;
    unsigned char *block = (unsigned char *)pointer - HEADER;
    explicit_bzero(block, size_of(pointer) + HEADER);
    free(block);
}

static void *resize(void *pointer, size_t size)
{
    if (pointer == NULL)
        return take(size);
    if (size == 0) {
        give(pointer);
        return NULL;
    }
    void *fresh = take(size);
    if (fresh == NULL)
        return NULL;
    size_t old = size_of(pointer);
    memcpy(fresh, pointer, old < size ? old : size);
    give(pointer);
    return fresh;
}

void wipe_setup(void)
{
    event_set_mem_functions(take, resize, give);
    json_set_alloc_funcs(take, give);
}
