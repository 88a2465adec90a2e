// SPDX-License-Identifier: Apache-2.0
//
// A connection to somewhere outside: TCP, in the clear or through TLS, with a deadline on every
// step. Every wait also ends when the supervisor has something to say (ERR_CANCELED). Errors name
// the host and what to look at.
#ifndef KW_COURIER_STREAM_H
#define KW_COURIER_STREAM_H

#include "base/buf.h"

enum { STREAM_STEP_MS = 10000, STREAM_CONNECT_MS = 15000, STREAM_HOST_MAX = 255 };

struct stream_target {
    const char *host; // name or address
    int port;
    bool tls;           // from the first byte
    bool only_loopback; // refuse to speak to any other address
    struct span ca;     // PEM; empty: the system's authorities
};

struct stream;

// Resolves, connects, and shakes hands where `tls`. The certificate must be valid for `host`.
MUST_USE enum err stream_open(const struct stream_target *target, int control_fd,
                              struct stream **ret);
void stream_free(struct stream *stream);
void stream_freep(struct stream **stream);

// Goes over to TLS (SMTP's STARTTLS).
MUST_USE enum err stream_secure(struct stream *stream);

MUST_USE enum err stream_write(struct stream *stream, struct span bytes);

// A line without its end, at most `room` - 1 bytes and a NUL.
MUST_USE enum err stream_line(struct stream *stream, char *line, size_t room);

// Waits until the peer's kernel has taken all that was written; then looks whether the peer has
// closed: ERR_UNAVAILABLE.
MUST_USE enum err stream_settle(struct stream *stream);

// Whether the connection still stands, without waiting.
bool stream_is_open(struct stream *stream);

#endif
