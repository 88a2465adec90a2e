// SPDX-License-Identifier: Apache-2.0
//
// The second factor: one-time passwords by time (RFC 6238). A code counts once, and never after a
// later one.
#ifndef KW_OPS_TOTP_H
#define KW_OPS_TOTP_H

#include "ops/account.h"

enum { TOTP_SECRET_LEN = 20, TOTP_TEXT_LEN = 32 };

// Whether the code is that of now, of the step before or of the one after (clocks differ), and of
// none that was used. Compares all of them in constant time. *ret_step is which it was.
MUST_USE enum err totp_check(const struct account *account, struct span code, int64_t now_s,
                             bool *ret_fits, int64_t *ret_step);

// A new secret, and how people type it (base32).
void totp_make(uint8_t ret[TOTP_SECRET_LEN], char text[TOTP_TEXT_LEN + 1]);

#endif
