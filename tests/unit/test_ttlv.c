// SPDX-License-Identifier: Apache-2.0
//
// What wire/ttlv.h promises: what is written is read back, and every malformed message is refused
// before anything looks inside it.
#include "wire/ttlv.h"

#include "wire/limits.h"

#include "tests/unit/check.h"

enum { TAG = 0x420078, CHILD = 0x420077 };

static void everything_written_is_read_back(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 4096, true);
    size_t at;
    OK(ttlv_begin(&out, TAG, &at));
    OK(ttlv_put_integer(&out, CHILD, -2));
    OK(ttlv_put_long(&out, CHILD, INT64_MIN));
    OK(ttlv_put_enumeration(&out, CHILD, 0x80000001));
    OK(ttlv_put_boolean(&out, CHILD, true));
    OK(ttlv_put_text(&out, CHILD, span_str("five5")));
    OK(ttlv_put_bytes(&out, CHILD, span_of("\0\1\2", 3)));
    OK(ttlv_put_date_time(&out, CHILD, -1));
    OK(ttlv_put_value(&out, CHILD, TTLV_INTERVAL, 10, span_str("")));
    ttlv_end(&out, at);
    OK(ttlv_check(span_buf(&out)));
    size_t size;
    OK(ttlv_message_size(out.data, TAG, LIMIT_MESSAGE, &size));
    assert_int_equal(size, out.len);

    struct cursor in = cursor_of(span_of(out.data + TTLV_HEADER, out.len - TTLV_HEADER));
    struct ttlv items[8];
    bool found;
    for (size_t i = 0; i < COUNT_OF(items); i++) {
        OK(ttlv_next(&in, &items[i], &found));
        assert_true(found);
    }
    struct ttlv none;
    OK(ttlv_next(&in, &none, &found));
    assert_false(found);

    int32_t integer;
    int64_t number;
    uint32_t enumeration;
    bool truth;
    struct span bytes;
    OK(ttlv_integer(&items[0], &integer));
    assert_int_equal(integer, -2);
    OK(ttlv_number(&items[1], &number));
    assert_true(number == INT64_MIN);
    OK(ttlv_enumeration(&items[2], &enumeration));
    assert_int_equal(enumeration, 0x80000001);
    OK(ttlv_number(&items[2], &number));
    assert_true(number == 0x80000001LL);
    OK(ttlv_boolean(&items[3], &truth));
    assert_true(truth);
    OK(ttlv_text(&items[4], &bytes));
    assert_true(span_eq_str(bytes, "five5"));
    OK(ttlv_bytes(&items[5], &bytes));
    assert_int_equal(bytes.len, 3);
    OK(ttlv_date_time(&items[6], &number));
    assert_true(number == -1);
    OK(ttlv_number(&items[7], &number));
    assert_int_equal(number, 10);
    FAILS(ERR_INVALID, ttlv_text(&items[5], &bytes));
    FAILS(ERR_INVALID, ttlv_integer(&items[7], &integer));
    FAILS(ERR_INVALID, ttlv_number(&items[4], &number));
    FAILS(ERR_INVALID, ttlv_structure(&items[4], &bytes));
}

static void malformed_items_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *bytes;
        size_t len;
    } cases[] = {
#define BYTES(text) text, sizeof(text) - 1
        {"padding is not zero", BYTES("\x42\0\x55\x07\0\0\0\x05hello\0\0\1")},
        {"padding is missing", BYTES("\x42\0\x55\x07\0\0\0\x07"
                                     "1234567")},
        {"text with NUL", BYTES("\x42\0\x55\x07\0\0\0\x03"
                                "a\0b\0\0\0\0\0")},
        {"text with an overlong form", BYTES("\x42\0\x55\x07\0\0\0\x02\xc0\x80\0\0\0\0\0\0")},
        {"text with a surrogate", BYTES("\x42\0\x55\x07\0\0\0\x03\xed\xa0\x80\0\0\0\0\0")},
        {"integer of 8 bytes", BYTES("\x42\0\x55\x02\0\0\0\x08\0\0\0\0\0\0\0\0")},
        {"long integer of 4 bytes", BYTES("\x42\0\x55\x03\0\0\0\x04\0\0\0\0\0\0\0\0")},
        {"big integer of 7 bytes", BYTES("\x42\0\x55\x04\0\0\0\x07\0\0\0\0\0\0\0\0")},
        {"big integer of no bytes", BYTES("\x42\0\x55\x04\0\0\0\0")},
        {"enumeration of no bytes", BYTES("\x42\0\x55\x05\0\0\0\0")},
        {"boolean 2", BYTES("\x42\0\x55\x06\0\0\0\x08\0\0\0\0\0\0\0\2")},
        {"boolean with a high byte", BYTES("\x42\0\x55\x06\0\0\0\x08\1\0\0\0\0\0\0\1")},
        {"date of 4 bytes", BYTES("\x42\0\x55\x09\0\0\0\x04\0\0\0\0\0\0\0\0")},
        {"negative interval", BYTES("\x42\0\x55\x0a\0\0\0\x04\x80\0\0\0\0\0\0\0")},
        {"type 0", BYTES("\x42\0\x55\x00\0\0\0\0")},
        {"type 12", BYTES("\x42\0\x55\x0c\0\0\0\0")},
        {"tag 000000", BYTES("\0\0\0\x01\0\0\0\0")},
        {"tag 41FFFF", BYTES("\x41\xff\xff\x01\0\0\0\0")},
        {"tag 420000", BYTES("\x42\0\0\x01\0\0\0\0")},
        {"half a header", BYTES("\x42\0\x55\x01")},
        {"length of 2^32-1", BYTES("\x42\0\x55\x08\xff\xff\xff\xff")},
        {"length of 2^31", BYTES("\x42\0\x55\x08\x80\0\0\0")},
        {"structure of 12 bytes", BYTES("\x42\0\x78\x01\0\0\0\x0c\x42\0\x55\x01\0\0\0\0\0\0\0\0"
                                        "\0\0\0\0")},
        {"child overruns its structure", BYTES("\x42\0\x78\x01\0\0\0\x08\x42\0\x55\x08\0\0\0\x01"
                                               "a\0\0\0\0\0\0\0")},
        {"zeros after the message", BYTES("\x42\0\x78\x01\0\0\0\0\0\0\0\0\0\0\0\0")},
#undef BYTES
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (ttlv_check(span_of(cases[i].bytes, cases[i].len)) != ERR_MESSAGE)
            fail_msg("accepted: %s", cases[i].why);
    }
}

static void vendor_tags_are_well_formed(void **state)
{
    (void)state;
    static const char bytes[] = "\x54\0\x01\x05\0\0\0\x04\x80\0\0\1\0\0\0\0";
    OK(ttlv_check(span_of(bytes, sizeof bytes - 1)));
    OK(ttlv_check(span_of("", 0)));
}

// `depth` empty structures inside each other.
static void put_nested(struct buf *out, size_t depth)
{
    for (size_t i = 0; i < depth; i++) {
        OK(buf_put_u32(out, 0x42007801));
        OK(buf_put_u32(out, (uint32_t)((depth - 1 - i) * TTLV_HEADER)));
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    static const struct {
        size_t depth;
        enum err expect;
    } cases[] = {{1, ERR_OK}, {32, ERR_OK}, {33, ERR_MESSAGE}, {10000, ERR_MESSAGE}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf out CLEANUP(buf_done);
        buf_init(&out, 1 << 20, false);
        put_nested(&out, cases[i].depth);
        FAILS(cases[i].expect, ttlv_check(span_buf(&out)));
    }
}

static void the_number_of_items_is_bounded(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 1 << 20, false);
    for (int i = 0; i < LIMIT_ITEMS; i++)
        OK(ttlv_put_text(&out, CHILD, span_str("")));
    OK(ttlv_check(span_buf(&out)));
    OK(ttlv_put_text(&out, CHILD, span_str("")));
    FAILS(ERR_TOO_LARGE, ttlv_check(span_buf(&out)));
}

static void a_message_says_its_size(void **state)
{
    (void)state;
    size_t size;
    const uint8_t *good = (const uint8_t *)"\x42\0\x78\x01\0\0\0\x10";
    OK(ttlv_message_size(good, TAG, 24, &size));
    assert_int_equal(size, 24);
    FAILS(ERR_TOO_LARGE, ttlv_message_size(good, TAG, 23, &size));
    FAILS(ERR_MESSAGE, ttlv_message_size(good, CHILD, 24, &size));
    FAILS(ERR_TOO_LARGE, ttlv_message_size((const uint8_t *)"\x42\0\x78\x01\x7f\xff\xff\xf8", TAG,
                                           LIMIT_MESSAGE, &size));
    FAILS(ERR_MESSAGE, ttlv_message_size((const uint8_t *)"\x42\0\x78\x01\xff\xff\xff\xff", TAG,
                                         LIMIT_MESSAGE, &size));
    FAILS(ERR_MESSAGE, ttlv_message_size((const uint8_t *)"\x42\0\x78\x07\0\0\0\x10", TAG,
                                         LIMIT_MESSAGE, &size));
    FAILS(ERR_MESSAGE, ttlv_message_size((const uint8_t *)"GET / HT", TAG, LIMIT_MESSAGE, &size));
}

static void members_are_found_by_tag(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 4096, false);
    OK(ttlv_put_integer(&out, 0x420001, 1));
    OK(ttlv_put_integer(&out, 0x420002, 2));
    struct ttlv item;
    int32_t value;
    assert_true(ttlv_find(span_buf(&out), 0x420002, &item));
    OK(ttlv_integer(&item, &value));
    assert_int_equal(value, 2);
    assert_false(ttlv_find(span_buf(&out), 0x420003, &item));
    assert_false(ttlv_find(span_of(out.data, 20), 0x420002, &item));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_written_is_read_back),
        cmocka_unit_test(malformed_items_are_refused),
        cmocka_unit_test(vendor_tags_are_well_formed),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(the_number_of_items_is_bounded),
        cmocka_unit_test(a_message_says_its_size),
        cmocka_unit_test(members_are_found_by_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
