// SPDX-License-Identifier: Apache-2.0
//
// The rows. Whatever a command line tells people about itself comes from here.
#include "cli/commands.h"

#include <string.h>

#include "cli/handlers.h"

const struct option_row option_rows[OPT_COUNT] = {
    [OPT_ROOT] = {"root", "DIR", "the server's root prefix (default: $KEYWARD_ROOT, else /)",
                  FIELD_NONE, NULL},
    [OPT_OUTPUT] = {"output", "FORMAT",
                    "-o table, json or name (default: table on a terminal, else json)", FIELD_NONE,
                    NULL},
    [OPT_HELP] = {"help", NULL, "show this help", FIELD_NONE, NULL},
    [OPT_DRY_RUN] = {"dry-run", NULL, "let the server check and say what it would do", FIELD_NONE,
                     NULL},
    [OPT_YES] = {"yes", NULL, "ask nothing", FIELD_NONE, NULL},
    [OPT_SERVER_NAME] = {"server-name", "NAME",
                         "a DNS name or address that clients use; may be given several times",
                         FIELD_NONE, NULL},
    [OPT_KMIP_LISTEN] = {"kmip-listen", "ADDR:PORT", "where KMIP is served (default [::]:5696)",
                         FIELD_NONE, NULL},
    [OPT_HSM] = {"hsm", "KIND", "softhsm: make a try-out token; none: later (default)", FIELD_NONE,
                 NULL},
    [OPT_CREDENTIAL_FILE] = {"credential-file", "FILE",
                             "private file that holds the HSM credential; - is standard input",
                             FIELD_SECRET, "credential"},
    [OPT_RECOVERY_FILE] = {"recovery-passphrase-file", "FILE",
                           "private file that holds the recovery passphrase; - is standard input",
                           FIELD_SECRET, "recovery_passphrase"},
    [OPT_NEW_RECOVERY_FILE] = {"new-recovery-passphrase-file", "FILE",
                               "private file that holds the new recovery passphrase", FIELD_SECRET,
                               "new_recovery_passphrase"},
    [OPT_RECOVERY_OUT] = {"recovery-passphrase-out", "FILE",
                          "make a recovery passphrase and write it to this new private file",
                          FIELD_NONE, NULL},
    [OPT_TOKEN_FILE] = {"token-file", "FILE",
                        "private file that holds the enrolment token; - is standard input",
                        FIELD_SECRET, "token"},
    [OPT_VENDOR] = {"vendor", "NAME",
                    "Thales, Entrust, Utimaco, or the VENDOR_NAME of okv_hsm.conf", FIELD_TEXT,
                    "vendor"},
    [OPT_TOKEN_LABEL] = {"token-label", "LABEL", "use the token of this label", FIELD_TEXT,
                         "token_label"},
    [OPT_TYPE] = {"type", "TYPE", "what the endpoint is (postgresql, mysql, other, …)", FIELD_TEXT,
                  "type"},
    [OPT_DESCRIPTION] = {"description", "TEXT", "what people should know about it", FIELD_TEXT,
                         "description"},
    [OPT_OWNER] = {"owner", "ENDPOINT", "the endpoint that the key belongs to", FIELD_TEXT,
                   "owner"},
    [OPT_ENROLL] = {"enroll", NULL, "enroll it here at once", FIELD_NONE, NULL},
    [OPT_OUT] = {"out", "DIR", "directory that the files are written to", FIELD_NONE, NULL},
    [OPT_ALGORITHM] = {"algorithm", "NAME", "algorithm of the key (default AES)", FIELD_TEXT,
                       "algorithm"},
    [OPT_LENGTH] = {"length", "BITS", "length of the key (default 256)", FIELD_NUMBER, "length"},
    [OPT_LIMIT] = {"limit", "N", "at most N rows, 1 to 1000", FIELD_QUERY, "limit"},
    [OPT_CURSOR] = {"cursor", "TEXT", "go on where the last page ended (its next_cursor)",
                    FIELD_QUERY, "cursor"},
    [OPT_BODY_FILE] = {"body-file", "FILE", "JSON to send; - is standard input", FIELD_NONE, NULL},
    [OPT_MODULE] = {"module", "LIB", "the vendor's PKCS#11 library", FIELD_NONE, NULL},
    [OPT_ENV] =
        {"env", "NAME=VALUE",
         "a variable that the library needs (as in okv_hsm_env); may be given several times",
         FIELD_NONE, NULL},
};

#define HSM_TOKEN  (BIT(OPT_VENDOR) | BIT(OPT_TOKEN_LABEL))
#define CREDENTIAL BIT(OPT_CREDENTIAL_FILE)
#define RECOVERY   BIT(OPT_RECOVERY_FILE)
#define NEW_PHRASE BIT(OPT_NEW_RECOVERY_FILE)
#define DRY_RUN    BIT(OPT_DRY_RUN)
#define PAGE       (BIT(OPT_LIMIT) | BIT(OPT_CURSOR))

static const struct command rows[] = {
    {.noun = "setup",
     .options = BIT(OPT_SERVER_NAME) | BIT(OPT_KMIP_LISTEN) | BIT(OPT_HSM) | BIT(OPT_YES) |
                RECOVERY | BIT(OPT_RECOVERY_OUT),
     .run = setup_run,
     .summary = "make a server: files, certificates, first wallet, start",
     .examples = "keyward setup --server-name kv1.example.org\n"
                 "keyward setup --root ~/try --kmip-listen 127.0.0.1:5696 --hsm softhsm --yes "
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
    {.noun = "status",
     .method = "GET",
     .path = "/status",
     .run = service_status,
     .summary = "say how the server is; works when it is down, too",
     .examples = "keyward status\nkeyward status -o json\n"},
    {.noun = "hsm",
     .verb = "status",
     .method = "GET",
     .path = "/hsm",
     .summary = "status and type of the hardware security module",
     .examples = "keyward hsm status\n"},
    {.noun = "hsm",
     .verb = "initialize",
     .method = "POST",
     .path = "/hsm:initialize",
     .options = HSM_TOKEN | CREDENTIAL | RECOVERY | DRY_RUN,
     .asks = CREDENTIAL | RECOVERY,
     .twice = CREDENTIAL,
     .run = hsm_initialize,
     .summary = "make a root of trust key on the HSM and root the wallet in it",
     .examples = "keyward hsm initialize --vendor Thales --token-label TPA01\n"
                 "keyward hsm initialize --vendor Thales --credential-file pin "
                 "--recovery-passphrase-file phrase\n"},
    {.noun = "hsm",
     .verb = "set-credential",
     .method = "POST",
     .path = "/hsm:set-credential",
     .options = HSM_TOKEN | CREDENTIAL | DRY_RUN,
     .asks = CREDENTIAL,
     .twice = CREDENTIAL,
     .summary = "replace the HSM credential, or prepare for a restore",
     .examples = "keyward hsm set-credential --credential-file pin\n"},
    {.noun = "hsm",
     .verb = "reverse-migrate",
     .method = "POST",
     .path = "/hsm:reverse-migrate",
     .options = CREDENTIAL | RECOVERY | NEW_PHRASE | DRY_RUN,
     .asks = CREDENTIAL | RECOVERY | NEW_PHRASE,
     .twice = NEW_PHRASE,
     .summary = "put the wallet under the recovery passphrase again",
     .examples = "keyward hsm reverse-migrate\n"},
    {.noun = "hsm",
     .verb = "verify",
     .method = "POST",
     .path = "/hsm:verify",
     .summary = "check library, token, credential and root key, and say what to do",
     .examples = "keyward hsm verify\n"},
    {.noun = "hsm",
     .verb = "open-wallet",
     .method = "POST",
     .path = "/hsm:open-wallet",
     .options = CREDENTIAL | RECOVERY,
     .summary = "open the wallet by hand after a start that could not",
     .examples = "keyward hsm open-wallet\n"
                 "keyward hsm open-wallet --recovery-passphrase-file phrase\n"},
    {.noun = "hsm",
     .verb = "pre-restore",
     .method = "POST",
     .path = "/hsm:pre-restore",
     .options = HSM_TOKEN | CREDENTIAL | DRY_RUN,
     .asks = CREDENTIAL,
     .summary = "prepare this server for restoring a backup rooted in the HSM",
     .examples = "keyward hsm pre-restore --credential-file pin\n"},
    {.noun = "hsm",
     .verb = "validate",
     .options = BIT(OPT_MODULE) | BIT(OPT_TOKEN_LABEL) | CREDENTIAL | BIT(OPT_ENV) | BIT(OPT_OUT),
     .asks = CREDENTIAL,
     .run = validate_run,
     .summary = "try a PKCS#11 library in throw-away servers and write a report",
     .examples = "keyward hsm validate --module /opt/acme/lib/libacme.so --token-label TPA01 "
                 "--credential-file pin --out report\n"
                 "keyward hsm validate --module /opt/acme/lib/libacme.so --credential-file pin "
                 "--env ACME_CONF=/etc/acme.conf -o json\n"},
    {.noun = "passphrase",
     .verb = "change",
     .method = "POST",
     .path = "/recovery-passphrase:change",
     .options = RECOVERY | NEW_PHRASE | DRY_RUN,
     .asks = RECOVERY | NEW_PHRASE,
     .twice = NEW_PHRASE,
     .summary = "change the recovery passphrase; the HSM is not needed",
     .examples = "keyward passphrase change --recovery-passphrase-file old "
                 "--new-recovery-passphrase-file new\n"},
    {.noun = "rotate",
     .verb = "wallet-password",
     .method = "POST",
     .path = "/rotation:wallet-password",
     .options = DRY_RUN,
     .summary = "make a new wallet password under the same root key on the HSM",
     .examples = "keyward rotate wallet-password\n"},
    {.noun = "rotate",
     .verb = "master-key",
     .method = "POST",
     .path = "/rotation:master-key",
     .options = RECOVERY | DRY_RUN,
     .asks = RECOVERY,
     .summary = "make a new TDE master key and wrap the data keys under it",
     .examples = "keyward rotate master-key --recovery-passphrase-file phrase\n"},
    {.noun = "rotate",
     .verb = "data-keys",
     .method = "POST",
     .path = "/rotation:data-keys",
     .options = DRY_RUN,
     .summary = "make new data keys and seal every object again, in the background",
     .examples = "keyward rotate data-keys\nkeyward rotate status\n"},
    {.noun = "rotate",
     .verb = "status",
     .method = "GET",
     .path = "/rotation",
     .summary = "say which master and data keys there are, and how far a rotation is",
     .examples = "keyward rotate status\nkeyward rotate status -o json\n"},
    {.noun = "alert",
     .verb = "list",
     .method = "GET",
     .path = "/alerts",
     .columns = "type,severity,problem,since,message",
     .summary = "list what somebody should look after",
     .examples = "keyward alert list\n"},
    {.noun = "endpoint",
     .verb = "add",
     .names = "NAME",
     .method = "POST",
     .path = "/endpoints",
     .options = BIT(OPT_TYPE) | BIT(OPT_DESCRIPTION) | BIT(OPT_ENROLL) | BIT(OPT_OUT) | DRY_RUN,
     .run = endpoint_add,
     .summary = "register a client of the key server and get its one-time token",
     .examples = "keyward endpoint add db1 --type postgresql\n"
                 "keyward endpoint add db1 --enroll --out /etc/db1/kmip\n"},
    {.noun = "endpoint",
     .verb = "enroll",
     .names = "NAME",
     .method = "POST",
     .path = "/endpoints/{name}:enroll",
     .options = BIT(OPT_TOKEN_FILE) | BIT(OPT_OUT),
     .asks = BIT(OPT_TOKEN_FILE),
     .run = endpoint_enroll,
     .summary = "make a key here and get a certificate for it with the one-time token",
     .examples = "keyward endpoint enroll db1 --token-file token --out /etc/db1/kmip\n"},
    {.noun = "endpoint",
     .verb = "list",
     .method = "GET",
     .path = "/endpoints",
     .options = PAGE,
     .columns = "name,type,state,created,enrolled",
     .summary = "list the endpoints",
     .examples = "keyward endpoint list\nkeyward endpoint list -o name\n"},
    {.noun = "endpoint",
     .verb = "show",
     .names = "NAME",
     .method = "GET",
     .path = "/endpoints/{name}",
     .summary = "show one endpoint",
     .examples = "keyward endpoint show db1\n"},
    {.noun = "key",
     .verb = "list",
     .method = "GET",
     .path = "/keys",
     .options = PAGE,
     .columns = "id,name,type,algorithm,length,state,owner",
     .summary = "list the keys (never their values)",
     .examples = "keyward key list --limit 20\n"},
    {.noun = "key",
     .verb = "create",
     .names = "[NAME]",
     .method = "POST",
     .path = "/keys",
     .options = BIT(OPT_ALGORITHM) | BIT(OPT_LENGTH) | BIT(OPT_OWNER) | DRY_RUN,
     .summary = "create a key",
     .examples = "keyward key create demo\nkeyward key create demo --algorithm AES --length 128\n"},
    {.noun = "key",
     .verb = "show",
     .names = "ID",
     .method = "GET",
     .path = "/keys/{id}",
     .summary = "show one key's attributes",
     .examples = "keyward key show 0190a5b2-4d1c-7f00-8a10-5e0c6a7b9d21\n"},
    {.noun = "audit",
     .verb = "verify",
     .method = "POST",
     .path = "/audit:verify",
     .summary = "check the hash chain of the audit trail",
     .examples = "keyward audit verify\n"},
    {.noun = "audit",
     .verb = "list",
     .method = "GET",
     .path = "/audit",
     .options = PAGE,
     .columns = "sequence,time,principal,verb,object,outcome",
     .summary = "list audit records",
     .examples = "keyward audit list --limit 50\n"},
    {.noun = "api",
     .names = "METHOD PATH",
     .options = BIT(OPT_BODY_FILE),
     .run = api_run,
     .summary = "send one request of the REST interface as it is",
     .examples = "keyward api GET /hsm\n"},
    {.noun = "help",
     .names = "[TOPIC [VERB]]",
     .run = help_run,
     .summary = "help on a noun, a command, or exit-codes",
     .examples = "keyward help hsm initialize\nkeyward help exit-codes\n"},
    {.noun = "version", .run = help_version, .summary = "print the version", .examples = NULL},
};

enum { ROWS = sizeof rows / sizeof *rows, WORD_MAX = 32 };

const struct command *commands_at(unsigned index)
{
    return index < ROWS ? &rows[index] : NULL;
}

const struct command *commands_find(const char *noun, const char *verb)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (strcmp(rows[i].noun, noun) != 0)
            continue;
        if (rows[i].verb == NULL || (verb != NULL && strcmp(rows[i].verb, verb) == 0))
            return &rows[i];
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
        const char *known = noun == NULL ? rows[i].noun : rows[i].verb;
        if (known == NULL || (noun != NULL && strcmp(rows[i].noun, noun) != 0))
            continue;
        unsigned d = distance(word, known);
        if (d < best_distance && d < strlen(known)) {
            best = known;
            best_distance = d;
        }
    }
    return best;
}
