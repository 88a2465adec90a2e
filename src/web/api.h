// SPDX-License-Identifier: Apache-2.0
//
// The REST interface without a transport: a call in, an answer out by callback, at once or when an
// engine has answered. server.c brings calls from the local socket.
#ifndef KW_WEB_API_H
#define KW_WEB_API_H

#include "web/answer.h"
#include "web/engines.h"
#include "web/http.h"

enum { API_ENGINE_MS = 30000, API_ADMIN_MS = 180000 };

// How the parts of an answer that is `open` are sent, with the context that the call was given.
struct api_stream {
    bool (*put)(void *context, struct span part); // false: the one who asked is gone
    void (*end)(void *context);                   // always, also then; `context` is over
};

struct operations;

struct api_call {
    const char *method;
    struct span path;  // percent-encoded
    struct span query; // without the '?'
    struct span body;
    struct principal who;
    const char *csrf;                   // of the session's cookie that was shown, else NULL or ""
    const struct http_request *headers; // NULL: none
    struct operations *operations;      // where long operations are kept; NULL: nowhere
    struct api_stream stream;
};

// Called exactly once for each call. `answer` is borrowed for the call. `context` is over then,
// unless the answer is `open`: then when the stream ends.
typedef void (*api_done)(void *context, const struct answer *answer);

// Everything in `call` is borrowed until api_handle returns.
void api_handle(struct engines *engines, const struct api_call *call, api_done done, void *context);

// Answers a call that the transport refuses, with a problem. `retry_after_s` 0: not said.
void api_refuse(enum err code, unsigned retry_after_s, api_done done, void *context);

#endif
