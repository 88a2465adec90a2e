// SPDX-License-Identifier: Apache-2.0
//
// What the files about certificates share: OpenSSL's objects as owning locals, and reading PEM.
// Private to the crypto room.
#ifndef KW_CRYPTO_PKI_INNER_H
#define KW_CRYPTO_PKI_INNER_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "crypto/pki.h"

// Raises `code` with OpenSSL's newest reason; empties its queue.
enum err pki_inner_failed(enum err code, const char *what);

void pki_inner_key_freep(EVP_PKEY **key);
void pki_inner_cert_freep(X509 **cert);
void pki_inner_bio_freep(BIO **bio);

// A reader over a PEM text. ERR_INVALID when it is empty or too long.
MUST_USE enum err pki_inner_open(struct span pem, BIO **ret);
// Appends what was written to a memory BIO, and wipes it there.
MUST_USE enum err pki_inner_take(BIO *bio, struct buf *out);
// Never asks for a passphrase on the terminal.
int pki_inner_no_passphrase(char *out, int size, int writing, void *arg);

// The first key or certificate of a text. ERR_INVALID.
MUST_USE enum err pki_inner_read_key(struct span pem, EVP_PKEY **ret);
MUST_USE enum err pki_inner_read_cert(struct span pem, X509 **ret);
// The issuer's key and certificate, checked to belong together and to be a CA's.
MUST_USE enum err pki_inner_read_ca(struct span key_pem, struct span cert_pem, EVP_PKEY **ret_key,
                                    X509 **ret_cert);

#endif
