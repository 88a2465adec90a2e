// SPDX-License-Identifier: Apache-2.0
//
// What certificates say, and whether one that was signed outside may serve. Invariants: nothing of
// a given text is taken over but certificates that form one chain, in order; a chain that is not
// whole, not valid now or too weak (OpenSSL's security level 2: RSA 2048, SHA-256) is refused with
// the certificate's name.
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "crypto/pki_inner.h"

enum { AUTH_LEVEL = 2 };

struct chain {
    X509 *certs[PKI_CHAIN_MAX];
    size_t count;
};

static void chain_done(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        X509_free(chain->certs[i]);
    chain->count = 0;
}

// ---- what a certificate says ----

static enum err put_name(const X509_NAME *name, char out[PKI_SUBJECT_MAX + 1])
{
    char *text = NULL;
    CLEANUP(pki_inner_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    if (bio == NULL || X509_NAME_print_ex(bio, name, 0, flags) < 0)
        return pki_inner_failed(ERR_INVALID, "a name in a certificate cannot be read");
    long len = BIO_get_mem_data(bio, &text);
    size_t take = len < PKI_SUBJECT_MAX ? (size_t)len : PKI_SUBJECT_MAX;
    // Cut between letters, and show nothing that is no text.
    while (take < (size_t)len && take > 0 && ((uint8_t)text[take] & 0xc0) == 0x80)
        take--;
    if (!span_is_utf8(span_of(text, take)))
        take = 0;
    memcpy(out, text, take);
    out[take] = '\0';
    return ERR_OK;
}

static enum err take_time(const ASN1_TIME *time, int64_t *ret)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return pki_inner_failed(ERR_INVALID, "a date in a certificate cannot be read");
    *ret = (int64_t)timegm(&tm);
    return ERR_OK;
}

static enum err take_serial(const X509 *cert, struct pki_info *info)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    int len = ASN1_STRING_length(serial);
    if (len < 0 || len > PKI_SERIAL_MAX)
        FAIL(ERR_INVALID, "a certificate's serial number has %d bytes", len);
    memcpy(info->serial, ASN1_STRING_get0_data(serial), (size_t)len);
    info->serial_len = (size_t)len;
    return ERR_OK;
}

static enum err describe(X509 *cert, struct pki_info *ret)
{
    unsigned len = PKI_FINGERPRINT_LEN;
    struct pki_info info = {0};
    TRY(put_name(X509_get_subject_name(cert), info.subject));
    TRY(put_name(X509_get_issuer_name(cert), info.issuer));
    TRY(take_time(X509_get0_notBefore(cert), &info.not_before));
    TRY(take_time(X509_get0_notAfter(cert), &info.not_after));
    TRY(take_serial(cert, &info));
    if (X509_digest(cert, EVP_sha256(), info.fingerprint, &len) != 1)
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not hash a certificate");
    info.is_ca = X509_check_ca(cert) == 1;
    info.self_signed = X509_self_signed(cert, 0) == 1;
    info.path_length = (int)X509_get_pathlen(cert);
    ERR_clear_error();
    *ret = info;
    return ERR_OK;
}

enum err pki_describe(struct span cert_pem, struct pki_info *ret)
{
    CLEANUP(pki_inner_cert_freep) X509 *cert = NULL;
    TRY(pki_inner_read_cert(cert_pem, &cert));
    return describe(cert, ret);
}

static enum err put_address(const ASN1_OCTET_STRING *address, struct buf *out)
{
    char text[INET6_ADDRSTRLEN];
    int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;
    if (family == AF_INET6 && ASN1_STRING_length(address) != 16)
        return ERR_OK;
    if (inet_ntop(family, ASN1_STRING_get0_data(address), text, sizeof text) == NULL)
        return ERR_OK;
    return buf_printf(out, "%s\n", text);
}

static enum err put_hosts(const GENERAL_NAMES *names, struct buf *out)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_IPADD)
            TRY(put_address(name->d.iPAddress, out));
        if (name->type != GEN_DNS)
            continue;
        const unsigned char *text = ASN1_STRING_get0_data(name->d.dNSName);
        size_t len = (size_t)ASN1_STRING_length(name->d.dNSName);
        bool plain = true;
        for (size_t k = 0; k < len; k++)
            plain = plain && text[k] > ' ' && text[k] < 0x7f;
        if (plain)
            TRY(buf_printf(out, "%.*s\n", (int)len, (const char *)text));
    }
    return ERR_OK;
}

enum err pki_hosts(struct span cert_pem, struct buf *ret)
{
    CLEANUP(pki_inner_cert_freep) X509 *cert = NULL;
    TRY(pki_inner_read_cert(cert_pem, &cert));
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    ERR_clear_error();
    if (names == NULL)
        return ERR_OK;
    enum err err = put_hosts(names, ret);
    GENERAL_NAMES_free(names);
    return err;
}

enum err pki_check_pair(struct span key_pem, struct span cert_pem)
{
    CLEANUP(pki_inner_key_freep) EVP_PKEY *key = NULL;
    CLEANUP(pki_inner_cert_freep) X509 *cert = NULL;
    TRY(pki_inner_read_key(key_pem, &key));
    TRY(pki_inner_read_cert(cert_pem, &cert));
    if (X509_check_private_key(cert, key) != 1)
        return pki_inner_failed(ERR_INVALID, "the key does not fit the certificate");
    return ERR_OK;
}

// ---- chains ----

static enum err read_all(struct span pem, struct chain *ret)
{
    CLEANUP(pki_inner_bio_freep) BIO *bio = NULL;
    TRY(pki_inner_open(pem, &bio));
    for (;;) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, pki_inner_no_passphrase, NULL);
        if (cert == NULL)
            break;
        if (ret->count == PKI_CHAIN_MAX) {
            X509_free(cert);
            FAIL(ERR_INVALID, "the text holds more than %d certificates", PKI_CHAIN_MAX);
        }
        ret->certs[ret->count++] = cert;
    }
    unsigned long why = ERR_peek_last_error();
    if (ERR_GET_REASON(why) != PEM_R_NO_START_LINE)
        return pki_inner_failed(ERR_INVALID, "a certificate in the text cannot be read");
    ERR_clear_error();
    if (ret->count == 0)
        FAIL(ERR_INVALID, "the text holds no certificate (PEM, \"-----BEGIN CERTIFICATE-----\")");
    return ERR_OK;
}

// The certificate of the key comes first.
static enum err bring_forward(struct chain *chain, EVP_PKEY *key)
{
    for (size_t i = 0; i < chain->count; i++) {
        if (X509_check_private_key(chain->certs[i], key) != 1)
            continue;
        X509 *first = chain->certs[i];
        chain->certs[i] = chain->certs[0];
        chain->certs[0] = first;
        ERR_clear_error();
        return ERR_OK;
    }
    return pki_inner_failed(ERR_INVALID,
                            "the certificate is for another key than the one that was made here "
                            "or given with it");
}

// Each certificate is followed by its issuer's, up to a self-signed one.
static enum err put_in_order(struct chain *chain)
{
    struct pki_info info = {0};
    for (size_t at = 0; at < chain->count; at++) {
        if (X509_self_signed(chain->certs[at], 1) == 1) {
            if (at + 1 == chain->count)
                return ERR_OK;
            TRY(describe(chain->certs[at + 1], &info));
            FAIL(ERR_INVALID, "the certificate \"%s\" does not belong to the chain: leave it out",
                 info.subject);
        }
        size_t next = at + 1;
        while (next < chain->count &&
               X509_check_issued(chain->certs[next], chain->certs[at]) != X509_V_OK)
            next++;
        ERR_clear_error();
        TRY(describe(chain->certs[at], &info));
        if (next == chain->count)
            FAIL(ERR_INVALID,
                 "the chain is not complete: the certificate of \"%s\", which issued \"%s\", is "
                 "missing; give all up to the root",
                 info.issuer, info.subject);
        X509 *issuer = chain->certs[next];
        chain->certs[next] = chain->certs[at + 1];
        chain->certs[at + 1] = issuer;
    }
    return ERR_OK;
}

static enum err check_dates(const struct chain *chain, int64_t now_s)
{
    struct pki_info info = {0};
    for (size_t i = 0; i < chain->count; i++) {
        TRY(describe(chain->certs[i], &info));
        if (info.not_after <= now_s)
            FAIL(ERR_INVALID, "the certificate \"%s\" has expired", info.subject);
        if (info.not_before > now_s)
            FAIL(ERR_INVALID, "the certificate \"%s\" is not valid yet", info.subject);
    }
    return ERR_OK;
}

// An authority issues certificates itself: each one above must allow one more below.
static enum err check_authority(const struct chain *chain)
{
    struct pki_info info = {0};
    for (size_t i = 0; i < chain->count; i++) {
        TRY(describe(chain->certs[i], &info));
        if (!info.is_ca || (X509_get_key_usage(chain->certs[i]) & KU_KEY_CERT_SIGN) == 0)
            FAIL(ERR_INVALID,
                 "the certificate \"%s\" is no authority's: it wants basicConstraints CA:TRUE and "
                 "keyUsage keyCertSign",
                 info.subject);
        if (info.path_length >= 0 && (size_t)info.path_length < i)
            FAIL(ERR_INVALID,
                 "the certificate \"%s\" allows a path length of %d, and the one below wants %zu",
                 info.subject, info.path_length, i);
    }
    if ((X509_get_key_usage(chain->certs[0]) & KU_CRL_SIGN) == 0)
        FAIL(ERR_INVALID,
             "the authority may not sign revocation lists: its keyUsage wants cRLSign");
    return ERR_OK;
}

static enum err check_server(const struct chain *chain)
{
    struct pki_info info = {0};
    GENERAL_NAMES *names = X509_get_ext_d2i(chain->certs[0], NID_subject_alt_name, NULL, NULL);
    bool named = names != NULL && sk_GENERAL_NAME_num(names) > 0;
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    TRY(describe(chain->certs[0], &info));
    if (!named)
        FAIL(ERR_INVALID,
             "the certificate \"%s\" names no server: it wants a subjectAltName of DNS names or "
             "addresses",
             info.subject);
    return ERR_OK;
}

static enum err run_verify(const struct chain *chain, X509_STORE_CTX *context, enum pki_use use,
                           int64_t now_s)
{
    struct pki_info info = {.subject = "?"};
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    (void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    if (use == PKI_SERVER)
        (void)X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
    if (X509_verify_cert(context) == 1)
        return ERR_OK;
    X509 *at = X509_STORE_CTX_get_current_cert(context);
    TRY(describe(at != NULL ? at : chain->certs[0], &info));
    int why = X509_STORE_CTX_get_error(context);
    ERR_clear_error();
    FAIL(ERR_INVALID, "the certificate \"%s\" cannot be used: %s", info.subject,
         X509_verify_cert_error_string(why));
}

static enum err verify(const struct chain *chain, enum pki_use use, int64_t now_s)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *between = sk_X509_new_null();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    bool ready = store != NULL && between != NULL && context != NULL &&
                 X509_STORE_add_cert(store, chain->certs[chain->count - 1]) == 1;
    for (size_t i = 1; ready && i + 1 < chain->count; i++)
        ready = sk_X509_push(between, chain->certs[i]) > 0;
    ready = ready && X509_STORE_CTX_init(context, store, chain->certs[0], between) == 1;
    enum err err = ready ? run_verify(chain, context, use, now_s)
                         : pki_inner_failed(ERR_MEMORY, "no memory for a chain");
    X509_STORE_CTX_free(context);
    sk_X509_free(between);
    X509_STORE_free(store);
    return err;
}

static enum err put_certs(const struct chain *chain, size_t from, size_t to, struct buf *out)
{
    CLEANUP(pki_inner_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    for (size_t i = from; i < to; i++) {
        if (bio == NULL || PEM_write_bio_X509(bio, chain->certs[i]) != 1)
            return pki_inner_failed(ERR_MEMORY, "no memory for a certificate");
    }
    return from < to ? pki_inner_take(bio, out) : ERR_OK;
}

enum err pki_check_chain(enum pki_use use, struct span pem, struct span key_pem, int64_t now_s,
                         struct buf *ret_chain)
{
    struct chain chain CLEANUP(chain_done) = {.count = 0};
    CLEANUP(pki_inner_key_freep) EVP_PKEY *key = NULL;
    TRY(read_all(pem, &chain));
    TRY(pki_inner_read_key(key_pem, &key));
    TRY(bring_forward(&chain, key));
    TRY(put_in_order(&chain));
    TRY(check_dates(&chain, now_s));
    TRY(use == PKI_AUTHORITY ? check_authority(&chain) : check_server(&chain));
    TRY(verify(&chain, use, now_s));
    return put_certs(&chain, 0, chain.count, ret_chain);
}

enum err pki_chain_part(struct span chain_pem, enum pki_part part, struct buf *ret)
{
    struct chain chain CLEANUP(chain_done) = {.count = 0};
    TRY(read_all(chain_pem, &chain));
    bool rooted = chain.count > 1 && X509_self_signed(chain.certs[chain.count - 1], 0) == 1;
    if (part == PKI_LEAF)
        return put_certs(&chain, 0, 1, ret);
    if (part == PKI_ABOVE)
        return put_certs(&chain, 1, chain.count, ret);
    return put_certs(&chain, 0, chain.count - rooted, ret);
}
