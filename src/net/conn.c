// SPDX-License-Identifier: Apache-2.0
//
// One connection: handshake, requests, answers, end. Invariants: a connection stands in exactly one
// queue, that of `wait`; once it is dead no callback touches it, and its memory goes by the end of
// the turn; `in` holds bytes only from the first byte of a request until that is answered.
//
//   HANDSHAKE → IDLE → REQUEST → HANDLER → (SENT) → IDLE … → LINGER
#include "net/inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

// Reads and requests of one connection in one turn, before others get theirs.
enum { STEPS_A_TURN = 64 };
// Of an answer in parts, bytes that the peer has not taken when the next part comes.
enum { UNSENT_MAX = 256 * 1024 };

static void pump(struct net_conn *conn);

// ---- queues ----

static void leave_queue(struct net_conn *conn)
{
    struct net_queue *queue = &conn->net->queues[conn->wait];
    *(conn->previous != NULL ? &conn->previous->next : &queue->first) = conn->next;
    *(conn->next != NULL ? &conn->next->previous : &queue->last) = conn->previous;
    conn->previous = conn->next = NULL;
    queue->count--;
}

static void join_queue(struct net_conn *conn, enum wait wait)
{
    struct net_queue *queue = &conn->net->queues[wait];
    conn->wait = wait;
    conn->deadline = conn->net->now_ms + conn->net->limits_ms[wait];
    conn->previous = queue->last;
    *(queue->last != NULL ? &queue->last->next : &queue->first) = conn;
    queue->last = conn;
    queue->count++;
}

static void wait_for(struct net_conn *conn, enum wait wait)
{
    leave_queue(conn);
    join_queue(conn, wait);
}

// ---- TLS buffers ----

// Whoever asks again and again keeps them: they would be wiped and freed with each record.
static void warm(struct net_conn *conn)
{
    if (conn->warm || conn->local || conn->net->warm >= WARM_MAX)
        return;
    conn->warm = true;
    conn->net->warm++;
    stream_keep_buffers(conn, true);
}

static void cool(struct net_conn *conn)
{
    if (!conn->warm)
        return;
    conn->warm = false;
    conn->net->warm--;
    stream_keep_buffers(conn, false);
}

// From the youngest wait to the first that was cooled: those before it were then, too.
void conn_cool(struct net *net)
{
    int64_t since = net->now_ms - WARM_MS + net->limits_ms[WAIT_IDLE];
    struct net_conn *conn = net->queues[WAIT_IDLE].last;
    for (; conn != NULL && (conn->warm || conn->deadline > since); conn = conn->previous) {
        if (conn->deadline <= since)
            cool(conn);
    }
}

// ---- end ----

static void uncount(struct net_conn *conn)
{
    if (conn->counted)
        address_remove(&conn->net->addresses, &conn->address);
    conn->counted = false;
}

void conn_close(struct net_conn *conn)
{
    struct net *net = conn->net;
    if (conn->dead)
        return;
    bool in_hand = conn->wait == WAIT_HANDLER;
    conn->dead = true;
    leave_queue(conn);
    uncount(conn);
    // A message in hand may be looked at until the turn ends.
    if (!in_hand)
        buf_done(&conn->in);
    buf_done(&conn->out);
    net->held -= conn->held;
    conn->held = 0;
    (void)event_del(&conn->readable);
    (void)event_del(&conn->writable);
    conn->next = net->dead;
    net->dead = conn;
    net->count--;
    net->warm -= conn->warm ? 1 : 0;
    conn->warm = false;
    if (in_hand)
        net->handler.gone(net->data, conn);
}

static void free_conn(struct net_conn *conn)
{
    stream_free(conn);
    free(conn->shown);
    buf_done(&conn->in);
    buf_done(&conn->out);
    free(conn);
}

void conn_free_dead(struct net *net)
{
    while (net->dead != NULL) {
        struct net_conn *conn = net->dead;
        net->dead = conn->next;
        free_conn(conn);
    }
}

static void log_end(struct net_conn *conn, const char *event, const char *why)
{
    if (net_may_log(conn->net))
        log_event(LOG_LEVEL_INFO, "%s peer=%s reason=\"%s\"", event, conn->address_text, why);
}

static void tell_refused(struct net_conn *conn, const char *why)
{
    if (conn->net->handler.refused != NULL)
        conn->net->handler.refused(conn->net->data, conn, why);
}

void conn_check_deadlines(struct net *net)
{
    static const struct {
        enum wait wait;
        const char *why;
    } limited[] = {
        {WAIT_HANDSHAKE, "no TLS handshake in time"},
        {WAIT_REQUEST, "a request was begun and not finished in time"},
        {WAIT_SENT, "an answer was not taken in time"},
        {WAIT_LINGER, "lingering"},
        {WAIT_IDLE, "idle"},
    };
    for (size_t i = 0; i < sizeof limited / sizeof *limited; i++) {
        struct net_queue *queue = &net->queues[limited[i].wait];
        while (queue->first != NULL && queue->first->deadline <= net->now_ms) {
            struct net_conn *conn = queue->first;
            if (limited[i].wait < WAIT_LINGER && limited[i].wait != WAIT_IDLE)
                log_end(conn, "connection_timeout", limited[i].why);
            if (limited[i].wait == WAIT_HANDSHAKE)
                tell_refused(conn, limited[i].why);
            conn_close(conn);
        }
    }
}

// ---- events ----

static void arm_write(struct net_conn *conn, bool on)
{
    if (conn->want_write == on)
        return;
    conn->want_write = on;
    (void)(on ? event_add(&conn->writable, NULL) : event_del(&conn->writable));
}

static void arm_read(struct net_conn *conn, bool on)
{
    if (conn->unreadable == !on)
        return;
    conn->unreadable = !on;
    (void)(on ? event_add(&conn->readable, NULL) : event_del(&conn->readable));
}

// ---- handshake ----

static void refuse_peer(struct net_conn *conn, const char *why)
{
    tls_note_shown(conn);
    log_end(conn, "tls_refused", why);
    tell_refused(conn, why);
    conn_close(conn);
}

static void shake(struct net_conn *conn)
{
    enum stream state = stream_shake(conn);
    if (state == STREAM_WANTS_READ || state == STREAM_WANTS_WRITE) {
        arm_write(conn, state == STREAM_WANTS_WRITE);
        return;
    }
    if (state == STREAM_OVER) {
        refuse_peer(conn, stream_reason(conn));
        return;
    }
    if (stream_identify(conn) != ERR_OK) {
        refuse_peer(conn, err_detail());
        return;
    }
    arm_write(conn, false);
    if (!conn->net->counts_all)
        uncount(conn);
    wait_for(conn, WAIT_IDLE);
}

// ---- answers ----

// Sends what is left of `out`. True when all is gone.
static bool flush(struct net_conn *conn)
{
    while (conn->sent < conn->out.len) {
        size_t put = 0;
        struct span left = span_of(conn->out.data + conn->sent, conn->out.len - conn->sent);
        enum stream state = stream_write(conn, left, &put);
        conn->sent += put;
        if (state == STREAM_DONE)
            continue;
        if (state == STREAM_OVER) {
            conn_close(conn);
            return false;
        }
        // What the peer sends meanwhile stays unread, and would wake us all the time.
        arm_write(conn, true);
        arm_read(conn, false);
        return false;
    }
    arm_write(conn, false);
    buf_done(&conn->out);
    budget_count(conn);
    conn->sent = 0;
    return true;
}

// Sends straight from the caller's bytes and keeps what the socket does not take.
static enum err send_bytes(struct net_conn *conn, struct span bytes)
{
    size_t done = 0;
    while (done < bytes.len && conn->out.len == 0) {
        size_t put = 0;
        struct span left = span_of(bytes.data + done, bytes.len - done);
        enum stream state = stream_write(conn, left, &put);
        done += put;
        if (state == STREAM_OVER)
            FAIL(ERR_UNAVAILABLE, "the peer is gone");
        if (state != STREAM_DONE)
            break;
    }
    if (done == bytes.len)
        return ERR_OK;
    TRY(buf_put(&conn->out, span_of(bytes.data + done, bytes.len - done)));
    arm_write(conn, true);
    (void)budget_keep(conn);
    return ERR_OK;
}

// Forgets the answered message; what was read beyond it stays.
static void drop_message(struct net_conn *conn)
{
    if (conn->in.len <= conn->size)
        buf_done(&conn->in);
    else
        buf_consume(&conn->in, conn->size);
    budget_count(conn);
    conn->has_size = false;
    conn->size = 0;
}

void net_answer(struct net_conn *conn, struct span answer)
{
    if (conn->dead || conn->wait != WAIT_HANDLER)
        return;
    drop_message(conn);
    wait_for(conn, WAIT_SENT);
    if (send_bytes(conn, answer) != ERR_OK) {
        conn_close(conn);
        return;
    }
    if (!conn->dead && !conn->pumping)
        pump(conn);
}

void net_answer_last(struct net_conn *conn, struct span answer)
{
    conn->closing = true;
    net_answer(conn, answer);
}

void net_answer_part(struct net_conn *conn, struct span part)
{
    if (conn->dead || conn->wait != WAIT_HANDLER)
        return;
    if (conn->out.len - conn->sent > UNSENT_MAX || send_bytes(conn, part) != ERR_OK)
        conn_close(conn);
}

// ---- requests ----

// Reads one record's worth. False when there is nothing more for now, or the connection is over.
static bool read_some(struct net_conn *conn)
{
    struct net *net = conn->net;
    size_t got = 0;
    enum stream state = stream_read(conn, net->scratch, SCRATCH_LEN, &got);
    if (state == STREAM_DONE) {
        enum err code = buf_put(&conn->in, span_of(net->scratch, got));
        explicit_bzero(net->scratch, got);
        if (code == ERR_OK)
            return true;
        log_error("connection_memory", code);
    } else if (state != STREAM_OVER) {
        arm_write(conn, state == STREAM_WANTS_WRITE);
        return false;
    } else if (conn->failed) {
        log_end(conn, "tls_failed", stream_reason(conn));
    }
    conn_close(conn);
    return false;
}

// What arrived cannot be a message: answer, then close.
static void refuse(struct net_conn *conn, enum err code)
{
    log_end(conn, "message_refused", err_detail());
    conn->closing = true;
    conn->size = conn->in.len;
    wait_for(conn, WAIT_HANDLER);
    conn->net->handler.broken(conn->net->data, conn, code);
    if (!conn->dead && conn->wait == WAIT_HANDLER)
        conn_close(conn);
}

// True when a whole message stands at the front of `in`.
static bool has_message(struct net_conn *conn)
{
    struct net *net = conn->net;
    if (!conn->has_size && conn->in.len > 0) {
        enum err code = net->handler.size(net->data, span_buf(&conn->in), &conn->size);
        if (code != ERR_OK) {
            refuse(conn, code);
            return false;
        }
        conn->has_size = conn->size > 0;
    }
    return conn->has_size && conn->in.len >= conn->size;
}

// Says that nothing more comes, and takes what the peer is still sending: a connection that is
// closed over unread bytes is reset, and the peer may lose the answer that tells it why.
static void linger(struct net_conn *conn)
{
    stream_end(conn);
    buf_done(&conn->in);
    budget_count(conn);
    wait_for(conn, WAIT_LINGER);
    arm_read(conn, true);
}

static void drain(struct net_conn *conn)
{
    ssize_t got;
    for (int i = 0; i < STEPS_A_TURN; i++) {
        got = recv(conn->fd, conn->net->scratch, SCRATCH_LEN, 0);
        if (got > 0)
            continue;
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            conn_close(conn);
        return;
    }
}

// The answer has left, or waits for the socket. True when the next request may be looked at.
static bool settle_answer(struct net_conn *conn)
{
    if (!flush(conn))
        return false;
    if (conn->net->stopping) {
        conn_close(conn);
        return false;
    }
    if (conn->closing) {
        linger(conn);
        return false;
    }
    wait_for(conn, conn->in.len > 0 ? WAIT_REQUEST : WAIT_IDLE);
    warm(conn);
    arm_read(conn, true);
    return true;
}

// Gets the next request and hands it over. False when that has to wait for an event: for bytes, for
// the handler's answer, or for ever.
static bool step(struct net_conn *conn)
{
    bool answered = conn->wait == WAIT_SENT;
    if (answered && !settle_answer(conn))
        return false;
    if (has_message(conn)) {
        wait_for(conn, WAIT_HANDLER);
        conn->net->handler.request(conn->net->data, conn, net_message(conn));
        return !conn->dead && conn->wait != WAIT_HANDLER;
    }
    if (conn->dead || conn->wait == WAIT_HANDLER || conn->wait == WAIT_SENT)
        return !conn->dead && conn->wait == WAIT_SENT;
    // The next request has mostly not been sent yet: a read would only tell that, an event will.
    if (answered && !stream_has_pending(conn))
        return false;
    if (!read_some(conn))
        return false;
    if (conn->wait == WAIT_IDLE)
        wait_for(conn, WAIT_REQUEST);
    return budget_keep(conn);
}

static void pump(struct net_conn *conn)
{
    bool more = true;
    conn->pumping = true;
    if (conn->wait != WAIT_SENT)
        arm_write(conn, false);
    for (int steps = 0; more && steps < STEPS_A_TURN; steps++)
        more = step(conn);
    // Others get their turn, then this one goes on.
    if (more)
        event_active(&conn->readable, EV_READ, 0);
    conn->pumping = false;
}

static void on_readable(evutil_socket_t fd, short what, void *data)
{
    struct net_conn *conn = data;
    (void)fd, (void)what;
    if (conn->dead)
        return;
    if (conn->wait == WAIT_HANDSHAKE) {
        shake(conn);
        // The first request may have come with the last flight.
        if (conn->dead || conn->wait == WAIT_HANDSHAKE)
            return;
    }
    // More than the request in hand is not read: the peer waits, in its own buffers.
    if (conn->wait == WAIT_HANDLER)
        arm_read(conn, false);
    else if (conn->wait == WAIT_LINGER)
        drain(conn);
    else
        pump(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *data)
{
    struct net_conn *conn = data;
    (void)fd, (void)what;
    if (conn->dead)
        return;
    if (conn->wait == WAIT_HANDSHAKE)
        shake(conn);
    else if (conn->wait == WAIT_HANDLER)
        (void)flush(conn);
    else
        pump(conn);
}

// ---- beginning ----

static void name_peer(struct net_conn *conn, const struct sockaddr_storage *peer)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (peer->ss_family == AF_UNIX) {
        (void)snprintf(conn->address_text, sizeof conn->address_text, "local");
        return;
    }
    if (peer->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)peer;
        conn->address = in6->sin6_addr;
        // Whoever has one IPv6 address has its network's: limits count those together.
        if (!IN6_IS_ADDR_V4MAPPED(&conn->address))
            memset(&conn->address.s6_addr[8], 0, 8);
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
        (void)snprintf(conn->address_text, sizeof conn->address_text, "[%s]:%u", text,
                       ntohs(in6->sin6_port));
        return;
    }
    const struct sockaddr_in *in4 = (const void *)peer;
    conn->address = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&conn->address.s6_addr[12], &in4->sin_addr, 4);
    (void)inet_ntop(AF_INET, &in4->sin_addr, text, sizeof text);
    (void)snprintf(conn->address_text, sizeof conn->address_text, "%s:%u", text,
                   ntohs(in4->sin_port));
}

static void set_up(struct net_conn *conn, struct net *net, int fd)
{
    conn->net = net;
    conn->fd = fd;
    buf_init(&conn->in, net->request_bytes + SCRATCH_LEN, true);
    buf_init(&conn->out, net->answer_bytes + SCRATCH_LEN, true);
    (void)event_assign(&conn->readable, net->base, fd, EV_READ | EV_PERSIST, on_readable, conn);
    (void)event_assign(&conn->writable, net->base, fd, EV_WRITE | EV_PERSIST, on_writable, conn);
}

enum err conn_new(struct net *net, int fd, const struct sockaddr_storage *peer)
{
    struct net_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        (void)close(fd);
        FAIL(ERR_MEMORY, "no memory for a connection");
    }
    set_up(conn, net, fd);
    name_peer(conn, peer);
    conn->local = peer->ss_family == AF_UNIX;
    enum err code = conn->local ? stream_open_local(conn) : stream_open_tls(conn);
    if (code != ERR_OK) {
        (void)close(fd);
        free(conn);
        return code;
    }
    conn->counted = !conn->local;
    if (conn->counted)
        address_add(&net->addresses, &conn->address);
    join_queue(conn, conn->local ? WAIT_IDLE : WAIT_HANDSHAKE);
    net->count++;
    if (event_add(&conn->readable, NULL) != 0) {
        conn_close(conn);
        FAIL(ERR_MEMORY, "a connection could not be watched");
    }
    return ERR_OK;
}

void net_close(struct net_conn *conn)
{
    conn_close(conn);
}

struct span net_message(const struct net_conn *conn)
{
    return span_of(conn->in.data, conn->size);
}

const uint8_t *net_fingerprint(const struct net_conn *conn)
{
    return conn->certified ? conn->fingerprint : NULL;
}

bool net_is_local(const struct net_conn *conn, uid_t *ret_uid)
{
    if (conn->local)
        *ret_uid = conn->uid;
    return conn->local;
}

const char *net_address(const struct net_conn *conn)
{
    return conn->address_text;
}

const struct in6_addr *net_network(const struct net_conn *conn)
{
    return &conn->address;
}

void net_set_user(struct net_conn *conn, void *user)
{
    conn->user = user;
}

void *net_user(const struct net_conn *conn)
{
    return conn->user;
}
