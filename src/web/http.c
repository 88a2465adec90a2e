// SPDX-License-Identifier: Apache-2.0
//
// A head is looked at line by line. Sizes are checked before anything is kept.
#include "web/http.h"

#include <strings.h>

// Of these a second one would be a second opinion.
static const char *const single[] = {
    "authorization",  "content-encoding", "content-length",  "content-type",  "cookie", "expect",
    "host",           "if-match",         "idempotency-key", "last-event-id", "origin", "prefer",
    "sec-fetch-site", "x-keyward-csrf",
};

enum { SINGLE = sizeof single / sizeof *single };

// RFC 9110 section 5.6.2.
static bool is_token_char(uint8_t c)
{
    bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    return letter || (c >= '0' && c <= '9') || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_char(text.data[i]))
            return false;
    }
    return text.len > 0;
}

static bool names(struct span name, const char *text)
{
    return name.len == strlen(text) && strncasecmp((const char *)name.data, text, name.len) == 0;
}

const struct span *http_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (names(request->headers[i].name, name))
            return &request->headers[i].value;
    }
    return NULL;
}

// The length of the head, the empty line included; 0 when it is not whole yet. A line feed that
// stands alone, or a NUL, ends the wait for what will never be a head.
static enum err head_length(struct span have, size_t *ret_len)
{
    *ret_len = 0;
    size_t room = have.len < WEB_HEAD_BYTES ? have.len : WEB_HEAD_BYTES;
    for (size_t i = 0; i < room; i++) {
        uint8_t c = have.data[i];
        bool after_cr = i > 0 && have.data[i - 1] == '\r';
        if (c == '\0' || (c == '\n') != after_cr || (i == 0 && !is_token_char(c)))
            FAIL(ERR_MESSAGE, "this is no HTTP request: lines end with CR and LF, and hold no NUL");
        if (c == '\n' && i >= 3 && have.data[i - 2] == '\n') {
            *ret_len = i + 1;
            return ERR_OK;
        }
    }
    if (have.len >= WEB_HEAD_BYTES)
        FAIL(ERR_MESSAGE, "the request's headers have more than %d bytes", WEB_HEAD_BYTES);
    return ERR_OK;
}

// Takes a line, without its end, off the front of `rest`.
static struct span next_line(struct span *rest)
{
    const uint8_t *end = memchr(rest->data, '\r', rest->len);
    size_t len = end == NULL ? rest->len : (size_t)(end - rest->data);
    struct span line = span_of(rest->data, len);
    size_t used = len + 2 < rest->len ? len + 2 : rest->len;
    *rest = span_of(rest->data + used, rest->len - used);
    return line;
}

static enum err take_target(struct span target, struct http_request *ret)
{
    if (target.len > WEB_TARGET_BYTES)
        FAIL(ERR_MESSAGE, "the request's address is longer than %d bytes", WEB_TARGET_BYTES);
    if (target.len == 0 || target.data[0] != '/')
        FAIL(ERR_MESSAGE, "the request's address must begin with a slash");
    for (size_t i = 0; i < target.len; i++) {
        if (target.data[i] <= ' ' || target.data[i] >= 0x7f || target.data[i] == '#')
            FAIL(ERR_MESSAGE, "the request's address holds a character that must be encoded");
    }
    const uint8_t *mark = memchr(target.data, '?', target.len);
    size_t len = mark == NULL ? target.len : (size_t)(mark - target.data);
    ret->path = span_of(target.data, len);
    ret->query = mark == NULL ? span_of(NULL, 0) : span_of(mark + 1, target.len - len - 1);
    return ERR_OK;
}

static enum err take_request_line(struct span line, struct http_request *ret)
{
    const uint8_t *first = memchr(line.data, ' ', line.len);
    size_t len = first == NULL ? 0 : (size_t)(first - line.data);
    if (len == 0 || len > HTTP_METHOD_MAX || !is_token(span_of(line.data, len)))
        FAIL(ERR_MESSAGE, "the request does not begin with a method, an address and a version");
    memcpy(ret->method, line.data, len);
    ret->method[len] = '\0';
    struct span rest = span_of(first + 1, line.len - len - 1);
    const uint8_t *second = memchr(rest.data, ' ', rest.len);
    size_t target = second == NULL ? rest.len : (size_t)(second - rest.data);
    struct span version =
        second == NULL ? span_of(NULL, 0) : span_of(second + 1, rest.len - target - 1);
    ret->keep_alive = span_eq_str(version, "HTTP/1.1");
    if (!ret->keep_alive && !span_eq_str(version, "HTTP/1.0"))
        FAIL(ERR_VERSION, "this server speaks HTTP/1.1");
    return take_target(span_of(rest.data, target), ret);
}

static struct span trim(struct span text)
{
    if (text.data == NULL)
        return span_of(NULL, 0);
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = span_of(text.data + 1, text.len - 1);
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static enum err check_twice(const struct http_request *request, struct span name)
{
    for (size_t i = 0; i < SINGLE; i++) {
        if (names(name, single[i]) && http_header(request, single[i]) != NULL)
            FAIL(ERR_MESSAGE, "the request has the header \"%s\" twice", single[i]);
    }
    return ERR_OK;
}

static enum err take_header(struct span line, struct http_request *ret)
{
    const uint8_t *colon = memchr(line.data, ':', line.len);
    struct span name = span_of(line.data, colon == NULL ? 0 : (size_t)(colon - line.data));
    if (colon == NULL || !is_token(name))
        FAIL(ERR_MESSAGE, "a header line has no name, or is folded");
    if (ret->header_count == WEB_HEADERS)
        FAIL(ERR_MESSAGE, "the request has more than %d header lines", WEB_HEADERS);
    struct span value = trim(span_of(colon + 1, line.len - name.len - 1));
    for (size_t i = 0; i < value.len; i++) {
        if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
            FAIL(ERR_MESSAGE, "a header holds a control character");
    }
    TRY(check_twice(ret, name));
    ret->headers[ret->header_count++] = (struct http_header){name, value};
    return ERR_OK;
}

static enum err take_length(struct http_request *ret)
{
    const struct span *text = http_header(ret, "content-length");
    ret->body_len = 0;
    if (text == NULL)
        return ERR_OK;
    size_t len = 0;
    for (size_t i = 0; i < text->len; i++) {
        if (text->data[i] < '0' || text->data[i] > '9')
            FAIL(ERR_MESSAGE, "the \"Content-Length\" is not a number");
        len = len > WEB_BODY_BYTES ? len : len * 10 + (size_t)(text->data[i] - '0');
    }
    if (text->len == 0)
        FAIL(ERR_MESSAGE, "the \"Content-Length\" is not a number");
    if (len > WEB_BODY_BYTES)
        FAIL(ERR_TOO_LARGE, "the body is longer than %d bytes", WEB_BODY_BYTES);
    ret->body_len = len;
    return ERR_OK;
}

// What says, beside the Content-Length, where a request ends or how it goes on.
static enum err check_framing(struct http_request *ret)
{
    if (http_header(ret, "transfer-encoding") != NULL)
        FAIL(ERR_MESSAGE, "the request has a \"Transfer-Encoding\": send a \"Content-Length\"");
    if (http_header(ret, "expect") != NULL)
        FAIL(ERR_MESSAGE, "the request has an \"Expect\": send the body without waiting");
    if (ret->keep_alive && http_header(ret, "host") == NULL)
        FAIL(ERR_MESSAGE, "the request has no \"Host\"");
    const struct span *connection = http_header(ret, "connection");
    if (connection != NULL && names(*connection, "close"))
        ret->keep_alive = false;
    return take_length(ret);
}

static enum err read_head(struct span head, struct http_request *ret)
{
    *ret = (struct http_request){0};
    struct span rest = span_of(head.data, head.len - 2);
    TRY(take_request_line(next_line(&rest), ret));
    while (rest.len > 0)
        TRY(take_header(next_line(&rest), ret));
    return check_framing(ret);
}

enum err http_size(struct span have, size_t *ret_size)
{
    struct http_request request;
    size_t head;
    *ret_size = 0;
    TRY(head_length(have, &head));
    if (head == 0)
        return ERR_OK;
    TRY(read_head(span_of(have.data, head), &request));
    *ret_size = head + request.body_len;
    return ERR_OK;
}

enum err http_read(struct span message, struct http_request *ret)
{
    size_t head;
    TRY(head_length(message, &head));
    if (head == 0)
        FAIL(ERR_MESSAGE, "the request is not whole");
    TRY(read_head(span_of(message.data, head), ret));
    if (message.len != head + ret->body_len)
        FAIL(ERR_MESSAGE, "the request is not whole");
    ret->body = span_of(message.data + head, ret->body_len);
    return ERR_OK;
}
