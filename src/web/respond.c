// SPDX-License-Identifier: Apache-2.0
//
// Header lines by table. What is written here comes from this process or has been checked by it:
// no byte of a request gets into a head.
#include "web/respond.h"

#include "web/asker.h"

// For browsers (OWASP ASVS 5.0, chapter 3): nothing but this server's own files runs, nothing of
// another site reads or frames an answer, nothing is kept.
static const char browser_headers[] =
    "Cache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Strict-Transport-Security: max-age=31536000\r\n"
    "X-Content-Type-Options: nosniff\r\n";

static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {409, "Conflict"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {500, "Internal Server Error"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
};

static const char *phrase_of(int status)
{
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return "Problem";
}

// RFC 6265: to this host alone, over TLS alone, to no script, and never with a request that another
// site has begun. Signing out takes away whatever else a browser has kept of this site.
static enum err put_cookie(const struct answer *answer, struct buf *out)
{
    static const char attributes[] = "Path=/; Secure; HttpOnly; SameSite=Strict";
    if (answer->cookie == ANSWER_SET_COOKIE)
        return buf_printf(out, "Set-Cookie: " ASKER_COOKIE "=%s; %s\r\n", answer->session,
                          attributes);
    if (answer->cookie == ANSWER_CLEAR_COOKIE)
        return buf_printf(out,
                          "Set-Cookie: " ASKER_COOKIE "=; Max-Age=0; %s\r\n"
                          "Clear-Site-Data: \"cache\", \"cookies\", \"storage\"\r\n",
                          attributes);
    return ERR_OK;
}

static enum err put_optional(const struct answer *answer, struct buf *out)
{
    TRY(put_cookie(answer, out));
    if (answer->etag[0] != '\0')
        TRY(buf_printf(out, "ETag: %s\r\n", answer->etag));
    if (answer->link[0] != '\0')
        TRY(buf_printf(out, "Link: <%s>; rel=\"next\"\r\n", answer->link));
    if (answer->location[0] != '\0')
        TRY(buf_printf(out, "Location: %s\r\n", answer->location));
    if (answer->allow[0] != '\0')
        TRY(buf_printf(out, "Allow: %s\r\n", answer->allow));
    if (answer->status == 401)
        TRY(buf_put_str(out, "WWW-Authenticate: Bearer realm=\"keyward\"\r\n"));
    if (answer->retry_after_s > 0)
        TRY(buf_printf(out, "Retry-After: %u\r\n", answer->retry_after_s));
    return ERR_OK;
}

enum err respond_write(const struct answer *answer, bool keep_alive, struct buf *out)
{
    TRY(buf_printf(out, "HTTP/1.1 %d %s\r\n", answer->status, phrase_of(answer->status)));
    TRY(buf_printf(out, "Content-Type: %s\r\nX-Request-Id: %s\r\n", answer->content_type,
                   answer->request_id));
    if (!answer->open)
        TRY(buf_printf(out, "Content-Length: %zu\r\n", answer->body.len));
    TRY(buf_put_str(out, browser_headers));
    TRY(put_optional(answer, out));
    if (!keep_alive || answer->open) // its end is that of the connection
        TRY(buf_put_str(out, "Connection: close\r\n"));
    TRY(buf_put_str(out, "\r\n"));
    return buf_put(out, span_buf(&answer->body));
}
