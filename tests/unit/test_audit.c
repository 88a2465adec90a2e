// SPDX-License-Identifier: Apache-2.0
//
// audit/audit.h: every record is found again, every change of what was written is found out, and
// what tells is nowhere on the disk in clear.
#include "audit/audit.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/audit_walk.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/secret.h"
#include "crypto/crypto.h"
#include "tests/unit/check.h"

#define JOURNAL   PATH_AUDIT_DIR "/reads-0-1.log"
#define MARK_NAME "MARKERNAMEpayroll"
#define MARK_PEER "203.0.113.77:40404"
#define MARK_WHY  "MARKERDETAILmade"

static const uint8_t key_bytes[CRYPTO_KEY_LEN] = {1, 2, 3};
static const uint8_t other_bytes[CRYPTO_KEY_LEN] = {3, 2, 1};

struct fixture {
    char dir[64];
    int root;
    struct store *store;
    struct arena *arena;
    struct span key;
};

static struct fixture fix;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(fix.dir, sizeof fix.dir, "/tmp/keyward-audit-XXXXXX");
    fix.key = span_of(key_bytes, sizeof key_bytes);
    if (secret_setup() != ERR_OK || mkdtemp(fix.dir) == NULL ||
        file_open_dir(fix.dir, &fix.root) != ERR_OK ||
        file_mkdirs(fix.root, PATH_STATE_DIR) != ERR_OK ||
        arena_new((size_t)32 << 20, &fix.arena) != ERR_OK)
        return -1;
    return store_open(fix.root, PATH_STORE, STORE_WRITE, &fix.store) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    store_closep(&fix.store);
    arena_freep(&fix.arena);
    bool gone = file_remove_tree(fix.root, PATH_STATE_DIR) == ERR_OK &&
                file_remove_tree(fix.root, "var") == ERR_OK && rmdir(fix.dir) == 0;
    file_closep(&fix.root);
    return gone ? 0 : -1;
}

static struct principal somebody(void)
{
    struct principal who = {
        .kind = PRINCIPAL_ENDPOINT, .name = span_str(MARK_NAME), .address = span_str(MARK_PEER)};
    memset(who.id.bytes, 0x11, UUID_LEN);
    return who;
}

static struct audit_record record_of(const struct principal *who, enum verb verb)
{
    struct audit_record record = {
        .time_ms = 1700000000123, .verb = verb, .who = who, .object_type = 2};
    memset(record.object.bytes, 0x22, UUID_LEN);
    return record;
}

// `count` records of changes, each in a transaction of its own.
static void change(int count)
{
    struct principal who = somebody();
    for (int i = 0; i < count; i++) {
        struct audit_record record = record_of(&who, VERB_CREATE);
        record.detail = span_str(MARK_WHY);
        OK(store_begin(fix.store, STORE_WRITE));
        OK(audit_append(fix.store, fix.key, &record));
        OK(store_commit(fix.store));
    }
}

static void add_reads(struct audit_journal *journal, int count)
{
    struct principal who = somebody();
    for (int i = 0; i < count; i++) {
        struct audit_record record = record_of(&who, VERB_GET);
        OK(audit_journal_add(journal, fix.key, &record));
    }
}

static struct audit_journal *open_journal(uint32_t index)
{
    struct audit_journal *journal = NULL;
    OK(audit_journal_open(fix.root, index, false, &journal));
    return journal;
}

// Writes `count` reads into a journal that is closed again.
static void read_some(uint32_t index, int count)
{
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(index);
    add_reads(journal, count);
    OK(audit_journal_write(journal));
}

static void is_sound(uint64_t records, uint64_t reads)
{
    struct audit_verdict verdict;
    OK(audit_verify(fix.root, fix.store, &verdict));
    if (!verdict.sound)
        fail_msg("%s", verdict.what);
    assert_int_equal(verdict.bad_sequence, 0);
    assert_int_equal(verdict.records, records);
    assert_int_equal(verdict.read_records, reads);
}

static void is_bad(uint64_t sequence, const char *what)
{
    struct audit_verdict verdict;
    OK(audit_verify(fix.root, fix.store, &verdict));
    assert_false(verdict.sound);
    assert_int_equal(verdict.bad_sequence, sequence);
    if (strstr(verdict.what, what) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", verdict.what, what);
}

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
        {"DELETE FROM node_audit WHERE sequence = 5", 5, "ends at record 4, but 5 were written"},
        {"DELETE FROM node_audit", 1, "ends at record 0, but 5 were written"},
        {"DELETE FROM node_setting WHERE name = 'audit_head'", 5, "head of the trail was changed"},
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

static void the_key_tells_a_chain_that_an_intruder_wrote(void **state)
{
    (void)state;
    struct audit_verdict verdict;
    struct span other = span_of(other_bytes, sizeof other_bytes);
    OK(audit_verify_head(fix.store, fix.key, &verdict));
    assert_false(verdict.sound);
    change(3);
    OK(audit_verify_head(fix.store, fix.key, &verdict));
    assert_true(verdict.sound);
    OK(audit_verify_head(fix.store, other, &verdict));
    assert_false(verdict.sound);
    // A record written while the store is locked stands behind the sealed one.
    struct audit_record record = record_of(NULL, VERB_STATUS);
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_append(fix.store, span_of(NULL, 0), &record));
    OK(store_commit(fix.store));
    OK(audit_verify_head(fix.store, fix.key, &verdict));
    assert_true(verdict.sound);
    // An intruder cuts the trail and sets the plain head right, so that it verifies; not so with
    // the key.
    meddle(
        "DELETE FROM node_audit WHERE sequence > 2;"
        "UPDATE node_setting SET value = CAST(x'0000000000000002' || (SELECT hash FROM node_audit "
        "WHERE sequence = 2) || substr(value, 41) AS BLOB) WHERE name = 'audit_head'");
    is_sound(2, 0);
    OK(audit_verify_head(fix.store, fix.key, &verdict));
    assert_false(verdict.sound);
    assert_int_equal(verdict.bad_sequence, 3);
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

static off_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(fstatat(fix.root, path, &st, 0), 0);
    return st.st_size;
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

static void a_write_is_due_for_fsync_within_100_ms(void **state)
{
    (void)state;
    int wait = 0;
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(0);
    OK(audit_journal_sync(journal, &wait));
    assert_int_equal(wait, -1);
    add_reads(journal, 1);
    OK(audit_journal_write(journal));
    int64_t deadline = clock_mono_ms() + 10 * AUDIT_SYNC_MS;
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
        OK(audit_verify(fix.root, fix.store, &verdict));
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

static void cut(const char *path, off_t length)
{
    CLEANUP(file_closep) int fd = openat(fix.root, path, O_RDWR);
    assert_int_equal(ftruncate(fd, length), 0);
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
    FAILS(ERR_OK, audit_verify(fix.root, fix.store, &(struct audit_verdict){0}));
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

// ---- what is told, and to whom ----

static json_t *row_json(uint64_t sequence, struct span key)
{
    struct store_audit *rows = NULL;
    size_t count = 0;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 65536, false);
    OK(store_audit_list(fix.store, sequence, 1, fix.arena, &rows, &count));
    assert_int_equal(count, 1);
    OK(audit_to_json(key, rows, &out));
    json_t *json = json_loadb((const char *)out.data, out.len, 0, NULL);
    assert_non_null(json);
    return json;
}

static const char *member(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text == NULL ? "(none)" : text;
}

static void a_record_reads_as_json_with_the_key(void **state)
{
    (void)state;
    change(1);
    json_t *json = row_json(1, fix.key);
    const json_t *who = json_object_get(json, "principal");
    assert_int_equal(json_integer_value(json_object_get(json, "sequence")), 1);
    assert_string_equal(member(json, "time"), "2023-11-14T22:13:20.123Z");
    assert_string_equal(member(json, "verb"), "Create");
    assert_string_equal(member(json, "outcome"), "ERR_OK");
    assert_string_equal(member(json, "detail"), MARK_WHY);
    assert_string_equal(member(json, "telling"), "opened");
    assert_string_equal(member(json, "object"), "22222222-2222-2222-2222-222222222222");
    assert_int_equal(json_integer_value(json_object_get(json, "object_type")), 2);
    assert_true(json_is_false(json_object_get(json, "attempted")));
    assert_string_equal(member(who, "kind"), "endpoint");
    assert_string_equal(member(who, "id"), "11111111-1111-1111-1111-111111111111");
    assert_string_equal(member(who, "name"), MARK_NAME);
    assert_string_equal(member(who, "address"), MARK_PEER);
    json_decref(json);
}

static void without_the_key_a_record_tells_only_what_is_clear(void **state)
{
    (void)state;
    struct span keys[] = {span_of(NULL, 0), span_of(other_bytes, sizeof other_bytes)};
    change(1);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        json_t *json = row_json(1, keys[i]);
        assert_string_equal(member(json, "verb"), "Create");
        assert_string_equal(member(json, "telling"), "sealed");
        assert_string_equal(member(json, "detail"), "(none)");
        assert_string_equal(member(json_object_get(json, "principal"), "name"), "(none)");
        json_decref(json);
    }
}

static void a_record_of_a_locked_store_says_that_parts_were_left_out(void **state)
{
    (void)state;
    struct principal who = {.kind = PRINCIPAL_LOCAL, .uid = 1000, .address = span_str(MARK_PEER)};
    struct audit_record record = record_of(&who, VERB_HSM_INITIALIZE);
    record.attempted = true;
    record.outcome = ERR_HSM_PIN;
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_append(fix.store, span_of(NULL, 0), &record));
    OK(store_commit(fix.store));
    json_t *json = row_json(1, fix.key);
    assert_string_equal(member(json, "verb"), "hsm initialize");
    assert_string_equal(member(json, "outcome"), "ERR_HSM_PIN");
    assert_string_equal(member(json, "telling"), "left out");
    assert_true(json_is_true(json_object_get(json, "attempted")));
    const json_t *principal = json_object_get(json, "principal");
    assert_string_equal(member(principal, "kind"), "local");
    assert_int_equal(json_integer_value(json_object_get(principal, "uid")), 1000);
    json_decref(json);
}

static void long_and_odd_texts_are_cut_and_shown_safely(void **state)
{
    (void)state;
    char *text = calloc(1, 70000);
    struct principal who = somebody();
    struct audit_record record = record_of(&who, VERB_CREATE);
    for (size_t i = 0; i < 69998; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    who.name = span_of(text + 1, 60001); // begins within a character
    who.address = span_of(text, 60000);
    record.detail = span_of(text, 60000);
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_append(fix.store, fix.key, &record));
    OK(store_commit(fix.store));
    free(text);
    json_t *json = row_json(1, fix.key);
    assert_int_equal(strlen(member(json, "detail")), AUDIT_DETAIL_MAX);
    assert_memory_equal(member(json_object_get(json, "principal"), "name"), "0xa9c3a9", 8);
    json_decref(json);
    is_sound(1, 0);
}

static void an_anchor_reads_as_json(void **state)
{
    (void)state;
    read_some(3, 2);
    OK(audit_anchor(fix.root, fix.store));
    json_t *json = row_json(1, fix.key);
    assert_string_equal(member(json, "verb"), "anchor");
    assert_int_equal(json_integer_value(json_object_get(json, "reader")), 3);
    assert_int_equal(json_integer_value(json_object_get(json, "records")), 4);
    assert_int_equal(strlen(member(json, "hash")), 64);
    json_decref(json);
}

static void a_malformed_row_is_no_json(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 65536, false);
    struct store_audit row = {.sequence = 1, .record = span_str("\1\1nonsense")};
    FAILS(ERR_DAMAGED, audit_to_json(fix.key, &row, &out));
    assert_int_equal(out.len, 0);
}

static size_t lines_of(uint32_t index, struct span key, uint64_t from, uint32_t limit,
                       struct buf *out, uint64_t *ret_next)
{
    size_t lines = 0;
    buf_clear(out);
    OK(audit_read_list(fix.root, index, key, from, limit, out, ret_next));
    for (size_t i = 0; i < out->len; i++)
        lines += out->data[i] == '\n';
    return lines;
}

static void reads_are_listed_in_pages_with_who_asked(void **state)
{
    (void)state;
    uint64_t next = 0;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 1 << 20, false);
    read_some(0, 3);
    cut(JOURNAL, size_of(JOURNAL) - 1);
    read_some(0, 3); // goes to the second segment, with a context of its own
    assert_int_equal(lines_of(0, fix.key, 1, 4, &out, &next), 4);
    OK(buf_put_u8(&out, 0));
    assert_non_null(strstr((const char *)out.data, MARK_NAME));
    assert_non_null(strstr((const char *)out.data, MARK_PEER));
    assert_non_null(strstr((const char *)out.data, "\"telling\":\"opened\""));
    assert_non_null(strstr((const char *)out.data, "\"verb\":\"Get\""));
    // From within the second segment, whose context stands before.
    assert_int_equal(lines_of(0, fix.key, next, 4, &out, &next), 1);
    OK(buf_put_u8(&out, 0));
    assert_non_null(strstr((const char *)out.data, MARK_NAME));
    assert_int_equal(lines_of(0, fix.key, next, 4, &out, &next), 0);
    assert_int_equal(lines_of(0, span_of(NULL, 0), 1, 100, &out, &next), 5);
    OK(buf_put_u8(&out, 0));
    assert_null(strstr((const char *)out.data, MARK_NAME));
    assert_non_null(strstr((const char *)out.data, "\"telling\":\"sealed\""));
    assert_int_equal(lines_of(7, fix.key, 1, 100, &out, &next), 0);
}

static void another_key_or_name_gets_a_context_of_its_own(void **state)
{
    (void)state;
    uint64_t next = 0;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 1 << 20, false);
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(0);
    struct principal who = somebody();
    struct audit_record record = record_of(&who, VERB_GET);
    OK(audit_journal_add(journal, span_of(other_bytes, sizeof other_bytes), &record));
    OK(audit_journal_add(journal, fix.key, &record));
    who.name = span_str("renamed");
    OK(audit_journal_add(journal, fix.key, &record));
    OK(audit_journal_add(journal, span_of(NULL, 0), &record)); // locked
    OK(audit_journal_write(journal));
    assert_int_equal(lines_of(0, fix.key, 1, 100, &out, &next), 4);
    OK(buf_put_u8(&out, 0));
    const char *first = strstr((const char *)out.data, "\"telling\":\"sealed\"");
    const char *second = strstr((const char *)out.data, MARK_NAME);
    const char *third = strstr((const char *)out.data, "renamed");
    const char *fourth = strstr((const char *)out.data, "left out");
    assert_true(first != NULL && first < second && second < third && third < fourth);
}

static bool holds(struct span bytes, const char *text)
{
    return bytes.len > 0 && memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
}

static void nothing_that_tells_is_on_the_disk_in_clear(void **state)
{
    (void)state;
    static const char *const files[] = {PATH_STORE, PATH_STORE "-wal", JOURNAL};
    static const char *const marks[] = {MARK_NAME, "payroll", MARK_PEER, "203.0.113", MARK_WHY};
    change(3);
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(0);
    add_reads(journal, 3);
    struct principal who = somebody();
    struct audit_record refused = record_of(&who, VERB_GET);
    refused.detail = span_str(MARK_WHY);
    OK(audit_journal_add(journal, fix.key, &refused));
    OK(audit_journal_write(journal));
    OK(audit_anchor(fix.root, fix.store));
    size_t seen = 0;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct buf bytes CLEANUP(buf_done);
        buf_init(&bytes, (size_t)64 << 20, false);
        OK(file_read(fix.root, files[i], bytes.limit, &bytes));
        for (size_t k = 0; k < COUNT_OF(marks); k++)
            assert_false(holds(span_buf(&bytes), marks[k]));
        // The scan does find what is in clear.
        seen += holds(span_buf(&bytes), "Create") + holds(span_buf(&bytes), "Get");
    }
    assert_true(seen >= 2);
}

#define TEST(name)                                                                                 \
    {                                                                                              \
#name, name, set_up, tear_down, NULL                                                       \
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
        TEST(reads_are_journalled_and_found_after_a_restart),
        TEST(nothing_is_in_the_file_before_the_write),
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
        TEST(a_full_disk_refuses_and_leaves_a_sound_journal),
        TEST(a_record_reads_as_json_with_the_key),
        TEST(without_the_key_a_record_tells_only_what_is_clear),
        TEST(a_record_of_a_locked_store_says_that_parts_were_left_out),
        TEST(long_and_odd_texts_are_cut_and_shown_safely),
        TEST(an_anchor_reads_as_json),
        TEST(a_malformed_row_is_no_json),
        TEST(reads_are_listed_in_pages_with_who_asked),
        TEST(another_key_or_name_gets_a_context_of_its_own),
        TEST(nothing_that_tells_is_on_the_disk_in_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
