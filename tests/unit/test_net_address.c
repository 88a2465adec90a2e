// SPDX-License-Identifier: Apache-2.0
//
// The table of addresses counts right through any order of coming and going, so that no address is
// ever refused for connections that it no longer has.
#include <stdlib.h>

#include "net/inner.h"

#include "tests/unit/check.h"

enum { ADDRESSES = 300, STEPS = 200000 };

static struct in6_addr address_of(size_t i)
{
    struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 10}};
    address.s6_addr[14] = (uint8_t)(i >> 8);
    address.s6_addr[15] = (uint8_t)i;
    return address;
}

static void counts_stay_right_while_the_table_is_as_full_as_it_gets(void **state)
{
    (void)state;
    static uint32_t expect[ADDRESSES];
    struct address_table table;
    OK(address_init(&table, ADDRESSES));
    srandom(1);
    for (size_t step = 0; step < STEPS; step++) {
        size_t i = (size_t)random() % ADDRESSES;
        struct in6_addr address = address_of(i);
        if (random() % 2 == 0) {
            address_add(&table, &address);
            expect[i]++;
        } else {
            address_remove(&table, &address);
            expect[i] -= expect[i] > 0 ? 1 : 0;
        }
        size_t other = (size_t)random() % ADDRESSES;
        address = address_of(other);
        assert_int_equal(address_count(&table, &address), expect[other]);
    }
    for (size_t i = 0; i < ADDRESSES; i++) {
        struct in6_addr address = address_of(i);
        assert_int_equal(address_count(&table, &address), expect[i]);
        for (; expect[i] > 0; expect[i]--)
            address_remove(&table, &address);
    }
    for (size_t i = 0; i < table.size; i++)
        assert_int_equal(table.slots[i].count, 0);
    address_done(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_stay_right_while_the_table_is_as_full_as_it_gets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
