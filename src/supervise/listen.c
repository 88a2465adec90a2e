// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets.
#include "supervise/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

enum { BACKLOG = 1024 };

// Splits "host:port" at the last colon; brackets round an IPv6 address are taken off.
static enum err split(const char *address, char host[128], char port[8])
{
    const char *colon = strrchr(address, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - address);
    if (len == 0 || len >= 128 || strlen(colon + 1) >= 8 || colon[1] == '\0')
        FAIL(ERR_CONFIG, "\"%s\" is not an address: write \"127.0.0.1:5696\" or \"[::]:5696\"",
             address);
    if (address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    memcpy(host, address, len);
    host[len] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return ERR_OK;
}

static enum err bind_listen(int fd, const struct addrinfo *info, const char *address)
{
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return ERR_OK;
    if (errno == EADDRINUSE)
        FAIL(ERR_CONFLICT,
             "the port of \"%s\" is taken by another process: see \"ss -ltnp\", or set another "
             "address in keywardd.conf",
             address);
    FAIL(ERR_CONFIG, "could not listen on \"%s\": %s; set another address in keywardd.conf",
         address, strerror(errno));
}

static enum err open_tcp(const struct addrinfo *info, const char *address, int *ret_fd)
{
    CLEANUP(file_closep)
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // As on a machine without IPv6.
    if (fd < 0)
        FAIL(ERR_CONFIG, "could not listen on \"%s\": %s; set another address in keywardd.conf",
             address, strerror(errno));
    TRY(bind_listen(fd, info, address));
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

enum err listen_tcp(const char *address, int *ret_fd)
{
    char host[128];
    char port[8];
    TRY(split(address, host, port));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *info = NULL;
    if (getaddrinfo(host, port, &hints, &info) != 0)
        FAIL(ERR_CONFIG, "\"%s\" is not an address: write \"127.0.0.1:5696\" or \"[::]:5696\"",
             address);
    enum err err = open_tcp(info, address, ret_fd);
    freeaddrinfo(info);
    return err;
}

// A Unix socket's path has at most 107 bytes, a root prefix may be longer: the name goes by the
// directory's descriptor.
static enum err unix_name(int dir, const char *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    int len = snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", dir, name);
    if (len < 0 || (size_t)len >= sizeof ret->sun_path)
        FAIL(ERR_CONFIG, "the name \"%s\" is too long for a socket", name);
    return ERR_OK;
}

enum err listen_unix(int dir, const char *path, int *ret_fd)
{
    struct sockaddr_un name;
    TRY(unix_name(dir, path, &name));
    TRY(file_remove(dir, path));
    CLEANUP(file_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) != 0)
        return file_raise("make the socket", path);
    if (fchmodat(dir, path, 0600, 0) != 0 || listen(fd, BACKLOG) != 0)
        return file_raise("listen on the socket", path);
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

void listen_tell(int root, const char *path, const char *state, const char *what)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 2048, false);
    enum err err = buf_printf(&text, "%s %s\n", state, what);
    if (err == ERR_OK)
        err = file_write(root, path, span_buf(&text));
    if (err != ERR_OK)
        log_error("port_state_not_told", err);
}
