// SPDX-License-Identifier: Apache-2.0
//
// jansson, with strict parameters: duplicate fields and unknown ones are errors, and each has the
// type that spec/api gives it.
#include "ops/doc.h"

#include <stdlib.h>

#include "base/clock.h"

void doc_freep(json_t **doc)
{
    json_decref(*doc);
    *doc = NULL;
}

#define ROW(verb, name, type, required, choices) {VERB_##verb, name, type, required, choices},
static const struct field {
    enum verb verb;
    const char *name;
    enum api_type type;
    bool required;
    const char *choices; // "one|other", or "": any
} fields[] = {API_FIELDS(ROW)};

enum { FIELDS = sizeof fields / sizeof *fields };

static const struct field *find_field(enum verb verb, const char *name)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (fields[i].verb == verb && strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

static bool has_type(const json_t *value, enum api_type type)
{
    switch (type) {
    case API_TEXT:
        return json_is_string(value);
    case API_INTEGER:
        return json_is_integer(value);
    case API_BOOLEAN:
        return json_is_boolean(value);
    case API_LIST:
        return json_is_array(value);
    case API_OBJECT:
        return json_is_object(value);
    case API_ANY:
    default:
        return true;
    }
}

static const char *type_name(enum api_type type)
{
    static const char *const names[] = {
        [API_TEXT] = "a text", [API_INTEGER] = "an integer", [API_BOOLEAN] = "true or false",
        [API_LIST] = "a list", [API_OBJECT] = "an object",   [API_ANY] = "a value",
    };
    return names[type];
}

static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);
    for (const char *at = choices;; at++) {
        size_t word = strcspn(at, "|");
        if (word == len && memcmp(at, value, len) == 0)
            return true;
        at += word;
        if (*at == '\0')
            return false;
    }
}

static enum err check_field(enum verb verb, const char *name, const json_t *value)
{
    const struct field *field = find_field(verb, name);
    if (field == NULL)
        FAIL(ERR_INVALID, "there is no parameter \"%.64s\"", name);
    if (json_is_null(value))
        return ERR_OK;
    if (!has_type(value, field->type))
        FAIL(ERR_INVALID, "\"%s\" must be %s", name, type_name(field->type));
    if (field->choices[0] != '\0' && !is_choice(field->choices, json_string_value(value)))
        FAIL(ERR_INVALID, "\"%s\" must be one of %s", name, field->choices);
    return ERR_OK;
}

static enum err check_required(enum verb verb, const json_t *doc)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (fields[i].verb != verb || !fields[i].required)
            continue;
        const json_t *value = json_object_get(doc, fields[i].name);
        if (value == NULL || json_is_null(value))
            FAIL(ERR_MISSING_DATA, "\"%s\" is missing", fields[i].name);
    }
    return ERR_OK;
}

enum err doc_params(const struct op *op, json_t **ret)
{
    json_error_t error;
    struct span in = op->request->doc;
    if (in.len > DOC_MAX)
        FAIL(ERR_TOO_LARGE, "the parameters are longer than %d bytes", DOC_MAX);
    CLEANUP(doc_freep)
    json_t *doc = in.len == 0
                      ? json_object()
                      : json_loadb((const char *)in.data, in.len, JSON_REJECT_DUPLICATES, &error);
    if (doc == NULL && in.len > 0)
        FAIL(ERR_INVALID, "the parameters are not valid JSON: %s (byte %d)", error.text,
             error.position);
    if (!json_is_object(doc))
        FAIL(ERR_INVALID, "the parameters are no JSON object");
    for (void *at = json_object_iter(doc); at != NULL; at = json_object_iter_next(doc, at))
        TRY(check_field(op->request->verb, json_object_iter_key(at), json_object_iter_value(at)));
    TRY(check_required(op->request->verb, doc));
    *ret = doc;
    doc = NULL;
    return ERR_OK;
}

enum err doc_integer(const json_t *doc, const char *name, int64_t least, int64_t most, int64_t *ret)
{
    const json_t *value = json_object_get(doc, name);
    if (value == NULL || json_is_null(value))
        return ERR_OK;
    if (!json_is_integer(value))
        FAIL(ERR_INVALID, "\"%s\" must be an integer", name);
    int64_t number = json_integer_value(value);
    if (number < least || number > most)
        FAIL(ERR_INVALID, "\"%s\" must lie between %lld and %lld", name, (long long)least,
             (long long)most);
    *ret = number;
    return ERR_OK;
}

enum err doc_text(const json_t *doc, const char *name, size_t max, bool required, struct span *ret)
{
    const json_t *value = json_object_get(doc, name);
    *ret = span_str("");
    if (value == NULL || json_is_null(value)) {
        if (required)
            FAIL(ERR_MISSING_DATA, "\"%s\" is missing", name);
        return ERR_OK;
    }
    if (!json_is_string(value))
        FAIL(ERR_INVALID, "\"%s\" must be a text", name);
    struct span text = span_of(json_string_value(value), json_string_length(value));
    if (text.len > max || (required && text.len == 0))
        FAIL(ERR_INVALID, "\"%s\" must have 1 to %zu bytes", name, max);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7f)
            FAIL(ERR_INVALID, "\"%s\" holds a control character", name);
    }
    *ret = text;
    return ERR_OK;
}

enum err doc_page(const json_t *doc, struct doc_page *ret)
{
    struct span text;
    struct doc_page page = {.limit = DOC_PAGE_DEFAULT};
    int64_t limit = page.limit;
    TRY(doc_text(doc, "cursor", UUID_TEXT_LEN, false, &text));
    if (text.len > 0 && uuid_parse(text, &page.after) != ERR_OK)
        FAIL(ERR_INVALID, "\"cursor\" is not one that this server gave");
    TRY(doc_integer(doc, "limit", 1, STORE_FIND_MAX, &limit));
    page.limit = (uint32_t)limit;
    *ret = page;
    return ERR_OK;
}

enum err doc_page_end(json_t *answer, const struct uuid *last)
{
    return doc_set(answer, "next_cursor", last == NULL ? json_null() : doc_uuid(last));
}

enum err doc_dry_run(const json_t *doc, bool *ret)
{
    const json_t *value = json_object_get(doc, "dry_run");
    if (value != NULL && !json_is_boolean(value))
        FAIL(ERR_INVALID, "\"dry_run\" must be true or false");
    *ret = json_is_true(value);
    return ERR_OK;
}

struct span doc_secret(const struct op *op, const char *name)
{
    for (size_t i = 0; i < op->request->secret_count; i++) {
        if (span_eq_str(op->request->secrets[i].name, name))
            return op->request->secrets[i].value;
    }
    return span_of(NULL, 0);
}

enum err doc_answer(struct op *op, json_t *answer)
{
    CLEANUP(doc_freep) json_t *doc = answer;
    if (doc == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    uint8_t *out = NULL;
    size_t len = json_dumpb(doc, NULL, 0, JSON_COMPACT);
    if (len == 0 || len > DOC_ANSWER_MAX)
        FAIL(ERR_TOO_LARGE, "the answer is longer than %d bytes; ask for less", DOC_ANSWER_MAX);
    TRY(arena_alloc(op->arena, len, 1, &out));
    if (json_dumpb(doc, (char *)out, len, JSON_COMPACT) != len)
        FAIL(ERR_INTERNAL, "an answer changed its size");
    op->reply->doc = span_of(out, len);
    return ERR_OK;
}

enum err doc_warn(struct op *op, const char *text)
{
    struct span old = op->reply->doc;
    json_t *doc = json_loadb((const char *)old.data, old.len, 0, NULL);
    if (json_object_get(doc, "warnings") == NULL)
        (void)json_object_set_new(doc, "warnings", json_array());
    if (json_array_append_new(json_object_get(doc, "warnings"), json_string(text)) != 0) {
        json_decref(doc);
        FAIL(ERR_MEMORY, "no memory for an answer");
    }
    return doc_answer(op, doc);
}

enum err doc_set(json_t *object, const char *name, json_t *value)
{
    if (value == NULL || json_object_set_new(object, name, value) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

json_t *doc_string(struct span text)
{
    json_t *value = json_stringn(text.len == 0 ? "" : (const char *)text.data, text.len);
    return value != NULL ? value : json_string("(not UTF-8)");
}

json_t *doc_uuid(const struct uuid *id)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_text(id, text);
    return json_string(text);
}

json_t *doc_time(int64_t seconds)
{
    char text[CLOCK_TEXT_LEN + 1];
    if (seconds == 0)
        return json_null();
    clock_text(seconds * 1000, text);
    return json_string(text);
}
