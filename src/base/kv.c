// SPDX-License-Identifier: Apache-2.0
//
// KEY="value" files: a list of lines, each kept as it stood, with key and value where it has them.
#include "base/kv.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/file.h"

struct line {
    char *raw;   // as it stood, without the newline
    char *key;   // NULL for a comment or blank line
    char *value; // unquoted
};

struct kv {
    char *name;
    struct line *lines;
    size_t count;
};

static void line_done(struct line *line)
{
    free(line->raw);
    free(line->key);
    free(line->value);
}

void kv_free(struct kv *kv)
{
    if (kv == NULL)
        return;
    for (size_t i = 0; i < kv->count; i++)
        line_done(&kv->lines[i]);
    free(kv->lines);
    free(kv->name);
    free(kv);
}

void kv_freep(struct kv **kv)
{
    kv_free(*kv);
    *kv = NULL;
}

static struct line *line_find(const struct kv *kv, struct span key)
{
    for (size_t i = 0; i < kv->count; i++) {
        if (kv->lines[i].key != NULL && span_eq_str(key, kv->lines[i].key))
            return &kv->lines[i];
    }
    return NULL;
}

const char *kv_get(const struct kv *kv, const char *key, const char *fallback)
{
    const struct line *line = line_find(kv, span_str(key));
    return line == NULL ? fallback : line->value;
}

static enum err line_append(struct kv *kv, struct line **ret)
{
    if (kv->count >= KV_LINES_MAX)
        FAIL(ERR_CONFIG, "\"%s\" has more than %d lines", kv->name, KV_LINES_MAX);
    struct line *lines = reallocarray(kv->lines, kv->count + 1, sizeof *lines);
    if (lines == NULL)
        FAIL(ERR_MEMORY, "no memory for a configuration file");
    kv->lines = lines;
    lines[kv->count] = (struct line){NULL, NULL, NULL};
    *ret = &lines[kv->count++];
    return ERR_OK;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(struct span text)
{
    while (text.len > 0 && is_space(text.data[0]))
        text = span_of(text.data + 1, text.len - 1);
    while (text.len > 0 && is_space(text.data[text.len - 1]))
        text.len--;
    return text;
}

// `export ` before a key, as a shell file has it, is passed over.
static struct span skip_export(struct span text)
{
    static const char word[] = "export ";
    size_t len = sizeof word - 1;
    if (text.len > len && memcmp(text.data, word, len) == 0)
        return trim(span_of(text.data + len, text.len - len));
    return text;
}

static bool is_key(struct span key)
{
    if (key.len == 0 || isdigit(key.data[0]))
        return false;
    for (size_t i = 0; i < key.len; i++) {
        if (!isalnum(key.data[i]) && key.data[i] != '_')
            return false;
    }
    return true;
}

// Takes the quotes off; what follows a closing quote may only be a comment.
static enum err unquote(const struct kv *kv, size_t number, struct span *value)
{
    struct span text = *value;
    if (text.len == 0 || (text.data[0] != '"' && text.data[0] != '\''))
        return ERR_OK;
    const uint8_t *end = memchr(text.data + 1, text.data[0], text.len - 1);
    if (end == NULL)
        FAIL(ERR_CONFIG, "\"%s\" line %zu: the quote is not closed", kv->name, number);
    struct span rest = trim(span_of(end + 1, text.len - (size_t)(end + 1 - text.data)));
    if (rest.len > 0 && rest.data[0] != '#')
        FAIL(ERR_CONFIG, "\"%s\" line %zu column %zu: text after the closing quote", kv->name,
             number, (size_t)(rest.data - text.data) + 1);
    *value = span_of(text.data + 1, (size_t)(end - text.data) - 1);
    return ERR_OK;
}

static enum err parse_pair(struct kv *kv, size_t number, struct span text, struct line *line)
{
    const uint8_t *sign = memchr(text.data, '=', text.len);
    if (sign == NULL)
        FAIL(ERR_CONFIG, "\"%s\" line %zu: expected KEY=\"value\"", kv->name, number);
    struct span key = trim(span_of(text.data, (size_t)(sign - text.data)));
    struct span value = trim(span_of(sign + 1, text.len - (size_t)(sign + 1 - text.data)));
    if (!is_key(key))
        FAIL(ERR_CONFIG, "\"%s\" line %zu: the key may hold letters, digits and '_' only", kv->name,
             number);
    if (line_find(kv, key) != NULL)
        FAIL(ERR_CONFIG, "\"%s\" line %zu: the key \"%.*s\" stands there twice", kv->name, number,
             (int)key.len, (const char *)key.data);
    TRY(unquote(kv, number, &value));
    TRY(span_strdup(key, &line->key));
    return span_strdup(value, &line->value);
}

static enum err parse_line(struct kv *kv, size_t number, struct span raw)
{
    for (size_t i = 0; i < raw.len; i++) {
        if ((raw.data[i] < 0x20 && !is_space(raw.data[i])) || raw.data[i] == 0x7f)
            FAIL(ERR_CONFIG, "\"%s\" line %zu column %zu: a control character", kv->name, number,
                 i + 1);
    }
    struct line parsed = {NULL, NULL, NULL};
    struct span text = skip_export(trim(raw));
    enum err err = span_strdup(raw, &parsed.raw);
    if (err == ERR_OK && text.len > 0 && text.data[0] != '#')
        err = parse_pair(kv, number, text, &parsed);
    struct line *line;
    if (err == ERR_OK)
        err = line_append(kv, &line);
    if (err != ERR_OK) {
        line_done(&parsed);
        return err;
    }
    *line = parsed;
    return ERR_OK;
}

static enum err parse_lines(struct kv *kv, struct span text)
{
    if (text.len > KV_FILE_LIMIT)
        FAIL(ERR_CONFIG, "\"%s\" is larger than %d bytes", kv->name, KV_FILE_LIMIT);
    for (size_t number = 1; text.len > 0; number++) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data);
        TRY(parse_line(kv, number, span_of(text.data, len)));
        size_t used = end == NULL ? len : len + 1;
        text = span_of(text.data + used, text.len - used);
    }
    return ERR_OK;
}

enum err kv_parse(struct span text, const char *name, struct kv **ret)
{
    CLEANUP(kv_freep) struct kv *kv = calloc(1, sizeof *kv);
    if (kv == NULL)
        FAIL(ERR_MEMORY, "no memory for a configuration file");
    TRY(span_strdup(span_str(name), &kv->name));
    TRY(parse_lines(kv, text));
    *ret = kv;
    kv = NULL;
    return ERR_OK;
}

enum err kv_load(int dir, const char *path, struct kv **ret)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, KV_FILE_LIMIT + 1, false);
    enum err err = file_read(dir, path, KV_FILE_LIMIT, &text);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    return kv_parse(span_buf(&text), path, ret);
}

enum err kv_load_private(int dir, const char *path, struct kv **ret)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, KV_FILE_LIMIT + 1, false);
    enum err err = file_read_private(dir, path, KV_FILE_LIMIT, &text);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    return kv_parse(span_buf(&text), path, ret);
}

enum err kv_set(struct kv *kv, const char *key, const char *value)
{
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '"' || (uint8_t)*c < 0x20 || *c == 0x7f)
            FAIL(ERR_INVALID, "a value of \"%s\" may hold no quote and no control character", key);
    }
    struct buf raw CLEANUP(buf_done);
    buf_init(&raw, KV_FILE_LIMIT, false);
    TRY(buf_printf(&raw, "%s=\"%s\"", key, value));
    struct line fresh = {NULL, NULL, NULL};
    TRY(span_strdup(span_buf(&raw), &fresh.raw));
    struct line *line = line_find(kv, span_str(key));
    enum err err = span_strdup(span_str(key), &fresh.key);
    if (err == ERR_OK)
        err = span_strdup(span_str(value), &fresh.value);
    if (err == ERR_OK && line == NULL)
        err = line_append(kv, &line);
    if (err != ERR_OK) {
        line_done(&fresh);
        return err;
    }
    line_done(line);
    *line = fresh;
    return ERR_OK;
}

enum err kv_text(const struct kv *kv, struct buf *out)
{
    for (size_t i = 0; i < kv->count; i++) {
        TRY(buf_put_str(out, kv->lines[i].raw));
        TRY(buf_put_u8(out, '\n'));
    }
    return ERR_OK;
}

bool kv_at(const struct kv *kv, size_t index, const char **ret_key, const char **ret_value)
{
    for (size_t i = 0; i < kv->count; i++) {
        if (kv->lines[i].key == NULL || index-- > 0)
            continue;
        *ret_key = kv->lines[i].key;
        *ret_value = kv->lines[i].value;
        return true;
    }
    return false;
}

enum err kv_get_bool(const struct kv *kv, const char *key, bool fallback, bool *ret)
{
    const char *value = kv_get(kv, key, fallback ? "1" : "0");
    if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
        FAIL(ERR_CONFIG, "\"%s\": %s must be \"0\" or \"1\", not \"%.32s\"", kv->name, key, value);
    *ret = value[0] == '1';
    return ERR_OK;
}
