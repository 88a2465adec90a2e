// SPDX-License-Identifier: Apache-2.0
//
// Bodies are built by jansson, so that nothing a peer sent is echoed unescaped.
#include "web/answer.h"

#include <jansson.h>

#include "base/csv.h"
#include "base/problem.h"

// When to come again, where nothing says it better.
enum { TOO_MANY_S = 60, UNAVAILABLE_S = 2 };

void answer_init(struct answer *answer, const struct uuid *request_id)
{
    *answer = (struct answer){.status = 500, .content_type = "application/problem+json"};
    uuid_text(request_id, answer->request_id);
    buf_init(&answer->body, ANSWER_BYTES_MAX, true);
}

void answer_done(struct answer *answer)
{
    explicit_bzero(answer->session, sizeof answer->session);
    buf_done(&answer->body);
}

static void json_freep(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

static json_t *load_object(struct span doc)
{
    json_t *root = json_loadb((const char *)doc.data, doc.len, JSON_REJECT_DUPLICATES, NULL);
    if (root != NULL && !json_is_object(root)) {
        json_decref(root);
        root = NULL;
    }
    return root;
}

static int append(const char *text, size_t len, void *context)
{
    return buf_put(context, span_of(text, len)) == ERR_OK ? 0 : -1;
}

static enum err dump(const json_t *json, struct buf *out)
{
    buf_clear(out);
    if (json_dump_callback(json, append, out, JSON_COMPACT) != 0)
        FAIL(ERR_TOO_LARGE, "the answer is longer than %d bytes", ANSWER_BYTES_MAX);
    return buf_put_u8(out, '\n');
}

enum err answer_document(struct answer *answer, int status, struct span doc)
{
    CLEANUP(json_freep) json_t *root = load_object(doc.len > 0 ? doc : span_str("{}"));
    if (root == NULL)
        FAIL(ERR_INTERNAL, "an engine's answer is no JSON object");
    return answer_json(answer, status, root);
}

enum err answer_json(struct answer *answer, int status, const json_t *doc)
{
    TRY(dump(doc, &answer->body));
    answer->status = status;
    answer->content_type = "application/json";
    return ERR_OK;
}

// Details come from processes of ours; a byte that is not UTF-8 (a file's name, say) becomes '?'.
static json_t *text_of(struct span text)
{
    if (span_is_utf8(text))
        return json_stringn((const char *)text.data, text.len);
    char ascii[1024];
    size_t len = text.len < sizeof ascii ? text.len : sizeof ascii;
    for (size_t i = 0; i < len; i++) {
        bool plain = text.data[i] >= 0x20 && text.data[i] < 0x7f;
        ascii[i] = plain ? (char)text.data[i] : '?';
    }
    return json_stringn(ascii, len);
}

enum err answer_problem(struct answer *answer, enum err code, struct span detail, bool unchanged,
                        struct span report)
{
    const struct err_info *info = err_info(code);
    char type[PROBLEM_TYPE_MAX];
    problem_type(code, type);
    CLEANUP(json_freep)
    json_t *root =
        json_pack("{s:s, s:s, s:i, s:o*, s:s}", "type", type, "title", info->text, "status",
                  info->http_status, "detail", text_of(detail), "request_id", answer->request_id);
    if (root == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    int failed = unchanged ? json_object_set_new(root, "changed", json_false()) : 0;
    json_t *object = report.len > 0 ? load_object(report) : NULL;
    if (object != NULL)
        failed |= json_object_set_new(root, "report", object);
    if (failed != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    answer->status = info->http_status;
    answer->content_type = "application/problem+json";
    bool later = info->http_status == 429 || info->http_status == 503;
    if (later && answer->retry_after_s == 0)
        answer->retry_after_s = code == ERR_TOO_MANY ? TOO_MANY_S : UNAVAILABLE_S;
    return dump(root, &answer->body);
}

enum err answer_link(struct answer *answer, const char *page, struct span doc)
{
    CLEANUP(json_freep) json_t *root = load_object(doc);
    const char *cursor = json_string_value(json_object_get(root, "next_cursor"));
    if (cursor == NULL || cursor[0] == '\0')
        return ERR_OK;
    for (const char *at = cursor; *at != '\0'; at++) {
        bool plain = (*at >= '0' && *at <= '9') || ((*at | 0x20) >= 'a' && (*at | 0x20) <= 'z');
        if (!plain && strchr("-._~:,", *at) == NULL) // what a query holds as it is
            FAIL(ERR_INTERNAL, "an engine's cursor holds \"%c\"", *at);
    }
    (void)snprintf(answer->link, sizeof answer->link, "%s%s", page, cursor);
    return ERR_OK;
}

enum err answer_csv(struct answer *answer, struct span doc)
{
    CLEANUP(json_freep) json_t *root = load_object(doc);
    const json_t *rows = csv_rows_of(root);
    if (rows == NULL)
        FAIL(ERR_INTERNAL, "an engine's answer holds no list");
    buf_clear(&answer->body);
    TRY(csv_put(rows, &answer->body));
    answer->status = 200;
    answer->content_type = "text/csv; charset=utf-8";
    return ERR_OK;
}

enum err answer_text(struct answer *answer, struct span doc)
{
    CLEANUP(json_freep) json_t *root = load_object(doc);
    const json_t *text = json_object_get(root, "text");
    if (!json_is_string(text))
        FAIL(ERR_INTERNAL, "an engine's answer holds no text");
    buf_clear(&answer->body);
    TRY(buf_put(&answer->body, span_of(json_string_value(text), json_string_length(text))));
    answer->status = 200;
    answer->content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    return ERR_OK;
}

enum err answer_bytes(struct answer *answer, int status, const char *media, struct span bytes)
{
    buf_clear(&answer->body);
    TRY(buf_put(&answer->body, bytes));
    answer->status = status;
    answer->content_type = media;
    return ERR_OK;
}

enum err answer_readiness(struct answer *answer, struct span doc)
{
    CLEANUP(json_freep) json_t *root = load_object(doc);
    if (root == NULL)
        FAIL(ERR_INTERNAL, "an engine's answer is no JSON object");
    if (json_is_true(json_object_get(root, "serving")))
        return answer_document(answer, 200, doc);
    const char *reason = json_string_value(json_object_get(root, "reason"));
    bool told = reason != NULL && reason[0] != '\0';
    return answer_problem(answer, ERR_LOCKED,
                          span_str(told ? reason : "the server is not set up, or not open yet"),
                          true, span_of(NULL, 0));
}
