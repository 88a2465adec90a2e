// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 over the local socket: who asks is told by the kernel (SO_PEERCRED), never by the
// request. evhttp does the parsing; what it lets through and should not is refused here.
#ifndef KW_WEB_SERVER_H
#define KW_WEB_SERVER_H

#include "web/engines.h"

enum {
    SERVER_BODY_MAX = 1024 * 1024,
    SERVER_HEADERS_MAX = 16 * 1024, // bytes
    SERVER_HEADER_COUNT_MAX = 64,
    SERVER_IDLE_S = 60,
};

struct server;

// `base` and `engines` are borrowed and must outlive the server.
MUST_USE enum err server_new(struct event_base *base, struct engines *engines, struct server **ret);

// Closes everything; calls that wait for an engine must have been answered (engines_free).
void server_free(struct server *server);

// Serves on a listening Unix socket, which it takes.
MUST_USE enum err server_listen(struct server *server, int fd);

// Takes no new connections; what is under way goes on.
void server_close(struct server *server);

#endif
