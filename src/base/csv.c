// SPDX-License-Identifier: Apache-2.0
//
// Numbers stand as they are, null is an empty cell, true and false are yes and no; a list of plain
// values is one text, with commas between them; an object is its name, else its kind with number or
// id ("local 0").
#include "base/csv.h"

enum { TEXT_MAX = 1024 * 1024 };

static void json_freep(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

const json_t *csv_rows_of(const json_t *doc)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)doc, key, value)
    {
        if (json_is_array(value))
            return value;
    }
    return NULL;
}

static enum err put_object(const json_t *object, struct buf *out)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *kind = json_string_value(json_object_get(object, "kind"));
    const char *id = json_string_value(json_object_get(object, "id"));
    const json_t *uid = json_object_get(object, "uid");
    if (name != NULL)
        return buf_put_str(out, name);
    if (json_is_integer(uid))
        return buf_printf(out, "%s %lld", kind == NULL ? "" : kind,
                          (long long)json_integer_value(uid));
    return buf_printf(out, "%s %s", kind == NULL ? "" : kind, id == NULL ? "" : id);
}

// What is neither object nor array.
static enum err put_plain(const json_t *value, struct buf *out)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return buf_put(out, span_of(json_string_value(value), json_string_length(value)));
    case JSON_INTEGER:
        return buf_printf(out, "%lld", (long long)json_integer_value(value));
    case JSON_REAL:
        return buf_printf(out, "%g", json_real_value(value));
    case JSON_TRUE:
        return buf_put_str(out, "yes");
    case JSON_FALSE:
        return buf_put_str(out, "no");
    case JSON_NULL:
    case JSON_OBJECT:
    case JSON_ARRAY:
    default:
        return ERR_OK;
    }
}

static enum err put_value(const json_t *value, struct buf *out)
{
    size_t index;
    const json_t *item;
    size_t told = 0;
    if (value == NULL || json_is_null(value))
        return ERR_OK;
    if (json_is_object(value))
        return put_object(value, out);
    if (!json_is_array(value))
        return put_plain(value, out);
    json_array_foreach(value, index, item)
    {
        if (json_is_object(item) || json_is_array(item))
            continue;
        TRY(told++ > 0 ? buf_put_str(out, ", ") : ERR_OK);
        TRY(put_plain(item, out));
    }
    return ERR_OK;
}

static bool is_formula(const json_t *value, struct span text)
{
    return !json_is_number(value) && text.len > 0 &&
           memchr("=+-@\t\r", text.data[0], sizeof "=+-@\t\r" - 1) != NULL;
}

// `text` is room that is used again and again.
static enum err put_cell(const json_t *value, bool first, struct buf *text, struct buf *out)
{
    buf_clear(text);
    TRY(put_value(value, text));
    TRY(buf_put_str(out, first ? "\"" : ",\""));
    if (is_formula(value, span_buf(text)))
        TRY(buf_put_u8(out, '\''));
    for (size_t i = 0; i < text->len;) {
        uint8_t c = text->data[i];
        size_t control = c == '\n' ? 0 : span_control_len(span_of(text->data + i, text->len - i));
        if (c == '"')
            TRY(buf_put_u8(out, '"'));
        TRY(buf_put_u8(out, control > 0 ? '?' : c));
        i += control > 0 ? control : 1;
    }
    return buf_put_u8(out, '"');
}

static enum err put_heading(const json_t *columns, struct buf *text, struct buf *out)
{
    const char *key;
    json_t *value;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)columns, key, value)
    {
        CLEANUP(json_freep) json_t *name = json_string(key);
        TRY(put_cell(name, first, text, out));
        first = false;
    }
    return first ? ERR_OK : buf_put_str(out, "\r\n");
}

static enum err put_row(const json_t *columns, const json_t *row, struct buf *text, struct buf *out)
{
    const char *key;
    json_t *value;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)columns, key, value)
    {
        TRY(put_cell(json_object_get(row, key), first, text, out));
        first = false;
    }
    return first ? ERR_OK : buf_put_str(out, "\r\n");
}

// What some row has as more than an object, in the order in which it is met.
static enum err find_columns(const json_t *rows, json_t *ret)
{
    size_t index;
    const json_t *row;
    const char *key;
    json_t *value;
    json_array_foreach(rows, index, row)
    {
        json_object_foreach((json_t *)(uintptr_t)row, key, value)
        {
            if (!json_is_object(value) && json_object_set_new(ret, key, json_true()) != 0)
                FAIL(ERR_MEMORY, "no memory for a list");
        }
    }
    return ERR_OK;
}

enum err csv_put(const json_t *rows, struct buf *out)
{
    size_t index;
    const json_t *row;
    CLEANUP(json_freep) json_t *columns = json_object();
    struct buf text CLEANUP(buf_done);
    buf_init(&text, TEXT_MAX, true);
    TRY(find_columns(rows, columns));
    TRY(put_heading(columns, &text, out));
    json_array_foreach(rows, index, row)
    {
        TRY(put_row(columns, row, &text, out));
    }
    return ERR_OK;
}
