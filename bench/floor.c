// SPDX-License-Identifier: Apache-2.0
// The floor under the KMIP server's speed: a bare OpenSSL server with mutual TLS that reads one
// TTLV-framed request and answers canned bytes of the size a real answer has (Get of an AES-256
// key, Create, Activate). One process for each core, each with its own listening socket on the same
// port (SO_REUSEPORT) and its own epoll. Nothing is looked up, checked, stored or audited: whatever
// a real server costs beyond this is its own doing. It prints "port PORT" when it can be connected
// to, and ends on SIGTERM or SIGINT. Invariants: a client without a certificate of the given
// authority gets no answer; a worker never blocks but in epoll_wait, and dies with its parent. An
// answer fits a socket's empty buffer, so a write that would block closes the connection: enough
// for a closed loop, too little for a real server.
#include "message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS_MAX = 64, EVENTS_AT_ONCE = 128, BACKLOG = 1024 };

static const char canned_uid[] = "5f2b1c9e-7d43-4a60-9d1e-0b6f3f1f8a77";

struct floor {
    const char *ca, *cert, *key;
    uint16_t port;
    long workers;
    SSL_CTX *tls;
    struct message get, create, activate;
};

struct connection {
    int fd;
    bool established;
    SSL *ssl;
    size_t have;
    unsigned char request[MESSAGE_MAX];
};

static void die(const char *why)
{
    fprintf(stderr, "floor: %s\n", why);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static SSL_CTX *new_context(const struct floor *f)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

    if (tls == NULL || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1 ||
        SSL_CTX_load_verify_locations(tls, f->ca, NULL) != 1 ||
        SSL_CTX_use_certificate_chain_file(tls, f->cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, f->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_set_session_id_context(tls, (const unsigned char *)"floor", 5) != 1) {
        die("could not load --ca, --cert or --key");
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_client_CA_list(tls, SSL_load_client_CA_file(f->ca));
    // One read() brings header and body of a record.
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF); // stateless tickets, as by default
    return tls;
}

// A listening socket; the first one may be given port 0 and tells the others its port.
static int listen_on(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, BACKLOG) != 0) {
        die("could not listen on the port");
    }
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in at;
    socklen_t len = sizeof(at);

    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        die("could not learn the port");
    }
    return ntohs(at.sin_port);
}

static void close_connection(struct connection *c)
{
    SSL_free(c->ssl);
    close(c->fd);
    free(c);
}

static void accept_all(struct floor *f, int epoll, int listening)
{
    int fd, on = 1;

    while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = calloc(1, sizeof(*c));
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = c};

        if (c == NULL) {
            die("out of memory");
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        c->fd = fd;
        c->ssl = SSL_new(f->tls);
        if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1 ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
            close_connection(c);
            continue;
        }
        SSL_set_accept_state(c->ssl);
    }
}

static bool answer(const struct floor *f, struct connection *c)
{
    const struct message *m;

    switch (message_operation(c->request, c->have)) {
    case MESSAGE_GET:
        m = &f->get;
        break;
    case MESSAGE_CREATE:
        m = &f->create;
        break;
    case MESSAGE_ACTIVATE:
        m = &f->activate;
        break;
    default:
        return false;
    }
    c->have = 0;
    return SSL_write(c->ssl, m->bytes, (int)m->len) == (int)m->len;
}

// Reads until the socket is empty, answering each complete request. False: close.
static bool serve(const struct floor *f, struct connection *c)
{
    for (;;) {
        int n = SSL_read(c->ssl, c->request + c->have, (int)(sizeof(c->request) - c->have));
        size_t frame;

        if (n <= 0) {
            return SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
        }
        c->have += (size_t)n;
        frame = message_frame(c->request, c->have);
        if (frame > sizeof(c->request) || (frame > 0 && c->have > frame)) {
            return false;
        }
        if (frame > 0 && c->have == frame && !answer(f, c)) {
            return false;
        }
    }
}

static bool on_event(const struct floor *f, struct connection *c)
{
    if (!c->established) {
        int n = SSL_do_handshake(c->ssl);

        if (n != 1) {
            return SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
        }
        c->established = true;
    }
    return serve(f, c);
}

static void work(struct floor *f, int listening)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event) != 0) {
        die("could not set up epoll");
    }
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS_AT_ONCE, -1);

        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;

            if (c == NULL) {
                accept_all(f, epoll, listening);
                continue;
            }
            ERR_clear_error();
            if (!on_event(f, c)) {
                close_connection(c);
            }
        }
    }
}

static void run(struct floor *f)
{
    int listening[WORKERS_MAX];
    sigset_t ends;
    pid_t parent = getpid();
    int signal_number;

    for (long i = 0; i < f->workers; i++) {
        listening[i] = listen_on(f->port);
        f->port = port_of(listening[i]);
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    for (long i = 0; i < f->workers; i++) {
        pid_t pid = fork();

        if (pid < 0) {
            die("could not start a worker");
        }
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent) {
                _exit(1);
            }
            for (long j = 0; j < f->workers; j++) {
                if (j != i) {
                    close(listening[j]);
                }
            }
            work(f, listening[i]);
        }
    }
    for (long i = 0; i < f->workers; i++) {
        close(listening[i]);
    }
    printf("port %u\n", (unsigned)f->port);
    fflush(stdout);
    sigwait(&ends, &signal_number);
}

static const struct option options[] = {
    {"ca", required_argument, NULL, 'a'},      {"cert", required_argument, NULL, 'c'},
    {"key", required_argument, NULL, 'k'},     {"port", required_argument, NULL, 'p'},
    {"workers", required_argument, NULL, 'w'}, {NULL, 0, NULL, 0},
};

int main(int argc, char **argv)
{
    struct floor f = {.workers = sysconf(_SC_NPROCESSORS_ONLN)};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'a':
            f.ca = optarg;
            break;
        case 'c':
            f.cert = optarg;
            break;
        case 'k':
            f.key = optarg;
            break;
        case 'p':
            f.port = (uint16_t)atoi(optarg);
            break;
        case 'w':
            f.workers = atoi(optarg);
            break;
        default:
            return 2;
        }
    }
    if (f.ca == NULL || f.cert == NULL || f.key == NULL) {
        fputs("usage: floor --ca FILE --cert FILE --key FILE [--port PORT] [--workers N]\n",
              stderr);
        return 2;
    }
    if (f.workers < 1 || f.workers > WORKERS_MAX) {
        f.workers = f.workers < 1 ? 1 : WORKERS_MAX;
    }
    signal(SIGPIPE, SIG_IGN);
    f.tls = new_context(&f);
    message_answer(&f.get, MESSAGE_GET, canned_uid);
    message_answer(&f.create, MESSAGE_CREATE, canned_uid);
    message_answer(&f.activate, MESSAGE_ACTIVATE, canned_uid);
    run(&f);
    return 0; // the workers die with this process
}
