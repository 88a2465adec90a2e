// SPDX-License-Identifier: Apache-2.0
//
// The report of a validation: text for standard output, and in the directory of --out the same as
// report.txt, report.json and report.html, which needs nothing beside it. What stands in it came
// from a stranger's library: control characters are replaced, and in HTML markup is escaped.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/term.h"
#include "cli/validate.h"

enum { REPORT_MAX = 4 * 1024 * 1024, CLEAN_MAX = VALIDATE_SAW_MAX + 64, PATH_BYTES = 4096 };

static const char *const file_names[] = {"report.txt", "report.json", "report.html"};

static const char *text_of(const json_t *doc, const char *name)
{
    const char *text = json_string_value(json_object_get(doc, name));
    return text == NULL ? "" : text;
}

static enum err put_clean(struct buf *out, const char *text)
{
    char clean[CLEAN_MAX];
    term_clean(text, clean, sizeof clean);
    return buf_put_str(out, clean);
}

static enum err put_escaped(struct buf *out, const char *text)
{
    static const char specials[] = "&<>\"'";
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    char clean[CLEAN_MAX];
    term_clean(text, clean, sizeof clean);
    for (const char *c = clean; *c != '\0'; c++) {
        const char *special = strchr(specials, *c);
        if (special != NULL)
            TRY(buf_put_str(out, names[special - specials]));
        else
            TRY(buf_put_u8(out, (uint8_t)*c));
    }
    return ERR_OK;
}

static size_t count_results(const json_t *report, const char *result)
{
    size_t count = 0;
    size_t i;
    size_t k;
    const json_t *test;
    const json_t *step;
    json_array_foreach(json_object_get(report, "tests"), i, test)
    {
        json_array_foreach(json_object_get(test, "steps"), k, step)
        {
            count += strcmp(text_of(step, "result"), result) == 0;
        }
    }
    return count;
}

static enum err put_summary(const json_t *report, struct buf *out)
{
    return buf_printf(out, "%s: %zu steps passed, %zu failed, %zu not tried, %zu notes",
                      json_is_true(json_object_get(report, "passed")) ? "PASSED" : "NOT PASSED",
                      count_results(report, "pass"), count_results(report, "fail"),
                      count_results(report, "skip"), count_results(report, "note"));
}

// -- text --
static enum err text_step(const json_t *step, struct buf *out)
{
    TRY(buf_printf(out, "  %-4s  ", text_of(step, "result")));
    TRY(put_clean(out, text_of(step, "step")));
    TRY(buf_put_str(out, "\n        did: "));
    TRY(put_clean(out, text_of(step, "did")));
    TRY(buf_put_str(out, "\n        saw: "));
    TRY(put_clean(out, text_of(step, "saw")));
    return buf_printf(out, " (%lld ms)\n",
                      (long long)json_integer_value(json_object_get(step, "ms")));
}

static enum err text_test(const json_t *test, struct buf *out)
{
    size_t index;
    const json_t *step;
    TRY(buf_printf(out, "\n%s: %s (%s): %s\n", text_of(test, "test"), text_of(test, "title"),
                   text_of(test, "section"),
                   json_is_true(json_object_get(test, "passed")) ? "passed" : "not passed"));
    json_array_foreach(json_object_get(test, "steps"), index, step)
    {
        TRY(text_step(step, out));
    }
    return ERR_OK;
}

static enum err make_text(const json_t *report, struct buf *out)
{
    size_t index;
    const json_t *test;
    TRY(buf_printf(out, "Validation of a PKCS#11 library with Keyward %s\nlibrary: ",
                   text_of(report, "version")));
    TRY(put_clean(out, text_of(report, "module")));
    TRY(buf_put_str(out, "\ntoken label: "));
    TRY(put_clean(out, text_of(report, "token_label")));
    TRY(buf_printf(out, "\nstarted: %s\nended: %s\n", text_of(report, "started"),
                   text_of(report, "ended")));
    json_array_foreach(json_object_get(report, "tests"), index, test)
    {
        TRY(text_test(test, out));
    }
    TRY(buf_put_u8(out, '\n'));
    TRY(put_summary(report, out));
    return buf_put_u8(out, '\n');
}

// -- JSON --
static enum err make_json(const json_t *report, struct buf *out)
{
    char *text = json_dumps(report, JSON_INDENT(2));
    if (text == NULL)
        FAIL(ERR_MEMORY, "no memory for the report");
    enum err err = buf_put_str(out, text);
    free(text);
    TRY(err);
    return buf_put_u8(out, '\n');
}

// -- HTML --
static const char html_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<title>Validation report</title>\n<style>"
    "body{font:15px/1.45 sans-serif;margin:2em auto;max-width:72em;padding:0 1em}"
    "table{border-collapse:collapse;width:100%;margin:0 0 2em}"
    "th,td{border:1px solid #aaa;padding:.35em .6em;text-align:left;vertical-align:top}"
    "td.saw{overflow-wrap:anywhere}"
    ".pass{color:#145a14}.fail{color:#a00000;font-weight:bold}.skip,.note{color:#444}"
    "</style></head><body>\n";

static enum err html_cell(const char *class, const char *text, struct buf *out)
{
    TRY(buf_printf(out, "<td class=\"%s\">", class));
    TRY(put_escaped(out, text));
    return buf_put_str(out, "</td>");
}

static enum err html_step(const json_t *step, struct buf *out)
{
    const char *result = text_of(step, "result");
    TRY(buf_put_str(out, "<tr>"));
    TRY(html_cell("step", text_of(step, "step"), out));
    TRY(html_cell("did", text_of(step, "did"), out));
    TRY(html_cell("saw", text_of(step, "saw"), out));
    TRY(html_cell(result, result, out)); // a word of this program's own
    return buf_printf(out, "<td>%lld ms</td></tr>\n",
                      (long long)json_integer_value(json_object_get(step, "ms")));
}

static enum err html_test(const json_t *test, struct buf *out)
{
    size_t index;
    const json_t *step;
    bool passed = json_is_true(json_object_get(test, "passed"));
    TRY(buf_printf(out, "<h2>%s</h2>\n<p>%s, %s: <span class=\"%s\">%s</span></p>\n",
                   text_of(test, "title"), text_of(test, "test"), text_of(test, "section"),
                   passed ? "pass" : "fail", passed ? "passed" : "not passed"));
    TRY(buf_put_str(out, "<table><thead><tr><th scope=\"col\">Step</th><th scope=\"col\">Done</th>"
                         "<th scope=\"col\">Seen</th><th scope=\"col\">Result</th>"
                         "<th scope=\"col\">Time</th></tr></thead><tbody>\n"));
    json_array_foreach(json_object_get(test, "steps"), index, step)
    {
        TRY(html_step(step, out));
    }
    return buf_put_str(out, "</tbody></table>\n");
}

static enum err html_row(const char *name, const char *text, struct buf *out)
{
    TRY(buf_printf(out, "<tr><th scope=\"row\">%s</th><td>", name));
    TRY(put_escaped(out, text));
    return buf_put_str(out, "</td></tr>\n");
}

static enum err make_html(const json_t *report, struct buf *out)
{
    size_t index;
    const json_t *test;
    TRY(buf_put_str(out, html_head));
    TRY(buf_printf(out, "<h1>Validation of a PKCS#11 library with Keyward %s</h1>\n<p><strong>",
                   text_of(report, "version")));
    TRY(put_summary(report, out));
    TRY(buf_put_str(out, "</strong></p>\n<table><tbody>\n"));
    TRY(html_row("Library", text_of(report, "module"), out));
    TRY(html_row("Token label", text_of(report, "token_label"), out));
    TRY(html_row("Started", text_of(report, "started"), out));
    TRY(html_row("Ended", text_of(report, "ended"), out));
    TRY(buf_put_str(out, "</tbody></table>\n"));
    json_array_foreach(json_object_get(report, "tests"), index, test)
    {
        TRY(html_test(test, out));
    }
    return buf_put_str(out, "</body></html>\n");
}

// -- files --
static enum err make(size_t kind, const json_t *report, struct buf *out)
{
    if (kind == 0)
        return make_text(report, out);
    return kind == 1 ? make_json(report, out) : make_html(report, out);
}

static void path_of(const struct cli *cli, size_t kind, char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s/%s", cli->values[OPT_OUT], file_names[kind]);
}

enum err validate_report_check(const struct cli *cli)
{
    char path[PATH_BYTES];
    if (!cli_has(cli, OPT_OUT))
        return ERR_OK;
    if (access(cli->values[OPT_OUT], F_OK) != 0)
        TRY(file_mkdirs(AT_FDCWD, cli->values[OPT_OUT]));
    for (size_t i = 0; i < sizeof file_names / sizeof *file_names; i++) {
        path_of(cli, i, path);
        if (file_exists(AT_FDCWD, path))
            FAIL(ERR_CONFLICT, "\"%s\" exists already and is not overwritten: move it away", path);
    }
    return ERR_OK;
}

enum err validate_report_write(const struct cli *cli, const json_t *report)
{
    struct buf text CLEANUP(buf_done);
    char path[PATH_BYTES];
    buf_init(&text, REPORT_MAX, false);
    for (size_t i = 0; cli_has(cli, OPT_OUT) && i < sizeof file_names / sizeof *file_names; i++) {
        buf_clear(&text);
        TRY(make(i, report, &text));
        path_of(cli, i, path);
        TRY(secrets_write_new(AT_FDCWD, path, span_buf(&text)));
    }
    bool json = cli_has(cli, OPT_OUTPUT) && cli->output == OUTPUT_JSON;
    buf_clear(&text);
    TRY(make(json ? 1 : 0, report, &text));
    return file_write_all(STDOUT_FILENO, span_buf(&text), "standard output");
}
