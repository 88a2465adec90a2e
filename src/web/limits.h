// SPDX-License-Identifier: Apache-2.0
//
// Every number by which somebody who speaks HTTP could make this process work or remember too much.
// Those marked * are settings of keywardd.conf, in seconds or as a number.
#ifndef KW_WEB_LIMITS_H
#define KW_WEB_LIMITS_H

enum {
    // one request
    WEB_HEAD_BYTES = 16 * 1024,     // request line and headers
    WEB_TARGET_BYTES = 8 * 1024,    // path and query
    WEB_HEADERS = 64,               // header lines
    WEB_BODY_BYTES = 1024 * 1024,   // body
    WEB_ANSWER_BYTES = 8192 * 1024, // of an answer's body

    // connections
    WEB_CONNECTIONS = 1024,       // in total
    WEB_HANDSHAKES = 256,         // of them, before the TLS handshake is done
    WEB_PER_ADDRESS = 128,        // of one IPv4 address or IPv6 network of 64 bits *
    WEB_HANDSHAKE_MS = 10 * 1000, // for the TLS handshake *
    WEB_REQUEST_MS = 20 * 1000,   // from a request's first byte to its last *
    WEB_ANSWER_MS = 30 * 1000,    // for the peer to take an answer
    WEB_IDLE_MS = 60 * 1000,      // between requests
    WEB_STREAMS = 64,             // streams of events at the same time
    WEB_HEARTBEAT_MS = 15 * 1000, // of such a stream

    // all connections together
    WEB_HELD_BYTES = 128 * 1024 * 1024, // of requests begun and answers untaken

    // requests of one address, over TLS
    WEB_REQUESTS_A_SECOND = 100, // sustained *
    WEB_REQUESTS_BURST = 4,      // seconds' worth at once
    WEB_STRANGERS_A_MINUTE = 60, // requests that turned out to come from nobody known *
    WEB_ADDRESSES = 4096,        // addresses remembered
};

#endif
