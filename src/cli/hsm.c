// SPDX-License-Identifier: Apache-2.0
//
// `keyward hsm initialize`: beside the call itself, what a person is told before it (contract B2).
// `keyward hsm reverse-migrate`: what a person is asked for depends on whether the HSM is lost.
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/handlers.h"
#include "cli/run.h"
#include "cli/term.h"

static const char *const deprecated[] = {"Thales", "Entrust", "Utimaco"};

// The vendor that will be used: the one given, else the one that the configuration files name. A
// server that does not answer is told about by the call that follows.
static void find_vendor(struct cli *cli, char out[128])
{
    CLEANUP(json_freep) json_t *answer = NULL;
    const char *vendor = cli->values[OPT_VENDOR];
    if (vendor == NULL && client_call(cli, "GET", "/hsm", NULL, NULL, &answer) == ERR_OK)
        vendor = json_string_value(json_object_get(answer, "vendor"));
    (void)snprintf(out, 128, "%s", vendor == NULL ? "" : vendor);
    json_freep(&cli->problem);
}

enum err hsm_initialize(struct cli *cli)
{
    char vendor[128];
    find_vendor(cli, vendor);
    for (size_t i = 0; i < sizeof deprecated / sizeof *deprecated; i++) {
        if (strcmp(vendor, deprecated[i]) == 0)
            term_say("note: the built-in settings for \"%s\" are deprecated, as those for Thales, "
                     "Entrust and Utimaco all are: follow your HSM vendor's own guide, and choose "
                     "the VENDOR_NAME of okv_hsm.conf",
                     vendor);
    }
    return run_command(cli);
}

static bool is_lost(const struct cli *cli)
{
    const char *value = cli->values[OPT_HSM_LOST];
    if (value == NULL)
        return json_is_true(json_object_get(cli->input, "hsm_lost"));
    return strcmp(value, "false") != 0;
}

static enum err run_as(struct cli *cli, const struct command *command)
{
    const struct command *before = cli->command;
    cli->command = command;
    enum err err = run_command(cli);
    cli->command = before;
    return err;
}

// Without the HSM only the recovery passphrase is asked for; what was given besides is sent, and is
// the server's to refuse.
static enum err run_lost(struct cli *cli)
{
    struct use uses[8] = {{0}};
    struct command command = *cli->command;
    size_t count = 0;
    for (const struct use *use = command.uses; use->field != NULL; use++) {
        bool spare = use->kind == FIELD_SECRET && use->option != OPT_RECOVERY_PASSPHRASE_FILE;
        if (spare && !cli_has(cli, use->option))
            continue;
        if (count == sizeof uses / sizeof *uses - 1)
            FAIL(ERR_INTERNAL, "the command takes too many options");
        uses[count++] = *use;
    }
    command.uses = uses;
    return run_as(cli, &command);
}

enum err hsm_reverse_migrate(struct cli *cli)
{
    return is_lost(cli) ? run_lost(cli) : run_command(cli);
}
