// SPDX-License-Identifier: Apache-2.0
//
// The key that signs the audit trail: made by the writer when the store is first open, sealed in
// the node setting "audit.key". The writer signs a head after AUDIT_SIGN_RECORDS records or
// AUDIT_SIGN_MS, and when it stops; while the store is locked nothing is signed.
#ifndef KW_OPS_SIGNER_H
#define KW_OPS_SIGNER_H

#include "ops/context.h"

// The key, with its private half in the arena. ERR_NOT_FOUND before the writer has made one.
// ERR_LOCKED, ERR_DAMAGED.
MUST_USE enum err signer_get(struct ops *ops, struct arena *arena, struct audit_signer *ret);

// Seals it under the newest data key, within a write transaction. *ret_moved false: it was.
MUST_USE enum err signer_reseal(struct op *op, bool *ret_moved);

// The writer's housekeeping. `stopping`: sign whatever is not signed.
MUST_USE enum err signer_idle(struct ops *ops, bool stopping);

// Within a write transaction: a new key signs from here on.
MUST_USE enum err signer_rotate(struct op *op, uint8_t ret_public[AUDIT_PUBLIC_LEN]);

#endif
