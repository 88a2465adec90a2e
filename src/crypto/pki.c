// SPDX-License-Identifier: Apache-2.0
//
// Certificates by OpenSSL's X509. Every certificate is version 3, has a random 128-bit serial
// number, is valid from five minutes ago (clocks differ) and is signed with SHA-256. Nothing of a
// request but its public key finds its way into a certificate.
#include "crypto/pki_inner.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#include "base/rand.h"
#include "crypto/crypto.h"

enum { SERIAL_LEN = 16, BACKDATE_S = 300, DAYS_MAX = 36500, PEM_LIMIT = 1 << 18, HOST_MAX = 255 };
enum { PKCS12_ROUNDS = 100000, PLACE_MAX = 512 };

enum err pki_inner_failed(enum err code, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    FAIL(code, "%s: %s", what, reason == NULL ? "no reason given" : reason);
}

void pki_inner_key_freep(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

void pki_inner_cert_freep(X509 **cert)
{
    X509_free(*cert);
}

static void name_freep(X509_NAME **name)
{
    X509_NAME_free(*name);
}

static void csr_freep(X509_REQ **csr)
{
    X509_REQ_free(*csr);
}

void pki_inner_bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

enum err pki_inner_open(struct span pem, BIO **ret)
{
    if (pem.len == 0 || pem.len > PEM_LIMIT)
        FAIL(ERR_INVALID, "a PEM text of %zu bytes is empty or too long", pem.len);
    *ret = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (*ret == NULL)
        return pki_inner_failed(ERR_MEMORY, "no memory for a PEM text");
    return ERR_OK;
}

enum err pki_inner_take(BIO *bio, struct buf *out)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    enum err err = buf_put(out, span_of(data, (size_t)len));
    explicit_bzero(data, (size_t)len);
    return err;
}

// Never asks for a passphrase on the terminal.
int pki_inner_no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return -1;
}

enum err pki_inner_read_key(struct span pem, EVP_PKEY **ret)
{
    CLEANUP(pki_inner_bio_freep) BIO *bio = NULL;
    TRY(pki_inner_open(pem, &bio));
    *ret = PEM_read_bio_PrivateKey(bio, NULL, pki_inner_no_passphrase, NULL);
    return *ret == NULL ? pki_inner_failed(ERR_INVALID, "the text holds no private key") : ERR_OK;
}

enum err pki_inner_read_cert(struct span pem, X509 **ret)
{
    CLEANUP(pki_inner_bio_freep) BIO *bio = NULL;
    TRY(pki_inner_open(pem, &bio));
    *ret = PEM_read_bio_X509(bio, NULL, pki_inner_no_passphrase, NULL);
    return *ret == NULL ? pki_inner_failed(ERR_INVALID, "the text holds no certificate") : ERR_OK;
}

enum err pki_make_key(struct buf *ret_key_pem)
{
    CLEANUP(pki_inner_key_freep) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "prime256v1");
    CLEANUP(pki_inner_bio_freep) BIO *bio = BIO_new(BIO_s_secmem());
    if (key == NULL || bio == NULL ||
        PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not make a key");
    return pki_inner_take(bio, ret_key_pem);
}

static enum err check_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > PKI_NAME_MAX || !span_is_utf8(span_str(name)))
        FAIL(ERR_INVALID, "a common name must have 1 to %d bytes of UTF-8", PKI_NAME_MAX);
    return ERR_OK;
}

static bool set_serial(X509 *cert)
{
    uint8_t bytes[SERIAL_LEN];
    rand_bytes(bytes, sizeof bytes);
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); // positive, and always 16 bytes long
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool done = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return done;
}

static bool add_name(X509_NAME *name, const char *type, const char *text)
{
    return X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8, (const unsigned char *)text, -1,
                                      -1, 0) == 1;
}

static bool set_name(X509_NAME *name, const char *common_name)
{
    return add_name(name, "CN", common_name);
}

// A certificate with everything but extensions, issuer and signature.
static enum err new_cert(EVP_PKEY *key, const char *common_name, int days, X509 **ret)
{
    TRY(check_name(common_name));
    if (days < 1 || days > DAYS_MAX)
        FAIL(ERR_INVALID, "a certificate cannot be valid %d days: give 1 to %d", days, DAYS_MAX);
    X509 *cert = X509_new();
    if (cert == NULL)
        return pki_inner_failed(ERR_MEMORY, "no memory for a certificate");
    *ret = cert;
    if (X509_set_version(cert, X509_VERSION_3) != 1 || !set_serial(cert) ||
        X509_gmtime_adj(X509_getm_notBefore(cert), -BACKDATE_S) == NULL ||
        X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL) == NULL ||
        !set_name(X509_get_subject_name(cert), common_name) || X509_set_pubkey(cert, key) != 1)
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not fill a certificate");
    return ERR_OK;
}

static enum err add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&context);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int done = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done ? ERR_OK : pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not add an extension");
}

struct extension {
    int nid;
    const char *value;
};

static enum err add_extensions(X509 *cert, X509 *issuer, const struct extension *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(add_extension(cert, issuer, list[i].nid, list[i].value));
    return ERR_OK;
}

// RFC 5280 sections 4.2.1.13 and 4.2.2.1.
static enum err add_places(X509 *cert, X509 *issuer, const struct pki_places *places)
{
    char value[PLACE_MAX];
    const char *crl = places == NULL ? NULL : places->crl;
    const char *authority = places == NULL ? NULL : places->authority;
    if ((crl != NULL && strlen(crl) > PLACE_MAX - 32) ||
        (authority != NULL && strlen(authority) > PLACE_MAX - 32))
        FAIL(ERR_INVALID, "the address of a revocation list is too long");
    if (crl != NULL) {
        (void)snprintf(value, sizeof value, "URI:%s", crl);
        TRY(add_extension(cert, issuer, NID_crl_distribution_points, value));
    }
    if (authority == NULL)
        return ERR_OK;
    (void)snprintf(value, sizeof value, "caIssuers;URI:%s", authority);
    return add_extension(cert, issuer, NID_info_access, value);
}

// A certificate that outlived its issuer's would be worth nothing from then on.
static enum err cap_validity(X509 *cert, const X509 *issuer)
{
    const ASN1_TIME *end = X509_get0_notAfter(issuer);
    if (X509_cmp_current_time(end) <= 0)
        FAIL(ERR_WRONG_STATE, "the authority's certificate has expired: rotate the authority");
    if (ASN1_TIME_compare(X509_get0_notAfter(cert), end) > 0 && X509_set1_notAfter(cert, end) != 1)
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not fill a certificate");
    return ERR_OK;
}

static enum err sign(X509 *cert, const X509 *issuer, EVP_PKEY *issuer_key, struct buf *out)
{
    TRY(cap_validity(cert, issuer));
    if (X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1 ||
        X509_sign(cert, issuer_key, EVP_sha256()) <= 0)
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not sign a certificate");
    CLEANUP(pki_inner_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || PEM_write_bio_X509(bio, cert) != 1)
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not write a certificate");
    return pki_inner_take(bio, out);
}

enum err pki_make_ca(struct span key_pem, const char *common_name, int days,
                     struct buf *ret_cert_pem)
{
    static const struct extension list[] = {
        {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
        {NID_key_usage, "critical,keyCertSign,cRLSign"},
        {NID_subject_key_identifier, "hash"},
    };
    CLEANUP(pki_inner_key_freep) EVP_PKEY *key = NULL;
    CLEANUP(pki_inner_cert_freep) X509 *cert = NULL;
    TRY(pki_inner_read_key(key_pem, &key));
    TRY(new_cert(key, common_name, days, &cert));
    TRY(add_extensions(cert, cert, list, sizeof list / sizeof *list));
    return sign(cert, cert, key, ret_cert_pem);
}

// The issuer's certificate and key, checked to belong together.
enum err pki_inner_read_ca(struct span key_pem, struct span cert_pem, EVP_PKEY **ret_key,
                           X509 **ret_cert)
{
    TRY(pki_inner_read_key(key_pem, ret_key));
    TRY(pki_inner_read_cert(cert_pem, ret_cert));
    if (X509_check_private_key(*ret_cert, *ret_key) != 1)
        return pki_inner_failed(ERR_INVALID, "the CA's key and certificate do not belong together");
    if (X509_check_ca(*ret_cert) != 1)
        FAIL(ERR_INVALID, "the certificate given as CA is not one");
    return ERR_OK;
}

static bool is_address(const char *host)
{
    uint8_t bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

// Letters, digits, '-', '.', '_' and one leading "*.": nothing that could end a list entry early.
static bool is_dns_name(const char *host)
{
    size_t len = strlen(host);
    if (len == 0 || len > HOST_MAX)
        return false;
    if (strncmp(host, "*.", 2) == 0)
        host += 2;
    return *host != '\0' &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
               strlen(host);
}

static enum err host_list(const char *const *hosts, size_t count, struct buf *out)
{
    if (count == 0 || count > PKI_HOSTS_MAX)
        FAIL(ERR_INVALID, "a server certificate needs 1 to %d host names", PKI_HOSTS_MAX);
    for (size_t i = 0; i < count; i++) {
        bool address = is_address(hosts[i]);
        if (!address && !is_dns_name(hosts[i]))
            FAIL(ERR_INVALID, "\"%s\" is no host name and no IP address", hosts[i]);
        TRY(buf_printf(out, "%s%s:%s", i == 0 ? "" : ",", address ? "IP" : "DNS", hosts[i]));
    }
    return buf_put_u8(out, 0);
}

enum err pki_sign_server(struct span ca_key_pem, struct span ca_cert_pem, struct span key_pem,
                         const char *const *hosts, size_t host_count, int days,
                         const struct pki_places *places, struct buf *ret_cert_pem)
{
    CLEANUP(pki_inner_key_freep) EVP_PKEY *ca_key = NULL;
    CLEANUP(pki_inner_cert_freep) X509 *ca = NULL;
    CLEANUP(pki_inner_key_freep) EVP_PKEY *key = NULL;
    CLEANUP(pki_inner_cert_freep) X509 *cert = NULL;
    struct buf names CLEANUP(buf_done);
    buf_init(&names, (size_t)PKI_HOSTS_MAX * (HOST_MAX + 8), false);
    TRY(host_list(hosts, host_count, &names));
    TRY(pki_inner_read_ca(ca_key_pem, ca_cert_pem, &ca_key, &ca));
    TRY(pki_inner_read_key(key_pem, &key));
    const struct extension list[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "serverAuth,clientAuth"},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid:always"},
        {NID_subject_alt_name, (const char *)names.data},
    };
    char common_name[PKI_NAME_MAX + 1];
    (void)snprintf(common_name, sizeof common_name, "%s", hosts[0]);
    TRY(new_cert(key, common_name, days, &cert));
    TRY(add_extensions(cert, ca, list, sizeof list / sizeof *list));
    TRY(add_places(cert, ca, places));
    return sign(cert, ca, ca_key, ret_cert_pem);
}

static bool add_wish(STACK_OF(X509_EXTENSION) * list, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool done = extension != NULL && sk_X509_EXTENSION_push(list, extension) > 0;
    if (!done)
        X509_EXTENSION_free(extension);
    return done;
}

// What whoever signs is asked to put into the certificate.
static enum err add_wishes(X509_REQ *csr, const struct pki_wish *wish, const char *hosts)
{
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
    bool done = list != NULL;
    if (wish->authority)
        done = done && add_wish(list, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
               add_wish(list, NID_key_usage, "critical,keyCertSign,cRLSign");
    if (wish->host_count > 0)
        done = done && add_wish(list, NID_subject_alt_name, hosts) &&
               add_wish(list, NID_key_usage, "critical,digitalSignature") &&
               add_wish(list, NID_ext_key_usage, "serverAuth");
    if (done && sk_X509_EXTENSION_num(list) > 0)
        done = X509_REQ_add_extensions(csr, list) == 1;
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    return done ? ERR_OK : pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not add an extension");
}

enum err pki_make_request(struct span key_pem, const struct pki_wish *wish, struct buf *ret_csr_pem)
{
    CLEANUP(pki_inner_key_freep) EVP_PKEY *key = NULL;
    struct buf names CLEANUP(buf_done);
    buf_init(&names, (size_t)PKI_HOSTS_MAX * (HOST_MAX + 8), false);
    TRY(check_name(wish->common_name));
    TRY(pki_inner_read_key(key_pem, &key));
    if (wish->host_count > 0)
        TRY(host_list(wish->hosts, wish->host_count, &names));
    CLEANUP(csr_freep) X509_REQ *csr = X509_REQ_new();
    CLEANUP(pki_inner_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (csr == NULL || bio == NULL || X509_REQ_set_version(csr, X509_REQ_VERSION_1) != 1 ||
        (wish->organization != NULL &&
         !add_name(X509_REQ_get_subject_name(csr), "O", wish->organization)) ||
        !set_name(X509_REQ_get_subject_name(csr), wish->common_name) ||
        X509_REQ_set_pubkey(csr, key) != 1)
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not make a certificate signing request");
    TRY(add_wishes(csr, wish, (const char *)names.data));
    if (X509_REQ_sign(csr, key, EVP_sha256()) <= 0 || PEM_write_bio_X509_REQ(bio, csr) != 1)
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not make a certificate signing request");
    return pki_inner_take(bio, ret_csr_pem);
}

enum err pki_make_csr(struct span key_pem, const char *common_name, struct buf *ret_csr_pem)
{
    const struct pki_wish wish = {.common_name = common_name};
    return pki_make_request(key_pem, &wish, ret_csr_pem);
}

static enum err check_client_key(EVP_PKEY *key)
{
    char group[32] = "";
    size_t len = 0;
    int bits = EVP_PKEY_get_bits(key);
    if (EVP_PKEY_is_a(key, "RSA") && bits >= 2048 && bits <= 8192)
        return ERR_OK;
    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 &&
        (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0))
        return ERR_OK;
    ERR_clear_error();
    FAIL(ERR_INVALID, "the request's key must be P-256, P-384 or RSA of 2048 to 8192 bits");
}

static enum err read_csr(struct span pem, X509_REQ **ret)
{
    CLEANUP(pki_inner_bio_freep) BIO *bio = NULL;
    TRY(pki_inner_open(pem, &bio));
    *ret = PEM_read_bio_X509_REQ(bio, NULL, pki_inner_no_passphrase, NULL);
    if (*ret == NULL)
        return pki_inner_failed(ERR_INVALID, "the text holds no certificate signing request");
    EVP_PKEY *key = X509_REQ_get0_pubkey(*ret);
    if (key == NULL)
        return pki_inner_failed(ERR_INVALID, "the request's key cannot be read");
    TRY(check_client_key(key));
    if (X509_REQ_verify(*ret, key) != 1)
        return pki_inner_failed(ERR_INVALID, "the request's signature is wrong");
    return ERR_OK;
}

static enum err fingerprint(const X509 *cert, uint8_t ret[PKI_FINGERPRINT_LEN])
{
    unsigned len = PKI_FINGERPRINT_LEN;
    if (X509_digest(cert, EVP_sha256(), ret, &len) != 1)
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not hash a certificate");
    return ERR_OK;
}

enum err pki_sign_client(struct span ca_key_pem, struct span ca_cert_pem, struct span csr_pem,
                         const char *common_name, int days, const struct pki_places *places,
                         struct buf *ret_cert_pem, uint8_t ret_fingerprint[PKI_FINGERPRINT_LEN])
{
    static const struct extension list[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "clientAuth"},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid:always"},
    };
    CLEANUP(pki_inner_key_freep) EVP_PKEY *ca_key = NULL;
    CLEANUP(pki_inner_cert_freep) X509 *ca = NULL;
    CLEANUP(csr_freep) X509_REQ *csr = NULL;
    CLEANUP(pki_inner_cert_freep) X509 *cert = NULL;
    TRY(read_csr(csr_pem, &csr));
    TRY(pki_inner_read_ca(ca_key_pem, ca_cert_pem, &ca_key, &ca));
    TRY(new_cert(X509_REQ_get0_pubkey(csr), common_name, days, &cert));
    TRY(add_extensions(cert, ca, list, sizeof list / sizeof *list));
    TRY(add_places(cert, ca, places));
    TRY(sign(cert, ca, ca_key, ret_cert_pem));
    return fingerprint(cert, ret_fingerprint);
}

static enum err check_subject(X509_REQ *csr, const char *organization, const char *common_name)
{
    CLEANUP(name_freep) X509_NAME *want = X509_NAME_new();
    if (want == NULL || !add_name(want, "O", organization) || !set_name(want, common_name))
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not make a name");
    if (X509_NAME_cmp(want, X509_REQ_get_subject_name(csr)) != 0)
        FAIL(ERR_INVALID, "the request is not for the subject \"/O=%s/CN=%s\"", organization,
             common_name);
    return ERR_OK;
}

enum err pki_check_proof(struct span csr_pem, struct span cert_pem, const char *organization,
                         const char *common_name)
{
    CLEANUP(csr_freep) X509_REQ *csr = NULL;
    CLEANUP(pki_inner_cert_freep) X509 *cert = NULL;
    TRY(pki_inner_read_cert(cert_pem, &cert));
    TRY(read_csr(csr_pem, &csr));
    const EVP_PKEY *key = X509_get0_pubkey(cert);
    bool same = key != NULL && EVP_PKEY_eq(key, X509_REQ_get0_pubkey(csr)) == 1;
    ERR_clear_error();
    if (!same)
        FAIL(ERR_INVALID, "the request is signed with another key than the certificate's");
    return check_subject(csr, organization, common_name);
}

static enum err read_der(struct span der, X509 **ret)
{
    const unsigned char *at = der.data;
    if (der.len == 0 || der.len > LONG_MAX)
        FAIL(ERR_INVALID, "the certificate is empty or too long");
    CLEANUP(pki_inner_cert_freep) X509 *cert = d2i_X509(NULL, &at, (long)der.len);
    ERR_clear_error();
    if (cert == NULL || at != der.data + der.len)
        FAIL(ERR_INVALID, "the bytes are not an X.509 certificate");
    *ret = cert;
    cert = NULL;
    return ERR_OK;
}

enum err pki_check_der(struct span der)
{
    CLEANUP(pki_inner_cert_freep) X509 *cert = NULL;
    return read_der(der, &cert);
}

static enum err take_end(const X509 *cert, int64_t *ret)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
        FAIL(ERR_INVALID, "the certificate does not say when it expires");
    *ret = timegm(&tm);
    return ERR_OK;
}

enum err pki_expires_der(struct span der, int64_t *ret)
{
    CLEANUP(pki_inner_cert_freep) X509 *cert = NULL;
    TRY(read_der(der, &cert));
    return take_end(cert, ret);
}

enum err pki_fingerprint(struct span cert_pem, uint8_t ret[PKI_FINGERPRINT_LEN])
{
    CLEANUP(pki_inner_cert_freep) X509 *cert = NULL;
    TRY(pki_inner_read_cert(cert_pem, &cert));
    return fingerprint(cert, ret);
}

static void stack_freep(STACK_OF(X509) * *stack)
{
    sk_X509_pop_free(*stack, X509_free);
}

static enum err read_stack(struct span pem, STACK_OF(X509) * stack)
{
    CLEANUP(pki_inner_bio_freep) BIO *bio = NULL;
    TRY(pki_inner_open(pem, &bio));
    for (;;) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, pki_inner_no_passphrase, NULL);
        if (cert == NULL)
            break;
        if (sk_X509_push(stack, cert) <= 0) {
            X509_free(cert);
            return pki_inner_failed(ERR_MEMORY, "no memory for a PKCS#12 file");
        }
    }
    ERR_clear_error(); // the end of the text is told as an error
    if (sk_X509_num(stack) == 0)
        FAIL(ERR_INVALID, "the text holds no certificate");
    return ERR_OK;
}

static void pkcs12_freep(PKCS12 **p12)
{
    PKCS12_free(*p12);
}

enum err pki_make_pkcs12(struct span key_pem, struct span cert_pem, struct span ca_pem,
                         struct span password, const char *name, struct buf *ret_der)
{
    char text[PKI_PASSWORD_MAX + 1] = "";
    CLEANUP(pki_inner_key_freep) EVP_PKEY *key = NULL;
    CLEANUP(pki_inner_cert_freep) X509 *cert = NULL;
    CLEANUP(pki_inner_bio_freep) BIO *bio = BIO_new(BIO_s_secmem());
    CLEANUP(stack_freep) STACK_OF(X509) *chain = sk_X509_new_null();
    if (password.len == 0 || password.len > PKI_PASSWORD_MAX)
        FAIL(ERR_INVALID, "the password must have 1 to %d bytes", PKI_PASSWORD_MAX);
    TRY(pki_inner_read_key(key_pem, &key));
    TRY(pki_inner_read_cert(cert_pem, &cert));
    if (bio == NULL || chain == NULL)
        return pki_inner_failed(ERR_MEMORY, "no memory for a PKCS#12 file");
    TRY(read_stack(ca_pem, chain));
    memcpy(text, password.data, password.len);
    CLEANUP(pkcs12_freep)
    PKCS12 *p12 = PKCS12_create(text, name, key, cert, chain, NID_aes_256_cbc, NID_aes_256_cbc,
                                PKCS12_ROUNDS, PKCS12_ROUNDS, 0);
    explicit_bzero(text, sizeof text);
    if (p12 == NULL || i2d_PKCS12_bio(bio, p12) != 1)
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not make a PKCS#12 file");
    return pki_inner_take(bio, ret_der);
}

static X509 *cert_of_der(struct span der)
{
    const unsigned char *at = der.data;
    if (der.len == 0 || der.len > LONG_MAX)
        return NULL;
    X509 *cert = d2i_X509(NULL, &at, (long)der.len);
    ERR_clear_error();
    if (cert != NULL && at == der.data + der.len)
        return cert;
    X509_free(cert);
    return NULL;
}

enum err pki_public_key(struct span der, struct buf *ret_spki)
{
    CLEANUP(pki_inner_cert_freep) X509 *cert = cert_of_der(der);
    unsigned char *spki = NULL;
    if (cert == NULL)
        FAIL(ERR_INVALID, "the bytes are not an X.509 certificate");
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
    if (len <= 0)
        return pki_inner_failed(ERR_INVALID, "the certificate's key cannot be read");
    enum err err = buf_put(ret_spki, span_of(spki, (size_t)len));
    OPENSSL_free(spki);
    return err;
}

bool pki_is_issuer(struct span issuer, struct span cert, unsigned *checks)
{
    CLEANUP(pki_inner_cert_freep) X509 *above = cert_of_der(issuer);
    CLEANUP(pki_inner_cert_freep) X509 *below = cert_of_der(cert);
    if (*checks == 0 || above == NULL || below == NULL || span_eq(issuer, cert) ||
        X509_NAME_cmp(X509_get_subject_name(above), X509_get_issuer_name(below)) != 0)
        return false;
    EVP_PKEY *key = X509_get0_pubkey(above);
    (*checks)--;
    bool signed_by = key != NULL && X509_verify(below, key) == 1;
    ERR_clear_error();
    return signed_by;
}

enum err pki_pack_pkcs12(struct span pkcs8, struct span cert_der, struct span password,
                         struct buf *ret_der)
{
    char text[PKI_PASSWORD_MAX + 1] = "";
    CLEANUP(pki_inner_key_freep) EVP_PKEY *key = NULL;
    CLEANUP(pki_inner_cert_freep) X509 *cert = cert_der.len > 0 ? cert_of_der(cert_der) : NULL;
    CLEANUP(pki_inner_bio_freep) BIO *bio = BIO_new(BIO_s_secmem());
    const unsigned char *at = pkcs8.data;
    if (password.len == 0 || password.len > PKI_PASSWORD_MAX ||
        memchr(password.data, 0, password.len) != NULL)
        FAIL(ERR_INVALID, "the password must have 1 to %d bytes", PKI_PASSWORD_MAX);
    if (pkcs8.len > 0)
        key = d2i_AutoPrivateKey(NULL, &at, (long)pkcs8.len);
    if (key == NULL && cert == NULL)
        return pki_inner_failed(ERR_INVALID, "the object is neither a key nor a certificate");
    memcpy(text, password.data, password.len);
    CLEANUP(pkcs12_freep)
    PKCS12 *p12 = PKCS12_create(text, NULL, key, cert, NULL, NID_aes_256_cbc, NID_aes_256_cbc,
                                PKCS12_ROUNDS, PKCS12_ROUNDS, 0);
    explicit_bzero(text, sizeof text);
    if (bio == NULL || p12 == NULL || i2d_PKCS12_bio(bio, p12) != 1)
        return pki_inner_failed(ERR_CRYPTOGRAPHIC, "could not make a PKCS#12 file");
    return pki_inner_take(bio, ret_der);
}
