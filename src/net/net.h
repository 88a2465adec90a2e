// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets, TLS and local, and connections. One event loop, nothing blocks. This room
// knows no protocol: the handler says how long a message is, gets it whole, and answers it now or
// later.
//
// A connection has one request in hand at a time; further ones stay unread until it is answered, so
// answers keep the order of requests and a peer that sends without reading is held up, not stored.
// The message stays readable until the answer.
//
// The peer is who its certificate says, looked at anew for each connection, resumed or not; of a
// local one the kernel tells the user. Silent and slow peers meet deadlines; where connections run
// out, the one that has been longest in its handshake makes room, then the longest idle. Where
// memory does, budget.c says who goes.
#ifndef KW_NET_NET_H
#define KW_NET_NET_H

#include <netinet/in.h>
#include <sys/types.h>

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

    // A handshake failed, for this reason; may be NULL. net_report tells more.
    void (*refused)(void *data, struct net_conn *conn, const char *why);
};

// What is asked of a client that connects by TLS.
enum net_client {
    NET_CLIENT_REQUIRED, // a certificate of one of our authorities; tickets may resume the session
    NET_CLIENT_ASKED,    // a certificate of any issuer, or none; HTTP/1.1; no session is resumed
};

// Who we are to a peer.
struct net_identity {
    struct span key;  // PEM; wiped by the caller
    struct span cert; // PEM, the certificate and its chain
    struct span ca;   // PEM, authorities of client certificates; unused with NET_CLIENT_ASKED
};

struct net_config {
    enum net_client client;
    struct net_identity identity; // without a key: TLS connections wait for net_set_identity
    size_t connections;           // at most
    size_t handshakes;            // of them, at most before a handshake is done
    size_t per_address;           // of one address: handshakes, or all when `counts_all`
    bool counts_all;
    size_t request_bytes; // of one message at most
    size_t answer_bytes;
    size_t held_bytes;    // of requests begun and answers untaken, by all connections
    int64_t handshake_ms; // until the peer's certificate is verified
    int64_t request_ms;   // from a request's first byte to its last
    int64_t idle_ms;      // between requests
    int64_t answer_ms;    // for the peer to take an answer
};

// Makes TLS context and event loop. ERR_CONFIG with OpenSSL's reason in words.
MUST_USE enum err net_new(const struct net_config *config, const struct net_handler *handler,
                          void *data, struct net **ret);
void net_free(struct net *net);
void net_freep(struct net **net);
struct event_base *net_base(struct net *net);

// New connections are met with this identity; those that there are keep theirs. ERR_CONFIG: the one
// before stays in force.
MUST_USE enum err net_set_identity(struct net *net, const struct net_identity *identity);

// The keys that TLS tickets are sealed with: NET_TICKETS_LEN bytes. Without them each process has
// its own, and knows no ticket of another.
enum { NET_TICKETS_LEN = 80 };
MUST_USE enum err net_set_tickets(struct net *net, struct span keys);

// Accepts on a listening socket (owned from now on), TLS or, on a Unix socket, plain.
MUST_USE enum err net_listen(struct net *net, int fd);

// One turn of the loop: handles events, waits for some if `wait`. Closed connections are freed at
// its end.
MUST_USE enum err net_turn(struct net *net, bool wait);

// Stops accepting, closes what is idle, and all others once their request is answered. net_count
// tells how many connections are left.
void net_stop(struct net *net);
size_t net_count(const struct net *net);

// Answers the request in hand; goes on with what the peer has sent meanwhile.
void net_answer(struct net_conn *conn, struct span answer);

// As net_answer, and closes the connection when the answer is sent.
void net_answer_last(struct net_conn *conn, struct span answer);

// Sends a part of the answer; net_answer or net_answer_last sends the last one. A peer that does
// not take its parts is closed, and `gone` is told.
void net_answer_part(struct net_conn *conn, struct span part);

// Closes without an answer.
void net_close(struct net_conn *conn);

// The request in hand.
struct span net_message(const struct net_conn *conn);

// NULL: the peer has shown no certificate.
const uint8_t *net_fingerprint(const struct net_conn *conn);

// True for a peer on a Unix socket: its user.
bool net_is_local(const struct net_conn *conn, uid_t *ret_uid);

// "127.0.0.1:40000" or "[::1]:40000"; "local".
const char *net_address(const struct net_conn *conn);

// The IPv4 address, mapped, or the IPv6 network of 64 bits; all zeros for a local peer.
const struct in6_addr *net_network(const struct net_conn *conn);

// True when the certificate that is shown now is one for this name or address.
bool net_is_named(const struct net *net, const char *name);

// Appends what is known of a client whose handshake failed, for whoever looks after it
// (model_put_refusal). False when there were too many within this second: the log has more.
bool net_report(const struct net_conn *conn, const char *why, struct buf *out);

// A pointer of the handler's, NULL at first.
void net_set_user(struct net_conn *conn, void *user);
void *net_user(const struct net_conn *conn);

#endif
