// SPDX-License-Identifier: Apache-2.0
//
// Reads credentials, and what browsers tell about where a request comes from.
#include "web/asker.h"

#include <stdio.h>
#include <strings.h>

#include "base/hex.h"
#include "base/paths.h"
#include "base/secret.h"
#include "crypto/crypto.h"

// RFC 6750 section 2.1 and RFC 6265 section 4.1.1, in what they have in common.
static bool is_secret_text(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!letter && !(c >= '0' && c <= '9') && (c == 0 || strchr("-._~+/=", c) == NULL))
            return false;
    }
    return text.len > 0 && text.len <= ASKER_SECRET_MAX;
}

// Takes "name=value" off the front of a Cookie header.
static struct span next_pair(struct span *rest)
{
    while (rest->len > 0 && (rest->data[0] == ' ' || rest->data[0] == ';'))
        *rest = span_of(rest->data + 1, rest->len - 1);
    const uint8_t *end = memchr(rest->data, ';', rest->len);
    size_t len = end == NULL ? rest->len : (size_t)(end - rest->data);
    struct span pair = span_of(rest->data, len);
    *rest = span_of(rest->data + len, rest->len - len);
    return pair;
}

// *ret_session is empty when the request has no session.
static enum err find_session(const struct http_request *request, struct span *ret_session)
{
    static const char name[] = ASKER_COOKIE "=";
    const struct span *header = http_header(request, "cookie");
    struct span rest = header == NULL ? span_of(NULL, 0) : *header;
    *ret_session = span_of(NULL, 0);
    while (rest.len > 0) {
        struct span pair = next_pair(&rest);
        if (pair.len < sizeof name - 1 || memcmp(pair.data, name, sizeof name - 1) != 0)
            continue;
        if (ret_session->len > 0)
            FAIL(ERR_INVALID, "the request has two sessions: clear this site's cookies");
        *ret_session = span_of(pair.data + sizeof name - 1, pair.len - (sizeof name - 1));
        if (!is_secret_text(*ret_session))
            FAIL(ERR_AUTHENTICATION, "the session is not valid: sign in again");
    }
    return ERR_OK;
}

static enum err find_token(const struct http_request *request, struct span *ret_token)
{
    static const char scheme[] = "Bearer ";
    const struct span *header = http_header(request, "authorization");
    *ret_token = span_of(NULL, 0);
    if (header == NULL)
        return ERR_OK;
    if (header->len < sizeof scheme ||
        strncasecmp((const char *)header->data, scheme, sizeof scheme - 1) != 0)
        FAIL(ERR_AUTHENTICATION, "the \"Authorization\" must be \"Bearer\" and an API token");
    *ret_token = span_of(header->data + sizeof scheme - 1, header->len - (sizeof scheme - 1));
    if (!is_secret_text(*ret_token))
        FAIL(ERR_AUTHENTICATION, "the API token is not valid");
    return ERR_OK;
}

static bool is_read(const struct http_request *request)
{
    return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
}

// "https://" and what the request calls this server.
static bool is_own_origin(struct span origin, const struct span *host)
{
    static const char scheme[] = "https://";
    size_t len = sizeof scheme - 1;
    return host != NULL && origin.len == len + host->len && memcmp(origin.data, scheme, len) == 0 &&
           strncasecmp((const char *)origin.data + len, (const char *)host->data, host->len) == 0;
}

// What a browser says about the page that made it send this.
static enum err check_site(const struct http_request *request)
{
    const struct span *origin = http_header(request, "origin");
    const struct span *site = http_header(request, "sec-fetch-site");
    if (origin != NULL && !is_own_origin(*origin, http_header(request, "host")))
        FAIL(ERR_NOT_PERMITTED, "a page of another site may not change anything here");
    if (site != NULL && !span_eq_str(*site, "same-origin") && !span_eq_str(*site, "none"))
        FAIL(ERR_NOT_PERMITTED, "a page of another site may not change anything here");
    return ERR_OK;
}

enum err asker_csrf(struct span session, char out[ASKER_CSRF_LEN + 1])
{
    uint8_t mac[CRYPTO_HASH_LEN];
    TRY(crypto_hmac_sha256(session, span_str("keyward csrf"), mac));
    hex_text(span_of(mac, sizeof mac), out);
    return ERR_OK;
}

static enum err check_csrf(const struct http_request *request, const char *wanted)
{
    const struct span *shown = http_header(request, "x-keyward-csrf");
    if (shown == NULL)
        FAIL(ERR_NOT_PERMITTED,
             "a change by a session needs the header \"X-Keyward-CSRF\": its value comes with "
             "sign-in and with GET /api/v1/me");
    if (!secret_equal(*shown, span_str(wanted)))
        FAIL(ERR_NOT_PERMITTED, "the header \"X-Keyward-CSRF\" does not belong to this session");
    return ERR_OK;
}

static enum err take_session(const struct http_request *request, struct span session,
                             struct asker *ret)
{
    ret->who.kind = PRINCIPAL_USER;
    ret->who.credential = CREDENTIAL_SESSION;
    crypto_sha256(session, ret->who.fingerprint);
    TRY(asker_csrf(session, ret->csrf));
    return is_read(request) ? ERR_OK : check_csrf(request, ret->csrf);
}

static void take_token(struct span token, struct asker *ret)
{
    // A program that has signed in shows its session like an API token.
    bool session = token.len > 4 && memcmp(token.data, "kws_", 4) == 0;
    ret->who.kind = PRINCIPAL_USER;
    ret->who.credential = session ? CREDENTIAL_SESSION : CREDENTIAL_TOKEN;
    crypto_sha256(token, ret->who.fingerprint);
}

static void take_certificate(const uint8_t *fingerprint, struct asker *ret)
{
    ret->who.kind = PRINCIPAL_USER;
    ret->who.credential = CREDENTIAL_CERTIFICATE;
    memcpy(ret->who.fingerprint, fingerprint, sizeof ret->who.fingerprint);
}

// A sign-in stands for itself: a session that a browser still shows, dead or planted, is not asked.
static bool is_sign_in(const struct http_request *request)
{
    return strcmp(request->method, "POST") == 0 && span_eq_str(request->path, "/api/v1/sessions");
}

enum err asker_check_local(const struct http_request *request, struct span key)
{
    const struct span *shown = http_header(request, "x-keyward-local");
    if (shown == NULL)
        FAIL(ERR_AUTHENTICATION,
             "over the local socket each request shows the header that stands "
             "in \"" PATH_API_HEADER "\": let keyward send it (keyward api), or "
             "give the file to curl (-H @FILE)");
    if (key.len == 0 || !secret_equal(*shown, key))
        FAIL(ERR_AUTHENTICATION, "the header \"" HEADER_LOCAL "\" is not that of this start of the "
                                 "server: read \"" PATH_API_HEADER "\" again");
    return ERR_OK;
}

enum err asker_read(const struct net_conn *conn, const struct http_request *request,
                    struct asker *ret)
{
    uid_t uid;
    *ret =
        (struct asker){.who = {.kind = PRINCIPAL_NOBODY, .address = span_str(net_address(conn))}};
    if (net_is_local(conn, &uid)) {
        ret->who.kind = PRINCIPAL_LOCAL;
        ret->who.uid = uid;
        return ERR_OK;
    }
    struct span session;
    struct span token;
    const uint8_t *certificate = net_fingerprint(conn);
    TRY(find_session(request, &session));
    TRY(find_token(request, &token));
    if ((session.len > 0) + (token.len > 0) + (certificate != NULL) > 1)
        FAIL(ERR_INVALID, "the request shows more than one of session, API token and client "
                          "certificate: it must be clear who asks");
    if (!is_read(request))
        TRY(check_site(request));
    if (session.len > 0 && !is_sign_in(request))
        return take_session(request, session, ret);
    if (token.len > 0)
        take_token(token, ret);
    else if (certificate != NULL)
        take_certificate(certificate, ret);
    return ERR_OK;
}
