// SPDX-License-Identifier: Apache-2.0
//
// base/log.h: what strangers choose stands in the log and does nothing there.
#include "base/log.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/check.h"

static char line[4096];

// What is logged about `text`, from the event on.
static const char *logged(const char *text)
{
    int pipe_fds[2];
    int old = dup(STDERR_FILENO);
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
    log_event(LOG_LEVEL_WARN, "seen name=%s", text);
    assert_true(dup2(old, STDERR_FILENO) >= 0);
    ssize_t len = read(pipe_fds[0], line, sizeof line - 1);
    assert_true(len > 0);
    line[len] = '\0';
    (void)close(old);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    const char *at = strstr(line, "name=");
    assert_non_null(at);
    return at + strlen("name=");
}

static void what_could_do_something_to_a_terminal_is_escaped(void **state)
{
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        {"plain", "plain\n"},
        {"b\xc3\xa4r \xe2\x82\xac \xf0\x9f\x94\x91", "b\xc3\xa4r \xe2\x82\xac \xf0\x9f\x94\x91\n"},
        {"a\nb", "a\\x0ab\n"},
        {"\x1b[31m", "\\x1b[31m\n"},
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b31m\n"},
        {"\xe2\x80\xae"
         "abc",
         "\\xe2\\x80\\xaeabc\n"},
        // No UTF-8: a control of 8 bits, a cut character, one of too many bytes, a surrogate.
        {"\x9b"
         "31m",
         "\\x9b31m\n"},
        {"a\xe2\x82", "a\\xe2\\x82\n"},
        {"\xc0\xaf", "\\xc0\\xaf\n"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(logged(cases[i].text), cases[i].shown);
}

static void a_long_text_is_cut_and_stays_one_line(void **state)
{
    char text[3000];
    (void)state;
    memset(text, 0x9b, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const char *shown = logged(text);
    assert_ptr_equal(strchr(shown, '\n') + 1, shown + strlen(shown));
    assert_in_range(strlen(line), 1000, 2048);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_could_do_something_to_a_terminal_is_escaped),
        cmocka_unit_test(a_long_text_is_cut_and_stays_one_line),
    };
    log_setup("test", LOG_LEVEL_INFO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
