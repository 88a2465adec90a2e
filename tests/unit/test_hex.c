// SPDX-License-Identifier: Apache-2.0
//
// base/hex.h: every byte there and back, and what is not read.
#include "base/hex.h"

#include "tests/unit/check.h"

static void every_byte_is_read_as_it_is_written(void **state)
{
    uint8_t bytes[256];
    uint8_t back[256];
    char text[2 * sizeof bytes + 1];
    size_t len = 0;
    struct buf out CLEANUP(buf_done);
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    hex_text(span_of(bytes, sizeof bytes), text);
    assert_int_equal(strlen(text), 2 * sizeof bytes);
    assert_true(hex_bytes(span_str(text), back, sizeof back, &len));
    assert_int_equal(len, sizeof bytes);
    assert_memory_equal(back, bytes, sizeof bytes);
    buf_init(&out, 1024, false);
    OK(hex_put(&out, span_of(bytes, sizeof bytes)));
    assert_true(span_eq_str(span_buf(&out), text));
}

static void either_case_is_read_where_people_write(void **state)
{
    static const char *const bad[] = {"0", "0g", "G0", "0x", " 0", "00000000fF"};
    uint8_t out[4];
    size_t len = 0;
    (void)state;
    assert_true(hex_bytes_any_case(span_str("aBCd0F"), out, sizeof out, &len));
    assert_int_equal(len, 3);
    assert_memory_equal(out, "\xab\xcd\x0f", 3);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (hex_bytes_any_case(span_str(bad[i]), out, sizeof out, &len))
            fail_msg("\"%s\" was read", bad[i]);
    }
}

static void what_is_no_lower_case_hexadecimal_is_refused(void **state)
{
    static const char *const bad[] = {"0",  "abc", "0g",    "g0",       "AB",
                                      "aB", "  ",  "0\x10", "\x01\x30", "00000000ff"};
    uint8_t out[4];
    size_t len = 0;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (hex_bytes(span_str(bad[i]), out, sizeof out, &len))
            fail_msg("\"%s\" was read", bad[i]);
    }
    assert_true(hex_bytes(span_str(""), out, sizeof out, &len) && len == 0);
}

static void a_digit_counts_in_either_case(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char *all = "0123456789abcdefABCDEF";
        const char *at = c == 0 ? NULL : strchr(all, c);
        int want = at == NULL ? -1 : (int)(at - all) < 16 ? (int)(at - all) : (int)(at - all) - 6;
        assert_int_equal(hex_digit((uint8_t)c), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_read_as_it_is_written),
        cmocka_unit_test(either_case_is_read_where_people_write),
        cmocka_unit_test(what_is_no_lower_case_hexadecimal_is_refused),
        cmocka_unit_test(a_digit_counts_in_either_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
