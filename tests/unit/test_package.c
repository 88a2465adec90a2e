// SPDX-License-Identifier: Apache-2.0
//
// package/package.h and tar.h: what a server and a directory may be called, and an archive's bytes.
#include "package/package.h"

#include "package/tar.h"
#include "tests/unit/check.h"

static void a_listening_address_has_a_port_or_none(void **state)
{
    static const struct {
        const char *address;
        unsigned port;
    } rows[] = {{"[::]:5696", 5696}, {"127.0.0.1:1", 1}, {"", 9},        {"host", 9},
                {"host:", 9},        {"host:0", 9},      {"h:65536", 9}, {"h:1x", 9}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(package_port_of(rows[i].address, 9), rows[i].port);
}

static void a_server_is_a_host_with_or_without_a_port(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *host; // NULL: refused
        unsigned port;
    } rows[] = {
        {"kv.example", "kv.example", 7},
        {"kv:5697", "kv", 5697},
        {"192.0.2.7:1", "192.0.2.7", 1},
        {"[2001:db8::1]", "2001:db8::1", 7},
        {"[2001:db8::1]:65535", "2001:db8::1", 65535},
        {"", NULL, 0},
        {":5696", NULL, 0},
        {"2001:db8::1", NULL, 0},
        {"[]", NULL, 0},
        {"[kv]", NULL, 0},
        {"a b", NULL, 0},
        {"kv:", NULL, 0},
        {"kv:0", NULL, 0},
        {"kv:65536", NULL, 0},
        {"kv:000080", NULL, 0},
        {"kv:80x", NULL, 0},
        {"k'v", NULL, 0},
        {"kv\n[x]", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct package_server server = {.port = 7};
        enum err err = package_take_server(span_str(rows[i].text), &server);
        assert_int_equal(err, rows[i].host == NULL ? ERR_INVALID : ERR_OK);
        if (err == ERR_OK) {
            assert_string_equal(server.host, rows[i].host);
            assert_int_equal(server.port, rows[i].port);
        }
    }
    char longest[PACKAGE_HOST_MAX + 2];
    memset(longest, 'a', sizeof longest);
    struct package_server server = {.port = 7};
    assert_int_equal(package_take_server(span_of(longest, PACKAGE_HOST_MAX), &server), ERR_OK);
    assert_int_equal(package_take_server(span_of(longest, PACKAGE_HOST_MAX + 1), &server),
                     ERR_INVALID);
}

static void a_directory_that_a_configuration_would_misread_is_refused(void **state)
{
    (void)state;
    static const char *const good[] = {"/", "/etc/kmip", "/srv/key files/db-1",
                                       "/srv/schl\xc3\xbcssel"};
    static const char *const bad[] = {"",      "etc",   "./x",    "/a\"b",     "/a'b",
                                      "/a\\b", "/a#b",  "/a;b",   "/a%b",      "/a$b",
                                      "/a`b",  "/a\nb", "/a\x7f", "/a\xff\xfe"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(package_check_directory(span_str(good[i])), ERR_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(package_check_directory(span_str(bad[i])), ERR_INVALID);
    char longest[PACKAGE_DIRECTORY_MAX + 1];
    memset(longest, '/', sizeof longest);
    assert_int_equal(package_check_directory(span_of(longest, PACKAGE_DIRECTORY_MAX)), ERR_OK);
    assert_int_equal(package_check_directory(span_of(longest, sizeof longest)), ERR_INVALID);
}

static void a_name_that_is_too_long_for_an_archive_is_refused(void **state)
{
    (void)state;
    char path[TAR_PATH_MAX + 2];
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 16384, false);
    memset(path, 'a', sizeof path);
    path[TAR_PATH_MAX + 1] = '\0';
    assert_int_equal(tar_put(&out, path, span_str("x"), 0), ERR_INVALID);
    assert_int_equal(tar_put(&out, "", span_str("x"), 0), ERR_INVALID);
    assert_int_equal(out.len, 0);
    path[TAR_PATH_MAX] = '\0';
    assert_int_equal(tar_put(&out, path, span_str("x"), 0), ERR_OK);
    assert_int_equal(out.len, (size_t)2 * TAR_BLOCK);
    assert_int_equal(tar_end(&out), ERR_OK);
    assert_int_equal(out.len, (size_t)4 * TAR_BLOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listening_address_has_a_port_or_none),
        cmocka_unit_test(a_server_is_a_host_with_or_without_a_port),
        cmocka_unit_test(a_directory_that_a_configuration_would_misread_is_refused),
        cmocka_unit_test(a_name_that_is_too_long_for_an_archive_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
