// SPDX-License-Identifier: Apache-2.0
//
// Durable files: temporary, fsync, rename, fsync of the directory. Invariant: `path` is at every
// instant wholly the old bytes or wholly the new ones, also after a power cut.
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_LIMIT = 1024, TREE_DEPTH = 8 };

enum err file_raise(const char *what, const char *path)
{
    int code = errno;
    if (code == ENOSPC || code == EDQUOT)
        FAIL(ERR_NO_SPACE, "could not %s \"%s\": no space left on the disk", what, path);
    if (code == EFBIG)
        FAIL(ERR_NO_SPACE, "could not %s \"%s\": the file may not grow", what, path);
    if (code == ENOENT)
        FAIL(ERR_NOT_FOUND, "could not %s \"%s\": it does not exist", what, path);
    char text[128] = "";
    FAIL(ERR_IO, "could not %s \"%s\": %s", what, path, strerror_r(code, text, sizeof text));
}

bool file_hold_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        // The lowest that is free is the one that is missing.
        int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", flags) != fd)
            return false;
    }
    return true;
}

void file_closep(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

enum err file_open_dir(const char *path, int *ret_fd)
{
    return file_open_dir_at(AT_FDCWD, path, ret_fd);
}

enum err file_open_dir_at(int dir, const char *path, int *ret_fd)
{
    int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return file_raise("open the directory", path);
    *ret_fd = fd;
    return ERR_OK;
}

static enum err read_all(int fd, const char *path, size_t limit, struct buf *out)
{
    for (size_t total = 0;;) {
        uint8_t chunk[4096];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return file_raise("read", path);
        if (got == 0)
            return ERR_OK;
        total += (size_t)got;
        if (total > limit)
            FAIL(ERR_DAMAGED, "the file \"%s\" is larger than %zu bytes", path, limit);
        enum err err = buf_put(out, span_of(chunk, (size_t)got));
        explicit_bzero(chunk, sizeof chunk);
        TRY(err);
    }
}

// Opens for reading without blocking on a FIFO and without following a link; only regular files
// pass.
static enum err open_regular(int dir, const char *path, int *ret_fd, struct stat *ret_stat)
{
    int fd = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP)
        FAIL(ERR_DAMAGED, "\"%s\" is a symbolic link; put the file itself there", path);
    if (fd < 0)
        return file_raise("open", path);
    if (fstat(fd, ret_stat) != 0 || !S_ISREG(ret_stat->st_mode)) {
        (void)close(fd);
        FAIL(ERR_DAMAGED, "\"%s\" is not a regular file", path);
    }
    *ret_fd = fd;
    return ERR_OK;
}

enum err file_read(int dir, const char *path, size_t limit, struct buf *out)
{
    CLEANUP(file_closep) int fd = -1;
    struct stat st;
    TRY(open_regular(dir, path, &fd, &st));
    return read_all(fd, path, limit, out);
}

static enum err check_private(const char *path, const struct stat *st)
{
    if ((st->st_mode & 077) != 0)
        FAIL(ERR_FILE_MODE, "\"%s\" has mode %04o but must have 0600: run chmod 0600 on it", path,
             (unsigned)(st->st_mode & 07777));
    if (st->st_uid != geteuid())
        FAIL(ERR_FILE_MODE, "\"%s\" belongs to user %u but must belong to user %u: run chown on it",
             path, (unsigned)st->st_uid, (unsigned)geteuid());
    return ERR_OK;
}

enum err file_open(int dir, const char *path, bool private, int *ret_fd)
{
    CLEANUP(file_closep) int fd = -1;
    struct stat st = {0};
    TRY(open_regular(dir, path, &fd, &st));
    if (private)
        TRY(check_private(path, &st));
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

enum err file_read_private(int dir, const char *path, size_t limit, struct buf *out)
{
    CLEANUP(file_closep) int fd = -1;
    TRY(file_open(dir, path, true, &fd));
    return read_all(fd, path, limit, out);
}

enum err file_read_fd(int fd, const char *name, size_t limit, struct buf *out)
{
    return read_all(fd, name, limit, out);
}

// The directory part of a relative path, "." when there is none.
static void parent_of(const char *path, char out[PATH_LIMIT])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    if (len == 0 || len >= PATH_LIMIT) {
        memcpy(out, slash == path ? "/" : ".", 2);
        return;
    }
    memcpy(out, path, len);
    out[len] = '\0';
}

enum err file_fsync_dir(int dir, const char *path)
{
    CLEANUP(file_closep) int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return file_raise("open the directory", path);
    if (fsync(fd) != 0)
        return file_raise("fsync the directory", path);
    return ERR_OK;
}

enum err file_fsync_parent(int dir, const char *path)
{
    char parent[PATH_LIMIT];
    parent_of(path, parent);
    return file_fsync_dir(dir, parent);
}

enum err file_write_all(int fd, struct span bytes, const char *name)
{
    while (bytes.len > 0) {
        ssize_t put = write(fd, bytes.data, bytes.len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return file_raise("write", name);
        bytes = span_of(bytes.data + put, bytes.len - (size_t)put);
    }
    return ERR_OK;
}

static enum err write_synced(int dir, const char *temp, struct span bytes)
{
    CLEANUP(file_closep)
    int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_raise("create", temp);
    TRY(file_write_all(fd, bytes, temp));
    if (fsync(fd) != 0)
        return file_raise("fsync", temp);
    int closing = fd;
    fd = -1;
    if (close(closing) != 0)
        return file_raise("close", temp);
    return ERR_OK;
}

enum err file_write(int dir, const char *path, struct span bytes)
{
    char temp[PATH_LIMIT];
    int len = snprintf(temp, sizeof temp, "%s.new", path);
    if (len < 0 || (size_t)len >= sizeof temp)
        FAIL(ERR_INVALID, "the path \"%s\" is too long", path);
    enum err err = write_synced(dir, temp, bytes);
    if (err == ERR_OK && renameat(dir, temp, dir, path) != 0)
        err = file_raise("rename", path);
    if (err != ERR_OK) {
        (void)unlinkat(dir, temp, 0);
        return err;
    }
    return file_fsync_parent(dir, path);
}

enum err file_remove(int dir, const char *path)
{
    if (unlinkat(dir, path, 0) != 0) {
        if (errno == ENOENT)
            return ERR_OK;
        return file_raise("remove", path);
    }
    return file_fsync_parent(dir, path);
}

enum err file_rename(int dir, const char *from, const char *to)
{
    if (renameat(dir, from, dir, to) != 0)
        return file_raise("rename", from);
    TRY(file_fsync_parent(dir, to));
    return file_fsync_parent(dir, from);
}

enum err file_mkdirs(int dir, const char *path)
{
    char part[PATH_LIMIT];
    size_t len = strlen(path);
    if (len >= sizeof part)
        FAIL(ERR_INVALID, "the path \"%s\" is too long", path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdirat(dir, part, 0700) == 0)
            TRY(file_fsync_parent(dir, part));
        else if (errno != EEXIST)
            return file_raise("make the directory", part);
    }
    return ERR_OK;
}

enum err file_check_dir(int dir, const char *path, enum file_guard guard)
{
    struct stat st;
    bool private = guard == FILE_DIR_PRIVATE;
    if (fstatat(dir, path, &st, 0) != 0)
        return errno == ENOENT ? ERR_OK : file_raise("look at the directory", path);
    unsigned mode = st.st_mode & 07777;
    if (!S_ISDIR(st.st_mode))
        FAIL(ERR_DAMAGED, "\"%s\" is not a directory", path);
    if (private && (mode & 077) != 0)
        FAIL(ERR_FILE_MODE,
             "the directory \"%s\" has mode %04o but must have 0700: run chmod 0700 "
             "on it",
             path, mode);
    if ((mode & 022) != 0)
        FAIL(ERR_FILE_MODE,
             "the directory \"%s\" has mode %04o but only its owner may write to it: "
             "run chmod go-w on it",
             path, mode);
    if (st.st_uid != geteuid() && (private || st.st_uid != 0))
        FAIL(ERR_FILE_MODE,
             "the directory \"%s\" belongs to user %u but must belong to user %u: run "
             "chown on it",
             path, (unsigned)st.st_uid, (unsigned)geteuid());
    return ERR_OK;
}

static enum err remove_tree(int dir, const char *path, int depth);

static enum err remove_children(int fd, const char *path, int depth)
{
    DIR *stream = fdopendir(fd);
    if (stream == NULL) {
        (void)close(fd);
        return file_raise("list", path);
    }
    enum err err = ERR_OK;
    for (struct dirent *entry; err == ERR_OK && (entry = readdir(stream)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        err = remove_tree(dirfd(stream), entry->d_name, depth - 1);
    }
    (void)closedir(stream);
    return err;
}

static enum err remove_tree(int dir, const char *path, int depth)
{
    if (depth == 0)
        FAIL(ERR_DAMAGED, "\"%s\" lies deeper than expected", path);
    if (unlinkat(dir, path, 0) == 0 || errno == ENOENT)
        return ERR_OK;
    if (errno != EISDIR)
        return file_raise("remove", path);
    int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return file_raise("open the directory", path);
    TRY(remove_children(fd, path, depth));
    if (unlinkat(dir, path, AT_REMOVEDIR) != 0)
        return file_raise("remove", path);
    return ERR_OK;
}

enum err file_remove_tree(int dir, const char *path)
{
    TRY(remove_tree(dir, path, TREE_DEPTH));
    return file_fsync_parent(dir, path);
}

enum err file_make_parent(int dir, const char *path)
{
    char parent[PATH_LIMIT];
    parent_of(path, parent);
    return file_mkdirs(dir, parent);
}

bool file_exists(int dir, const char *path)
{
    struct stat st;
    return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

enum err file_own_directory(char *out, size_t room)
{
    ssize_t len = readlink("/proc/self/exe", out, room - 1);
    if (len <= 0)
        FAIL(ERR_INTERNAL, "this program cannot tell where it lies: %s", strerror(errno));
    out[len] = '\0';
    char *slash = strrchr(out, '/');
    if (slash != NULL)
        *slash = '\0';
    return ERR_OK;
}
