// SPDX-License-Identifier: Apache-2.0
//
// What KMIP messages mean: request bytes to a `struct batch`, `struct replies` to response bytes.
// No I/O, no policy; what may stand where comes from the tables of spec/kmip.
//
// A request may use whatever its major version has in any minor version, since products mix them;
// an answer holds only what the version of the request has. An item of the batch that cannot be
// understood travels as VERB_NONE, so that order and error handling stay the batch's own, and is
// answered with what decoding said. Query and Discover Versions are answered here.
#ifndef KW_KMIP_KMIP_H
#define KW_KMIP_KMIP_H

#include "model/model.h"

// One batch item, beside the request of the same position.
struct kmip_item {
    uint32_t operation;   // as asked; 0 when it could not be read
    bool has_id;          // a Unique Batch Item ID was given, and is echoed
    struct span id;       // borrowed from the message
    enum err status;      // not ERR_OK: why the item is not run
    struct span message;  // then: for the client
    bool named;           // the client named the attributes that it wants
    uint64_t functions;   // Query: bit 1 << Query Function
    uint16_t *versions;   // Discover Versions: what the client offers
    size_t version_count; // 0: it asks for all
};

// What an answer needs of its request. Borrows from the message and the arena.
struct kmip_call {
    uint16_t version;        // of the answer: the one asked, else the nearest that is served
    int64_t maximum;         // Maximum Response Size in bytes, -1 when not given
    struct kmip_item *items; // batch.count of them, NULL when the message was refused as a whole
    struct batch batch;      // `who` and `id` are left to the caller
};

// Decodes one whole request message. *call is set in any case: on an error it holds what
// kmip_encode_failure needs to answer. ERR_MESSAGE, ERR_VERSION, ERR_TOO_LARGE (also when a change
// was asked whose answer could not fit into Maximum Response Size), ERR_FEATURE (asynchronous).
MUST_USE enum err kmip_decode(struct span message, struct arena *arena, struct kmip_call *call);

// False when all items are answered without an engine.
bool kmip_needs_engine(const struct kmip_call *call);

// True when an item changes the store, so that the outcome is unknown when an engine dies.
bool kmip_writes(const struct kmip_call *call);

// Appends the response message. `replies` has one for each item of the batch (NULL when no engine
// was needed). An answer that is too long for the client, or for LIMIT_ANSWER, becomes a failure
// that says so; an answer to a change leaves out what it may leave out instead. ERR_INTERNAL when
// replies do not match the call, ERR_MEMORY; `out` is then as before.
MUST_USE enum err kmip_encode(const struct kmip_call *call, const struct replies *replies,
                              struct buf *out);

// Appends a response message in which every item failed with `code`; one item without operation
// when the message was refused as a whole. `message` is text for the client; where it would not fit
// into Maximum Response Size it is left out, then all items but the first are.
MUST_USE enum err kmip_encode_failure(const struct kmip_call *call, enum err code,
                                      const char *message, struct buf *out);

#endif
