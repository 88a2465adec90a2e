// SPDX-License-Identifier: Apache-2.0
//
// Users as principals: from the hash of a session, token or certificate to who it is and what it
// may do now. Everything is looked up for each request, so that what is revoked, locked or taken
// away counts no more from the next request on.
#ifndef KW_OPS_IDENTITY_H
#define KW_OPS_IDENTITY_H

#include "ops/account.h"

enum { IDENTITY_ROLES = RIGHT_SYSTEM | RIGHT_KEY | RIGHT_AUDIT };

// Sets id, name, rights and `held` of op->who, and op->must_change. ERR_AUTHENTICATION, one text
// for every reason.
MUST_USE enum err identity_resolve(struct op *op);

// Whether somebody who must change the password may use the verb all the same.
bool identity_may_wait(enum verb verb);

// Whether nobody may hold several roles.
MUST_USE enum err identity_separated(struct op *op, bool *ret);
MUST_USE enum err identity_separate(struct op *op, bool enforced);

// What a user's rights come to: of several roles none counts where they are separated.
uint32_t identity_effective(uint32_t rights, bool separated);

// True when the user is the only one who can act as System Administrator.
MUST_USE enum err identity_is_last(struct op *op, const struct store_user *user, bool *ret);

// The account of the one who asks. ERR_NOT_PERMITTED when it is no user, or, where a `session` is
// wanted, a token or a certificate.
MUST_USE enum err identity_account(struct op *op, bool session, struct account *ret);

// The credential of the one who asks.
MUST_USE enum err identity_credential(struct op *op, struct store_credential *ret);

#endif
