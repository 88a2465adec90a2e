// SPDX-License-Identifier: Apache-2.0
//
// The table of commands: nouns, verbs, options, routes, help. Usage, help, completion and manual
// pages come from it.
#ifndef KW_CLI_COMMANDS_H
#define KW_CLI_COMMANDS_H

#include <stdint.h>

#include "base/err.h"

enum opt {
    OPT_ROOT,
    OPT_OUTPUT,
    OPT_HELP,
    OPT_DRY_RUN,
    OPT_YES,
    OPT_SERVER_NAME,
    OPT_KMIP_LISTEN,
    OPT_HSM,
    OPT_CREDENTIAL_FILE,
    OPT_RECOVERY_FILE,
    OPT_NEW_RECOVERY_FILE,
    OPT_RECOVERY_OUT,
    OPT_TOKEN_FILE,
    OPT_VENDOR,
    OPT_TOKEN_LABEL,
    OPT_TYPE,
    OPT_DESCRIPTION,
    OPT_OWNER,
    OPT_ENROLL,
    OPT_OUT,
    OPT_ALGORITHM,
    OPT_LENGTH,
    OPT_LIMIT,
    OPT_CURSOR,
    OPT_BODY_FILE,
    OPT_MODULE,
    OPT_ENV,
    OPT_NEW_NAME,
    OPT_DEFAULT_WALLET,
    OPT_REASSIGN_TO,
    OPT_KEEP_OLD,
    OPT_ENDPOINT,
    OPT_ENDPOINT_GROUP,
    OPT_ACCESS,
    OPT_MANAGE,
    OPT_SERVER,
    OPT_COUNT
};

#define BIT(option) (UINT64_C(1) << (option))

enum field_kind { FIELD_NONE, FIELD_TEXT, FIELD_NUMBER, FIELD_SECRET, FIELD_QUERY, FIELD_TRUE };

struct option_row {
    const char *name;
    const char *meta; // what the value is called in help; NULL: a switch
    const char *help;
    enum field_kind kind;
    const char *field; // of the document or of the query
};

extern const struct option_row option_rows[OPT_COUNT];

struct cli;

struct command {
    const char *noun;
    const char *verb;   // NULL: the noun is the command
    const char *names;  // "NAME", "[NAME]", "METHOD PATH", or NULL
    const char *second; // field of the document that takes the second name, or NULL
    const char *method; // of the route; NULL where `run` does everything
    const char *path;   // below /api/v1; {name} and {id} take the name
    uint64_t options;   // BIT(OPT_…), beside those that every command has
    uint64_t asks;      // secrets that the command cannot do without
    uint64_t twice;     // of those, the ones that a prompt wants entered twice
    enum err (*run)(struct cli *cli);
    const char *columns; // of a list in a table: "name,type,status"
    const char *summary;
    const char *examples; // lines, each "COMMAND\n"
};

// NULL past the end.
const struct command *commands_at(unsigned index);

// NULL when there is none.
const struct command *commands_find(const char *noun, const char *verb);

// What every command takes.
enum { COMMON_OPTIONS = BIT(OPT_ROOT) | BIT(OPT_OUTPUT) | BIT(OPT_HELP) };

// The known word nearest to `word` (at most two letters off) among nouns (noun NULL) or verbs of a
// noun, or NULL.
const char *commands_nearest(const char *noun, const char *word);

#endif
