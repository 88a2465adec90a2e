// SPDX-License-Identifier: Apache-2.0
//
// Who asks: the principal of a batch, completed by what the store knows of it.
#ifndef KW_OPS_PEER_H
#define KW_OPS_PEER_H

#include "ops/context.h"

enum { ENDPOINT_SEALED_MAX = 64 * 1024 };

// Sets op->who. For an endpoint: looks it up by its certificate's fingerprint in this turn's
// snapshot. ERR_AUTHENTICATION when no enrolled endpoint has it; op->who then stays without id.
MUST_USE enum err peer_resolve(struct op *op);

// What is sealed in an endpoint's row.
struct peer_record {
    struct span name;
    struct span type; // what kind of client, free text
    struct span description;
    struct span certificate; // PEM
};

MUST_USE enum err peer_open(struct ops *ops, struct arena *arena, const struct store_endpoint *row,
                            struct peer_record *ret);
MUST_USE enum err peer_seal(struct ops *ops, struct arena *arena, const struct peer_record *record,
                            struct store_endpoint *row);

#endif
