// SPDX-License-Identifier: Apache-2.0
//
// What the embedded engine promises beyond the contract: who may read its files, what is left of
// destroyed material, a full disk, several processes, plans of searches.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "store/people.h"
#include "store/sqlite/sq_find.h"
#include "tests/unit/check.h"

#define DB "store.db"

static char dir[64];
static int root = -1;
static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/keyward-sqlite-XXXXXX");
    return mkdtemp(dir) != NULL && file_open_dir(dir, &root) == ERR_OK &&
                   arena_new((size_t)256 << 20, &arena) == ERR_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const files[] = {DB, DB "-wal", DB "-shm", "link.db"};
    for (size_t i = 0; i < COUNT_OF(files); i++)
        (void)unlinkat(root, files[i], 0);
    file_closep(&root);
    arena_freep(&arena);
    return rmdir(dir);
}

static struct store *opened(enum store_mode mode)
{
    struct store *store = NULL;
    OK(store_open(root, DB, mode, &store));
    return store;
}

static struct uuid numbered(uint32_t n)
{
    struct uuid id = {{0x01}};
    for (int i = 0; i < 4; i++)
        id.bytes[12 + i] = (uint8_t)(n >> (24 - 8 * i));
    return id;
}

static struct store_object object(uint32_t n, uint32_t owner)
{
    return (struct store_object){.id = numbered(n),
                                 .version = 1,
                                 .type = 2,
                                 .state = 1,
                                 .owner = numbered(owner),
                                 .attributes = span_str("attributes"),
                                 .material = span_str("material")};
}

static struct store_index value(uint32_t kind, uint32_t number)
{
    struct store_index index = {.kind = kind};
    memcpy(index.hash, &number, sizeof number);
    return index;
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return (unsigned)st.st_mode & 07777;
}

static void all_files_have_mode_0600_whatever_the_umask(void **state)
{
    (void)state;
    mode_t old = umask(0);
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    struct store_object o = object(1, 9);
    OK(store_begin(store, STORE_WRITE));
    OK(store_object_put(store, &o, NULL, 0));
    OK(store_commit(store));
    (void)umask(old);
    assert_int_equal(mode_of(DB), 0600);
    assert_int_equal(mode_of(DB "-wal"), 0600);
    assert_int_equal(mode_of(DB "-shm"), 0600);
}

static void a_wider_mode_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const files[] = {DB, DB "-wal", DB "-shm"};
    CLEANUP(store_closep) struct store *keeps_companions = opened(STORE_WRITE);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct store *store = NULL;
        assert_int_equal(fchmodat(root, files[i], 0604, 0), 0);
        FAILS(ERR_FILE_MODE, store_open(root, DB, STORE_READ, &store));
        FAILS(ERR_FILE_MODE, store_open(root, DB, STORE_WRITE, &store));
        char quoted[32];
        (void)snprintf(quoted, sizeof quoted, "\"%s\"", files[i]);
        assert_non_null(strstr(err_detail(), quoted));
        assert_non_null(strstr(err_detail(), "0604"));
        assert_int_equal(fchmodat(root, files[i], 0600, 0), 0);
    }
}

static void what_is_no_store_is_refused(void **state)
{
    (void)state;
    struct store *store = NULL;
    uint8_t junk[8192];
    memset(junk, 'j', sizeof junk);
    OK(file_write(root, DB, span_of(junk, sizeof junk)));
    FAILS(ERR_DAMAGED, store_open(root, DB, STORE_WRITE, &store));
    FAILS(ERR_DAMAGED, store_open(root, DB, STORE_READ, &store));
    assert_int_equal(symlinkat(DB, root, "link.db"), 0);
    FAILS(ERR_DAMAGED, store_open(root, "link.db", STORE_WRITE, &store));
    // An empty file is a store that was never made.
    OK(file_write(root, DB, span_of(NULL, 0)));
    FAILS(ERR_NOT_FOUND, store_open(root, DB, STORE_READ, &store));
    assert_null(store);
}

static void run_sql(const char *sql)
{
    char path[96];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof path, "%s/%s", dir, DB);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_newer_schema_is_refused_also_while_open(void **state)
{
    (void)state;
    struct store *store = opened(STORE_WRITE);
    CLEANUP(store_closep) struct store *reader = opened(STORE_READ);
    store_close(store);
    run_sql("UPDATE schema_version SET version = 99");
    FAILS(ERR_VERSION, store_begin(reader, STORE_READ));
    FAILS(ERR_VERSION, store_open(root, DB, STORE_WRITE, &store));
    assert_non_null(strstr(err_detail(), "schema 99"));
    FAILS(ERR_VERSION, store_open(root, DB, STORE_READ, &store));
}

static void an_older_schema_is_brought_forward_with_what_is_in_it(void **state)
{
    (void)state;
    struct store *store = opened(STORE_WRITE);
    struct store_named wallet = {.id = {{7}}, .version = 1, .kind = NAMED_WALLET};
    OK(store_begin(store, STORE_WRITE));
    OK(store_named_put(store, &wallet));
    OK(store_commit(store));
    store_close(store);
    run_sql("DROP TABLE account; DROP TABLE privilege; DROP TABLE credential; DROP TABLE tries;"
            "DROP TABLE issued;"
            "UPDATE schema_version SET version = 1");
    FAILS(ERR_VERSION, store_open(root, DB, STORE_READ, &store));
    CLEANUP(store_closep) struct store *again = opened(STORE_WRITE);
    struct store_user user = {.id = {{8}}, .version = 1};
    OK(store_named_get(again, &wallet.id, arena, &wallet));
    OK(store_begin(again, STORE_WRITE));
    OK(store_user_put(again, &user));
    OK(store_commit(again));
}

static void a_reader_cannot_write(void **state)
{
    (void)state;
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    CLEANUP(store_closep) struct store *reader = opened(STORE_READ);
    FAILS(ERR_INTERNAL, store_begin(reader, STORE_WRITE));
}

static bool raw_holds(const char *path, const char *text)
{
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, (size_t)64 << 20, false);
    if (!file_exists(root, path))
        return false;
    OK(file_read(root, path, bytes.limit, &bytes));
    return bytes.len > 0 && memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
}

static uint64_t count_objects(struct store *store)
{
    uint64_t count = 0;
    struct store_query all = {.any_owner = true, .limit = 1};
    OK(store_object_count(store, &all, &count));
    return count;
}

static void destroyed_material_is_gone_from_file_and_log_after_housekeeping(void **state)
{
    (void)state;
    static const char mark[] = "MATERIALMARKER0123456789";
    bool done = false;
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    struct store_object o = object(1, 9);
    o.material = span_str(mark);
    OK(store_begin(store, STORE_WRITE));
    OK(store_object_put(store, &o, NULL, 0));
    OK(store_commit(store));
    OK(store_maintain(store, 0, &done));
    assert_true(raw_holds(DB, mark));
    o.material = span_of(NULL, 0);
    OK(store_begin(store, STORE_WRITE));
    OK(store_object_update(store, &o, NULL, 0));
    OK(store_commit(store));
    OK(store_maintain(store, 0, &done));
    assert_true(done);
    assert_false(raw_holds(DB, mark));
    assert_false(raw_holds(DB "-wal", mark));
}

static void housekeeping_gives_way_to_a_reader(void **state)
{
    (void)state;
    bool done = true;
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    CLEANUP(store_closep) struct store *reader = opened(STORE_READ);
    OK(store_begin(reader, STORE_READ));
    struct store_object o = object(1, 9);
    OK(store_begin(store, STORE_WRITE));
    OK(store_object_put(store, &o, NULL, 0));
    OK(store_commit(store));
    OK(store_maintain(store, 0, &done));
    assert_false(done);
    OK(store_commit(reader));
    OK(store_maintain(store, 0, &done));
    assert_true(done);
}

// Calls of write and its like that this process has made.
static unsigned long writes_so_far(void)
{
    char line[64];
    unsigned long writes = 0;
    FILE *file = fopen("/proc/self/io", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "syscw: %lu", &writes) != 1)
        ;
    (void)fclose(file);
    return writes;
}

static void a_commit_is_one_write(void **state)
{
    (void)state;
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    for (uint32_t n = 1; n <= 50; n++) {
        struct store_object o = object(n, 9);
        struct store_index index = value(n, n);
        unsigned long before = writes_so_far();
        OK(store_begin(store, STORE_WRITE));
        OK(store_object_put(store, &o, &index, 1));
        OK(store_commit(store));
        assert_int_equal(writes_so_far() - before, 1);
    }
}

static void a_process_that_has_time_moves_the_log_beside_the_writer(void **state)
{
    (void)state;
    static const char mark[] = "MATERIALMARKER0123456789";
    bool busy = true;
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    CLEANUP(store_closep) struct store *other = opened(STORE_WRITE);
    OK(store_begin(store, STORE_WRITE));
    for (uint32_t n = 1; n <= 1000; n++) {
        struct store_object o = object(n, 9);
        struct store_index index = value(n, n);
        o.material = span_str(mark);
        o.attributes = span_of(dir, sizeof dir);
        OK(store_object_put(store, &o, &index, 1));
        if (n % 5 == 0) {
            OK(store_commit(store));
            OK(store_begin(store, STORE_WRITE));
        }
    }
    OK(store_commit(store));
    assert_false(raw_holds(DB, mark));
    OK(store_relieve(other, &busy));
    assert_true(busy);
    assert_true(raw_holds(DB, mark));
    OK(store_relieve(other, &busy));
    assert_false(busy);
    CLEANUP(store_closep) struct store *reader = opened(STORE_READ);
    FAILS(ERR_INTERNAL, store_relieve(reader, &busy));
    assert_int_equal(count_objects(reader), 1000);
}

// Runs in a child that ends without closing the store: its log stays as it is.
static int fill_and_empty_the_log(void)
{
    struct store *store = NULL;
    bool done = false;
    struct store_object o = object(1, 9);
    if (store_open(root, DB, STORE_WRITE, &store) != ERR_OK ||
        store_begin(store, STORE_WRITE) != ERR_OK ||
        store_object_put(store, &o, NULL, 0) != ERR_OK || store_commit(store) != ERR_OK ||
        store_begin(store, STORE_WRITE) != ERR_OK ||
        store_object_update(store, &o, NULL, 0) != ERR_OK || store_commit(store) != ERR_OK ||
        store_maintain(store, 0, &done) != ERR_OK || !done)
        return 1;
    return 0;
}

static void an_emptied_log_keeps_its_length_and_reads_as_empty(void **state)
{
    (void)state;
    int status = -1;
    struct buf log CLEANUP(buf_done);
    buf_init(&log, (size_t)1 << 20, false);
    pid_t child = fork();
    if (child == 0)
        _exit(fill_and_empty_the_log());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    OK(file_read(root, DB "-wal", log.limit, &log));
    assert_true(log.len > 4096);
    for (size_t i = 0; i < log.len; i++)
        assert_int_equal(log.data[i], 0);
    // Without the index of the log, as after a power cut.
    assert_int_equal(unlinkat(root, DB "-shm", 0), 0);
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    struct uuid id = numbered(1);
    struct store_object got;
    OK(store_object_get(store, &id, arena, &got));
    assert_int_equal(got.version, 2);
}

// ---- a full disk ----

static enum err put_until(struct store *store, uint32_t end)
{
    enum err err = ERR_OK;
    for (uint32_t n = 100; n < end && err == ERR_OK; n++) {
        struct store_object o = object(n, 9);
        err = store_object_put(store, &o, NULL, 0);
    }
    return err;
}

static int limit_files(rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    return setrlimit(RLIMIT_FSIZE, &limit);
}

// A commit that finds no space: all of it is rolled back, reads go on, and with space again so do
// writes.
static int fail_at_commit(struct store *store)
{
    struct store_object o = object(50000, 9);
    if (put_until(store, 300) != ERR_OK || store_commit(store) != ERR_NO_SPACE)
        return 4;
    if (store_begin(store, STORE_READ) != ERR_OK || store_commit(store) != ERR_OK)
        return 5;
    if (limit_files(RLIM_INFINITY) != 0 || store_begin(store, STORE_WRITE) != ERR_OK ||
        store_object_put(store, &o, NULL, 0) != ERR_OK || store_commit(store) != ERR_OK)
        return 9;
    return 0;
}

// A change that fails dooms the transaction: nothing else goes in, and whoever tries is told why. A
// commit ends it as a rollback does, and with space again the store goes on.
static int fail_within(struct store *store)
{
    struct store_object o = object(50000, 9);
    if (put_until(store, 30000) != ERR_NO_SPACE || !store_is_doomed(store))
        return 6;
    store_rollback(store);
    if (store_begin(store, STORE_WRITE) != ERR_OK || put_until(store, 30000) != ERR_NO_SPACE ||
        store_object_put(store, &o, NULL, 0) != ERR_NO_SPACE || store_commit(store) != ERR_NO_SPACE)
        return 7;
    if (limit_files(RLIM_INFINITY) != 0 || store_begin(store, STORE_WRITE) != ERR_OK ||
        store_object_put(store, &o, NULL, 0) != ERR_OK || store_commit(store) != ERR_OK)
        return 8;
    return 0;
}

// Runs in a child, whose files may soon not grow any more.
static int fill(bool at_commit)
{
    struct store *store = NULL;
    struct stat st;
    (void)signal(SIGXFSZ, SIG_IGN);
    if (store_open(root, DB, STORE_WRITE, &store) != ERR_OK ||
        store_begin(store, STORE_WRITE) != ERR_OK)
        return 1;
    if (fstatat(root, DB "-wal", &st, 0) != 0)
        return 2;
    if (limit_files((rlim_t)st.st_size + 9000) != 0)
        return 3;
    int result = at_commit ? fail_at_commit(store) : fail_within(store);
    store_close(store);
    return result;
}

static void fill_in_child(bool at_commit)
{
    int status = -1;
    store_close(opened(STORE_WRITE));
    pid_t child = fork();
    if (child == 0)
        _exit(fill(at_commit));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

static void a_disk_full_at_commit_leaves_nothing_half(void **state)
{
    (void)state;
    fill_in_child(true);
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    assert_int_equal(count_objects(store), 1);
}

static void a_disk_full_in_a_transaction_dooms_it(void **state)
{
    (void)state;
    fill_in_child(false);
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    assert_int_equal(count_objects(store), 1);
}

// SQLite asks for one byte at the end of a piece of the log's index to have it there.
static ssize_t no_more_index(int fd, const void *data, size_t len, off_t at)
{
    if (len != 1)
        return pwrite(fd, data, len, at);
    errno = ENOSPC;
    return -1;
}

// The frames of a commit are synced, its commit frame with them, when the index has to grow.
static void a_disk_full_after_the_sync_leaves_the_commit_in_doubt(void **state)
{
    (void)state;
    enum { FRAMES_OF_A_PIECE = 4062 };
    uint8_t page[4000] = {1};
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    (void)vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)no_more_index);
    (void)vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)no_more_index);
    CLEANUP(store_closep) struct store *reader = opened(STORE_READ);
    OK(store_begin(reader, STORE_READ)); // so that the log is not begun anew
    enum err err = ERR_OK;
    for (uint32_t n = 1; err == ERR_OK && n < FRAMES_OF_A_PIECE; n++) {
        struct store_object o = object(n, 9);
        o.material = span_of(page, sizeof page);
        OK(store_begin(store, STORE_WRITE));
        OK(store_object_put(store, &o, NULL, 0));
        err = store_commit(store);
    }
    (void)vfs->xSetSystemCall(vfs, NULL, NULL);
    assert_int_equal(err, ERR_IO);
    assert_true(store_is_unsure(store));
    FAILS(ERR_IO, store_begin(store, STORE_WRITE));
}

// ---- several processes ----

enum { SPILLED = 701 };

// Enough to be spilled into the log, filled with `byte`.
static void put_pages(struct store *store, uint32_t first, uint8_t byte)
{
    uint8_t page[3000];
    memset(page, byte, sizeof page);
    for (uint32_t n = first; n < first + SPILLED; n++) {
        struct store_object o = object(n, 9);
        o.material = span_of(page, sizeof page);
        OK(store_object_put(store, &o, NULL, 0));
    }
}

static void need_pages(struct store *store, uint32_t first, uint8_t byte)
{
    for (uint32_t n = first; n < first + SPILLED; n++) {
        struct uuid id = numbered(n);
        struct store_object got;
        OK(store_object_get(store, &id, arena, &got));
        for (size_t i = 0; i < got.material.len; i++)
            assert_int_equal(got.material.data[i], byte);
    }
    arena_reset(arena);
}

// Where one process has spilled frames and taken them back, another writes its own. What the first
// has still gathered must not come after them.
static void what_was_spilled_and_taken_back_is_not_written_later(void **state)
{
    (void)state;
    enum { ROUNDS = 4 };
    CLEANUP(store_closep) struct store *one = opened(STORE_WRITE);
    CLEANUP(store_closep) struct store *other = opened(STORE_WRITE);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        bool done = false;
        OK(store_maintain(one, 0, &done)); // else the rollback itself reads the log
        assert_true(done);
        OK(store_begin(one, STORE_WRITE));
        put_pages(one, 1, 'a');
        store_rollback(one);
        OK(store_begin(other, STORE_WRITE));
        put_pages(other, 10000 * (round + 1), 'b');
        OK(store_commit(other));
        assert_int_equal(count_objects(one), (round + 1) * SPILLED); // reads the log
        CLEANUP(store_closep) struct store *reader = opened(STORE_READ);
        need_pages(reader, 10000 * (round + 1), 'b');
    }
}

enum { WRITERS = 4, ROWS = 25, WAITS = 20 }; // of 5 s each, where the disk is slow to sync

static int write_rows(uint32_t writer)
{
    struct store *store = NULL;
    enum err err = store_open(root, DB, STORE_WRITE, &store);
    for (uint32_t n = 0; n < ROWS && err == ERR_OK; n++) {
        struct store_object o = object(writer * 1000 + n, 9);
        err = ERR_BUSY;
        for (int i = 0; i < WAITS && err == ERR_BUSY; i++)
            err = store_begin(store, STORE_WRITE);
        if (err == ERR_OK)
            err = store_object_put(store, &o, NULL, 0);
        if (err == ERR_OK)
            err = store_commit(store);
    }
    if (err != ERR_OK)
        (void)fprintf(stderr, "writer %u: %s\n", (unsigned)writer, err_detail());
    store_close(store);
    return err != ERR_OK;
}

static void processes_that_make_and_fill_a_store_at_once_take_turns(void **state)
{
    (void)state;
    pid_t children[WRITERS];
    for (uint32_t i = 0; i < WRITERS; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(write_rows(i + 1));
    }
    for (int i = 0; i < WRITERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    CLEANUP(store_closep) struct store *store = opened(STORE_READ);
    assert_int_equal(count_objects(store), WRITERS * ROWS);
}

static void what_was_committed_survives_a_kill(void **state)
{
    (void)state;
    int pipes[2];
    uint8_t byte = 0;
    int status = 0;
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        struct store *store = NULL;
        struct store_object one = object(1, 9);
        struct store_object two = object(2, 9);
        if (store_open(root, DB, STORE_WRITE, &store) == ERR_OK &&
            store_begin(store, STORE_WRITE) == ERR_OK &&
            store_object_put(store, &one, NULL, 0) == ERR_OK && store_commit(store) == ERR_OK &&
            store_begin(store, STORE_WRITE) == ERR_OK &&
            store_object_put(store, &two, NULL, 0) == ERR_OK)
            (void)!write(pipes[1], "x", 1);
        (void)pause();
        _exit(1);
    }
    (void)close(pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    (void)close(pipes[0]);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    assert_int_equal(count_objects(store), 1);
    struct store_object got;
    struct uuid id = numbered(1);
    OK(store_object_get(store, &id, arena, &got));
}

// ---- searches ----

enum { MANY = 20000 };

// Each object: kind 1 a value of its own, kind 2 one of 100, kind 3 the same for all.
static void put_many(struct store *store)
{
    OK(store_begin(store, STORE_WRITE));
    for (uint32_t n = 0; n < MANY; n++) {
        struct store_object o = object(n + 1, n % 2 == 0 ? 9 : 8);
        struct store_index index[3] = {value(1, n), value(2, n / 2 % 100), value(3, 7)};
        OK(store_object_put(store, &o, index, 3));
    }
    OK(store_commit(store));
}

struct shape {
    const char *name;
    bool any_owner;
    size_t count; // of values, from the kinds below
    struct store_index index[3];
    size_t found;
};

static void explain(struct sq_db *db, const struct store_query *q, const char *name)
{
    char text[9000];
    struct buf sql CLEANUP(buf_done);
    buf_init(&sql, 8192, false);
    OK(sq_find_text(db, q, false, &sql));
    (void)snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", (const char *)sql.data);
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_prepare_v2(db->db, text, -1, &st, NULL), SQLITE_OK);
    int rows = 0;
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *detail = (const char *)sqlite3_column_text(st, 3);
        rows++;
        if (strncmp(detail, "SCAN", 4) == 0)
            fail_msg("%s: %s", name, detail);
        if (!q->any_owner && strstr(detail, "TEMP B-TREE") != NULL)
            fail_msg("%s: %s", name, detail);
    }
    assert_true(rows > 0);
    (void)sqlite3_finalize(st);
}

static void no_search_walks_the_whole_table(void **state)
{
    (void)state;
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    put_many(store);
    struct sq_db *db = NULL;
    OK(sq_db_open(root, DB, STORE_READ, &db));
    const struct shape shapes[] = {
        {"own", false, 0, {{0}}, 1000},
        {"own, by one value", false, 1, {value(1, 4)}, 1},
        {"own, by a value of many", false, 1, {value(2, 3)}, 100},
        {"own, by a value of all", false, 1, {value(3, 7)}, 1000},
        {"own, by two", false, 2, {value(3, 7), value(2, 3)}, 100},
        {"own, by three", false, 3, {value(3, 7), value(2, 2), value(1, 4)}, 1},
        {"own, two that never meet", false, 2, {value(2, 3), value(1, 4)}, 0},
        {"any", true, 0, {{0}}, 1000},
        {"any, by one value", true, 1, {value(1, 4)}, 1},
        {"any, by a value of many", true, 1, {value(2, 3)}, 200},
        {"any, by a value of all", true, 1, {value(3, 7)}, 1000},
        {"any, by two", true, 2, {value(3, 7), value(2, 3)}, 200},
    };
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        struct store_query q = {.any_owner = shapes[i].any_owner,
                                .owner = numbered(9),
                                .index = shapes[i].index,
                                .index_count = shapes[i].count,
                                .type = 2,
                                .states = 1 << 1,
                                .limit = 1000};
        struct store_object *list = NULL;
        size_t count = 0;
        explain(db, &q, shapes[i].name);
        OK(store_object_find(store, &q, arena, &list, &count));
        if (count != shapes[i].found)
            fail_msg("%s: %zu", shapes[i].name, count);
        for (size_t k = 1; k < count; k++)
            assert_true(memcmp(&list[k - 1].id, &list[k].id, UUID_LEN) < 0);
        // The same within a wallet, and for one object alone.
        q.any_owner = true;
        q.wallet = numbered(5);
        explain(db, &q, shapes[i].name);
        q.only = numbered(6);
        explain(db, &q, shapes[i].name);
        arena_reset(arena);
    }
    sq_db_close(db);
}

// Steps of SQLite's machine, which do not depend on the computer.
static int steps_of(struct sq_db *db, const struct store_query *q)
{
    struct store_object *list = NULL;
    size_t count = 0;
    OK(sq_find_objects(db, q, arena, &list, &count));
    int steps = 0;
    for (unsigned i = 0; i < SQ_SHAPES; i++) {
        if (db->shapes[i].st != NULL)
            steps += sqlite3_stmt_status(db->shapes[i].st, SQLITE_STMTSTATUS_VM_STEP, 1);
    }
    return steps;
}

static void a_search_by_value_costs_the_same_among_few_and_many(void **state)
{
    (void)state;
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    struct sq_db *db = NULL;
    struct store_index index[2] = {value(1, 4), value(3, 7)};
    struct store_query one = {
        .owner = numbered(9), .index = index, .index_count = 1, .limit = 1000};
    struct store_query page = {
        .owner = numbered(9), .index = index + 1, .index_count = 1, .limit = 10};
    OK(store_begin(store, STORE_WRITE));
    for (uint32_t n = 900000; n < 900020; n++) {
        struct store_object o = object(n, 9);
        struct store_index values[2] = {value(1, n == 900003 ? 4 : n), value(3, 7)};
        OK(store_object_put(store, &o, values, 2));
    }
    OK(store_commit(store));
    OK(sq_db_open(root, DB, STORE_READ, &db));
    (void)steps_of(db, &one); // the statements that opened the store ran steps, too
    int few_one = steps_of(db, &one);
    int few_page = steps_of(db, &page);
    put_many(store);
    one.index = (struct store_index[]){value(1, 6)};
    assert_int_equal(steps_of(db, &one), few_one);
    assert_int_equal(steps_of(db, &page), few_page);
    page.after = numbered(19000);
    assert_int_equal(steps_of(db, &page), few_page);
    sq_db_close(db);
}

static void a_search_in_a_wallet_costs_what_is_in_the_wallet(void **state)
{
    (void)state;
    CLEANUP(store_closep) struct store *store = opened(STORE_WRITE);
    struct sq_db *db = NULL;
    struct uuid wallet = numbered(5);
    struct store_index common = value(3, 7);
    struct store_query all = {.any_owner = true, .wallet = wallet, .limit = 10};
    struct store_query some = all;
    some.index = &common;
    some.index_count = 1;
    OK(store_begin(store, STORE_WRITE));
    for (uint32_t n = 900000; n < 900020; n++) {
        struct store_object o = object(n, 9);
        OK(store_object_put(store, &o, &common, 1));
        OK(store_member_put(store, &wallet, &o.id));
    }
    OK(store_commit(store));
    OK(sq_db_open(root, DB, STORE_READ, &db));
    (void)steps_of(db, &all);
    int few_all = steps_of(db, &all);
    put_many(store);
    assert_int_equal(steps_of(db, &all), few_all);
    // All objects of the store have this value: it is the wallet that drives the search, which
    // costs no more than a look at each of its objects.
    assert_true(steps_of(db, &some) < 40 * few_all);
    sq_db_close(db);
}

#define TEST(name)                                                                                 \
    {                                                                                              \
#name, name, set_up, tear_down, NULL                                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_files_have_mode_0600_whatever_the_umask),
        TEST(a_wider_mode_is_refused_by_name),
        TEST(what_is_no_store_is_refused),
        TEST(a_newer_schema_is_refused_also_while_open),
        TEST(an_older_schema_is_brought_forward_with_what_is_in_it),
        TEST(a_reader_cannot_write),
        TEST(destroyed_material_is_gone_from_file_and_log_after_housekeeping),
        TEST(housekeeping_gives_way_to_a_reader),
        TEST(a_commit_is_one_write),
        TEST(a_process_that_has_time_moves_the_log_beside_the_writer),
        TEST(an_emptied_log_keeps_its_length_and_reads_as_empty),
        TEST(a_disk_full_at_commit_leaves_nothing_half),
        TEST(a_disk_full_in_a_transaction_dooms_it),
        TEST(a_disk_full_after_the_sync_leaves_the_commit_in_doubt),
        TEST(what_was_spilled_and_taken_back_is_not_written_later),
        TEST(processes_that_make_and_fill_a_store_at_once_take_turns),
        TEST(what_was_committed_survives_a_kill),
        TEST(no_search_walks_the_whole_table),
        TEST(a_search_by_value_costs_the_same_among_few_and_many),
        TEST(a_search_in_a_wallet_costs_what_is_in_the_wallet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
