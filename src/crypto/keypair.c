// SPDX-License-Identifier: Apache-2.0
//
// Key pairs by OpenSSL. Each conversion decodes to an EVP_PKEY, checks that it is a kind and size
// that Keyward handles, and encodes again, so that what is stored or handed out is always in the
// one canonical form of its encoding.
#include "crypto/keypair.h"

#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

enum { RSA_BITS_MIN = 1024, RSA_BITS_MAX = 8192, POINT_MAX = 133 };

struct kind {
    const char *type;
    const char *group; // of EC keys
    int bits;
};

static const struct kind kinds[KEYPAIR_KIND_COUNT] = {
    [KEYPAIR_RSA] = {"RSA", NULL, 0},           [KEYPAIR_P256] = {"EC", "prime256v1", 256},
    [KEYPAIR_P384] = {"EC", "secp384r1", 384},  [KEYPAIR_P521] = {"EC", "secp521r1", 521},
    [KEYPAIR_ED25519] = {"ED25519", NULL, 256}, [KEYPAIR_X25519] = {"X25519", NULL, 256},
};

static enum err openssl_failed(enum err code, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    FAIL(code, "%s: %s", what, reason == NULL ? "no reason given" : reason);
}

static void pkey_freep(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static enum err describe(const EVP_PKEY *key, struct keypair_info *ret)
{
    char group[64] = "";
    size_t len = 0;
    if (EVP_PKEY_is_a(key, "EC"))
        (void)EVP_PKEY_get_group_name(key, group, sizeof group, &len);
    for (int i = 0; i < KEYPAIR_KIND_COUNT; i++) {
        if (!EVP_PKEY_is_a(key, kinds[i].type) ||
            (kinds[i].group != NULL && strcmp(kinds[i].group, group) != 0))
            continue;
        int bits = i == KEYPAIR_RSA ? EVP_PKEY_get_bits(key) : kinds[i].bits;
        if (i == KEYPAIR_RSA && (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX))
            FAIL(ERR_INVALID, "an RSA key of %d bits is not supported: give %d to %d", bits,
                 RSA_BITS_MIN, RSA_BITS_MAX);
        *ret = (struct keypair_info){(enum keypair_kind)i, bits};
        return ERR_OK;
    }
    FAIL(ERR_INVALID, "the key is of a kind that is not supported");
}

static enum err encode(const EVP_PKEY *key, int selection, const char *structure, struct buf *out)
{
    OSSL_ENCODER_CTX *context =
        OSSL_ENCODER_CTX_new_for_pkey(key, selection, "DER", structure, NULL);
    unsigned char *der = NULL;
    size_t len = 0;
    int done = context != NULL && OSSL_ENCODER_CTX_get_num_encoders(context) > 0 &&
               OSSL_ENCODER_to_data(context, &der, &len) == 1;
    OSSL_ENCODER_CTX_free(context);
    if (!done)
        return openssl_failed(ERR_KEY_FORMAT, "the key cannot be encoded so");
    enum err err = buf_put(out, span_of(der, len));
    OPENSSL_clear_free(der, len);
    return err;
}

enum err keypair_generate(enum keypair_kind kind, int bits, struct buf *ret_private_pkcs8,
                          struct buf *ret_public_spki)
{
    if ((unsigned)kind >= KEYPAIR_KIND_COUNT)
        FAIL(ERR_INVALID, "there is no such kind of key pair");
    CLEANUP(pkey_freep) EVP_PKEY *key = NULL;
    if (kind == KEYPAIR_RSA) {
        if (bits != 2048 && bits != 3072 && bits != 4096)
            FAIL(ERR_INVALID, "an RSA key of %d bits is not offered: give 2048, 3072 or 4096",
                 bits);
        key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);
    } else if (kinds[kind].group != NULL) {
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", kinds[kind].group);
    } else {
        key = EVP_PKEY_Q_keygen(NULL, NULL, kinds[kind].type);
    }
    if (key == NULL)
        return openssl_failed(ERR_CRYPTOGRAPHIC, "could not generate a key pair");
    TRY(encode(key, EVP_PKEY_KEYPAIR, "PrivateKeyInfo", ret_private_pkcs8));
    return encode(key, EVP_PKEY_PUBLIC_KEY, "SubjectPublicKeyInfo", ret_public_spki);
}

// Decodes exactly one structure and nothing after it.
static enum err decode(struct span der, const char *structure, const char *type, int selection,
                       EVP_PKEY **ret)
{
    EVP_PKEY *key = NULL;
    const unsigned char *at = der.data;
    size_t left = der.len;
    if (der.len == 0 || der.len > KEYPAIR_DER_MAX)
        FAIL(ERR_INVALID, "a key of %zu bytes is empty or too long", der.len);
    OSSL_DECODER_CTX *context =
        OSSL_DECODER_CTX_new_for_pkey(&key, "DER", structure, type, selection, NULL, NULL);
    int done = context != NULL && OSSL_DECODER_from_data(context, &at, &left) == 1;
    OSSL_DECODER_CTX_free(context);
    if (!done || key == NULL || left != 0) {
        EVP_PKEY_free(key);
        return openssl_failed(ERR_INVALID, "the bytes are not a key in that encoding");
    }
    struct keypair_info info;
    enum err err = describe(key, &info);
    if (err != ERR_OK) {
        EVP_PKEY_free(key);
        return err;
    }
    *ret = key;
    return ERR_OK;
}

// Which structure an encoding has, NULL when that half of a key has none. RAW has no structure.
static const char *structure_of(enum keypair_format format, bool is_private, const char **ret_type)
{
    *ret_type = NULL;
    if (format == KEYPAIR_PKCS8 && is_private)
        return "PrivateKeyInfo";
    if (format == KEYPAIR_SPKI && !is_private)
        return "SubjectPublicKeyInfo";
    if (format == KEYPAIR_PKCS1) {
        *ret_type = "RSA";
        return "type-specific";
    }
    if (format == KEYPAIR_SEC1 && is_private) {
        *ret_type = "EC";
        return "type-specific";
    }
    return NULL;
}

static enum err read_key(struct span der, enum keypair_format from, bool is_private, EVP_PKEY **ret)
{
    const char *type = NULL;
    const char *structure = structure_of(from, is_private, &type);
    if (structure == NULL)
        FAIL(ERR_KEY_FORMAT, "a %s key cannot be read from this encoding",
             is_private ? "private" : "public");
    return decode(der, structure, type, is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, ret);
}

static enum err put_raw(const EVP_PKEY *key, bool is_private, struct buf *out)
{
    uint8_t raw[POINT_MAX];
    size_t len = sizeof raw;
    int done = 0;
    if (EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "X25519"))
        done = is_private ? EVP_PKEY_get_raw_private_key(key, raw, &len)
                          : EVP_PKEY_get_raw_public_key(key, raw, &len);
    else if (EVP_PKEY_is_a(key, "EC") && !is_private)
        done = EVP_PKEY_get_octet_string_param(key, "pub", raw, sizeof raw, &len);
    enum err err = done == 1 ? buf_put(out, span_of(raw, len))
                             : openssl_failed(ERR_KEY_FORMAT, "the key has no raw form");
    explicit_bzero(raw, sizeof raw);
    return err;
}

static enum err write_key(const EVP_PKEY *key, enum keypair_format to, bool is_private,
                          struct buf *out)
{
    if (to == KEYPAIR_RAW)
        return put_raw(key, is_private, out);
    const char *type = NULL;
    const char *structure = structure_of(to, is_private, &type);
    if (structure == NULL || (type != NULL && !EVP_PKEY_is_a(key, type)))
        FAIL(ERR_KEY_FORMAT, "the key has no such encoding");
    return encode(key, is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, structure, out);
}

enum err keypair_convert_private(struct span der, enum keypair_format from, enum keypair_format to,
                                 struct buf *out)
{
    CLEANUP(pkey_freep) EVP_PKEY *key = NULL;
    TRY(read_key(der, from, true, &key));
    return write_key(key, to, true, out);
}

enum err keypair_convert_public(struct span der, enum keypair_format from, enum keypair_format to,
                                struct buf *out)
{
    CLEANUP(pkey_freep) EVP_PKEY *key = NULL;
    TRY(read_key(der, from, false, &key));
    return write_key(key, to, false, out);
}

enum err keypair_public_of(struct span private_der, enum keypair_format from, struct buf *ret_spki)
{
    CLEANUP(pkey_freep) EVP_PKEY *key = NULL;
    TRY(read_key(private_der, from, true, &key));
    return write_key(key, KEYPAIR_SPKI, false, ret_spki);
}

// The decoder takes any numbers for a key: the point at infinity, an even modulus, an exponent
// of 1. Whether the factors of a private key are prime is not looked at, since that takes too long.
static enum err check_numbers(EVP_PKEY *key)
{
    if (!EVP_PKEY_is_a(key, "EC") && !EVP_PKEY_is_a(key, "RSA"))
        return ERR_OK;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    int good = context == NULL ? -1 : EVP_PKEY_public_check_quick(context);
    EVP_PKEY_CTX_free(context);
    if (good != 1)
        return openssl_failed(ERR_INVALID, "the numbers of the key cannot be those of one");
    return ERR_OK;
}

enum err keypair_describe(struct span der, enum keypair_format from, bool is_private,
                          struct keypair_info *ret)
{
    CLEANUP(pkey_freep) EVP_PKEY *key = NULL;
    TRY(read_key(der, from, is_private, &key));
    TRY(check_numbers(key));
    return describe(key, ret);
}
