// SPDX-License-Identifier: Apache-2.0
//
// cli: the command line is read strictly, each command's table row is sound, and options become the
// document and the address that the server wants.
#include <stdlib.h>

#include "base/problem.h"
#include "cli/args.h"
#include "cli/run.h"

#include "tests/unit/check.h"

enum { WORDS_MAX = 10 };

static enum err parse(const char *const words[WORDS_MAX], struct cli *cli)
{
    char *argv[WORDS_MAX + 2] = {(char *)(uintptr_t) "keyward"};
    int argc = 1;
    for (; argc <= WORDS_MAX && words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    return args_parse(argc, argv, cli);
}

static void good_lines_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *words[WORDS_MAX];
        const char *noun, *verb, *name;
    } cases[] = {
        {{"hsm", "status"}, "hsm", "status", NULL},
        {{"key", "show", "x"}, "key", "show", "x"},
        {{"--root", "/tmp", "key", "show", "x"}, "key", "show", "x"},
        {{"key", "show", "x", "--root=/tmp", "-o", "json"}, "key", "show", "x"},
        {{"key", "show", "--", "-x"}, "key", "show", "-x"},
        {{"key", "create"}, "key", "create", NULL},
        {{"key", "create", "demo"}, "key", "create", "demo"},
        {{"status"}, "status", NULL, NULL},
        {{"api", "GET", "/hsm"}, "api", NULL, "GET"},
        {{"help", "hsm", "initialize"}, "help", NULL, "hsm"},
        {{"--version"}, "version", NULL, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cli cli;
        OK(parse(cases[i].words, &cli));
        assert_string_equal(cli.command->noun, cases[i].noun);
        if (cases[i].verb != NULL)
            assert_string_equal(cli.command->verb, cases[i].verb);
        if (cases[i].name != NULL)
            assert_string_equal(cli.names[0], cases[i].name);
        else
            assert_int_equal(cli.name_count, 0);
    }
}

static void wrong_usage_is_refused_with_status_2(void **state)
{
    (void)state;
    static const struct {
        const char *words[WORDS_MAX];
        const char *says;
    } cases[] = {
        {{"kye"}, "did you mean \"key\""},
        {{"xyzzy"}, "keyward help"},
        {{"hsm", "initialise"}, "did you mean \"hsm initialize\""},
        {{"hsm", "xyzzy"}, "keyward help hsm"},
        {{"key", "show"}, "wants ID"},
        {{"key", "show", "a", "b"}, "\"b\""},
        {{"key", "list", "a"}, "\"a\""},
        {{"api", "GET"}, "METHOD PATH"},
        {{"api", "GET", "/x", "y"}, "\"y\""},
        {{"key", "list", "--nope"}, "\"--nope\""},
        {{"key", "list", "--nope=geheim"}, "\"--nope\""},
        {{"key", "list", "-x"}, "no option"},
        {{"key", "list", "--limit"}, "wants a value"},
        {{"key", "list", "--limit", "1", "--limit", "2"}, "twice"},
        {{"key", "list", "--lim", "1"}, "--limit"},
        {{"key", "list", "--lim=1"}, "--limit"},
        {{"key", "list", "--token-label", "x"}, "does not take --token-label"},
        {{"key", "list", "-o", "xml"}, "\"xml\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cli cli;
        enum err err = parse(cases[i].words, &cli);
        assert_int_equal(err, ERR_INVALID);
        assert_int_equal(err_info(err)->exit_status, 2);
        assert_non_null(strstr(err_detail(), cases[i].says));
        assert_null(strstr(err_detail(), "geheim"));
    }
}

static void secrets_as_arguments_are_refused_and_not_repeated(void **state)
{
    (void)state;
    static const char *const options[] = {"--credential",
                                          "--recovery-passphrase",
                                          "--new-recovery-passphrase",
                                          "--pin",
                                          "--hsm-pin",
                                          "--password",
                                          "--passphrase",
                                          "--token",
                                          "--credential=geheim"};
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        struct cli cli;
        const char *words[WORDS_MAX] = {"hsm", "initialize", options[i], "geheim"};
        FAILS(ERR_INVALID, parse(words, &cli));
        assert_non_null(strstr(err_detail(), "refused"));
        assert_null(strstr(err_detail(), "geheim"));
    }
}

static void secrets_in_the_environment_are_refused_and_not_repeated(void **state)
{
    (void)state;
    static const char *const names[] = {"KEYWARD_CREDENTIAL", "KEYWARD_RECOVERY_PASSPHRASE",
                                        "KEYWARD_PIN", "KEYWARD_TOKEN"};
    static const char *const words[WORDS_MAX] = {"hsm", "status"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct cli cli;
        assert_int_equal(setenv(names[i], "geheim", 1), 0);
        FAILS(ERR_INVALID, parse(words, &cli));
        assert_non_null(strstr(err_detail(), names[i]));
        assert_null(strstr(err_detail(), "geheim"));
        assert_int_equal(unsetenv(names[i]), 0);
        OK(parse(words, &cli));
    }
}

static void the_root_comes_from_option_then_environment_then_slash(void **state)
{
    (void)state;
    struct cli cli;
    static const char *const plain[WORDS_MAX] = {"status"};
    static const char *const given[WORDS_MAX] = {"status", "--root", "/a"};
    assert_int_equal(unsetenv("KEYWARD_ROOT"), 0);
    OK(parse(plain, &cli));
    assert_string_equal(cli.root, "/");
    assert_int_equal(setenv("KEYWARD_ROOT", "/b", 1), 0);
    OK(parse(plain, &cli));
    assert_string_equal(cli.root, "/b");
    OK(parse(given, &cli));
    assert_string_equal(cli.root, "/a");
    assert_int_equal(unsetenv("KEYWARD_ROOT"), 0);
}

static void rows_of_the_table_are_sound(void **state)
{
    (void)state;
    const struct command *row;
    for (unsigned i = 0; (row = commands_at(i)) != NULL; i++) {
        assert_non_null(row->summary);
        assert_true(row->run != NULL || row->path != NULL);
        for (const struct use *use = row->uses; use != NULL && use->field != NULL; use++) {
            assert_true(use->option >= OPT_OWN_COUNT && use->option < OPT_COUNT);
            assert_true(use->flags == 0 || use->kind == FIELD_SECRET);
            assert_ptr_equal(commands_use(row, use->option), use);
        }
        assert_ptr_equal(commands_find(row->noun, row->verb), row);
        bool needs_name = row->path != NULL && strchr(row->path, '{') != NULL;
        assert_true(!needs_name || (row->names != NULL && row->names[0] != '['));
    }
}

static void options_become_document_and_address(void **state)
{
    (void)state;
    static const struct {
        const char *words[WORDS_MAX];
        const char *path, *doc;
    } cases[] = {
        {{"key", "create", "demo", "--length", "128", "--algorithm=AES"},
         "/keys",
         "{\"algorithm\":\"AES\",\"length\":128,\"name\":\"demo\"}"},
        {{"key", "show", "a b/c:d"}, "/keys/a%20b%2Fc%3Ad", "{}"},
        {{"key", "list", "--limit", "5", "--cursor", "x&y"}, "/keys?limit=5&cursor=x%26y", "{}"},
        {{"hsm", "initialize", "--token-label", "T", "--vendor", "V", "--dry-run"},
         "/hsm:initialize?dry_run=true",
         "{\"token_label\":\"T\",\"use_token_label\":true,\"vendor\":\"V\"}"},
        {{"endpoint", "enroll", "db1"}, "/endpoints/db1:enroll", "{}"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cli cli;
        CLEANUP(json_freep) json_t *doc = NULL;
        struct buf path CLEANUP(buf_done);
        buf_init(&path, 1024, false);
        OK(parse(cases[i].words, &cli));
        OK(run_path(&cli, &path));
        assert_string_equal((const char *)path.data, cases[i].path);
        OK(run_document(&cli, &doc));
        char *text = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);
        assert_string_equal(text, cases[i].doc);
        free(text);
    }
    struct cli cli;
    json_t *doc = NULL;
    static const char *const bad[WORDS_MAX] = {"key", "create", "--length", "many"};
    OK(parse(bad, &cli));
    FAILS(ERR_INVALID, run_document(&cli, &doc));
}

static void problems_become_errors_with_their_exit_status(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum err err;
        int exit_status;
        bool unsure;
    } cases[] = {
        {404, "{\"type\":\"/problems/not-found\",\"detail\":\"no\",\"changed\":false}",
         ERR_NOT_FOUND, 5, false},
        {422, "{\"type\":\"/problems/hsm/pin\",\"detail\":\"no\",\"changed\":false}", ERR_HSM_PIN,
         8, false},
        {409, "{\"type\":\"/problems/busy\",\"detail\":\"no\",\"changed\":false}", ERR_BUSY, 6,
         false},
        {503, "{\"type\":\"/problems/unavailable\",\"detail\":\"no\"}", ERR_UNAVAILABLE, 7, true},
        {403, "{\"type\":\"/problems/from-the-future\",\"detail\":\"no\",\"changed\":false}",
         ERR_NOT_PERMITTED, 4, false},
        {504, "<html>", ERR_TIMEOUT, 9, true},
        {401, "{}", ERR_AUTHENTICATION, 3, true},
        {400, "[]", ERR_INVALID, 2, true},
        {500, "", ERR_INTERNAL, 1, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cli cli = {.root_fd = -1};
        enum err err = client_problem(&cli, cases[i].status, span_str(cases[i].body));
        assert_int_equal(err, cases[i].err);
        assert_int_equal(err_info(err)->exit_status, cases[i].exit_status);
        assert_int_equal(cli.unsure, cases[i].unsure);
        json_decref(cli.problem);
    }
}

static void each_error_has_a_type_that_leads_back_to_it(void **state)
{
    (void)state;
    for (int code = ERR_OK + 1; code < ERR_COUNT; code++) {
        char type[PROBLEM_TYPE_MAX];
        problem_type((enum err)code, type);
        assert_int_equal(problem_code(type), code);
    }
    assert_int_equal(problem_code("about:blank"), ERR_OK);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines_are_understood),
        cmocka_unit_test(wrong_usage_is_refused_with_status_2),
        cmocka_unit_test(secrets_as_arguments_are_refused_and_not_repeated),
        cmocka_unit_test(secrets_in_the_environment_are_refused_and_not_repeated),
        cmocka_unit_test(the_root_comes_from_option_then_environment_then_slash),
        cmocka_unit_test(rows_of_the_table_are_sound),
        cmocka_unit_test(options_become_document_and_address),
        cmocka_unit_test(problems_become_errors_with_their_exit_status),
        cmocka_unit_test(each_error_has_a_type_that_leads_back_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
