// SPDX-License-Identifier: Apache-2.0
//
// cli: a secret is taken from a private regular file of ours or not at all; made passphrases are
// random; text from a server cannot steer a terminal.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/passphrase.h"
#include "cli/secrets.h"
#include "cli/term.h"

#include "tests/unit/check.h"

static char dir[] = "/tmp/kw-secrets-XXXXXX";

static int enter(void **state)
{
    (void)state;
    OK(secret_setup());
    return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    OK(file_remove_tree(AT_FDCWD, dir));
    return chdir("/");
}

static void put_file(const char *name, const char *text, mode_t mode)
{
    (void)unlink(name);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    OK(file_write_all(fd, span_str(text), name));
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

static void one_newline_at_the_end_is_taken_off(void **state)
{
    (void)state;
    static const struct {
        const char *text, *secret;
    } cases[] = {{"pin", "pin"}, {"pin\n", "pin"}, {"pin\n\n", "pin\n"}, {" p \n", " p "}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CLEANUP(secret_freep) struct secret *secret = NULL;
        put_file("s", cases[i].text, 0600);
        OK(secrets_read("s", &secret));
        assert_true(span_eq_str(secret_span(secret), cases[i].secret));
    }
    CLEANUP(secret_freep) struct secret *secret = NULL;
    put_file("s", "x", 0400);
    OK(secrets_read("s", &secret));
}

static void files_that_others_can_read_are_refused_by_name_and_mode(void **state)
{
    (void)state;
    static const struct {
        mode_t mode;
        const char *text;
    } cases[] = {{0644, "0644"}, {0640, "0640"}, {0604, "0604"}, {0620, "0620"}, {0601, "0601"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct secret *secret = NULL;
        put_file("wide", "geheim", cases[i].mode);
        FAILS(ERR_FILE_MODE, secrets_read("wide", &secret));
        assert_non_null(strstr(err_detail(), "\"wide\""));
        assert_non_null(strstr(err_detail(), cases[i].text));
        assert_null(strstr(err_detail(), "geheim"));
    }
}

static void what_is_no_private_file_is_refused(void **state)
{
    (void)state;
    struct secret *secret = NULL;
    put_file("real", "x", 0600);
    assert_int_equal(symlink("real", "link"), 0);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(mkdir("folder", 0700), 0);
    static const char *const names[] = {"link",   "fifo",      "folder",
                                        "absent", "/dev/zero", "/dev/null"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        FAILS(ERR_INVALID, secrets_read(names[i], &secret));
        assert_non_null(strstr(err_detail(), names[i]));
    }
}

static void what_holds_no_text_is_refused(void **state)
{
    (void)state;
    struct secret *secret = NULL;
    char big[SECRET_FILE_MAX + 2];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    const char *const texts[] = {"", "\n", "\xff\xfe", big};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        put_file("s", texts[i], 0600);
        FAILS(ERR_INVALID, secrets_read("s", &secret));
    }
}

static void new_private_files_replace_nothing(void **state)
{
    (void)state;
    struct stat st;
    (void)unlink("new");
    OK(secrets_write_new(AT_FDCWD, "new", span_str("a")));
    assert_int_equal(stat("new", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    FAILS(ERR_CONFLICT, secrets_write_new(AT_FDCWD, "new", span_str("b")));
    (void)unlink("dangling");
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    FAILS(ERR_CONFLICT, secrets_write_new(AT_FDCWD, "dangling", span_str("b")));
    assert_int_not_equal(access("nowhere", F_OK), 0);
}

static void made_passphrases_have_their_form_and_differ(void **state)
{
    (void)state;
    CLEANUP(secret_freep) struct secret *a = NULL;
    CLEANUP(secret_freep) struct secret *b = NULL;
    OK(passphrase_make(6, &a));
    OK(passphrase_make(6, &b));
    assert_int_equal(a->len, 35);
    assert_false(secret_equal(secret_span(a), secret_span(b)));
    for (size_t i = 0; i < a->len; i++) {
        if (i % 6 == 5)
            assert_int_equal(a->data[i], '-');
        else
            assert_non_null(memchr("0123456789abcdefghjkmnpqrstvwxyz", a->data[i], 32));
    }
    struct secret *none = NULL;
    FAILS(ERR_INVALID, passphrase_make(0, &none));
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
    (void)state;
    char out[64];
    term_clean("a\x1b[31mb\x7f\r\tc", out, sizeof out);
    assert_string_equal(out, "a?[31mb???c");
    term_clean("x\xc2\x9by\xc3\xa4", out, sizeof out); // C1's CSI; a letter stays
    assert_string_equal(out, "x?y\xc3\xa4");
    term_clean("longer than it may be", out, 7);
    assert_string_equal(out, "longer");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_newline_at_the_end_is_taken_off),
        cmocka_unit_test(files_that_others_can_read_are_refused_by_name_and_mode),
        cmocka_unit_test(what_is_no_private_file_is_refused),
        cmocka_unit_test(what_holds_no_text_is_refused),
        cmocka_unit_test(new_private_files_replace_nothing),
        cmocka_unit_test(made_passphrases_have_their_form_and_differ),
        cmocka_unit_test(control_characters_do_not_reach_the_terminal),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
