// SPDX-License-Identifier: Apache-2.0
//
// PKCS#12 by OpenSSL, with our own limits looked at before OpenSSL is asked to stretch anything:
// size of the file, iteration counts of MAC and PBES2, the algorithms. One authenticated safe, one
// encrypted content, secret bags whose type is pkcs7-data and whose value is an OCTET STRING.
//
// Invariant: nothing is decrypted before the MAC over all of the content has verified.
#include "crypto/pkcs12.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rand.h"

enum { SALT_LEN = 16 };

static enum err openssl_failed(enum err code, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    FAIL(code, "%s: %s", what, reason == NULL ? "no reason given" : reason);
}

static void password_free(char **password)
{
    if (*password != NULL) {
        explicit_bzero(*password, strlen(*password));
        free(*password);
    }
}

static enum err password_text(struct span password, char **ret)
{
    if (password.len > PKCS12_PASSWORD_MAX || !span_is_utf8(password))
        FAIL(ERR_INVALID, "a wallet password is too long or no UTF-8 text");
    return span_strdup(password, ret);
}

// OpenSSL frees what a secret bag holds as it is.
static void wipe_secret(const PKCS12_SAFEBAG *bag)
{
    const ASN1_TYPE *value =
        PKCS12_SAFEBAG_get_nid(bag) == NID_secretBag ? PKCS12_SAFEBAG_get0_bag_obj(bag) : NULL;
    if (value == NULL || value->type != V_ASN1_OCTET_STRING)
        return;
    const ASN1_OCTET_STRING *octets = value->value.octet_string;
    OPENSSL_cleanse((void *)(uintptr_t)ASN1_STRING_get0_data(octets),
                    (size_t)ASN1_STRING_length(octets));
}

static void bags_free(STACK_OF(PKCS12_SAFEBAG) * *bags)
{
    for (int i = 0; i < sk_PKCS12_SAFEBAG_num(*bags); i++)
        wipe_secret(sk_PKCS12_SAFEBAG_value(*bags, i));
    sk_PKCS12_SAFEBAG_pop_free(*bags, PKCS12_SAFEBAG_free);
}

static void safes_free(STACK_OF(PKCS7) * *safes)
{
    sk_PKCS7_pop_free(*safes, PKCS7_free);
}

static void file_free(PKCS12 **file)
{
    PKCS12_free(*file);
}

static bool add_time(PKCS12_SAFEBAG *bag, int64_t seconds)
{
    ASN1_GENERALIZEDTIME *at = ASN1_GENERALIZEDTIME_set(NULL, (time_t)seconds);
    if (at == NULL)
        return false;
    int done = PKCS12_add1_attr_by_NID(bag, NID_pkcs9_signingTime, V_ASN1_GENERALIZEDTIME,
                                       ASN1_STRING_get0_data(at), ASN1_STRING_length(at));
    ASN1_GENERALIZEDTIME_free(at);
    return done == 1;
}

static enum err add_bag(STACK_OF(PKCS12_SAFEBAG) * bags, const struct pkcs12_bag *from)
{
    if (from->value.len > PKCS12_VALUE_MAX)
        FAIL(ERR_TOO_LARGE, "the value of \"%s\" is too long for a wallet", from->name);
    PKCS12_SAFEBAG *bag = PKCS12_SAFEBAG_create_secret(NID_pkcs7_data, V_ASN1_OCTET_STRING,
                                                       from->value.data, (int)from->value.len);
    if (bag == NULL)
        return openssl_failed(ERR_CRYPTOGRAPHIC, "could not make a secret bag");
    if (PKCS12_add_friendlyname_utf8(bag, from->name, -1) != 1 ||
        (from->time != 0 && !add_time(bag, from->time)) || sk_PKCS12_SAFEBAG_push(bags, bag) <= 0) {
        PKCS12_SAFEBAG_free(bag);
        return openssl_failed(ERR_CRYPTOGRAPHIC, "could not fill a secret bag");
    }
    return ERR_OK;
}

static enum err append_der(PKCS12 *file, struct buf *out)
{
    unsigned char *der = NULL;
    int len = i2d_PKCS12(file, &der);
    if (len <= 0)
        return openssl_failed(ERR_CRYPTOGRAPHIC, "could not encode a wallet");
    enum err err = buf_put(out, span_of(der, (size_t)len));
    OPENSSL_free(der);
    return err;
}

static enum err encrypt_bags(STACK_OF(PKCS12_SAFEBAG) * bags, const char *password, int iterations,
                             STACK_OF(PKCS7) * safes)
{
    uint8_t salt[SALT_LEN];
    rand_bytes(salt, sizeof salt);
    PKCS7 *safe =
        PKCS12_pack_p7encdata(NID_aes_256_cbc, password, -1, salt, sizeof salt, iterations, bags);
    if (safe == NULL)
        return openssl_failed(ERR_CRYPTOGRAPHIC, "could not encrypt a wallet");
    if (sk_PKCS7_push(safes, safe) <= 0) {
        PKCS7_free(safe);
        return openssl_failed(ERR_MEMORY, "could not encrypt a wallet");
    }
    return ERR_OK;
}

enum err pkcs12_encode(const struct pkcs12_bag *bags, size_t count, struct span password,
                       int iterations, struct buf *out)
{
    CLEANUP(password_free) char *text = NULL;
    CLEANUP(bags_free) STACK_OF(PKCS12_SAFEBAG) *stack = sk_PKCS12_SAFEBAG_new_null();
    CLEANUP(safes_free) STACK_OF(PKCS7) *safes = sk_PKCS7_new_null();
    if (stack == NULL || safes == NULL)
        FAIL(ERR_MEMORY, "no memory for a wallet");
    if (iterations < 1 || iterations > PKCS12_ITERATIONS_MAX / 2 || count > PKCS12_BAGS_MAX)
        FAIL(ERR_INVALID, "a wallet has too many entries or iterations");
    TRY(password_text(password, &text));
    for (size_t i = 0; i < count; i++)
        TRY(add_bag(stack, &bags[i]));
    TRY(encrypt_bags(stack, text, iterations, safes));
    CLEANUP(file_free) PKCS12 *file = PKCS12_add_safes(safes, NID_pkcs7_data);
    uint8_t salt[SALT_LEN];
    rand_bytes(salt, sizeof salt);
    if (file == NULL ||
        PKCS12_set_mac(file, text, -1, salt, sizeof salt, 2 * iterations, EVP_sha256()) != 1)
        return openssl_failed(ERR_CRYPTOGRAPHIC, "could not authenticate a wallet");
    return append_der(file, out);
}

static enum err check_iterations(const ASN1_INTEGER *count)
{
    int64_t value = 1;
    if (count != NULL && ASN1_INTEGER_get_int64(&value, count) != 1)
        FAIL(ERR_DAMAGED, "a wallet's iteration count is not a number");
    if (value < 1 || value > PKCS12_ITERATIONS_MAX)
        FAIL(ERR_DAMAGED, "a wallet asks for more than %d iterations", PKCS12_ITERATIONS_MAX);
    return ERR_OK;
}

// The encryption must be PBES2 with PBKDF2, its count within bounds.
static enum err check_pbes2(const X509_ALGOR *algorithm)
{
    const ASN1_OBJECT *name = NULL;
    const void *value = NULL;
    int type = 0;
    X509_ALGOR_get0(&name, &type, &value, algorithm);
    if (OBJ_obj2nid(name) != NID_pbes2 || type != V_ASN1_SEQUENCE)
        FAIL(ERR_DAMAGED, "a wallet is not encrypted by PBES2");
    PBE2PARAM *pbe = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), algorithm->parameter);
    if (pbe == NULL)
        return openssl_failed(ERR_DAMAGED, "a wallet's PBES2 parameters are not valid");
    enum err err = ERR_OK;
    PBKDF2PARAM *kdf = NULL;
    if (OBJ_obj2nid(pbe->keyfunc->algorithm) == NID_id_pbkdf2 && pbe->keyfunc->parameter != NULL)
        kdf = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBKDF2PARAM), pbe->keyfunc->parameter);
    if (kdf == NULL)
        err = openssl_failed(ERR_DAMAGED, "a wallet's key derivation is not PBKDF2");
    else
        err = check_iterations(kdf->iter);
    PBKDF2PARAM_free(kdf);
    PBE2PARAM_free(pbe);
    return err;
}

static enum err check_safes(STACK_OF(PKCS7) * safes)
{
    if (sk_PKCS7_num(safes) != 1)
        FAIL(ERR_DAMAGED, "a wallet has %d parts instead of one", sk_PKCS7_num(safes));
    const PKCS7 *safe = sk_PKCS7_value(safes, 0);
    if (OBJ_obj2nid(safe->type) != NID_pkcs7_encrypted || safe->d.encrypted == NULL ||
        safe->d.encrypted->enc_data == NULL || safe->d.encrypted->enc_data->algorithm == NULL)
        FAIL(ERR_DAMAGED, "a wallet's content is not encrypted");
    return check_pbes2(safe->d.encrypted->enc_data->algorithm);
}

static enum err check_mac(PKCS12 *file, const char *password)
{
    const ASN1_OCTET_STRING *mac = NULL;
    const ASN1_OCTET_STRING *salt = NULL;
    const ASN1_INTEGER *count = NULL;
    const X509_ALGOR *algorithm = NULL;
    PKCS12_get0_mac(&mac, &algorithm, &salt, &count, file);
    if (mac == NULL || algorithm == NULL || OBJ_obj2nid(algorithm->algorithm) != NID_sha256)
        FAIL(ERR_DAMAGED, "a wallet has no MAC by SHA-256");
    TRY(check_iterations(count));
    if (PKCS12_verify_mac(file, password, -1) != 1) {
        ERR_clear_error();
        FAIL(ERR_PASSPHRASE, "the wallet does not open with this password");
    }
    return ERR_OK;
}

static int64_t time_of(const PKCS12_SAFEBAG *bag)
{
    const ASN1_TYPE *attribute = PKCS12_SAFEBAG_get0_attr(bag, NID_pkcs9_signingTime);
    struct tm parts;
    if (attribute == NULL || attribute->type != V_ASN1_GENERALIZEDTIME ||
        ASN1_TIME_to_tm(attribute->value.generalizedtime, &parts) != 1)
        return 0;
    return (int64_t)timegm(&parts);
}

static enum err hand_out(PKCS12_SAFEBAG *bag,
                         enum err (*each)(void *arg, const struct pkcs12_bag *bag), void *arg)
{
    struct pkcs12_bag out = {.time = time_of(bag)};
    const ASN1_TYPE *value = PKCS12_SAFEBAG_get0_bag_obj(bag);
    if (value == NULL || value->type != V_ASN1_OCTET_STRING)
        FAIL(ERR_DAMAGED, "a wallet's secret is not an octet string");
    const ASN1_OCTET_STRING *octets = value->value.octet_string;
    out.value = span_of(ASN1_STRING_get0_data(octets), (size_t)ASN1_STRING_length(octets));
    char *name = PKCS12_get_friendlyname(bag);
    int len = snprintf(out.name, sizeof out.name, "%s", name == NULL ? "" : name);
    OPENSSL_free(name);
    if (len < 0 || (size_t)len >= sizeof out.name || out.value.len > PKCS12_VALUE_MAX)
        FAIL(ERR_DAMAGED, "a wallet's entry has too long a name or value");
    return each(arg, &out);
}

enum err pkcs12_decode(struct span der, struct span password,
                       enum err (*each)(void *arg, const struct pkcs12_bag *bag), void *arg)
{
    CLEANUP(password_free) char *text = NULL;
    if (der.len == 0 || der.len > PKCS12_FILE_MAX)
        FAIL(ERR_DAMAGED, "a wallet of %zu bytes is empty or too large", der.len);
    TRY(password_text(password, &text));
    const unsigned char *at = der.data;
    CLEANUP(file_free) PKCS12 *file = d2i_PKCS12(NULL, &at, (long)der.len);
    if (file == NULL || at != der.data + der.len)
        return openssl_failed(ERR_DAMAGED, "the bytes are no PKCS#12 file");
    TRY(check_mac(file, text));
    CLEANUP(safes_free) STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(file);
    if (safes == NULL)
        return openssl_failed(ERR_DAMAGED, "a wallet has no content");
    TRY(check_safes(safes));
    CLEANUP(bags_free)
    STACK_OF(PKCS12_SAFEBAG) *bags = PKCS12_unpack_p7encdata(sk_PKCS7_value(safes, 0), text, -1);
    if (bags == NULL)
        return openssl_failed(ERR_DAMAGED, "a wallet's content does not decrypt");
    if (sk_PKCS12_SAFEBAG_num(bags) > PKCS12_BAGS_MAX)
        FAIL(ERR_DAMAGED, "a wallet has more than %d entries", PKCS12_BAGS_MAX);
    for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); i++) {
        PKCS12_SAFEBAG *bag = sk_PKCS12_SAFEBAG_value(bags, i);
        if (PKCS12_SAFEBAG_get_nid(bag) == NID_secretBag)
            TRY(hand_out(bag, each, arg));
    }
    return ERR_OK;
}
