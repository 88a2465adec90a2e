// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 over the local socket and over TLS: takes messages from the net room, finds out who
// asks, and hands them to api.h. Whatever the transport has to say against a request (framing,
// names, rates, credentials) is said here, before anything reads what is asked.
#ifndef KW_WEB_SERVER_H
#define KW_WEB_SERVER_H

#include "net/net.h"
#include "web/engines.h"
#include "web/limits.h"

struct event_base;
struct operations;
struct server;

// What keywardd.conf may set; see web/limits.h.
struct server_config {
    unsigned per_address;
    unsigned handshake_ms;
    unsigned request_ms;
    unsigned requests_a_second;
    unsigned strangers_a_minute;
    const char *names; // further names that the server is called by, with blanks between; or NULL
};

MUST_USE enum err server_new(const struct server_config *config, struct server **ret);
void server_free(struct server *server);
struct net *server_net(struct server *server);

// What requests over the local socket must show in the header X-Keyward-Local; before it is known
// none is answered. ERR_INTERNAL for another length than PROC_LOCAL_KEY_LEN.
MUST_USE enum err server_set_local_key(struct server *server, struct span key);

// Both are borrowed.
void server_set_engines(struct server *server, struct engines *engines,
                        struct operations *operations);

// Serves on a listening socket, which it takes: TLS, or plain on a Unix socket. TLS connections are
// refused until there is an identity.
MUST_USE enum err server_listen(struct server *server, int fd);

// Shows this certificate to new connections; those that there are go on. ERR_CONFIG when key and
// certificate do not fit: the one before stays.
MUST_USE enum err server_set_identity(struct server *server, struct span key, struct span cert);

// Takes no new connections; what is under way goes on.
void server_close(struct server *server);

#endif
