// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 requests, read strictly (RFC 9110, RFC 9112), without a socket. What two parsers could
// read in two ways is refused: there is one way to say where a request ends, a Content-Length. No
// chunks, no folded header lines, no bare line feeds, no blanks before a colon, no header that may
// come once only and comes twice, no absolute addresses.
#ifndef KW_WEB_HTTP_H
#define KW_WEB_HTTP_H

#include "base/buf.h"
#include "web/limits.h"

enum { HTTP_METHOD_MAX = 16 };

struct http_header {
    struct span name;
    struct span value; // without blanks around it
};

// Borrows from the message.
struct http_request {
    char method[HTTP_METHOD_MAX + 1];
    struct span path;  // percent-encoded
    struct span query; // without the '?'
    bool keep_alive;
    struct http_header headers[WEB_HEADERS];
    size_t header_count;
    size_t body_len;
    struct span body; // set by http_read alone
};

// How many bytes the request has that begins with `have`: 0 in *ret_size when more are needed to
// tell. ERR_MESSAGE, ERR_VERSION or ERR_TOO_LARGE (WEB_HEAD_BYTES, WEB_BODY_BYTES): what comes is
// no request, or one that is not taken; the connection must end.
MUST_USE enum err http_size(struct span have, size_t *ret_size);

// Reads a whole message, of the size that http_size told.
MUST_USE enum err http_read(struct span message, struct http_request *ret);

// The value of a header, by its name in any case; NULL when there is none.
const struct span *http_header(const struct http_request *request, const char *name);

#endif
