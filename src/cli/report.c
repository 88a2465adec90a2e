// SPDX-License-Identifier: Apache-2.0
//
// `keyward report NAME`: all of a report, page after page, as one list; with --limit or --cursor
// the one page that is asked for.
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
        FAIL(ERR_MESSAGE, "the server's answer lacks the field \"rows\"");
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
            FAIL(ERR_MESSAGE, "the server's answer has a cursor that is too long");
        memcpy(cursor, next, strlen(next) + 1);
        cli->values[OPT_CURSOR] = cursor;
    }
    return ERR_OK;
}

enum err report_run(struct cli *cli)
{
    CLEANUP(json_freep) json_t *answer = json_pack("{s:[]}", "rows");
    bool one = is_given(cli, OPT_LIMIT, "limit") || is_given(cli, OPT_CURSOR, "cursor");
    if (!one)
        cli->values[OPT_LIMIT] = PAGE_ROWS;
    TRY(add_all(cli, one, answer));
    return output_document(cli, answer);
}
