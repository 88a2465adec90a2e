// SPDX-License-Identifier: Apache-2.0
//
// The table of commands: nouns, verbs, options, routes, help. Most rows are made from spec/api; the
// others are about this machine. Usage, help, completion and manual pages come from it.
#ifndef KW_CLI_COMMANDS_H
#define KW_CLI_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cli_options.h"

// Options of the command line's own come first, then those that stand for fields.
#define OPTION_ID(id, name, takes_value) id,
enum opt {
    OPT_ROOT,
    OPT_OUTPUT,
    OPT_HELP,
    OPT_DRY_RUN,
    OPT_FROM_JSON,
    OPT_GENERATE_JSON_INPUT,
    OPT_ADDRESS,
    OPT_CA_FILE,
    OPT_API_TOKEN_FILE,
    OPT_PROFILE,
    OPT_FINGERPRINT,
    OPT_YES,
    OPT_SERVER_NAME,
    OPT_KMIP_LISTEN,
    OPT_WEB_LISTEN,
    OPT_HSM,
    OPT_RECOVERY_OUT,
    OPT_ENROLL,
    OPT_OUT,
    OPT_FILE,
    OPT_BODY_FILE,
    OPT_MODULE,
    OPT_ENV,
    OPT_SERVER,
    OPT_OWN_COUNT,
    OPT_BEFORE_FIELDS = OPT_OWN_COUNT - 1,
    API_OPTIONS(OPTION_ID) OPT_COUNT
};
#undef OPTION_ID

#define BIT(option) (UINT64_C(1) << (option))

struct option_row {
    const char *name;
    const char *meta; // what the value is called in help; NULL: a switch
    const char *help; // NULL for a field: its use tells
};

extern const struct option_row option_rows[OPT_COUNT];

// How a field is written into the document, or into the address (FIELD_QUERY).
enum field_kind {
    FIELD_TEXT,
    FIELD_FILE, // a text that stands in a file
    FIELD_NUMBER,
    FIELD_TRUE, // a switch, or =false
    FIELD_LIST, // texts with commas between them
    FIELD_JSON,
    FIELD_SECRET, // the option names a file
    FIELD_QUERY
};

enum { USE_ASKED = 1, USE_TWICE = 2 }; // a prompt asks for the secret, wants it entered twice

// An option of a command that stands for a field. `field` is NULL past the last one.
struct use {
    enum opt option;
    enum field_kind kind;
    const char *field;
    const char *meta;
    const char *help;
    unsigned flags;
    unsigned limit; // of a secret: how many bytes it may have
};

struct cli;

struct command {
    const char *noun;
    const char *verb;   // NULL: the noun is the command
    const char *names;  // words behind it, as help writes them: "NAME", "[NAME]", or NULL
    const char *words;  // the fields that take them: "name object", or NULL
    const char *method; // of the route; NULL where `run` does everything
    const char *path;   // below /api/v1; {field} takes the word of that field
    const struct use *uses;
    uint64_t local; // BIT(OPT_…) of the command line's own, beside those that every command has
    enum err (*run)(struct cli *cli);
    const char *columns; // of a list in a table: "name,type,status"
    const char *summary;
    const char *examples; // lines, each "COMMAND\n"
};

// NULL past the end.
const struct command *commands_at(unsigned index);

// NULL when there is none.
const struct command *commands_find(const char *noun, const char *verb);

// The command's use of an option, or NULL.
const struct use *commands_use(const struct command *command, enum opt option);

// Whether the command takes it.
bool commands_takes(const struct command *command, enum opt option);

// The known word nearest to `word` (at most two letters off) among nouns (noun NULL) or verbs of a
// noun, or NULL.
const char *commands_nearest(const char *noun, const char *word);

#endif
