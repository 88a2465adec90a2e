// SPDX-License-Identifier: Apache-2.0
//
// crypto/pki.h: what was signed outside is taken over only when it is one whole, valid chain of the
// right kind; lists of revoked certificates verify and name who is revoked.
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/pki.h"
#include "tests/unit/check.h"

enum { DAY_S = 86400, TEXT_MAX = 256 * 1024 };

static const char authority[] = "critical,CA:TRUE";
static const char signs[] = "critical,keyCertSign,cRLSign";

// What is wanted of one certificate; NULL: the extension is left out.
struct want {
    const char *name;
    const char *constraints, *usage, *names, *purpose;
    int from_days, to_days;
    bool weak; // a 1024-bit key
};

struct made {
    EVP_PKEY *key;
    X509 *cert;
};

static void add(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension =
        value == NULL ? NULL : X509V3_EXT_conf_nid(NULL, &context, nid, value);
    if (extension != NULL)
        assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static struct made make(const struct want *want, const struct made *issuer)
{
    static long serial = 1;
    struct made made = {.cert = X509_new()};
    made.key = want->weak ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024)
                          : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    const struct made *by = issuer == NULL ? &made : issuer;
    X509_NAME *name = X509_get_subject_name(made.cert);
    (void)X509_set_version(made.cert, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(made.cert), serial++);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)want->name, -1, -1,
                                     0);
    (void)X509_set_issuer_name(made.cert, X509_get_subject_name(by->cert));
    (void)X509_gmtime_adj(X509_getm_notBefore(made.cert), (long)want->from_days * DAY_S);
    (void)X509_gmtime_adj(X509_getm_notAfter(made.cert), (long)want->to_days * DAY_S);
    (void)X509_set_pubkey(made.cert, made.key);
    add(made.cert, by->cert, NID_basic_constraints, want->constraints);
    add(made.cert, by->cert, NID_key_usage, want->usage);
    add(made.cert, by->cert, NID_subject_key_identifier, "hash");
    if (issuer != NULL)
        add(made.cert, by->cert, NID_authority_key_identifier, "keyid");
    add(made.cert, by->cert, NID_subject_alt_name, want->names);
    add(made.cert, by->cert, NID_ext_key_usage, want->purpose);
    assert_true(X509_sign(made.cert, by->key, EVP_sha256()) > 0);
    return made;
}

static void made_done(struct made *made)
{
    EVP_PKEY_free(made->key);
    X509_free(made->cert);
}

static void put_cert(struct buf *out, X509 *cert)
{
    char *data = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, cert), 1);
    long len = BIO_get_mem_data(bio, &data);
    OK(buf_put(out, span_of(data, (size_t)len)));
    BIO_free(bio);
}

static void put_key(struct buf *out, EVP_PKEY *key)
{
    char *data = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    long len = BIO_get_mem_data(bio, &data);
    OK(buf_put(out, span_of(data, (size_t)len)));
    BIO_free(bio);
}

// A root, an authority below it, a server below that; in the PEM text from the leaf up.
struct fixture {
    struct made root, middle, leaf;
    struct buf text, key, chain;
};

static struct want root_want = {"Root", authority, signs, NULL, NULL, -10, 1000, false};
static struct want middle_want = {"Middle", authority, signs, NULL, NULL, -10, 900, false};
static struct want server_want = {"kv",
                                  "critical,CA:FALSE",
                                  "critical,digitalSignature",
                                  "DNS:kv,IP:192.0.2.1",
                                  "serverAuth",
                                  -1,
                                  90,
                                  false};
static struct want below_want = {
    "Keyward CA", "critical,CA:TRUE,pathlen:0", signs, NULL, NULL, -1, 800, false};

static void set_up(struct fixture *f, const struct want *root, const struct want *middle,
                   const struct want *leaf)
{
    f->root = make(root, NULL);
    f->middle = make(middle, &f->root);
    f->leaf = make(leaf, &f->middle);
    buf_init(&f->text, TEXT_MAX, false);
    buf_init(&f->key, 8192, true);
    buf_init(&f->chain, TEXT_MAX, false);
    put_cert(&f->text, f->leaf.cert);
    put_cert(&f->text, f->middle.cert);
    put_cert(&f->text, f->root.cert);
    put_key(&f->key, f->leaf.key);
}

static void fixture_done(struct fixture *f)
{
    made_done(&f->root);
    made_done(&f->middle);
    made_done(&f->leaf);
    buf_done(&f->text);
    buf_done(&f->key);
    buf_done(&f->chain);
}

static enum err check(struct fixture *f, enum pki_use use)
{
    buf_clear(&f->chain);
    return pki_check_chain(use, span_buf(&f->text), span_buf(&f->key), (int64_t)time(NULL),
                           &f->chain);
}

static void refuse(struct fixture *f, enum pki_use use, const char *why)
{
    FAILS(ERR_INVALID, check(f, use));
    if (strstr(err_detail(), why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err_detail(), why);
    assert_int_equal(f->chain.len, 0);
}

static void a_whole_chain_is_put_in_order(void **state)
{
    (void)state;
    struct fixture f CLEANUP(fixture_done);
    struct pki_info info;
    struct buf part CLEANUP(buf_done);
    buf_init(&part, TEXT_MAX, false);
    set_up(&f, &root_want, &middle_want, &server_want);
    buf_clear(&f.text);
    put_cert(&f.text, f.root.cert);
    put_cert(&f.text, f.leaf.cert);
    put_cert(&f.text, f.middle.cert);
    OK(check(&f, PKI_SERVER));
    OK(pki_describe(span_buf(&f.chain), &info));
    assert_string_equal(info.subject, "CN=kv");
    assert_string_equal(info.issuer, "CN=Middle");
    assert_false(info.is_ca);
    OK(pki_chain_part(span_buf(&f.chain), PKI_ABOVE, &part));
    OK(pki_describe(span_buf(&part), &info));
    assert_string_equal(info.subject, "CN=Middle");
    assert_true(info.is_ca);
    assert_int_equal(info.path_length, -1);
    buf_clear(&part);
    OK(pki_chain_part(span_buf(&f.chain), PKI_SENT, &part));
    assert_true(part.len < f.chain.len);
    buf_clear(&part);
    OK(pki_hosts(span_buf(&f.chain), &part));
    assert_true(span_eq_str(span_buf(&part), "kv\n192.0.2.1\n"));
}

static void an_authority_below_another_may_serve(void **state)
{
    (void)state;
    struct fixture f CLEANUP(fixture_done);
    set_up(&f, &root_want, &middle_want, &below_want);
    OK(check(&f, PKI_AUTHORITY));
    refuse(&f, PKI_SERVER, "names no server");
}

static void each_fault_of_a_chain_is_named(void **state)
{
    (void)state;
    struct want short_path = middle_want;
    struct want old_middle = middle_want;
    struct want no_authority = middle_want;
    struct want no_signer = below_want;
    struct want no_lists = below_want;
    struct want expired = server_want;
    struct want too_early = server_want;
    struct want nameless = server_want;
    struct want a_clients = server_want;
    struct want weak = server_want;
    short_path.constraints = "critical,CA:TRUE,pathlen:0";
    old_middle.to_days = -1;
    no_authority.constraints = "critical,CA:FALSE";
    no_signer.usage = "critical,digitalSignature";
    no_lists.usage = "critical,keyCertSign";
    expired.from_days = -9;
    expired.to_days = -1;
    too_early.from_days = 2;
    nameless.names = NULL;
    a_clients.purpose = "clientAuth";
    weak.weak = true;
    const struct {
        struct want root, middle, leaf;
        enum pki_use use;
        const char *why;
    } rows[] = {
        {root_want, middle_want, server_want, PKI_AUTHORITY, "is no authority's"},
        {root_want, short_path, below_want, PKI_AUTHORITY,
         "path length of 0, and the one below wants 1"},
        {root_want, middle_want, no_signer, PKI_AUTHORITY, "is no authority's"},
        {root_want, middle_want, no_lists, PKI_AUTHORITY, "cRLSign"},
        {root_want, middle_want, expired, PKI_SERVER, "\"CN=kv\" has expired"},
        {root_want, middle_want, too_early, PKI_SERVER, "\"CN=kv\" is not valid yet"},
        {root_want, old_middle, server_want, PKI_SERVER, "\"CN=Middle\" has expired"},
        {root_want, middle_want, nameless, PKI_SERVER, "names no server"},
        {root_want, middle_want, a_clients, PKI_SERVER, "\"CN=kv\" cannot be used"},
        {root_want, no_authority, server_want, PKI_SERVER,
         "\"CN=Middle\" cannot be used: invalid CA"},
        {root_want, middle_want, weak, PKI_SERVER, "too weak"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f CLEANUP(fixture_done);
        set_up(&f, &rows[i].root, &rows[i].middle, &rows[i].leaf);
        refuse(&f, rows[i].use, rows[i].why);
    }
}

static void what_is_missing_or_too_much_is_named(void **state)
{
    (void)state;
    struct fixture f CLEANUP(fixture_done);
    struct fixture other CLEANUP(fixture_done);
    set_up(&f, &root_want, &middle_want, &server_want);
    set_up(&other, &root_want, &middle_want, &server_want);
    buf_clear(&f.text);
    put_cert(&f.text, f.leaf.cert);
    put_cert(&f.text, f.middle.cert);
    refuse(&f, PKI_SERVER, "the certificate of \"CN=Root\", which issued \"CN=Middle\"");
    put_cert(&f.text, other.root.cert); // of the same name, another key
    refuse(&f, PKI_SERVER, "\"CN=Root\"");
    put_cert(&f.text, f.root.cert);
    refuse(&f, PKI_SERVER, "does not belong to the chain");
    buf_clear(&f.text);
    put_cert(&f.text, other.leaf.cert);
    put_cert(&f.text, other.middle.cert);
    put_cert(&f.text, other.root.cert);
    refuse(&f, PKI_SERVER, "for another key");
    for (int i = 0; i < PKI_CHAIN_MAX; i++)
        put_cert(&f.text, f.root.cert);
    refuse(&f, PKI_SERVER, "more than");
}

static void garbage_and_a_megabyte_are_refused(void **state)
{
    (void)state;
    static char large[1024 * 1024];
    struct fixture f CLEANUP(fixture_done);
    struct buf out CLEANUP(buf_done);
    struct pki_info info;
    buf_init(&out, TEXT_MAX, false);
    set_up(&f, &root_want, &middle_want, &server_want);
    const int64_t now = (int64_t)time(NULL);
    memset(large, 'A', sizeof large);
    const struct span texts[] = {
        span_str(""),
        span_str("no certificate"),
        span_str("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        span_str("-----BEGIN CERTIFICATE-----\n"),
        span_of(large, sizeof large),
        span_buf(&f.key),
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        FAILS(ERR_INVALID, pki_check_chain(PKI_SERVER, texts[i], span_buf(&f.key), now, &out));
        FAILS(ERR_INVALID, pki_describe(texts[i], &info));
        FAILS(ERR_INVALID, pki_chain_part(texts[i], PKI_LEAF, &out));
        FAILS(ERR_INVALID, pki_check_pair(span_buf(&f.key), texts[i]));
    }
    FAILS(ERR_INVALID,
          pki_check_chain(PKI_SERVER, span_buf(&f.text), span_str("no key"), now, &out));
    OK(pki_check_pair(span_buf(&f.key), span_buf(&f.text)));
    assert_int_equal(out.len, 0);
}

static void a_certificate_ends_with_its_authority(void **state)
{
    (void)state;
    struct buf key CLEANUP(buf_done);
    struct buf ca CLEANUP(buf_done);
    struct buf cert CLEANUP(buf_done);
    struct pki_info above;
    struct pki_info below;
    const char *const hosts[] = {"kv"};
    buf_init(&key, 8192, true);
    buf_init(&ca, 8192, false);
    buf_init(&cert, 8192, false);
    OK(pki_make_key(&key));
    OK(pki_make_ca(span_buf(&key), "CA", 10, &ca));
    OK(pki_sign_server(span_buf(&key), span_buf(&ca), span_buf(&key), hosts, 1, 825, NULL, &cert));
    OK(pki_describe(span_buf(&ca), &above));
    OK(pki_describe(span_buf(&cert), &below));
    assert_int_equal(above.not_after, below.not_after);
    assert_int_equal(below.serial_len, 16);
    struct made old =
        make(&(struct want){"Old", authority, signs, NULL, NULL, -9, -1, false}, NULL);
    buf_clear(&ca);
    buf_clear(&key);
    put_cert(&ca, old.cert);
    put_key(&key, old.key);
    FAILS(ERR_WRONG_STATE, pki_sign_server(span_buf(&key), span_buf(&ca), span_buf(&key), hosts, 1,
                                           825, NULL, &cert));
    made_done(&old);
}

static X509_CRL *crl_of(struct span pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(crl);
    return crl;
}

static void a_revocation_list_names_who_is_revoked(void **state)
{
    (void)state;
    static const uint8_t serials[2][16] = {{0x41, 1}, {0x42, 2}};
    const struct pki_revoked list[] = {{serials[0], 16, 1700000000, 4}, {serials[1], 16, 1, 0}};
    const struct pki_crl want = {list, 2, 77, (int64_t)time(NULL), (int64_t)time(NULL) + DAY_S};
    struct fixture f CLEANUP(fixture_done);
    struct buf ca CLEANUP(buf_done);
    struct buf pem CLEANUP(buf_done);
    X509_REVOKED *entry = NULL;
    buf_init(&ca, 8192, false);
    buf_init(&pem, TEXT_MAX, false);
    set_up(&f, &root_want, &middle_want, &below_want);
    put_cert(&ca, f.leaf.cert);
    OK(pki_make_crl(span_buf(&f.key), span_buf(&ca), &want, &pem));
    X509_CRL *crl = crl_of(span_buf(&pem));
    assert_int_equal(X509_CRL_verify(crl, f.leaf.key), 1);
    assert_int_equal(X509_CRL_verify(crl, f.root.key), 0);
    BIGNUM *number = BN_bin2bn(serials[0], 16, NULL);
    ASN1_INTEGER *serial = BN_to_ASN1_INTEGER(number, NULL);
    assert_int_equal(X509_CRL_get0_by_serial(crl, &entry, serial), 1);
    ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL);
    assert_int_equal(ASN1_ENUMERATED_get(reason), 4);
    assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 2);
    ASN1_ENUMERATED_free(reason);
    ASN1_INTEGER_free(serial);
    BN_free(number);
    X509_CRL_free(crl);
    FAILS(ERR_INVALID, pki_make_crl(span_str("no key"), span_buf(&ca), &want, &pem));
}

static void a_request_carries_its_wishes(void **state)
{
    (void)state;
    struct buf key CLEANUP(buf_done);
    struct buf csr CLEANUP(buf_done);
    const char *const hosts[] = {"kv.example", "192.0.2.9"};
    const char *const evil[] = {"kv,DNS:bank.example"};
    buf_init(&key, 8192, true);
    buf_init(&csr, 8192, false);
    OK(pki_make_key(&key));
    struct pki_wish wish = {.common_name = "kv", .hosts = hosts, .host_count = 2};
    OK(pki_make_request(span_buf(&key), &wish, &csr));
    BIO *bio = BIO_new_mem_buf(csr.data, (int)csr.len);
    X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(req);
    assert_int_equal(sk_X509_EXTENSION_num(list), 3);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    X509_REQ_free(req);
    BIO_free(bio);
    wish.hosts = evil;
    wish.host_count = 1;
    FAILS(ERR_INVALID, pki_make_request(span_buf(&key), &wish, &csr));
}

static struct span der_of(X509 *cert, unsigned char **der)
{
    int len = i2d_X509(cert, der);
    assert_true(len > 0);
    return span_of(*der, (size_t)len);
}

static void only_so_many_signatures_are_looked_at(void **state)
{
    static const struct want top = {.name = "Top", .constraints = authority, .to_days = 10};
    static const struct want twin = {.name = "Top", .constraints = authority, .to_days = 9};
    static const struct want leaf = {.name = "leaf", .to_days = 8};
    struct made one = make(&top, NULL);
    struct made other = make(&twin, NULL);
    struct made below = make(&leaf, &one);
    unsigned char *texts[3] = {NULL, NULL, NULL};
    struct span above = der_of(one.cert, &texts[0]);
    struct span stranger = der_of(other.cert, &texts[1]);
    struct span cert = der_of(below.cert, &texts[2]);
    unsigned checks = 2;
    (void)state;
    assert_false(pki_is_issuer(cert, above, &checks)); // another name: costs nothing
    assert_int_equal(checks, 2);
    assert_false(pki_is_issuer(stranger, cert, &checks));
    assert_true(pki_is_issuer(above, cert, &checks));
    assert_int_equal(checks, 0);
    assert_false(pki_is_issuer(above, cert, &checks));
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        OPENSSL_free(texts[i]);
    made_done(&one);
    made_done(&other);
    made_done(&below);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_chain_is_put_in_order),
        cmocka_unit_test(an_authority_below_another_may_serve),
        cmocka_unit_test(each_fault_of_a_chain_is_named),
        cmocka_unit_test(what_is_missing_or_too_much_is_named),
        cmocka_unit_test(garbage_and_a_megabyte_are_refused),
        cmocka_unit_test(a_certificate_ends_with_its_authority),
        cmocka_unit_test(a_revocation_list_names_who_is_revoked),
        cmocka_unit_test(a_request_carries_its_wishes),
        cmocka_unit_test(only_so_many_signatures_are_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
