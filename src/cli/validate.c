// SPDX-License-Identifier: Apache-2.0
//
// `keyward hsm validate`: the validation that the guide asks of an HSM's vendor (CG 5.2 to 5.5),
// against any PKCS#11 library. Start with the table of tests below; a test for clusters or pairs
// is another row.
//
// Invariants: no server of the machine is touched, only ones made here and removed again; a PIN
// that was refused is not tried a second time; a report is written whatever happened.
#include "cli/validate.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/passphrase.h"
#include "cli/client.h"
#include "cli/handlers.h"
#include "cli/secrets.h"
#include "cli/term.h"

enum { PHRASE_GROUPS = 6 };

static volatile sig_atomic_t interrupted;

#define ROUND(n)                                                                                   \
    {"enable " #n, "HSM-enabled the server (Initialize)", validate_enable, 0},                     \
        {"verify " #n, "checked status, Type, trace file and hsmclient verify",                    \
         validate_check_enabled, 0},                                                               \
        {"keys " #n, "made a key and read every key made so far", validate_use_keys, 0},           \
    {                                                                                              \
        "restart " #n, "restarted the server with nobody present and its RAM empty",               \
            validate_restart, 0                                                                    \
    }
#define REVERSE(n)                                                                                 \
    {"reverse " #n, "reverse-migrated the server", validate_reverse, 0},                           \
        {"verify reverse " #n, "checked status, Type and okv_security.conf",                       \
         validate_check_reversed, 0},                                                              \
    {                                                                                              \
        "restart without " #n, "restarted the server with the HSM's library out of reach",         \
            validate_restart_without, 0                                                            \
    }

static const struct validate_step three_rounds[] = {
    {"server", "set up a server without an HSM, and made a key on it", validate_make, 0},
    ROUND(1),
    REVERSE(1),
    ROUND(2),
    REVERSE(2),
    ROUND(3),
};

#define SERVER(n, i)                                                                               \
    {"server " #n, "set up a server without an HSM, and made a key on it", validate_make, i},      \
        {"enable " #n, "HSM-enabled the server (Initialize)", validate_enable, i},                 \
    {                                                                                              \
        "verify " #n, "checked status, Type, trace file and hsmclient verify",                     \
            validate_check_enabled, i                                                              \
    }
#define SERVER_AGAIN(n, i)                                                                         \
    {"restart " #n, "restarted the server with nobody present and its RAM empty",                  \
     validate_restart, i},                                                                         \
    {                                                                                              \
        "keys " #n, "made a key and read every key made so far", validate_use_keys, i              \
    }

static const struct validate_step three_servers[] = {
    SERVER(1, 0),
    SERVER(2, 1),
    SERVER(3, 2),
    {"key numbers", "compared the key numbers of the three servers", validate_numbers_differ, 0},
    SERVER_AGAIN(1, 0),
    SERVER_AGAIN(2, 1),
    SERVER_AGAIN(3, 2),
};

#define STEPS(array) array, sizeof(array) / sizeof *(array), NULL

static const struct validate_test tests[] = {
    {"requirements", "Requirements for the PKCS#11 library", "CG 5.2.2", NULL, 0, validate_probe},
    {"standalone-1", "Three successive HSM-enable operations on one server",
     "CG 5.5.1 test 1; 5.4.1, 5.4.7", STEPS(three_rounds)},
    {"standalone-2", "Three HSM-enable operations on different servers", "CG 5.5.1 test 2; 5.4.1",
     STEPS(three_servers)},
};
enum { TESTS = sizeof tests / sizeof *tests };

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

void validate_tell(struct validate *validate, const char *name, const char *did, const char *saw,
                   const char *result, enum err err, int64_t ms)
{
    bool failed = strcmp(result, "fail") == 0;
    const char *text = span_is_utf8(span_str(saw)) ? saw : "(not readable)";
    json_t *step = json_pack("{s:s, s:s, s:s, s:s, s:I}", "step", name, "did", did, "saw", text,
                             "result", result, "ms", (json_int_t)ms);
    if (step == NULL || json_array_append_new(validate->steps, step) != 0)
        term_say("no memory for the report: step \"%s\" is not in it", name);
    validate->failed += failed;
    if (failed && (err == ERR_HSM_PIN || err == ERR_HSM_PIN_LATCHED))
        validate->stopped = true;
    if (strcmp(result, "skip") != 0)
        term_step(!failed, clock_mono_ms() - ms, "%s: %s", name, text);
}

static bool take_step(struct validate *validate, const struct validate_step *step)
{
    struct buf saw CLEANUP(buf_done);
    char text[VALIDATE_SAW_MAX + 1];
    buf_init(&saw, VALIDATE_SAW_MAX, false);
    int64_t begun = clock_mono_ms();
    enum err err = step->run(validate, &validate->servers[step->server], &saw);
    if (err == ERR_OK)
        (void)snprintf(text, sizeof text, "%.*s", (int)saw.len,
                       saw.len == 0 ? "" : (const char *)saw.data);
    else
        (void)snprintf(text, sizeof text, "%s", err_message(err));
    validate_tell(validate, step->name, step->did, text, err == ERR_OK ? "pass" : "fail", err,
                  clock_mono_ms() - begun);
    return err == ERR_OK;
}

static void run_steps(struct validate *validate, const struct validate_test *test)
{
    bool going = true;
    for (size_t i = 0; i < test->count; i++) {
        const struct validate_step *step = &test->steps[i];
        going = going && !validate->stopped && interrupted == 0;
        if (going)
            going = take_step(validate, step);
        else
            validate_tell(validate, step->name, step->did, "not tried", "skip", ERR_OK, 0);
    }
}

static void remove_servers(struct validate *validate)
{
    for (size_t i = 0; i < VALIDATE_SERVERS; i++) {
        if (validate_remove(validate, &validate->servers[i]) != ERR_OK)
            term_say("a server of the validation was not removed: %s", err_detail());
    }
}

static enum err run_test(struct validate *validate, const struct validate_test *test)
{
    size_t before = validate->failed;
    validate->steps = json_array();
    json_t *entry = json_pack("{s:s, s:s, s:s, s:o}", "test", test->id, "title", test->title,
                              "section", test->section, "steps", validate->steps);
    if (entry == NULL)
        FAIL(ERR_MEMORY, "no memory for the report");
    term_say("%s (%s)", test->title, test->section);
    if (test->whole != NULL && !validate->stopped && interrupted == 0)
        test->whole(validate);
    else
        run_steps(validate, test);
    remove_servers(validate);
    bool tried = !validate->stopped && interrupted == 0;
    bool passed = validate->failed == before && tried && json_array_size(validate->steps) > 0;
    (void)json_object_set_new(entry, "passed", json_boolean(passed));
    if (json_array_append_new(json_object_get(validate->report, "tests"), entry) != 0)
        FAIL(ERR_MEMORY, "no memory for the report");
    return ERR_OK;
}

static void stamp(json_t *report, const char *name)
{
    char text[CLOCK_TEXT_LEN + 1];
    clock_text(clock_wall_ms(), text);
    (void)json_object_set_new(report, name, json_string(text));
}

static enum err run_tests(struct validate *validate)
{
    validate->report = json_pack("{s:s, s:s, s:s, s:s, s:[]}", "product", "Keyward", "version",
                                 KEYWARD_VERSION, "module", validate->module, "token_label",
                                 validate->label == NULL ? "" : validate->label, "tests");
    if (validate->report == NULL)
        FAIL(ERR_INVALID, "the path or the token label is not text (UTF-8)");
    stamp(validate->report, "started");
    for (size_t i = 0; i < TESTS; i++)
        TRY(run_test(validate, &tests[i]));
    stamp(validate->report, "ended");
    bool all = true;
    size_t index;
    const json_t *test;
    json_array_foreach(json_object_get(validate->report, "tests"), index, test)
    {
        all = all && json_is_true(json_object_get(test, "passed"));
    }
    (void)json_object_set_new(validate->report, "passed", json_boolean(all));
    return ERR_OK;
}

// The library as the servers will know it; a link stays a link, as a vendor's guide lays it.
static enum err take_module(struct validate *validate)
{
    const char *module = validate->cli->values[OPT_MODULE];
    char here[PATH_MAX] = "";
    if (module == NULL || *module == '\0')
        FAIL(ERR_INVALID,
             "\"keyward hsm validate\" wants --module LIB, the PKCS#11 library's path");
    if (module[0] != '/' && getcwd(here, sizeof here) == NULL)
        FAIL(ERR_INVALID, "the current directory has no name: give --module with a full path");
    int len = snprintf(validate->module, sizeof validate->module, "%s%s%s", here,
                       here[0] != '\0' ? "/" : "", module);
    if (len < 0 || (size_t)len >= sizeof validate->module)
        FAIL(ERR_INVALID, "the path given by --module is too long");
    if (access(validate->module, R_OK) != 0)
        FAIL(ERR_HSM_LIBRARY, "Could Not Load PKCS#11 Library \"%s\": %s", validate->module,
             strerror(errno));
    return ERR_OK;
}

static enum err take_arguments(struct validate *validate)
{
    struct cli *cli = validate->cli;
    if (cli_has(cli, OPT_ROOT))
        FAIL(ERR_INVALID, "\"keyward hsm validate\" does not take --root: it makes servers of its "
                          "own and touches no other");
    TRY(take_module(validate));
    for (size_t i = 0; i < cli->env_count; i++) {
        if (strchr(cli->env[i], '=') == NULL || cli->env[i][0] == '=')
            FAIL(ERR_INVALID, "--env wants NAME=VALUE, not \"%.64s\"", cli->env[i]);
    }
    validate->label = cli->values[OPT_TOKEN_LABEL];
    return validate_report_check(cli);
}

static enum err take_secrets(struct validate *validate)
{
    struct client_secrets secrets;
    TRY(secrets_collect(validate->cli, &secrets));
    validate->credential = secrets.items[0].value;
    return passphrase_make(PHRASE_GROUPS, &validate->phrase);
}

static enum err make_base(struct validate *validate)
{
    const char *out = validate->cli->values[OPT_OUT];
    const char *where = out != NULL ? out : getenv("TMPDIR");
    char template[sizeof validate->base];
    int len = snprintf(template, sizeof template, "%s/keyward-validate-XXXXXX",
                       where == NULL || *where == '\0' ? "/tmp" : where);
    if (len < 0 || (size_t)len >= sizeof template || mkdtemp(template) == NULL)
        return file_raise("make a directory below", where == NULL ? "/tmp" : where);
    if (realpath(template, validate->base) == NULL)
        return file_raise("resolve", template);
    return ERR_OK;
}

static enum err run(struct validate *validate)
{
    struct sigaction stop = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    TRY(take_arguments(validate));
    TRY(take_secrets(validate));
    TRY(make_base(validate));
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGHUP, &stop, NULL);
    enum err err = run_tests(validate);
    remove_servers(validate);
    if (rmdir(validate->base) != 0)
        term_say("\"%s\" was not removed: %s", validate->base, strerror(errno));
    TRY(err);
    TRY(validate_report_write(validate->cli, validate->report));
    if (interrupted != 0)
        FAIL(ERR_CANCELED, "the validation was interrupted");
    if (!json_is_true(json_object_get(validate->report, "passed")))
        FAIL(ERR_HSM_FAILED, "the validation did not pass: see the failed steps in the report");
    return ERR_OK;
}

enum err validate_run(struct cli *cli)
{
    struct validate *validate = calloc(1, sizeof *validate);
    if (validate == NULL)
        FAIL(ERR_MEMORY, "no memory for the validation");
    validate->cli = cli;
    for (size_t i = 0; i < VALIDATE_SERVERS; i++)
        validate->servers[i].cli.root_fd = -1;
    enum err err = run(validate);
    secret_freep(&validate->credential);
    secret_freep(&validate->phrase);
    json_decref(validate->report);
    free(validate);
    return err;
}
