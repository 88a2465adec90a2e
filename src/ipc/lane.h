// SPDX-License-Identifier: Apache-2.0
//
// Two lanes of bytes in memory that the processes at both ends of a channel have mapped, one for
// each direction: a batch crosses without a system call, and whoever sleeps is rung for. Private
// to ipc.
//
// The other end may be broken into: its counters are checked before they are used, and bytes are
// copied out before anybody looks at them. They are wiped when they are taken.
#ifndef KW_IPC_LANE_H
#define KW_IPC_LANE_H

#include "base/buf.h"

enum { LANE_BYTES = 64 * 1024 }; // of one direction; more waits until there is room

struct lane_shared;
struct lane_memory;

// One end: what it knows itself of where it stands.
struct lanes {
    struct lane_memory *memory; // NULL: none
    struct lane_shared *out;
    struct lane_shared *in;
    uint32_t put; // bytes put in all, and taken in all, modulo 2^32
    uint32_t got;
};

// Memory for both directions, of a size that cannot change; the caller owns *ret_fd.
MUST_USE enum err lanes_make(int *ret_fd);

// Maps what lanes_make has made (borrowed). The ends differ in `first`.
MUST_USE enum err lanes_open(struct lanes *lanes, int fd, bool first);
void lanes_close(struct lanes *lanes);

// Puts what there is room for. *ret_ring: the other end sleeps and wants to be told. Where not
// everything found room, the other end tells when there is some. ERR_UNAVAILABLE: it lies.
MUST_USE enum err lanes_put(struct lanes *lanes, struct span bytes, size_t *ret_taken,
                            bool *ret_ring);

// Takes what there is, LANE_BYTES at most. *ret_ring: the other end waits for room.
MUST_USE enum err lanes_take(struct lanes *lanes, struct buf *out, bool *ret_ring);

// Whether there is something to take.
bool lanes_ready(const struct lanes *lanes);

// Says whether this end sleeps; whoever is about to looks once more after that.
void lanes_sleep(struct lanes *lanes, bool asleep);

#endif
