// SPDX-License-Identifier: Apache-2.0
//
// Cryptography by OpenSSL 3, the only room that includes <openssl/evp.h>: authenticated encryption,
// keyed hashes, passphrase stretching, key generation, certificates. It knows no policy and keeps
// nothing.
#ifndef KW_CRYPTO_CRYPTO_H
#define KW_CRYPTO_CRYPTO_H

#include "base/secret.h"

enum { CRYPTO_TOTP_DIGITS = 6, CRYPTO_TOTP_STEP_S = 30 };
enum { CRYPTO_KEY_LEN = 32, CRYPTO_SEAL_OVERHEAD = 24 + 16, CRYPTO_HASH_LEN = 32 };

// Authenticated encryption with associated data: XAES-256-GCM (C2SP), a fresh random 192-bit nonce
// each time, so that one key may seal 2^80 messages. Output: nonce | ciphertext | tag, appended.
// `key` has 32 bytes. ERR_CRYPTOGRAPHIC.
MUST_USE enum err crypto_seal(struct span key, struct span aad, struct span plain, struct buf *out);

// Opens what crypto_seal made, appending the plain bytes. ERR_DAMAGED when key, aad or bytes differ
// in any bit.
MUST_USE enum err crypto_open(struct span key, struct span aad, struct span sealed,
                              struct buf *out);

void crypto_sha256(struct span bytes, uint8_t out[CRYPTO_HASH_LEN]);
// Of one after the other.
void crypto_sha256_pair(struct span first, struct span second, uint8_t out[CRYPTO_HASH_LEN]);
MUST_USE enum err crypto_hmac_sha256(struct span key, struct span bytes,
                                     uint8_t out[CRYPTO_HASH_LEN]);

// A time-based one-time password (RFC 6238: HMAC-SHA-1, 6 digits) for one step of 30 seconds.
MUST_USE enum err crypto_totp(struct span key, uint64_t step, char out[CRYPTO_TOTP_DIGITS + 1]);

// HKDF-SHA-256 (RFC 5869) without salt: a 32-byte key for one purpose, named by `label`.
MUST_USE enum err crypto_derive(struct span key, const char *label, uint8_t out[CRYPTO_KEY_LEN]);

#endif
