// SPDX-License-Identifier: Apache-2.0
//
// Completion of command lines: the shell's script is a few lines that ask this program, which knows
// its own table. Nothing is asked of a server, so that a key press never waits for one.
#include "cli/completion.h"

#include <stdio.h>
#include <string.h>

#include "cli/handlers.h"
#include "cli/state.h"

static const char bash[] =
    "_keyward() {\n"
    "    local IFS=$'\\n'\n"
    "    COMPREPLY=($(keyward __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
    "}\n"
    "complete -o default -F _keyward keyward\n";
static const char zsh[] = "#compdef keyward\n"
                          "_keyward() {\n"
                          "    local -a found\n"
                          "    found=(${(f)\"$(keyward __complete ${words[2,CURRENT]} "
                          "2>/dev/null)\"})\n"
                          "    if (( ${#found} )); then compadd -a found; else _files; fi\n"
                          "}\n"
                          "compdef _keyward keyward\n";
static const char fish[] =
    "complete -c keyward -a \"(keyward __complete (commandline -opc)[2..-1] (commandline -ct) "
    "2>/dev/null)\"\n";

static const struct {
    const char *name;
    const char *script;
} shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

enum err completion_run(struct cli *cli)
{
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shells[i].name, cli->names[0]) != 0)
            continue;
        (void)fputs(shells[i].script, stdout);
        return ERR_OK;
    }
    FAIL(ERR_INVALID, "there is no completion for the shell \"%.32s\": use bash, zsh or fish",
         cli->names[0]);
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

// Each noun once: rows of one noun stand together, but for what is about this machine.
static bool is_first(unsigned index)
{
    const struct command *row;
    for (unsigned i = 0; i < index && (row = commands_at(i)) != NULL; i++) {
        if (strcmp(row->noun, commands_at(index)->noun) == 0)
            return false;
    }
    return true;
}

static void put_nouns(const char *word)
{
    const struct command *row;
    for (unsigned i = 0; (row = commands_at(i)) != NULL; i++) {
        if (begins(row->noun, word) && is_first(i))
            (void)printf("%s\n", row->noun);
    }
}

static void put_verbs(const char *noun, const char *word)
{
    const struct command *row;
    for (unsigned i = 0; (row = commands_at(i)) != NULL; i++) {
        if (strcmp(row->noun, noun) == 0 && row->verb != NULL && begins(row->verb, word))
            (void)printf("%s\n", row->verb);
    }
}

static void put_options(const struct command *command, const char *word)
{
    for (int i = 0; i < OPT_COUNT; i++) {
        char option[80];
        (void)snprintf(option, sizeof option, "--%s", option_rows[i].name);
        if (commands_takes(command, (enum opt)i) && begins(option, word))
            (void)printf("%s\n", option);
    }
}

void completion_print(int count, char **words)
{
    const char *last = count > 0 ? words[count - 1] : "";
    if (count <= 1) {
        put_nouns(last);
        return;
    }
    const struct command *command = commands_find(words[0], words[1]);
    if (begins(last, "-") && command != NULL)
        put_options(command, last);
    else if (count == 2)
        put_verbs(words[0], last);
}
