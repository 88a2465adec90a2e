// SPDX-License-Identifier: Apache-2.0
//
// Trace files: whatever a library prints lands there, with a bound, and no disk is filled.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "hsm/hsm_trace.h"
#include "tests/unit/check.h"

static char dir[] = "/tmp/keyward-trace-XXXXXX";
static int root = -1;

static int up(void **state)
{
    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(dir));
    OK(file_open_dir(dir, &root));
    return 0;
}

static int down(void **state)
{
    (void)state;
    OK(file_remove_tree(root, "var"));
    file_closep(&root);
    assert_int_equal(rmdir(dir), 0);
    return 0;
}

// In a process of its own, since the trace takes its standard output and error.
static void in_child(void (*work)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        work();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

// The name and the size of the only trace file.
static off_t only_trace(char name[256])
{
    off_t size = -1;
    int fd = openat(root, PATH_HSM_LOG_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *files = fdopendir(fd);
    assert_non_null(files);
    for (struct dirent *at = readdir(files); at != NULL; at = readdir(files)) {
        struct stat st;
        if (at->d_name[0] == '.')
            continue;
        assert_int_equal(size, -1);
        assert_int_equal(fstatat(fd, at->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        (void)snprintf(name, 256, "%s", at->d_name);
        size = st.st_size;
    }
    (void)closedir(files);
    return size;
}

static void print_both(void)
{
    if (hsm_trace_open(root, "verify") != ERR_OK)
        _exit(1);
    (void)dprintf(STDOUT_FILENO, "to standard output\n");
    (void)fprintf(stderr, "to standard error\n");
}

static void what_a_library_prints_is_in_the_file(void **state)
{
    (void)state;
    char name[256];
    in_child(print_both);
    assert_int_equal(only_trace(name), sizeof "to standard output\nto standard error\n" - 1);
    assert_non_null(strstr(name, "Z-verify-"));
    assert_null(strchr(name, ':'));
}

static void print_without_end(void)
{
    static char text[65536];
    memset(text, 'x', sizeof text);
    if (hsm_trace_open(root, "initialize") != ERR_OK)
        _exit(1);
    for (int i = 0; i < 1024; i++) {
        if (write(STDOUT_FILENO, text, sizeof text) < 0)
            _exit(2);
        hsm_trace_bound();
    }
}

static void a_library_that_prints_without_end_fills_no_disk(void **state)
{
    (void)state;
    char name[256];
    in_child(print_without_end);
    assert_in_range(only_trace(name), HSM_TRACE_FILE_MAX, HSM_TRACE_FILE_MAX + 2 * 65536);
}

// Within one call nobody looks; then the kernel's limit counts, and its signal does not kill.
static void print_within_one_call(void)
{
    if (hsm_trace_open(root, "initialize") != ERR_OK)
        _exit(1);
    if (pwrite(STDOUT_FILENO, "x", 1, 0) != 1)
        _exit(2);
    int fd = openat(root, PATH_HSM_LOG_DIR "/sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (pwrite(fd, "x", 1, HSM_TRACE_TOTAL) != -1)
        _exit(3);
    if (unlinkat(root, PATH_HSM_LOG_DIR "/sparse", 0) != 0)
        _exit(4);
}

static void one_call_cannot_write_more_than_the_limit(void **state)
{
    (void)state;
    in_child(print_within_one_call);
}

static void open_with_a_path(void)
{
    if (hsm_trace_open(root, "../../../etc/x") != ERR_OK)
        _exit(1);
}

static void an_operation_that_is_no_name_is_called_operation(void **state)
{
    (void)state;
    char name[256];
    in_child(open_with_a_path);
    assert_int_equal(only_trace(name), 0);
    assert_non_null(strstr(name, "Z-operation-"));
}

static void all_files_together_are_bounded(void **state)
{
    (void)state;
    char name[256];
    OK(file_mkdirs(root, PATH_HSM_LOG_DIR));
    int fd = openat(root, PATH_HSM_LOG_DIR "/2020-01-01T00-00-00.000Z-old-0000.log",
                    O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, (off_t)HSM_TRACE_TOTAL), 0);
    (void)close(fd);
    fd = openat(root, PATH_HSM_LOG_DIR "/2021-01-01T00-00-00.000Z-newer-0000.log",
                O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "x", 1), 1);
    (void)close(fd);
    in_child(open_with_a_path);
    OK(file_remove(root, PATH_HSM_LOG_DIR "/2021-01-01T00-00-00.000Z-newer-0000.log"));
    assert_int_equal(only_trace(name), 0);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(what_a_library_prints_is_in_the_file),
        WITH_ROOT(a_library_that_prints_without_end_fills_no_disk),
        WITH_ROOT(one_call_cannot_write_more_than_the_limit),
        WITH_ROOT(an_operation_that_is_no_name_is_called_operation),
        WITH_ROOT(all_files_together_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
