// SPDX-License-Identifier: Apache-2.0
//
// The rows. Whatever a command line tells people about itself comes from here and from spec/api.
#include "cli/commands.h"

#include <string.h>

#include "cli/handlers.h"
#include "cli/secrets.h"

#define OPTION_ROW(id, name, takes_value) [id] = {name, (takes_value) ? "VALUE" : NULL, NULL},
const struct option_row option_rows[OPT_COUNT] = {
    [OPT_ROOT] = {"root", "DIR", "the server's root prefix (default: $KEYWARD_ROOT, else /)"},
    [OPT_OUTPUT] = {"output", "FORMAT",
                    "-o table, json, csv or name (default: table on a terminal, else json)"},
    [OPT_HELP] = {"help", NULL, "show this help"},
    [OPT_DRY_RUN] = {"dry-run", NULL, "let the server check and say what it would do"},
    [OPT_FROM_JSON] = {"from-json", "FILE",
                       "take what no option gives from this file; - is standard input"},
    [OPT_GENERATE_JSON_INPUT] = {"generate-json-input", NULL,
                                 "print a form to fill in for --from-json, and do nothing"},
    [OPT_ADDRESS] = {"address", "URL", "ask the server at https://HOST[:PORT] ($KEYWARD_ADDR)"},
    [OPT_CA_FILE] = {"ca-file", "FILE", "certificates that it is trusted by ($KEYWARD_CA_FILE)"},
    [OPT_API_TOKEN_FILE] = {"api-token-file", "FILE",
                            "private file with the API token to show it ($KEYWARD_TOKEN_FILE)"},
    [OPT_PROFILE] = {"profile", "NAME",
                     "ask the server that was signed in to by this name "
                     "($KEYWARD_PROFILE)"},
    [OPT_FINGERPRINT] = {"fingerprint", "HEX", "SHA-256 of the server's certificate"},
    [OPT_YES] = {"yes", NULL, "ask nothing"},
    [OPT_SERVER_NAME] = {"server-name", "NAME",
                         "a DNS name or address that clients use; may be given several times"},
    [OPT_KMIP_LISTEN] = {"kmip-listen", "ADDR:PORT", "where KMIP is served (default [::]:5696)"},
    [OPT_WEB_LISTEN] = {"web-listen", "ADDR:PORT",
                        "where the REST API is served over HTTPS; none: not at all (default: "
                        "[::]:443 below /, else none)"},
    [OPT_HSM] = {"hsm", "KIND", "softhsm: make a try-out token; none: later (default)"},
    [OPT_RECOVERY_OUT] = {"recovery-passphrase-out", "FILE",
                          "make a recovery passphrase and write it to this new private file"},
    [OPT_ENROLL] = {"enroll", NULL, "enroll it here at once"},
    [OPT_OUT] = {"out", "DIR",
                 "directory or file that is written; a file is private and must not be there yet"},
    [OPT_FILE] = {"file", "FILE", "an exported audit trail"},
    [OPT_BODY_FILE] = {"body-file", "FILE", "JSON to send; - is standard input"},
    [OPT_MODULE] = {"module", "LIB", "the vendor's PKCS#11 library"},
    [OPT_ENV] =
        {"env", "NAME=VALUE",
         "a variable that the library needs (as in okv_hsm_env); may be given several times"},
    [OPT_SERVER] = {"server", "HOST[:PORT]",
                    "how clients reach the server (default: this host's name)"},
    API_OPTIONS(OPTION_ROW)};

#include "cli_commands.h"

static const struct use setup_uses[] = {
    {OPT_RECOVERY_PASSPHRASE_FILE, FIELD_SECRET, "recovery_passphrase", "FILE",
     "The recovery passphrase: a private file, or - for standard input", 0, SECRET_FILE_MAX},
    {0}};
static const struct use login_uses[] = {
    {OPT_USER, FIELD_TEXT, "user", "NAME", "Who signs in", 0, 0},
    {OPT_PASSWORD_FILE, FIELD_SECRET, "password", "FILE",
     "The password: a private file, or - for standard input", USE_ASKED, SECRET_FILE_MAX},
    {OPT_CODE_FILE, FIELD_SECRET, "code", "FILE",
     "The code of the second factor: a private file, or - for standard input", 0, SECRET_FILE_MAX},
    {0}};
static const struct use validate_uses[] = {
    {OPT_TOKEN_LABEL, FIELD_TEXT, "token_label", "LABEL", "Use the token of this label", 0, 0},
    {OPT_CREDENTIAL_FILE, FIELD_SECRET, "credential", "FILE",
     "The HSM credential: a private file, or - for standard input", USE_ASKED, SECRET_FILE_MAX},
    {0}};

// What is about this machine.
static const struct command local_commands[] = {
    {.noun = "setup",
     .uses = setup_uses,
     .local = BIT(OPT_SERVER_NAME) | BIT(OPT_KMIP_LISTEN) | BIT(OPT_WEB_LISTEN) | BIT(OPT_HSM) |
              BIT(OPT_YES) | BIT(OPT_RECOVERY_OUT),
     .run = setup_run,
     .summary = "make a server: files, certificates, first wallet, start",
     .examples = "keyward setup --server-name kv1.example.org\n"
                 "keyward setup --root ~/try --kmip-listen 127.0.0.1:5696 --web-listen "
                 "127.0.0.1:8443 --hsm softhsm --yes "
                 "--recovery-passphrase-out ~/phrase\n"},
    {.noun = "start",
     .run = service_start,
     .summary = "start the server in the background and wait until it serves",
     .examples = "keyward start\nkeyward start --root ~/try\n"},
    {.noun = "stop",
     .run = service_stop,
     .summary = "stop the server in order",
     .examples = "keyward stop\n"},
    {.noun = "restart",
     .run = service_restart,
     .summary = "stop, then start",
     .examples = "keyward restart\n"},
    {.noun = "hsm",
     .verb = "validate",
     .uses = validate_uses,
     .local = BIT(OPT_MODULE) | BIT(OPT_ENV) | BIT(OPT_OUT),
     .run = validate_run,
     .summary = "try a PKCS#11 library in throw-away servers and write a report",
     .examples = "keyward hsm validate --module /opt/acme/lib/libacme.so --token-label TPA01 "
                 "--credential-file pin --out report\n"
                 "keyward hsm validate --module /opt/acme/lib/libacme.so --credential-file pin "
                 "--env ACME_CONF=/etc/acme.conf -o json\n"},
    {.noun = "login",
     .names = "ADDRESS",
     .uses = login_uses,
     .local = BIT(OPT_FINGERPRINT) | BIT(OPT_CA_FILE) | BIT(OPT_PROFILE),
     .run = login_run,
     .summary = "sign in to a server at an address, for the commands that follow",
     .examples = "keyward login https://kv1.example.org --user alice --fingerprint 5f:1c:…\n"
                 "keyward login https://kv1.example.org:8443 --user alice --ca-file ca.pem "
                 "--profile kv1\n"},
    {.noun = "logout",
     .local = BIT(OPT_PROFILE),
     .run = logout_run,
     .summary = "end the session and forget it",
     .examples = "keyward logout\n"},
    {.noun = "api",
     .names = "METHOD PATH",
     .local = BIT(OPT_BODY_FILE),
     .run = api_run,
     .summary = "send one request of the REST interface as it is",
     .examples = "keyward api GET /hsm\n"},
    {.noun = "doctor",
     .run = doctor_run,
     .summary = "look at what should be in order, and say what is still to do",
     .examples = "keyward doctor\nkeyward doctor -o json\n"},
    {.noun = "completion",
     .names = "SHELL",
     .run = completion_run,
     .summary = "print what bash, zsh or fish needs to complete words",
     .examples = "keyward completion bash > /etc/bash_completion.d/keyward\n"},
    {.noun = "help",
     .names = "[TOPIC [VERB]]",
     .run = help_run,
     .summary = "help on a noun, a command, all commands (all), or exit-codes",
     .examples = "keyward help hsm initialize\nkeyward help exit-codes\n"},
    {.noun = "version", .run = help_version, .summary = "print the version", .examples = NULL},
};

enum {
    LOCAL = sizeof local_commands / sizeof *local_commands,
    ROWS = LOCAL + sizeof api_commands / sizeof *api_commands,
    WORD_MAX = 32
};

const struct command *commands_at(unsigned index)
{
    if (index < LOCAL)
        return &local_commands[index];
    return index < ROWS ? &api_commands[index - LOCAL] : NULL;
}

const struct use *commands_use(const struct command *command, enum opt option)
{
    for (const struct use *use = command->uses; use != NULL && use->field != NULL; use++) {
        if (use->option == option)
            return use;
    }
    return NULL;
}

bool commands_takes(const struct command *command, enum opt option)
{
    uint64_t all = BIT(OPT_ROOT) | BIT(OPT_OUTPUT) | BIT(OPT_HELP) | command->local;
    if (command->method != NULL || (command->local & BIT(OPT_BODY_FILE)) != 0)
        all |= BIT(OPT_ADDRESS) | BIT(OPT_CA_FILE) | BIT(OPT_API_TOKEN_FILE) | BIT(OPT_PROFILE);
    if (command->method != NULL)
        all |= BIT(OPT_FROM_JSON) | BIT(OPT_GENERATE_JSON_INPUT);
    if (option < OPT_OWN_COUNT)
        return (all & BIT(option)) != 0;
    return commands_use(command, option) != NULL;
}

const struct command *commands_find(const char *noun, const char *verb)
{
    for (unsigned i = 0; i < ROWS; i++) {
        const struct command *row = commands_at(i);
        if (strcmp(row->noun, noun) != 0)
            continue;
        if (row->verb == NULL || (verb != NULL && strcmp(row->verb, verb) == 0))
            return row;
    }
    return NULL;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

// Edit distance of two short words.
static unsigned distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1];
    size_t width = strlen(b);
    if (strlen(a) > WORD_MAX || width > WORD_MAX)
        return WORD_MAX;
    for (unsigned j = 0; j <= width; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1] != '\0'; i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= width; j++) {
            unsigned above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, corner + (a[i - 1] != b[j - 1]));
            corner = above;
        }
    }
    return row[width];
}

const char *commands_nearest(const char *noun, const char *word)
{
    const char *best = NULL;
    unsigned best_distance = 3;
    for (unsigned i = 0; i < ROWS; i++) {
        const struct command *row = commands_at(i);
        const char *known = noun == NULL ? row->noun : row->verb;
        if (known == NULL || (noun != NULL && strcmp(row->noun, noun) != 0))
            continue;
        unsigned d = distance(word, known);
        if (d < best_distance && d < strlen(known)) {
            best = known;
            best_distance = d;
        }
    }
    return best;
}
