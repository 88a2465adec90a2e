// SPDX-License-Identifier: Apache-2.0
// Writes the record. Everything is read while the thread stands still right after its call, so the
// bytes are those that went out and a descriptor is the one that was used; the tracer lets no other
// recorded call go on meanwhile.
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// More parts than this no program here writes at once; what lies beyond makes the record fail.
#define VECTOR_MAX 64

struct record {
    FILE *calls;
    FILE *data;
};

enum shape {
    SHAPE_PLAIN,  // args[1], args[2]
    SHAPE_VECTOR, // an array of struct iovec at args[1]
};

static const struct {
    const char *name;
    enum shape shape;
    bool at_offset; // args[3] says where; otherwise the descriptor's position does
} writers[] = {{"write", SHAPE_PLAIN, false},
               {"pwrite64", SHAPE_PLAIN, true},
               {"writev", SHAPE_VECTOR, false},
               {"pwritev", SHAPE_VECTOR, true},
               {"pwritev2", SHAPE_VECTOR, true}};

static FILE *make(const char *directory, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return fopen(path, "wxe");
}

struct record *record_open(const char *directory)
{
    struct record *record = calloc(1, sizeof *record);
    if (record == NULL) {
        return NULL;
    }
    record->calls = make(directory, "calls");
    record->data = make(directory, "data");
    return record->calls == NULL || record->data == NULL ? NULL : record;
}

static bool copy_bytes(FILE *to, pid_t tid, uint64_t addr, size_t size)
{
    char chunk[4096];
    while (size > 0) {
        size_t step = size < sizeof chunk ? size : sizeof chunk;
        if (!tracee_read(tid, addr, chunk, step) || fwrite(chunk, 1, step, to) != step) {
            return false;
        }
        addr += step;
        size -= step;
    }
    return true;
}

static bool copy_vector(FILE *to, const struct point_stop *stop, size_t size)
{
    struct iovec parts[VECTOR_MAX];
    size_t count = stop->args[2];
    if (count > VECTOR_MAX ||
        !tracee_read(stop->tid, stop->args[1], parts, count * sizeof *parts)) {
        errno = E2BIG;
        return false;
    }
    for (size_t i = 0; i < count && size > 0; i++) {
        size_t step = parts[i].iov_len < size ? parts[i].iov_len : size;
        if (!copy_bytes(to, stop->tid, (uintptr_t)parts[i].iov_base, step)) {
            return false;
        }
        size -= step;
    }
    return true;
}

// Where the descriptor stands now, after a write: its end.
static long long position(pid_t tid, int fd)
{
    char path[64];
    long long at = -1;
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", tid, fd);
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        if (fscanf(f, "pos: %lld", &at) != 1) {
            at = -1;
        }
        fclose(f);
    }
    return at;
}

static uint64_t inode(pid_t tid, int fd)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, fd);
    return fd >= 0 && stat(path, &st) == 0 ? st.st_ino : 0;
}

// The bytes of a write and where they went; nothing for other calls.
static bool record_bytes(struct record *record, const struct point_stop *stop, long result,
                         long long *ret_offset, long *ret_size)
{
    const char *name = point_name(stop->index);
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
        if (strcmp(name, writers[i].name) != 0 || result <= 0) {
            continue;
        }
        *ret_size = result;
        *ret_offset = writers[i].at_offset ? (long long)stop->args[3]
                                           : position(stop->tid, (int)stop->args[0]) - result;
        return writers[i].shape == SHAPE_PLAIN
                   ? copy_bytes(record->data, stop->tid, stop->args[1], (size_t)result)
                   : copy_vector(record->data, stop, (size_t)result);
    }
    return true;
}

bool record_call(struct record *record, long number, const struct point_stop *stop,
                 const char *place, long result)
{
    char comm[32];
    long long offset = 0;
    long size = 0;
    bool socket = strncmp(place, "socket:", 7) == 0;
    if (!socket && !record_bytes(record, stop, result, &offset, &size)) {
        return false;
    }
    const uint64_t *a = stop->args;
    tracee_comm(stop->tid, comm);
    fprintf(record->calls,
            "%ld\t%d\t%s\t%s\t%s\t%ld\t%" PRIu64 "\t%lld\t%ld\t%" PRIu64 ",%" PRIu64 ",%" PRIu64
            ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n",
            number, stop->tid, comm, point_name(stop->index), place, result,
            inode(stop->tid, point_fd(stop, result)), offset, size, a[0], a[1], a[2], a[3], a[4],
            a[5]);
    return fflush(record->data) == 0 && fflush(record->calls) == 0;
}
