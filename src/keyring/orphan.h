// SPDX-License-Identifier: Apache-2.0
//
// Root keys on an HSM that belong to no generation: made by an operation that then failed or was
// killed, or left on an HSM that was given up as lost. They are never used and never destroyed by
// Keyward; `hsmclient verify` lists them with the operation that left them, for the HSM's
// administrator to remove.
#ifndef KW_KEYRING_ORPHAN_H
#define KW_KEYRING_ORPHAN_H

#include "base/rand.h"
#include "hsm/hsm.h"
#include "keyring/rootfile.h"

enum { ORPHANS_MAX = 256 };

struct orphan {
    struct uuid operation;
    uint32_t number; // 0: not known, the operation ended while it made the key, which may not exist
    // Of a key on an HSM that was given up as lost: its token. Else empty: the token in use then.
    char token_label[HSM_LABEL_MAX + 1];
    char token_serial[HSM_LABEL_MAX + 1];
};

// As lines of a text.
MUST_USE enum err orphan_put(const struct orphan *orphan, struct buf *out);
MUST_USE enum err orphan_take(struct span *text, struct orphan *ret);

// Adds one, durably; nothing happens when it is there already. The oldest goes when there are too
// many.
MUST_USE enum err orphan_add(int root, const struct orphan *orphan);

// At most ORPHANS_MAX, oldest first. No file: none.
MUST_USE enum err orphan_load(int root, struct orphan ret[ORPHANS_MAX], size_t *ret_count);

#endif
