// SPDX-License-Identifier: Apache-2.0
//
// The server answers with a Content-Length and closes; anything else is not our server.
#include "cli/http.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/paths.h"

enum { HEAD_MAX = 16 * 1024, REQUEST_MAX = 2 * 1024 * 1024 };

void http_answer_done(struct http_answer *answer)
{
    buf_done(&answer->body);
}

// A socket's path has at most 107 bytes and a root prefix may be longer: it goes by descriptor.
static enum err connect_socket(int root_fd, int *ret_fd)
{
    CLEANUP(file_closep) int dir = openat(root_fd, PATH_RUN_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 && errno == EACCES)
        FAIL(ERR_NOT_PERMITTED,
             "this server belongs to another user: run the command as that user");
    if (dir < 0)
        FAIL(ERR_UNAVAILABLE, "the server is not running");
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    (void)snprintf(name.sun_path, sizeof name.sun_path, "/proc/self/fd/%d/api.sock", dir);
    CLEANUP(file_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        FAIL(ERR_UNAVAILABLE, "a socket could not be made: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&name, sizeof name) != 0) {
        if (errno == EACCES || errno == EPERM)
            FAIL(ERR_NOT_PERMITTED,
                 "this server belongs to another user: run the command as that user");
        FAIL(ERR_UNAVAILABLE, "the server is not running");
    }
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

static enum err wait_for(int fd, short events, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - clock_mono_ms();
        struct pollfd poll_fd = {.fd = fd, .events = events};
        int ready = poll(&poll_fd, 1, left < 0 ? 0 : (int)left);
        if (ready > 0)
            return ERR_OK;
        if (ready == 0)
            FAIL(ERR_TIMEOUT, "the server did not answer in time");
        if (errno != EINTR)
            FAIL(ERR_UNAVAILABLE, "the connection to the server broke: %s", strerror(errno));
    }
}

static enum err send_all(int fd, struct span bytes, int64_t deadline)
{
    while (bytes.len > 0) {
        TRY(wait_for(fd, POLLOUT, deadline));
        ssize_t put = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (put < 0)
            FAIL(ERR_UNAVAILABLE, "the connection to the server broke: %s", strerror(errno));
        bytes = span_of(bytes.data + put, bytes.len - (size_t)put);
    }
    return ERR_OK;
}

static enum err send_request(int fd, const char *method, const char *path, struct span body,
                             int64_t deadline)
{
    struct buf out CLEANUP(buf_done);
    buf_init(&out, REQUEST_MAX, true);
    TRY(buf_printf(&out, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", method,
                   path));
    bool has_body = body.len > 0 || strcmp(method, "GET") != 0;
    if (body.len > 0)
        TRY(buf_put_str(&out, "Content-Type: application/json\r\n"));
    if (has_body)
        TRY(buf_printf(&out, "Content-Length: %zu\r\n", body.len));
    TRY(buf_put_str(&out, "\r\n"));
    TRY(buf_put(&out, body));
    return send_all(fd, span_buf(&out), deadline);
}

static enum err receive(int fd, int64_t deadline, struct buf *in)
{
    for (;;) {
        TRY(buf_reserve(in, 16384));
        TRY(wait_for(fd, POLLIN, deadline));
        ssize_t got = recv(fd, in->data + in->len, in->cap - in->len, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got < 0)
            FAIL(ERR_UNAVAILABLE, "the connection to the server broke: %s", strerror(errno));
        if (got == 0)
            return ERR_OK;
        in->len += (size_t)got;
    }
}

// The value of a header in a head that ends with a NUL, or NULL.
static const char *header(const char *head, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " ");
    }
    return NULL;
}

static enum err parse(struct buf *in, struct http_answer *ret)
{
    const uint8_t *end = memmem(in->data, in->len, "\r\n\r\n", 4);
    if (end == NULL && in->len == 0)
        FAIL(ERR_UNAVAILABLE, "the server closed the connection without an answer");
    if (end == NULL || (size_t)(end - in->data) >= HEAD_MAX)
        FAIL(ERR_MESSAGE, "what the server answered is no HTTP");
    char head[HEAD_MAX + 1];
    size_t len = (size_t)(end - in->data);
    memcpy(head, in->data, len);
    head[len] = '\0';
    if (strncmp(head, "HTTP/1.1 ", 9) != 0 || !isdigit((unsigned char)head[9]))
        FAIL(ERR_MESSAGE, "what the server answered is no HTTP");
    ret->status = atoi(head + 9);
    const char *type = header(head, "Content-Type");
    ret->problem = type != NULL && strncmp(type, "application/problem+json", 24) == 0;
    const char *length = header(head, "Content-Length");
    buf_consume(in, len + 4);
    if (length == NULL || strtoull(length, NULL, 10) != in->len)
        FAIL(ERR_UNAVAILABLE, "the connection to the server broke in the middle of an answer");
    return ERR_OK;
}

enum err http_call(int root_fd, const char *method, const char *path, struct span body,
                   int timeout_ms, struct http_answer *ret, bool *ret_sent)
{
    CLEANUP(file_closep) int fd = -1;
    int64_t deadline = clock_mono_ms() + timeout_ms;
    *ret_sent = false;
    *ret = (struct http_answer){0};
    buf_init(&ret->body, HTTP_ANSWER_MAX, true);
    TRY(connect_socket(root_fd, &fd));
    *ret_sent = true;
    TRY(send_request(fd, method, path, body, deadline));
    TRY(receive(fd, deadline, &ret->body));
    return parse(&ret->body, ret);
}
