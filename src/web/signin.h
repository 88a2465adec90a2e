// SPDX-License-Identifier: Apache-2.0
//
// What answers mean for a browser's session. The engine's answer to a sign-in has the secret of the
// new session in its document, as "session". Over TLS it goes into the cookie and never into the
// document, unless the one who asked said "as": "bearer" (a program, that will show it as an API
// token is shown); over the local socket there are no cookies, and it stays where it is.
#ifndef KW_WEB_SIGNIN_H
#define KW_WEB_SIGNIN_H

#include "web/api.h"
#include "web/route.h"

// How the one who asked wants to be answered.
struct signin {
    bool cookie;    // a new session is to be told as a cookie
    bool ends;      // the session that asks is to end
    bool by_cookie; // the request came with a session's cookie
    bool tells_who; // the answer says who one is
    char csrf[65];  // of that session
};

struct doc;
MUST_USE enum err signin_of(const struct api_call *call, const struct route_match *match,
                            const struct doc *doc, struct signin *ret);

// 2xx: as answer_document, with the cookie and the "csrf" that belong to it.
MUST_USE enum err signin_answer(const struct signin *signin, struct answer *answer, int status,
                                struct span doc);

// A session that does not count any more is not to be shown again.
void signin_refused(const struct signin *signin, struct answer *answer);

#endif
