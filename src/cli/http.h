// SPDX-License-Identifier: Apache-2.0
//
// HTTP requests to a server: over the local socket below its root prefix, or over TLS to an
// address. libcurl does both. Over TLS the server must show a certificate that leads to the given
// CA certificates, and name the address; redirections and proxies are not followed, since a secret
// would follow them.
#ifndef KW_CLI_HTTP_H
#define KW_CLI_HTTP_H

#include "base/buf.h"
#include "base/secret.h"

enum { HTTP_ANSWER_MAX = 16 * 1024 * 1024, HTTP_TIMEOUT_MS = 200000, HTTP_CONNECT_MS = 30000 };

struct http;

struct http_answer {
    int status;
    bool problem;    // the body is a problem document
    struct buf body; // may hold an enrolment token
};

// Both borrow what they are given until http_free. ERR_MEMORY.
MUST_USE enum err http_open_local(int root_fd, struct http **ret);

// `address` is "https://HOST[:PORT]" (ERR_INVALID). `ca_file` names PEM certificates; NULL: those
// that this machine trusts.
MUST_USE enum err http_open_remote(const char *address, const char *ca_file, struct http **ret);
void http_free(struct http *http);
void http_freep(struct http **http);

// The API token that every further request shows.
MUST_USE enum err http_show_token(struct http *http, const struct secret *token);

// `path` with query, as it goes over the wire. An empty body is sent as none. Blocks up to
// timeout_ms. ERR_UNAVAILABLE (*ret_sent false: nothing was sent; TLS that is not in order is told
// in words), ERR_NOT_PERMITTED (the socket belongs to somebody else), ERR_TIMEOUT, ERR_INTERNAL (no
// answer that could be meant).
MUST_USE enum err http_call(struct http *http, const char *method, const char *path,
                            struct span body, int timeout_ms, struct http_answer *ret,
                            bool *ret_sent);
void http_answer_done(struct http_answer *answer);

// True for the statuses that say that it was done; a redirection is none of them.
bool http_answer_is_good(const struct http_answer *answer);

// The certificates (PEM) that the server at the address shows, itself first, whoever signed them:
// for whoever compares a fingerprint before trusting. Sends no request.
MUST_USE enum err http_peek(const char *address, struct buf *ret_pem);

#endif
