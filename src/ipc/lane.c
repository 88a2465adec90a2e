// SPDX-License-Identifier: Apache-2.0
//
// The lanes. Invariants: `put` is written by the producer alone, `got` by the consumer alone, and
// put - got <= LANE_BYTES; each end goes by its own copy of the counter that is its own. Whoever
// sleeps has said so before its last look, whoever has put something looks after that whether
// somebody sleeps: so one of them sees the other.
#include "ipc/lane.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { CACHE_LINE = 64 };

struct lane_shared {
    _Alignas(CACHE_LINE) _Atomic uint32_t put;
    _Atomic uint32_t full; // the producer waits for room
    _Alignas(CACHE_LINE) _Atomic uint32_t got;
    _Atomic uint32_t asleep; // the consumer waits for bytes
    _Alignas(CACHE_LINE) uint8_t bytes[LANE_BYTES];
};

struct lane_memory {
    struct lane_shared lanes[2];
};

enum err lanes_make(int *ret_fd)
{
    int fd = memfd_create("channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    // Nobody can cut it under another's feet.
    if (fd < 0 || ftruncate(fd, (off_t)sizeof(struct lane_memory)) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        file_closep(&fd);
        FAIL(ERR_INTERNAL, "the memory of a channel could not be made");
    }
    *ret_fd = fd;
    return ERR_OK;
}

enum err lanes_open(struct lanes *lanes, int fd, bool first)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size != (off_t)sizeof(struct lane_memory))
        FAIL(ERR_INTERNAL, "the memory of a channel has the wrong size");
    void *memory =
        mmap(NULL, sizeof(struct lane_memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        FAIL(ERR_MEMORY, "the memory of a channel could not be mapped");
    // Where the limit does not allow it, it may be swapped out like other buffers.
    (void)mlock(memory, sizeof(struct lane_memory));
    (void)madvise(memory, sizeof(struct lane_memory), MADV_DONTDUMP);
    lanes->memory = memory;
    lanes->out = &lanes->memory->lanes[first ? 0 : 1];
    lanes->in = &lanes->memory->lanes[first ? 1 : 0];
    lanes->put = 0;
    lanes->got = 0;
    return ERR_OK;
}

void lanes_close(struct lanes *lanes)
{
    if (lanes->memory != NULL)
        (void)munmap(lanes->memory, sizeof(struct lane_memory));
    lanes->memory = NULL;
}

// Copies between a span and the lane from position `at` on, round its end.
static void copy_in(struct lane_shared *lane, uint32_t at, struct span bytes)
{
    size_t begin = at % LANE_BYTES;
    size_t head = bytes.len < LANE_BYTES - begin ? bytes.len : LANE_BYTES - begin;
    memcpy(lane->bytes + begin, bytes.data, head);
    memcpy(lane->bytes, bytes.data + head, bytes.len - head);
}

static enum err copy_out(struct lane_shared *lane, uint32_t at, size_t len, struct buf *out)
{
    size_t begin = at % LANE_BYTES;
    size_t head = len < LANE_BYTES - begin ? len : LANE_BYTES - begin;
    TRY(buf_reserve(out, len));
    TRY(buf_put(out, span_of(lane->bytes + begin, head)));
    TRY(buf_put(out, span_of(lane->bytes, len - head)));
    explicit_bzero(lane->bytes + begin, head);
    explicit_bzero(lane->bytes, len - head);
    return ERR_OK;
}

static enum err room(const struct lanes *lanes, size_t *ret)
{
    uint32_t used = lanes->put - atomic_load(&lanes->out->got);
    if (used > LANE_BYTES)
        FAIL(ERR_UNAVAILABLE, "the other end of a channel has taken what was not put");
    *ret = LANE_BYTES - used;
    return ERR_OK;
}

// Whether the other end waits, which is told once.
static bool take_flag(_Atomic uint32_t *flag)
{
    return atomic_load(flag) != 0 && atomic_exchange(flag, 0) != 0;
}

enum err lanes_put(struct lanes *lanes, struct span bytes, size_t *ret_taken, bool *ret_ring)
{
    size_t taken = 0;
    size_t free_bytes;
    *ret_ring = false;
    TRY(room(lanes, &free_bytes));
    while (taken < bytes.len) {
        if (free_bytes == 0) {
            atomic_store(&lanes->out->full, 1);
            TRY(room(lanes, &free_bytes));
            if (free_bytes == 0)
                break;
        }
        size_t len = bytes.len - taken < free_bytes ? bytes.len - taken : free_bytes;
        copy_in(lanes->out, lanes->put, span_of(bytes.data + taken, len));
        lanes->put += (uint32_t)len;
        atomic_store(&lanes->out->put, lanes->put);
        taken += len;
        free_bytes -= len;
    }
    *ret_taken = taken;
    *ret_ring = take_flag(&lanes->out->asleep);
    return ERR_OK;
}

enum err lanes_take(struct lanes *lanes, struct buf *out, bool *ret_ring)
{
    uint32_t there = atomic_load(&lanes->in->put) - lanes->got;
    *ret_ring = false;
    if (there > LANE_BYTES)
        FAIL(ERR_UNAVAILABLE, "the other end of a channel has put more than there is room for");
    if (there == 0)
        return ERR_OK;
    TRY(copy_out(lanes->in, lanes->got, there, out));
    lanes->got += there;
    atomic_store(&lanes->in->got, lanes->got);
    *ret_ring = take_flag(&lanes->in->full);
    return ERR_OK;
}

bool lanes_ready(const struct lanes *lanes)
{
    return atomic_load(&lanes->in->put) != lanes->got;
}

void lanes_sleep(struct lanes *lanes, bool asleep)
{
    atomic_store(&lanes->in->asleep, asleep ? 1 : 0);
}
