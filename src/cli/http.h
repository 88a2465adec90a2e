// SPDX-License-Identifier: Apache-2.0
//
// One HTTP request over the server's local socket.
#ifndef KW_CLI_HTTP_H
#define KW_CLI_HTTP_H

#include "base/buf.h"

enum { HTTP_ANSWER_MAX = 16 * 1024 * 1024, HTTP_TIMEOUT_MS = 200000 };

struct http_answer {
    int status;
    bool problem;    // the body is a problem document
    struct buf body; // may hold an enrolment token
};

// `path` with query, as it goes over the wire. An empty body is sent as none. Blocks up to
// timeout_ms. ERR_UNAVAILABLE (*ret_sent false: nothing was sent), ERR_NOT_PERMITTED (the socket
// belongs to somebody else), ERR_TIMEOUT, ERR_MESSAGE.
MUST_USE enum err http_call(int root_fd, const char *method, const char *path, struct span body,
                            int timeout_ms, struct http_answer *ret, bool *ret_sent);
void http_answer_done(struct http_answer *answer);

#endif
