// SPDX-License-Identifier: Apache-2.0
// Reads a stopped thread through process_vm_readv and /proc. Every answer is a snapshot: other
// threads run on, so a path may change between the look and the call. That is good enough to
// decide whether a call counts; the call itself is left as it is.
#include "tracee.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

bool tracee_read(pid_t tid, uint64_t addr, void *ret_bytes, size_t size)
{
    struct iovec here = {.iov_base = ret_bytes, .iov_len = size};
    struct iovec there = {.iov_base = (void *)(uintptr_t)addr, .iov_len = size};
    return process_vm_readv(tid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

// Reads page by page: the string may end just before an unmapped page.
static bool read_string(pid_t tid, uint64_t addr, char *out, size_t room)
{
    size_t have = 0;
    while (have < room) {
        size_t step = 4096 - (size_t)((addr + have) % 4096);
        if (step > room - have) {
            step = room - have;
        }
        if (!tracee_read(tid, addr + have, out + have, step)) {
            return false;
        }
        if (memchr(out + have, '\0', step) != NULL) {
            return true;
        }
        have += step;
    }
    return false;
}

static bool read_link(const char *link, char ret_name[static TRACEE_PATH_MAX])
{
    ssize_t n = readlink(link, ret_name, TRACEE_PATH_MAX - 1);
    if (n < 0) {
        return false;
    }
    ret_name[n] = '\0';
    return true;
}

static void proc_fd(char ret_link[static 64], pid_t tid, int fd)
{
    if (fd == AT_FDCWD) {
        snprintf(ret_link, 64, "/proc/%d/cwd", tid);
    } else {
        snprintf(ret_link, 64, "/proc/%d/fd/%d", tid, fd);
    }
}

bool tracee_fd_name(pid_t tid, int fd, char ret_name[static TRACEE_PATH_MAX])
{
    char link[64];
    proc_fd(link, tid, fd);
    return read_link(link, ret_name);
}

mode_t tracee_fd_type(pid_t tid, int fd)
{
    char link[64];
    struct stat st;
    proc_fd(link, tid, fd);
    return stat(link, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

// Replaces the directory part of path by what the kernel says it is. Without the directory (the
// call will fail anyway) the path stays as it was written.
static void resolve_directory(pid_t tid, char path[static TRACEE_PATH_MAX])
{
    char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return;
    }
    char name[NAME_MAX + 2];
    if (snprintf(name, sizeof name, "%s", slash) >= (int)sizeof name) {
        return;
    }
    char place[TRACEE_PATH_MAX + 64];
    snprintf(place, sizeof place, "/proc/%d/root%.*s/", tid, (int)(slash - path), path);
    int fd = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    char real[TRACEE_PATH_MAX];
    if (tracee_fd_name(getpid(), fd, real) && strlen(real) + strlen(name) < TRACEE_PATH_MAX) {
        size_t n = strcmp(real, "/") == 0 ? 0 : strlen(real);
        memcpy(path, real, n);
        memcpy(path + n, name, strlen(name) + 1);
    }
    close(fd);
}

bool tracee_path(pid_t tid, int dirfd, uint64_t addr, char ret_path[static TRACEE_PATH_MAX])
{
    char given[PATH_MAX];
    char base[TRACEE_PATH_MAX];
    if (!read_string(tid, addr, given, sizeof given)) {
        return false;
    }
    int n;
    if (given[0] == '/') {
        n = snprintf(ret_path, TRACEE_PATH_MAX, "%s", given);
    } else if (!tracee_fd_name(tid, dirfd, base)) {
        return false;
    } else if (given[0] == '\0') {
        n = snprintf(ret_path, TRACEE_PATH_MAX, "%s", base);
    } else {
        n = snprintf(ret_path, TRACEE_PATH_MAX, "%s/%s", base, given);
    }
    if (n >= TRACEE_PATH_MAX) {
        return false;
    }
    while (n > 1 && ret_path[n - 1] == '/') {
        ret_path[--n] = '\0'; // mkdir("dir/") names the same place as mkdir("dir")
    }
    resolve_directory(tid, ret_path);
    return true;
}

void tracee_mapping(pid_t tid, uint64_t addr, char ret_path[static TRACEE_PATH_MAX])
{
    char maps[64];
    char line[TRACEE_PATH_MAX];
    ret_path[0] = '\0';
    snprintf(maps, sizeof maps, "/proc/%d/maps", tid);
    FILE *f = fopen(maps, "re");
    if (f == NULL) {
        return;
    }
    while (fgets(line, sizeof line, f) != NULL) {
        uint64_t from = 0;
        uint64_t to = 0;
        int at = 0;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %n", &from, &to, &at) == 2 &&
            addr >= from && addr < to) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(ret_path, TRACEE_PATH_MAX, "%s", line + at);
            break;
        }
    }
    fclose(f);
}

void tracee_comm(pid_t tid, char ret_comm[static 32])
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/comm", tid);
    ssize_t n = -1;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, ret_comm, 31);
        close(fd);
    }
    ret_comm[n > 0 ? n : 0] = '\0';
    ret_comm[strcspn(ret_comm, "\n")] = '\0';
}
