// SPDX-License-Identifier: Apache-2.0
//
// A child's talk with the supervisor: packets of one struct proc_message, with at most one
// descriptor each. Messages that arrive while proc_spawn waits for its channel are kept in a small
// queue, in order.
#include "proc/control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { KEPT_MAX = 64 };

struct kept {
    struct proc_message message;
    int fd;
};

static struct kept kept[KEPT_MAX];
static size_t kept_count;

const char *proc_role_name(enum proc_role role)
{
    static const char *const names[ROLE_COUNT] = {
        [ROLE_NONE] = "none",         [ROLE_SUPERVISOR] = "supervisor",
        [ROLE_FRONT] = "front",       [ROLE_WEB] = "web",
        [ROLE_READER] = "reader",     [ROLE_WRITER] = "writer",
        [ROLE_ADMIN] = "admin",       [ROLE_PEOPLE] = "people",
        [ROLE_KEEPER] = "keeper",     [ROLE_HSMD] = "hsmd",
        [ROLE_PROVER] = "prover",     [ROLE_LISTENER] = "listener",
        [ROLE_COURIER] = "courier",   [ROLE_TICKETS] = "tickets",
        [ROLE_IDENTITY] = "identity", [ROLE_LOCAL_KEY] = "local key",
        [ROLE_MEMORY] = "memory",
    };
    return (unsigned)role < ROLE_COUNT ? names[role] : "unknown";
}

enum err control_send(int control, const struct proc_message *message, int fd)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof *message};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } ancillary;
    memset(&ancillary, 0, sizeof ancillary);
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = ancillary.bytes;
        msg.msg_controllen = sizeof ancillary.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    ssize_t put;
    do
        put = sendmsg(control, &msg, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        FAIL(ERR_BUSY, "the process at the other end does not read its control channel");
    if (put != (ssize_t)sizeof *message)
        FAIL(ERR_UNAVAILABLE, "the control channel is closed");
    return ERR_OK;
}

static int taken_fd(struct msghdr *msg)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(msg);
    if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return -1;
    int fd;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

enum err control_receive(int control, int timeout_ms, struct proc_message *ret, int *ret_fd)
{
    struct pollfd poll_fd = {.fd = control, .events = POLLIN};
    int ready = poll(&poll_fd, 1, timeout_ms);
    if (ready == 0 || (ready < 0 && errno == EINTR))
        FAIL(ERR_TIMEOUT, "no message from the supervisor in %d ms", timeout_ms);
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } ancillary;
    struct iovec iov = {.iov_base = ret, .iov_len = sizeof *ret};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = ancillary.bytes,
                         // Room for one descriptor: CMSG_SPACE would let a second one in, unseen.
                         .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t got = recvmsg(control, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    // Said once of a peer that ended with messages unread; what it said itself is still there.
    if (got < 0 && errno == ECONNRESET)
        got = recvmsg(control, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        FAIL(ERR_TIMEOUT, "no message from the supervisor");
    int fd = got < 0 ? -1 : taken_fd(&msg);
    if (got != (ssize_t)sizeof *ret || (msg.msg_flags & MSG_TRUNC) != 0) {
        if (fd >= 0)
            (void)close(fd);
        FAIL(ERR_UNAVAILABLE, "the control channel is closed, or what came over it is no message");
    }
    *ret_fd = fd;
    return ERR_OK;
}

enum err proc_receive(int timeout_ms, struct proc_message *ret, int *ret_fd)
{
    if (kept_count > 0) {
        *ret = kept[0].message;
        *ret_fd = kept[0].fd;
        memmove(kept, kept + 1, --kept_count * sizeof *kept);
        return ERR_OK;
    }
    return control_receive(PROC_CONTROL_FD, timeout_ms, ret, ret_fd);
}

bool proc_has_kept(void)
{
    return kept_count > 0;
}

enum err proc_send(const struct proc_message *message)
{
    return control_send(PROC_CONTROL_FD, message, -1);
}

enum err proc_ready(void)
{
    return proc_send(&(struct proc_message){.kind = PROC_READY});
}

void proc_failed(enum err code)
{
    struct proc_message message = {.kind = PROC_FAILED};
    (void)snprintf(message.detail, sizeof message.detail, "%s", err_message(code));
    enum err err = proc_send(&message);
    (void)err; // the supervisor is gone, and so is whoever would read it
}

enum err proc_kill(enum proc_role role)
{
    return proc_send(&(struct proc_message){.kind = PROC_KILL, .role = role});
}

static enum err keep(const struct proc_message *message, int fd)
{
    if (kept_count == KEPT_MAX) {
        if (fd >= 0)
            (void)close(fd);
        FAIL(ERR_BUSY, "too many messages from the supervisor at once");
    }
    kept[kept_count++] = (struct kept){*message, fd};
    return ERR_OK;
}

enum err proc_spawn(enum proc_role role, int timeout_ms, int *ret_fd)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    TRY(proc_send(&(struct proc_message){.kind = PROC_SPAWN, .role = role}));
    for (;;) {
        int64_t left = deadline - clock_mono_ms();
        struct proc_message message;
        int fd = -1;
        enum err err = control_receive(PROC_CONTROL_FD, left < 0 ? 0 : (int)left, &message, &fd);
        if (err == ERR_TIMEOUT && left > 0)
            continue;
        TRY(err);
        if (message.role != (uint32_t)role ||
            (message.kind != PROC_ATTACH && message.kind != PROC_SPAWN)) {
            TRY(keep(&message, fd));
            continue;
        }
        if (message.failed != 0 || fd < 0)
            FAIL(ERR_UNAVAILABLE, "the process \"%s\" could not be started", proc_role_name(role));
        *ret_fd = fd;
        return ERR_OK;
    }
}
