// SPDX-License-Identifier: Apache-2.0
//
// Trace files. Their number, the bytes of one and the bytes of all are bounded: a library that
// prints without end fills no disk. Within one call the kernel's file size limit stops it, between
// calls hsm_trace_bound.
#include "hsm/hsm_trace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/rand.h"

enum { NAME_MAX_BYTES = 128, ENTRIES_MAX = 4096 };

static hsm_trace_hook *call_hook;
static void *call_hook_arg;
static bool is_bounded; // standard error is a trace file

struct entry {
    char name[NAME_MAX_BYTES];
    off_t size;
};

void hsm_trace_listen(hsm_trace_hook *hook, void *arg)
{
    call_hook = hook;
    call_hook_arg = arg;
}

void hsm_trace_announce(const char *function)
{
    if (call_hook != NULL)
        call_hook(call_hook_arg, function);
}

// Names begin with the time, so that the newest come first.
static int newest_first(const void *a, const void *b)
{
    return strcmp(((const struct entry *)b)->name, ((const struct entry *)a)->name);
}

static size_t read_entries(DIR *dir, struct entry *entries)
{
    size_t count = 0;
    for (struct dirent *at = readdir(dir); at != NULL && count < ENTRIES_MAX; at = readdir(dir)) {
        size_t len = strlen(at->d_name);
        struct stat st;
        if (len < 4 || len >= NAME_MAX_BYTES || strcmp(at->d_name + len - 4, ".log") != 0 ||
            fstatat(dirfd(dir), at->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        memcpy(entries[count].name, at->d_name, len + 1);
        entries[count++].size = st.st_size;
    }
    return count;
}

// A trace file more or less is no reason to fail an operation.
static void prune(int root)
{
    int fd = openat(root, PATH_HSM_LOG_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct entry *entries = calloc(ENTRIES_MAX, sizeof *entries);
    if (dir != NULL && entries != NULL) {
        size_t count = read_entries(dir, entries);
        qsort(entries, count, sizeof *entries, newest_first);
        off_t total = 0;
        for (size_t i = 0; i < count; i++) {
            total += entries[i].size;
            if (i >= HSM_TRACE_FILES || (i > 0 && total > HSM_TRACE_TOTAL))
                (void)unlinkat(dirfd(dir), entries[i].name, 0);
        }
    }
    free(entries);
    if (dir != NULL)
        (void)closedir(dir);
    else if (fd >= 0)
        (void)close(fd);
}

static const char *safe_name(const char *operation)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t len = strlen(operation);
    if (len == 0 || len > HSM_TRACE_NAME_MAX || strspn(operation, allowed) != len)
        return "operation";
    return operation;
}

// "2026-01-31T12-00-00.123Z-initialize-1a2b.log": no colons, which some tools dislike.
static void file_name(const char *operation, char out[NAME_MAX_BYTES])
{
    char stamp[CLOCK_TEXT_LEN + 1];
    clock_text(clock_wall_ms(), stamp);
    for (char *c = stamp; *c != '\0'; c++) {
        if (*c == ':')
            *c = '-';
    }
    uint8_t tail[2];
    rand_bytes(tail, sizeof tail);
    (void)snprintf(out, NAME_MAX_BYTES, "%s/%s-%s-%02x%02x.log", PATH_HSM_LOG_DIR, stamp,
                   safe_name(operation), tail[0], tail[1]);
}

// The limit is for all files that this process writes, so it is far above one trace's: a library's
// own log may be large already.
static void limit_files(void)
{
    struct rlimit limit = {.rlim_cur = HSM_TRACE_TOTAL, .rlim_max = RLIM_INFINITY};
    struct rlimit old;
    if (getrlimit(RLIMIT_FSIZE, &old) == 0)
        limit.rlim_max = old.rlim_max;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_FSIZE, &limit);
    (void)signal(SIGXFSZ, SIG_IGN);
}

enum err hsm_trace_open(int root, const char *operation)
{
    TRY(file_mkdirs(root, PATH_HSM_LOG_DIR));
    prune(root);
    char name[NAME_MAX_BYTES];
    file_name(operation, name);
    CLEANUP(file_closep)
    int fd =
        openat(root, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_raise("make the trace file", name);
    if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        return file_raise("write to the trace file", name);
    // What the library prints shall be in the file when it crashes.
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    limit_files();
    is_bounded = true;
    return ERR_OK;
}

void hsm_trace_bound(void)
{
    struct stat st;
    if (!is_bounded || fstat(STDERR_FILENO, &st) != 0 || st.st_size < HSM_TRACE_FILE_MAX)
        return;
    is_bounded = false;
    log_event(LOG_LEVEL_WARN, "trace_ended limit=%d", HSM_TRACE_FILE_MAX);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0)
        return;
    (void)dup2(null, STDOUT_FILENO);
    (void)dup2(null, STDERR_FILENO);
    (void)close(null);
}
