// SPDX-License-Identifier: Apache-2.0
//
// Separation of duties where somebody resets what somebody else signs in with, and so could sign in
// as that person: nobody gets a role that way, and nobody who is no Key Administrator gets at keys.
// Who reaches any is held: keys and wallets are out of reach until a Key Administrator restores the
// access (docs/decisions/0009).
#ifndef KW_OPS_HOLD_H
#define KW_OPS_HOLD_H

#include "ops/account.h"

// ERR_NOT_PERMITTED when the account holds a role that the asker lacks.
MUST_USE enum err hold_check(const struct op *op, const struct account *account);

// Within the transaction of a reset, before the account is written: sets USER_HELD where the asker
// is no Key Administrator and the account owns objects, reaches wallets or manages something; the
// audit trail tells it.
MUST_USE enum err hold_set(struct op *op, struct account *account);

#endif
