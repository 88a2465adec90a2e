// SPDX-License-Identifier: Apache-2.0
//
// For known-answer tests alone: the functions of crypto.h with what they else choose themselves.
#ifndef KW_CRYPTO_KAT_H
#define KW_CRYPTO_KAT_H

#include "base/buf.h"

// crypto_seal with a nonce that is given. Never twice the same for one key.
MUST_USE enum err kat_seal(struct span key, const uint8_t nonce[24], struct span aad,
                           struct span plain, struct buf *out);

// HKDF-SHA-256 without salt (RFC 5869), any length up to 255 * 32 bytes.
MUST_USE enum err kat_hkdf(struct span key, struct span info, uint8_t *out, size_t len);

#endif
