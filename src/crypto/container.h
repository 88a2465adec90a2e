// SPDX-License-Identifier: Apache-2.0
//
// Key files that people have: PEM (RFC 7468), PKCS#12 (RFC 7292) and Java's JKS. They come from
// strangers: they are read by our own strict code, to bounded sizes, counts and iterations, and
// OpenSSL sees only the primitives' inputs; what a key or certificate is made of is the caller's to
// check. Nothing is handed out before the file's own integrity (MAC, hash; PEM has none) is proven.
#ifndef KW_CRYPTO_CONTAINER_H
#define KW_CRYPTO_CONTAINER_H

#include "base/buf.h"

enum {
    CONTAINER_FILE_MAX = 1 << 20,     // bytes
    CONTAINER_ITEMS_MAX = 64,         // keys and certificates of one file
    CONTAINER_NAME_MAX = 255,         // bytes of a friendly name or alias; longer ones are cut
    CONTAINER_ITERATIONS_MAX = 600000 // of the passphrase, over all parts of one file
};

enum container_kind {
    CONTAINER_PRIVATE,    // PKCS#8 (DER)
    CONTAINER_PUBLIC,     // SubjectPublicKeyInfo (DER)
    CONTAINER_CERTIFICATE // X.509 (DER)
};

struct container_item {
    enum container_kind kind;
    struct span name; // UTF-8, empty: none
    struct span der;  // borrowed during the call
};

typedef enum err container_each(void *arg, const struct container_item *item);

// Each calls `each` in the file's order. ERR_INVALID: it is no such file, or not a sound one;
// ERR_PASSPHRASE; ERR_FEATURE names what is not supported; ERR_TOO_LARGE. They block for as long as
// the stretching takes, half a second at most.
MUST_USE enum err container_pem(struct span text, struct span passphrase, container_each *each,
                                void *arg);
MUST_USE enum err container_pkcs12(struct span der, struct span passphrase, container_each *each,
                                   void *arg);
// Keys must have the passphrase of the store.
MUST_USE enum err container_jks(struct span bytes, struct span passphrase, container_each *each,
                                void *arg);

#endif
