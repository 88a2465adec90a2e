// SPDX-License-Identifier: Apache-2.0
//
// audit/audit.h: every record is found again, and every change of what was written is found out.
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "tests/unit/audit_rig.h"

// ---- the chain ----

static void an_empty_trail_is_sound(void **state)
{
    (void)state;
    is_sound(0, 0);
}

static void changes_are_chained(void **state)
{
    (void)state;
    change(5);
    is_sound(5, 0);
}

static void a_record_goes_with_its_transaction(void **state)
{
    (void)state;
    struct principal who = somebody();
    struct audit_record record = record_of(&who, VERB_CREATE);
    change(1);
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_append(fix.store, fix.key, &record));
    store_rollback(fix.store);
    is_sound(1, 0);
    FAILS(ERR_INTERNAL, audit_append(fix.store, fix.key, &record));
    change(1);
    is_sound(2, 0);
}

// What an intruder with a shell would do.
static void meddle(const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof path, "%s/%s", fix.dir, PATH_STORE);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "DROP TRIGGER IF EXISTS node_audit_stays;"
                                  "DROP TRIGGER IF EXISTS node_audit_remains;",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    (void)sqlite3_close(db);
}

static void every_meddling_with_the_chain_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        uint64_t bad;
        const char *what;
    } cases[] = {
        {"UPDATE node_audit SET record = CAST(substr(record, 1, 40) || x'ff' || substr(record, 42) "
         "AS "
         "BLOB) "
         "WHERE sequence = 3",
         3, "record 3 was changed"},
        {"UPDATE node_audit SET hash = zeroblob(32) WHERE sequence = 3", 3, "record 3 was changed"},
        {"UPDATE node_audit SET time_ms = time_ms + 1 WHERE sequence = 3", 3,
         "record 3 was changed"},
        {"UPDATE node_audit SET record = x'' WHERE sequence = 1", 1, "record 1 was changed"},
        {"DELETE FROM node_audit WHERE sequence = 3", 3, "record 3 is missing"},
        {"DELETE FROM node_audit WHERE sequence = 1", 1, "record 1 is missing"},
        {"UPDATE node_audit SET sequence = 99 WHERE sequence = 2;"
         "UPDATE node_audit SET sequence = 2 WHERE sequence = 3;"
         "UPDATE node_audit SET sequence = 3 WHERE sequence = 99",
         2, "record 2 was changed"},
        {"DELETE FROM node_audit WHERE sequence = 5", 5, "cut off behind record 4"},
        {"DELETE FROM node_audit", 1, "cut off behind record 0"},
        {"UPDATE node_audit SET mark = NULL", 6, "cut off behind record 5"},
        {"UPDATE node_audit SET mark = (SELECT mark FROM node_audit WHERE sequence = 5)"
         " WHERE sequence = 4; DELETE FROM node_audit WHERE sequence = 5",
         5, "ends at record 4, but 5 were written"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (i > 0)
            assert_int_equal(set_up(NULL), 0);
        change(5);
        is_sound(5, 0);
        meddle(cases[i].sql);
        is_bad(cases[i].bad, cases[i].what);
        if (i + 1 < COUNT_OF(cases))
            assert_int_equal(tear_down(NULL), 0);
    }
}

static void the_trail_refuses_to_be_changed_by_plain_sql(void **state)
{
    (void)state;
    char path[128];
    sqlite3 *db = NULL;
    change(2);
    (void)snprintf(path, sizeof path, "%s/%s", fix.dir, PATH_STORE);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM node_audit", NULL, NULL, NULL),
                     SQLITE_CONSTRAINT);
    assert_int_equal(sqlite3_exec(db, "UPDATE node_audit SET time_ms = 1", NULL, NULL, NULL),
                     SQLITE_CONSTRAINT);
    (void)sqlite3_close(db);
    is_sound(2, 0);
}

// What the keys tell of a chain that is sound without them.
static struct audit_verdict head_by(const struct span *keys, size_t count)
{
    struct audit_verdict verdict = {.sound = true};
    OK(audit_verify_head(fix.store, keys, count, &verdict));
    return verdict;
}

static void the_key_tells_a_chain_that_an_intruder_wrote(void **state)
{
    (void)state;
    struct audit_verdict verdict;
    const struct span other = span_of(other_bytes, sizeof other_bytes);
    const struct span both[] = {other, fix.key};
    verdict = head_by(&fix.key, 1);
    assert_false(verdict.sound);
    change(3);
    verdict = head_by(&fix.key, 1);
    assert_true(verdict.sound);
    assert_true(head_by(both, 2).sound); // the keys may have been rotated since
    verdict = head_by(&other, 1);
    assert_false(verdict.sound);
    // A record written while the store is locked stands behind the sealed one.
    struct audit_record record = record_of(NULL, VERB_STATUS);
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_append(fix.store, span_of(NULL, 0), &record));
    OK(store_commit(fix.store));
    verdict = head_by(&fix.key, 1);
    assert_true(verdict.sound);
    // An intruder cuts the trail and sets the plain head right, so that it verifies; not so with
    // the key.
    meddle("UPDATE node_audit SET mark = (SELECT CAST(zeroblob(8) || x'0000000000000002' || "
           "substr(mark, 17) AS BLOB) FROM node_audit WHERE sequence = 4) WHERE sequence = 2;"
           "DELETE FROM node_audit WHERE sequence > 2");
    is_sound(2, 0);
    verdict = head_by(&fix.key, 1);
    assert_false(verdict.sound);
    assert_int_equal(verdict.bad_sequence, 2);
    meddle("UPDATE node_audit SET mark = zeroblob(48) WHERE sequence = 2");
    is_sound(2, 0);
    verdict = head_by(&fix.key, 1);
    assert_false(verdict.sound);
    assert_non_null(strstr(verdict.what, "no record of the trail is sealed"));
}

static void a_cut_is_found_also_when_the_trail_has_gone_on(void **state)
{
    (void)state;
    change(5);
    meddle("DELETE FROM node_audit WHERE sequence > 3");
    change(4);
    is_bad(4, "cut off behind record 3");
    meddle("DELETE FROM node_audit");
    change(1);
    is_bad(1, "cut off behind record 0");
}

// ---- journals ----

static void reads_are_journalled_and_found_after_a_restart(void **state)
{
    (void)state;
    read_some(0, 3);
    read_some(0, 2);
    read_some(1, 4);
    is_sound(0, 9);
    OK(audit_anchor(fix.root, fix.store));
    is_sound(2, 9);
    // Nothing new, nothing entered.
    OK(audit_anchor(fix.root, fix.store));
    is_sound(2, 9);
    read_some(0, 1);
    OK(audit_anchor(fix.root, fix.store));
    is_sound(3, 10);
    change(1);
    is_sound(4, 10);
}

static void the_extent_is_told_by_the_anchors(void **state)
{
    struct audit_extent before;
    struct audit_extent extent;
    (void)state;
    change(2);
    read_some(0, 3);
    read_some(1, 4);
    OK(audit_extent_now(fix.root, fix.store, &before));
    assert_int_equal(before.chain, 2);
    assert_int_equal(before.reads[0] + before.reads[1], 0); // not anchored yet
    OK(audit_anchor(fix.root, fix.store));
    OK(audit_extent_now(fix.root, fix.store, &extent));
    assert_int_equal(extent.chain, 4); // an anchor for each
    assert_true(extent.reads[0] >= 3 && extent.reads[1] >= 4);
    assert_int_equal(extent.reads[2], 0);
}

static void nothing_is_in_the_file_before_the_write(void **state)
{
    (void)state;
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(0);
    off_t before = size_of(JOURNAL);
    add_reads(journal, 5);
    assert_int_equal(size_of(JOURNAL), before);
    OK(audit_journal_write(journal));
    assert_true(size_of(JOURNAL) > before);
    // Another process sees it at once, without any fsync: it survives the death of this one.
    is_sound(0, 5);
}

static void what_is_taken_back_was_never_there(void **state)
{
    (void)state;
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(0);
    struct audit_mark mark = audit_journal_mark(journal);
    // Who asked is told anew, since the record that told it is gone as well.
    add_reads(journal, 2);
    audit_journal_rewind(journal, mark);
    OK(audit_journal_write(journal));
    is_sound(0, 0);
    add_reads(journal, 3);
    mark = audit_journal_mark(journal);
    add_reads(journal, 4);
    audit_journal_rewind(journal, mark);
    add_reads(journal, 1);
    OK(audit_journal_write(journal));
    is_sound(0, 4);
}

static void a_record_that_cannot_be_made_takes_no_other_with_it(void **state)
{
    (void)state;
    struct principal who = somebody();
    struct audit_record record = record_of(&who, VERB_GET);
    const struct span no_key = span_of(key_bytes, 5);
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(0);
    add_reads(journal, 3);
    // Begun with who asked, and not to be ended.
    FAILS(ERR_CRYPTOGRAPHIC, audit_journal_add(journal, no_key, &record));
    add_reads(journal, 1);
    OK(audit_journal_write(journal));
    is_sound(0, 4);
}

static void a_write_is_due_for_fsync_within_100_ms(void **state)
{
    (void)state;
    int wait = 0;
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(0);
    OK(audit_journal_sync(journal, &wait));
    assert_int_equal(wait, -1);
    add_reads(journal, 1);
    OK(audit_journal_write(journal));
    int64_t deadline = clock_mono_ms() + 600 * AUDIT_SYNC_MS;
    do {
        OK(audit_journal_sync(journal, &wait));
        assert_true(wait >= -1 && wait < AUDIT_SYNC_MS);
    } while (wait != -1 && clock_mono_ms() < deadline);
    assert_int_equal(wait, -1);
}

static void strict_leaves_nothing_to_sync(void **state)
{
    (void)state;
    int wait = 0;
    CLEANUP(audit_journal_freep) struct audit_journal *journal = NULL;
    OK(audit_journal_open(fix.root, 0, true, &journal));
    add_reads(journal, 1);
    OK(audit_journal_write(journal));
    OK(audit_journal_sync(journal, &wait));
    assert_int_equal(wait, -1);
}

static void a_journal_has_one_writer(void **state)
{
    (void)state;
    struct audit_journal *second = NULL;
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(0);
    FAILS(ERR_BUSY, audit_journal_open(fix.root, 0, false, &second));
    FAILS(ERR_INVALID, audit_journal_open(fix.root, AUDIT_JOURNALS_MAX, false, &second));
}

static void a_journal_of_a_wide_mode_is_refused_by_name(void **state)
{
    (void)state;
    struct audit_journal *journal = NULL;
    read_some(0, 1);
    assert_int_equal(size_of(JOURNAL) > 0, 1);
    struct stat st;
    assert_int_equal(fstatat(fix.root, JOURNAL, &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fchmodat(fix.root, JOURNAL, 0640, 0), 0);
    FAILS(ERR_FILE_MODE, audit_journal_open(fix.root, 0, false, &journal));
    assert_non_null(strstr(err_detail(), "reads-0-1.log"));
    assert_int_equal(fchmodat(fix.root, JOURNAL, 0600, 0), 0);
}

static void flip(const char *path, off_t at)
{
    uint8_t byte = 0;
    CLEANUP(file_closep) int fd = openat(fix.root, path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void every_changed_byte_of_an_anchored_journal_is_found(void **state)
{
    (void)state;
    struct audit_verdict verdict;
    read_some(0, 3);
    OK(audit_anchor(fix.root, fix.store));
    is_sound(1, 3);
    off_t size = size_of(JOURNAL);
    for (off_t at = 0; at < size; at++) {
        flip(JOURNAL, at);
        OK(audit_verify(fix.root, fix.store, NULL, &verdict));
        if (verdict.sound)
            fail_msg("a change of byte %ld was not found", (long)at);
        assert_in_range(verdict.bad_sequence, 1, 5);
        flip(JOURNAL, at);
    }
    is_sound(1, 3);
}

static void a_changed_record_beyond_the_anchor_is_found_too(void **state)
{
    (void)state;
    read_some(0, 3);
    // Frames: segment, context, three reads. The hash is the frame's last 32 bytes.
    flip(JOURNAL, size_of(JOURNAL) - 40);
    is_bad(5, "record 5 of the journal of reader 0 was changed");
}

static void a_journal_cut_below_its_anchor_is_found(void **state)
{
    (void)state;
    read_some(0, 3);
    off_t third = size_of(JOURNAL);
    OK(audit_anchor(fix.root, fix.store));
    read_some(0, 1);
    off_t fourth = size_of(JOURNAL);
    // Within the record beyond the anchor: torn, no damage.
    for (off_t length = fourth - 1; length >= third; length--) {
        cut(JOURNAL, length);
        is_sound(1, 3);
    }
    cut(JOURNAL, third - 1);
    is_bad(5, "ends before record 5, but the trail vouches for 5");
    cut(JOURNAL, 0);
    is_bad(1, "ends before record 1");
}

static void a_removed_journal_is_found(void **state)
{
    (void)state;
    read_some(0, 3);
    OK(audit_anchor(fix.root, fix.store));
    OK(file_remove(fix.root, JOURNAL));
    is_bad(1, "the journal of reader 0 is missing");
    FAILS(ERR_DAMAGED, audit_anchor(fix.root, fix.store));
    // A new journal in its place does not heal it.
    read_some(0, 3);
    is_bad(5, "is not the one that record 1 vouches for");
}

static void a_journal_of_another_reader_in_its_place_is_found(void **state)
{
    (void)state;
    read_some(0, 3);
    read_some(1, 3);
    OK(audit_anchor(fix.root, fix.store));
    OK(file_remove(fix.root, JOURNAL));
    OK(file_rename(fix.root, PATH_AUDIT_DIR "/reads-1-1.log", JOURNAL));
    is_bad(1, "record 1 of the journal of reader 0 was changed");
}

static void a_torn_end_is_left_and_a_new_segment_begun(void **state)
{
    (void)state;
    read_some(0, 3);
    OK(audit_anchor(fix.root, fix.store));
    read_some(0, 1);
    off_t torn = size_of(JOURNAL) - 5;
    cut(JOURNAL, torn);
    is_sound(1, 3);
    read_some(0, 2);
    assert_int_equal(size_of(JOURNAL), torn);
    assert_true(file_exists(fix.root, PATH_AUDIT_DIR "/reads-0-2.log"));
    is_sound(1, 5);
    OK(audit_anchor(fix.root, fix.store));
    is_sound(2, 5);
    // The second segment is vouched for as well.
    OK(file_remove(fix.root, PATH_AUDIT_DIR "/reads-0-2.log"));
    is_bad(7, "ends before record 7");
}

static void a_change_is_not_hidden_by_a_restart(void **state)
{
    (void)state;
    read_some(0, 3);
    OK(audit_anchor(fix.root, fix.store));
    flip(JOURNAL, size_of(JOURNAL) - 40);
    read_some(0, 2);
    is_bad(5, "the journal of reader 0 is not the one");
    FAILS(ERR_OK, audit_verify(fix.root, fix.store, NULL, &(struct audit_verdict){0}));
}

static void a_journal_without_beginning_is_refused(void **state)
{
    (void)state;
    struct audit_journal *journal = NULL;
    read_some(0, 1);
    cut(JOURNAL, 10);
    FAILS(ERR_DAMAGED, audit_journal_open(fix.root, 0, false, &journal));
    assert_non_null(strstr(err_detail(), "reads-0-1.log"));
}

static void a_gap_between_segments_is_found(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        read_some(0, 1);
        char path[AUDIT_PATH_MAX];
        audit_walk_path(0, (uint32_t)i + 1, path);
        cut(path, size_of(path) - 1);
    }
    is_sound(0, 0);
    OK(file_remove(fix.root, PATH_AUDIT_DIR "/reads-0-2.log"));
    is_bad(3, "segment 2 of the journal of reader 0 is missing");
}

static void a_full_segment_is_followed_by_the_next(void **state)
{
    (void)state;
    enum { RECORDS = 64000 };
    char text[AUDIT_DETAIL_MAX];
    struct principal who = somebody();
    struct audit_record record = record_of(&who, VERB_GET);
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(0);
    memset(text, 'd', sizeof text);
    record.detail = span_of(text, sizeof text);
    for (int i = 0; i < RECORDS; i++) {
        OK(audit_journal_add(journal, fix.key, &record));
        if (i % 1000 == 999)
            OK(audit_journal_write(journal));
        if (i == RECORDS / 2)
            OK(audit_anchor(fix.root, fix.store));
    }
    assert_true(file_exists(fix.root, PATH_AUDIT_DIR "/reads-0-2.log"));
    OK(audit_anchor(fix.root, fix.store));
    is_sound(2, RECORDS);
    // The first segment ends where the second says.
    flip(JOURNAL, size_of(JOURNAL) - 1);
    struct audit_verdict verdict;
    OK(audit_verify(fix.root, fix.store, NULL, &verdict));
    assert_false(verdict.sound);
}

// Runs in a child whose files may not grow beyond `limit` bytes: a disk that is full.
static int write_beyond(off_t limit)
{
    struct rlimit small = {(rlim_t)limit, (rlim_t)limit};
    struct audit_journal *journal = NULL;
    struct principal who = somebody();
    struct audit_record record = record_of(&who, VERB_GET);
    (void)signal(SIGXFSZ, SIG_IGN);
    if (audit_journal_open(fix.root, 0, false, &journal) != ERR_OK ||
        setrlimit(RLIMIT_FSIZE, &small) != 0)
        return 1;
    for (int i = 0; i < 10; i++) {
        if (audit_journal_add(journal, fix.key, &record) != ERR_OK)
            return 2;
    }
    if (audit_journal_write(journal) != ERR_NO_SPACE)
        return 3;
    // What fits is taken again afterwards.
    if (audit_journal_add(journal, fix.key, &record) != ERR_OK ||
        audit_journal_write(journal) != ERR_OK)
        return 4;
    audit_journal_free(journal);
    return 0;
}

static void a_full_disk_refuses_and_leaves_a_sound_journal(void **state)
{
    (void)state;
    read_some(0, 3);
    off_t limit = size_of(JOURNAL) + 600;
    pid_t child = fork();
    if (child == 0)
        _exit(write_beyond(limit));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    is_sound(0, 4);
    read_some(0, 1);
    is_sound(0, 5);
    assert_false(file_exists(fix.root, PATH_AUDIT_DIR "/reads-0-2.log"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_trail_is_sound),
        TEST(changes_are_chained),
        TEST(a_record_goes_with_its_transaction),
        TEST(every_meddling_with_the_chain_is_found),
        TEST(the_trail_refuses_to_be_changed_by_plain_sql),
        TEST(the_key_tells_a_chain_that_an_intruder_wrote),
        TEST(a_cut_is_found_also_when_the_trail_has_gone_on),
        TEST(reads_are_journalled_and_found_after_a_restart),
        TEST(the_extent_is_told_by_the_anchors),
        TEST(nothing_is_in_the_file_before_the_write),
        TEST(what_is_taken_back_was_never_there),
        TEST(a_record_that_cannot_be_made_takes_no_other_with_it),
        TEST(a_write_is_due_for_fsync_within_100_ms),
        TEST(strict_leaves_nothing_to_sync),
        TEST(a_journal_has_one_writer),
        TEST(a_journal_of_a_wide_mode_is_refused_by_name),
        TEST(every_changed_byte_of_an_anchored_journal_is_found),
        TEST(a_changed_record_beyond_the_anchor_is_found_too),
        TEST(a_journal_cut_below_its_anchor_is_found),
        TEST(a_removed_journal_is_found),
        TEST(a_journal_of_another_reader_in_its_place_is_found),
        TEST(a_torn_end_is_left_and_a_new_segment_begun),
        TEST(a_change_is_not_hidden_by_a_restart),
        TEST(a_journal_without_beginning_is_refused),
        TEST(a_gap_between_segments_is_found),
        TEST(a_full_segment_is_followed_by_the_next),
        TEST(a_full_disk_refuses_and_leaves_a_sound_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
