// SPDX-License-Identifier: Apache-2.0
//
// The path of most commands, and `api`, which sends what it is given.
#include "cli/run.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/paths.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/completion.h"
#include "cli/handlers.h"
#include "cli/help.h"
#include "cli/input.h"
#include "cli/keyname.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/service.h"
#include "cli/target.h"
#include "cli/term.h"

enum { PATH_BYTES_MAX = 2048, BODY_FILE_MAX = 1024 * 1024 };

static json_t *number_of(const char *value)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    bool good = isdigit((unsigned char)value[*value == '-']) && *end == '\0' && errno == 0;
    return good ? json_integer(number) : NULL;
}

static json_t *list_of(const char *value)
{
    json_t *list = json_array();
    for (const char *p = value; *p != '\0';) {
        size_t len = strcspn(p, ",");
        (void)json_array_append_new(list, json_stringn(p, len));
        p += len + (p[len] == ',');
    }
    return list;
}

json_t *run_value(enum field_kind kind, const char *value)
{
    switch (kind) {
    case FIELD_NUMBER:
        return number_of(value);
    case FIELD_TRUE:
        if (*value != '\0' && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return NULL;
        return json_boolean(strcmp(value, "false") != 0);
    case FIELD_LIST:
        return list_of(value);
    case FIELD_JSON: {
        // A word that is no JSON is a text.
        json_t *json = json_loads(value, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        return json != NULL || strchr("{[\"", *value) != NULL ? json : json_string(value);
    }
    case FIELD_TEXT:
    case FIELD_FILE:
    case FIELD_SECRET:
    case FIELD_QUERY:
    default:
        return json_string(value);
    }
}

static enum err put_option(json_t *doc, const struct use *use, const char *text)
{
    static const char *const wants[] = {
        [FIELD_TEXT] = "text (UTF-8)",  [FIELD_NUMBER] = "a number", [FIELD_TRUE] = "true or false",
        [FIELD_LIST] = "texts (UTF-8)", [FIELD_JSON] = "JSON",
    };
    const char *name = option_rows[use->option].name;
    json_t *value = run_value(use->kind, text);
    if (value == NULL)
        FAIL(ERR_INVALID, "--%s wants %s, not \"%.32s\"", name, wants[use->kind], text);
    int failed = json_object_set_new(doc, use->field, value);
    if (failed == 0 && use->option == OPT_TOKEN_LABEL)
        failed = json_object_set_new(doc, "use_token_label", json_true());
    if (failed != 0)
        FAIL(ERR_MEMORY, "no memory for a document");
    return ERR_OK;
}

// The text of a file, which "-" takes from standard input.
static enum err put_file(json_t *doc, const struct use *use, const char *path)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, BODY_FILE_MAX, false);
    TRY(run_read_file(path, &text));
    json_t *value = json_stringn((const char *)text.data, text.len);
    if (value == NULL)
        FAIL(ERR_INVALID, "\"%s\" holds no text (UTF-8): give a PEM file", path);
    if (json_object_set_new(doc, use->field, value) != 0)
        FAIL(ERR_MEMORY, "no memory for a document");
    return ERR_OK;
}

// Calls `each` for every field that stands as a word behind the command and was given.
static enum err each_word(const struct cli *cli, json_t *doc, bool in_path)
{
    const char *p = cli->command->words == NULL ? "" : cli->command->words;
    for (size_t i = 0; *p != '\0' && i < cli->name_count; i++) {
        char field[64];
        char part[72];
        size_t len = strcspn(p, " ");
        (void)snprintf(field, sizeof field, "%.*s", (int)len, p);
        (void)snprintf(part, sizeof part, "{%s}", field);
        bool is_in_path = strstr(cli->command->path, part) != NULL;
        if (is_in_path == in_path &&
            json_object_set_new(doc, field, json_string(cli->names[i])) != 0)
            FAIL(ERR_INVALID, "the word \"%s\" is not text (UTF-8)", field);
        p += len + (p[len] == ' ');
    }
    return ERR_OK;
}

enum err run_document(const struct cli *cli, json_t **ret)
{
    CLEANUP(json_freep) json_t *doc = json_object();
    if (doc == NULL)
        FAIL(ERR_MEMORY, "no memory for a document");
    if (cli->input != NULL && json_object_update(doc, cli->input) != 0)
        FAIL(ERR_MEMORY, "no memory for a document");
    for (const struct use *use = cli->command->uses; use != NULL && use->field != NULL; use++) {
        bool outside = use->kind == FIELD_SECRET || use->kind == FIELD_QUERY;
        if (!outside && cli->values[use->option] != NULL)
            TRY(use->kind == FIELD_FILE ? put_file(doc, use, cli->values[use->option])
                                        : put_option(doc, use, cli->values[use->option]));
    }
    TRY(each_word(cli, doc, false));
    input_keep_document(cli->command, doc);
    *ret = doc;
    doc = NULL;
    return ERR_OK;
}

// The path's field, from the words or from the input.
static enum err put_path_value(const struct cli *cli, const char *field, struct buf *out)
{
    CLEANUP(json_freep) json_t *words = json_object();
    TRY(each_word(cli, words, true));
    const json_t *value = json_object_get(words, field);
    if (value == NULL)
        value = json_object_get(cli->input, field);
    if (!json_is_string(value))
        FAIL(ERR_INVALID, "\"%s\" is missing: give it as a word, or in the file of --from-json",
             field);
    return client_encode(out, json_string_value(value));
}

static enum err put_query(const struct cli *cli, struct buf *out)
{
    char mark = '?';
    for (const struct use *use = cli->command->uses; use != NULL && use->field != NULL; use++) {
        const char *value = cli->values[use->option];
        const json_t *given = json_object_get(cli->input, use->field);
        char number[32];
        if (use->kind != FIELD_QUERY)
            continue;
        if (value != NULL && *value == '\0' && use->meta == NULL) {
            value = "true"; // a switch
        } else if (value == NULL && json_is_integer(given)) {
            (void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(given));
            value = number;
        } else if (value == NULL) {
            value = json_string_value(given);
        }
        if (value == NULL)
            continue;
        if (*value == '\0' && use->meta == NULL)
            value = "true"; // a switch
        TRY(buf_printf(out, "%c%s=", mark, use->field));
        TRY(client_encode(out, value));
        mark = '&';
    }
    if (cli->values[OPT_DRY_RUN] != NULL)
        TRY(buf_printf(out, "%cdry_run=true", mark));
    return ERR_OK;
}

enum err run_path(const struct cli *cli, struct buf *out)
{
    const char *path = cli->command->path;
    size_t open = strcspn(path, "{");
    TRY(buf_put(out, span_of(path, open)));
    if (path[open] != '\0') {
        char field[64];
        (void)snprintf(field, sizeof field, "%.*s", (int)strcspn(path + open + 1, "}"),
                       path + open + 1);
        TRY(put_path_value(cli, field, out));
        TRY(buf_put_str(out, strchr(path, '}') + 1));
    }
    TRY(put_query(cli, out));
    return buf_put_u8(out, 0);
}

// A file that is imported was read as bytes, and goes out in base64.
static enum err tell_encoding(const struct cli *cli, const struct client_secrets *secrets,
                              json_t *doc)
{
    for (size_t i = 0; i < secrets->count && cli->values[OPT_ENCODING] == NULL; i++) {
        if (strcmp(secrets->items[i].name, SECRETS_MATERIAL) == 0 &&
            json_object_set_new(doc, "encoding", json_string("base64")) != 0)
            FAIL(ERR_MEMORY, "no memory for a document");
    }
    return ERR_OK;
}

static enum err call_with_secrets(struct cli *cli, const struct client_secrets *secrets,
                                  json_t **ret)
{
    CLEANUP(json_freep) json_t *doc = NULL;
    struct buf path CLEANUP(buf_done);
    buf_init(&path, PATH_BYTES_MAX, false);
    TRY(run_document(cli, &doc));
    TRY(run_path(cli, &path));
    TRY(tell_encoding(cli, secrets, doc));
    return client_call(cli, cli->command->method, (const char *)path.data, doc, secrets, ret);
}

enum err run_call(struct cli *cli, json_t **ret)
{
    struct client_secrets secrets;
    TRY(secrets_collect(cli, &secrets));
    enum err err = keyname_resolve(cli);
    if (err == ERR_OK)
        err = call_with_secrets(cli, &secrets, ret);
    client_secrets_done(&secrets);
    return err;
}

enum err run_command(struct cli *cli)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    TRY(run_call(cli, &answer));
    TRY(output_document(cli, answer));
    if (json_is_false(json_object_get(answer, "healthy"))) {
        if (cli->output != OUTPUT_TABLE)
            output_checks(answer, stderr, true);
        FAIL(ERR_HSM_FAILED, "the root of trust is not in order: see the failed checks above");
    }
    if (json_is_false(json_object_get(answer, "sound")))
        FAIL(ERR_DAMAGED, "the audit trail is not in order: see the answer above");
    return ERR_OK;
}

enum err run_read_file(const char *path, struct buf *out)
{
    if (strcmp(path, "-") != 0)
        return file_read(AT_FDCWD, path, BODY_FILE_MAX, out);
    return file_read_fd(STDIN_FILENO, "standard input", BODY_FILE_MAX, out);
}

static enum err check_word(const char *word, const char *what)
{
    for (const char *p = word; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7f)
            FAIL(ERR_INVALID, "the %s holds a blank or a control character", what);
    }
    return ERR_OK;
}

// A program gets what the server answered, a terminal only what it can show.
static enum err print_raw(struct span body)
{
    struct buf clean CLEANUP(buf_done);
    buf_init(&clean, HTTP_ANSWER_MAX, true);
    if (isatty(STDOUT_FILENO) == 1) {
        TRY(term_put(body.data, body.len, &clean));
        body = span_buf(&clean);
    }
    return file_write_all(STDOUT_FILENO, body, "standard output");
}

static enum err send_raw(struct cli *cli, const char *path, struct span body)
{
    struct http_answer answer;
    bool sent = false;
    enum err err = http_call(cli->http, cli->names[0], path, body, HTTP_TIMEOUT_MS, &answer, &sent);
    if (err == ERR_OK)
        err = print_raw(span_buf(&answer.body));
    if (err == ERR_OK && !http_answer_is_good(&answer)) {
        err = client_problem(cli, answer.status, span_buf(&answer.body));
        json_freep(&cli->problem); // has just been printed
    }
    http_answer_done(&answer);
    return err;
}

enum err api_run(struct cli *cli)
{
    struct buf path CLEANUP(buf_done);
    struct buf body CLEANUP(buf_done);
    buf_init(&path, PATH_BYTES_MAX, false);
    buf_init(&body, BODY_FILE_MAX + 4096, true);
    TRY(check_word(cli->names[0], "method"));
    TRY(check_word(cli->names[1], "path"));
    const char *word = cli->names[1];
    if (word[0] != '/')
        FAIL(ERR_INVALID, "the path must begin with a slash: \"/hsm\"");
    bool whole = strncmp(word, "/api/", 5) == 0 || strcmp(word, "/healthz") == 0 ||
                 strcmp(word, "/readyz") == 0 || strcmp(word, "/metrics") == 0;
    TRY(buf_printf(&path, "%s%s", whole ? "" : "/api/v1", word));
    TRY(buf_put_u8(&path, 0));
    if (cli_has(cli, OPT_BODY_FILE))
        TRY(run_read_file(cli->values[OPT_BODY_FILE], &body));
    TRY(target_open(cli));
    return send_raw(cli, (const char *)path.data, span_buf(&body));
}

// What to do about a server that does not answer.
static void say_next(const struct cli *cli)
{
    if (target_is_remote(cli) && !cli_has(cli, OPT_ROOT))
        return; // the message names the address
    bool root = strcmp(cli->root, "/") != 0;
    char last[SERVICE_ERROR_MAX] = "";
    pid_t pid = 0;
    if (cli->root_fd < 0 || !service_is_running(cli->root_fd, &pid)) {
        term_say("next: keyward start%s%s   (a new server: keyward setup%s%s)",
                 root ? " --root " : "", root ? cli->root : "", root ? " --root " : "",
                 root ? cli->root : "");
        if (!root)
            term_say("a server on another machine: keyward login https://HOST --user NAME");
        return;
    }
    service_last_error(cli->root_fd, last);
    if (last[0] != '\0')
        term_say("the last error in its log: %s", last);
    term_say("next: see \"%s\" below \"%s\"", PATH_LOG, cli->root);
}

void run_complain(const struct cli *cli, const char *program, enum err err)
{
    char detail[1200];
    (void)snprintf(detail, sizeof detail, "%s",
                   err_detail()[0] != '\0' ? err_detail() : err_info(err)->text);
    if (cli->problem != NULL && cli->output == OUTPUT_JSON &&
        output_document(cli, cli->problem) != ERR_OK)
        term_say("%s: %s", program, err_detail());
    output_checks(json_object_get(cli->problem, "report"), stderr, false);
    term_say("%s: %s", program, detail);
    if (err == ERR_UNAVAILABLE && !cli->unsure)
        say_next(cli);
    if (err == ERR_MISSING_DATA && cli->command != NULL && cli->command->uses != NULL)
        term_say("next: keyward help %s%s%s", cli->command->noun,
                 cli->command->verb != NULL ? " " : "",
                 cli->command->verb != NULL ? cli->command->verb : "");
    if (cli->unsure)
        term_say("whether something was changed is not known: look before you try again "
                 "(keyward status, keyward audit list)");
}

static enum err dispatch(struct cli *cli)
{
    if (cli->command == NULL)
        return cli->names[0] != NULL ? help_noun(cli->names[0], stdout) : help_overview(stdout);
    if (cli_has(cli, OPT_HELP))
        return help_command(cli->command, stdout);
    if (cli_has(cli, OPT_GENERATE_JSON_INPUT))
        return input_print_form(cli);
    if (cli_has(cli, OPT_FROM_JSON))
        TRY(input_read(cli));
    return cli->command->run != NULL ? cli->command->run(cli) : run_command(cli);
}

// That whoever reads what is printed, or the server, goes away, and that a file may not grow, are
// errors as any other.
void run_harden(const char *program)
{
    struct rlimit none = {0, 0};
    if (!file_hold_standard())
        _exit(1);
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        term_say("%s: core dumps could not be switched off", program);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
}

int cli_keyward(int argc, char **argv)
{
    struct cli cli = {.root_fd = -1};
    run_harden("keyward");
    if (argc > 1 && strcmp(argv[1], "__complete") == 0) {
        completion_print(argc - 2, argv + 2);
        return 0;
    }
    enum err err = secret_setup();
    if (err == ERR_OK)
        err = args_parse(argc, argv, &cli);
    if (err == ERR_OK)
        err = dispatch(&cli);
    if (err == ERR_OK)
        err = output_flush();
    if (err != ERR_OK)
        run_complain(&cli, "keyward", err);
    http_freep(&cli.http);
    json_decref(cli.input);
    json_decref(cli.problem);
    file_closep(&cli.root_fd);
    return err_info(err)->exit_status;
}
