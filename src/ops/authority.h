// SPDX-License-Identifier: Apache-2.0
//
// Whether the one who asks may use the request's verb on the wallet, endpoint, group or account
// that is meant. What somebody may not even see is not found, in the words in which it would not be
// found were it not there. (Objects: ops/object.h.)
#ifndef KW_OPS_AUTHORITY_H
#define KW_OPS_AUTHORITY_H

#include "ops/context.h"

// What the one who asks holds on a wallet: bits of enum grant_access.
MUST_USE enum err authority_access(struct op *op, const struct uuid *wallet, uint32_t *ret);

// ERR_NOT_FOUND when the wallet is out of the asker's sight, ERR_NOT_PERMITTED when only the verb
// is.
MUST_USE enum err authority_wallet(struct op *op, const struct uuid *wallet);

// The same for an endpoint or a group of endpoints, by the privilege to manage it.
MUST_USE enum err authority_thing(struct op *op, const struct uuid *thing);

// The same for a user, who may be oneself.
MUST_USE enum err authority_user(struct op *op, const struct uuid *user);

// Lets the asker, a user, manage what it has just made.
MUST_USE enum err authority_give(struct op *op, const struct uuid *thing);

// Whether the verb is permitted whatever is meant: by a role, a privilege or the local socket.
bool authority_is_general(const struct op *op);

// Whether the asker holds one of these rights, or administers over the local socket.
bool authority_has(const struct op *op, uint32_t rights);

#endif
