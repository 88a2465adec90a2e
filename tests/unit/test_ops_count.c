// SPDX-License-Identifier: Apache-2.0
//
// ops/count.h: requests are counted by operation, outcome and time; engines are added up; counts go
// on after a restart, and a file that is not of this release is begun anew.
#include "ops/count.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"

#include "tests/unit/check.h"

static char path[] = "/tmp/keyward-count-XXXXXX";
static int root;
static struct arena *arena;

static int up(void **state)
{
    (void)state;
    OK(arena_new(1024 * 1024, &arena));
    return mkdtemp(path) == NULL || file_open_dir(path, &root) != ERR_OK ? -1 : 0;
}

static int down(void **state)
{
    (void)state;
    arena_freep(&arena);
    file_closep(&root);
    int tmp = open("/tmp", O_RDONLY | O_DIRECTORY);
    enum err err = file_remove_tree(tmp, path + strlen("/tmp/"));
    (void)close(tmp);
    return err == ERR_OK ? 0 : -1;
}

static struct counts *open_counts(enum ops_role role, uint32_t index)
{
    struct ops_settings settings = {.role = role, .index = index, .root = root};
    struct counts *counts = NULL;
    OK(count_open(&settings, &counts));
    return counts;
}

static const struct count_row *row_named(const char *wanted)
{
    struct count_sums *sums = NULL;
    const struct count_row *row;
    const char *name;
    OK(count_sum(root, arena, &sums));
    for (size_t i = 0; count_at(sums, i, &name, &row); i++) {
        if (strcmp(name, wanted) == 0)
            return row;
    }
    return NULL;
}

static void engines_are_added_up_and_go_on_after_a_restart(void **state)
{
    (void)state;
    struct counts *reader = open_counts(OPS_READER, 1);
    struct counts *writer = open_counts(OPS_WRITER, 0);
    count_note(reader, VERB_GET, ERR_OK, 40);
    count_note(reader, VERB_GET, ERR_NOT_FOUND, 300);
    count_note(writer, VERB_GET, ERR_IO, 2000000);
    count_note(writer, VERB_ENDPOINT_ADD, ERR_OK, 1000);
    assert_int_equal(count_write(reader), -1);
    assert_int_equal(count_write(writer), -1);
    count_free(reader);
    reader = open_counts(OPS_READER, 1);
    count_note(reader, VERB_GET, ERR_OK, 50);
    assert_int_equal(count_write(reader), -1);
    const struct count_row *row = row_named("Get");
    assert_int_equal(row->done, 2);
    assert_int_equal(row->refused, 1);
    assert_int_equal(row->failed, 1);
    assert_int_equal(row->buckets[0], 2);
    assert_int_equal(row->buckets[3], 1);
    assert_int_equal(row->buckets[COUNT_BUCKETS - 1], 1);
    assert_int_equal(row->microseconds, 2000390);
    assert_int_equal(row_named("administration")->done, 1);
    count_free(reader);
    count_free(writer);
}

static void a_file_of_another_release_is_begun_anew(void **state)
{
    (void)state;
    OK(file_mkdirs(root, PATH_METRICS_DIR));
    OK(file_write(root, PATH_METRICS_DIR "/reader-7", span_str("something else")));
    struct counts *reader = open_counts(OPS_READER, 7);
    uint64_t before = row_named("Locate")->done;
    count_note(reader, VERB_LOCATE, ERR_OK, 1);
    assert_int_equal(count_write(reader), -1);
    assert_int_equal(row_named("Locate")->done, before + 1);
    count_free(reader);
}

static void what_is_due_is_written_once_a_second(void **state)
{
    (void)state;
    struct counts *reader = open_counts(OPS_READER, 8);
    assert_int_equal(count_write(reader), -1); // nothing to write
    count_note(reader, VERB_LOCATE, ERR_OK, 1);
    assert_int_equal(count_write(reader), -1);
    count_note(reader, VERB_LOCATE, ERR_OK, 1);
    int wait_ms = count_write(reader);
    assert_true(wait_ms > 0 && wait_ms <= 1000);
    count_free(reader);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(engines_are_added_up_and_go_on_after_a_restart),
        cmocka_unit_test(a_file_of_another_release_is_begun_anew),
        cmocka_unit_test(what_is_due_is_written_once_a_second),
    };
    return cmocka_run_group_tests(tests, up, down);
}
