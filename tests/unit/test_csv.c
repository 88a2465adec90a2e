// SPDX-License-Identifier: Apache-2.0
//
// base/csv.h: lists as comma-separated values.
#include "base/csv.h"
#include "tests/unit/check.h"

enum { ROOM = 4096 };

static void check(const char *rows, const char *wanted)
{
    struct buf out CLEANUP(buf_done);
    json_t *list = json_loads(rows, 0, NULL);
    assert_non_null(list);
    buf_init(&out, ROOM, false);
    OK(csv_put(list, &out));
    OK(buf_put_u8(&out, 0));
    assert_string_equal((const char *)out.data, wanted);
    json_decref(list);
}

static void values_become_cells(void **state)
{
    (void)state;
    check("[{\"a\": \"x\", \"b\": 7, \"c\": true, \"d\": false, \"e\": null, \"f\": 1.5, \"g\": "
          "[\"p\", 2]}]",
          "\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"\r\n"
          "\"x\",\"7\",\"yes\",\"no\",\"\",\"1.5\",\"p, 2\"\r\n");
}

static void no_rows_are_no_line(void **state)
{
    (void)state;
    check("[]", "");
}

static void texts_are_not_taken_for_formulas_and_numbers_stay_numbers(void **state)
{
    (void)state;
    check("[{\"a\": \"=1+1\"}, {\"a\": \"+1\"}, {\"a\": \"-1\"}, {\"a\": \"@x\"}, {\"a\": "
          "\"\\t=1\"}, {\"a\": -1}, {\"a\": [\"=1\", \"b\"]}, {\"a\": \"1=1\"}]",
          "\"a\"\r\n\"'=1+1\"\r\n\"'+1\"\r\n\"'-1\"\r\n\"'@x\"\r\n\"'?=1\"\r\n\"-1\"\r\n\"'=1, "
          "b\"\r\n\"1=1\"\r\n");
}

static void what_names_a_column_is_no_formula_either(void **state)
{
    (void)state;
    check("[{\"=a\": 1}]", "\"'=a\"\r\n\"1\"\r\n");
}

static void quotes_are_doubled_and_control_characters_replaced(void **state)
{
    (void)state;
    check("[{\"a\": \"say \\\"so\\\", twice\"}, {\"a\": \"two\\nlines\"}, {\"a\": "
          "\"\\u001b[31m\\u009b\\r\"}, {\"a\": \"\\u202e\\u00e4\"}]",
          "\"a\"\r\n\"say \"\"so\"\", twice\"\r\n\"two\nlines\"\r\n\"?[31m??\"\r\n\"?\u00e4\"\r\n");
}

static void a_column_stands_for_whatever_some_row_has(void **state)
{
    (void)state;
    check("[{\"a\": 1, \"o\": {\"name\": \"n\"}}, {\"a\": 2, \"b\": 3}]",
          "\"a\",\"b\"\r\n\"1\",\"\"\r\n\"2\",\"3\"\r\n");
    check("[{\"o\": null}, {\"o\": {\"name\": \"n\"}}, {\"o\": {\"kind\": \"local\", \"uid\": "
          "0}}, {\"o\": {\"kind\": \"user\", \"id\": \"u\"}}]",
          "\"o\"\r\n\"\"\r\n\"n\"\r\n\"local 0\"\r\n\"user u\"\r\n");
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_done);
    json_t *list = json_loads("[{\"a\": \"0123456789\"}]", 0, NULL);
    buf_init(&out, 8, false);
    FAILS(ERR_TOO_LARGE, csv_put(list, &out));
    json_decref(list);
}

static void the_rows_are_the_first_list_of_a_document(void **state)
{
    (void)state;
    json_t *doc = json_loads("{\"count\": 1, \"rows\": [1], \"more\": [2, 3]}", 0, NULL);
    assert_int_equal(json_array_size(csv_rows_of(doc)), 1);
    json_decref(doc);
    doc = json_loads("{\"name\": \"one\"}", 0, NULL);
    assert_null(csv_rows_of(doc));
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_become_cells),
        cmocka_unit_test(no_rows_are_no_line),
        cmocka_unit_test(texts_are_not_taken_for_formulas_and_numbers_stay_numbers),
        cmocka_unit_test(what_names_a_column_is_no_formula_either),
        cmocka_unit_test(quotes_are_doubled_and_control_characters_replaced),
        cmocka_unit_test(a_column_stands_for_whatever_some_row_has),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(the_rows_are_the_first_list_of_a_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
