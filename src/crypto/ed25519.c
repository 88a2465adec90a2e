// SPDX-License-Identifier: Apache-2.0
//
// Ed25519 by OpenSSL's one-shot interface, the only one that it has for it.
#include "crypto/ed25519.h"

#include <openssl/err.h>
#include <openssl/evp.h>

static void pkey_freep(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void context_freep(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

static enum err failed(const char *what)
{
    ERR_clear_error();
    FAIL(ERR_CRYPTOGRAPHIC, "Ed25519: %s", what);
}

enum err ed25519_make(struct buf *ret_private, uint8_t ret_public[ED25519_KEY_LEN])
{
    CLEANUP(pkey_freep) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    uint8_t bytes[ED25519_KEY_LEN];
    size_t len = sizeof bytes;
    size_t public_len = ED25519_KEY_LEN;
    if (key == NULL || EVP_PKEY_get_raw_private_key(key, bytes, &len) != 1 ||
        EVP_PKEY_get_raw_public_key(key, ret_public, &public_len) != 1)
        return failed("no key could be made");
    enum err err = buf_put(ret_private, span_of(bytes, len));
    explicit_bzero(bytes, sizeof bytes);
    return err;
}

enum err ed25519_sign(struct span private_key, struct span message,
                      uint8_t ret[ED25519_SIGNATURE_LEN])
{
    size_t len = ED25519_SIGNATURE_LEN;
    CLEANUP(context_freep) EVP_MD_CTX *context = EVP_MD_CTX_new();
    CLEANUP(pkey_freep)
    EVP_PKEY *key =
        EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, private_key.data, private_key.len);
    if (context == NULL || key == NULL ||
        EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, key, NULL) != 1 ||
        EVP_DigestSign(context, ret, &len, message.data, message.len) != 1)
        return failed("could not sign");
    return ERR_OK;
}

bool ed25519_check(const uint8_t public_key[ED25519_KEY_LEN], struct span message,
                   const uint8_t signature[ED25519_SIGNATURE_LEN])
{
    CLEANUP(context_freep) EVP_MD_CTX *context = EVP_MD_CTX_new();
    CLEANUP(pkey_freep)
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, public_key, ED25519_KEY_LEN);
    bool good =
        context != NULL && key != NULL &&
        EVP_DigestVerifyInit_ex(context, NULL, NULL, NULL, NULL, key, NULL) == 1 &&
        EVP_DigestVerify(context, signature, ED25519_SIGNATURE_LEN, message.data, message.len) == 1;
    ERR_clear_error();
    return good;
}
