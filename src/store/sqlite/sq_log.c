// SPDX-License-Identifier: Apache-2.0
//
// A VFS of SQLite's that is the system's own but for the write-ahead log. Invariants: what the
// caller has written is in the file, in its order, before the file is read, measured, cut or
// synced; with synchronous=FULL SQLite syncs the log before it tells anybody of a commit, so no
// other process looks for bytes that are still here. Bytes that could not be written are forgotten:
// the call that finds out fails, and so do all that follow, the commit that they belonged to among
// them, until sq_log_drop. What a transaction has spilled and not committed does not get into the
// file once it is over: another process may have written there by then.
#include "store/sqlite/sq_log.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// SQLite's own writing to a file goes wrong from 128 KiB on.
enum { FRAME_LEN = 24 + 4096, GATHER_MAX = 31 * FRAME_LEN, LAID_OUT_MAX = 4 * 1024 * 1024 };

struct log_file {
    sqlite3_file base;  // with the methods below
    sqlite3_file *real; // lies right behind this struct
    uint8_t *bytes;     // written, not yet in the file
    int len;
    sqlite3_int64 at; // where they belong
    int lost;         // why bytes of this transaction were forgotten, or SQLITE_OK
};

static sqlite3_vfs *system_vfs;
static sqlite3_vfs log_vfs;

static int flush(struct log_file *log)
{
    int len = log->len;
    log->len = 0;
    if (len > 0 && log->lost == SQLITE_OK)
        log->lost = log->real->pMethods->xWrite(log->real, log->bytes, len, log->at);
    return log->lost;
}

static int log_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    struct log_file *log = (struct log_file *)file;
    if (log->at + log->len != at || len > GATHER_MAX - log->len || log->lost != SQLITE_OK) {
        int rc = flush(log);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (len > GATHER_MAX) // no page is that long
        return SQLITE_IOERR_WRITE;
    if (log->len == 0)
        log->at = at;
    memcpy(log->bytes + log->len, data, (size_t)len);
    log->len += len;
    return SQLITE_OK;
}

static int log_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
    struct log_file *log = (struct log_file *)file;
    int rc = flush(log);
    return rc == SQLITE_OK ? log->real->pMethods->xRead(log->real, out, len, at) : rc;
}

static int log_sync(sqlite3_file *file, int flags)
{
    struct log_file *log = (struct log_file *)file;
    int rc = flush(log);
    return rc == SQLITE_OK ? log->real->pMethods->xSync(log->real, flags) : rc;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    struct log_file *log = (struct log_file *)file;
    int rc = flush(log);
    return rc == SQLITE_OK ? log->real->pMethods->xFileSize(log->real, ret) : rc;
}

// Zeros are no log to SQLite, so that whatever a power cut leaves of them reads as an empty one.
// Nothing depends on them: without space the log grows as it is written.
static void lay_out(struct log_file *log, sqlite3_int64 size)
{
    memset(log->bytes, 0, GATHER_MAX);
    for (sqlite3_int64 at = 0; at < size; at += GATHER_MAX) {
        int len = size - at < GATHER_MAX ? (int)(size - at) : GATHER_MAX;
        if (log->real->pMethods->xWrite(log->real, log->bytes, len, at) != SQLITE_OK)
            return;
    }
    (void)log->real->pMethods->xSync(log->real, SQLITE_SYNC_NORMAL);
}

// SQLite empties the log when all of it is in the database, while it keeps every writer out. The
// blocks really go first: old frames under a header of their own would be read as a log.
static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct log_file *log = (struct log_file *)file;
    sqlite3_int64 was = 0;
    int rc = log_size(file, &was);
    if (rc == SQLITE_OK)
        rc = log->real->pMethods->xTruncate(log->real, size);
    if (rc == SQLITE_OK && size == 0)
        lay_out(log, was < LAID_OUT_MAX ? was : LAID_OUT_MAX);
    return rc;
}

static int log_close(sqlite3_file *file)
{
    struct log_file *log = (struct log_file *)file;
    int rc = log->real->pMethods->xClose(log->real);
    sqlite3_free(log->bytes); // what is left was never committed
    log->bytes = NULL;
    return rc;
}

// ---- the rest is the system's ----

static int log_lock(sqlite3_file *file, int level)
{
    struct log_file *log = (struct log_file *)file;
    return log->real->pMethods->xLock(log->real, level);
}

static int log_unlock(sqlite3_file *file, int level)
{
    struct log_file *log = (struct log_file *)file;
    return log->real->pMethods->xUnlock(log->real, level);
}

static int log_check_lock(sqlite3_file *file, int *ret)
{
    struct log_file *log = (struct log_file *)file;
    return log->real->pMethods->xCheckReservedLock(log->real, ret);
}

static int log_control(sqlite3_file *file, int op, void *arg)
{
    struct log_file *log = (struct log_file *)file;
    return log->real->pMethods->xFileControl(log->real, op, arg);
}

static int log_sector_size(sqlite3_file *file)
{
    struct log_file *log = (struct log_file *)file;
    return log->real->pMethods->xSectorSize(log->real);
}

static int log_characteristics(sqlite3_file *file)
{
    struct log_file *log = (struct log_file *)file;
    return log->real->pMethods->xDeviceCharacteristics(log->real);
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_lock,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

static int open_log(struct log_file *log, const char *name, int flags, int *ret_flags)
{
    log->base.pMethods = NULL;
    log->real = (sqlite3_file *)(log + 1);
    log->len = 0;
    log->at = 0;
    log->lost = SQLITE_OK;
    log->bytes = sqlite3_malloc(GATHER_MAX);
    if (log->bytes == NULL)
        return SQLITE_NOMEM;
    int rc = system_vfs->xOpen(system_vfs, name, log->real, flags, ret_flags);
    if (rc != SQLITE_OK) {
        sqlite3_free(log->bytes);
        return rc;
    }
    log->base.pMethods = &log_methods;
    return SQLITE_OK;
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    (void)vfs;
    if ((flags & SQLITE_OPEN_WAL) == 0)
        return system_vfs->xOpen(system_vfs, name, file, flags, ret_flags);
    return open_log((struct log_file *)file, name, flags, ret_flags);
}

void sq_log_drop(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
    if (rc != SQLITE_OK || file == NULL || file->pMethods != &log_methods)
        return; // no log is open
    struct log_file *log = (struct log_file *)file;
    log->len = 0;
    log->lost = SQLITE_OK;
}

enum err sq_log_register(const char **ret_name)
{
    static const char name[] = "keyward";
    if (system_vfs == NULL) {
        sqlite3_vfs *found = sqlite3_vfs_find(NULL);
        if (found == NULL)
            FAIL(ERR_INTERNAL, "SQLite knows no way to open a file");
        log_vfs = *found;
        log_vfs.zName = name;
        log_vfs.szOsFile = (int)sizeof(struct log_file) + found->szOsFile;
        log_vfs.xOpen = open_file;
        if (sqlite3_vfs_register(&log_vfs, 0) != SQLITE_OK)
            FAIL(ERR_INTERNAL, "SQLite does not take another way to open a file");
        system_vfs = found;
    }
    *ret_name = name;
    return ERR_OK;
}
