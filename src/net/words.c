// SPDX-License-Identifier: Apache-2.0
//
// Why a handshake failed, in words for whoever looks after the client. What is not in the tables is
// told in OpenSSL's words.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "net/inner.h"

struct word {
    long code;
    const char *text;
};

// X509_V_ERR_…: what is wrong with the client's certificate.
static const struct word verify_words[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, "the client's certificate has expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID,
     "the client's certificate is not valid yet (or a clock is wrong)"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
     "unknown CA: the client's certificate is of an authority that this server does not trust"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
     "unknown CA: the client's certificate is of an authority that this server does not trust"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
     "unknown CA: the client's certificate is of an authority that this server does not trust"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
     "unknown CA: the client's certificate is of an authority that this server does not trust"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "unknown CA: the client's certificate is self-signed"},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE, "the client's certificate has a wrong signature"},
    {X509_V_ERR_INVALID_PURPOSE,
     "the client's certificate is not for clients (extended key usage)"},
    {X509_V_ERR_EE_KEY_TOO_SMALL, "the client's key is too weak"},
    {X509_V_ERR_CA_MD_TOO_WEAK, "the client's certificate is signed with a hash that is too weak"},
};

// SSL_R_…: what is wrong with the handshake.
static const struct word ssl_words[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "no certificate: the client showed none"},
    {SSL_R_UNSUPPORTED_PROTOCOL,
     "the client speaks TLS 1.1 or older, which is refused; 1.2 is the least"},
    {SSL_R_VERSION_TOO_LOW,
     "the client speaks TLS 1.1 or older, which is refused; 1.2 is the least"},
    {SSL_R_NO_SHARED_CIPHER, "no cipher suite in common: ECDHE with AES-GCM or ChaCha20 is needed"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "no signature algorithm in common"},
    {SSL_R_NO_SUITABLE_GROUPS,
     "no key exchange group in common: X25519, P-256, P-384 or P-521 is needed"},
    {SSL_R_WRONG_VERSION_NUMBER, "what the client sent is not TLS"},
    {SSL_R_HTTP_REQUEST, "the client speaks HTTP, not TLS"},
    {SSL_R_BAD_SIGNATURE, "the client does not have the key of its certificate"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA,
     "the client does not know the authority of this server's certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the client finds this server's certificate expired"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the client refuses this server's certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the client refuses this server's certificate"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the client gave the handshake up"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the client refuses the TLS version"},
};

static const char *find(const struct word *words, size_t count, long code)
{
    for (size_t i = 0; i < count; i++) {
        if (words[i].code == code)
            return words[i].text;
    }
    return NULL;
}

#define FIND(words, code) find(words, sizeof(words) / sizeof *(words), code)

const char *words_tell(long verified, unsigned long code)
{
    const char *text = NULL;
    if (verified != X509_V_OK) {
        text = FIND(verify_words, verified);
        return text != NULL ? text : X509_verify_cert_error_string(verified);
    }
    if (code != 0 && ERR_GET_LIB(code) == ERR_LIB_SSL)
        text = FIND(ssl_words, ERR_GET_REASON(code));
    if (text == NULL && code != 0)
        text = ERR_reason_error_string(code);
    return text != NULL ? text : "the client closed the connection during the handshake";
}
