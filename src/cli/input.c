// SPDX-License-Identifier: Apache-2.0
//
// Forms. Fields are known from the table of commands, so that a form has just what its command
// takes.
#include "cli/input.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/run.h"

static bool is_word(const struct command *command, const char *field)
{
    size_t len = strlen(field);
    for (const char *p = command->words; p != NULL && *p != '\0';) {
        size_t word = strcspn(p, " ");
        if (word == len && memcmp(p, field, len) == 0)
            return true;
        p += word + (p[word] == ' ');
    }
    return false;
}

static const struct use *use_of(const struct command *command, const char *field)
{
    for (const struct use *use = command->uses; use != NULL && use->field != NULL; use++) {
        if (strcmp(use->field, field) == 0)
            return use;
    }
    return NULL;
}

static bool is_in_path(const struct command *command, const char *field)
{
    char part[72];
    (void)snprintf(part, sizeof part, "{%.64s}", field);
    return strstr(command->path, part) != NULL;
}

// "#VALUE", or the choices: "#read-only|read-modify".
static json_t *placeholder(const struct use *use)
{
    bool choices = use->meta != NULL && strchr(use->meta, '|') != NULL;
    if (use->kind == FIELD_TRUE)
        return json_string("#true|false");
    return json_sprintf("#%s", choices ? use->meta : "VALUE");
}

static void put_words(const struct command *command, json_t *options)
{
    for (const char *p = command->words; p != NULL && *p != '\0';) {
        size_t len = strcspn(p, " ");
        (void)json_object_setn_new(options, p, len, json_string("#VALUE"));
        p += len + (p[len] == ' ');
    }
}

enum err input_print_form(const struct cli *cli)
{
    const struct command *command = cli->command;
    CLEANUP(json_freep) json_t *options = json_object();
    put_words(command, options);
    for (const struct use *use = command->uses; use != NULL && use->field != NULL; use++) {
        if (use->kind != FIELD_SECRET)
            (void)json_object_set_new(options, use->field, placeholder(use));
    }
    CLEANUP(json_freep)
    json_t *form = json_pack("{s:{s:s, s:s, s:O}}", "service", "category", command->noun, "action",
                             command->verb != NULL ? command->verb : "", "options", options);
    if (form == NULL || json_dumpf(form, stdout, JSON_INDENT(2)) != 0)
        FAIL(ERR_MEMORY, "no memory for the form");
    (void)fputs("\n", stdout);
    return ERR_OK;
}

static enum err check_field(const struct command *command, const char *field, const json_t *value)
{
    const struct use *use = use_of(command, field);
    if (use == NULL && !is_word(command, field))
        FAIL(ERR_INVALID,
             "the file of --from-json has the field \"%.64s\", which the command does "
             "not take: see --generate-json-input",
             field);
    if (use != NULL && use->kind == FIELD_SECRET)
        FAIL(ERR_INVALID,
             "the file of --from-json holds the secret \"%s\": put it into a file of its own and "
             "name that with --%s",
             field, option_rows[use->option].name);
    if (json_is_string(value) && json_string_value(value)[0] == '#')
        FAIL(ERR_INVALID,
             "the field \"%s\" in the file of --from-json is not filled in: give it a value, or "
             "take it out",
             field);
    return ERR_OK;
}

// A number or a truth that was written as text, as forms have it.
static json_t *unquoted(const struct use *use, json_t *value)
{
    const char *text = json_string_value(value);
    if (use == NULL || text == NULL || use->kind == FIELD_TEXT || use->kind == FIELD_QUERY)
        return json_incref(value);
    json_t *plain = run_value(use->kind, text);
    return plain != NULL ? plain : json_incref(value);
}

// The options of a form, or the plain object. Borrowed.
static enum err options_of(const struct command *command, json_t *root, json_t **ret)
{
    json_t *service = json_object_get(root, "service");
    *ret = root;
    if (!json_is_object(root) || (service != NULL && !json_is_object(service)))
        FAIL(ERR_INVALID, "the file of --from-json holds no JSON object");
    if (service == NULL)
        return ERR_OK;
    const char *noun = json_string_value(json_object_get(service, "category"));
    const char *verb = json_string_value(json_object_get(service, "action"));
    const char *own = command->verb != NULL ? command->verb : "";
    if ((noun != NULL && strcmp(noun, command->noun) != 0) ||
        (verb != NULL && strcmp(verb, own) != 0))
        FAIL(ERR_INVALID,
             "the file of --from-json is a form of \"%.32s %.32s\", not of this command",
             noun != NULL ? noun : "", verb != NULL ? verb : "");
    *ret = json_object_get(service, "options");
    if (!json_is_object(*ret))
        FAIL(ERR_INVALID, "the file of --from-json has no \"options\"");
    return ERR_OK;
}

static enum err parse(const struct command *command, struct span text, json_t **ret)
{
    json_error_t error;
    json_t *options = NULL;
    CLEANUP(json_freep)
    json_t *root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
    CLEANUP(json_freep) json_t *input = json_object();
    if (root == NULL)
        FAIL(ERR_INVALID, "the file of --from-json is not valid JSON, at line %d, column %d",
             error.line, error.column);
    TRY(options_of(command, root, &options));
    const char *field;
    json_t *value;
    json_object_foreach(options, field, value)
    {
        TRY(check_field(command, field, value));
        if (json_object_set_new(input, field, unquoted(use_of(command, field), value)) != 0)
            FAIL(ERR_MEMORY, "no memory for a document");
    }
    *ret = input;
    input = NULL;
    return ERR_OK;
}

enum err input_read(struct cli *cli)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, INPUT_MAX, false);
    TRY(run_read_file(cli->values[OPT_FROM_JSON], &text));
    return parse(cli->command, span_buf(&text), &cli->input);
}

void input_keep_document(const struct command *command, json_t *doc)
{
    const char *field;
    json_t *value;
    void *next;
    json_object_foreach_safe(doc, next, field, value)
    {
        const struct use *use = use_of(command, field);
        if (is_in_path(command, field) || (use != NULL && use->kind == FIELD_QUERY))
            (void)json_object_del(doc, field);
    }
}
