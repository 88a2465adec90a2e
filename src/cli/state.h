// SPDX-License-Identifier: Apache-2.0
//
// What one run of the command line knows: its arguments and the server's root.
#ifndef KW_CLI_STATE_H
#define KW_CLI_STATE_H

#include <jansson.h>

#include "base/buf.h"
#include "base/file.h"
#include "cli/commands.h"

enum { NAMES_MAX = 3, SERVER_NAMES_MAX = 16, ENV_MAX = 32 };
enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_CSV, OUTPUT_NAME };

struct cli {
    const struct command *command;
    const char *values[OPT_COUNT]; // NULL: not given; a switch has ""
    const char *server_names[SERVER_NAMES_MAX];
    size_t server_name_count;
    const char *env[ENV_MAX]; // NAME=VALUE, as given
    size_t env_count;
    const char *names[NAMES_MAX];
    size_t name_count;
    char key_id[64]; // the identifier that was found for a Name, see keyname.h
    enum output output;
    char root[4096];   // absolute
    int root_fd;       // -1 until root_open
    struct http *http; // the server, NULL until client_open
    json_t *input;     // what --from-json gave, or NULL
    json_t *problem;   // the server's last problem document, or NULL
    bool unsure;       // the last call may have changed something
};

static inline bool cli_has(const struct cli *cli, enum opt option)
{
    return cli->values[option] != NULL;
}

static inline void json_freep(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

#endif
