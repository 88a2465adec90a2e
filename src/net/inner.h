// SPDX-License-Identifier: Apache-2.0
//
// What the files of this room share: a connection, the lists that its deadlines stand in, the loop.
#ifndef KW_NET_INNER_H
#define KW_NET_INNER_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/net.h"
#include "wire/limits.h"

// What a connection waits for. Each wait has one constant time limit, so its connections stand in a
// queue in the order of their deadlines.
enum wait {
    WAIT_HANDSHAKE, // for the peer's certificate
    WAIT_IDLE,      // for the first byte of a request
    WAIT_REQUEST,   // for the rest of it
    WAIT_HANDLER,   // for our own answer: no limit here
    WAIT_SENT,      // for the peer to take the answer
    WAIT_LINGER,    // for the peer to end, after the last answer
    WAIT_COUNT
};

struct net_queue {
    struct net_conn *first;
    struct net_conn *last;
    size_t count;
};

// Connections of one address: those that have not shown a certificate yet, or all.
struct address_slot {
    struct in6_addr address; // IPv4 as a mapped address, IPv6 its network's 64 bits
    uint32_t count;          // 0: free
};

struct address_table {
    struct address_slot *slots;
    size_t size; // a power of two
};

struct net_listener {
    struct net *net;
    struct event event;
    int fd;
};

enum { LISTENERS_MAX = 8, SCRATCH_LEN = 16 * 1024 };
// Connections that keep TLS buffers (34 KB) between requests, and for how long.
enum { WARM_MAX = 512, WARM_MS = 1000 };

struct net {
    struct event_base *base;
    SSL_CTX *tls; // NULL: no certificate yet
    enum net_client client;
    struct net_handler handler;
    void *data;
    struct event tick;
    struct net_listener listeners[LISTENERS_MAX];
    size_t listener_count;
    struct net_queue queues[WAIT_COUNT];
    int64_t limits_ms[WAIT_COUNT];
    struct net_conn *dead; // to be freed at the end of the turn
    size_t count;
    size_t count_max;
    size_t warm; // connections that keep their TLS buffers
    size_t handshakes_max;
    size_t per_address;
    size_t request_bytes;
    size_t answer_bytes;
    size_t held; // bytes, by all connections
    size_t held_max;
    bool counts_all; // per_address: all connections, not handshakes alone
    struct address_table addresses;
    int64_t now_ms; // monotonic, of this turn
    int64_t log_window;
    uint32_t log_count;
    int64_t report_second; // monotonic, of the reports that are counted
    unsigned reports;
    bool stopping;
    uint8_t scratch[SCRATCH_LEN]; // one TLS record's worth, wiped after use
};

// What a peer has shown that was refused.
struct net_shown {
    uint8_t fingerprint[NET_FINGERPRINT_LEN];
    char subject[256];
};

struct net_conn {
    struct net_shown *shown; // NULL: nothing that was refused
    struct net *net;
    SSL *ssl; // NULL: local
    int fd;
    uid_t uid; // of a local peer
    enum wait wait;
    int64_t deadline; // monotonic ms
    struct net_conn *previous;
    struct net_conn *next;
    struct event readable;
    struct event writable;
    bool want_write; // `writable` is armed
    bool unreadable; // `readable` is not armed
    bool pumping;    // on the stack: what comes back is not followed again
    bool closing;    // close when the answer is sent
    bool local;      // plain, over a Unix socket
    bool failed;     // TLS broke
    bool certified;  // `fingerprint` is set
    bool dead;
    bool warm;    // keeps its TLS buffers
    bool counted; // in the address table
    bool has_size;
    size_t size;    // of the message at the front of `in`, when has_size
    struct buf in;  // from the first byte of a request until it is answered
    struct buf out; // what the socket did not take
    size_t sent;    // bytes of it that are gone
    size_t held;    // memory of both, as counted in the net's
    void *user;
    struct in6_addr address;
    uint8_t fingerprint[NET_FINGERPRINT_LEN];
    char address_text[NET_ADDRESS_TEXT];
};

// tls.c
MUST_USE enum err tls_context(enum net_client client, const struct net_identity *identity,
                              SSL_CTX **ret);
MUST_USE enum err tls_set_tickets(SSL_CTX *tls, struct span keys);
// Tickets of one context count in the other.
void tls_keep_tickets(SSL_CTX *from, SSL_CTX *to);
// The certificate of a finished handshake: its fingerprint; ERR_AUTHENTICATION when there is none
// and one is required, when it is not valid now, or weak.
MUST_USE enum err tls_identify(SSL *ssl, enum net_client client, bool *ret_certified,
                               uint8_t ret_fingerprint[NET_FINGERPRINT_LEN]);
// Keeps what was shown in a handshake that failed, unless it is kept already.
void tls_note_shown(struct net_conn *conn);
bool tls_is_named(SSL_CTX *tls, const char *name);
// Why the last call on `ssl` failed, in words.
const char *tls_reason(SSL *ssl);

// stream.c: what became of a call, and what it waits for.
enum stream { STREAM_DONE, STREAM_WANTS_READ, STREAM_WANTS_WRITE, STREAM_OVER };
MUST_USE enum err stream_open_tls(struct net_conn *conn);
MUST_USE enum err stream_open_local(struct net_conn *conn);
enum stream stream_shake(struct net_conn *conn);
MUST_USE enum err stream_identify(struct net_conn *conn);
const char *stream_reason(struct net_conn *conn);
// *ret_len is set with STREAM_DONE alone.
enum stream stream_read(struct net_conn *conn, void *out, size_t room, size_t *ret_len);
enum stream stream_write(struct net_conn *conn, struct span bytes, size_t *ret_len);
// Whether the buffers of TLS stay between records. Without, they are wiped and freed after each.
void stream_keep_buffers(struct net_conn *conn, bool keep);
bool stream_has_pending(const struct net_conn *conn);
void stream_end(struct net_conn *conn);  // nothing more will be written
void stream_free(struct net_conn *conn); // closes the socket

// conn.c
MUST_USE enum err conn_new(struct net *net, int fd, const struct sockaddr_storage *peer);
void conn_close(struct net_conn *conn);
void conn_free_dead(struct net *net);
void conn_check_deadlines(struct net *net);
void conn_cool(struct net *net);

// words.c: why a handshake failed: X509_V_ERR_… and OpenSSL's error code, 0 for neither.
const char *words_tell(long verified, unsigned long code);

// budget.c: after `in` or `out` has changed.
void budget_count(struct net_conn *conn);
// As budget_count; when that is too much for all together, some are closed. False when this one
// was.
bool budget_keep(struct net_conn *conn);

// net.c: one line in the log, unless there were too many of late.
bool net_may_log(struct net *net);
// Closes a connection (NULL: none) to make room, with a line in the log.
void net_drop(struct net_conn *conn, const char *why);

// address.c
MUST_USE enum err address_init(struct address_table *table, size_t entries);
void address_done(struct address_table *table);
uint32_t address_count(const struct address_table *table, const struct in6_addr *address);
void address_add(struct address_table *table, const struct in6_addr *address);
void address_remove(struct address_table *table, const struct in6_addr *address);

#endif
