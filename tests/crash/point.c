// SPDX-License-Identifier: Apache-2.0
// The table of crash points and how a stop is judged by it.
//
// Invariants: a call that changes a regular file or a directory is in the table or refused
// (io_uring, foreign architectures), so that nothing passes uncounted; what cannot be looked at is
// counted with the place "?", because a point too many is found at once and one too few never.
// Writes to mapped memory are invisible to any tracer of calls; msync is what makes them durable.
#include "point.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum place_kind {
    PLACE_NONE,
    PLACE_FD,   // args[arg] is a descriptor
    PLACE_PATH, // args[arg] is a path
    PLACE_AT,   // args[arg] is a directory's descriptor, args[arg + 1] a path
    PLACE_MAP,  // args[arg] is an address in a mapped file
};

struct place {
    enum place_kind kind;
    unsigned int arg;
};

enum call_group {
    GROUP_CHANGE, // always changes something
    GROUP_OPEN,   // only with flags, in args[flags]
    GROUP_HOW,    // only with flags, in the struct open_how at args[flags]
    GROUP_SOCKET, // only when sockets count
};

struct call {
    int nr;
    const char *name;
    enum call_group group;
    struct place from;
    struct place to;
    unsigned int flags;
};

#define NR(x) SCMP_SYS(x), #x
#define FD(i)                                                                                      \
    {                                                                                              \
        PLACE_FD, (i)                                                                              \
    }
#define PATH(i)                                                                                    \
    {                                                                                              \
        PLACE_PATH, (i)                                                                            \
    }
#define AT(i)                                                                                      \
    {                                                                                              \
        PLACE_AT, (i)                                                                              \
    }
#define MAP(i)                                                                                     \
    {                                                                                              \
        PLACE_MAP, (i)                                                                             \
    }
#define NOWHERE                                                                                    \
    {                                                                                              \
        PLACE_NONE, 0                                                                              \
    }
#define CHANGE(x, place)                                                                           \
    {                                                                                              \
        NR(x), GROUP_CHANGE, place, NOWHERE, 0                                                     \
    }
#define MOVE(x, from, to)                                                                          \
    {                                                                                              \
        NR(x), GROUP_CHANGE, from, to, 0                                                           \
    }
#define OPEN(x, place, flags)                                                                      \
    {                                                                                              \
        NR(x), GROUP_OPEN, place, NOWHERE, flags                                                   \
    }
#define SOCKET(x)                                                                                  \
    {                                                                                              \
        NR(x), GROUP_SOCKET, FD(0), NOWHERE, 0                                                     \
    }

// clang-format off
static const struct call calls[] = {
    CHANGE(write, FD(0)),
    CHANGE(pwrite64, FD(0)),
    CHANGE(writev, FD(0)),
    CHANGE(pwritev, FD(0)),
    CHANGE(pwritev2, FD(0)),
    CHANGE(sendfile, FD(0)),
    CHANGE(copy_file_range, FD(2)),
    CHANGE(splice, FD(2)),
    CHANGE(fsync, FD(0)),
    CHANGE(fdatasync, FD(0)),
    CHANGE(sync_file_range, FD(0)),
    CHANGE(syncfs, FD(0)),
    CHANGE(sync, NOWHERE),
    CHANGE(msync, MAP(0)),
    CHANGE(ftruncate, FD(0)),
    CHANGE(truncate, PATH(0)),
    CHANGE(fallocate, FD(0)),
    CHANGE(creat, PATH(0)),
    OPEN(open, PATH(0), 1),
    OPEN(openat, AT(0), 2),
    {NR(openat2), GROUP_HOW, AT(0), NOWHERE, 2},
    MOVE(rename, PATH(0), PATH(1)),
    MOVE(renameat, AT(0), AT(2)),
    MOVE(renameat2, AT(0), AT(2)),
    MOVE(link, PATH(0), PATH(1)),
    MOVE(linkat, AT(0), AT(2)),
    CHANGE(symlink, PATH(1)),
    CHANGE(symlinkat, AT(1)),
    CHANGE(unlink, PATH(0)),
    CHANGE(unlinkat, AT(0)),
    CHANGE(mkdir, PATH(0)),
    CHANGE(mkdirat, AT(0)),
    CHANGE(rmdir, PATH(0)),
    CHANGE(mknod, PATH(0)),
    CHANGE(mknodat, AT(0)),
    CHANGE(chmod, PATH(0)),
    CHANGE(fchmod, FD(0)),
    CHANGE(fchmodat, AT(0)),
    CHANGE(chown, PATH(0)),
    CHANGE(lchown, PATH(0)),
    CHANGE(fchown, FD(0)),
    CHANGE(fchownat, AT(0)),
    CHANGE(setxattr, PATH(0)),
    CHANGE(lsetxattr, PATH(0)),
    CHANGE(fsetxattr, FD(0)),
    CHANGE(removexattr, PATH(0)),
    CHANGE(lremovexattr, PATH(0)),
    CHANGE(fremovexattr, FD(0)),
    SOCKET(connect),
    SOCKET(sendto),
    SOCKET(sendmsg),
    SOCKET(sendmmsg),
};
// clang-format on

#define CALL_COUNT (sizeof calls / sizeof calls[0])

const char *point_name(unsigned int index)
{
    return index < CALL_COUNT ? calls[index].name : "?";
}

static bool flags_write(uint64_t flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
}

// One rule a bit: the filter language compares masked values for equality only.
static int filter_open(scmp_filter_ctx ctx, const struct call *call, uint32_t action)
{
    const scmp_datum_t wanted[][2] = {
        {O_ACCMODE, O_WRONLY}, {O_ACCMODE, O_RDWR}, {O_CREAT, O_CREAT}, {O_TRUNC, O_TRUNC}};
    int rc = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && rc == 0; i++) {
        rc =
            seccomp_rule_add(ctx, action, call->nr, 1,
                             SCMP_CMP(call->flags, SCMP_CMP_MASKED_EQ, wanted[i][0], wanted[i][1]));
    }
    return rc;
}

static int filter_calls(scmp_filter_ctx ctx, const struct point_scope *scope)
{
    int rc = 0;
    for (unsigned int i = 0; i < CALL_COUNT && rc == 0; i++) {
        const struct call *call = &calls[i];
        if (call->group == GROUP_OPEN) {
            rc = filter_open(ctx, call, SCMP_ACT_TRACE(i));
        } else if (call->group != GROUP_SOCKET || scope->sockets) {
            rc = seccomp_rule_add(ctx, SCMP_ACT_TRACE(i), call->nr, 0);
        }
    }
    return rc;
}

static int filter_hiding(scmp_filter_ctx ctx)
{
    int rc = seccomp_rule_add(ctx, SCMP_ACT_TRACE(POINT_HIDE_SET), SCMP_SYS(prctl), 1,
                              SCMP_A0(SCMP_CMP_EQ, PR_SET_DUMPABLE));
    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_TRACE(POINT_HIDE_GET), SCMP_SYS(prctl), 1,
                              SCMP_A0(SCMP_CMP_EQ, PR_GET_DUMPABLE));
    }
    return rc;
}

int point_load_filter(const struct point_scope *scope, bool may_hide)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (ctx == NULL) {
        return -ENOMEM;
    }
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    if (rc == 0) {
        rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, geteuid() == 0 ? 0 : 1);
    }
    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0);
    }
    if (rc == 0) {
        rc = filter_calls(ctx, scope);
    }
    if (rc == 0 && !may_hide) {
        rc = filter_hiding(ctx);
    }
    if (rc == 0) {
        rc = seccomp_load(ctx);
    }
    seccomp_release(ctx);
    return rc;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool in_roots(const struct point_scope *scope, const char *path)
{
    for (size_t i = 0; i < scope->root_count; i++) {
        size_t n = strlen(scope->roots[i]);
        if (strncmp(path, scope->roots[i], n) == 0 && (path[n] == '/' || path[n] == '\0')) {
            return true;
        }
    }
    return scope->root_count == 0;
}

// Kernel interfaces look like files and directories but keep nothing.
static bool path_counts(const struct point_scope *scope, const char *path)
{
    bool kernel =
        starts_with(path, "/proc/") || starts_with(path, "/sys/") || starts_with(path, "/memfd:");
    return !kernel && in_roots(scope, path);
}

static bool fd_counts(const struct point_scope *scope, pid_t tid, int fd, char *ret_path)
{
    if (!tracee_fd_name(tid, fd, ret_path)) {
        bool closed = errno == ENOENT;
        snprintf(ret_path, TRACEE_PATH_MAX, "?");
        return !closed; // a call on a closed descriptor fails and changes nothing
    }
    if (starts_with(ret_path, "socket:")) {
        return scope->sockets;
    }
    mode_t type = tracee_fd_type(tid, fd);
    if (type != S_IFREG && type != S_IFDIR) {
        return false;
    }
    char *gone = strstr(ret_path, " (deleted)");
    if (gone != NULL && !starts_with(ret_path, "/memfd:")) {
        *gone = '\0';
    }
    return path_counts(scope, ret_path);
}

static bool map_counts(const struct point_scope *scope, pid_t tid, uint64_t addr, char *ret_path)
{
    tracee_mapping(tid, addr, ret_path);
    return ret_path[0] == '/' && path_counts(scope, ret_path);
}

static bool place_counts(const struct point_scope *scope, const struct point_stop *stop,
                         const struct place *place, char *ret_path)
{
    const uint64_t *arg = &stop->args[place->arg];
    bool known = false;
    switch (place->kind) {
    case PLACE_NONE:
        snprintf(ret_path, TRACEE_PATH_MAX, "-");
        return true;
    case PLACE_FD:
        return fd_counts(scope, stop->tid, (int)arg[0], ret_path);
    case PLACE_MAP:
        return map_counts(scope, stop->tid, arg[0], ret_path);
    case PLACE_PATH:
        known = tracee_path(stop->tid, AT_FDCWD, arg[0], ret_path);
        break;
    case PLACE_AT:
        known = tracee_path(stop->tid, (int)arg[0], arg[1], ret_path);
        break;
    }
    if (!known) {
        snprintf(ret_path, TRACEE_PATH_MAX, "?");
        return true;
    }
    return path_counts(scope, ret_path);
}

// An open counts if it may create, cut or later change a regular file (O_TMPFILE names a
// directory).
static bool open_changes(const struct point_stop *stop, uint64_t flags, const char *path)
{
    char place[TRACEE_PATH_MAX + 64];
    struct stat st;
    snprintf(place, sizeof place, "/proc/%d/root%s", stop->tid, path);
    if (path[0] != '/') {
        return true;
    }
    if (stat(place, &st) != 0) {
        return (flags & O_CREAT) != 0 || errno != ENOENT;
    }
    return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

static bool flags_of(const struct point_stop *stop, const struct call *call, uint64_t *ret_flags)
{
    struct open_how how;
    *ret_flags = stop->args[call->flags];
    if (call->group == GROUP_HOW) {
        bool seen = tracee_read(stop->tid, stop->args[call->flags], &how, sizeof how);
        *ret_flags = seen ? how.flags : O_WRONLY;
    }
    return flags_write(*ret_flags);
}

bool point_counts(const struct point_scope *scope, const struct point_stop *stop,
                  char ret_what[static POINT_WHAT_MAX])
{
    if (stop->index >= CALL_COUNT) {
        return false;
    }
    const struct call *call = &calls[stop->index];
    bool opens = call->group == GROUP_OPEN || call->group == GROUP_HOW;
    uint64_t flags = 0;
    if (opens && !flags_of(stop, call, &flags)) {
        return false;
    }
    char from[TRACEE_PATH_MAX];
    bool counts = place_counts(scope, stop, &call->from, from);
    if (opens && counts) {
        counts = open_changes(stop, flags, from);
    }
    if (call->to.kind == PLACE_NONE) {
        snprintf(ret_what, POINT_WHAT_MAX, "%s", from);
        return counts;
    }
    char to[TRACEE_PATH_MAX];
    counts = place_counts(scope, stop, &call->to, to) || counts;
    snprintf(ret_what, POINT_WHAT_MAX, "%s -> %s", from, to);
    return counts;
}

int point_fd(const struct point_stop *stop, long result)
{
    if (stop->index >= CALL_COUNT) {
        return -1;
    }
    const struct call *call = &calls[stop->index];
    if (call->group == GROUP_OPEN || call->group == GROUP_HOW || strcmp(call->name, "creat") == 0) {
        return result >= 0 ? (int)result : -1;
    }
    return call->from.kind == PLACE_FD ? (int)stop->args[call->from.arg] : -1;
}
