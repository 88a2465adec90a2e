// SPDX-License-Identifier: Apache-2.0
//
// Tables are for people only and may change; JSON is the API's and does not.
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/csv.h"
#include "cli/term.h"

enum { CELL_MAX = 256, COLUMNS_MAX = 32, DEPTH_MAX = 8, TEXT_MAX = 1 << 30 };

static const char *const check_names[] = {"checks", "steps"};

static bool is_checks(const char *name)
{
    for (size_t i = 0; i < sizeof check_names / sizeof *check_names; i++) {
        if (strcmp(name, check_names[i]) == 0)
            return true;
    }
    return false;
}

static const json_t *checks_of(const json_t *doc)
{
    for (size_t i = 0; i < sizeof check_names / sizeof *check_names; i++) {
        const json_t *value = json_object_get(doc, check_names[i]);
        if (json_is_array(value))
            return value;
    }
    return NULL;
}

// The rows of a list: the document's list, where the command is one.
static const json_t *rows_of(const struct cli *cli, const json_t *doc)
{
    return cli->command->columns == NULL ? NULL : csv_rows_of(doc);
}

// What holds of an object, behind its name: "ana (forward)".
static void flags_text(const json_t *object, char raw[CELL_MAX])
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t len = strlen(raw);
        if (json_is_true(value))
            (void)snprintf(raw + len, CELL_MAX - len, " (%s)", key);
    }
}

// An object in a cell: its name or role, else its kind with number or id ("local 0").
static void object_text(const json_t *object, char out[CELL_MAX])
{
    const char *name = json_string_value(json_object_get(object, "name"));
    if (name == NULL)
        name = json_string_value(json_object_get(object, "role"));
    const char *kind = json_string_value(json_object_get(object, "kind"));
    if (kind == NULL)
        kind = json_string_value(json_object_get(object, "type"));
    const char *id = json_string_value(json_object_get(object, "id"));
    const json_t *uid = json_object_get(object, "uid");
    char raw[CELL_MAX];
    if (name != NULL)
        (void)snprintf(raw, sizeof raw, "%s", name);
    else if (json_is_integer(uid))
        (void)snprintf(raw, sizeof raw, "%s %lld", kind == NULL ? "" : kind,
                       (long long)json_integer_value(uid));
    else
        (void)snprintf(raw, sizeof raw, "%s %s", kind == NULL ? "" : kind, id == NULL ? "" : id);
    flags_text(object, raw);
    term_clean(raw, out, CELL_MAX);
}

// A text as people read it: a time without its zero milliseconds, and nothing that takes pages.
static void string_text(const json_t *value, char out[CELL_MAX])
{
    static const char zero[] = ".000Z";
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (len >= CELL_MAX - 1) {
        (void)snprintf(out, CELL_MAX, "(%zu bytes; see -o json)", len);
        return;
    }
    term_clean(text, out, CELL_MAX);
    len = strlen(out);
    if (len == sizeof "2026-01-31T12:00:00.000Z" - 1 && out[10] == 'T' &&
        strcmp(out + len - (sizeof zero - 1), zero) == 0)
        (void)snprintf(out + len - (sizeof zero - 1), sizeof zero, "Z");
}

// A value as one word or text, control characters replaced.
static void cell_text(const json_t *value, char out[CELL_MAX])
{
    out[0] = '\0';
    if (value == NULL || json_is_null(value))
        (void)snprintf(out, CELL_MAX, "-");
    else if (json_is_string(value))
        string_text(value, out);
    else if (json_is_boolean(value))
        (void)snprintf(out, CELL_MAX, "%s", json_is_true(value) ? "yes" : "no");
    else if (json_is_integer(value))
        (void)snprintf(out, CELL_MAX, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        (void)snprintf(out, CELL_MAX, "%g", json_real_value(value));
    else if (json_is_object(value))
        object_text(value, out);
    size_t index;
    const json_t *item;
    size_t len = 0;
    json_array_foreach(value, index, item)
    {
        char one[CELL_MAX];
        if (json_is_array(item) || len + 2 >= CELL_MAX)
            continue;
        if (json_is_object(item))
            object_text(item, one);
        else
            cell_text(item, one);
        len += (size_t)snprintf(out + len, CELL_MAX - len, "%s%s", index > 0 ? ", " : "", one);
        len = len < CELL_MAX ? len : CELL_MAX - 1;
    }
}

// Columns of terminal that a text takes, one for each character.
static int width_of(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

// On one line, whatever lines the text has: none of them is a row.
static void print_cell(const char *text, int width, bool last)
{
    for (const char *p = text; *p != '\0'; p++)
        (void)putchar(*p == '\n' ? ' ' : *p);
    if (!last)
        (void)printf("%*s", width - width_of(text) + 2, "");
}

struct columns {
    char names[COLUMNS_MAX][32];
    int widths[COLUMNS_MAX];
    size_t count;
};

static bool any_has(const json_t *rows, const char *name)
{
    size_t index;
    const json_t *row;
    json_array_foreach(rows, index, row)
    {
        if (json_object_get(row, name) != NULL)
            return true;
    }
    return false;
}

static void add_column(struct columns *columns, const char *name, size_t len)
{
    if (columns->count == COLUMNS_MAX || len == 0 || len >= sizeof columns->names[0])
        return;
    memcpy(columns->names[columns->count], name, len);
    columns->names[columns->count++][len] = '\0';
}

// The command's columns as far as the rows have them; else those of the first row.
static void choose_columns(const char *wanted, const json_t *rows, struct columns *ret)
{
    *ret = (struct columns){.count = 0};
    for (const char *p = wanted; p != NULL && *p != '\0'; p += strcspn(p, ","), p += *p == ',') {
        char name[32] = "";
        size_t len = strcspn(p, ",");
        memcpy(name, p, len < sizeof name ? len : sizeof name - 1);
        if (any_has(rows, name))
            add_column(ret, name, strlen(name));
    }
    if (ret->count > 0)
        return;
    const char *key;
    json_t *value;
    json_object_foreach(json_array_get(rows, 0), key, value)
    {
        if (!json_is_object(value))
            add_column(ret, key, strlen(key));
    }
}

static void measure(const json_t *rows, struct columns *columns)
{
    for (size_t c = 0; c < columns->count; c++) {
        size_t index;
        const json_t *row;
        columns->widths[c] = width_of(columns->names[c]);
        json_array_foreach(rows, index, row)
        {
            char text[CELL_MAX];
            cell_text(json_object_get(row, columns->names[c]), text);
            int width = width_of(text);
            columns->widths[c] = width > columns->widths[c] ? width : columns->widths[c];
        }
    }
}

static void print_heading(const struct columns *columns)
{
    for (size_t c = 0; c < columns->count; c++) {
        char name[32];
        term_clean(columns->names[c], name, sizeof name);
        for (char *p = name; *p != '\0'; p++)
            *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
        print_cell(name, columns->widths[c], c + 1 == columns->count);
    }
    (void)printf("\n");
}

static void print_rows(const char *wanted, const json_t *rows)
{
    struct columns columns;
    choose_columns(wanted, rows, &columns);
    measure(rows, &columns);
    if (columns.count > 0)
        print_heading(&columns);
    size_t index;
    const json_t *row;
    json_array_foreach(rows, index, row)
    {
        for (size_t c = 0; c < columns.count; c++) {
            char text[CELL_MAX];
            cell_text(json_object_get(row, columns.names[c]), text);
            print_cell(text, columns.widths[c], c + 1 == columns.count);
        }
        (void)printf("\n");
    }
}

static const char *text_in(const json_t *object, const char *a, const char *b, const char *c)
{
    const char *text = json_string_value(json_object_get(object, a));
    if (text == NULL)
        text = json_string_value(json_object_get(object, b));
    if (text == NULL && c != NULL)
        text = json_string_value(json_object_get(object, c));
    return text == NULL ? "" : text;
}

// ✔ passed, ✖ failed, – not tried.
static const char *mark_of(const json_t *check)
{
    const json_t *ok = json_object_get(check, "ok");
    if (ok != NULL)
        return json_is_true(ok) ? "✔" : "✖";
    const char *status = text_in(check, "status", "result", "state");
    if (strcmp(status, "pass") == 0 || strcmp(status, "ok") == 0 || strcmp(status, "done") == 0)
        return "✔";
    return strcmp(status, "fail") == 0 || strcmp(status, "failed") == 0 ? "✖" : "–";
}

static void print_check(const json_t *check, FILE *out)
{
    char name[CELL_MAX];
    char detail[4 * CELL_MAX];
    char fix[4 * CELL_MAX];
    term_clean(text_in(check, "check", "step", "name"), name, sizeof name);
    term_clean(text_in(check, "detail", "reason", "message"), detail, sizeof detail);
    term_clean(text_in(check, "fix", "hint", NULL), fix, sizeof fix);
    (void)fprintf(out, " %s %s%s%s\n", mark_of(check), name, detail[0] != '\0' ? ": " : "", detail);
    if (fix[0] != '\0')
        (void)fprintf(out, "     fix: %s\n", fix);
}

void output_checks(const json_t *doc, FILE *out, bool only_failed)
{
    const json_t *checks = checks_of(doc);
    size_t index;
    const json_t *check;
    json_array_foreach(checks, index, check)
    {
        if (json_is_object(check) && (!only_failed || json_is_false(json_object_get(check, "ok"))))
            print_check(check, out);
    }
}

// What a person would see as an empty line.
static bool is_blank(const json_t *value)
{
    return (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

// Objects that want a table of their own: those that one word and a flag do not tell.
static bool is_table(const json_t *value)
{
    enum { WORD_AND_FLAG = 2 };
    const json_t *first = json_array_get(value, 0);
    return json_is_object(first) && json_object_size(first) > WORD_AND_FLAG;
}

static void print_field(const char *name, const json_t *value, int depth, int width)
{
    char text[CELL_MAX];
    cell_text(value, text);
    (void)printf("%*s%s:%*s%s\n", depth * 2, "", name, width - width_of(name) + 1, "", text);
}

static void print_fields(const json_t *object, int depth)
{
    int width = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        width = (int)strlen(key) > width ? (int)strlen(key) : width;
    }
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        char name[CELL_MAX];
        term_clean(key, name, sizeof name);
        if (json_is_object(value) && depth < DEPTH_MAX) {
            (void)printf("%*s%s:\n", depth * 2, "", name);
            print_fields(value, depth + 1);
        } else if (!is_blank(value) && !is_table(value) &&
                   !(is_checks(key) && json_is_array(value))) {
            print_field(name, value, depth, width);
        }
    }
}

// Lists of objects, each below its name.
static void print_details(const json_t *doc)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)doc, key, value)
    {
        char name[CELL_MAX];
        if (!is_table(value) || is_checks(key))
            continue;
        term_clean(key, name, sizeof name);
        (void)printf("\n%s\n", name);
        print_rows(NULL, value);
    }
}

// What an answer tells beside its list.
static void print_beside(const json_t *doc, const json_t *rows)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)doc, key, value)
    {
        char name[CELL_MAX];
        if (value == rows || json_is_null(value) || is_blank(value) ||
            strcmp(key, "next_cursor") == 0)
            continue;
        term_clean(key, name, sizeof name);
        print_field(name, value, 0, width_of(name));
    }
}

static void print_table(const struct cli *cli, const json_t *doc)
{
    const json_t *rows = rows_of(cli, doc);
    if (rows == NULL) {
        print_fields(doc, 0);
        output_checks(doc, stdout, false);
        print_details(doc);
        return;
    }
    if (json_array_size(rows) == 0)
        term_say("there are none");
    print_rows(cli->command->columns, rows);
    print_beside(doc, rows);
    const char *next = json_string_value(json_object_get(doc, "next_cursor"));
    if (next != NULL)
        term_say("there are more: go on with --cursor %s", next);
}

static void print_name(const json_t *object)
{
    static const char *const keys[] = {"name", "id", "number"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(object, keys[i]);
        char text[CELL_MAX];
        if (value == NULL || json_is_null(value))
            continue;
        cell_text(value, text);
        (void)printf("%s\n", text);
        return;
    }
}

static void print_names(const struct cli *cli, const json_t *doc)
{
    const json_t *rows = rows_of(cli, doc);
    if (rows == NULL)
        print_name(doc);
    size_t index;
    const json_t *row;
    json_array_foreach(rows, index, row)
    {
        print_name(row);
    }
}

// All that the rows have, so that a program finds the same columns whatever a person sees.
static enum err print_csv(const struct cli *cli, const json_t *doc)
{
    CLEANUP(json_freep) json_t *single = json_pack("[O]", doc);
    const json_t *rows = rows_of(cli, doc);
    struct buf text CLEANUP(buf_done);
    buf_init(&text, TEXT_MAX, false);
    TRY(csv_put(rows == NULL ? single : rows, &text));
    (void)fwrite(text.data, 1, text.len, stdout);
    return ERR_OK;
}

static int append(const char *text, size_t len, void *context)
{
    return buf_put(context, span_of(text, len)) == ERR_OK ? 0 : -1;
}

// A control character of two or three bytes of UTF-8 as JSON writes it plainly.
static enum err put_control(struct span bytes, struct buf *out)
{
    const uint8_t *b = bytes.data;
    unsigned code = b[0];
    if (bytes.len == 2)
        code = (b[0] & 0x1fU) << 6 | (b[1] & 0x3fU);
    else if (bytes.len == 3)
        code = (b[0] & 0x0fU) << 12 | (b[1] & 0x3fU) << 6 | (b[2] & 0x3fU);
    return buf_printf(out, "\\u%04x", code);
}

// The same document, and nothing in it that a terminal would obey: jansson escapes C0 alone.
static enum err print_json(const json_t *doc)
{
    struct buf text CLEANUP(buf_done);
    struct buf clean CLEANUP(buf_done);
    buf_init(&text, TEXT_MAX, true);
    buf_init(&clean, TEXT_MAX, true);
    if (json_dump_callback(doc, append, &text, JSON_INDENT(2)) != 0)
        FAIL(ERR_TOO_LARGE, "the answer is longer than %d bytes", TEXT_MAX);
    for (size_t i = 0; i < text.len;) {
        struct span rest = span_of(text.data + i, text.len - i);
        size_t control = text.data[i] == '\n' ? 0 : span_control_len(rest);
        if (control > 0)
            TRY(put_control(span_of(rest.data, control), &clean));
        else
            TRY(buf_put_u8(&clean, rest.data[0]));
        i += control > 0 ? control : 1;
    }
    (void)fwrite(clean.data, 1, clean.len, stdout);
    (void)printf("\n");
    return ERR_OK;
}

enum err output_flush(void)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0)
        FAIL(ERR_IO, "standard output takes no more");
    return ERR_OK;
}

enum err output_document(const struct cli *cli, const json_t *doc)
{
    if (cli->output == OUTPUT_JSON) {
        TRY(print_json(doc));
    } else if (cli->output == OUTPUT_NAME) {
        print_names(cli, doc);
    } else if (cli->output == OUTPUT_CSV) {
        TRY(print_csv(cli, doc));
    } else {
        print_table(cli, doc);
    }
    return output_flush();
}
