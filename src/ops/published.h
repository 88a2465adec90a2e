// SPDX-License-Identifier: Apache-2.0
//
// Where others find the authorities' certificates and revocation lists. Unless an administrator has
// said at which address this server is reached, issued certificates name no place.
#ifndef KW_OPS_PUBLISHED_H
#define KW_OPS_PUBLISHED_H

#include "crypto/pki.h"
#include "ops/doc.h"

// What a certificate of this authority is to name, in the arena.
MUST_USE enum err published_places(struct op *op, const struct uuid *authority,
                                   struct pki_places *ret);

#endif
