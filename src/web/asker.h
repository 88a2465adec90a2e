// SPDX-License-Identifier: Apache-2.0
//
// Who asks. Over the local socket the kernel tells, once the request has shown that whoever sends
// it can read a file of the server's user: the library of the HSM runs as that user and cannot
// (PATH_API_HEADER). Over TLS it is what the request shows: the
// session's cookie, an API token, or the certificate of the connection, and never two of them. What
// was shown is hashed here and known to the engine alone by its hash: this process does not know
// who it is, nor whether it is anybody.
//
// A browser adds the cookie to whatever a page makes it send. So what changes something by a
// session also needs a header that no other site's page can make: X-Keyward-CSRF, with a value that
// only this session's own pages have been told. It is made of the session's secret, so that it
// lives and dies with the session and is kept nowhere.
#ifndef KW_WEB_ASKER_H
#define KW_WEB_ASKER_H

#include "model/model.h"
#include "net/net.h"
#include "web/http.h"

#define ASKER_COOKIE "__Host-keyward"

enum { ASKER_SECRET_MAX = 256, ASKER_CSRF_LEN = 64 };

struct asker {
    struct principal who;          // borrows the address of the connection
    char csrf[ASKER_CSRF_LEN + 1]; // of the session that was shown, else ""
};

// ERR_INVALID for two credentials, ERR_AUTHENTICATION for one that cannot be read,
// ERR_NOT_PERMITTED for a change that another site may have caused.
MUST_USE enum err asker_read(const struct net_conn *conn, const struct http_request *request,
                             struct asker *ret);

// Whether a request over the local socket shows the key of this start of the server.
// ERR_AUTHENTICATION; for an empty key always.
MUST_USE enum err asker_check_local(const struct http_request *request, struct span key);

// The value of X-Keyward-CSRF that belongs to a session's secret.
MUST_USE enum err asker_csrf(struct span session, char out[ASKER_CSRF_LEN + 1]);

#endif
