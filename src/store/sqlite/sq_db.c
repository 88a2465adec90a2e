// SPDX-License-Identifier: Apache-2.0
//
// The connection. Invariants: the file and its companions (-wal, -shm) have mode 0600 and our own
// user; synchronous=FULL in WAL mode, so that a commit is one fsync of the log; freed pages are
// overwritten (secure_delete); nothing goes to a temporary file. A read transaction is a statement
// that stands on its only row: it pins the snapshot at a third of the cost of BEGIN and COMMIT.
#include "store/sqlite/sq_db.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "store/sqlite/sq_log.h"
#include "store/sqlite/sq_schema.h"

enum { BUSY_MS = 5000, MAINTAIN_BUSY_MS = 100, PATH_LIMIT = PATH_MAX };
enum { WAL_PAUSE_NS = 5000000 };
// Of the index of the log: its first piece, and where two of its 32-bit numbers stand.
enum { INDEX_LEN = 32768, INDEX_LAST = 16 / 4, INDEX_MOVED = 96 / 4 };
// The writer moves the log itself when it has 4000 pages (wal_autocheckpoint).
enum { RELIEVE_PAGES = 500 };

static const char *const statement_texts[SQ_COUNT] = {
#define STATEMENT(name, sql) [SQ_##name] = (sql),
#include "store/sqlite/sq_statements.h"
#undef STATEMENT
};

static enum err raise_io(int rc, const char *what, const char *why, int system)
{
    // A failed fsync says nothing about what is on the disk, whatever its errno.
    if (rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC)
        FAIL(ERR_IO, "could not %s: fsync failed: %s (errno %d)", what, why, system);
    if (system == ENOSPC || system == EDQUOT || system == EFBIG)
        FAIL(ERR_NO_SPACE, "could not %s: %s", what, err_info(ERR_NO_SPACE)->text);
    FAIL(ERR_IO, "could not %s: %s (%d, errno %d)", what, why, rc, system);
}

enum err sq_db_raise(struct sq_db *db, int rc, const char *what)
{
    // At a commit SQLite does not keep the errno; sq_call_step has cleared it before.
    int last = errno;
    int system = db->db == NULL ? 0 : sqlite3_system_errno(db->db);
    system = system == 0 ? last : system;
    const char *why = db->db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(db->db);
    switch (rc & 0xff) {
    case SQLITE_FULL:
        FAIL(ERR_NO_SPACE, "could not %s: %s", what, err_info(ERR_NO_SPACE)->text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        FAIL(ERR_BUSY, "could not %s: another process is writing to the store", what);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        FAIL(ERR_DAMAGED, "could not %s: the store's file is damaged: %s", what, why);
    case SQLITE_CONSTRAINT:
        FAIL(ERR_CONFLICT, "could not %s: a row with this value exists already", what);
    case SQLITE_NOMEM:
        FAIL(ERR_MEMORY, "could not %s: no memory left", what);
    default:
        return raise_io(rc, what, why, system);
    }
}

// ---- calls ----

static enum err prepare(struct sq_db *db, const char *sql, sqlite3_stmt **ret)
{
    int rc = sqlite3_prepare_v3(db->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
    if (rc != SQLITE_OK)
        return sq_db_raise(db, rc, "prepare a statement");
    return ERR_OK;
}

enum err sq_call_start(struct sq_db *db, enum sq_statement which, struct sq_call *ret)
{
    if (db->statements[which] == NULL)
        TRY(prepare(db, statement_texts[which], &db->statements[which]));
    *ret = (struct sq_call){db, db->statements[which], 0, SQLITE_OK};
    return ERR_OK;
}

enum err sq_call_start_text(struct sq_db *db, const char *sql, struct sq_call *ret)
{
    for (unsigned i = 0; i < SQ_SHAPES; i++) {
        if (db->shapes[i].sql != NULL && strcmp(db->shapes[i].sql, sql) == 0) {
            *ret = (struct sq_call){db, db->shapes[i].st, 0, SQLITE_OK};
            return ERR_OK;
        }
    }
    char *copy = strdup(sql);
    if (copy == NULL)
        FAIL(ERR_MEMORY, "no memory for a statement");
    sqlite3_stmt *st = NULL;
    enum err err = prepare(db, sql, &st);
    if (err != ERR_OK) {
        free(copy);
        return err;
    }
    unsigned slot = db->next_shape++ % SQ_SHAPES;
    (void)sqlite3_finalize(db->shapes[slot].st);
    free(db->shapes[slot].sql);
    db->shapes[slot].sql = copy;
    db->shapes[slot].st = st;
    *ret = (struct sq_call){db, st, 0, SQLITE_OK};
    return ERR_OK;
}

void sq_call_done(struct sq_call *call)
{
    if (call->st == NULL)
        return;
    (void)sqlite3_reset(call->st);
    (void)sqlite3_clear_bindings(call->st);
    call->st = NULL;
}

static void bound(struct sq_call *call, int rc)
{
    if (call->rc == SQLITE_OK)
        call->rc = rc;
}

void sq_call_int(struct sq_call *call, int64_t value)
{
    bound(call, sqlite3_bind_int64(call->st, ++call->at, value));
}

void sq_call_blob(struct sq_call *call, struct span bytes)
{
    const void *data = bytes.data == NULL ? "" : (const void *)bytes.data;
    bound(call, sqlite3_bind_blob64(call->st, ++call->at, data, bytes.len, SQLITE_STATIC));
}

void sq_call_uuid(struct sq_call *call, const struct uuid *uuid)
{
    sq_call_blob(call, span_of(uuid->bytes, sizeof uuid->bytes));
}

void sq_call_text(struct sq_call *call, const char *text)
{
    bound(call, sqlite3_bind_text(call->st, ++call->at, text, -1, SQLITE_STATIC));
}

void sq_call_null(struct sq_call *call)
{
    bound(call, sqlite3_bind_null(call->st, ++call->at));
}

enum err sq_call_step(struct sq_call *call, bool *ret_row)
{
    if (call->rc != SQLITE_OK)
        return sq_db_raise(call->db, call->rc, "bind a value");
    errno = 0;
    int rc = sqlite3_step(call->st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return sq_db_raise(call->db, rc, "run a statement");
    call->at = -1;
    *ret_row = rc == SQLITE_ROW;
    return ERR_OK;
}

enum err sq_call_run(struct sq_call *call, int *ret_changes)
{
    bool row = false;
    TRY(sq_call_step(call, &row));
    if (ret_changes != NULL)
        *ret_changes = sqlite3_changes(call->db->db);
    return ERR_OK;
}

int64_t sq_call_get_int(struct sq_call *call)
{
    return sqlite3_column_int64(call->st, ++call->at);
}

static enum err column(struct sq_call *call, struct span *ret)
{
    int at = ++call->at;
    const void *data = sqlite3_column_blob(call->st, at);
    size_t len = (size_t)sqlite3_column_bytes(call->st, at);
    if (data == NULL && len > 0)
        FAIL(ERR_MEMORY, "no memory for a column");
    *ret = span_of(data, len);
    return ERR_OK;
}

enum err sq_call_get_blob(struct sq_call *call, struct arena *arena, struct span *ret)
{
    struct span bytes;
    TRY(column(call, &bytes));
    if (bytes.len == 0) {
        *ret = bytes;
        return ERR_OK;
    }
    return arena_copy(arena, bytes, ret);
}

enum err sq_call_get_fixed(struct sq_call *call, void *out, size_t len)
{
    struct span bytes;
    TRY(column(call, &bytes));
    if (bytes.data == NULL || bytes.len != len)
        FAIL(ERR_DAMAGED, "a column of the store has %zu bytes instead of %zu", bytes.len, len);
    memcpy(out, bytes.data, len);
    return ERR_OK;
}

enum err sq_db_script(struct sq_db *db, const char *sql)
{
    while (*sql != '\0') {
        sqlite3_stmt *st = NULL;
        int rc = sqlite3_prepare_v2(db->db, sql, -1, &st, &sql);
        if (rc != SQLITE_OK)
            return sq_db_raise(db, rc, "prepare a statement of a script");
        while (st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW)
            ;
        (void)sqlite3_finalize(st);
        if (st != NULL && rc != SQLITE_DONE)
            return sq_db_raise(db, rc, "run a script");
    }
    return ERR_OK;
}

// ---- transactions ----

static enum err run(struct sq_db *db, enum sq_statement which)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, which, &call));
    return sq_call_run(&call, NULL);
}

enum err sq_db_begin(struct sq_db *db, enum store_mode mode)
{
    if (mode == STORE_WRITE)
        return run(db, SQ_BEGIN);
    struct sq_call call = {0};
    bool row = false;
    TRY(sq_call_start(db, SQ_SNAPSHOT, &call));
    enum err err = sq_call_step(&call, &row);
    if (err != ERR_OK || !row) {
        sq_call_done(&call);
        TRY(err);
        FAIL(ERR_DAMAGED, "the store has lost its schema version");
    }
    db->reading = true;
    int64_t version = sq_call_get_int(&call);
    if (version != STORE_SCHEMA) {
        sq_db_rollback(db, STORE_READ);
        FAIL(ERR_VERSION, "the store was brought to schema %lld: start this process again",
             (long long)version);
    }
    return ERR_OK;
}

// SQLite syncs the log, and with it the commit, before it notes the frames in the log's index: when
// that cannot grow, the disk is full and the commit stands. Only the log's own bytes come before.
static bool is_before_sync(int rc)
{
    return (rc & 0xff) == SQLITE_FULL || rc == SQLITE_IOERR_WRITE;
}

enum err sq_db_commit(struct sq_db *db)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_COMMIT, &call));
    enum err err = sq_call_run(&call, NULL);
    if (err == ERR_NO_SPACE && !is_before_sync(sqlite3_extended_errcode(db->db)))
        FAIL(ERR_IO, "the disk is full, and whether the commit stands is not known");
    return err;
}

void sq_db_rollback(struct sq_db *db, enum store_mode mode)
{
    if (mode == STORE_READ) {
        if (db->reading)
            (void)sqlite3_reset(db->statements[SQ_SNAPSHOT]);
        db->reading = false;
        return;
    }
    sq_log_drop(db->db);
    // SQLite may have rolled back by itself; then there is nothing left to do.
    if (sqlite3_get_autocommit(db->db) == 0)
        (void)run(db, SQ_ROLLBACK);
}

enum err sq_db_changed(struct sq_db *db, uint64_t *ret_version)
{
    unsigned version = 0;
    int rc = sqlite3_file_control(db->db, "main", SQLITE_FCNTL_DATA_VERSION, &version);
    if (rc != SQLITE_OK)
        return sq_db_raise(db, rc, "ask for the store's version");
    *ret_version = version;
    return ERR_OK;
}

// Others' commits since the last housekeeping; any of them may have destroyed something.
static enum err see_others(struct sq_db *db)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_DATA_VERSION, &call));
    TRY(sq_call_step(&call, &row));
    int64_t version = row ? sq_call_get_int(&call) : 0;
    db->replaced = db->replaced || version != db->others;
    db->others = version;
    return ERR_OK;
}

static enum err forget_outcomes(struct sq_db *db, int64_t before_s)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, SQ_OUTCOME_FORGET, &call));
    sq_call_int(&call, before_s);
    return sq_call_run(&call, NULL);
}

enum err sq_db_maintain(struct sq_db *db, int64_t outcomes_before_s, bool *ret_done)
{
    enum err err = forget_outcomes(db, outcomes_before_s);
    if (err != ERR_OK) {
        sq_log_drop(db->db);
        return err;
    }
    TRY(see_others(db));
    // A log that is overwritten in place costs less than one that grows, so it is emptied only when
    // a row that it may still hold was replaced.
    int mode = db->replaced ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    (void)sqlite3_busy_timeout(db->db, MAINTAIN_BUSY_MS);
    int rc = sqlite3_wal_checkpoint_v2(db->db, NULL, mode, NULL, NULL);
    (void)sqlite3_busy_timeout(db->db, BUSY_MS);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY)
        return sq_db_raise(db, rc, "empty the write-ahead log");
    *ret_done = rc == SQLITE_OK;
    if (rc == SQLITE_OK)
        db->replaced = false;
    return ERR_OK;
}

// Pages in the log that are not yet in the file: two numbers of the index that all processes map
// (sqlite.org/walformat.html, mxFrame and nBackfill). Both may move meanwhile.
static uint32_t backlog(struct sq_db *db)
{
    sqlite3_file *file = NULL;
    void volatile *index = NULL;
    int rc = sqlite3_file_control(db->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (rc == SQLITE_OK && file != NULL && file->pMethods->iVersion >= 2)
        rc = file->pMethods->xShmMap(file, 0, INDEX_LEN, 0, &index);
    if (rc != SQLITE_OK || index == NULL)
        return 0;
    const uint32_t volatile *numbers = index;
    uint32_t last = numbers[INDEX_LAST];
    uint32_t moved = numbers[INDEX_MOVED];
    return last > moved ? last - moved : 0;
}

enum err sq_db_relieve(struct sq_db *db, bool *ret_busy)
{
    *ret_busy = backlog(db) >= RELIEVE_PAGES;
    if (!*ret_busy)
        return ERR_OK;
    int rc = sqlite3_wal_checkpoint_v2(db->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY)
        return sq_db_raise(db, rc, "move the write-ahead log into the file");
    return ERR_OK;
}

// ---- open ----

// ERR_NOT_FOUND when there is no such file. Never opens it: closing a descriptor of the file would
// drop the locks that this process has on it by another connection.
static enum err check_file(int root, const char *path)
{
    struct stat st;
    if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return file_raise("open", path);
    if (!S_ISREG(st.st_mode))
        FAIL(ERR_DAMAGED, "\"%s\" is not a regular file", path);
    if ((st.st_mode & 077) != 0)
        FAIL(ERR_FILE_MODE, "\"%s\" has mode %04o but must have 0600: run chmod 0600 on it", path,
             (unsigned)(st.st_mode & 07777));
    if (st.st_uid != geteuid())
        FAIL(ERR_FILE_MODE, "\"%s\" belongs to user %u but must belong to user %u: run chown on it",
             path, (unsigned)st.st_uid, (unsigned)geteuid());
    return ERR_OK;
}

static enum err check_companion(int root, const char *path, const char *suffix)
{
    char name[PATH_LIMIT];
    int len = snprintf(name, sizeof name, "%s%s", path, suffix);
    if (len < 0 || (size_t)len >= sizeof name)
        FAIL(ERR_INVALID, "the path \"%s\" is too long", path);
    return file_exists(root, name) ? check_file(root, name) : ERR_OK;
}

// Makes the file ourselves, since SQLite would take the mode from the umask; its companions get the
// mode of the file.
static enum err make_file(int root, const char *path)
{
    if (file_exists(root, path))
        return ERR_OK;
    int fd = openat(root, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return ERR_OK;
    if (fd < 0)
        return file_raise("create", path);
    int failed = fchmod(fd, 0600) | fsync(fd);
    (void)close(fd);
    if (failed != 0)
        return file_raise("create", path);
    return file_fsync_parent(root, path);
}

static enum err absolute(int root, const char *path, char out[PATH_LIMIT])
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", root);
    ssize_t len = path[0] == '/' || root == AT_FDCWD ? 0 : readlink(link, out, PATH_LIMIT - 1);
    if (len < 0)
        return file_raise("find the directory of", path);
    int rest = snprintf(out + len, PATH_LIMIT - (size_t)len, "%s%s", len > 0 ? "/" : "", path);
    if (rest < 0 || (size_t)(len + rest) >= PATH_LIMIT)
        FAIL(ERR_INVALID, "the path \"%s\" is too long", path);
    return ERR_OK;
}

static enum err connect_to(struct sq_db *db, const char *path)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    const char *vfs = NULL;
    TRY(sq_log_register(&vfs));
    int rc = sqlite3_open_v2(path, &db->db, flags, vfs);
    if (rc != SQLITE_OK)
        return sq_db_raise(db, rc, "open the store");
    (void)sqlite3_busy_timeout(db->db, BUSY_MS);
    (void)sqlite3_limit(db->db, SQLITE_LIMIT_ATTACHED, 0);
    int defensive = 0;
    (void)sqlite3_db_config(db->db, SQLITE_DBCONFIG_DEFENSIVE, 1, &defensive);
    (void)sqlite3_db_config(db->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, &defensive);
    (void)sqlite3_db_config(db->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, &defensive);
    return ERR_OK;
}

// Where several processes open a new file at once, SQLite refuses the switch without waiting for
// the others, whatever its busy timeout.
static enum err switch_to_wal(struct sq_db *db)
{
    const struct timespec pause = {.tv_nsec = WAL_PAUSE_NS};
    int64_t until = clock_mono_ms() + BUSY_MS;
    for (;;) {
        enum err err = sq_db_script(db, "PRAGMA journal_mode = WAL");
        if (err != ERR_BUSY || clock_mono_ms() >= until)
            return err;
        (void)nanosleep(&pause, NULL);
    }
}

static enum err set_up(struct sq_db *db, enum store_mode mode)
{
    static const char common[] = "PRAGMA temp_store = MEMORY;"
                                 "PRAGMA cache_size = -2048;"
                                 "PRAGMA mmap_size = 67108864;"
                                 "PRAGMA cell_size_check = ON;";
    static const char writing[] = "PRAGMA synchronous = FULL;"
                                  "PRAGMA secure_delete = ON;"
                                  "PRAGMA wal_autocheckpoint = 4000;";
    TRY(sq_db_script(db, common));
    if (mode == STORE_READ) {
        TRY(sq_db_script(db, "PRAGMA query_only = ON"));
        return sq_schema_check(db);
    }
    TRY(switch_to_wal(db));
    TRY(sq_db_script(db, writing));
    return sq_schema_migrate(db);
}

enum err sq_db_open(int root, const char *path, enum store_mode mode, struct sq_db **ret)
{
    char full[PATH_LIMIT];
    if (mode == STORE_WRITE)
        TRY(make_file(root, path));
    TRY(check_file(root, path));
    TRY(check_companion(root, path, "-wal"));
    TRY(check_companion(root, path, "-shm"));
    TRY(absolute(root, path, full));
    CLEANUP(sq_db_closep) struct sq_db *db = calloc(1, sizeof *db);
    if (db == NULL)
        FAIL(ERR_MEMORY, "no memory for a store");
    TRY(connect_to(db, full));
    TRY(set_up(db, mode));
    TRY(check_companion(root, path, "-wal"));
    TRY(check_companion(root, path, "-shm"));
    *ret = db;
    db = NULL;
    return ERR_OK;
}

void sq_db_close(struct sq_db *db)
{
    if (db == NULL)
        return;
    for (int i = 0; i < SQ_COUNT; i++)
        (void)sqlite3_finalize(db->statements[i]);
    for (int i = 0; i < SQ_SHAPES; i++) {
        (void)sqlite3_finalize(db->shapes[i].st);
        free(db->shapes[i].sql);
    }
    (void)sqlite3_close(db->db);
    free(db);
}

void sq_db_closep(struct sq_db **db)
{
    sq_db_close(*db);
    *db = NULL;
}
