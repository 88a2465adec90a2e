// SPDX-License-Identifier: Apache-2.0
//
// store/issued.h: what every driver promises of certificates that were issued.
#include "store/issued.h"

#include "tests/contract/store_rig.h"

enum { REASON_SUPERSEDED = 4 };

static struct store_issued row_of(uint8_t n, unsigned authority, unsigned holder)
{
    struct store_issued row = {.authority = numbered(authority),
                               .holder = numbered(holder),
                               .issued = 10,
                               .expires = 1000 + n};
    memset(row.fingerprint, n, sizeof row.fingerprint);
    memset(row.serial, n + 1, sizeof row.serial);
    return row;
}

static void put(struct fixture *f, uint8_t n, unsigned authority, unsigned holder)
{
    struct store_issued row = row_of(n, authority, holder);
    begin(f);
    OK(store_issued_put(f->writer, &row));
    commit(f);
}

static void end(struct fixture *f, unsigned holder, const uint8_t *fingerprint, int64_t when)
{
    struct uuid id = numbered(holder);
    begin(f);
    OK(store_issued_end(f->writer, &id, fingerprint, when, REASON_SUPERSEDED));
    commit(f);
}

static uint64_t count(struct fixture *f, struct store_issued_query query)
{
    uint64_t counted = 0;
    size_t listed = 0;
    struct store_issued *rows = NULL;
    query.limit = STORE_FIND_MAX;
    OK(store_issued_count(f->reader, &query, &counted));
    OK(store_issued_list(f->reader, &query, f->arena, &rows, &listed));
    assert_int_equal(listed, counted);
    return counted;
}

static void a_certificate_comes_back_as_it_was_put(void **state)
{
    struct fixture *f = *state;
    struct store_issued got;
    struct store_issued row = row_of(3, 1, 2);
    put(f, 3, 1, 2);
    OK(store_issued_get(f->reader, row.fingerprint, &got));
    assert_memory_equal(got.serial, row.serial, sizeof row.serial);
    assert_true(same_id(&got.authority, 1));
    assert_true(same_id(&got.holder, 2));
    assert_int_equal(got.issued, 10);
    assert_int_equal(got.expires, 1003);
    assert_int_equal(got.ended, 0);
    begin(f);
    FAILS(ERR_CONFLICT, store_issued_put(f->writer, &row));
    commit(f);
    row.fingerprint[0] = 9;
    FAILS(ERR_NOT_FOUND, store_issued_get(f->reader, row.fingerprint, &got));
}

static void an_end_is_brought_forward_and_never_put_off(void **state)
{
    struct fixture *f = *state;
    struct store_issued got;
    struct store_issued row = row_of(1, 1, 1);
    put(f, 1, 1, 1);
    put(f, 2, 1, 1);
    put(f, 3, 1, 2);
    end(f, 1, row.fingerprint, 500);
    OK(store_issued_get(f->reader, row.fingerprint, &got));
    assert_int_equal(got.ended, 500);
    assert_int_equal(got.reason, REASON_SUPERSEDED);
    end(f, 1, row.fingerprint, 600);
    OK(store_issued_get(f->reader, row.fingerprint, &got));
    assert_int_equal(got.ended, 500);
    end(f, 1, NULL, 400);
    OK(store_issued_get(f->reader, row.fingerprint, &got));
    assert_int_equal(got.ended, 400);
    const struct store_issued_query ended = {.filter = ISSUED_ENDED, .at = 400};
    assert_int_equal(count(f, ended), 2);
    end(f, 2, row.fingerprint, 400); // not this holder's
    assert_int_equal(count(f, ended), 2);
}

static void they_are_found_by_authority_holder_and_time(void **state)
{
    struct fixture *f = *state;
    for (uint8_t n = 1; n <= 6; n++)
        put(f, n, n <= 4 ? 1 : 2, n);
    end(f, 1, NULL, 300);
    end(f, 2, NULL, 800);
    assert_int_equal(count(f, (struct store_issued_query){.filter = ISSUED_ANY}), 6);
    assert_int_equal(count(f, (struct store_issued_query){.authority = numbered(1)}), 4);
    assert_int_equal(count(f, (struct store_issued_query){.holder = numbered(5)}), 1);
    assert_int_equal(count(f, (struct store_issued_query){.filter = ISSUED_STANDING, .at = 400}),
                     4);
    assert_int_equal(count(f, (struct store_issued_query){.filter = ISSUED_COUNTING, .at = 400}),
                     5);
    assert_int_equal(count(f, (struct store_issued_query){.filter = ISSUED_ENDED, .at = 400}), 1);
    assert_int_equal(count(f, (struct store_issued_query){.filter = ISSUED_ENDED, .at = 800}), 2);
    assert_int_equal(count(f, (struct store_issued_query){.filter = ISSUED_STANDING, .at = 1005}),
                     1);
    assert_int_equal(count(f, (struct store_issued_query){.expires_before = 1003}), 2);
}

static void they_come_in_pages(void **state)
{
    struct fixture *f = *state;
    struct store_issued *rows = NULL;
    size_t found = 0;
    struct store_issued_query query = {.limit = 2};
    for (uint8_t n = 1; n <= 5; n++)
        put(f, n, 1, n);
    for (uint8_t first = 1; first <= 5; first = (uint8_t)(first + 2)) {
        OK(store_issued_list(f->reader, &query, f->arena, &rows, &found));
        assert_int_equal(found, first == 5 ? 1 : 2);
        assert_int_equal(rows[0].fingerprint[0], first);
        memcpy(query.after, rows[found - 1].fingerprint, sizeof query.after);
    }
    query.limit = 0;
    FAILS(ERR_INVALID, store_issued_list(f->reader, &query, f->arena, &rows, &found));
}

static void those_that_ended_and_expired_are_forgotten(void **state)
{
    struct fixture *f = *state;
    for (uint8_t n = 1; n <= 5; n++)
        put(f, n, 1, n);
    end(f, 2, NULL, 100);
    end(f, 3, NULL, 100);
    begin(f);
    OK(store_issued_forget(f->writer, 1003));
    commit(f);
    assert_int_equal(count(f, (struct store_issued_query){.filter = ISSUED_ANY}), 4);
}

static void nothing_is_written_outside_a_transaction(void **state)
{
    struct fixture *f = *state;
    struct store_issued row = row_of(1, 1, 1);
    FAILS(ERR_INTERNAL, store_issued_put(f->writer, &row));
    FAILS(ERR_INTERNAL, store_issued_end(f->writer, &row.holder, NULL, 1, 1));
    FAILS(ERR_INTERNAL, store_issued_forget(f->writer, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_certificate_comes_back_as_it_was_put),
        BOTH(an_end_is_brought_forward_and_never_put_off),
        BOTH(they_are_found_by_authority_holder_and_time),
        BOTH(they_come_in_pages),
        BOTH(those_that_ended_and_expired_are_forgotten),
        BOTH(nothing_is_written_outside_a_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
