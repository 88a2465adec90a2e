// SPDX-License-Identifier: Apache-2.0
//
// `keyward hsm initialize`: beside the call itself, what a person is told before it (contract B2).
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
