// SPDX-License-Identifier: Apache-2.0
//
// base/clock.h: times as text and back.
#include "base/clock.h"
#include "tests/unit/check.h"

static void a_time_is_read_as_it_is_written(void **state)
{
    (void)state;
    static const int64_t times[] = {0, 1, 999, 1700000000123, 4102444800000, 253402300799999};
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        char text[CLOCK_TEXT_LEN + 1];
        int64_t back = -1;
        clock_text(times[i], text);
        assert_true(clock_parse(text, &back));
        assert_int_equal(back, times[i]);
    }
}

static void days_and_seconds_are_read_too(void **state)
{
    (void)state;
    int64_t at = 0;
    assert_true(clock_parse("2026-01-31", &at));
    assert_int_equal(at, 1769817600000);
    assert_true(clock_parse("2024-02-29T23:59:59Z", &at));
    assert_int_equal(at, 1709251199000);
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "yesterday",
                                      "2026-1-31",
                                      "2026-13-01",
                                      "2026-02-30",
                                      "2025-02-29",
                                      "1969-12-31",
                                      "2026-01-31T12:00:00",
                                      "2026-01-31T12:00:00+01:00",
                                      "2026-01-31T24:00:00Z",
                                      "2026-01-31T12:00:60Z",
                                      "2026-01-31T12:00:00.1Z",
                                      "2026-01-31T12:00:00.123",
                                      "2026-01-31T12:00:00.123Zx",
                                      " 2026-01-31",
                                      "2026-01-31 "};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        int64_t at = 0;
        if (clock_parse(bad[i], &at))
            fail_msg("\"%s\" was taken for a time", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_read_as_it_is_written),
        cmocka_unit_test(days_and_seconds_are_read_too),
        cmocka_unit_test(what_is_no_time_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
