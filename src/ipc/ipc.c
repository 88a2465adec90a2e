// SPDX-License-Identifier: Apache-2.0
//
// Frames over a non-blocking stream socket, or in shared memory with the socket as a bell. Header,
// big-endian: u32 body length, u16 kind, u16 status, u64 id. Invariants: `out` holds whole frames
// but for the one being built, whose header stands at `building`; `in` holds what was read and not
// yet handed out, from `taken` on.
#include "ipc/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/lane.h"

enum { HEADER_LEN = 16, READ_CHUNK = 256 * 1024, KEEP_BYTES = 1024 * 1024 };

struct ipc {
    int fd;
    bool broken;
    struct buf in;
    size_t taken; // bytes of `in` that were handed out
    struct buf out;
    size_t sent;     // bytes of `out` that the socket has taken
    size_t building; // offset of the frame begun with ipc_begin
    struct lanes lanes;
};

enum err ipc_new(int fd, struct ipc **ret)
{
    struct ipc *ipc = calloc(1, sizeof *ipc);
    if (ipc == NULL) {
        (void)close(fd);
        FAIL(ERR_MEMORY, "no memory for a channel");
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        (void)close(fd);
        free(ipc);
        FAIL(ERR_INTERNAL, "a channel could not be made non-blocking");
    }
    ipc->fd = fd;
    buf_init(&ipc->in, IPC_FRAME_MAX + HEADER_LEN + READ_CHUNK, true);
    buf_init(&ipc->out, IPC_QUEUE_MAX, true);
    *ret = ipc;
    return ERR_OK;
}

void ipc_free(struct ipc *ipc)
{
    if (ipc == NULL)
        return;
    (void)close(ipc->fd);
    lanes_close(&ipc->lanes);
    buf_done(&ipc->in);
    buf_done(&ipc->out);
    free(ipc);
}

void ipc_freep(struct ipc **ipc)
{
    ipc_free(*ipc);
    *ipc = NULL;
}

enum err ipc_share(struct ipc *ipc, int memory, bool first)
{
    return lanes_open(&ipc->lanes, memory, first);
}

enum err ipc_make_memory(int *ret_fd)
{
    return lanes_make(ret_fd);
}

int ipc_fd(const struct ipc *ipc)
{
    return ipc->fd;
}

enum err ipc_begin(struct ipc *ipc, uint16_t kind, uint16_t status, uint64_t id,
                   struct buf **ret_body)
{
    if (ipc->broken)
        FAIL(ERR_UNAVAILABLE, "the channel is closed");
    ipc->building = ipc->out.len;
    enum err err = buf_put_u32(&ipc->out, 0);
    if (err == ERR_OK)
        err = buf_put_u16(&ipc->out, kind);
    if (err == ERR_OK)
        err = buf_put_u16(&ipc->out, status);
    if (err == ERR_OK)
        err = buf_put_u64(&ipc->out, id);
    if (err != ERR_OK) {
        ipc->out.len = ipc->building;
        return err;
    }
    *ret_body = &ipc->out;
    return ERR_OK;
}

void ipc_drop(struct ipc *ipc)
{
    buf_cut(&ipc->out, ipc->building);
}

enum err ipc_end(struct ipc *ipc)
{
    size_t body = ipc->out.len - ipc->building - HEADER_LEN;
    if (body > IPC_FRAME_MAX) {
        ipc_drop(ipc);
        FAIL(ERR_TOO_LARGE, "a message of %zu bytes exceeds %d", body, IPC_FRAME_MAX);
    }
    buf_patch_u32(&ipc->out, ipc->building, (uint32_t)body);
    return ERR_OK;
}

enum err ipc_put(struct ipc *ipc, const struct ipc_frame *frame)
{
    struct buf *body;
    TRY(ipc_begin(ipc, frame->kind, frame->status, frame->id, &body));
    enum err err = buf_put(body, frame->body);
    if (err != ERR_OK) {
        ipc_drop(ipc);
        return err;
    }
    return ipc_end(ipc);
}

bool ipc_has_room(const struct ipc *ipc)
{
    return ipc->out.len <= IPC_QUEUE_MAX - IPC_FRAME_MAX - HEADER_LEN;
}

size_t ipc_pending(const struct ipc *ipc)
{
    return ipc->out.len - ipc->sent;
}

static enum err broke(struct ipc *ipc)
{
    ipc->broken = true;
    FAIL(ERR_UNAVAILABLE, "the process at the other end of the channel is gone");
}

// Empties a buffer; gives the memory back when a giant message had blown it up.
static void empty(struct buf *buf)
{
    if (buf->cap > KEEP_BYTES)
        buf_done(buf);
    else
        buf_clear(buf);
}

// A channel that is never quite empty must not reach its limit by what has long been taken. No more
// is moved than was sent.
static void forget_sent(struct ipc *ipc)
{
    if (ipc->sent <= ipc->out.len / 2)
        return;
    buf_consume(&ipc->out, ipc->sent);
    ipc->sent = 0;
}

bool ipc_wants_socket(const struct ipc *ipc)
{
    return ipc_pending(ipc) > 0 && ipc->lanes.memory == NULL;
}

// A bell that was rung and not heard yet is enough: a full socket is none of our business. Nor is
// an end that is gone: ipc_fill finds that, once what it put before it went has been taken.
static enum err ring(struct ipc *ipc)
{
    ssize_t put;
    do
        put = send(ipc->fd, "", 1, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    bool passes = put >= 0 || errno == EAGAIN || errno == EPIPE || errno == ECONNRESET;
    return passes ? ERR_OK : broke(ipc);
}

// Hears the bell. False: the other end is gone.
static bool hear(struct ipc *ipc)
{
    uint8_t bells[64];
    ssize_t got = recv(ipc->fd, bells, sizeof bells, 0);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

// The other end has broken the rules: nothing that it says counts any more.
static enum err give_up(struct ipc *ipc, enum err err)
{
    ipc->broken = true;
    return err;
}

static enum err flush_lane(struct ipc *ipc)
{
    size_t taken = 0;
    bool rings = false;
    struct span bytes = span_of(ipc->out.data + ipc->sent, ipc_pending(ipc));
    enum err err = lanes_put(&ipc->lanes, bytes, &taken, &rings);
    if (err != ERR_OK)
        return give_up(ipc, err);
    ipc->sent += taken;
    return rings ? ring(ipc) : ERR_OK;
}

static enum err flush_socket(struct ipc *ipc)
{
    while (ipc_pending(ipc) > 0) {
        ssize_t put = send(ipc->fd, ipc->out.data + ipc->sent, ipc_pending(ipc), MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN)
            return ERR_OK;
        if (put < 0)
            return broke(ipc);
        ipc->sent += (size_t)put;
    }
    return ERR_OK;
}

enum err ipc_flush(struct ipc *ipc)
{
    if (ipc->broken)
        return broke(ipc);
    TRY(ipc->lanes.memory != NULL ? flush_lane(ipc) : flush_socket(ipc));
    if (ipc_pending(ipc) > 0) {
        forget_sent(ipc);
        return ERR_OK;
    }
    empty(&ipc->out);
    ipc->sent = 0;
    return ERR_OK;
}

// Waits for `events` until the deadline (monotonic milliseconds).
static enum err wait_for(struct ipc *ipc, short events, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - clock_mono_ms();
        struct pollfd poll_fd = {.fd = ipc->fd, .events = events};
        int ready = poll(&poll_fd, 1, left < 0 ? 0 : (int)left);
        if (ready > 0)
            return ERR_OK;
        if (ready < 0 && errno != EINTR)
            return broke(ipc);
        if (ready == 0 && left <= 0)
            FAIL(ERR_TIMEOUT, "the process at the other end of the channel did not answer in time");
    }
}

enum err ipc_flush_wait(struct ipc *ipc, int timeout_ms)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    TRY(ipc_flush(ipc));
    while (ipc_pending(ipc) > 0) {
        bool shared = ipc->lanes.memory != NULL;
        TRY(wait_for(ipc, shared ? POLLIN : POLLOUT, deadline));
        if (shared && !hear(ipc))
            return broke(ipc);
        TRY(ipc_flush(ipc));
    }
    return ERR_OK;
}

// There is a whole frame: nothing more is read before it is taken.
static bool is_full(const struct ipc *ipc)
{
    return ipc->in.len >= IPC_FRAME_MAX + HEADER_LEN;
}

// Makes room for what comes by giving up what was handed out.
static void forget_taken(struct ipc *ipc)
{
    if (ipc->taken == ipc->in.len)
        empty(&ipc->in);
    else
        buf_consume(&ipc->in, ipc->taken);
    ipc->taken = 0;
}

enum err ipc_take(struct ipc *ipc)
{
    bool rings = false;
    if (ipc->broken)
        return broke(ipc);
    forget_taken(ipc);
    if (is_full(ipc))
        return ERR_OK;
    enum err err = lanes_take(&ipc->lanes, &ipc->in, &rings);
    if (err != ERR_OK)
        return give_up(ipc, err);
    return rings ? ring(ipc) : ERR_OK;
}

bool ipc_ready(const struct ipc *ipc)
{
    return ipc->lanes.memory != NULL && lanes_ready(&ipc->lanes);
}

void ipc_sleep(struct ipc *ipc, bool asleep)
{
    if (ipc->lanes.memory != NULL)
        lanes_sleep(&ipc->lanes, asleep);
}

enum err ipc_fill(struct ipc *ipc)
{
    if (ipc->broken)
        return broke(ipc);
    if (ipc->lanes.memory != NULL) {
        // What it put before it went counts.
        bool gone = !hear(ipc);
        return gone && !lanes_ready(&ipc->lanes) ? broke(ipc) : ipc_take(ipc);
    }
    forget_taken(ipc);
    while (!is_full(ipc)) {
        size_t room = ipc->in.cap - ipc->in.len;
        if (room < READ_CHUNK / 8) {
            TRY(buf_reserve(&ipc->in, READ_CHUNK / 4));
            room = ipc->in.cap - ipc->in.len;
        }
        ssize_t got = recv(ipc->fd, ipc->in.data + ipc->in.len, room, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return ERR_OK;
        if (got <= 0)
            return broke(ipc);
        ipc->in.len += (size_t)got;
        if ((size_t)got < room)
            return ERR_OK;
    }
    return ERR_OK;
}

bool ipc_next(struct ipc *ipc, struct ipc_frame *ret)
{
    struct cursor in = cursor_of(span_of(ipc->in.data + ipc->taken, ipc->in.len - ipc->taken));
    struct ipc_frame frame;
    uint32_t len;
    if (ipc->broken || in.rest.len < HEADER_LEN || cursor_u32(&in, &len) != ERR_OK ||
        cursor_u16(&in, &frame.kind) != ERR_OK || cursor_u16(&in, &frame.status) != ERR_OK ||
        cursor_u64(&in, &frame.id) != ERR_OK)
        return false;
    if (len > IPC_FRAME_MAX) {
        ipc->broken = true;
        return false;
    }
    if (in.rest.len < len)
        return false;
    frame.body = span_of(in.rest.data, len);
    ipc->taken += HEADER_LEN + len;
    *ret = frame;
    return true;
}

enum err ipc_call(struct ipc *ipc, const struct ipc_frame *ask, int timeout_ms,
                  struct ipc_frame *ret)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    TRY(ipc_put(ipc, ask));
    TRY(ipc_flush_wait(ipc, timeout_ms));
    for (;;) {
        struct ipc_frame frame;
        while (ipc_next(ipc, &frame)) {
            if (frame.id == ask->id) {
                *ret = frame;
                return ERR_OK;
            }
        }
        TRY(wait_for(ipc, POLLIN, deadline));
        TRY(ipc_fill(ipc));
    }
}

enum err ipc_answer(struct ipc *ipc, const struct ipc_frame *ask, enum err code, struct span body)
{
    struct ipc_frame answer = {.kind = ask->kind, .status = (uint16_t)code, .id = ask->id};
    answer.body = code == ERR_OK || body.data != NULL ? body : span_str(err_message(code));
    return ipc_put(ipc, &answer);
}

enum err ipc_check(const struct ipc_frame *answer)
{
    if (answer->status == ERR_OK)
        return ERR_OK;
    enum err code = answer->status < ERR_COUNT ? (enum err)answer->status : ERR_INTERNAL;
    err_adopt((const char *)answer->body.data, answer->body.len);
    return code;
}
