// SPDX-License-Identifier: Apache-2.0
//
// What base/buf.h and base/arena.h promise: limits hold, cursors never run past the end, UTF-8 is
// checked.
#include "base/buf.h"

#include "base/arena.h"

#include "tests/unit/check.h"

static void buf_never_exceeds_its_limit(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_done);
    buf_init(&buf, 8, true);
    assert_int_equal(buf_put(&buf, span_str("12345678")), ERR_OK);
    assert_int_equal(buf_put_u8(&buf, 1), ERR_TOO_LARGE);
    assert_int_equal(buf.len, 8);
}

static void cursor_reads_back_what_buf_wrote(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_done);
    buf_init(&buf, 1024, false);
    assert_int_equal(buf_put_u32(&buf, 0x01020304), ERR_OK);
    assert_int_equal(buf_put_var(&buf, span_str("name")), ERR_OK);
    assert_int_equal(buf_put_u64(&buf, UINT64_MAX), ERR_OK);
    struct cursor in = cursor_of(span_buf(&buf));
    uint32_t number;
    uint64_t large;
    struct span text;
    assert_int_equal(cursor_u32(&in, &number), ERR_OK);
    assert_int_equal(number, 0x01020304);
    assert_int_equal(cursor_var(&in, &text), ERR_OK);
    assert_true(span_eq_str(text, "name"));
    assert_int_equal(cursor_u64(&in, &large), ERR_OK);
    assert_true(large == UINT64_MAX);
    assert_int_equal(cursor_end(&in), ERR_OK);
}

static void cursor_refuses_to_run_past_the_end(void **state)
{
    (void)state;
    static const uint8_t lying[] = {0xff, 0xff, 0xff, 0xff, 'x'};
    struct cursor in = cursor_of(span_of(lying, sizeof lying));
    struct span text;
    assert_int_equal(cursor_var(&in, &text), ERR_MESSAGE);
    uint16_t number;
    in = cursor_of(span_of(lying, 1));
    assert_int_equal(cursor_u16(&in, &number), ERR_MESSAGE);
}

static void utf8_is_checked(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"plain", true},
        {"Schl\xc3\xbcssel", true},
        {"\xf0\x9f\x94\x91", true},
        {"\xc0\x80", false},
        {"\xed\xa0\x80", false},
        {"\xe0\x80\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xc3", false},
        {"\x80", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(span_is_utf8(span_str(cases[i].text)), cases[i].good);
    assert_false(span_is_utf8(span_of("a\0b", 3)));
}

static void characters_that_rule_a_terminal_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        {"\x1b[", 1},
        {"\n", 1},
        {"\x7f", 1},
        {"\xc2\x9b", 2},
        {"\xd8\x9c", 2},
        {"\xe2\x80\x8f", 3},
        {"\xe2\x80\xa8", 3},
        {"\xe2\x80\xaex", 3},
        {"", 0},
        {"a", 0},
        {"\xc2\xa0", 0},
        {"\xc2", 0},
        {"\xc3\x9b", 0},
        {"\xe2\x80\xa6", 0},
        {"\xe2\x81\xa9", 3},
        {"\xe2\x82\xac", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(span_control_len(span_str(cases[i].text)), cases[i].len);
}

static void arena_stops_at_its_limit(void **state)
{
    (void)state;
    CLEANUP(arena_freep) struct arena *arena = NULL;
    assert_int_equal(arena_new(100000, &arena), ERR_OK);
    uint8_t *bytes;
    assert_int_equal(arena_alloc(arena, 60000, 1, &bytes), ERR_OK);
    assert_int_equal(arena_alloc(arena, 60000, 1, &bytes), ERR_TOO_LARGE);
    assert_int_equal(arena_alloc(arena, SIZE_MAX, 2, &bytes), ERR_TOO_LARGE);
    arena_reset(arena);
    assert_int_equal(arena_alloc(arena, 60000, 1, &bytes), ERR_OK);
    assert_int_equal(bytes[59999], 0);
}

static void what_is_cut_is_wiped(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_done);
    buf_init(&buf, 64, false);
    buf_cut(&buf, 0);
    OK(buf_put(&buf, span_str("kept secret")));
    buf_cut(&buf, 20);
    assert_int_equal(buf.len, 11);
    buf_cut(&buf, 4);
    assert_true(span_eq_str(span_buf(&buf), "kept"));
    static const uint8_t zeros[7];
    assert_memory_equal(buf.data + 4, zeros, sizeof zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_never_exceeds_its_limit),
        cmocka_unit_test(cursor_reads_back_what_buf_wrote),
        cmocka_unit_test(cursor_refuses_to_run_past_the_end),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(characters_that_rule_a_terminal_are_known),
        cmocka_unit_test(what_is_cut_is_wiped),
        cmocka_unit_test(arena_stops_at_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
