// SPDX-License-Identifier: Apache-2.0
// The event loop of the load generator. A connection goes CONNECTING (TCP and TLS) → IDLE →
// WAITING (for one answer) → IDLE …; in mode get-newconn it goes back to CONNECTING after each
// answer. Sockets are edge triggered, so no event mask is ever changed. Invariants: `outstanding`
// is the number of requests begun (in get-newconn: connections begun) and not yet counted; a
// request is begun only while the plan asks for more.
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_AT_ONCE = 256,
    NAME_DIGITS = 8,
    DRAIN_SECONDS = 15,         // how long an answer may stay out after the last request
    FRUITLESS_FAILURES_MAX = 50 // failures without any success, after which the run is given up
};

enum state { DEAD, CONNECTING, IDLE, WAITING };

struct connection {
    int fd;
    enum state state;
    SSL *ssl;
    uint64_t began; // ns: when the request, or in get-newconn the connection, began
    size_t have;    // bytes of the answer so far
    unsigned char answer[MESSAGE_MAX];
};

struct load {
    const struct load_plan *plan;
    struct load_result *result;
    SSL_CTX *tls;
    int epoll;
    struct connection *connections;
    struct message request;
    char *name_digits; // inside request, NULL unless creating
    uint64_t begun;    // requests, or new connections
    uint64_t outstanding;
    uint64_t stop; // ns: when no more requests begin
    bool counting; // false while persistent connections are being opened
};

static bool refuse(struct load *l, const char *why)
{
    if (l->result->first_error[0] == '\0') {
        snprintf(l->result->first_error, MESSAGE_TEXT_MAX, "%s", why);
    }
    return false;
}

static SSL_CTX *new_context(struct load *l)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    const struct load_plan *p = l->plan;

    if (tls == NULL || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1 ||
        SSL_CTX_load_verify_locations(tls, p->ca, NULL) != 1 ||
        SSL_CTX_use_certificate_chain_file(tls, p->cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, p->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_set1_groups_list(tls, "P-256:X25519") != 1) {
        refuse(l, "could not load --ca, --cert or --key");
        SSL_CTX_free(tls);
        return NULL;
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    // One read() brings header and body of a record; small answers never need a second.
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return tls;
}

static bool wants_more(const struct load *l, uint64_t now)
{
    if (!l->counting) {
        return false;
    }
    return l->plan->requests > 0 ? l->begun < l->plan->requests : now < l->stop;
}

static void disconnect(struct connection *c)
{
    SSL_free(c->ssl);
    close(c->fd);
    c->ssl = NULL;
    c->fd = -1;
    c->state = DEAD;
}

static bool start_connection(struct load *l, struct connection *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(l->plan->port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    int on = 1;

    if (inet_pton(AF_INET, l->plan->host, &to.sin_addr) != 1) {
        return refuse(l, "--host is not a numeric IPv4 address");
    }
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        return refuse(l, "could not make a socket; raise the limit of open files");
    }
    c->state = CONNECTING;
    c->ssl = SSL_new(l->tls);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) {
        disconnect(c);
        return refuse(l, "could not make a TLS connection's state");
    }
    SSL_set_connect_state(c->ssl);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if ((connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) {
        disconnect(c);
        return refuse(l, "could not connect");
    }
    return true;
}

// Begins an operation that opens its own connection. A server that does not even listen ends here.
static void begin_newconn(struct load *l, struct connection *c, uint64_t now)
{
    l->begun++;
    c->began = now;
    if (start_connection(l, c)) {
        l->outstanding++;
    } else {
        l->result->errors++;
    }
}

// The connection is lost or said something wrong: counted once for a request that was under way.
static void fail(struct load *l, struct connection *c, const char *why)
{
    bool under_way = c->state == WAITING || (c->state == CONNECTING && l->counting);
    unsigned long code = ERR_peek_last_error();
    const char *detail = ERR_reason_error_string(code);

    refuse(l, code != 0 && detail != NULL ? detail : why);
    ERR_clear_error();
    if (under_way) {
        l->outstanding--;
    }
    if (under_way || !l->counting) {
        l->result->errors++;
    }
    disconnect(c);
}

static void patch_name(struct load *l, uint64_t n)
{
    for (int i = NAME_DIGITS - 1; i >= 0; i--) {
        l->name_digits[i] = (char)('0' + n % 10);
        n /= 10;
    }
}

static void send_request(struct load *l, struct connection *c, uint64_t now)
{
    if (l->plan->mode != LOAD_GET_NEWCONN) {
        l->begun++;
        l->outstanding++;
        c->began = now;
    }
    if (l->name_digits != NULL) {
        patch_name(l, l->begun);
    }
    c->have = 0;
    c->state = WAITING;
    // A request fits the empty buffer of a socket: a short write means the peer misbehaves.
    if (SSL_write(c->ssl, l->request.bytes, (int)l->request.len) != (int)l->request.len) {
        fail(l, c, "could not send a request");
    }
}

static void note_tls(struct load *l, SSL *ssl)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    EVP_PKEY *key = certificate != NULL ? X509_get0_pubkey(certificate) : NULL;

    snprintf(l->result->tls, LOAD_TLS_MAX, "%s %s", SSL_get_version(ssl), SSL_get_cipher(ssl));
    if (key != NULL) {
        snprintf(l->result->server_key, LOAD_TLS_MAX, "%s-%d", EVP_PKEY_get0_type_name(key),
                 EVP_PKEY_get_bits(key));
    }
}

static void answered(struct load *l, struct connection *c)
{
    uint64_t now = measure_now_ns();

    l->outstanding--;
    if (message_is_success(c->answer, c->have, l->plan->mode != LOAD_CREATE)) {
        measure_add(&l->result->latency, now - c->began);
    } else {
        l->result->errors++;
        if (l->result->first_error[0] == '\0') {
            message_reason(c->answer, c->have, l->result->first_error);
        }
    }
    c->state = IDLE;
    if (l->plan->mode == LOAD_GET_NEWCONN) {
        SSL_shutdown(c->ssl);
        disconnect(c);
        if (wants_more(l, now)) {
            begin_newconn(l, c, now);
        }
    } else if (wants_more(l, now)) {
        send_request(l, c, now);
    }
}

static void receive(struct load *l, struct connection *c)
{
    while (c->state == WAITING) {
        int n = SSL_read(c->ssl, c->answer + c->have, (int)(sizeof(c->answer) - c->have));
        size_t frame;

        if (n <= 0) {
            if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ) {
                fail(l, c, "the server closed the connection before an answer");
            }
            return;
        }
        c->have += (size_t)n;
        frame = message_frame(c->answer, c->have);
        if (frame > sizeof(c->answer) || (frame > 0 && c->have > frame)) {
            fail(l, c, "the server sent more than an answer");
        } else if (frame > 0 && c->have == frame) {
            answered(l, c);
            return; // what follows brings a new event
        }
    }
}

static void handshake(struct load *l, struct connection *c)
{
    int n = SSL_do_handshake(c->ssl);
    int error = n == 1 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, n);

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        return;
    }
    if (error != SSL_ERROR_NONE) {
        fail(l, c,
             error == SSL_ERROR_SYSCALL && errno != 0 ? strerror(errno)
                                                      : "the TLS handshake failed");
        return;
    }
    if (l->result->tls[0] == '\0') {
        note_tls(l, c->ssl);
    }
    c->state = IDLE;
    if (l->plan->mode == LOAD_GET_NEWCONN && l->counting) {
        send_request(l, c, c->began);
    }
}

static void on_event(struct load *l, struct connection *c)
{
    if (c->state == CONNECTING) {
        handshake(l, c);
    }
    if (c->state == WAITING) {
        receive(l, c);
    }
    // A connection that failed in get-newconn makes room for the next one.
    if (c->state == DEAD && l->plan->mode == LOAD_GET_NEWCONN && wants_more(l, measure_now_ns())) {
        begin_newconn(l, c, measure_now_ns());
    }
}

static void poll_once(struct load *l)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int n = epoll_wait(l->epoll, events, EVENTS_AT_ONCE, 1000);

    for (int i = 0; i < n; i++) {
        on_event(l, events[i].data.ptr);
    }
}

static bool is_hopeless(const struct load *l)
{
    return l->result->latency.count == 0 && l->result->errors > FRUITLESS_FAILURES_MAX;
}

// Opens the persistent connections before the clock starts.
static bool open_connections(struct load *l)
{
    uint64_t deadline = measure_now_ns() + DRAIN_SECONDS * 1000000000ull;
    size_t opened = 0;

    // The listening queue of a server may be short: no more than a few handshakes at once.
    for (size_t i = 0; i < l->plan->connections; i++) {
        struct connection *c = &l->connections[i];

        if (!start_connection(l, c)) {
            return false;
        }
        while (c->state == CONNECTING && measure_now_ns() < deadline) {
            poll_once(l);
        }
        opened += c->state == IDLE ? 1 : 0;
    }
    if (opened < l->plan->connections) {
        refuse(l, "could not open all connections in time");
        return false;
    }
    return true;
}

static void measure(struct load *l)
{
    double own = measure_own_cpu_us();
    double server = l->plan->server != 0 ? measure_tree_cpu_us(l->plan->server) : 0;
    uint64_t start = measure_now_ns();
    uint64_t drain = 0;

    l->counting = true;
    l->stop = start + (uint64_t)(l->plan->seconds * 1e9);
    for (size_t i = 0; i < l->plan->connections && wants_more(l, start); i++) {
        if (l->plan->mode == LOAD_GET_NEWCONN) {
            begin_newconn(l, &l->connections[i], start);
        } else {
            send_request(l, &l->connections[i], measure_now_ns());
        }
    }
    while (l->outstanding > 0 && !is_hopeless(l)) {
        uint64_t now;

        poll_once(l);
        now = measure_now_ns();
        drain = wants_more(l, now) ? 0 : drain == 0 ? now + DRAIN_SECONDS * 1000000000ull : drain;
        if (drain != 0 && now > drain) {
            refuse(l, "an answer did not come in time");
            break;
        }
    }
    l->result->errors += l->outstanding;
    l->result->seconds = (double)(measure_now_ns() - start) / 1e9;
    l->result->own_cpu_us = measure_own_cpu_us() - own;
    if (l->plan->server != 0) {
        l->result->server_cpu_us = measure_tree_cpu_us(l->plan->server) - server;
    }
}

// Sends l->request on an idle connection and waits for the answer, without counting it.
static bool exchange(struct load *l, struct connection *c)
{
    uint64_t deadline = measure_now_ns() + DRAIN_SECONDS * 1000000000ull;
    size_t frame = 0;

    if (SSL_write(c->ssl, l->request.bytes, (int)l->request.len) != (int)l->request.len) {
        return refuse(l, "could not send the request that makes the key");
    }
    for (c->have = 0; frame == 0 || c->have < frame;) {
        int n = SSL_read(c->ssl, c->answer + c->have, (int)(sizeof(c->answer) - c->have));

        if (n > 0) {
            c->have += (size_t)n;
            frame = message_frame(c->answer, c->have);
        } else if (SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ && measure_now_ns() < deadline) {
            poll_once(l);
        } else {
            return refuse(l, "no answer to the request that makes the key");
        }
    }
    if (!message_is_success(c->answer, c->have, false)) {
        message_reason(c->answer, c->have, l->result->first_error);
        return false;
    }
    return true;
}

static bool make_key(struct load *l)
{
    struct connection *c = &l->connections[0];
    bool made;

    if (!start_connection(l, c)) {
        return false;
    }
    while (c->state == CONNECTING) {
        poll_once(l);
    }
    made = c->state == IDLE && exchange(l, c);
    if (made && !message_uid(c->answer, c->have, l->result->uid)) {
        made = refuse(l, "the answer to Create has no Unique Identifier");
    }
    if (made) {
        message_activate(&l->request, l->plan->minor, l->result->uid);
        made = exchange(l, c);
    }
    if (c->state != DEAD) {
        disconnect(c);
    }
    return made;
}

static bool build_create(struct load *l)
{
    unsigned char random[4];
    char name[64];
    size_t prefix;

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return refuse(l, "could not get random bytes");
    }
    prefix = (size_t)snprintf(name, sizeof(name), "bench-%02x%02x%02x%02x-", random[0], random[1],
                              random[2], random[3]);
    snprintf(name + prefix, sizeof(name) - prefix, "%0*d", NAME_DIGITS, 0);
    message_create(&l->request, l->plan->minor, name);
    l->name_digits = memmem(l->request.bytes, l->request.len, name, strlen(name));
    l->name_digits += prefix;
    return true;
}

static bool prepare(struct load *l)
{
    if (l->plan->mode == LOAD_CREATE || l->plan->setup) {
        if (!build_create(l)) {
            return false;
        }
    }
    if (l->plan->mode == LOAD_CREATE) {
        return true;
    }
    l->name_digits = NULL;
    if (!l->plan->setup) {
        snprintf(l->result->uid, MESSAGE_UID_MAX, "%s", l->plan->uid);
    } else if (!make_key(l)) {
        return false;
    }
    message_get(&l->request, l->plan->minor, l->result->uid);
    return true;
}

static void close_all(struct load *l)
{
    for (size_t i = 0; l->connections != NULL && i < l->plan->connections; i++) {
        if (l->connections[i].state != DEAD) {
            SSL_shutdown(l->connections[i].ssl);
            disconnect(&l->connections[i]);
        }
    }
    free(l->connections);
    SSL_CTX_free(l->tls);
    if (l->epoll >= 0) {
        close(l->epoll);
    }
}

bool load_run(const struct load_plan *plan, struct load_result *ret_result)
{
    struct load l = {.plan = plan, .result = ret_result, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    bool ready;

    l.tls = new_context(&l);
    l.connections = calloc(plan->connections, sizeof(*l.connections));
    ready = l.tls != NULL && l.connections != NULL && l.epoll >= 0 && prepare(&l) &&
            (plan->mode == LOAD_GET_NEWCONN || open_connections(&l));
    if (ready) {
        measure(&l);
    }
    close_all(&l);
    return ready;
}
