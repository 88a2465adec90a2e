// SPDX-License-Identifier: Apache-2.0
//
// evhttp's side. A request waits for its engine with its reply still owed; when its client goes
// away meanwhile, evhttp keeps the request alive until the reply is sent into the void.
#include "web/server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "web/api.h"

struct server {
    struct evhttp *http;
    struct engines *engines;
    struct evhttp_bound_socket *socket;
};

static const struct {
    enum evhttp_cmd_type type;
    const char *name;
} methods[] = {
    {EVHTTP_REQ_GET, "GET"},         {EVHTTP_REQ_POST, "POST"},   {EVHTTP_REQ_PUT, "PUT"},
    {EVHTTP_REQ_DELETE, "DELETE"},   {EVHTTP_REQ_HEAD, "HEAD"},   {EVHTTP_REQ_PATCH, "PATCH"},
    {EVHTTP_REQ_OPTIONS, "OPTIONS"}, {EVHTTP_REQ_TRACE, "TRACE"}, {EVHTTP_REQ_CONNECT, "CONNECT"},
};

enum { METHODS = sizeof methods / sizeof *methods };

static const char *method_of(const struct evhttp_request *http)
{
    for (size_t i = 0; i < METHODS; i++) {
        if (methods[i].type == evhttp_request_get_command(http))
            return methods[i].name;
    }
    return "";
}

static size_t count_header(const struct evkeyvalq *headers, const char *name)
{
    size_t count = 0;
    const struct evkeyval *header;
    TAILQ_FOREACH(header, headers, next)
    {
        if (name == NULL || strcasecmp(header->key, name) == 0)
            count++;
    }
    return count;
}

// "application/json", with or without "; charset=utf-8".
static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    if (type == NULL || strncasecmp(type, json, sizeof json - 1) != 0)
        return false;
    const char *rest = type + sizeof json - 1;
    rest += strspn(rest, " ");
    return *rest == '\0' || strcasecmp(rest, "; charset=utf-8") == 0 ||
           strcasecmp(rest, ";charset=utf-8") == 0;
}

// What RFC 9112 sections 3.2, 6.1 and 6.3 want refused, so that no two parsers can disagree about
// where a request ends.
static enum err check_headers(struct evhttp_request *http, size_t body_len)
{
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(http);
    static const char *const once[] = {"Content-Length", "Host", "Content-Type"};
    if (count_header(headers, NULL) > SERVER_HEADER_COUNT_MAX)
        FAIL(ERR_MESSAGE, "the request has more than %d header lines", SERVER_HEADER_COUNT_MAX);
    for (size_t i = 0; i < sizeof once / sizeof *once; i++) {
        if (count_header(headers, once[i]) > 1)
            FAIL(ERR_MESSAGE, "the request has the header \"%s\" twice", once[i]);
    }
    if (count_header(headers, "Transfer-Encoding") > 0)
        FAIL(ERR_MESSAGE, "the request has a \"Transfer-Encoding\": send a \"Content-Length\"");
    if (count_header(headers, "Content-Encoding") > 0)
        FAIL(ERR_MESSAGE, "the request has a \"Content-Encoding\": send plain JSON");
    if (body_len > 0 && !is_json(evhttp_find_header(headers, "Content-Type")))
        FAIL(ERR_MESSAGE, "a body must come with \"Content-Type: application/json\"");
    const char *uri = evhttp_request_get_uri(http);
    if (uri == NULL || uri[0] != '/' || strchr(uri, '#') != NULL)
        FAIL(ERR_MESSAGE, "the request's address must begin with a slash");
    return ERR_OK;
}

static enum err peer_of(struct evhttp_request *http, struct principal *ret)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(http);
    struct bufferevent *stream = evhttp_connection_get_bufferevent(connection);
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(bufferevent_getfd(stream), SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        FAIL(ERR_AUTHENTICATION, "the kernel does not tell who asks");
    *ret = (struct principal){
        .kind = PRINCIPAL_LOCAL, .uid = (uint32_t)peer.uid, .address = span_str("local")};
    return ERR_OK;
}

static void send_answer(void *context, const struct answer *answer)
{
    struct evhttp_request *http = context;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
    (void)evhttp_add_header(headers, "Content-Type", answer->content_type);
    (void)evhttp_add_header(headers, "X-Request-Id", answer->request_id);
    (void)evhttp_add_header(headers, "Cache-Control", "no-store");
    (void)evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    if (answer->allow[0] != '\0')
        (void)evhttp_add_header(headers, "Allow", answer->allow);
    if (answer->status == 400)
        (void)evhttp_add_header(headers, "Connection", "close");
    struct evbuffer *body = evhttp_request_get_output_buffer(http);
    if (evhttp_request_get_command(http) != EVHTTP_REQ_HEAD)
        (void)evbuffer_add(body, answer->body.data, answer->body.len);
    evhttp_send_reply(http, answer->status, answer->status < 400 ? "OK" : "Problem", NULL);
}

static enum err read_call(struct evhttp_request *http, struct api_call *ret)
{
    struct evbuffer *input = evhttp_request_get_input_buffer(http);
    size_t len = evbuffer_get_length(input);
    TRY(check_headers(http, len));
    const char *uri = evhttp_request_get_uri(http);
    size_t path_len = strcspn(uri, "?");
    const char *query = uri[path_len] == '?' ? uri + path_len + 1 : "";
    const uint8_t *body = evbuffer_pullup(input, -1);
    if (len > 0 && body == NULL)
        FAIL(ERR_MEMORY, "no memory for a request");
    *ret = (struct api_call){.method = method_of(http),
                             .path = span_of(uri, path_len),
                             .query = span_str(query),
                             .body = span_of(body, len)};
    return peer_of(http, &ret->who);
}

static void on_request(struct evhttp_request *http, void *context)
{
    struct server *server = context;
    struct api_call call;
    enum err err = read_call(http, &call);
    if (err != ERR_OK) {
        api_refuse(err, send_answer, http);
        return;
    }
    api_handle(server->engines, &call, send_answer, http);
}

enum err server_new(struct event_base *base, struct engines *engines, struct server **ret)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        FAIL(ERR_MEMORY, "no memory for the HTTP server");
    server->engines = engines;
    server->http = evhttp_new(base);
    if (server->http == NULL) {
        free(server);
        FAIL(ERR_MEMORY, "no memory for the HTTP server");
    }
    unsigned all = 0;
    for (size_t i = 0; i < METHODS; i++)
        all |= methods[i].type;
    evhttp_set_allowed_methods(server->http, (ev_uint16_t)all);
    evhttp_set_max_body_size(server->http, SERVER_BODY_MAX);
    evhttp_set_max_headers_size(server->http, SERVER_HEADERS_MAX);
    evhttp_set_timeout(server->http, SERVER_IDLE_S);
    evhttp_set_default_content_type(server->http, NULL);
    evhttp_set_gencb(server->http, on_request, server);
    *ret = server;
    return ERR_OK;
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    evhttp_free(server->http);
    free(server);
}

enum err server_listen(struct server *server, int fd)
{
    server_close(server);
    // The acceptor takes connections until there is none left: it must not block.
    if (evutil_make_socket_nonblocking(fd) == 0)
        server->socket = evhttp_accept_socket_with_handle(server->http, fd);
    if (server->socket == NULL) {
        (void)close(fd);
        FAIL(ERR_INTERNAL, "the local socket cannot be served");
    }
    return ERR_OK;
}

void server_close(struct server *server)
{
    if (server->socket != NULL)
        evhttp_del_accept_socket(server->http, server->socket);
    server->socket = NULL;
}
