// SPDX-License-Identifier: Apache-2.0
//
// The loop: accepting, making room, time. Invariants: `count` is the number of connections in the
// queues; accepting never waits for a peer; a dead connection is freed only between turns.
#include "net/net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/inner.h"

enum {
    ACCEPTS_A_TURN = 64,
    TICK_MS = 250,
    LOGS_A_WINDOW = 100,
    LOG_WINDOW_MS = 10 * 1000,
    LINGER_MS = 2000,
    SPARE_FDS = 64, // channels, listeners, what libraries open
};

bool net_may_log(struct net *net)
{
    if (net->now_ms - net->log_window >= LOG_WINDOW_MS) {
        if (net->log_count > LOGS_A_WINDOW)
            log_event(LOG_LEVEL_WARN, "connection_lines_left_out count=%u",
                      net->log_count - LOGS_A_WINDOW);
        net->log_window = net->now_ms;
        net->log_count = 0;
    }
    return net->log_count++ < LOGS_A_WINDOW;
}

// ---- making room ----

// The connection of this address that has been silent longest: before those whose handshake is
// done, the others. The newest is in its handshake, so there is always one.
static struct net_conn *oldest_of(struct net *net, const struct in6_addr *address)
{
    static const enum wait silent[] = {WAIT_IDLE, WAIT_LINGER, WAIT_HANDSHAKE};
    for (size_t i = net->counts_all ? 0 : 2; i < sizeof silent / sizeof *silent; i++) {
        struct net_conn *conn = net->queues[silent[i]].first;
        while (conn != NULL && memcmp(&conn->address, address, sizeof *address) != 0)
            conn = conn->next;
        if (conn != NULL)
            return conn;
    }
    return NULL;
}

void net_drop(struct net_conn *conn, const char *why)
{
    if (conn == NULL)
        return;
    if (net_may_log(conn->net))
        log_event(LOG_LEVEL_INFO, "connection_dropped peer=%s reason=\"%s\"", conn->address_text,
                  why);
    conn_close(conn);
}

// After a connection was added: whoever has been silent longest goes where there are too many.
static void make_room(struct net *net, const struct in6_addr *address)
{
    if (address_count(&net->addresses, address) > net->per_address)
        net_drop(oldest_of(net, address), "too many connections of one address");
    if (net->queues[WAIT_HANDSHAKE].count > net->handshakes_max)
        net_drop(net->queues[WAIT_HANDSHAKE].first, "too many handshakes");
    if (net->count > net->count_max && net->queues[WAIT_HANDSHAKE].count > 1)
        net_drop(net->queues[WAIT_HANDSHAKE].first, "too many connections");
    else if (net->count > net->count_max)
        net_drop(net->queues[WAIT_IDLE].first, "too many connections");
}

// ---- accepting ----

static void accept_one(struct net *net, int fd, const struct sockaddr_storage *peer)
{
    int on = 1;
    if (peer->ss_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    enum err code = conn_new(net, fd, peer);
    if (code != ERR_OK) {
        log_error("connection_failed", code);
        return;
    }
    struct net_conn *newest = net->queues[WAIT_HANDSHAKE].last;
    if (peer->ss_family != AF_UNIX)
        make_room(net, &newest->address);
}

static void on_accept(evutil_socket_t fd, short what, void *data)
{
    struct net_listener *listener = data;
    struct net *net = listener->net;
    (void)what;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int got = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (got < 0 && (errno == EMFILE || errno == ENFILE))
            net_drop(net->queues[net->queues[WAIT_HANDSHAKE].count > 0 ? WAIT_HANDSHAKE : WAIT_IDLE]
                         .first,
                     "no descriptors are left");
        if (got < 0)
            return;
        accept_one(net, got, &peer);
    }
}

enum err net_listen(struct net *net, int fd)
{
    if (net->listener_count == LISTENERS_MAX) {
        (void)close(fd);
        FAIL(ERR_INTERNAL, "there are more than %d listening sockets", LISTENERS_MAX);
    }
    struct net_listener *listener = &net->listeners[net->listener_count];
    *listener = (struct net_listener){.net = net, .fd = fd};
    if (evutil_make_socket_nonblocking(fd) != 0 ||
        event_assign(&listener->event, net->base, fd, EV_READ | EV_PERSIST, on_accept, listener) !=
            0 ||
        event_add(&listener->event, NULL) != 0) {
        (void)close(fd);
        FAIL(ERR_INTERNAL, "a listening socket could not be watched");
    }
    net->listener_count++;
    return ERR_OK;
}

enum err net_set_identity(struct net *net, const struct net_identity *identity)
{
    SSL_CTX *tls = NULL;
    TRY(tls_context(net->client, identity, &tls));
    if (net->tls != NULL)
        tls_keep_tickets(net->tls, tls);
    SSL_CTX_free(net->tls); // connections hold it as long as they need it
    net->tls = tls;
    return ERR_OK;
}

bool net_is_named(const struct net *net, const char *name)
{
    return net->tls != NULL && name[0] != '\0' && tls_is_named(net->tls, name);
}

enum err net_set_tickets(struct net *net, struct span keys)
{
    return tls_set_tickets(net->tls, keys);
}

// ---- time ----

static void on_tick(evutil_socket_t fd, short what, void *data)
{
    struct net *net = data;
    (void)fd, (void)what;
    net->now_ms = clock_mono_ms();
    conn_check_deadlines(net);
    conn_cool(net);
}

enum err net_turn(struct net *net, bool wait)
{
    int result = event_base_loop(net->base, wait ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
    conn_free_dead(net);
    net->now_ms = clock_mono_ms();
    if (result < 0)
        FAIL(ERR_INTERNAL, "the event loop failed");
    return ERR_OK;
}

// ---- beginning and end ----

static size_t most_connections(size_t wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 512;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    rlim_t room = files.rlim_cur > SPARE_FDS * 2 ? files.rlim_cur - SPARE_FDS : SPARE_FDS;
    return room > wanted ? wanted : (size_t)room;
}

static void set_limits(struct net *net, const struct net_config *config)
{
    net->limits_ms[WAIT_HANDSHAKE] = config->handshake_ms;
    net->limits_ms[WAIT_IDLE] = config->idle_ms;
    net->limits_ms[WAIT_REQUEST] = config->request_ms;
    net->limits_ms[WAIT_SENT] = config->answer_ms;
    net->limits_ms[WAIT_LINGER] = LINGER_MS;
    net->client = config->client;
    net->count_max = most_connections(config->connections);
    net->handshakes_max = config->handshakes;
    net->per_address = config->per_address;
    net->counts_all = config->counts_all;
    net->request_bytes = config->request_bytes;
    net->answer_bytes = config->answer_bytes;
    net->held_max = config->held_bytes;
    net->now_ms = clock_mono_ms();
    net->log_window = net->now_ms;
}

static enum err set_up(struct net *net, const struct net_config *config)
{
    static const struct timeval tick = {.tv_usec = TICK_MS * 1000};
    if (config->identity.key.len > 0)
        TRY(tls_context(net->client, &config->identity, &net->tls));
    TRY(address_init(&net->addresses, net->count_max + ACCEPTS_A_TURN));
    net->base = event_base_new();
    if (net->base == NULL ||
        event_assign(&net->tick, net->base, -1, EV_PERSIST, on_tick, net) != 0 ||
        event_add(&net->tick, &tick) != 0)
        FAIL(ERR_INTERNAL, "the event loop could not be made");
    return ERR_OK;
}

enum err net_new(const struct net_config *config, const struct net_handler *handler, void *data,
                 struct net **ret)
{
    CLEANUP(net_freep) struct net *net = calloc(1, sizeof *net);
    if (net == NULL)
        FAIL(ERR_MEMORY, "no memory for the event loop");
    net->handler = *handler;
    net->data = data;
    set_limits(net, config);
    TRY(set_up(net, config));
    *ret = net;
    net = NULL;
    return ERR_OK;
}

static void close_listeners(struct net *net)
{
    for (size_t i = 0; i < net->listener_count; i++) {
        (void)event_del(&net->listeners[i].event);
        (void)close(net->listeners[i].fd);
    }
    net->listener_count = 0;
}

static void close_queue(struct net *net, enum wait wait)
{
    while (net->queues[wait].first != NULL)
        conn_close(net->queues[wait].first);
}

void net_stop(struct net *net)
{
    net->stopping = true;
    close_listeners(net);
    close_queue(net, WAIT_HANDSHAKE);
    close_queue(net, WAIT_IDLE);
    close_queue(net, WAIT_REQUEST);
    close_queue(net, WAIT_LINGER);
}

void net_free(struct net *net)
{
    if (net == NULL)
        return;
    close_listeners(net);
    for (int wait = 0; wait < WAIT_COUNT; wait++)
        close_queue(net, (enum wait)wait);
    conn_free_dead(net);
    address_done(&net->addresses);
    if (net->base != NULL) {
        (void)event_del(&net->tick);
        event_base_free(net->base);
    }
    SSL_CTX_free(net->tls);
    explicit_bzero(net->scratch, sizeof net->scratch);
    free(net);
}

void net_freep(struct net **net)
{
    net_free(*net);
    *net = NULL;
}

struct event_base *net_base(struct net *net)
{
    return net->base;
}

size_t net_count(const struct net *net)
{
    return net->count;
}
