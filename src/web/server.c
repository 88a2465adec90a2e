// SPDX-License-Identifier: Apache-2.0
//
// Between the net room and api.h. Invariant: an exchange lives from the request until its answer;
// its connection may be gone before (`conn` NULL), then the answer goes nowhere.
#include "web/server.h"

#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/proc.h"
#include "web/api.h"
#include "web/asker.h"
#include "web/rate.h"
#include "web/respond.h"
#include "web/route.h"

enum { HEAD_BYTES = 4096, NAME_MAX_BYTES = 255 };

struct server {
    struct net *net;
    struct engines *engines;
    struct operations *operations;
    struct rate *rate;
    char *names;
    uint8_t local_key[PROC_LOCAL_KEY_LEN];
    size_t local_key_len; // 0 until it is known
};

struct exchange {
    struct server *server;
    struct net_conn *conn;
    struct in6_addr network;
    bool keep_alive;
    bool local;
    bool charged; // as a stranger's
};

// ---- answers ----

// The exchange lives until the stream ends.
static void begin_stream(struct exchange *exchange, const struct answer *answer)
{
    struct buf out CLEANUP(buf_done);
    buf_init(&out, HEAD_BYTES, false);
    if (exchange->conn == NULL)
        return;
    if (respond_write(answer, false, &out) == ERR_OK)
        net_answer_part(exchange->conn, span_buf(&out));
    else
        net_close(exchange->conn);
}

static bool put_part(void *context, struct span part)
{
    struct exchange *exchange = context;
    if (exchange->conn != NULL)
        net_answer_part(exchange->conn, part);
    return exchange->conn != NULL;
}

static void end_stream(void *context)
{
    struct exchange *exchange = context;
    if (exchange->conn != NULL) {
        net_set_user(exchange->conn, NULL);
        net_answer_last(exchange->conn, span_of(NULL, 0));
    }
    free(exchange);
}

static void send_answer(void *context, const struct answer *answer)
{
    struct exchange *exchange = context;
    struct net_conn *conn = exchange->conn;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, ANSWER_BYTES_MAX + HEAD_BYTES, true);
    if (answer->status == 401 && !exchange->local && !exchange->charged)
        rate_count_stranger(exchange->server->rate, &exchange->network, clock_mono_ms());
    if (answer->open) {
        begin_stream(exchange, answer);
        return;
    }
    if (conn != NULL) {
        net_set_user(conn, NULL);
        enum err err = respond_write(answer, exchange->keep_alive, &out);
        if (err != ERR_OK) {
            log_error("answer_failed", err);
            net_close(conn);
        } else if (exchange->keep_alive) {
            net_answer(conn, span_buf(&out));
        } else {
            net_answer_last(conn, span_buf(&out));
        }
    }
    free(exchange);
}

// ---- what the transport says against a request ----

// "application/json", with or without "; charset=utf-8".
static bool is_json(const struct span *type)
{
    static const char json[] = "application/json";
    size_t len = sizeof json - 1;
    if (type == NULL || type->len < len || strncasecmp((const char *)type->data, json, len) != 0)
        return false;
    struct span rest = span_of(type->data + len, type->len - len);
    while (rest.len > 0 && (rest.data[0] == ' ' || rest.data[0] == ';'))
        rest = span_of(rest.data + 1, rest.len - 1);
    return rest.len == 0 ||
           (rest.len == 13 && strncasecmp((const char *)rest.data, "charset=utf-8", 13) == 0);
}

static enum err check_body(const struct http_request *request)
{
    if (http_header(request, "content-encoding") != NULL)
        FAIL(ERR_MEDIA, "the request has a \"Content-Encoding\": send plain JSON");
    if (request->body.len > 0 && !is_json(http_header(request, "content-type")))
        FAIL(ERR_MEDIA, "a body must come with \"Content-Type: application/json\"");
    return ERR_OK;
}

// Without the port.
static void host_of(const struct span *header, char out[NAME_MAX_BYTES + 1])
{
    struct span host = header == NULL ? span_of(NULL, 0) : *header;
    const uint8_t *colon = NULL;
    for (size_t i = 0; i < host.len && host.data[i] != ']'; i++) {
        if (host.data[i] == ':' && host.data[0] != '[')
            colon = host.data + i;
    }
    if (colon != NULL)
        host.len = (size_t)(colon - host.data);
    if (host.len > 0 && host.data[0] == '[') {
        const uint8_t *end = memchr(host.data, ']', host.len);
        size_t len = end == NULL ? host.len : (size_t)(end - host.data);
        host = span_of(host.data + 1, len - 1);
    }
    size_t len = host.len <= NAME_MAX_BYTES ? host.len : 0;
    if (len > 0)
        memcpy(out, host.data, len);
    out[len] = '\0';
}

static bool is_configured(const char *names, const char *host)
{
    size_t len = strlen(host);
    for (const char *at = names; at != NULL && *at != '\0';) {
        size_t size = strcspn(at, " ");
        if (size == len && strncasecmp(at, host, len) == 0)
            return true;
        at += size + strspn(at + size, " ");
    }
    return false;
}

// For whoever asks, and by whatever name.
static bool is_health(const struct http_request *request)
{
    return span_eq_str(request->path, ROUTE_ALIVE) || span_eq_str(request->path, ROUTE_READY);
}

// A page whose name was pointed at this server's address (DNS rebinding) calls it by that name.
static enum err check_host(const struct server *server, const struct http_request *request)
{
    const struct span *header = http_header(request, "host");
    char host[NAME_MAX_BYTES + 1];
    if (header == NULL)
        return ERR_OK;
    host_of(header, host);
    if (!is_configured(server->names, host) && !net_is_named(server->net, host))
        FAIL(ERR_MISDIRECTED, "this server does not go by that name: use one of its certificate, "
                              "or add it to WEB_NAMES in keywardd.conf");
    return ERR_OK;
}

static enum err check(const struct server *server, struct exchange *exchange,
                      const struct http_request *request, struct asker *ret)
{
    const struct span key = span_of(server->local_key, server->local_key_len);
    if (!is_health(request))
        TRY(exchange->local ? asker_check_local(request, key) : check_host(server, request));
    TRY(asker_read(exchange->conn, request, ret));
    return check_body(request);
}

// ---- requests ----

static void begin(struct exchange *exchange, const struct http_request *request)
{
    struct asker asker;
    enum err err = check(exchange->server, exchange, request, &asker);
    if (err != ERR_OK) {
        api_refuse(err, 0, send_answer, exchange);
        return;
    }
    // Whoever is nobody yet is charged before an engine works for him (a sign-in costs half a
    // second), whatever the answer will be.
    exchange->charged = !exchange->local && asker.who.kind == PRINCIPAL_NOBODY &&
                        strcmp(request->method, "POST") == 0;
    if (exchange->charged)
        rate_count_stranger(exchange->server->rate, &exchange->network, clock_mono_ms());
    struct api_call call = {.method = request->method,
                            .path = request->path,
                            .query = request->query,
                            .body = request->body,
                            .who = asker.who,
                            .csrf = asker.csrf,
                            .headers = request,
                            .operations = exchange->server->operations,
                            .stream = {put_part, end_stream}};
    api_handle(exchange->server->engines, &call, send_answer, exchange);
}

static struct exchange *new_exchange(struct server *server, struct net_conn *conn)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    uid_t uid;
    if (exchange == NULL) {
        net_close(conn);
        return NULL;
    }
    exchange->server = server;
    exchange->conn = conn;
    exchange->local = net_is_local(conn, &uid);
    exchange->network = *net_network(conn);
    net_set_user(conn, exchange);
    return exchange;
}

static void on_request(void *data, struct net_conn *conn, struct span message)
{
    struct server *server = data;
    struct http_request request;
    struct exchange *exchange = new_exchange(server, conn);
    if (exchange == NULL)
        return;
    enum err err = http_read(message, &request);
    if (err != ERR_OK) {
        api_refuse(err, 0, send_answer, exchange);
        return;
    }
    exchange->keep_alive = request.keep_alive;
    unsigned wait =
        exchange->local ? 0 : rate_take(server->rate, &exchange->network, clock_mono_ms());
    if (wait > 0) {
        err = err_raise(ERR_TOO_MANY, __FILE__, __LINE__,
                        "there were too many requests from this address: try again in %u s", wait);
        api_refuse(err, wait, send_answer, exchange);
        return;
    }
    begin(exchange, &request);
}

static enum err on_size(void *data, struct span have, size_t *ret_size)
{
    (void)data;
    return http_size(have, ret_size);
}

static void on_broken(void *data, struct net_conn *conn, enum err code)
{
    struct exchange *exchange = new_exchange(data, conn);
    if (exchange != NULL)
        api_refuse(code, 0, send_answer, exchange);
}

static void on_gone(void *data, struct net_conn *conn)
{
    (void)data;
    struct exchange *exchange = net_user(conn);
    if (exchange != NULL)
        exchange->conn = NULL;
}

// Why somebody cannot connect, for the administrator.
static void on_refused(void *data, struct net_conn *conn, const char *why)
{
    struct server *server = data;
    struct buf body CLEANUP(buf_done);
    buf_init(&body, 4 * MODEL_REFUSAL_TEXT, false);
    if (server->engines != NULL && net_report(conn, why, &body))
        engines_tell_readers(server->engines, MODEL_FRAME_REFUSAL, span_buf(&body));
}

// ---- life ----

static enum err set_up(struct server *server, const struct server_config *config)
{
    static const struct net_handler handler = {on_size, on_request, on_broken, on_gone, on_refused};
    const struct net_config net = {.client = NET_CLIENT_ASKED,
                                   .connections = WEB_CONNECTIONS,
                                   .handshakes = WEB_HANDSHAKES,
                                   .per_address = config->per_address,
                                   .counts_all = true,
                                   .request_bytes = WEB_HEAD_BYTES + WEB_BODY_BYTES,
                                   .answer_bytes = WEB_ANSWER_BYTES + HEAD_BYTES,
                                   .held_bytes = WEB_HELD_BYTES,
                                   .handshake_ms = config->handshake_ms,
                                   .request_ms = config->request_ms,
                                   .idle_ms = WEB_IDLE_MS,
                                   .answer_ms = WEB_ANSWER_MS};
    if (config->names != NULL)
        TRY(span_strdup(span_str(config->names), &server->names));
    TRY(rate_new(config->requests_a_second, config->strangers_a_minute, &server->rate));
    return net_new(&net, &handler, server, &server->net);
}

enum err server_new(const struct server_config *config, struct server **ret)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        FAIL(ERR_MEMORY, "no memory for the HTTP server");
    enum err err = set_up(server, config);
    if (err != ERR_OK) {
        server_free(server);
        return err;
    }
    *ret = server;
    return ERR_OK;
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    net_free(server->net);
    rate_free(server->rate);
    free(server->names);
    free(server);
}

enum err server_set_local_key(struct server *server, struct span key)
{
    if (key.len != sizeof server->local_key)
        FAIL(ERR_INTERNAL, "the key of the local socket has the wrong length");
    memcpy(server->local_key, key.data, key.len);
    server->local_key_len = key.len;
    return ERR_OK;
}

struct net *server_net(struct server *server)
{
    return server->net;
}

void server_set_engines(struct server *server, struct engines *engines,
                        struct operations *operations)
{
    server->engines = engines;
    server->operations = operations;
}

enum err server_listen(struct server *server, int fd)
{
    return net_listen(server->net, fd);
}

enum err server_set_identity(struct server *server, struct span key, struct span cert)
{
    struct net_identity identity = {.key = key, .cert = cert};
    return net_set_identity(server->net, &identity);
}

void server_close(struct server *server)
{
    net_stop(server->net);
}
