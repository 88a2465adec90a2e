// SPDX-License-Identifier: Apache-2.0
//
// jansson does the parsing; its depth limit is far above ours, so depth is counted before. Secrets
// are known by name, wherever a verb takes them, and only at the top level.
#include "web/doc.h"

#include <jansson.h>
#include <stdlib.h>

#define SECRET(name, limit) {name, limit},
static const struct {
    const char *name;
    size_t limit;
} secret_rows[] = {API_SECRETS(SECRET)};
#undef SECRET

enum { SECRET_NAMES = sizeof secret_rows / sizeof *secret_rows };

struct doc {
    json_t *root;
    char *text; // of the root, for doc_fill
    struct buf secrets[SECRET_NAMES];
    bool has[SECRET_NAMES];
};

static enum err check_depth(struct span body)
{
    int depth = 0;
    bool in_text = false;
    for (size_t i = 0; i < body.len; i++) {
        uint8_t c = body.data[i];
        if (in_text && c == '\\')
            i++;
        else if (c == '"')
            in_text = !in_text;
        else if (!in_text && (c == '{' || c == '['))
            depth++;
        else if (!in_text && (c == '}' || c == ']'))
            depth--;
        if (depth > DOC_DEPTH_MAX)
            FAIL(ERR_MESSAGE, "the JSON document is nested deeper than %d levels", DOC_DEPTH_MAX);
    }
    return ERR_OK;
}

// The parser's words may quote the document, and thereby a secret: only the place is passed on.
static enum err load(struct span body, json_t **ret)
{
    TRY(check_depth(body));
    json_error_t error;
    json_t *root = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES, &error);
    enum json_error_code code = root == NULL ? json_error_code(&error) : json_error_unknown;
    int line = error.line;
    int column = error.column;
    explicit_bzero(&error, sizeof error);
    if (root == NULL && code == json_error_duplicate_key)
        FAIL(ERR_MESSAGE, "the JSON document has a member twice, at line %d, column %d", line,
             column);
    if (root == NULL)
        FAIL(ERR_MESSAGE, "the body is not a well-formed JSON document, at line %d, column %d",
             line, column);
    if (!json_is_object(root)) {
        json_decref(root);
        FAIL(ERR_MESSAGE, "the body must be a JSON object");
    }
    *ret = root;
    return ERR_OK;
}

static enum err lift(struct doc *doc, size_t which)
{
    const char *name = secret_rows[which].name;
    size_t limit = secret_rows[which].limit;
    json_t *value = json_object_get(doc->root, name);
    if (value == NULL)
        return ERR_OK;
    if (!json_is_string(value))
        FAIL(ERR_INVALID, "the field \"%s\" must be a text", name);
    if (json_string_length(value) > limit)
        FAIL(ERR_INVALID, "the field \"%s\" is longer than %zu bytes", name, limit);
    TRY(buf_put(&doc->secrets[which],
                span_of(json_string_value(value), json_string_length(value))));
    doc->has[which] = true;
    (void)json_object_del(doc->root, name);
    return ERR_OK;
}

enum err doc_parse(struct span body, struct doc **ret)
{
    if (body.len > DOC_BYTES_MAX)
        FAIL(ERR_TOO_LARGE, "the body is longer than %d bytes", DOC_BYTES_MAX);
    CLEANUP(doc_freep) struct doc *doc = calloc(1, sizeof *doc);
    if (doc == NULL)
        FAIL(ERR_MEMORY, "no memory for a document");
    for (size_t i = 0; i < SECRET_NAMES; i++)
        buf_init(&doc->secrets[i], secret_rows[i].limit, true);
    TRY(load(body.len > 0 ? body : span_str("{}"), &doc->root));
    for (size_t i = 0; i < SECRET_NAMES; i++)
        TRY(lift(doc, i));
    *ret = doc;
    doc = NULL;
    return ERR_OK;
}

static void drop_text(struct doc *doc)
{
    json_malloc_t take;
    json_free_t give;
    json_get_alloc_funcs(&take, &give);
    if (doc->text != NULL)
        give(doc->text);
    doc->text = NULL;
}

void doc_free(struct doc *doc)
{
    if (doc == NULL)
        return;
    drop_text(doc);
    json_decref(doc->root);
    for (size_t i = 0; i < SECRET_NAMES; i++)
        buf_done(&doc->secrets[i]);
    free(doc);
}

void doc_freep(struct doc **doc)
{
    doc_free(*doc);
    *doc = NULL;
}

static enum err put(struct doc *doc, const char *name, json_t *value)
{
    if (json_object_get(doc->root, name) != NULL) {
        json_decref(value);
        FAIL(ERR_INVALID, "the field \"%s\" belongs in the address, not in the body", name);
    }
    if (json_object_set_new(doc->root, name, value) != 0)
        FAIL(ERR_MEMORY, "no memory for a document");
    return ERR_OK;
}

enum err doc_put_text(struct doc *doc, const char *name, const char *value)
{
    return put(doc, name, json_string(value));
}

enum err doc_put_number(struct doc *doc, const char *name, long value)
{
    return put(doc, name, json_integer(value));
}

enum err doc_put_true(struct doc *doc, const char *name)
{
    return put(doc, name, json_true());
}

enum err doc_get_text(const struct doc *doc, const char *name, char *out, size_t room)
{
    const json_t *value = json_object_get(doc->root, name);
    if (value == NULL)
        return ERR_OK;
    if (!json_is_string(value) || json_string_length(value) >= room)
        FAIL(ERR_INVALID, "the field \"%s\" is no text, or too long", name);
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return ERR_OK;
}

enum err doc_fill(struct doc *doc, struct request *request)
{
    drop_text(doc);
    doc->text = json_dumps(doc->root, JSON_COMPACT);
    if (doc->text == NULL)
        FAIL(ERR_MEMORY, "no memory for a document");
    request->doc = span_str(doc->text);
    request->secret_count = 0;
    for (size_t i = 0; i < SECRET_NAMES; i++) {
        if (!doc->has[i])
            continue;
        if (request->secret_count == SECRETS_MAX)
            FAIL(ERR_INVALID, "no operation takes more than %d secrets", SECRETS_MAX);
        request->secrets[request->secret_count++] =
            (struct named_secret){span_str(secret_rows[i].name), span_buf(&doc->secrets[i])};
    }
    return ERR_OK;
}
