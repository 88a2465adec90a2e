// SPDX-License-Identifier: Apache-2.0
//
// Each block is preceded by its size, which is what has to be wiped.
#include "web/wipe.h"

#include <jansson.h>
#include <stdint.h>
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

void wipe_setup(void)
{
    json_set_alloc_funcs(take, give);
}
