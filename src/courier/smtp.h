// SPDX-License-Identifier: Apache-2.0
//
// Sending mail (RFC 5321), with STARTTLS (RFC 3207) or TLS from the start (RFC 8314), and AUTH
// PLAIN or LOGIN (RFC 4954) only behind TLS, or on this host.
#ifndef KW_COURIER_SMTP_H
#define KW_COURIER_SMTP_H

#include "courier/stream.h"

enum smtp_security { SMTP_STARTTLS, SMTP_TLS, SMTP_PLAIN };

struct smtp_server {
    const char *host;
    int port;
    enum smtp_security security; // SMTP_PLAIN: to this host alone
    struct span ca;
    const char *user; // "": no sign-in
    struct span password;
    const char *from;
    const char *name; // of this host, for EHLO and Message-ID
};

struct smtp_mail {
    const char *id; // unique; becomes the Message-ID, so that a mail sent twice is known as one
    const char *const *to;
    size_t to_count;
    const char *subject; // UTF-8
    const char *text;    // UTF-8, lines of any length
    const char *date;    // RFC 5322
};

// One connection with one mail. ERR_OK: the server has taken it for every recipient.
// ERR_AUTHENTICATION: it refused the sign-in; ERR_INVALID: it refused the mail for good.
MUST_USE enum err smtp_send(const struct smtp_server *server, const struct smtp_mail *mail,
                            int control_fd);

#endif
