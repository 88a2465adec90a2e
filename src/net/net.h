// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets, TLS, connections. One event loop, nothing blocks. This room knows no protocol:
// the handler says how long a message is, gets it whole, and answers it now or later.
//
// A connection has one request in hand at a time; further ones stay unread until it is answered, so
// answers keep the order of requests and a peer that sends without reading is held up, not stored.
// The message stays readable until the answer.
//
// The peer is who its certificate says, looked at anew for each connection, resumed or not. Silent
// and slow peers meet deadlines (wire/limits.h); where connections run out, the one that has been
// longest in its handshake makes room, then the longest idle.
#ifndef KW_NET_NET_H
#define KW_NET_NET_H

#include "base/buf.h"

struct event_base;
struct net;
struct net_conn;

// 32 bytes: SHA-256 of the client certificate in DER.
enum { NET_FINGERPRINT_LEN = 32, NET_ADDRESS_TEXT = 64 };

struct net_handler {
    // How many bytes the message has that begins with `have`: 0 in *ret_size when more are needed
    // to tell. An error ends the connection after `broken` has answered.
    enum err (*size)(void *data, struct span have, size_t *ret_size);

    // A whole message. Call net_answer, now or later.
    void (*request)(void *data, struct net_conn *conn, struct span message);

    // What arrives is no message; may call net_answer once. The connection closes after that.
    void (*broken)(void *data, struct net_conn *conn, enum err code);

    // The connection is gone while its request was unanswered; forget it.
    void (*gone)(void *data, struct net_conn *conn);
};

struct net_config {
    struct span key;      // PEM; wiped by the caller when net_new returns
    struct span cert;     // PEM, the certificate and its chain
    struct span ca;       // PEM, authorities of client certificates
    int64_t handshake_ms; // until the peer's certificate is verified
    int64_t request_ms;   // from a request's first byte to its last
    int64_t idle_ms;      // between requests
};

// Makes TLS context and event loop. ERR_CONFIG with OpenSSL's reason in words.
MUST_USE enum err net_new(const struct net_config *config, const struct net_handler *handler,
                          void *data, struct net **ret);
void net_free(struct net *net);
void net_freep(struct net **net);
struct event_base *net_base(struct net *net);

// The keys that TLS tickets are sealed with: NET_TICKETS_LEN bytes. Without them each process has
// its own, and knows no ticket of another.
enum { NET_TICKETS_LEN = 80 };
MUST_USE enum err net_set_tickets(struct net *net, struct span keys);

// Accepts on a listening socket (owned from now on).
MUST_USE enum err net_listen(struct net *net, int fd);

// One turn of the loop: waits for events and handles them. Closed connections are freed at its end.
MUST_USE enum err net_turn(struct net *net);

// Stops accepting, closes what is idle, and all others once their request is answered. net_count
// tells how many connections are left.
void net_stop(struct net *net);
size_t net_count(const struct net *net);

// Answers the request in hand; goes on with what the peer has sent meanwhile.
void net_answer(struct net_conn *conn, struct span answer);

// Closes without an answer.
void net_close(struct net_conn *conn);

// The request in hand.
struct span net_message(const struct net_conn *conn);

const uint8_t *net_fingerprint(const struct net_conn *conn);

// "127.0.0.1:40000" or "[::1]:40000".
const char *net_address(const struct net_conn *conn);

// A pointer of the handler's, NULL at first.
void net_set_user(struct net_conn *conn, void *user);
void *net_user(const struct net_conn *conn);

#endif
