// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a connection: through TLS, or plain over a Unix socket. Nothing here blocks, and
// nothing here knows what the bytes mean.
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/inner.h"

enum err stream_open_tls(struct net_conn *conn)
{
    if (conn->net->tls == NULL)
        FAIL(ERR_UNAVAILABLE, "there is no TLS certificate to show");
    SSL *ssl = SSL_new(conn->net->tls);
    if (ssl == NULL || SSL_set_fd(ssl, conn->fd) != 1) {
        SSL_free(ssl);
        FAIL(ERR_MEMORY, "no memory for a connection");
    }
    SSL_set_accept_state(ssl);
    (void)SSL_set_app_data(ssl, conn);
    conn->ssl = ssl;
    return ERR_OK;
}

enum err stream_open_local(struct net_conn *conn)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        FAIL(ERR_AUTHENTICATION, "the kernel does not tell who asks");
    conn->uid = peer.uid;
    return ERR_OK;
}

// What an SSL call that returned `result` wants next.
static enum stream next_of(struct net_conn *conn, int result)
{
    int error = SSL_get_error(conn->ssl, result);
    if (error == SSL_ERROR_WANT_READ)
        return STREAM_WANTS_READ;
    if (error == SSL_ERROR_WANT_WRITE)
        return STREAM_WANTS_WRITE;
    conn->failed = error == SSL_ERROR_SSL;
    return STREAM_OVER;
}

enum stream stream_shake(struct net_conn *conn)
{
    ERR_clear_error();
    int result = SSL_do_handshake(conn->ssl);
    return result == 1 ? STREAM_DONE : next_of(conn, result);
}

enum err stream_identify(struct net_conn *conn)
{
    return tls_identify(conn->ssl, conn->net->client, &conn->certified, conn->fingerprint);
}

const char *stream_reason(struct net_conn *conn)
{
    return tls_reason(conn->ssl);
}

static enum stream plain_next(ssize_t result, bool writing)
{
    if (result < 0 && (errno == EAGAIN || errno == EINTR))
        return writing ? STREAM_WANTS_WRITE : STREAM_WANTS_READ;
    return STREAM_OVER;
}

enum stream stream_read(struct net_conn *conn, void *out, size_t room, size_t *ret_len)
{
    if (conn->local) {
        ssize_t got = recv(conn->fd, out, room, 0);
        if (got <= 0)
            return plain_next(got, false);
        *ret_len = (size_t)got;
        return STREAM_DONE;
    }
    ERR_clear_error();
    int got = SSL_read(conn->ssl, out, (int)room);
    if (got <= 0)
        return next_of(conn, got);
    *ret_len = (size_t)got;
    return STREAM_DONE;
}

enum stream stream_write(struct net_conn *conn, struct span bytes, size_t *ret_len)
{
    if (conn->local) {
        ssize_t put = send(conn->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (put <= 0)
            return plain_next(put, true);
        *ret_len = (size_t)put;
        return STREAM_DONE;
    }
    ERR_clear_error();
    int put = SSL_write(conn->ssl, bytes.data, (int)bytes.len);
    if (put <= 0)
        return next_of(conn, put);
    *ret_len = (size_t)put;
    return STREAM_DONE;
}

void stream_keep_buffers(struct net_conn *conn, bool keep)
{
    if (keep) {
        (void)SSL_clear_mode(conn->ssl, SSL_MODE_RELEASE_BUFFERS);
        return;
    }
    (void)SSL_set_mode(conn->ssl, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_free_buffers(conn->ssl); // not where a record has come in half: after it, then
}

bool stream_has_pending(const struct net_conn *conn)
{
    return !conn->local && SSL_has_pending(conn->ssl);
}

// Says good-bye where that is possible, waits for nothing.
static void say_end(struct net_conn *conn)
{
    if (conn->ssl != NULL && SSL_is_init_finished(conn->ssl))
        (void)SSL_shutdown(conn->ssl);
    ERR_clear_error();
}

void stream_end(struct net_conn *conn)
{
    say_end(conn);
    (void)shutdown(conn->fd, SHUT_WR);
}

void stream_free(struct net_conn *conn)
{
    say_end(conn);
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    (void)close(conn->fd);
}
