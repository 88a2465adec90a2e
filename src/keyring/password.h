// SPDX-License-Identifier: Apache-2.0
//
// `enctdepwd`: the wallet password, encrypted by the HSM's root key. A header says which key on
// which token, by which mechanism; the HSM-encrypted random key (DEK) follows, and the password
// sealed under the DEK with the header as associated data. The header is this file's own: it stays
// as it was when Set Credential changes the label in the settings.
#ifndef KW_KEYRING_PASSWORD_H
#define KW_KEYRING_PASSWORD_H

#include "base/rand.h"
#include "base/secret.h"
#include "hsm/hsm.h"

enum { PASSWORD_FILE_MAX = 4096 }; // bytes

struct password_header {
    struct uuid server;
    uint32_t generation;                  // of the root record when it was written
    char token_label[HSM_LABEL_MAX + 1];  // of the token then
    char token_serial[HSM_LABEL_MAX + 1]; // likewise
    struct hsm_key key;
    char mechanism[32];
};

// Appends the file. `sealed_dek` is what hsm_seal gave for `dek`.
MUST_USE enum err password_encode(const struct password_header *header, struct span sealed_dek,
                                  struct span dek, struct span password, struct buf *out);

// The header, and the two sealed parts borrowed from `bytes`. ERR_DAMAGED; nothing is authenticated
// yet.
MUST_USE enum err password_decode(struct span bytes, struct password_header *ret,
                                  struct span *ret_sealed_dek, struct span *ret_sealed);

// The wallet password. ERR_DAMAGED when the DEK is not the one: another key of the HSM, or damage.
MUST_USE enum err password_open(struct span bytes, struct span dek, struct secret **ret);

#endif
