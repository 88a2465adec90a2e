// SPDX-License-Identifier: Apache-2.0
//
// Why a handshake failed, in words that somebody who looks after the client can use.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "net/inner.h"
#include "tests/unit/check.h"

static void says(long verified, unsigned long code, const char *text)
{
    const char *words = words_tell(verified, code);
    if (words == NULL || strstr(words, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", words == NULL ? "" : words, text);
}

static unsigned long ssl_error(int reason)
{
    return ERR_PACK(ERR_LIB_SSL, 0, reason);
}

static void each_failure_has_words(void **state)
{
    (void)state;
    says(X509_V_ERR_CERT_HAS_EXPIRED, 0, "client's certificate has expired");
    says(X509_V_ERR_CERT_NOT_YET_VALID, 0, "not valid yet");
    says(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 0, "unknown CA");
    says(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, 0, "self-signed");
    says(X509_V_ERR_INVALID_PURPOSE, 0, "not for clients");
    says(X509_V_OK, ssl_error(SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE), "no certificate");
    says(X509_V_OK, ssl_error(SSL_R_UNSUPPORTED_PROTOCOL), "TLS 1.1");
    says(X509_V_OK, ssl_error(SSL_R_NO_SHARED_CIPHER), "no cipher suite in common");
    says(X509_V_OK, ssl_error(SSL_R_HTTP_REQUEST), "HTTP");
    says(X509_V_OK, ssl_error(SSL_R_TLSV1_ALERT_UNKNOWN_CA), "does not know the authority");
    says(X509_V_OK, 0, "closed the connection");
}

// What is in no table is told as OpenSSL tells it, and the certificate comes before the handshake.
static void what_is_not_known_is_told_all_the_same(void **state)
{
    (void)state;
    says(X509_V_ERR_PATH_LENGTH_EXCEEDED, 0, "path length");
    says(X509_V_OK, ERR_PACK(ERR_LIB_USER, 0, 1), "closed the connection");
    says(X509_V_ERR_CERT_HAS_EXPIRED, ssl_error(SSL_R_CERTIFICATE_VERIFY_FAILED), "expired");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_has_words),
        cmocka_unit_test(what_is_not_known_is_told_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
