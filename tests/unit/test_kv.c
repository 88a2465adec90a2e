// SPDX-License-Identifier: Apache-2.0
//
// base/kv.h: hand edits are honoured, comments and unknown keys survive, bad lines are named.
#include "base/kv.h"

#include "tests/unit/check.h"

static void values_are_read_with_or_without_quotes(void **state)
{
    (void)state;
    CLEANUP(kv_freep) struct kv *kv = NULL;
    const char *text = "# comment\r\nA=\"1\"\nB = '2' # why\nexport C=three\n\n";
    assert_int_equal(kv_parse(span_str(text), "x.conf", &kv), ERR_OK);
    assert_string_equal(kv_get(kv, "A", ""), "1");
    assert_string_equal(kv_get(kv, "B", ""), "2");
    assert_string_equal(kv_get(kv, "C", ""), "three");
    assert_string_equal(kv_get(kv, "D", "none"), "none");
}

static void a_rewrite_keeps_comments_and_unknown_keys(void **state)
{
    (void)state;
    CLEANUP(kv_freep) struct kv *kv = NULL;
    assert_int_equal(kv_parse(span_str("# mine\nODD=\"x\"\nA=\"0\"\n"), "x.conf", &kv), ERR_OK);
    assert_int_equal(kv_set(kv, "A", "1"), ERR_OK);
    assert_int_equal(kv_set(kv, "NEW", "n"), ERR_OK);
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 4096, false);
    assert_int_equal(kv_text(kv, &out), ERR_OK);
    assert_true(span_eq_str(span_buf(&out), "# mine\nODD=\"x\"\nA=\"1\"\nNEW=\"n\"\n"));
    assert_int_equal(kv_set(kv, "A", "x\"y"), ERR_INVALID);
    assert_int_equal(kv_set(kv, "A", "x\ny"), ERR_INVALID);
}

static void bad_lines_are_refused_and_named(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "A=\"1",            // quote not closed
        "A=\"1\" \"0\"",    // text after the quote
        "A=\"1\"\nA=\"2\"", // twice
        "just words",       // no '='
        "=\"x\"",           // no key
        "A-B=\"x\"",        // not a key
        "A=\"x\ay\"",       // control character
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct kv *kv = NULL;
        assert_int_equal(kv_parse(span_str(cases[i]), "bad.conf", &kv), ERR_CONFIG);
        assert_non_null(strstr(err_detail(), "bad.conf"));
        assert_non_null(strstr(err_detail(), "line"));
    }
    struct kv *kv = NULL;
    assert_int_equal(kv_parse(span_of("A=\0", 3), "bad.conf", &kv), ERR_CONFIG);
}

static void switches_are_zero_or_one(void **state)
{
    (void)state;
    CLEANUP(kv_freep) struct kv *kv = NULL;
    assert_int_equal(kv_parse(span_str("A=\"1\"\nB=\"yes\"\n"), "x.conf", &kv), ERR_OK);
    bool on = false;
    assert_int_equal(kv_get_bool(kv, "A", false, &on), ERR_OK);
    assert_true(on);
    assert_int_equal(kv_get_bool(kv, "B", false, &on), ERR_CONFIG);
    assert_int_equal(kv_get_bool(kv, "C", true, &on), ERR_OK);
    assert_true(on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_with_or_without_quotes),
        cmocka_unit_test(a_rewrite_keeps_comments_and_unknown_keys),
        cmocka_unit_test(bad_lines_are_refused_and_named),
        cmocka_unit_test(switches_are_zero_or_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
