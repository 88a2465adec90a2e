// SPDX-License-Identifier: Apache-2.0
//
// TLS: 1.2 with forward secrecy and AEAD, and 1.3; a client certificate is required and checked
// against one file of authorities, or asked for and taken from anybody. The machine's openssl.cnf
// is not read, so that the same configuration means the same everywhere. Tickets may resume a
// session: the certificate comes with the session and its dates are checked again.
#include "net/inner.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { CHAIN_MAX = 4, TICKETS = 1, SESSION_S = 3600 };
enum { KEY_BITS_MIN = 112 }; // security bits, as of RSA-2048

static void bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

static void x509_freep(X509 **cert)
{
    X509_free(*cert);
}

static void key_freep(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void context_freep(SSL_CTX **tls)
{
    SSL_CTX_free(*tls);
}

// The oldest error of OpenSSL's queue, in its words; empties the queue.
static const char *openssl_reason(void)
{
    unsigned long code = ERR_get_error();
    const char *reason = ERR_reason_error_string(code);
    ERR_clear_error();
    return reason != NULL ? reason : "no reason is given";
}

static enum err open_pem(struct span pem, BIO **ret)
{
    if (pem.len > INT32_MAX)
        FAIL(ERR_CONFIG, "a PEM file is too large");
    *ret = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (*ret == NULL)
        FAIL(ERR_MEMORY, "no memory for a PEM file");
    return ERR_OK;
}

// No passphrase is ever asked for.
static int no_passphrase(char *out, int size, int for_writing, void *data)
{
    (void)out, (void)size, (void)for_writing, (void)data;
    return -1;
}

static enum err use_key(SSL_CTX *tls, struct span pem)
{
    CLEANUP(bio_freep) BIO *bio = NULL;
    TRY(open_pem(pem, &bio));
    CLEANUP(key_freep) EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (key == NULL || SSL_CTX_use_PrivateKey(tls, key) != 1)
        FAIL(ERR_CONFIG, "the server's TLS key cannot be used: %s", openssl_reason());
    return ERR_OK;
}

static enum err use_cert(SSL_CTX *tls, struct span pem)
{
    CLEANUP(bio_freep) BIO *bio = NULL;
    TRY(open_pem(pem, &bio));
    CLEANUP(x509_freep) X509 *cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    if (cert == NULL || SSL_CTX_use_certificate(tls, cert) != 1)
        FAIL(ERR_CONFIG, "the server's TLS certificate cannot be used: %s", openssl_reason());
    for (int i = 0; i < CHAIN_MAX; i++) {
        CLEANUP(x509_freep) X509 *link = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (link == NULL)
            break;
        if (SSL_CTX_add1_chain_cert(tls, link) != 1)
            FAIL(ERR_CONFIG, "the server's TLS chain cannot be used: %s", openssl_reason());
    }
    ERR_clear_error(); // the end of the file is told as an error
    return ERR_OK;
}

static enum err use_authorities(SSL_CTX *tls, struct span pem)
{
    CLEANUP(bio_freep) BIO *bio = NULL;
    TRY(open_pem(pem, &bio));
    X509_STORE *store = SSL_CTX_get_cert_store(tls);
    size_t count = 0;
    for (;;) {
        CLEANUP(x509_freep) X509 *cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (cert == NULL)
            break;
        if (X509_STORE_add_cert(store, cert) != 1 || SSL_CTX_add_client_CA(tls, cert) != 1)
            FAIL(ERR_CONFIG, "an authority of client certificates cannot be used: %s",
                 openssl_reason());
        count++;
    }
    ERR_clear_error();
    if (count == 0)
        FAIL(ERR_CONFIG, "the file of client authorities holds no certificate");
    return ERR_OK;
}

// Any issuer will do: who a fingerprint belongs to, the engine knows. That the peer has the key,
// OpenSSL has made sure of.
static int accept_any_issuer(X509_STORE_CTX *store, void *data)
{
    (void)data;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

// RFC 7301: HTTP/1.1, or nothing said.
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *data)
{
    static const unsigned char http[] = "\x08http/1.1";
    (void)ssl, (void)data;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, http, sizeof http - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

// Keeps what was shown and refused, for whoever looks after that client.
static void note_shown(struct net_conn *conn, X509 *cert)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char *text = NULL;
    CLEANUP(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (conn->shown != NULL || bio == NULL || cert == NULL ||
        X509_digest(cert, EVP_sha256(), digest, &len) != 1 || len != NET_FINGERPRINT_LEN ||
        X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) < 0)
        return;
    conn->shown = calloc(1, sizeof *conn->shown);
    if (conn->shown == NULL)
        return;
    long has = BIO_get_mem_data(bio, &text);
    size_t most = sizeof conn->shown->subject - 1;
    memcpy(conn->shown->subject, text, (size_t)has < most ? (size_t)has : most);
    memcpy(conn->shown->fingerprint, digest, NET_FINGERPRINT_LEN);
}

static int on_verify(int passed, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    if (!passed && ssl != NULL && SSL_get_app_data(ssl) != NULL)
        note_shown(SSL_get_app_data(ssl), X509_STORE_CTX_get0_cert(store));
    return passed;
}

// A certificate of one of our authorities is required, and a ticket may resume the session. An
// authority is trusted by itself, without whoever is above it. A session belongs to the authorities
// that were trusted when it began: when they change, no ticket passes their check by.
static bool require_client(SSL_CTX *tls, struct span authorities)
{
    uint8_t context[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    SSL_CTX_set_timeout(tls, SESSION_S);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verify);
    return EVP_Digest(authorities.data, authorities.len, context, &len, EVP_sha256(), NULL) == 1 &&
           SSL_CTX_set_num_tickets(tls, TICKETS) == 1 &&
           SSL_CTX_set_purpose(tls, X509_PURPOSE_SSL_CLIENT) == 1 &&
           X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(tls), X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
           SSL_CTX_set_session_id_context(tls, context, len) == 1;
}

static bool ask_client(SSL_CTX *tls)
{
    SSL_CTX_set_options(tls, SSL_OP_NO_TICKET);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(tls, accept_any_issuer, NULL);
    SSL_CTX_set_alpn_select_cb(tls, choose_protocol, NULL);
    static const unsigned char session_context[] = "keyward-web";
    return SSL_CTX_set_num_tickets(tls, 0) == 1 &&
           SSL_CTX_set_session_id_context(tls, session_context, sizeof session_context - 1) == 1;
}

static bool set_protocol(SSL_CTX *tls)
{
    // Many clients close without close_notify. A request says its own length, so a cut one is seen
    // all the same, and the end of a connection is not worth a line of the log.
    SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    // What was read may hold key material: OpenSSL is not to keep it.
    SSL_CTX_set_options(tls, SSL_OP_CLEANSE_PLAINTEXT);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    // One read(2) brings header and body of a record.
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_security_level(tls, 2);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF); // tickets alone
    SSL_CTX_set_verify_depth(tls, CHAIN_MAX);
    return SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(tls, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set1_groups_list(tls, "X25519:P-256:P-384:P-521") == 1;
}

enum err tls_context(enum net_client client, const struct net_identity *identity, SSL_CTX **ret)
{
    (void)OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS, NULL);
    CLEANUP(context_freep) SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    bool required = client == NET_CLIENT_REQUIRED;
    if (tls == NULL || !set_protocol(tls) ||
        !(required ? require_client(tls, identity->ca) : ask_client(tls)))
        FAIL(ERR_CONFIG, "TLS could not be set up: %s", openssl_reason());
    TRY(use_cert(tls, identity->cert));
    TRY(use_key(tls, identity->key));
    if (SSL_CTX_check_private_key(tls) != 1)
        FAIL(ERR_CONFIG, "the server's TLS key does not fit its certificate: %s", openssl_reason());
    if (required)
        TRY(use_authorities(tls, identity->ca));
    *ret = tls;
    tls = NULL;
    return ERR_OK;
}

enum err tls_set_tickets(SSL_CTX *tls, struct span keys)
{
    uint8_t copy[NET_TICKETS_LEN];
    if (keys.len != sizeof copy || SSL_CTX_get_tlsext_ticket_keys(tls, NULL, 0) != NET_TICKETS_LEN)
        FAIL(ERR_INTERNAL, "ticket keys have %zu bytes", keys.len);
    memcpy(copy, keys.data, sizeof copy);
    long set = SSL_CTX_set_tlsext_ticket_keys(tls, copy, NET_TICKETS_LEN);
    explicit_bzero(copy, sizeof copy);
    if (set != 1)
        FAIL(ERR_INTERNAL, "ticket keys could not be set: %s", openssl_reason());
    return ERR_OK;
}

void tls_keep_tickets(SSL_CTX *from, SSL_CTX *to)
{
    uint8_t keys[NET_TICKETS_LEN];
    bool kept = SSL_CTX_get_tlsext_ticket_keys(from, keys, NET_TICKETS_LEN) == 1 &&
                SSL_CTX_set_tlsext_ticket_keys(to, keys, NET_TICKETS_LEN) == 1;
    explicit_bzero(keys, sizeof keys);
    if (!kept)
        ERR_clear_error(); // sessions are not resumed, which costs a handshake each
}

enum err tls_identify(SSL *ssl, enum net_client client, bool *ret_certified,
                      uint8_t ret_fingerprint[NET_FINGERPRINT_LEN])
{
    CLEANUP(x509_freep) X509 *cert = SSL_get1_peer_certificate(ssl);
    unsigned len = 0;
    *ret_certified = cert != NULL;
    if (cert == NULL && client == NET_CLIENT_ASKED)
        return ERR_OK;
    if (cert == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
        FAIL(ERR_AUTHENTICATION, "the client has shown no certificate of ours");
    // A resumed session was checked when it began; its certificate may have ended since.
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0 ||
        X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0)
        FAIL(ERR_AUTHENTICATION, "the client's certificate is not valid now");
    if (EVP_PKEY_get_security_bits(X509_get0_pubkey(cert)) < KEY_BITS_MIN)
        FAIL(ERR_AUTHENTICATION, "the key of the client's certificate is weak");
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (X509_digest(cert, EVP_sha256(), digest, &len) != 1 || len != NET_FINGERPRINT_LEN)
        FAIL(ERR_INTERNAL, "a certificate could not be hashed");
    memcpy(ret_fingerprint, digest, NET_FINGERPRINT_LEN);
    return ERR_OK;
}

void tls_note_shown(struct net_conn *conn)
{
    if (conn->ssl != NULL)
        note_shown(conn, SSL_get0_peer_certificate(conn->ssl));
    ERR_clear_error();
}

bool tls_is_named(SSL_CTX *tls, const char *name)
{
    X509 *cert = SSL_CTX_get0_certificate(tls);
    unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
    bool named = cert != NULL && (X509_check_host(cert, name, 0, flags, NULL) == 1 ||
                                  X509_check_ip_asc(cert, name, flags) == 1);
    ERR_clear_error();
    return named;
}

const char *tls_reason(SSL *ssl)
{
    unsigned long code = ERR_peek_error();
    ERR_clear_error();
    return words_tell(SSL_get_verify_result(ssl), code);
}
