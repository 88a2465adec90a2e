// SPDX-License-Identifier: Apache-2.0
//
// crypto/pkcs12.h: no memory that is given back holds a value of a wallet. OpenSSL's memory goes
// through functions of this program, which look into each block before it is freed.
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "crypto/pkcs12.h"
#include "tests/unit/check.h"

#define MARK "a master key that nobody may find"

static unsigned found;

static void *take(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return malloc(size);
}

static void give(void *block, const char *file, int line)
{
    (void)file, (void)line;
    if (block != NULL && memmem(block, malloc_usable_size(block), MARK, strlen(MARK)) != NULL)
        found++;
    free(block);
}

static void *move(void *block, size_t size, const char *file, int line)
{
    void *moved = size == 0 ? NULL : take(size, file, line);
    size_t had = block == NULL ? 0 : malloc_usable_size(block);
    if (moved != NULL && had > 0)
        memcpy(moved, block, had < size ? had : size);
    if (moved != NULL || size == 0)
        give(block, file, line);
    return moved;
}

static enum err count(void *arg, const struct pkcs12_bag *bag)
{
    *(int *)arg += span_eq_str(bag->value, MARK);
    return ERR_OK;
}

static void no_value_of_a_wallet_is_left_in_memory(void **state)
{
    struct buf der CLEANUP(buf_done);
    const struct pkcs12_bag bags[] = {{.name = "one", .value = span_str(MARK)},
                                      {.name = "two", .value = span_str(MARK)}};
    int seen = 0;
    (void)state;
    buf_init(&der, PKCS12_FILE_MAX, true);
    OK(pkcs12_encode(bags, 2, span_str("password"), 1000, &der));
    assert_int_equal(found, 0);
    OK(pkcs12_decode(span_buf(&der), span_str("password"), count, &seen));
    assert_int_equal(seen, 2);
    assert_int_equal(found, 0);
    // The look itself works.
    give(strdup(MARK), "", 0);
    assert_int_equal(found, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_value_of_a_wallet_is_left_in_memory),
    };
    if (CRYPTO_set_mem_functions(take, move, give) != 1)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
