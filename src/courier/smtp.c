// SPDX-License-Identifier: Apache-2.0
//
// The dialogue. Invariants: no credential leaves before TLS stands (or the peer is this host); no
// line that comes from a document can hold a line end, so that nobody smuggles a command or a
// header.
#include "courier/smtp.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_MAX_BYTES = 2048, ADDRESS_MAX = 254, BODY_MAX = 256 * 1024, LINE_OUT = 76 };

struct session {
    const struct smtp_server *server;
    struct stream *stream;
    char line[LINE_MAX_BYTES]; // last of the last reply
    bool starttls, plain, login;
};

// What a server says is shown to people and kept as JSON: printable ASCII alone is.
static void make_plain(char *line)
{
    for (; *line != '\0'; line++) {
        if (*line < ' ' || *line > '~')
            *line = '?';
    }
}

// Reads a reply of one or several lines; notes what EHLO offers.
static enum err read_reply(struct session *s, int *ret_code)
{
    for (;;) {
        TRY(stream_line(s->stream, s->line, sizeof s->line));
        make_plain(s->line);
        if (strlen(s->line) < 3 || strspn(s->line, "0123456789") < 3)
            FAIL(ERR_MESSAGE, "\"%s\" port %d does not speak SMTP", s->server->host,
                 s->server->port);
        const char *word = s->line + (s->line[3] == '\0' ? 3 : 4);
        s->starttls = s->starttls || strcasecmp(word, "STARTTLS") == 0;
        if (strncasecmp(word, "AUTH", 4) == 0) {
            s->plain = strcasestr(word, " PLAIN") != NULL;
            s->login = strcasestr(word, " LOGIN") != NULL;
        }
        if (s->line[3] != '-') {
            *ret_code = (s->line[0] - '0') * 100 + (s->line[1] - '0') * 10 + s->line[2] - '0';
            return ERR_OK;
        }
    }
}

static enum err put_line(struct session *s, const char *a, const char *b, const char *c)
{
    struct buf line CLEANUP(buf_done);
    buf_init(&line, LINE_MAX_BYTES, true);
    TRY(buf_printf(&line, "%s%s%s\r\n", a, b, c));
    return stream_write(s->stream, span_buf(&line));
}

// `what` for the error.
static enum err expect(struct session *s, int hundreds, const char *what)
{
    int code = 0;
    TRY(read_reply(s, &code));
    if (code / 100 == hundreds)
        return ERR_OK;
    enum err err = code / 100 == 5 ? ERR_INVALID : ERR_UNAVAILABLE;
    FAIL(err, "the mail server \"%s\" refused %s: %.200s", s->server->host, what, s->line);
}

static enum err greet(struct session *s)
{
    s->starttls = s->plain = s->login = false;
    TRY(put_line(s, "EHLO ", s->server->name, ""));
    return expect(s, 2, "EHLO");
}

// ---- signing in ----

static enum err put_base64(struct session *s, const char *before, struct span secret)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, LINE_MAX_BYTES, true);
    TRY(buf_reserve(&text, 4 * ((secret.len + 2) / 3) + 1));
    text.len = (size_t)EVP_EncodeBlock(text.data, secret.data, (int)secret.len);
    TRY(buf_put_u8(&text, 0));
    return put_line(s, before, (const char *)text.data, "");
}

static enum err auth_plain(struct session *s)
{
    struct buf secret CLEANUP(buf_done);
    buf_init(&secret, LINE_MAX_BYTES / 2, true);
    TRY(buf_put_u8(&secret, 0));
    TRY(buf_put_str(&secret, s->server->user));
    TRY(buf_put_u8(&secret, 0));
    TRY(buf_put(&secret, s->server->password));
    return put_base64(s, "AUTH PLAIN ", span_buf(&secret));
}

static enum err auth_login(struct session *s)
{
    TRY(put_line(s, "AUTH LOGIN", "", ""));
    TRY(expect(s, 3, "the sign-in"));
    TRY(put_base64(s, "", span_str(s->server->user)));
    TRY(expect(s, 3, "the sign-in"));
    return put_base64(s, "", s->server->password);
}

static enum err sign_in(struct session *s)
{
    int code = 0;
    if (s->server->user[0] == '\0')
        return ERR_OK;
    if (!s->plain && !s->login)
        FAIL(ERR_AUTHENTICATION, "the mail server \"%s\" offers no sign-in with a password",
             s->server->host);
    TRY(s->plain ? auth_plain(s) : auth_login(s));
    TRY(read_reply(s, &code));
    if (code != 235)
        FAIL(ERR_AUTHENTICATION, "the mail server \"%s\" refused user and password: %.200s",
             s->server->host, s->line);
    return ERR_OK;
}

// ---- the mail ----

// Neither a line end nor a bracket, nor anything but printable ASCII.
static bool is_address(const char *text)
{
    size_t len = strlen(text);
    if (len < 3 || len > ADDRESS_MAX || strchr(text, '@') == NULL)
        return false;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7f || strchr("<>()[],;:\\\"", *p) != NULL)
            return false;
    }
    return true;
}

static enum err check_addresses(const struct smtp_server *server, const struct smtp_mail *mail)
{
    bool good = is_address(server->from) && mail->to_count > 0;
    for (size_t i = 0; i < mail->to_count; i++)
        good = good && is_address(mail->to[i]);
    if (!good)
        FAIL(ERR_INVALID, "an address of the mail is none");
    return ERR_OK;
}

static enum err put_encoded(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    unsigned char line[LINE_OUT + 1];
    for (size_t at = 0; at < len; at += LINE_OUT / 4 * 3) {
        size_t piece = len - at < LINE_OUT / 4 * 3 ? len - at : LINE_OUT / 4 * 3;
        (void)EVP_EncodeBlock(line, (const unsigned char *)text + at, (int)piece);
        TRY(buf_printf(out, "%s\r\n", (const char *)line));
    }
    return ERR_OK;
}

// RFC 2047 for the subject: one encoded word a piece, cut between characters.
static enum err put_subject(struct buf *out, const char *text)
{
    enum { PIECE = 42 };
    unsigned char word[80];
    TRY(buf_put_str(out, "Subject:"));
    for (size_t at = 0, len = strlen(text); at < len;) {
        size_t piece = len - at < PIECE ? len - at : PIECE;
        while (piece > 1 && at + piece < len && ((unsigned char)text[at + piece] & 0xc0) == 0x80)
            piece--;
        (void)EVP_EncodeBlock(word, (const unsigned char *)text + at, (int)piece);
        TRY(buf_printf(out, " =?UTF-8?B?%s?=\r\n", (const char *)word));
        at += piece;
    }
    return ERR_OK;
}

static enum err put_message(const struct smtp_server *server, const struct smtp_mail *mail,
                            struct buf *out)
{
    TRY(buf_printf(out, "From: Keyward <%s>\r\nTo: ", server->from));
    for (size_t i = 0; i < mail->to_count; i++)
        TRY(buf_printf(out, "%s%s", i == 0 ? "" : ",\r\n ", mail->to[i]));
    TRY(buf_printf(out, "\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n", mail->date, mail->id,
                   server->name));
    TRY(put_subject(out, mail->subject));
    TRY(buf_put_str(out, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                         "Content-Transfer-Encoding: base64\r\nAuto-Submitted: auto-generated\r\n"
                         "\r\n"));
    TRY(put_encoded(out, mail->text));
    // Base64 has no line that begins with a dot.
    return buf_put_str(out, ".\r\n");
}

static enum err deliver(struct session *s, const struct smtp_mail *mail)
{
    struct buf body CLEANUP(buf_done);
    buf_init(&body, BODY_MAX, false);
    TRY(put_message(s->server, mail, &body));
    TRY(put_line(s, "MAIL FROM:<", s->server->from, ">"));
    TRY(expect(s, 2, "the sender"));
    for (size_t i = 0; i < mail->to_count; i++) {
        TRY(put_line(s, "RCPT TO:<", mail->to[i], ">"));
        TRY(expect(s, 2, mail->to[i]));
    }
    TRY(put_line(s, "DATA", "", ""));
    TRY(expect(s, 3, "DATA"));
    TRY(stream_write(s->stream, span_buf(&body)));
    TRY(expect(s, 2, "the mail"));
    return put_line(s, "QUIT", "", "");
}

static enum err secure(struct session *s)
{
    if (s->server->security != SMTP_STARTTLS)
        return ERR_OK;
    if (!s->starttls)
        FAIL(ERR_NOT_PERMITTED, "the mail server \"%s\" offers no STARTTLS: nothing was sent",
             s->server->host);
    TRY(put_line(s, "STARTTLS", "", ""));
    TRY(expect(s, 2, "STARTTLS"));
    TRY(stream_secure(s->stream));
    return greet(s);
}

static enum err converse(struct session *s, const struct smtp_mail *mail)
{
    TRY(expect(s, 2, "the connection"));
    TRY(greet(s));
    TRY(secure(s));
    TRY(sign_in(s));
    return deliver(s, mail);
}

enum err smtp_send(const struct smtp_server *server, const struct smtp_mail *mail, int control_fd)
{
    const struct stream_target target = {.host = server->host,
                                         .port = server->port,
                                         .tls = server->security == SMTP_TLS,
                                         .only_loopback = server->security == SMTP_PLAIN,
                                         .ca = server->ca};
    struct session s = {.server = server};
    TRY(check_addresses(server, mail));
    TRY(stream_open(&target, control_fd, &s.stream));
    enum err err = converse(&s, mail);
    stream_free(s.stream);
    return err;
}
