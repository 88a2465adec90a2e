// SPDX-License-Identifier: Apache-2.0
//
// Signatures by Ed25519 (RFC 8032): keys and signatures are the raw bytes of the standard.
#ifndef KW_CRYPTO_ED25519_H
#define KW_CRYPTO_ED25519_H

#include "base/buf.h"

enum { ED25519_KEY_LEN = 32, ED25519_SIGNATURE_LEN = 64 };

// Appends a fresh private key to a `secret` buf.
MUST_USE enum err ed25519_make(struct buf *ret_private, uint8_t ret_public[ED25519_KEY_LEN]);

// ERR_CRYPTOGRAPHIC, also for a key of another length.
MUST_USE enum err ed25519_sign(struct span private_key, struct span message,
                               uint8_t ret[ED25519_SIGNATURE_LEN]);

bool ed25519_check(const uint8_t public_key[ED25519_KEY_LEN], struct span message,
                   const uint8_t signature[ED25519_SIGNATURE_LEN]);

#endif
