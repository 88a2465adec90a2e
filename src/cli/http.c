// SPDX-License-Identifier: Apache-2.0
//
// libcurl's easy interface, one handle a server.
#include "cli/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"

enum { URL_MAX = 8192, HEADER_MAX = 2048, HEAD_MAX = 64 * 1024 };

struct http {
    CURL *curl;
    struct curl_slist *headers; // of every request
    int run_dir;                // of the local socket, else -1
    char socket[64];            // its path, by the directory's descriptor
    char address[512];          // "https://host:port", or "http://localhost"
    char why[CURL_ERROR_SIZE];
};

void http_answer_done(struct http_answer *answer)
{
    buf_done(&answer->body);
}

bool http_answer_is_good(const struct http_answer *answer)
{
    return answer->status >= 200 && answer->status < 300;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    curl_easy_cleanup(http->curl);
    for (struct curl_slist *header = http->headers; header != NULL; header = header->next)
        explicit_bzero(header->data, strlen(header->data));
    curl_slist_free_all(http->headers);
    file_closep(&http->run_dir);
    free(http);
}

void http_freep(struct http **http)
{
    http_free(*http);
    *http = NULL;
}

static enum err add_header(struct http *http, const char *line)
{
    struct curl_slist *longer = curl_slist_append(http->headers, line);
    if (longer == NULL)
        FAIL(ERR_MEMORY, "no memory for a request");
    http->headers = longer;
    return ERR_OK;
}

static enum err open_handle(struct http **ret)
{
    CLEANUP(http_freep) struct http *http = calloc(1, sizeof *http);
    if (http == NULL)
        FAIL(ERR_MEMORY, "no memory for a connection");
    http->run_dir = -1;
    http->curl = curl_easy_init();
    if (http->curl == NULL)
        FAIL(ERR_MEMORY, "no memory for a connection");
    // curl would ask "Expect: 100-continue" before a longer body.
    TRY(add_header(http, "Expect:"));
    *ret = http;
    http = NULL;
    return ERR_OK;
}

// A socket's path has at most 107 bytes and a root prefix may be longer: it goes by descriptor.
enum err http_open_local(int root_fd, struct http **ret)
{
    CLEANUP(http_freep) struct http *http = NULL;
    TRY(open_handle(&http));
    http->run_dir = openat(root_fd, PATH_RUN_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (http->run_dir < 0 && errno == EACCES)
        FAIL(ERR_NOT_PERMITTED,
             "this server belongs to another user: run the command as that user");
    if (http->run_dir < 0)
        FAIL(ERR_UNAVAILABLE, "the server is not running");
    (void)snprintf(http->socket, sizeof http->socket, "/proc/self/fd/%d/api.sock", http->run_dir);
    (void)snprintf(http->address, sizeof http->address, "http://localhost");
    *ret = http;
    http = NULL;
    return ERR_OK;
}

static enum err check_address(const char *address)
{
    static const char scheme[] = "https://";
    const char *host = address + sizeof scheme - 1;
    if (strncmp(address, scheme, sizeof scheme - 1) != 0 || *host == '\0' ||
        strpbrk(host, "/?#@ \t\r\n") != NULL ||
        strlen(address) >= sizeof((struct http *)0)->address)
        FAIL(ERR_INVALID, "\"%.128s\" is no address of a server: write \"https://HOST[:PORT]\"",
             address);
    return ERR_OK;
}

static bool set_tls(const struct http *http, const char *ca_file)
{
    CURLcode code = curl_easy_setopt(http->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (code == CURLE_OK && ca_file != NULL)
        code = curl_easy_setopt(http->curl, CURLOPT_CAINFO, ca_file);
    if (code == CURLE_OK && ca_file != NULL)
        code = curl_easy_setopt(http->curl, CURLOPT_CAPATH, NULL);
    // Cookies of a session live in this handle alone.
    if (code == CURLE_OK)
        code = curl_easy_setopt(http->curl, CURLOPT_COOKIEFILE, "");
    return code == CURLE_OK;
}

enum err http_open_remote(const char *address, const char *ca_file, struct http **ret)
{
    CLEANUP(http_freep) struct http *http = NULL;
    TRY(check_address(address));
    TRY(open_handle(&http));
    (void)snprintf(http->address, sizeof http->address, "%s", address);
    if (ca_file != NULL && access(ca_file, R_OK) != 0)
        FAIL(ERR_INVALID, "the file of CA certificates \"%s\" cannot be read: %s", ca_file,
             strerror(errno));
    if (!set_tls(http, ca_file))
        FAIL(ERR_INTERNAL, "the HTTP library lacks TLS");
    *ret = http;
    http = NULL;
    return ERR_OK;
}

static enum err show(struct http *http, const char *name, struct span value)
{
    char line[HEADER_MAX];
    int len = snprintf(line, sizeof line, "%s%.*s", name, (int)value.len, (const char *)value.data);
    enum err err = ERR_OK;
    bool printable = value.len > 0;
    for (size_t i = 0; i < value.len; i++)
        printable = printable && value.data[i] > ' ' && value.data[i] < 0x7f;
    if (!printable || len < 0 || (size_t)len >= sizeof line)
        err = ERR_INVALID;
    else
        err = add_header(http, line);
    explicit_bzero(line, sizeof line);
    if (err == ERR_INVALID)
        FAIL(ERR_INVALID, "what is to be shown to the server is no token");
    return err;
}

enum err http_show_token(struct http *http, const struct secret *token)
{
    return show(http, "Authorization: Bearer ", secret_span(token));
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct http_answer *answer = context;
    return buf_put(&answer->body, span_of(data, size * count)) == ERR_OK ? size * count : 0;
}

// Headers are not kept; without an end to them curl would read on until the time is over.
static size_t count_head(char *data, size_t size, size_t count, void *context)
{
    size_t *left = context;
    (void)data;
    if (size * count > *left)
        return 0;
    *left -= size * count;
    return size * count;
}

static enum err told(const struct http *http, CURLcode code, bool sent)
{
    long os_error = 0;
    (void)curl_easy_getinfo(http->curl, CURLINFO_OS_ERRNO, &os_error);
    if (code == CURLE_OPERATION_TIMEDOUT && sent)
        FAIL(ERR_TIMEOUT, "the server did not answer in time");
    if (http->run_dir >= 0 && !sent && (os_error == EACCES || os_error == EPERM))
        FAIL(ERR_NOT_PERMITTED,
             "this server belongs to another user: run the command as that user");
    if (http->run_dir >= 0 && !sent)
        FAIL(ERR_UNAVAILABLE, "the server is not running");
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        FAIL(ERR_UNAVAILABLE,
             "the server at \"%s\" is not trusted: %s; give its CA certificate (--ca-file), or "
             "sign in with --fingerprint",
             http->address, http->why);
    if (code == CURLE_WRITE_ERROR)
        FAIL(ERR_INTERNAL, "the answer is longer than %d bytes, or its headers than %d",
             HTTP_ANSWER_MAX, HEAD_MAX);
    if (sent)
        FAIL(ERR_UNAVAILABLE, "the connection to the server broke: %s", http->why);
    FAIL(ERR_UNAVAILABLE, "the server at \"%s\" cannot be reached: %s", http->address, http->why);
}

// Options of one request. Whatever was set by an earlier one is set anew.
static CURLcode set_request(const struct http *http, const char *method, const char *url,
                            struct span body, int timeout_ms)
{
    CURL *curl = http->curl;
    bool get = strcmp(method, "GET") == 0;
    CURLcode codes[] = {
        curl_easy_setopt(curl, CURLOPT_URL, url),
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH,
                         http->socket[0] != '\0' ? http->socket : NULL),
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, http->socket[0] != '\0' ? "http" : "https"),
        curl_easy_setopt(curl, CURLOPT_PROXY, ""),
        curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1),
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L),
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, http->socket[0] != '\0' ? 1L : 0L),
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_MS),
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms),
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->why),
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body),
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, count_head),
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body.len),
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, get ? NULL : (const char *)body.data),
        curl_easy_setopt(curl, get ? CURLOPT_HTTPGET : CURLOPT_POST, 1L),
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, get ? NULL : method),
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (codes[i] != CURLE_OK)
            return codes[i];
    }
    return CURLE_OK;
}

static enum err add_first(struct http *http, const char *line)
{
    struct curl_slist *first = curl_slist_append(NULL, line);
    if (first == NULL)
        FAIL(ERR_MEMORY, "no memory for a request");
    first->next = http->headers;
    http->headers = first;
    return ERR_OK;
}

// What a request over the local socket shows, read each time: a server that was started anew has
// another. Where it cannot be read the socket or the server says what is wrong.
static enum err add_local(struct http *http)
{
    struct buf line CLEANUP(buf_done);
    buf_init(&line, HEADER_MAX, true);
    if (http->run_dir < 0 || file_read(http->run_dir, PATH_API_HEADER + sizeof PATH_RUN_DIR,
                                       HEADER_MAX - 1, &line) != ERR_OK)
        return ERR_OK;
    TRY(buf_put_u8(&line, '\0'));
    char *text = (char *)line.data;
    text[strcspn(text, "\r\n")] = '\0';
    return add_first(http, text);
}

// Those of this request alone come first. The type of a body is said only where there is one.
static enum err set_headers(struct http *http, struct span body)
{
    TRY(add_first(http, body.len > 0 ? "Content-Type: application/json" : "Content-Type:"));
    TRY(add_local(http));
    if (curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, http->headers) != CURLE_OK)
        FAIL(ERR_MEMORY, "no memory for a request");
    return ERR_OK;
}

static void drop_headers(struct http *http, const struct curl_slist *kept)
{
    while (http->headers != kept) {
        struct curl_slist *first = http->headers;
        http->headers = first->next;
        first->next = NULL;
        explicit_bzero(first->data, strlen(first->data));
        curl_slist_free_all(first);
    }
}

static enum err perform(struct http *http, struct http_answer *answer, bool *ret_sent)
{
    long status = 0;
    char *type = NULL;
    long request_bytes = 0;
    size_t head_left = HEAD_MAX;
    if (curl_easy_setopt(http->curl, CURLOPT_WRITEDATA, answer) != CURLE_OK ||
        curl_easy_setopt(http->curl, CURLOPT_HEADERDATA, &head_left) != CURLE_OK)
        FAIL(ERR_INTERNAL, "a request could not be made");
    CURLcode code = curl_easy_perform(http->curl);
    (void)curl_easy_getinfo(http->curl, CURLINFO_REQUEST_SIZE, &request_bytes);
    *ret_sent = request_bytes > 0;
    if (code != CURLE_OK)
        return told(http, code, *ret_sent);
    (void)curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(http->curl, CURLINFO_CONTENT_TYPE, &type);
    answer->status = (int)status;
    answer->problem = type != NULL && strncmp(type, "application/problem+json", 24) == 0;
    return ERR_OK;
}

enum err http_call(struct http *http, const char *method, const char *path, struct span body,
                   int timeout_ms, struct http_answer *ret, bool *ret_sent)
{
    char url[URL_MAX];
    *ret_sent = false;
    *ret = (struct http_answer){0};
    buf_init(&ret->body, HTTP_ANSWER_MAX, true);
    int len = snprintf(url, sizeof url, "%s%s", http->address, path);
    if (len < 0 || (size_t)len >= sizeof url)
        FAIL(ERR_TOO_LARGE, "the address of the request is longer than %d bytes", URL_MAX);
    if (set_request(http, method, url, body, timeout_ms) != CURLE_OK)
        FAIL(ERR_INTERNAL, "a request could not be made");
    const struct curl_slist *kept = http->headers;
    enum err err = set_headers(http, body);
    if (err == ERR_OK)
        err = perform(http, ret, ret_sent);
    drop_headers(http, kept);
    return err;
}

// libcurl tells a certificate as lines "NAME:value"; the PEM is that of "Cert".
static enum err take_certificates(const struct curl_certinfo *info, struct buf *ret_pem)
{
    static const char name[] = "Cert:";
    for (int i = 0; info != NULL && i < info->num_of_certs; i++) {
        for (const struct curl_slist *line = info->certinfo[i]; line != NULL; line = line->next) {
            if (strncmp(line->data, name, sizeof name - 1) != 0)
                continue;
            TRY(buf_put_str(ret_pem, line->data + sizeof name - 1));
        }
    }
    return ERR_OK;
}

enum err http_peek(const char *address, struct buf *ret_pem)
{
    CLEANUP(http_freep) struct http *http = NULL;
    struct curl_certinfo *info = NULL;
    TRY(http_open_remote(address, NULL, &http));
    CURL *curl = http->curl;
    if (set_request(http, "GET", address, span_of(NULL, 0), HTTP_CONNECT_MS) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L) != CURLE_OK)
        FAIL(ERR_INTERNAL, "a request could not be made");
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK)
        return told(http, code, false);
    (void)curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info);
    TRY(take_certificates(info, ret_pem));
    if (ret_pem->len == 0)
        FAIL(ERR_INTERNAL, "the server at \"%s\" shows no certificate", address);
    return ERR_OK;
}
