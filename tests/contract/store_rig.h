// SPDX-License-Identifier: Apache-2.0
//
// A store of its own for each test of the contract, opened twice: to write and to read. BOTH runs a
// test on each driver.
#ifndef KW_TESTS_STORE_RIG_H
#define KW_TESTS_STORE_RIG_H

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "store/store.h"
#include "tests/unit/check.h"

struct fixture {
    const char *path;
    int root;
    char dir[64];
    struct store *writer, *reader;
    struct arena *arena;
};

static inline int open_both(struct fixture *f)
{
    if (store_open(f->root, f->path, STORE_WRITE, &f->writer) != ERR_OK ||
        store_open(f->root, f->path, STORE_READ, &f->reader) != ERR_OK) {
        print_error("%s\n", err_detail());
        return -1;
    }
    return 0;
}

static inline int set_up(void **state, const char *path)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/keyward-store-XXXXXX");
    f->path = path;
    if (mkdtemp(f->dir) == NULL || file_open_dir(f->dir, &f->root) != ERR_OK ||
        arena_new((size_t)64 << 20, &f->arena) != ERR_OK)
        return -1;
    return open_both(f);
}

static inline int set_up_sqlite(void **state)
{
    return set_up(state, "store.db");
}

static inline int set_up_ram(void **state)
{
    return set_up(state, "ram:test");
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    store_close(f->reader);
    store_close(f->writer);
    arena_free(f->arena);
    int slash = file_open_dir("/", &f->root);
    (void)slash;
    enum err err = file_remove_tree(f->root, f->dir + 1);
    file_closep(&f->root);
    free(f);
    return err == ERR_OK ? 0 : -1;
}

static inline struct uuid numbered(unsigned n)
{
    struct uuid id = {{0x01}};
    id.bytes[12] = (uint8_t)(n >> 24);
    id.bytes[13] = (uint8_t)(n >> 16);
    id.bytes[14] = (uint8_t)(n >> 8);
    id.bytes[15] = (uint8_t)n;
    return id;
}

static inline bool same_id(const struct uuid *a, unsigned n)
{
    struct uuid b = numbered(n);
    return memcmp(a, &b, sizeof b) == 0;
}

static inline void begin(struct fixture *f)
{
    OK(store_begin(f->writer, STORE_WRITE));
}

static inline void commit(struct fixture *f)
{
    OK(store_commit(f->writer));
}

#define BOTH(test)                                                                                 \
    {#test " (sqlite)", test, set_up_sqlite, tear_down, NULL},                                     \
    {                                                                                              \
#test " (ram)", test, set_up_ram, tear_down, NULL                                          \
    }

#endif
