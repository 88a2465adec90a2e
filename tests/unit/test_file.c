// SPDX-License-Identifier: Apache-2.0
//
// base/file.h: durable writes, and files with a wrong mode, a link or a FIFO in their place are
// refused by name.
#include "base/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"

static int root = -1;

static int make_root(void **state)
{
    (void)state;
    char path[] = "/tmp/keyward-file-XXXXXX";
    if (mkdtemp(path) == NULL)
        return -1;
    return file_open_dir(path, &root) == ERR_OK ? 0 : -1;
}

static void a_file_is_written_with_mode_0600_and_read_back(void **state)
{
    (void)state;
    struct buf in CLEANUP(buf_done);
    buf_init(&in, 100, false);
    assert_int_equal(file_mkdirs(root, "a/b"), ERR_OK);
    assert_int_equal(file_write(root, "a/b/f", span_str("one")), ERR_OK);
    assert_int_equal(file_write(root, "a/b/f", span_str("two")), ERR_OK);
    assert_int_equal(file_read_private(root, "a/b/f", 100, &in), ERR_OK);
    assert_true(span_eq_str(span_buf(&in), "two"));
    assert_false(file_exists(root, "a/b/f.new"));
}

static void a_wider_mode_is_refused_by_name(void **state)
{
    (void)state;
    struct buf in CLEANUP(buf_done);
    buf_init(&in, 100, false);
    assert_int_equal(file_write(root, "open", span_str("x")), ERR_OK);
    assert_int_equal(fchmodat(root, "open", 0644, 0), 0);
    assert_int_equal(file_read_private(root, "open", 100, &in), ERR_FILE_MODE);
    assert_non_null(strstr(err_detail(), "0644"));
    assert_non_null(strstr(err_detail(), "\"open\""));
}

static void links_fifos_and_giants_are_refused(void **state)
{
    (void)state;
    struct buf in CLEANUP(buf_done);
    buf_init(&in, 100, false);
    assert_int_equal(file_write(root, "big", span_str("0123456789")), ERR_OK);
    assert_int_equal(symlinkat("big", root, "link"), 0);
    assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
    assert_int_equal(file_read(root, "link", 100, &in), ERR_DAMAGED);
    assert_int_equal(file_read(root, "fifo", 100, &in), ERR_DAMAGED);
    assert_int_equal(file_read(root, "big", 5, &in), ERR_DAMAGED);
    assert_int_equal(file_read(root, "absent", 5, &in), ERR_NOT_FOUND);
}

static void a_tree_is_removed_whole(void **state)
{
    (void)state;
    assert_int_equal(file_mkdirs(root, "t/u"), ERR_OK);
    assert_int_equal(file_write(root, "t/u/f", span_str("x")), ERR_OK);
    assert_int_equal(file_remove_tree(root, "t"), ERR_OK);
    assert_false(file_exists(root, "t"));
    assert_int_equal(file_remove(root, "t"), ERR_OK);
}

static void the_directory_of_a_path_is_made_and_synced(void **state)
{
    (void)state;
    assert_int_equal(file_make_parent(root, "p/q/f"), ERR_OK);
    assert_int_equal(file_make_parent(root, "top"), ERR_OK);
    assert_true(file_exists(root, "p/q"));
    assert_false(file_exists(root, "p/q/f"));
    assert_int_equal(file_fsync_parent(root, "p/q/f"), ERR_OK);
    assert_int_equal(file_fsync_parent(root, "top"), ERR_OK);
    assert_int_equal(file_fsync_parent(root, "absent/f"), ERR_NOT_FOUND);
}

static void a_directory_that_others_may_enter_or_write_to_is_refused_by_name(void **state)
{
    static const struct {
        mode_t mode;
        enum file_guard guard;
        enum err err;
        const char *says;
    } rows[] = {
        {0700, FILE_DIR_PRIVATE, ERR_OK, ""},
        {0500, FILE_DIR_PRIVATE, ERR_OK, ""},
        {0755, FILE_DIR_SHARED, ERR_OK, ""},
        {0750, FILE_DIR_PRIVATE, ERR_FILE_MODE, "mode 0750 but must have 0700: run chmod 0700"},
        {0701, FILE_DIR_PRIVATE, ERR_FILE_MODE, "mode 0701 but must have 0700: run chmod 0700"},
        {0775, FILE_DIR_SHARED, ERR_FILE_MODE, "mode 0775 but only its owner may write"},
        {01777, FILE_DIR_SHARED, ERR_FILE_MODE, "mode 1777 but only its owner may write"},
    };
    (void)state;
    assert_int_equal(file_mkdirs(root, "guarded"), ERR_OK);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(fchmodat(root, "guarded", rows[i].mode, 0), 0);
        assert_int_equal(file_check_dir(root, "guarded", rows[i].guard), rows[i].err);
        if (rows[i].err != ERR_OK)
            assert_non_null(strstr(err_detail(), rows[i].says));
    }
    assert_int_equal(file_check_dir(root, "absent", FILE_DIR_PRIVATE), ERR_OK);
    assert_int_equal(file_write(root, "file", span_str("x")), ERR_OK);
    assert_int_equal(file_check_dir(root, "file", FILE_DIR_PRIVATE), ERR_DAMAGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_written_with_mode_0600_and_read_back),
        cmocka_unit_test(a_wider_mode_is_refused_by_name),
        cmocka_unit_test(links_fifos_and_giants_are_refused),
        cmocka_unit_test(a_tree_is_removed_whole),
        cmocka_unit_test(a_directory_that_others_may_enter_or_write_to_is_refused_by_name),
        cmocka_unit_test(the_directory_of_a_path_is_made_and_synced),
    };
    return cmocka_run_group_tests(tests, make_root, NULL);
}
