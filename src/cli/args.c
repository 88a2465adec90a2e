// SPDX-License-Identifier: Apache-2.0
//
// getopt_long with the union of all options; which of them a command takes is checked afterwards.
#include "cli/args.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

// What getopt_long returns for a long option; letters stand for the short ones and for errors.
enum { LONG = 256, REFUSED = LONG + OPT_COUNT, VERSION };

// Names under which people try to hand over a secret.
static const char *const refused[] = {
    "credential", "recovery-passphrase", "token", "new-recovery-passphrase", "pin", "hsm-pin",
    "password",   "passphrase"};
static const char *const refused_environment[] = {
    "KEYWARD_CREDENTIAL",
    "KEYWARD_RECOVERY_PASSPHRASE",
    "KEYWARD_NEW_RECOVERY_PASSPHRASE",
    "KEYWARD_PASSPHRASE",
    "KEYWARD_TOKEN",
    "KEYWARD_PIN",
    "KEYWARD_PASSWORD",
};

enum {
    REFUSED_COUNT = sizeof refused / sizeof *refused,
    KNOWN_COUNT = OPT_COUNT + REFUSED_COUNT + 1,
};

static void fill_known(struct option known[KNOWN_COUNT + 1])
{
    int n = 0;
    for (int i = 0; i < OPT_COUNT; i++)
        known[n++] = (struct option){option_rows[i].name,
                                     option_rows[i].meta != NULL ? required_argument
                                     : i < OPT_OWN_COUNT         ? no_argument
                                                                 : optional_argument,
                                     NULL, LONG + i};
    for (int i = 0; i < REFUSED_COUNT; i++)
        known[n++] = (struct option){refused[i], optional_argument, NULL, REFUSED};
    known[n++] = (struct option){"version", no_argument, NULL, VERSION};
    known[n] = (struct option){NULL, 0, NULL, 0};
}

static enum err check_environment(void)
{
    for (size_t i = 0; i < sizeof refused_environment / sizeof *refused_environment; i++) {
        if (getenv(refused_environment[i]) != NULL)
            FAIL(ERR_INVALID,
                 "the environment variable %s is refused: other processes can read it; put the "
                 "secret in a file with mode 0600 and name that file",
                 refused_environment[i]);
    }
    return ERR_OK;
}

static enum err take_option(struct cli *cli, enum opt option, const char *value)
{
    if (option == OPT_SERVER_NAME) {
        if (cli->server_name_count == SERVER_NAMES_MAX)
            FAIL(ERR_INVALID, "--server-name is given more than %d times", SERVER_NAMES_MAX);
        cli->server_names[cli->server_name_count++] = value;
    } else if (option == OPT_ENV) {
        if (cli->env_count == ENV_MAX)
            FAIL(ERR_INVALID, "--env is given more than %d times", ENV_MAX);
        cli->env[cli->env_count++] = value;
    } else if (cli->values[option] != NULL) {
        FAIL(ERR_INVALID, "--%s is given twice", option_rows[option].name);
    }
    cli->values[option] = value == NULL ? "" : value;
    return ERR_OK;
}

// The option's name as written, without its value.
static enum err bad_option(char **argv, int c)
{
    const char *word = argv[optind - 1];
    int len = (int)strcspn(word, "=");
    if (c == ':')
        FAIL(ERR_INVALID, "\"%.*s\" wants a value", len, word);
    FAIL(ERR_INVALID, "there is no option \"%.*s\": see \"keyward help\"", len > 64 ? 64 : len,
         word);
}

// getopt takes unambiguous beginnings of names; a script that uses one breaks with the next option.
static enum err check_spelling(char **argv, const char *name)
{
    const char *word = argv[optind - 1];
    if (word == optarg)
        word = argv[optind - 2];
    if (strncmp(word, "--", 2) == 0 &&
        (strncmp(word + 2, name, strlen(name)) != 0 || strcspn(word + 2, "=") != strlen(name)))
        FAIL(ERR_INVALID, "write \"--%s\" in full", name);
    return ERR_OK;
}

static enum err take_options(int argc, char **argv, struct cli *cli, bool *ret_version)
{
    struct option known[KNOWN_COUNT + 1];
    fill_known(known);
    opterr = 0;
    optind = 0;
    for (int c, index; (c = getopt_long(argc, argv, ":o:h", known, &index)) != -1;) {
        if (c == '?' || c == ':')
            return bad_option(argv, c);
        if (c == REFUSED)
            FAIL(ERR_INVALID,
                 "--%s is refused: every user of this machine can read arguments; put the secret "
                 "in a file with mode 0600 and use --%s-file, or - for standard input",
                 known[index].name,
                 strcmp(known[index].name, "pin") == 0 ? "credential" : known[index].name);
        if (c == VERSION) {
            *ret_version = true;
            continue;
        }
        if (c == 'o' || c == 'h') {
            TRY(take_option(cli, c == 'o' ? OPT_OUTPUT : OPT_HELP, optarg));
            continue;
        }
        TRY(check_spelling(argv, known[index].name));
        TRY(take_option(cli, (enum opt)(c - LONG), optarg));
    }
    return ERR_OK;
}

static enum err unknown_word(const char *noun, const char *word)
{
    const char *nearest = commands_nearest(noun, word);
    const char *what = noun == NULL ? "command" : "verb";
    if (nearest != NULL)
        FAIL(ERR_INVALID, "there is no %s \"%.40s\": did you mean \"%s%s%s\"?", what, word,
             noun == NULL ? "" : noun, noun == NULL ? "" : " ", nearest);
    FAIL(ERR_INVALID, "there is no %s \"%.40s\": see \"keyward help%s%s\"", what, word,
         noun == NULL ? "" : " ", noun == NULL ? "" : noun);
}

static bool is_noun(const char *word)
{
    const struct command *row;
    for (unsigned i = 0; (row = commands_at(i)) != NULL; i++) {
        if (strcmp(row->noun, word) == 0)
            return true;
    }
    return false;
}

// Finds the command and takes the words behind it as names.
static enum err take_words(char **words, int count, struct cli *cli)
{
    if (count == 0)
        return ERR_OK;
    if (!is_noun(words[0]))
        return unknown_word(NULL, words[0]);
    cli->command = commands_find(words[0], count > 1 ? words[1] : NULL);
    if (cli->command == NULL && count > 1)
        return unknown_word(words[0], words[1]);
    cli->names[0] = cli->command == NULL ? words[0] : NULL;
    if (cli->command == NULL)
        return ERR_OK;
    int used = cli->command->verb == NULL ? 1 : 2;
    for (int i = used; i < count; i++) {
        if (cli->name_count == NAMES_MAX)
            FAIL(ERR_INVALID, "there are too many words: \"%.64s\"", words[i]);
        cli->names[cli->name_count++] = words[i];
    }
    return ERR_OK;
}

static size_t count_words(const char *names, bool only_required)
{
    size_t count = 0;
    for (const char *p = names; p != NULL && *p != '\0'; p += strcspn(p, " "), p += *p == ' ')
        count += !only_required || *p != '[';
    return count;
}

static enum err check_against_command(const struct cli *cli)
{
    const struct command *command = cli->command;
    const char *verb = command->verb == NULL ? "" : command->verb;
    const char *blank = command->verb == NULL ? "" : " ";
    for (int i = 0; i < OPT_COUNT; i++) {
        if (cli->values[i] != NULL && !commands_takes(command, (enum opt)i))
            FAIL(ERR_INVALID, "\"keyward %s%s%s\" does not take --%s", command->noun, blank, verb,
                 option_rows[i].name);
    }
    if (cli_has(cli, OPT_HELP) || cli_has(cli, OPT_FROM_JSON) ||
        cli_has(cli, OPT_GENERATE_JSON_INPUT))
        return ERR_OK;
    if (cli->name_count < count_words(command->names, true))
        FAIL(ERR_INVALID, "\"keyward %s%s%s\" wants %s: see \"keyward help %s%s%s\"", command->noun,
             blank, verb, command->names, command->noun, blank, verb);
    if (cli->name_count > count_words(command->names, false))
        FAIL(ERR_INVALID, "\"keyward %s%s%s\" does not take the word \"%.64s\"", command->noun,
             blank, verb, cli->names[cli->name_count - 1]);
    return ERR_OK;
}

static enum err choose_output(struct cli *cli)
{
    const char *format = cli->values[OPT_OUTPUT];
    if (format == NULL)
        cli->output = isatty(STDOUT_FILENO) == 1 ? OUTPUT_TABLE : OUTPUT_JSON;
    else if (strcmp(format, "table") == 0)
        cli->output = OUTPUT_TABLE;
    else if (strcmp(format, "json") == 0)
        cli->output = OUTPUT_JSON;
    else if (strcmp(format, "csv") == 0)
        cli->output = OUTPUT_CSV;
    else if (strcmp(format, "name") == 0)
        cli->output = OUTPUT_NAME;
    else
        FAIL(ERR_INVALID, "there is no output format \"%.32s\": use table, json, csv or name",
             format);
    return ERR_OK;
}

// The root as an absolute path; it need not exist yet.
static enum err choose_root(struct cli *cli)
{
    const char *root = cli->values[OPT_ROOT];
    if (root == NULL)
        root = getenv("KEYWARD_ROOT");
    if (root == NULL || *root == '\0')
        root = "/";
    char here[PATH_MAX] = "";
    if (root[0] != '/' && getcwd(here, sizeof here) == NULL)
        FAIL(ERR_INVALID, "the current directory has no name: give --root with a full path");
    int len =
        snprintf(cli->root, sizeof cli->root, "%s%s%s", here, here[0] != '\0' ? "/" : "", root);
    if (len < 0 || (size_t)len >= sizeof cli->root)
        FAIL(ERR_INVALID, "the path given by --root is too long");
    return ERR_OK;
}

enum err args_parse(int argc, char **argv, struct cli *ret)
{
    *ret = (struct cli){.root_fd = -1};
    bool version = false;
    TRY(check_environment());
    TRY(take_options(argc, argv, ret, &version));
    TRY(choose_output(ret));
    TRY(choose_root(ret));
    TRY(take_words(argv + optind, argc - optind, ret));
    if (version && ret->command == NULL)
        ret->command = commands_find("version", NULL);
    return ret->command == NULL ? ERR_OK : check_against_command(ret);
}
