// SPDX-License-Identifier: Apache-2.0
//
// The PIN latch. A stored HSM credential that a token has refused once is not tried again by
// itself, also not after a restart: a token locks after a few wrong ones. A person clears it, by
// Set Credential or open_wallet. The file holds a random key and a MAC under it of credential,
// label and library, so that a changed setting or credential counts as a new one.
#ifndef KW_KEYRING_LATCH_H
#define KW_KEYRING_LATCH_H

#include "hsm/hsm.h"

// ERR_HSM_PIN_LATCHED when this credential was refused by this token and library before. A latch
// file that cannot be read counts as latched.
MUST_USE enum err latch_check(int root, const struct hsm_settings *settings,
                              struct span credential);

// Durable on return.
MUST_USE enum err latch_set(int root, const struct hsm_settings *settings, struct span credential);
MUST_USE enum err latch_clear(int root);
bool latch_is_set(int root);

#endif
