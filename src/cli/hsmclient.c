// SPDX-License-Identifier: Apache-2.0
//
// hsmclient (contract B8): the guides' three commands, each a call of the same routes that
// `keyward hsm` uses. A list of checks with what to do, exit status 0 or not.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/paths.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/http.h"
#include "cli/output.h"
#include "cli/run.h"
#include "cli/term.h"

static const char usage[] =
    "examples\n"
    "  hsmclient verify\n"
    "  hsmclient open_wallet --recovery-passphrase-file phrase\n"
    "\nusage\n"
    "  hsmclient verify       check library, token, credential and root key\n"
    "  hsmclient open_wallet  open the wallet by hand after a start that could not\n"
    "  hsmclient pre_restore  prepare this server for restoring a backup rooted in the HSM\n"
    "\noptions\n"
    "  --root DIR                       the server's root prefix (default: $KEYWARD_ROOT, else /)\n"
    "  -o table|json                    output format\n"
    "  --credential-file FILE           open_wallet, pre_restore: private file, or -\n"
    "  --recovery-passphrase-file FILE  open_wallet: private file, or -\n";

static const struct {
    const char *word;
    const char *verb; // of `keyward hsm`
} words[] = {
    {"verify", "verify"},
    {"open_wallet", "open-wallet"},
    {"pre_restore", "pre-restore"},
};

// The word's verb; NULL when there is no such word.
static char *verb_of(const char *word)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i].word, word) == 0)
            return (char *)(uintptr_t)words[i].verb;
    }
    return NULL;
}

// The guides run this program by its documented path, without options: the root prefix is what
// stands before that path.
static void take_own_root(const char *program, struct cli *cli)
{
    char directory[PATH_MAX];
    char real[PATH_MAX];
    const char *slash = strrchr(program, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - program);
    if (len == 0 || len >= sizeof directory)
        return;
    memcpy(directory, program, len);
    directory[len] = '\0';
    if (realpath(directory, real) == NULL)
        return;
    static const char end[] = "/" PATH_HSM_BIN_DIR;
    size_t end_len = sizeof end - 1;
    len = strlen(real);
    if (len <= end_len || strcmp(real + len - end_len, end) != 0)
        return;
    (void)snprintf(cli->root, sizeof cli->root, "%.*s", (int)(len - end_len), real);
}

// Runs `keyward hsm VERB` with the options as they were given.
static enum err run_verb(struct cli *cli, int argc, char **argv, char *verb)
{
    char **full = calloc((size_t)argc + 2, sizeof *full);
    if (full == NULL)
        FAIL(ERR_MEMORY, "no memory for the arguments");
    int count = 0;
    full[count++] = argv[0];
    full[count++] = (char *)(uintptr_t) "hsm";
    full[count++] = verb;
    for (int i = 2; i < argc; i++)
        full[count++] = argv[i];
    enum err err = args_parse(count, full, cli);
    if (err == ERR_OK && !cli_has(cli, OPT_ROOT) && getenv("KEYWARD_ROOT") == NULL)
        take_own_root(argv[0], cli);
    if (err == ERR_OK && !cli_has(cli, OPT_OUTPUT))
        cli->output = OUTPUT_TABLE;
    if (err == ERR_OK)
        err = run_command(cli);
    free(full);
    return err;
}

int cli_hsmclient(int argc, char **argv)
{
    struct cli cli = {.root_fd = -1};
    char *verb = argc > 1 ? verb_of(argv[1]) : NULL;
    bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0);
    run_harden("hsmclient");
    for (int i = 2; i < argc; i++)
        help = help || strcmp(argv[i], "--help") == 0;
    if (verb == NULL || help) {
        (void)fputs(usage, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    enum err err = secret_setup();
    if (err == ERR_OK)
        err = run_verb(&cli, argc, argv, verb);
    if (err != ERR_OK)
        run_complain(&cli, "hsmclient", err);
    http_freep(&cli.http);
    json_decref(cli.problem);
    file_closep(&cli.root_fd);
    return err_info(err)->exit_status;
}
