// SPDX-License-Identifier: Apache-2.0
//
// Revocation lists (RFC 5280 section 5): version 2, with number, authority key identifier, and a
// reason for each entry.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "crypto/pki_inner.h"

static void crl_freep(X509_CRL **crl)
{
    X509_CRL_free(*crl);
}

static void time_freep(ASN1_TIME **time)
{
    ASN1_TIME_free(*time);
}

static bool set_serial(X509_REVOKED *entry, const struct pki_revoked *revoked)
{
    BIGNUM *number = BN_bin2bn(revoked->serial, (int)revoked->serial_len, NULL);
    ASN1_INTEGER *serial = number == NULL ? NULL : BN_to_ASN1_INTEGER(number, NULL);
    bool done = serial != NULL && X509_REVOKED_set_serialNumber(entry, serial) == 1;
    ASN1_INTEGER_free(serial);
    BN_free(number);
    return done;
}

static bool set_date(X509_REVOKED *entry, int64_t when_s)
{
    CLEANUP(time_freep) ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)when_s);
    return when != NULL && X509_REVOKED_set_revocationDate(entry, when) == 1;
}

// The reason 0 (unspecified) is left out, as RFC 5280 section 5.3.1 wants.
static bool set_reason(X509_REVOKED *entry, uint32_t reason)
{
    if (reason == 0)
        return true;
    ASN1_ENUMERATED *value = ASN1_ENUMERATED_new();
    bool done = value != NULL && ASN1_ENUMERATED_set(value, (long)reason) == 1 &&
                X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, value, 0, 0) == 1;
    ASN1_ENUMERATED_free(value);
    return done;
}

static enum err add_entry(X509_CRL *crl, const struct pki_revoked *revoked)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    if (entry != NULL && set_serial(entry, revoked) && set_date(entry, revoked->when) &&
        set_reason(entry, revoked->reason) && X509_CRL_add0_revoked(crl, entry) == 1)
        return ERR_OK;
    X509_REVOKED_free(entry);
    return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not add to a revocation list");
}

static enum err set_head(X509_CRL *crl, X509 *ca, const struct pki_crl *want)
{
    CLEANUP(time_freep) ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)want->now);
    CLEANUP(time_freep) ASN1_TIME *next = ASN1_TIME_set(NULL, (time_t)want->next);
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    X509V3_CTX context;
    X509V3_set_ctx(&context, ca, NULL, NULL, crl, 0);
    X509_EXTENSION *issuer =
        X509V3_EXT_conf_nid(NULL, &context, NID_authority_key_identifier, "keyid:always");
    bool done = from != NULL && next != NULL && number != NULL && issuer != NULL &&
                X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
                X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) == 1 &&
                X509_CRL_set1_lastUpdate(crl, from) == 1 &&
                X509_CRL_set1_nextUpdate(crl, next) == 1 &&
                ASN1_INTEGER_set_uint64(number, want->number) == 1 &&
                X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1 &&
                X509_CRL_add_ext(crl, issuer, -1) == 1;
    X509_EXTENSION_free(issuer);
    ASN1_INTEGER_free(number);
    return done ? ERR_OK : pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not begin a revocation list");
}

enum err pki_make_crl(struct span ca_key_pem, struct span ca_cert_pem, const struct pki_crl *want,
                      struct buf *ret_pem)
{
    CLEANUP(pki_inner_key_freep) EVP_PKEY *key = NULL;
    CLEANUP(pki_inner_cert_freep) X509 *ca = NULL;
    CLEANUP(crl_freep) X509_CRL *crl = X509_CRL_new();
    CLEANUP(pki_inner_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (crl == NULL || bio == NULL)
        return pki_inner_failed(ERR_MEMORY, "no memory for a revocation list");
    TRY(pki_inner_read_ca(ca_key_pem, ca_cert_pem, &key, &ca));
    TRY(set_head(crl, ca, want));
    for (size_t i = 0; i < want->count; i++)
        TRY(add_entry(crl, &want->list[i]));
    if (X509_CRL_sort(crl) != 1 || X509_CRL_sign(crl, key, EVP_sha256()) <= 0 ||
        PEM_write_bio_X509_CRL(bio, crl) != 1)
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not sign a revocation list");
    return pki_inner_take(bio, ret_pem);
}

enum err pki_der(struct span pem, struct buf *ret_der)
{
    CLEANUP(pki_inner_bio_freep) BIO *bio = NULL;
    char *name = NULL;
    char *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    TRY(pki_inner_open(pem, &bio));
    if (PEM_read_bio(bio, &name, &header, &der, &len) != 1)
        return pki_inner_failed(ERR_INVALID, "this is no PEM text");
    enum err err = buf_put(ret_der, span_of(der, (size_t)len));
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    return err;
}
