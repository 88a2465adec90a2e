// SPDX-License-Identifier: Apache-2.0
//
// Every number by which a peer could make this server work or remember too much. A peer that goes
// past one is refused before memory is taken for what it claims.
#ifndef KW_WIRE_LIMITS_H
#define KW_WIRE_LIMITS_H

enum {
    LIMIT_MESSAGE = 1024 * 1024,     // bytes of one KMIP request
    LIMIT_ANSWER = 4 * 1024 * 1024,  // bytes of one KMIP answer
    LIMIT_DEPTH = 32,                // structures inside each other, the message itself counted
    LIMIT_ITEMS = 10000,             // TTLV items in one message
    LIMIT_TEXT = 64 * 1024,          // bytes of one text that is kept (an attribute, an identifier)
    LIMIT_BATCH_ID = 1024,           // bytes of a Unique Batch Item ID or Client Correlation Value
    LIMIT_ARENA = 16 * 1024 * 1024,  // memory for what one loop turn decodes
    LIMIT_CONNECTIONS = 16384,       // of one front
    LIMIT_HELD = 256 * 1024 * 1024,  // bytes of requests begun and answers untaken, of one front
    LIMIT_HANDSHAKES = 4096,         // of them, without a verified certificate yet
    LIMIT_PER_ADDRESS = 256,         // connections of one address
    LIMIT_HANDSHAKE_MS = 10 * 1000,  // until the certificate is verified
    LIMIT_REQUEST_MS = 30 * 1000,    // from a request's first byte to its last
    LIMIT_ANSWER_MS = 30 * 1000,     // for the peer to take an answer
    LIMIT_IDLE_MS = 5 * 60 * 1000,   // between requests
    LIMIT_ENGINE_WAIT_MS = 5 * 1000, // for an engine that is being started again
    LIMIT_ENGINE_ANSWER_MS = 60 * 1000 // for an engine to answer
};

#endif
