// SPDX-License-Identifier: Apache-2.0
//
// The PIN latch. A stored HSM credential that a token has refused once is not tried again by
// itself, also not after a restart: a token locks after a few wrong ones. A person clears it, by
// Set Credential or open_wallet. Where the file cannot be written, core.h's `pin_refused` stands in
// for it until the keeper ends. The file holds a random key and a MAC under it of credential,
// label and library, so that a changed setting or credential counts as a new one.
#ifndef KW_KEYRING_LATCH_H
#define KW_KEYRING_LATCH_H

#include "hsm/hsm.h"

// ERR_HSM_PIN_LATCHED when this credential was refused by this token and library before. A latch
// file that cannot be read counts as latched.
MUST_USE enum err latch_check(int root, const struct hsm_settings *settings,
                              struct span credential);

// Raises ERR_HSM_PIN_LATCHED: for whoever remembers the refusal though the latch is not on disk.
enum err latch_refuse(void);

// Durable on return.
MUST_USE enum err latch_set(int root, const struct hsm_settings *settings, struct span credential);
MUST_USE enum err latch_clear(int root);
bool latch_is_set(int root);

#endif
