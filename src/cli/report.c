// SPDX-License-Identifier: Apache-2.0
//
// `keyward report NAME`: all of a report, page after page, as one list; with --limit or --cursor
// the one page that is asked for. Of activity each page counts one stretch of time: what is counted
// in several is added up.
#include <stdlib.h>

#include "cli/handlers.h"
#include "cli/output.h"
#include "cli/run.h"

#define PAGE_ROWS "1000"

enum { CURSOR_MAX = 512 };

static bool is_given(const struct cli *cli, enum opt option, const char *field)
{
    return cli_has(cli, option) || json_object_get(cli->input, field) != NULL;
}

// Puts the rows of a page behind those of the pages before.
static enum err append(json_t *answer, const json_t *page)
{
    json_t *rows = json_object_get(answer, "rows");
    if (!json_is_array(rows) || !json_is_array(json_object_get(page, "rows")))
        FAIL(ERR_INTERNAL, "the server's answer lacks the field \"rows\"");
    if (json_array_extend(rows, json_object_get(page, "rows")) != 0 ||
        json_object_set(answer, "next_cursor", json_object_get(page, "next_cursor")) != 0)
        FAIL(ERR_MEMORY, "no memory for a report");
    return ERR_OK;
}

static enum err add_page(struct cli *cli, json_t *answer)
{
    CLEANUP(json_freep) json_t *page = NULL;
    TRY(run_call(cli, &page));
    return append(answer, page);
}

// Fetches page after page. The cursor of the next one lies in `cursor` while it is asked for.
static enum err add_all(struct cli *cli, bool one, json_t *answer)
{
    char cursor[CURSOR_MAX];
    for (;;) {
        TRY(add_page(cli, answer));
        const char *next = json_string_value(json_object_get(answer, "next_cursor"));
        if (next == NULL || one)
            break;
        if (strlen(next) >= sizeof cursor)
            FAIL(ERR_INTERNAL, "the server's answer has a cursor that is too long");
        memcpy(cursor, next, strlen(next) + 1);
        cli->values[OPT_CURSOR] = cursor;
    }
    return ERR_OK;
}

static void free_text(char **text)
{
    free(*text);
}

// What tells a row of activity from others, as text. Caller frees; NULL without memory.
static char *key_of(const json_t *row)
{
    CLEANUP(json_freep)
    json_t *key =
        json_pack("[O?, O?, O?, O?]", json_object_get(row, "kind"), json_object_get(row, "id"),
                  json_object_get(row, "name"), json_object_get(row, "operation"));
    return json_dumps(key, JSON_COMPACT);
}

static int add_number(json_t *sum, const json_t *row, const char *name)
{
    return json_integer_set(json_object_get(sum, name),
                            json_integer_value(json_object_get(sum, name)) +
                                json_integer_value(json_object_get(row, name)));
}

// Adds a row to the one with the same key, or to `rows` when it is the first.
static enum err add_up(json_t *rows, json_t *found, json_t *row)
{
    CLEANUP(free_text) char *key = key_of(row);
    json_t *sum = key == NULL ? NULL : json_object_get(found, key);
    int failed = key == NULL;
    if (failed == 0 && sum == NULL)
        failed = json_object_set(found, key, row) | json_array_append(rows, row);
    else if (failed == 0)
        failed = add_number(sum, row, "allowed") | add_number(sum, row, "refused") |
                 json_object_set(sum, "last", json_object_get(row, "last"));
    if (failed != 0)
        FAIL(ERR_MEMORY, "no memory for a report");
    return ERR_OK;
}

static enum err add_up_activity(json_t *answer)
{
    size_t index;
    json_t *row;
    CLEANUP(json_freep) json_t *found = json_object();
    CLEANUP(json_freep) json_t *rows = json_array();
    const json_t *all = json_object_get(answer, "rows");
    if (json_object_get(json_array_get(all, 0), "allowed") == NULL)
        return ERR_OK;
    json_array_foreach(all, index, row) TRY(add_up(rows, found, row));
    if (json_object_set(answer, "rows", rows) != 0)
        FAIL(ERR_MEMORY, "no memory for a report");
    return ERR_OK;
}

enum err report_run(struct cli *cli)
{
    CLEANUP(json_freep) json_t *answer = json_pack("{s:[]}", "rows");
    bool one = is_given(cli, OPT_LIMIT, "limit") || is_given(cli, OPT_CURSOR, "cursor");
    if (!one)
        cli->values[OPT_LIMIT] = PAGE_ROWS;
    TRY(add_all(cli, one, answer));
    TRY(add_up_activity(answer));
    return output_document(cli, answer);
}
