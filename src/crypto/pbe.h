// SPDX-License-Identifier: Apache-2.0
//
// Password-based encryption of other people's key files: PBES2 with PBKDF2 and AES-CBC or 3DES (RFC
// 8018), and PKCS#12's own with SHA-1 and 3DES (RFC 7292 appendix C). Every iteration count is
// checked before anything is stretched, and all of a file come out of one purse. Private to crypto.
#ifndef KW_CRYPTO_PBE_H
#define KW_CRYPTO_PBE_H

#include "base/buf.h"

enum { PBE_PASSWORD_MAX = 1024, PBE_SALT_MAX = 1024 };

struct pbe {
    struct span password; // UTF-8
    struct buf wide;      // the same as PKCS#12 wants it: UTF-16, terminated
    int64_t left;         // iterations that may still be done
};

// ERR_INVALID for a password that is too long or not UTF-8.
MUST_USE enum err pbe_init(struct pbe *pbe, struct span password, int64_t iterations);
void pbe_done(struct pbe *pbe);

// `algorithm` is the body of an AlgorithmIdentifier. Appends the plain bytes. ERR_PASSPHRASE when
// they do not decrypt, ERR_FEATURE names an algorithm that is not served, ERR_TOO_LARGE asks for
// too much.
MUST_USE enum err pbe_open(struct pbe *pbe, struct span algorithm, struct span cipher,
                           struct buf *out);

// ERR_PASSPHRASE unless `mac` is the HMAC of `bytes` by PKCS#12's own derivation. `hash` is the
// body of the hash's AlgorithmIdentifier.
MUST_USE enum err pbe_check_mac(struct pbe *pbe, struct span hash, struct span salt,
                                int32_t iterations, struct span bytes, struct span mac);

#endif
