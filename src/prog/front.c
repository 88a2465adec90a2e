// SPDX-License-Identifier: Apache-2.0
//
// keyward-front: KMIP over TLS, started by the supervisor, one process a core. It decodes a
// request, has an engine answer it, and encodes the answer. It decides nothing, and holds no key
// but that of its own TLS certificate.
//
// A request stays in its connection's buffer until it is answered, and is decoded once more for the
// answer: so nothing is kept for each request, and what a reader took with it when it died can be
// asked of the next. `depth` counts handlers on the stack: the arena is taken back when the
// outermost ends.
#include <event2/event.h>
#include <event2/event_struct.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kv.h"
#include "base/log.h"
#include "base/paths.h"
#include "kmip/kmip.h"
#include "net/engines.h"
#include "net/net.h"
#include "proc/proc.h"
#include "wire/limits.h"
#include "wire/ttlv.h"

enum {
    PEM_MAX = 256 * 1024,
    OUT_KEEP = 256 * 1024, // of the answer buffer, between answers
    STOP_MS = 3000,        // for requests in hand and answers untaken when told to stop
    SECONDS_MAX = 86400,
    REQUEST_MESSAGE = 0x420078
};

struct front {
    struct net *net;
    struct engines *engines;
    struct arena *arena;
    struct buf out;
    struct event control;
    int depth;
    int64_t stop_at;        // monotonic ms; 0: serving
    bool orphaned;          // the supervisor is gone
    int new_key, new_ca;    // of an identity that is being handed out, -1: none
    int memory;             // for the next engine's channel, -1: none
    struct kmip_call *call; // decoded just now, for `asker`
    struct net_conn *asker;
};

// ---- answering ----

static void enter(struct front *front)
{
    front->depth++;
}

static void leave(struct front *front)
{
    if (--front->depth == 0)
        arena_reset(front->arena);
}

static void send_out(struct front *front, struct net_conn *conn)
{
    net_answer(conn, span_buf(&front->out));
    if (front->out.cap > OUT_KEEP)
        buf_done(&front->out);
    else
        buf_clear(&front->out);
}

static void answer_failure(struct front *front, struct net_conn *conn, const struct kmip_call *call,
                           enum err code, const char *message)
{
    buf_clear(&front->out);
    if (kmip_encode_failure(call, code, message, &front->out) == ERR_OK)
        send_out(front, conn);
    else
        net_close(conn);
}

static void answer_replies(struct front *front, struct net_conn *conn, const struct kmip_call *call,
                           const struct replies *replies)
{
    buf_clear(&front->out);
    enum err code = kmip_encode(call, replies, &front->out);
    if (code == ERR_OK) {
        send_out(front, conn);
        return;
    }
    log_error("answer_failed", code);
    answer_failure(front, conn, call, code, err_info(code)->text);
}

// ---- the network's side ----

static enum err message_size(void *data, struct span have, size_t *ret_size)
{
    (void)data;
    *ret_size = 0;
    if (have.len < TTLV_HEADER)
        return ERR_OK;
    return ttlv_message_size(have.data, REQUEST_MESSAGE, LIMIT_MESSAGE, ret_size);
}

static void ask_engine(struct front *front, struct net_conn *conn, struct kmip_call *call)
{
    struct question *question = NULL;
    front->call = call;
    front->asker = conn;
    enum err code = engines_ask(front->engines, kmip_writes(call), conn, &question);
    front->call = NULL;
    front->asker = NULL;
    if (code == ERR_OK)
        net_set_user(conn, question);
    else
        answer_failure(front, conn, call, code, err_message(code));
}

static void on_request(void *data, struct net_conn *conn, struct span message)
{
    struct front *front = data;
    struct kmip_call call;
    enter(front);
    enum err code = kmip_decode(message, front->arena, &call);
    if (code != ERR_OK)
        answer_failure(front, conn, &call, code, err_message(code));
    else if (kmip_needs_engine(&call))
        ask_engine(front, conn, &call);
    else
        answer_replies(front, conn, &call, NULL);
    leave(front);
}

static void on_broken(void *data, struct net_conn *conn, enum err code)
{
    struct front *front = data;
    struct kmip_call call;
    enter(front);
    // Whatever it is, it is no request; its version may still be told.
    if (kmip_decode(net_message(conn), front->arena, &call) == ERR_OK)
        code = ERR_MESSAGE;
    answer_failure(front, conn, &call, code, err_info(code)->text);
    leave(front);
}

static void on_gone(void *data, struct net_conn *conn)
{
    (void)data;
    engines_forget(net_user(conn));
    net_set_user(conn, NULL);
}

// Why somebody cannot connect, for the administrator.
static void on_refused(void *data, struct net_conn *conn, const char *why)
{
    struct front *front = data;
    struct buf body CLEANUP(buf_done);
    buf_init(&body, 4 * MODEL_REFUSAL_TEXT, false);
    if (net_report(conn, why, &body))
        engines_tell_readers(front->engines, MODEL_FRAME_REFUSAL, span_buf(&body));
}

// ---- the engines' side ----

static void name_asker(const struct net_conn *conn, struct batch *batch)
{
    batch->who.kind = PRINCIPAL_ENDPOINT;
    memcpy(batch->who.fingerprint, net_fingerprint(conn), sizeof batch->who.fingerprint);
    batch->who.address = span_str(net_address(conn));
}

static enum err on_ask(void *data, void *asker, struct buf *body)
{
    struct front *front = data;
    struct kmip_call again = {0};
    struct kmip_call *call = front->asker == asker ? front->call : &again;
    enter(front);
    enum err code = ERR_OK;
    if (call == &again)
        code = kmip_decode(net_message(asker), front->arena, call);
    if (code == ERR_OK) {
        name_asker(asker, &call->batch);
        if (kmip_writes(call))
            call->batch.id = uuid_random();
        code = model_put_batch(body, &call->batch);
    }
    leave(front);
    return code;
}

static void on_answered(void *data, void *asker, const struct ipc_frame *answer)
{
    struct front *front = data;
    struct net_conn *conn = asker;
    struct kmip_call call;
    struct replies replies;
    enter(front);
    net_set_user(conn, NULL);
    enum err code = kmip_decode(net_message(conn), front->arena, &call);
    if (code == ERR_OK)
        code = ipc_check(answer);
    if (code == ERR_OK)
        code = model_get_replies(answer->body, front->arena, &replies);
    if (code == ERR_OK)
        answer_replies(front, conn, &call, &replies);
    else
        answer_failure(front, conn, &call, code, err_message(code));
    leave(front);
}

static void on_lost(void *data, void *asker, enum err code, bool maybe_done)
{
    struct front *front = data;
    struct net_conn *conn = asker;
    struct kmip_call call;
    char why[256];
    enter(front);
    (void)snprintf(why, sizeof why, "%s",
                   maybe_done
                       ? "the outcome is unknown, it may or may not have been done: look the "
                         "object up before you try again"
                       : err_message(code));
    net_set_user(conn, NULL);
    if (kmip_decode(net_message(conn), front->arena, &call) != ERR_OK)
        call.items = NULL;
    log_event(LOG_LEVEL_WARN, "request_lost peer=%s error=%s outcome=%s", net_address(conn),
              err_info(code)->name, maybe_done ? "unknown" : "not_done");
    answer_failure(front, conn, &call, code, why);
    leave(front);
}

// ---- the supervisor's side ----

struct pems {
    struct buf key;
    struct buf cert;
    struct buf ca;
};

static void pems_init(struct pems *pems)
{
    buf_init(&pems->key, PEM_MAX, true);
    buf_init(&pems->cert, PEM_MAX, false);
    buf_init(&pems->ca, PEM_MAX, false);
}

static void pems_done(struct pems *pems)
{
    buf_done(&pems->key);
    buf_done(&pems->cert);
    buf_done(&pems->ca);
}

static struct net_identity identity_of(const struct pems *pems)
{
    return (struct net_identity){
        .key = span_buf(&pems->key), .cert = span_buf(&pems->cert), .ca = span_buf(&pems->ca)};
}

static enum err read_pems(int key, int cert, int ca, struct pems *ret)
{
    TRY(file_read_fd(key, "the TLS key", PEM_MAX, &ret->key));
    TRY(file_read_fd(cert, "the TLS certificate", PEM_MAX, &ret->cert));
    return file_read_fd(ca, "the authorities of clients", PEM_MAX, &ret->ca);
}

// Mapped, not read: all fronts share the file's position.
static enum err take_tickets(struct front *front, int fd)
{
    void *keys = mmap(NULL, PROC_TICKETS_LEN, PROT_READ, MAP_PRIVATE, fd, 0);
    file_closep(&fd);
    if (keys == MAP_FAILED)
        FAIL(ERR_INTERNAL, "the ticket keys could not be read");
    enum err code = net_set_tickets(front->net, span_of(keys, PROC_TICKETS_LEN));
    (void)munmap(keys, PROC_TICKETS_LEN);
    return code;
}

// Key and authorities wait for the certificate, which comes last.
static enum err take_identity(struct front *front, uint32_t which, int fd)
{
    struct pems pems CLEANUP(pems_done);
    CLEANUP(file_closep) int cert = fd;
    if (which != PROC_IDENTITY_CERT) {
        int *place = which == PROC_IDENTITY_KEY ? &front->new_key : &front->new_ca;
        file_closep(place);
        *place = fd;
        cert = -1;
        return ERR_OK;
    }
    pems_init(&pems);
    enum err code = ERR_INTERNAL;
    if (front->new_key >= 0 && front->new_ca >= 0)
        code = read_pems(front->new_key, cert, front->new_ca, &pems);
    file_closep(&front->new_key);
    file_closep(&front->new_ca);
    TRY(code);
    const struct net_identity identity = identity_of(&pems);
    TRY(net_set_identity(front->net, &identity));
    log_event(LOG_LEVEL_INFO, "certificate_in_use");
    return ERR_OK;
}

static enum err attach(struct front *front, const struct proc_message *message, int fd)
{
    if (fd < 0)
        return ERR_OK;
    if (message->role == ROLE_LISTENER)
        return net_listen(front->net, fd);
    if (message->role == ROLE_TICKETS)
        return take_tickets(front, fd);
    if (message->role == ROLE_IDENTITY)
        return take_identity(front, message->index, fd);
    if (message->role == ROLE_MEMORY) {
        file_closep(&front->memory);
        front->memory = fd;
        return ERR_OK;
    }
    if (message->role == ROLE_READER || message->role == ROLE_WRITER) {
        enum err code = engines_attach(front->engines, message->role == ROLE_WRITER, message->index,
                                       fd, front->memory);
        file_closep(&front->memory);
        return code;
    }
    file_closep(&fd);
    FAIL(ERR_INTERNAL, "a front has no use for a channel to \"%s\"",
         proc_role_name((enum proc_role)message->role));
}

static void on_control(evutil_socket_t socket, short what, void *data)
{
    struct front *front = data;
    struct proc_message message;
    enum err code;
    int fd = -1;
    (void)socket, (void)what;
    while ((code = proc_receive(0, &message, &fd)) == ERR_OK) {
        enum err failed = ERR_OK;
        if (message.kind == PROC_ATTACH)
            failed = attach(front, &message, fd);
        if (failed != ERR_OK)
            log_error("attach_failed", failed);
        if (message.kind == PROC_STOP && front->stop_at == 0) {
            front->stop_at = clock_mono_ms() + STOP_MS;
            net_stop(front->net);
        }
    }
    front->orphaned = code == ERR_UNAVAILABLE;
}

// ---- life ----

// "KEY" in keywardd.conf, in seconds.
static enum err get_seconds(const struct kv *conf, const char *key, int64_t fallback_ms,
                            int64_t *ret_ms)
{
    const char *text = kv_get(conf, key, NULL);
    char *end;
    *ret_ms = fallback_ms;
    if (text == NULL)
        return ERR_OK;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 1 || value > SECONDS_MAX)
        FAIL(ERR_CONFIG, "%s in \"%s\" is \"%s\": give a number of seconds from 1 to %d", key,
             PATH_CONF, text, SECONDS_MAX);
    *ret_ms = value * 1000;
    return ERR_OK;
}

static enum err get_limits(int root, struct net_config *config)
{
    CLEANUP(kv_freep) struct kv *conf = NULL;
    TRY(kv_load(root, PATH_CONF, &conf));
    TRY(get_seconds(conf, "KMIP_HANDSHAKE_SECONDS", LIMIT_HANDSHAKE_MS, &config->handshake_ms));
    TRY(get_seconds(conf, "KMIP_REQUEST_SECONDS", LIMIT_REQUEST_MS, &config->request_ms));
    return get_seconds(conf, "KMIP_IDLE_SECONDS", LIMIT_IDLE_MS, &config->idle_ms);
}

static enum err try_net(struct front *front, int root, const struct pems *pems)
{
    static const struct net_handler handler = {.size = message_size,
                                               .request = on_request,
                                               .broken = on_broken,
                                               .refused = on_refused,
                                               .gone = on_gone};
    struct net_config config = {.client = NET_CLIENT_REQUIRED,
                                .identity = identity_of(pems),
                                .connections = LIMIT_CONNECTIONS,
                                .handshakes = LIMIT_HANDSHAKES,
                                .per_address = LIMIT_PER_ADDRESS,
                                .request_bytes = LIMIT_MESSAGE,
                                .answer_bytes = LIMIT_ANSWER,
                                .held_bytes = LIMIT_HELD,
                                .answer_ms = LIMIT_ANSWER_MS};
    TRY(get_limits(root, &config));
    return net_new(&config, &handler, front, &front->net);
}

static enum err try_key(struct front *front, int root, const char *path)
{
    struct pems pems CLEANUP(pems_done);
    pems_init(&pems);
    TRY(file_read_private(root, path, PEM_MAX, &pems.key));
    TRY(file_read(root, PATH_TLS_CERT, PEM_MAX, &pems.cert));
    TRY(file_read(root, PATH_TLS_CA, PEM_MAX, &pems.ca));
    return try_net(front, root, &pems);
}

// In the middle of a change of key and certificate the new certificate is there beside the old key,
// or none: the new key is staged until an engine has put it in place (ops/tlsfile.h).
static enum err make_net(struct front *front, int root)
{
    enum err code = try_key(front, root, PATH_TLS_KEY);
    bool other = code == ERR_CONFIG || code == ERR_NOT_FOUND;
    if (!other || !file_exists(root, PATH_TLS_KEY_NEXT))
        return code;
    return try_key(front, root, PATH_TLS_KEY_NEXT);
}

static enum err set_up(struct front *front, const char *root_path)
{
    static const struct engines_handler handler = {on_ask, on_answered, on_lost};
    CLEANUP(file_closep) int root = -1;
    TRY(proc_harden());
    TRY(file_open_dir(root_path, &root));
    TRY(make_net(front, root));
    TRY(arena_new(LIMIT_ARENA, &front->arena));
    TRY(engines_new(net_base(front->net), MODEL_FRAME_BATCH, &handler, front, &front->engines));
    if (event_assign(&front->control, net_base(front->net), PROC_CONTROL_FD, EV_READ | EV_PERSIST,
                     on_control, front) != 0 ||
        event_add(&front->control, NULL) != 0)
        FAIL(ERR_INTERNAL, "the control channel could not be watched");
    return proc_confine(ROLE_FRONT);
}

static bool is_done(const struct front *front)
{
    bool stopped =
        front->stop_at != 0 && (net_count(front->net) == 0 || clock_mono_ms() >= front->stop_at);
    return front->orphaned || stopped;
}

static enum err serve(struct front *front)
{
    TRY(proc_ready());
    while (!is_done(front)) {
        TRY(net_turn(front->net, engines_may_sleep(front->engines)));
        engines_turn(front->engines, clock_mono_ms());
    }
    return ERR_OK;
}

static void front_done(struct front *front)
{
    if (front->net != NULL && front->engines != NULL)
        (void)event_del(&front->control);
    file_closep(&front->new_key);
    file_closep(&front->new_ca);
    file_closep(&front->memory);
    engines_freep(&front->engines);
    net_freep(&front->net);
    arena_freep(&front->arena);
    buf_done(&front->out);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"root", required_argument, NULL, 'r'},
        {"index", required_argument, NULL, 'i'},
        {NULL, 0, NULL, 0},
    };
    const char *root = "/";
    log_setup("front", LOG_LEVEL_INFO);
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 'r')
            root = optarg;
        else if (c != 'i')
            return 2;
    }
    struct front front CLEANUP(front_done) = {.new_key = -1, .new_ca = -1, .memory = -1};
    buf_init(&front.out, (size_t)LIMIT_ANSWER * 2, true);
    enum err code = set_up(&front, root);
    if (code == ERR_OK)
        code = serve(&front);
    if (code != ERR_OK) {
        log_error("front_ended", code);
        proc_failed(code);
    }
    return err_info(code)->exit_status;
}
