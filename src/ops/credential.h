// SPDX-License-Identifier: Apache-2.0
//
// What stands for a user without a password: sessions, API tokens, certificates; and set-up links,
// which make one account. A secret is 256 random bits, told once; the store has its SHA-256.
#ifndef KW_OPS_CREDENTIAL_H
#define KW_OPS_CREDENTIAL_H

#include "ops/account.h"

enum { CREDENTIAL_TEXT_LEN = 68, CREDENTIAL_LABEL_MAX = 256, CREDENTIAL_SEALED_MAX = 1024 };

// Makes a secret of this kind: its text ("kws_…", "kwt_…", "kwl_…" and 64 hexadecimal digits) and
// its hash, which is that of the whole text.
void credential_make(uint32_t kind, char text[CREDENTIAL_TEXT_LEN + 1], uint8_t hash[32]);

// Stores a new one; id, version and created are set here. `label` says what it is to people.
MUST_USE enum err credential_put(struct op *op, struct store_credential *row, struct span label);

// ERR_DAMAGED when the row is not what was sealed.
MUST_USE enum err credential_open(struct op *op, const struct store_credential *row,
                                  struct span *ret_label);

// Seals the row again under the newest data key.
MUST_USE enum err credential_reseal(struct op *op, struct store_credential *row);

// One of the asker's own, by its identifier. ERR_NOT_FOUND.
MUST_USE enum err credential_own(struct op *op, struct span id, uint32_t kind,
                                 struct store_credential *ret);

// Takes away all of one user's, of this kind or (0) of any, but the one with the id `but`.
MUST_USE enum err credential_end_all(struct op *op, const struct uuid *user, uint32_t kind,
                                     const struct uuid *but, uint64_t *ret_count);

#endif
