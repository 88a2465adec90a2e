// SPDX-License-Identifier: Apache-2.0
//
// crypto/pki.h and crypto/keypair.h: certificates chain, name what they should, take nothing but
// the key from a request; key pairs survive every change of encoding.
#include "crypto/crypto.h"
#include "crypto/pki.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "crypto/keypair.h"
#include "tests/unit/check.h"

struct pki {
    struct buf ca_key, ca, key, csr;
};

static X509 *cert_of(struct span pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

static int set_up(void **state)
{
    struct pki *p = calloc(1, sizeof *p);
    buf_init(&p->ca_key, 8192, true);
    buf_init(&p->ca, 8192, false);
    buf_init(&p->key, 8192, true);
    buf_init(&p->csr, 8192, false);
    OK(pki_make_key(&p->ca_key));
    OK(pki_make_ca(span_buf(&p->ca_key), "Keyward CA", 3650, &p->ca));
    OK(pki_make_key(&p->key));
    OK(pki_make_csr(span_buf(&p->key), "wants to be root", &p->csr));
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct pki *p = *state;
    buf_done(&p->ca_key);
    buf_done(&p->ca);
    buf_done(&p->key);
    buf_done(&p->csr);
    free(p);
    return 0;
}

// 0 when the chain is right for the purpose.
static int verify(struct span ca_pem, X509 *leaf, int purpose)
{
    X509 *ca = cert_of(ca_pem);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, ca), 1);
    assert_int_equal(X509_STORE_CTX_init(context, store, leaf, NULL), 1);
    assert_int_equal(X509_STORE_CTX_set_purpose(context, purpose), 1);
    X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
    (void)X509_verify_cert(context);
    int error = X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(ca);
    return error;
}

static void a_server_certificate_is_for_its_hosts(void **state)
{
    struct pki *p = *state;
    struct buf cert CLEANUP(buf_done);
    buf_init(&cert, 8192, false);
    const char *const hosts[] = {"kms.example.com", "192.0.2.7", "2001:db8::1", "*.kms.example"};
    OK(pki_sign_server(span_buf(&p->ca_key), span_buf(&p->ca), span_buf(&p->key), hosts, 4, 365,
                       NULL, &cert));
    X509 *leaf = cert_of(span_buf(&cert));
    assert_int_equal(verify(span_buf(&p->ca), leaf, X509_PURPOSE_SSL_SERVER), X509_V_OK);
    assert_int_equal(X509_check_host(leaf, "kms.example.com", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(leaf, "other.example.com", 0, 0, NULL), 0);
    assert_int_equal(X509_check_host(leaf, "a.kms.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "192.0.2.7", 0), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "2001:db8::1", 0), 1);
    assert_int_equal(ASN1_STRING_length(X509_get0_serialNumber(leaf)), 16);
    assert_int_not_equal(X509_check_ca(leaf), 1);
    X509_free(leaf);
}

static void a_client_certificate_takes_the_key_alone_from_the_request(void **state)
{
    struct pki *p = *state;
    struct buf cert CLEANUP(buf_done);
    buf_init(&cert, 8192, false);
    uint8_t print[PKI_FINGERPRINT_LEN];
    uint8_t again[PKI_FINGERPRINT_LEN];
    OK(pki_sign_client(span_buf(&p->ca_key), span_buf(&p->ca), span_buf(&p->csr), "db01", 30, NULL,
                       &cert, print));
    OK(pki_fingerprint(span_buf(&cert), again));
    assert_memory_equal(print, again, sizeof print);
    X509 *leaf = cert_of(span_buf(&cert));
    assert_int_equal(verify(span_buf(&p->ca), leaf, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_int_not_equal(verify(span_buf(&p->ca), leaf, X509_PURPOSE_SSL_SERVER), X509_V_OK);
    char name[128] = "";
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, name, 128);
    assert_string_equal(name, "db01");
    X509_free(leaf);
}

static bool names(X509 *cert, int nid, const char *address)
{
    int at = X509_get_ext_by_NID(cert, nid, -1);
    if (at < 0)
        return false;
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(X509_get_ext(cert, at));
    return memmem(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value), address,
                  strlen(address)) != NULL;
}

static void a_certificate_names_where_its_issuer_is_found(void **state)
{
    struct pki *p = *state;
    uint8_t print[PKI_FINGERPRINT_LEN];
    char longest[600];
    struct buf cert CLEANUP(buf_done);
    struct buf none CLEANUP(buf_done);
    buf_init(&cert, 8192, false);
    buf_init(&none, 8192, false);
    const struct pki_places places = {"http://kv.example/crl/1", "http://kv.example/ca/1"};
    OK(pki_sign_client(span_buf(&p->ca_key), span_buf(&p->ca), span_buf(&p->csr), "db01", 30,
                       &places, &cert, print));
    X509 *leaf = cert_of(span_buf(&cert));
    assert_int_equal(verify(span_buf(&p->ca), leaf, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_true(names(leaf, NID_crl_distribution_points, places.crl));
    assert_true(names(leaf, NID_info_access, places.authority));
    X509_free(leaf);
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    const struct pki_places bad[] = {{longest, NULL}, {NULL, longest}};
    for (size_t i = 0; i < 2; i++)
        FAILS(ERR_INVALID, pki_sign_client(span_buf(&p->ca_key), span_buf(&p->ca),
                                           span_buf(&p->csr), "db01", 30, &bad[i], &none, print));
    assert_int_equal(none.len, 0);
}

static void the_der_of_a_pem_text_is_had(void **state)
{
    struct pki *p = *state;
    uint8_t print[PKI_FINGERPRINT_LEN];
    uint8_t hash[32];
    struct buf der CLEANUP(buf_done);
    buf_init(&der, 8192, false);
    OK(pki_der(span_buf(&p->ca), &der));
    OK(pki_check_der(span_buf(&der)));
    OK(pki_fingerprint(span_buf(&p->ca), print));
    crypto_sha256(span_buf(&der), hash);
    assert_memory_equal(print, hash, sizeof print);
    FAILS(ERR_INVALID, pki_der(span_str("no PEM"), &der));
    FAILS(ERR_INVALID, pki_der(span_str(""), &der));
}

static void a_certificate_of_another_ca_does_not_verify(void **state)
{
    struct pki *p = *state;
    struct buf key CLEANUP(buf_done);
    struct buf ca CLEANUP(buf_done);
    struct buf cert CLEANUP(buf_done);
    buf_init(&key, 8192, true);
    buf_init(&ca, 8192, false);
    buf_init(&cert, 8192, false);
    OK(pki_make_key(&key));
    OK(pki_make_ca(span_buf(&key), "Keyward CA", 3650, &ca));
    uint8_t print[PKI_FINGERPRINT_LEN];
    OK(pki_sign_client(span_buf(&key), span_buf(&ca), span_buf(&p->csr), "db01", 30, NULL, &cert,
                       print));
    X509 *leaf = cert_of(span_buf(&cert));
    assert_int_not_equal(verify(span_buf(&p->ca), leaf, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    X509_free(leaf);
}

static void what_is_not_right_is_refused(void **state)
{
    struct pki *p = *state;
    struct span ca_key = span_buf(&p->ca_key);
    struct span ca = span_buf(&p->ca);
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 8192, false);
    uint8_t print[PKI_FINGERPRINT_LEN];
    const char *const evil[] = {"a,DNS:evil.example"};
    const char *const empty[] = {""};
    FAILS(ERR_INVALID, pki_sign_server(ca_key, ca, span_buf(&p->key), evil, 1, 1, NULL, &out));
    FAILS(ERR_INVALID, pki_sign_server(ca_key, ca, span_buf(&p->key), empty, 1, 1, NULL, &out));
    FAILS(ERR_INVALID, pki_sign_server(ca_key, ca, span_buf(&p->key), evil, 0, 1, NULL, &out));
    FAILS(ERR_INVALID, pki_make_ca(ca_key, "", 1, &out));
    FAILS(ERR_INVALID, pki_make_ca(ca_key, "x", 0, &out));
    FAILS(ERR_INVALID, pki_make_ca(span_str("no key"), "x", 1, &out));
    FAILS(ERR_INVALID, pki_fingerprint(span_str(""), print));
    // The CA's key of somebody else.
    FAILS(ERR_INVALID,
          pki_sign_client(span_buf(&p->key), ca, span_buf(&p->csr), "x", 1, NULL, &out, print));
    // A request whose signature was changed: one base64 character near its end.
    char *text = NULL;
    OK(span_strdup(span_buf(&p->csr), &text));
    char *at = strstr(text, "-----END") - 12;
    *at = *at == 'A' ? 'B' : 'A';
    FAILS(ERR_INVALID, pki_sign_client(ca_key, ca, span_str(text), "x", 1, NULL, &out, print));
    free(text);
    assert_int_equal(out.len, 0);
}

static void a_request_with_a_weak_key_is_refused(void **state)
{
    struct pki *p = *state;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    char *pem = NULL;
    long len = BIO_get_mem_data(bio, &pem);
    struct buf csr CLEANUP(buf_done);
    struct buf out CLEANUP(buf_done);
    buf_init(&csr, 8192, false);
    buf_init(&out, 8192, false);
    uint8_t print[PKI_FINGERPRINT_LEN];
    OK(pki_make_csr(span_of(pem, (size_t)len), "weak", &csr));
    FAILS(ERR_INVALID, pki_sign_client(span_buf(&p->ca_key), span_buf(&p->ca), span_buf(&csr), "x",
                                       1, NULL, &out, print));
    BIO_free(bio);
    EVP_PKEY_free(key);
}

static void key_pairs_survive_every_encoding(void **state)
{
    (void)state;
    static const struct {
        enum keypair_kind kind;
        int bits;
        enum keypair_format other; // beside PKCS#8
    } cases[] = {
        {KEYPAIR_RSA, 2048, KEYPAIR_PKCS1},  {KEYPAIR_P256, 256, KEYPAIR_SEC1},
        {KEYPAIR_P384, 384, KEYPAIR_SEC1},   {KEYPAIR_P521, 521, KEYPAIR_SEC1},
        {KEYPAIR_ED25519, 256, KEYPAIR_RAW}, {KEYPAIR_X25519, 256, KEYPAIR_RAW},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf pkcs8 CLEANUP(buf_done), spki CLEANUP(buf_done), other CLEANUP(buf_done);
        struct buf back CLEANUP(buf_done), public CLEANUP(buf_done);
        buf_init(&pkcs8, 16384, true);
        buf_init(&spki, 16384, false);
        buf_init(&other, 16384, true);
        buf_init(&back, 16384, true);
        buf_init(&public, 16384, false);
        OK(keypair_generate(cases[i].kind, cases[i].bits, &pkcs8, &spki));
        OK(keypair_convert_private(span_buf(&pkcs8), KEYPAIR_PKCS8, cases[i].other, &other));
        if (cases[i].other != KEYPAIR_RAW) {
            OK(keypair_convert_private(span_buf(&other), cases[i].other, KEYPAIR_PKCS8, &back));
            assert_true(span_eq(span_buf(&pkcs8), span_buf(&back)));
        } else {
            assert_int_equal(other.len, 32);
        }
        OK(keypair_public_of(span_buf(&pkcs8), KEYPAIR_PKCS8, &public));
        assert_true(span_eq(span_buf(&public), span_buf(&spki)));
        struct keypair_info info;
        OK(keypair_describe(span_buf(&pkcs8), KEYPAIR_PKCS8, true, &info));
        assert_int_equal(info.kind, cases[i].kind);
        assert_int_equal(info.bits, cases[i].bits);
        OK(keypair_describe(span_buf(&spki), KEYPAIR_SPKI, false, &info));
        assert_int_equal(info.kind, cases[i].kind);
    }
}

static void public_keys_change_their_encoding(void **state)
{
    (void)state;
    struct buf pkcs8 CLEANUP(buf_done), spki CLEANUP(buf_done), other CLEANUP(buf_done);
    struct buf back CLEANUP(buf_done);
    buf_init(&pkcs8, 16384, true);
    buf_init(&spki, 16384, false);
    buf_init(&other, 16384, false);
    buf_init(&back, 16384, false);
    OK(keypair_generate(KEYPAIR_RSA, 2048, &pkcs8, &spki));
    OK(keypair_convert_public(span_buf(&spki), KEYPAIR_SPKI, KEYPAIR_PKCS1, &other));
    OK(keypair_convert_public(span_buf(&other), KEYPAIR_PKCS1, KEYPAIR_SPKI, &back));
    assert_true(span_eq(span_buf(&spki), span_buf(&back)));
    buf_clear(&pkcs8);
    buf_clear(&spki);
    buf_clear(&other);
    OK(keypair_generate(KEYPAIR_P256, 0, &pkcs8, &spki));
    OK(keypair_convert_public(span_buf(&spki), KEYPAIR_SPKI, KEYPAIR_RAW, &other));
    assert_int_equal(other.len, 65);
}

static void keys_that_are_not_offered_are_refused(void **state)
{
    (void)state;
    struct buf pkcs8 CLEANUP(buf_done), spki CLEANUP(buf_done), out CLEANUP(buf_done);
    buf_init(&pkcs8, 16384, true);
    buf_init(&spki, 16384, false);
    buf_init(&out, 16384, true);
    struct keypair_info info;
    FAILS(ERR_INVALID, keypair_generate(KEYPAIR_RSA, 1024, &pkcs8, &spki));
    FAILS(ERR_INVALID, keypair_generate(KEYPAIR_RSA, 2049, &pkcs8, &spki));
    FAILS(ERR_INVALID, keypair_generate((enum keypair_kind)99, 0, &pkcs8, &spki));
    OK(keypair_generate(KEYPAIR_P256, 0, &pkcs8, &spki));
    FAILS(ERR_KEY_FORMAT,
          keypair_convert_private(span_buf(&pkcs8), KEYPAIR_PKCS8, KEYPAIR_PKCS1, &out));
    FAILS(ERR_KEY_FORMAT,
          keypair_convert_private(span_buf(&pkcs8), KEYPAIR_PKCS8, KEYPAIR_SPKI, &out));
    FAILS(ERR_KEY_FORMAT,
          keypair_convert_public(span_buf(&spki), KEYPAIR_SPKI, KEYPAIR_PKCS1, &out));
    FAILS(ERR_INVALID, keypair_convert_private(span_buf(&spki), KEYPAIR_PKCS8, KEYPAIR_SEC1, &out));
    FAILS(ERR_INVALID,
          keypair_describe(span_of(pkcs8.data, pkcs8.len - 1), KEYPAIR_PKCS8, true, &info));
    OK(buf_put_u8(&pkcs8, 0)); // a byte too much
    FAILS(ERR_INVALID, keypair_describe(span_buf(&pkcs8), KEYPAIR_PKCS8, true, &info));
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_certificate_is_for_its_hosts),
        cmocka_unit_test(a_client_certificate_takes_the_key_alone_from_the_request),
        cmocka_unit_test(a_certificate_names_where_its_issuer_is_found),
        cmocka_unit_test(the_der_of_a_pem_text_is_had),
        cmocka_unit_test(a_certificate_of_another_ca_does_not_verify),
        cmocka_unit_test(what_is_not_right_is_refused),
        cmocka_unit_test(a_request_with_a_weak_key_is_refused),
        cmocka_unit_test(key_pairs_survive_every_encoding),
        cmocka_unit_test(public_keys_change_their_encoding),
        cmocka_unit_test(keys_that_are_not_offered_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
