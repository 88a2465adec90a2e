// SPDX-License-Identifier: Apache-2.0
//
// Pages of help.
#include "cli/help.h"

#include <string.h>

#include "cli/handlers.h"
#include "cli/state.h"

static const char exit_codes[] =
    "exit status\n"
    "    0  done\n"
    "    1  failed\n"
    "    2  wrong usage: an option, a name or a field that is not valid\n"
    "    3  not signed in, or a password or a passphrase is wrong\n"
    "    4  not permitted\n"
    "    5  not found\n"
    "    6  conflict, or the object is in the wrong state\n"
    "    7  the server, or a part of it, cannot be reached\n"
    "    8  the hardware security module, or a store that it keeps locked\n"
    "    9  a wait timed out\n"
    "  130  interrupted\n";

static const char common[] =
    "every command takes\n"
    "  --root DIR       the server's root prefix (default: $KEYWARD_ROOT, else /)\n"
    "  -o FORMAT        table, json, csv or name (default: table on a terminal, else json)\n"
    "  --from-json FILE, --generate-json-input\n"
    "                   where a command sends something to the server: take it from a file; print\n"
    "                   a form for it\n"
    "  --address URL, --ca-file FILE, --api-token-file FILE, or --profile NAME\n"
    "                   ask a server over HTTPS: see keyward help login\n"
    "  --help           help on the command, examples first\n";

static void put_command(const struct command *row, FILE *out)
{
    char words[128];
    (void)snprintf(words, sizeof words, "%s%s%s%s%s", row->noun, row->verb != NULL ? " " : "",
                   row->verb != NULL ? row->verb : "", row->names != NULL ? " " : "",
                   row->names != NULL ? row->names : "");
    (void)fprintf(out, "  %-34s  %s\n", words, row->summary);
}

// Those that are one word, or all.
static void put_commands(bool all, FILE *out)
{
    const struct command *row;
    for (unsigned i = 0; (row = commands_at(i)) != NULL; i++) {
        if (all || row->verb == NULL)
            put_command(row, out);
    }
}

static bool is_first_of_noun(unsigned index)
{
    for (unsigned i = 0; i < index; i++) {
        if (strcmp(commands_at(i)->noun, commands_at(index)->noun) == 0)
            return false;
    }
    return commands_at(index)->verb != NULL;
}

// The verbs of a noun on one line, or on more where they need it.
static void put_verbs(const char *noun, FILE *out)
{
    enum { COLUMN = 18, WIDTH = 98 };
    int at = fprintf(out, "  %-*s", COLUMN - 2, noun);
    const struct command *row;
    bool first = true;
    for (unsigned i = 0; (row = commands_at(i)) != NULL; i++) {
        if (strcmp(row->noun, noun) != 0 || row->verb == NULL)
            continue;
        if (!first)
            at += fprintf(out, ",");
        if (at + (int)strlen(row->verb) + 2 > WIDTH)
            at = fprintf(out, "\n%*s", COLUMN, "") - 1;
        at += fprintf(out, " %s", row->verb);
        first = false;
    }
    (void)fputs("\n", out);
}

static void put_nouns(FILE *out)
{
    for (unsigned i = 0; commands_at(i) != NULL; i++) {
        if (is_first_of_noun(i))
            put_verbs(commands_at(i)->noun, out);
    }
}

enum err help_overview(FILE *out)
{
    (void)fputs("keyward: a key manager whose keys are rooted in a hardware security module\n\n"
                "examples\n"
                "  keyward setup --server-name kv1.example.org\n"
                "  keyward hsm initialize --vendor Thales --token-label TPA01\n"
                "  keyward endpoint add db1 --enroll --out /etc/db1/kmip\n\n"
                "commands\n",
                out);
    put_commands(false, out);
    (void)fputs("\nnouns, each with verbs: keyward NOUN VERB\n", out);
    put_nouns(out);
    (void)fputs("\n", out);
    (void)fputs(common, out);
    (void)fputs("\nmore: keyward help NOUN [VERB], keyward help all, keyward help exit-codes\n",
                out);
    return ERR_OK;
}

enum err help_noun(const char *noun, FILE *out)
{
    const struct command *row;
    unsigned found = 0;
    for (unsigned i = 0; (row = commands_at(i)) != NULL; i++) {
        if (strcmp(row->noun, noun) != 0)
            continue;
        if (row->verb == NULL)
            return help_command(row, out);
        if (found++ == 0)
            (void)fprintf(out, "keyward %s VERB\n\n", noun);
        put_command(row, out);
    }
    if (found > 0)
        (void)fprintf(out, "\nmore: keyward help %s VERB\n", noun);
    if (found > 0)
        return ERR_OK;
    const char *nearest = commands_nearest(NULL, noun);
    if (nearest != NULL)
        FAIL(ERR_INVALID, "there is no help on \"%.40s\": did you mean \"%s\"?", noun, nearest);
    FAIL(ERR_INVALID, "there is no help on \"%.40s\": see \"keyward help\"", noun);
}

static void put_option(const char *name, const char *meta, const char *help, FILE *out)
{
    char words[128];
    (void)snprintf(words, sizeof words, "--%s%s%s", name, meta != NULL ? " " : "",
                   meta != NULL ? meta : "");
    (void)fprintf(out, "  %-36s %s\n", words, help);
}

static bool asks(const struct command *command)
{
    for (const struct use *use = command->uses; use != NULL && use->field != NULL; use++) {
        if ((use->flags & USE_ASKED) != 0)
            return true;
    }
    return false;
}

static void put_options(const struct command *command, FILE *out)
{
    if (command->local == 0 && (command->uses == NULL || command->uses->field == NULL))
        return;
    (void)fputs("\noptions\n", out);
    for (const struct use *use = command->uses; use != NULL && use->field != NULL; use++)
        put_option(option_rows[use->option].name, use->meta, use->help, out);
    for (int i = 0; i < OPT_OWN_COUNT; i++) {
        if ((command->local & BIT(i)) != 0)
            put_option(option_rows[i].name, option_rows[i].meta, option_rows[i].help, out);
    }
}

enum err help_command(const struct command *command, FILE *out)
{
    if (command->examples != NULL)
        (void)fputs("examples\n", out);
    for (const char *p = command->examples; p != NULL && *p != '\0';) {
        int len = (int)strcspn(p, "\n");
        (void)fprintf(out, "  %.*s\n", len, p);
        p += len + (p[len] == '\n');
    }
    (void)fprintf(out, "\nusage\n  keyward %s%s%s%s%s%s\n    %s\n", command->noun,
                  command->verb != NULL ? " " : "", command->verb != NULL ? command->verb : "",
                  command->names != NULL ? " " : "", command->names != NULL ? command->names : "",
                  command->local != 0 || command->uses != NULL ? " [options]" : "",
                  command->summary);
    put_options(command, out);
    if (asks(command))
        (void)fputs("\nWithout its file a secret is asked for on the terminal. Secrets are never "
                    "taken from\narguments or the environment.\n",
                    out);
    (void)fputs("\n", out);
    (void)fputs(common, out);
    return ERR_OK;
}

enum err help_run(struct cli *cli)
{
    if (cli->name_count == 0)
        return help_overview(stdout);
    if (strcmp(cli->names[0], "exit-codes") == 0) {
        (void)fputs(exit_codes, stdout);
        return ERR_OK;
    }
    if (strcmp(cli->names[0], "all") == 0) {
        put_commands(true, stdout);
        return ERR_OK;
    }
    const struct command *command =
        cli->name_count > 1 ? commands_find(cli->names[0], cli->names[1]) : NULL;
    if (command != NULL)
        return help_command(command, stdout);
    if (cli->name_count > 1) {
        const char *nearest = commands_nearest(cli->names[0], cli->names[1]);
        FAIL(ERR_INVALID, "there is no help on \"%.40s %.40s\"%s%s%s", cli->names[0], cli->names[1],
             nearest != NULL ? ": did you mean \"" : "", nearest != NULL ? nearest : "",
             nearest != NULL ? "\"?" : "");
    }
    return help_noun(cli->names[0], stdout);
}

enum err help_version(struct cli *cli)
{
    (void)cli;
    (void)printf("keyward %s\n", KEYWARD_VERSION);
    return ERR_OK;
}
