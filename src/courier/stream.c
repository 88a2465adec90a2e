// SPDX-License-Identifier: Apache-2.0
//
// Non-blocking sockets, and poll with the control channel beside them. Invariant: after an error
// the stream is only good for stream_free.
#include "courier/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "base/clock.h"

enum { READ_ROOM = 4096, SETTLE_STEP_MS = 10 };

struct stream {
    int fd, control;
    char host[STREAM_HOST_MAX + 1];
    int port;
    struct buf ca;
    SSL_CTX *context;
    SSL *ssl; // NULL: in the clear
    int64_t deadline;
    uint8_t in[READ_ROOM];
    size_t in_len, in_at;
};

void stream_free(struct stream *stream)
{
    if (stream == NULL)
        return;
    if (stream->ssl != NULL)
        (void)SSL_shutdown(stream->ssl);
    SSL_free(stream->ssl);
    SSL_CTX_free(stream->context);
    if (stream->fd >= 0)
        (void)close(stream->fd);
    buf_done(&stream->ca);
    free(stream);
}

void stream_freep(struct stream **stream)
{
    stream_free(*stream);
    *stream = NULL;
}

static enum err wait_for(struct stream *s, short events)
{
    struct pollfd fds[] = {{.fd = s->fd, .events = events}, {.fd = s->control, .events = POLLIN}};
    for (;;) {
        int64_t left = s->deadline - clock_mono_ms();
        int ready = left > 0 ? poll(fds, 2, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            FAIL(ERR_TIMEOUT, "\"%s\" port %d does not answer", s->host, s->port);
        if (fds[1].revents != 0)
            FAIL(ERR_CANCELED, "the server has something else to say");
        return ERR_OK;
    }
}

static void set_deadline(struct stream *s, int ms)
{
    s->deadline = clock_mono_ms() + ms;
}

// ---- connecting ----

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
        return ntohl(four->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

static enum err connect_to(struct stream *s, const struct addrinfo *info)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        FAIL(ERR_UNAVAILABLE, "no socket for \"%s\": %s", s->host, strerror(errno));
    if (connect(s->fd, info->ai_addr, info->ai_addrlen) == 0)
        return ERR_OK;
    if (errno != EINPROGRESS)
        FAIL(ERR_UNAVAILABLE, "\"%s\" port %d cannot be reached: %s", s->host, s->port,
             strerror(errno));
    TRY(wait_for(s, POLLOUT));
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
        FAIL(ERR_UNAVAILABLE, "\"%s\" port %d cannot be reached: %s", s->host, s->port,
             strerror(error));
    return ERR_OK;
}

static enum err try_all(struct stream *s, const struct addrinfo *list, bool only_loopback)
{
    enum err err = ERR_UNAVAILABLE;
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next) {
        if (only_loopback && !is_loopback(info->ai_addr))
            FAIL(ERR_NOT_PERMITTED,
                 "\"%s\" is another host: without TLS only this one is spoken to", s->host);
        err = connect_to(s, info);
        if (err == ERR_OK || err == ERR_CANCELED)
            return err;
    }
    return err;
}

static enum err connect_any(struct stream *s, bool only_loopback)
{
    char port[16];
    struct addrinfo *list = NULL;
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    (void)snprintf(port, sizeof port, "%d", s->port);
    int failed = getaddrinfo(s->host, port, &want, &list);
    if (failed != 0)
        FAIL(ERR_UNAVAILABLE, "the name \"%s\" is not known: %s", s->host, gai_strerror(failed));
    enum err err = try_all(s, list, only_loopback);
    freeaddrinfo(list);
    return err;
}

// ---- TLS ----

static enum err tls_failed(const struct stream *s, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    long verified = s->ssl == NULL ? X509_V_OK : SSL_get_verify_result(s->ssl);
    ERR_clear_error();
    if (verified != X509_V_OK)
        FAIL(ERR_UNAVAILABLE, "the certificate of \"%s\" port %d is not accepted: %s", s->host,
             s->port, X509_verify_cert_error_string(verified));
    FAIL(ERR_UNAVAILABLE, "\"%s\" port %d: %s: %s", s->host, s->port, what,
         reason == NULL ? "the connection was closed" : reason);
}

static enum err trust(struct stream *s)
{
    if (s->ca.len == 0)
        return SSL_CTX_set_default_verify_paths(s->context) == 1 ? ERR_OK
                                                                 : tls_failed(s, "no authorities");
    BIO *bio = BIO_new_mem_buf(s->ca.data, (int)s->ca.len);
    X509_STORE *store = SSL_CTX_get_cert_store(s->context);
    int taken = 0;
    for (X509 *cert; bio != NULL && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL;) {
        taken += X509_STORE_add_cert(store, cert) == 1;
        X509_free(cert);
    }
    BIO_free(bio);
    ERR_clear_error();
    if (taken == 0)
        FAIL(ERR_CONFIG, "the authority given for \"%s\" is no certificate", s->host);
    return ERR_OK;
}

// The name, or the address, that the certificate must be for.
static bool set_peer(struct stream *s)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, s->host) == 1)
        return true;
    return SSL_set1_host(s->ssl, s->host) == 1 && SSL_set_tlsext_host_name(s->ssl, s->host) == 1;
}

// What an SSL call wants next; ERR_OK when it is to be tried again.
static enum err again(struct stream *s, int result, const char *what)
{
    int want = SSL_get_error(s->ssl, result);
    if (want == SSL_ERROR_WANT_READ)
        return wait_for(s, POLLIN);
    if (want == SSL_ERROR_WANT_WRITE)
        return wait_for(s, POLLOUT);
    return tls_failed(s, what);
}

enum err stream_secure(struct stream *s)
{
    // What came in the clear behind the word that TLS begins is nobody's to speak.
    if (s->in_at != s->in_len)
        FAIL(ERR_UNAVAILABLE, "\"%s\" port %d speaks before TLS stands", s->host, s->port);
    set_deadline(s, STREAM_STEP_MS);
    s->context = SSL_CTX_new(TLS_client_method());
    if (s->context == NULL || SSL_CTX_set_min_proto_version(s->context, TLS1_2_VERSION) != 1)
        return tls_failed(s, "TLS could not be set up");
    TRY(trust(s));
    SSL_CTX_set_verify(s->context, SSL_VERIFY_PEER, NULL);
    s->ssl = SSL_new(s->context);
    if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1 || !set_peer(s))
        return tls_failed(s, "TLS could not be set up");
    for (;;) {
        ERR_clear_error();
        int result = SSL_connect(s->ssl);
        if (result == 1)
            return ERR_OK;
        TRY(again(s, result, "no TLS connection"));
    }
}

enum err stream_open(const struct stream_target *target, int control_fd, struct stream **ret)
{
    CLEANUP(stream_freep) struct stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        FAIL(ERR_MEMORY, "no memory for a connection");
    *s = (struct stream){.fd = -1, .control = control_fd, .port = target->port};
    (void)snprintf(s->host, sizeof s->host, "%s", target->host);
    buf_init(&s->ca, 256 * 1024, false);
    TRY(buf_put(&s->ca, target->ca));
    set_deadline(s, STREAM_CONNECT_MS);
    TRY(connect_any(s, target->only_loopback));
    if (target->tls)
        TRY(stream_secure(s));
    *ret = s;
    s = NULL;
    return ERR_OK;
}

// ---- bytes ----

static enum err write_some(struct stream *s, struct span bytes, size_t *ret)
{
    *ret = 0;
    if (s->ssl != NULL) {
        ERR_clear_error();
        int put = SSL_write(s->ssl, bytes.data, bytes.len > 16384 ? 16384 : (int)bytes.len);
        *ret = put > 0 ? (size_t)put : 0;
        return put > 0 ? ERR_OK : again(s, put, "writing failed");
    }
    ssize_t put = send(s->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
    if (put < 0 && (errno == EAGAIN || errno == EINTR))
        return wait_for(s, POLLOUT);
    if (put < 0)
        FAIL(ERR_UNAVAILABLE, "\"%s\" port %d has closed the connection: %s", s->host, s->port,
             strerror(errno));
    *ret = (size_t)put;
    return ERR_OK;
}

enum err stream_write(struct stream *s, struct span bytes)
{
    set_deadline(s, STREAM_STEP_MS);
    while (bytes.len > 0) {
        size_t put = 0;
        TRY(write_some(s, bytes, &put));
        bytes = span_of(bytes.data + put, bytes.len - put);
    }
    return ERR_OK;
}

static enum err read_some(struct stream *s)
{
    for (;;) {
        ssize_t got = 0;
        if (s->ssl != NULL) {
            ERR_clear_error();
            got = SSL_read(s->ssl, s->in, READ_ROOM);
            if (got <= 0) {
                TRY(again(s, (int)got, "it has closed the connection"));
                continue;
            }
        } else {
            got = recv(s->fd, s->in, READ_ROOM, 0);
            if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
                TRY(wait_for(s, POLLIN));
                continue;
            }
        }
        if (got <= 0)
            FAIL(ERR_UNAVAILABLE, "\"%s\" port %d has closed the connection", s->host, s->port);
        s->in_len = (size_t)got;
        s->in_at = 0;
        return ERR_OK;
    }
}

enum err stream_line(struct stream *s, char *line, size_t room)
{
    size_t len = 0;
    set_deadline(s, STREAM_STEP_MS);
    for (;;) {
        if (s->in_at == s->in_len)
            TRY(read_some(s));
        char c = (char)s->in[s->in_at++];
        if (c == '\n')
            break;
        if (len + 1 == room)
            FAIL(ERR_MESSAGE, "\"%s\" port %d answers with too long a line", s->host, s->port);
        if (c != '\r')
            line[len++] = c;
    }
    line[len] = '\0';
    return ERR_OK;
}

bool stream_is_open(struct stream *s)
{
    if (s->ssl != NULL) {
        ERR_clear_error();
        int got = SSL_read(s->ssl, s->in, READ_ROOM); // what a log server says is of no interest
        int why = got > 0 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, got);
        ERR_clear_error();
        return why == SSL_ERROR_NONE || why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
    }
    ssize_t got = recv(s->fd, s->in, READ_ROOM, 0);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

enum err stream_settle(struct stream *s)
{
    set_deadline(s, STREAM_STEP_MS);
    for (int left = 1; left > 0;) {
        if (ioctl(s->fd, SIOCOUTQ, &left) != 0)
            FAIL(ERR_UNAVAILABLE, "\"%s\" port %d: the connection is gone", s->host, s->port);
        if (left == 0)
            break;
        if (clock_mono_ms() > s->deadline)
            FAIL(ERR_TIMEOUT, "\"%s\" port %d takes no more", s->host, s->port);
        struct pollfd control = {.fd = s->control, .events = POLLIN};
        if (poll(&control, 1, SETTLE_STEP_MS) > 0)
            FAIL(ERR_CANCELED, "the server has something else to say");
    }
    if (!stream_is_open(s))
        FAIL(ERR_UNAVAILABLE, "\"%s\" port %d has closed the connection", s->host, s->port);
    return ERR_OK;
}
