// SPDX-License-Identifier: Apache-2.0
//
// Key pairs: generating them (KMIP Create Key Pair) and changing between the encodings that Get
// offers. Private keys are PKCS#8 DER inside Keyward, public keys SubjectPublicKeyInfo DER.
#ifndef KW_CRYPTO_KEYPAIR_H
#define KW_CRYPTO_KEYPAIR_H

#include "base/buf.h"

enum keypair_kind {
    KEYPAIR_RSA, // bits: 2048, 3072, 4096
    KEYPAIR_P256,
    KEYPAIR_P384,
    KEYPAIR_P521,
    KEYPAIR_ED25519,
    KEYPAIR_X25519,
    KEYPAIR_KIND_COUNT
};

enum keypair_format {
    KEYPAIR_PKCS8, // private: PKCS#8 (RFC 5958)
    KEYPAIR_PKCS1, // RSA alone: RSAPrivateKey or RSAPublicKey (RFC 8017 appendix A.1)
    KEYPAIR_SEC1,  // EC alone, private: ECPrivateKey (RFC 5915)
    KEYPAIR_SPKI,  // public: X.509 SubjectPublicKeyInfo (RFC 5280)
    KEYPAIR_RAW    // Ed25519 and X25519: 32 bytes; EC public: the uncompressed point
};

enum { KEYPAIR_DER_MAX = 16384 }; // bytes of one encoded key that is looked at

struct keypair_info {
    enum keypair_kind kind;
    int bits; // of the modulus, or of the field
};

// Appends a fresh pair. `bits` matters for RSA alone. Blocks while RSA primes are searched (4096
// bits: up to seconds). ERR_INVALID for a length that is not offered.
MUST_USE enum err keypair_generate(enum keypair_kind kind, int bits, struct buf *ret_private_pkcs8,
                                   struct buf *ret_public_spki);

// The same key in another encoding, appended. `from` says what `der` is. ERR_INVALID when it is not
// a key of a kind above in that encoding, ERR_KEY_FORMAT when the key has no such encoding.
MUST_USE enum err keypair_convert_private(struct span der, enum keypair_format from,
                                          enum keypair_format to, struct buf *out);
MUST_USE enum err keypair_convert_public(struct span der, enum keypair_format from,
                                         enum keypair_format to, struct buf *out);

// The public half of a private key (any of the DER encodings), as SubjectPublicKeyInfo.
MUST_USE enum err keypair_public_of(struct span private_der, enum keypair_format from,
                                    struct buf *ret_spki);

// What key it is, and whether its numbers can be those of a key: ERR_INVALID. `is_private` says
// which half `der` holds.
MUST_USE enum err keypair_describe(struct span der, enum keypair_format from, bool is_private,
                                   struct keypair_info *ret);

#endif
