// SPDX-License-Identifier: Apache-2.0
//
// Secrets are written into the body by hand: jansson would keep copies of them.
#include "cli/client.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/problem.h"
#include "cli/target.h"

enum { BODY_MAX = 1024 * 1024, PATH_BYTES_MAX = 4096 };

void client_secrets_done(struct client_secrets *secrets)
{
    for (size_t i = 0; i < secrets->count; i++)
        secret_freep(&secrets->items[i].value);
    secrets->count = 0;
}

enum err client_open_root(struct cli *cli)
{
    if (cli->root_fd >= 0)
        return ERR_OK;
    if (access(cli->root, R_OK | X_OK) != 0 && errno == EACCES)
        FAIL(ERR_NOT_PERMITTED,
             "the server below \"%s\" belongs to another user: run the command as that user",
             cli->root);
    enum err err = file_open_dir(cli->root, &cli->root_fd);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_UNAVAILABLE, "there is no server below \"%s\": that directory does not exist",
             cli->root);
    return err;
}

enum err client_encode(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL)
            TRY(buf_put_u8(out, (uint8_t)*text));
        else
            TRY(buf_printf(out, "%%%02X", (unsigned char)*text));
    }
    return ERR_OK;
}

static enum err put_text(struct buf *out, struct span text)
{
    TRY(buf_put_u8(out, '"'));
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\')
            TRY(buf_put_u8(out, '\\'));
        if (c < 0x20)
            TRY(buf_printf(out, "\\u%04x", c));
        else
            TRY(buf_put_u8(out, c));
    }
    return buf_put_u8(out, '"');
}

static int append(const char *text, size_t len, void *context)
{
    return buf_put(context, span_of(text, len)) == ERR_OK ? 0 : -1;
}

static enum err build_body(const json_t *doc, const struct client_secrets *secrets, struct buf *out)
{
    bool empty = json_object_size(doc) == 0;
    if (doc == NULL)
        TRY(buf_put_str(out, "{}"));
    else if (json_dump_callback(doc, append, out, JSON_COMPACT) != 0)
        FAIL(ERR_TOO_LARGE, "the request is longer than %d bytes", BODY_MAX);
    for (size_t i = 0; secrets != NULL && i < secrets->count; i++) {
        out->len--; // the closing brace
        TRY(buf_printf(out, "%s\"%s\":", empty ? "" : ",", secrets->items[i].name));
        TRY(put_text(out, secret_span(secrets->items[i].value)));
        TRY(buf_put_u8(out, '}'));
        empty = false;
    }
    return ERR_OK;
}

// For a type that this program does not know: a newer server's, or another program's.
static enum err code_of_status(int status)
{
    static const struct {
        int status;
        enum err code;
    } codes[] = {
        {401, ERR_AUTHENTICATION}, {403, ERR_NOT_PERMITTED}, {404, ERR_NOT_FOUND},
        {409, ERR_CONFLICT},       {412, ERR_CONFLICT},      {413, ERR_TOO_LARGE},
        {503, ERR_UNAVAILABLE},    {504, ERR_TIMEOUT},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (codes[i].status == status)
            return codes[i].code;
    }
    return status >= 400 && status < 500 ? ERR_INVALID : ERR_INTERNAL;
}

static enum err take_problem(struct cli *cli, int status, const json_t *problem)
{
    const char *type = json_string_value(json_object_get(problem, "type"));
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    enum err code = type == NULL ? ERR_OK : problem_code(type);
    if (code == ERR_OK)
        code = code_of_status(status);
    json_decref(cli->problem);
    cli->problem = json_is_object(problem) ? json_incref((json_t *)(uintptr_t)problem) : NULL;
    cli->unsure = !json_is_false(json_object_get(problem, "changed"));
    if (detail == NULL)
        FAIL(code, "the server answered with status %d", status);
    err_adopt(detail, strlen(detail));
    return code;
}

enum err client_problem(struct cli *cli, int status, struct span body)
{
    CLEANUP(json_freep)
    json_t *root = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES, NULL);
    return take_problem(cli, status, root);
}

static enum err call(struct cli *cli, const char *method, const char *path, struct span body,
                     struct http_answer *answer)
{
    bool sent = false;
    enum err err = http_call(cli->http, method, path, body, HTTP_TIMEOUT_MS, answer, &sent);
    cli->unsure = sent && err != ERR_OK && strcmp(method, "GET") != 0;
    TRY(err);
    return http_answer_is_good(answer)
               ? ERR_OK
               : client_problem(cli, answer->status, span_buf(&answer->body));
}

// Caller: http_answer_done, also after an error.
static enum err ask(struct cli *cli, const char *method, const char *path, const json_t *doc,
                    const struct client_secrets *secrets, struct http_answer *answer)
{
    struct buf body CLEANUP(buf_done);
    buf_init(&body, BODY_MAX, true);
    struct buf full CLEANUP(buf_done);
    buf_init(&full, PATH_BYTES_MAX, false);
    TRY(target_open(cli));
    TRY(buf_printf(&full, "/api/v1%s", path));
    TRY(buf_put_u8(&full, 0));
    if (strcmp(method, "GET") != 0)
        TRY(build_body(doc, secrets, &body));
    return call(cli, method, (const char *)full.data, span_buf(&body), answer);
}

static enum err parse(struct span body, json_t **ret)
{
    *ret = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES, NULL);
    if (*ret == NULL)
        FAIL(ERR_INTERNAL, "what the server answered is no JSON document: is this the address of "
                           "a Keyward server?");
    return ERR_OK;
}

enum err client_call(struct cli *cli, const char *method, const char *path, const json_t *doc,
                     const struct client_secrets *secrets, json_t **ret)
{
    struct http_answer answer = {0};
    enum err err = ask(cli, method, path, doc, secrets, &answer);
    if (err == ERR_OK) {
        err = parse(span_buf(&answer.body), ret);
        cli->unsure = err != ERR_OK && strcmp(method, "GET") != 0;
    }
    http_answer_done(&answer);
    return err;
}

enum err client_fetch(struct cli *cli, const char *method, const char *path, const json_t *doc,
                      const struct client_secrets *secrets, struct buf *ret)
{
    struct http_answer answer = {0};
    enum err err = ask(cli, method, path, doc, secrets, &answer);
    if (err == ERR_OK)
        err = buf_put(ret, span_buf(&answer.body));
    http_answer_done(&answer);
    return err;
}
