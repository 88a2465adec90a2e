// SPDX-License-Identifier: Apache-2.0
//
// A PKCS#12 file (RFC 7292) of secret bags, which `openssl pkcs12` and others open: PBES2 with
// AES-256-CBC and PBKDF2-HMAC-SHA-256, MAC with SHA-256. What the bags mean is the caller's.
#ifndef KW_CRYPTO_PKCS12_H
#define KW_CRYPTO_PKCS12_H

#include "base/buf.h"

enum {
    PKCS12_FILE_MAX = 1 << 20,        // bytes that pkcs12_decode looks at
    PKCS12_BAGS_MAX = 4096,           // bags in one file
    PKCS12_VALUE_MAX = 1024,          // bytes of one bag's value
    PKCS12_NAME_MAX = 63,             // bytes of a friendly name
    PKCS12_ITERATIONS_MAX = 10000000, // a file that asks for more is refused
    PKCS12_PASSWORD_MAX = 1024        // bytes
};

struct pkcs12_bag {
    char name[PKCS12_NAME_MAX + 1]; // friendlyName, ASCII
    int64_t time;                   // signingTime, seconds since 1970; 0 when there is none
    struct span value;
};

// Appends the file's DER. `iterations` is of PBKDF2; the MAC, whose derivation hashes once an
// iteration where PBKDF2 hashes twice, gets the double. Blocks for as long as the stretching takes.
// ERR_CRYPTOGRAPHIC, ERR_INVALID for a password that holds a NUL or is not UTF-8.
MUST_USE enum err pkcs12_encode(const struct pkcs12_bag *bags, size_t count, struct span password,
                                int iterations, struct buf *out);

// Calls `each` for each secret bag, in file order; the bag is borrowed during the call and other
// kinds of bags are passed over. ERR_PASSPHRASE when the MAC does not verify, ERR_DAMAGED when the
// bytes are no such file or exceed a limit above; both are found before any bag is handed out.
MUST_USE enum err pkcs12_decode(struct span der, struct span password,
                                enum err (*each)(void *arg, const struct pkcs12_bag *bag),
                                void *arg);

#endif
