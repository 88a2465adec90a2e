// SPDX-License-Identifier: Apache-2.0
//
// base/pwhash.h: records, what fits them, and what a record may ask for.
#include "base/pwhash.h"

#include <sodium.h>

#include "base/secret.h"
#include "tests/unit/check.h"

static bool fits(const char *password, const uint8_t record[PWHASH_LEN])
{
    bool same = false;
    OK(pwhash_check(span_str(password), span_of(record, PWHASH_LEN), &same));
    return same;
}

static void only_the_password_itself_fits(void **state)
{
    uint8_t one[PWHASH_LEN];
    uint8_t two[PWHASH_LEN];
    bool same = true;
    (void)state;
    OK(pwhash_make(span_str("correct horse battery"), one));
    OK(pwhash_make(span_str("correct horse battery"), two));
    assert_memory_not_equal(one, two, PWHASH_LEN);
    assert_true(fits("correct horse battery", one));
    assert_true(fits("correct horse battery", two));
    assert_false(fits("correct horse batterz", one));
    assert_false(fits("", one));
    OK(pwhash_check(span_of("correct horse battery\0", 22), span_of(one, PWHASH_LEN), &same));
    assert_false(same);
    assert_false(pwhash_is_old(span_of(one, PWHASH_LEN)));
}

static void a_record_is_argon2id_of_its_own_parameters(void **state)
{
    uint8_t record[PWHASH_LEN];
    uint8_t want[32];
    (void)state;
    OK(pwhash_make(span_str("a password of tests"), record));
    assert_int_equal(crypto_pwhash(want, sizeof want, "a password of tests", 19, record + 9, 4,
                                   (size_t)128 << 20, crypto_pwhash_ALG_ARGON2ID13),
                     0);
    assert_memory_equal(record + 25, want, sizeof want);
}

static void an_older_record_fits_and_is_told_from_new_ones(void **state)
{
    uint8_t record[PWHASH_LEN] = {1, 0, 0, 0, 3, 0, 0, 0x80, 0};
    (void)state;
    assert_int_equal(crypto_pwhash(record + 25, 32, "old", 3, record + 9, 3, (size_t)32 << 20,
                                   crypto_pwhash_ALG_ARGON2ID13),
                     0);
    assert_true(fits("old", record));
    assert_false(fits("new", record));
    assert_true(pwhash_is_old(span_of(record, PWHASH_LEN)));
}

static void nothing_fits_an_empty_record_or_is_too_long(void **state)
{
    static char text[PWHASH_PASSWORD_MAX + 2];
    uint8_t record[PWHASH_LEN];
    bool same = true;
    (void)state;
    memset(text, 'a', PWHASH_PASSWORD_MAX + 1);
    OK(pwhash_check(span_str(""), span_of(NULL, 0), &same));
    assert_false(same);
    FAILS(ERR_INVALID, pwhash_make(span_str(text), record));
    OK(pwhash_make(span_of(text, PWHASH_PASSWORD_MAX), record));
    assert_false(fits(text, record));
    text[PWHASH_PASSWORD_MAX] = '\0';
    assert_true(fits(text, record));
}

static void a_record_that_asks_for_too_little_or_too_much_is_refused(void **state)
{
    static const uint32_t bad[][2] = {{1, 131072}, {33, 131072}, {4, 32767}, {4, 1048577}};
    uint8_t record[PWHASH_LEN] = {1};
    bool same = true;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        for (int k = 0; k < 4; k++) {
            record[1 + k] = (uint8_t)(bad[i][0] >> (24 - 8 * k));
            record[5 + k] = (uint8_t)(bad[i][1] >> (24 - 8 * k));
        }
        FAILS(ERR_DAMAGED, pwhash_check(span_str("x"), span_of(record, PWHASH_LEN), &same));
    }
    FAILS(ERR_DAMAGED, pwhash_check(span_str("x"), span_of(record, PWHASH_LEN - 1), &same));
    record[0] = 2;
    FAILS(ERR_DAMAGED, pwhash_check(span_str("x"), span_of(record, PWHASH_LEN), &same));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_password_itself_fits),
        cmocka_unit_test(a_record_is_argon2id_of_its_own_parameters),
        cmocka_unit_test(an_older_record_fits_and_is_told_from_new_ones),
        cmocka_unit_test(nothing_fits_an_empty_record_or_is_too_long),
        cmocka_unit_test(a_record_that_asks_for_too_little_or_too_much_is_refused),
    };
    if (secret_setup() != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
