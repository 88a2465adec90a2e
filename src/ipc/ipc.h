// SPDX-License-Identifier: Apache-2.0
//
// Framed messages between two processes over one end of a stream socket pair, or in memory that
// both share. A frame is a length, a kind, an id that the answer repeats, and a body this room
// knows nothing of. Frames are queued and leave in one write, so that a batch costs one system
// call; what is read ahead is kept and handed out frame by frame.
//
// A body may hold key material: both buffers are wiped. A peer that sends a frame longer than
// IPC_FRAME_MAX, or closes, makes every later call fail with ERR_UNAVAILABLE: the channel is then
// to be freed, and the supervisor attaches a new one when the peer is up again.
#ifndef KW_IPC_IPC_H
#define KW_IPC_IPC_H

#include "base/buf.h"

enum {
    IPC_FRAME_MAX = 4 * 1024 * 1024, // bytes of one body
    // Bytes queued. What was sent of them counts while it is the lesser part.
    IPC_QUEUE_MAX = 64 * 1024 * 1024
};

struct ipc;

struct ipc_frame {
    uint16_t kind;
    uint16_t status; // of an answer: enum err; of a request: 0
    uint64_t id;
    struct span body; // borrowed until the next ipc_fill or ipc_call on the channel
};

// Takes ownership of `fd` (a connected stream socket) and makes it non-blocking.
MUST_USE enum err ipc_new(int fd, struct ipc **ret);

// The channel's bytes cross in `memory` (of ipc_make_memory, borrowed), and the socket only wakes
// whoever sleeps. Both ends call this before either sends; they differ in `first`. Not for
// ipc_call.
MUST_USE enum err ipc_share(struct ipc *ipc, int memory, bool first);

// Memory for one channel, as a descriptor that the caller owns.
MUST_USE enum err ipc_make_memory(int *ret_fd);

void ipc_free(struct ipc *ipc);
void ipc_freep(struct ipc **ipc);
int ipc_fd(const struct ipc *ipc);

// Queues a frame. Does not block, sends nothing yet. ERR_TOO_LARGE when body or queue is too long.
MUST_USE enum err ipc_put(struct ipc *ipc, const struct ipc_frame *frame);

// The same without a copy: append the body to *ret_body, then call ipc_end, or ipc_drop to forget
// it.
MUST_USE enum err ipc_begin(struct ipc *ipc, uint16_t kind, uint16_t status, uint64_t id,
                            struct buf **ret_body);
MUST_USE enum err ipc_end(struct ipc *ipc);
void ipc_drop(struct ipc *ipc);

// Whether a frame with a body of IPC_FRAME_MAX bytes may still be queued.
bool ipc_has_room(const struct ipc *ipc);

// Sends what the socket takes now. `ipc_pending` tells how many bytes are left.
MUST_USE enum err ipc_flush(struct ipc *ipc);
size_t ipc_pending(const struct ipc *ipc);

// Whether ipc_flush should be called when the socket can be written to again. Of a channel in
// shared memory it is the other end that tells of room: the socket becomes readable.
bool ipc_wants_socket(const struct ipc *ipc);

// Sends all, waiting at most timeout_ms. ERR_TIMEOUT.
MUST_USE enum err ipc_flush_wait(struct ipc *ipc, int timeout_ms);

// Reads what is there now, without blocking; what there is no room for waits in the socket until
// frames have been taken. ERR_UNAVAILABLE when the peer has closed; in shared memory, when all that
// it put before has been taken, too.
MUST_USE enum err ipc_fill(struct ipc *ipc);

// For channels in shared memory; of others nothing is ever ready. `ipc_ready`: there is something
// that ipc_take gets without a system call. Before the process sleeps it says so, then looks once
// more, and takes it back when it is awake: only then does the socket become readable when
// something comes.
bool ipc_ready(const struct ipc *ipc);
MUST_USE enum err ipc_take(struct ipc *ipc);
void ipc_sleep(struct ipc *ipc, bool asleep);

// The next complete frame read so far; false when there is none.
bool ipc_next(struct ipc *ipc, struct ipc_frame *ret);

// Sends one frame and waits for the answer with its id; earlier answers with other ids are dropped.
// Blocks up to timeout_ms: ERR_TIMEOUT, ERR_UNAVAILABLE. The answer's `status` is not looked at.
MUST_USE enum err ipc_call(struct ipc *ipc, const struct ipc_frame *ask, int timeout_ms,
                           struct ipc_frame *ret);

// Queues the answer to `ask`: the code, and as body `body`. For an error that is what the asker may
// read of it; where its data is NULL, err_message's text, right as long as this error is the one
// raised last.
MUST_USE enum err ipc_answer(struct ipc *ipc, const struct ipc_frame *ask, enum err code,
                             struct span body);

// ERR_OK, or the error that an answer carries, adopted with its detail.
MUST_USE enum err ipc_check(const struct ipc_frame *answer);

#endif
