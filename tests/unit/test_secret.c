// SPDX-License-Identifier: Apache-2.0
//
// base/secret.h: memory that is locked, and what is said where it may not be.
#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"

enum { NOBODY = 65534 };

static long locked_kib(void)
{
    char text[4096];
    FILE *file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    const char *at = strstr(text, "VmLck:");
    return at == NULL ? -1 : strtol(at + strlen("VmLck:"), NULL, 10);
}

static void a_secret_is_locked_until_it_is_freed(void **state)
{
    struct secret *secret = NULL;
    (void)state;
    long before = locked_kib();
    OK(secret_new(10000, &secret));
    assert_true(locked_kib() - before >= 10);
    secret_free(secret);
    assert_int_equal(locked_kib(), before);
}

// In a child that may lock nothing: root may, whatever the limit.
static void make_two_unlocked(int out)
{
    struct rlimit none = {0, 0};
    struct secret *first = NULL;
    struct secret *second = NULL;
    if (dup2(out, STDERR_FILENO) < 0 || setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
        (geteuid() == 0 && setuid(NOBODY) != 0))
        _exit(1);
    if (secret_random(32, &first) != ERR_OK || secret_random(32, &second) != ERR_OK)
        _exit(2);
    _exit(secret_equal(secret_span(first), secret_span(second)) ? 3 : 0);
}

static void who_may_lock_nothing_is_told_once_and_goes_on(void **state)
{
    int out[2];
    int status = -1;
    char text[4096];
    (void)state;
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        make_two_unlocked(out[1]);
    (void)close(out[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    ssize_t len = read(out[0], text, sizeof text - 1);
    assert_true(len > 0);
    text[len] = '\0';
    (void)close(out[0]);
    assert_non_null(strstr(text, " warn "));
    assert_non_null(strstr(text, "may lock 0 KiB"));
    assert_non_null(strstr(text, "LimitMEMLOCK"));
    assert_ptr_equal(strchr(text, '\n') + 1, text + len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_locked_until_it_is_freed),
        cmocka_unit_test(who_may_lock_nothing_is_told_once_and_goes_on),
    };
    return secret_setup() != ERR_OK || cmocka_run_group_tests(tests, NULL, NULL);
}
