// SPDX-License-Identifier: Apache-2.0
//
// cli/input.h: a file of --from-json becomes document and address, options win over it, and what
// does not belong in it is refused by name.
#include "cli/input.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/run.h"

#include "tests/unit/check.h"

enum { WORDS_MAX = 12 };

static char path[] = "/tmp/keyward-input-XXXXXX";

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static enum err read_input(const char *text, const char *const words[WORDS_MAX], struct cli *cli)
{
    char *argv[WORDS_MAX + 4] = {(char *)(uintptr_t) "keyward"};
    int argc = 1;
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    for (int i = 0; words[i] != NULL; i++)
        argv[argc++] = (char *)(uintptr_t)words[i];
    argv[argc++] = (char *)(uintptr_t) "--from-json";
    argv[argc++] = path;
    OK(args_parse(argc, argv, cli));
    return input_read(cli);
}

static void a_form_becomes_document_and_address(void **state)
{
    (void)state;
    static const struct {
        const char *words[WORDS_MAX];
        const char *text, *path, *doc;
    } cases[] = {
        {{"wallet", "grant"},
         "{\"service\":{\"category\":\"wallet\",\"action\":\"grant\",\"options\":{\"name\":\"a b\","
         "\"endpoint\":\"db1\",\"access\":\"read-only\",\"manage\":\"true\"}}}",
         "/wallets/a%20b:grant",
         "{\"access\":\"read-only\",\"endpoint\":\"db1\",\"manage\":true}"},
        {{"wallet", "grant", "other", "--endpoint", "db2"},
         "{\"name\":\"a\",\"endpoint\":\"db1\",\"access\":\"read-only\"}",
         "/wallets/other:grant",
         "{\"access\":\"read-only\",\"endpoint\":\"db2\"}"},
        {{"key", "create"}, "{\"length\":\"128\"}", "/keys", "{\"length\":128}"},
        {{"wallet", "add", "w"}, "{\"object\":\"1\"}", "/wallets/w:add", "{\"object\":\"1\"}"},
        {{"key", "list"}, "{\"limit\":5}", "/keys?limit=5", "{}"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cli cli;
        CLEANUP(json_freep) json_t *doc = NULL;
        struct buf address CLEANUP(buf_done);
        buf_init(&address, 1024, false);
        OK(read_input(cases[i].text, cases[i].words, &cli));
        OK(run_path(&cli, &address));
        assert_string_equal((const char *)address.data, cases[i].path);
        OK(run_document(&cli, &doc));
        char *text = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);
        assert_string_equal(text, cases[i].doc);
        free(text);
        json_decref(cli.input);
    }
}

static void what_does_not_belong_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words[WORDS_MAX];
        const char *text, *says;
    } cases[] = {
        {{"wallet", "grant"}, "{\"access\":\"#read-only|read-modify\"}", "not filled in"},
        {{"wallet", "grant"}, "{\"colour\":\"red\"}", "\"colour\""},
        {{"hsm", "initialize"}, "{\"credential\":\"geheim\"}", "--credential-file"},
        {{"wallet", "grant"}, "[]", "no JSON object"},
        {{"wallet", "grant"}, "{\"name\":\"a\",\"name\":\"b\"}", "not valid JSON"},
        {{"wallet", "grant"}, "{\"service\":{}}", "no \"options\""},
        {{"wallet", "grant"},
         "{\"service\":{\"category\":\"key\",\"action\":\"create\",\"options\":{}}}",
         "a form of \"key create\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cli cli;
        FAILS(ERR_INVALID, read_input(cases[i].text, cases[i].words, &cli));
        assert_non_null(strstr(err_detail(), cases[i].says));
        assert_null(strstr(err_detail(), "geheim"));
    }
}

static void a_path_without_its_name_is_refused(void **state)
{
    (void)state;
    struct cli cli;
    struct buf address CLEANUP(buf_done);
    static const char *const words[WORDS_MAX] = {"wallet", "show"};
    buf_init(&address, 1024, false);
    OK(read_input("{}", words, &cli));
    FAILS(ERR_INVALID, run_path(&cli, &address));
    assert_non_null(strstr(err_detail(), "\"name\" is missing"));
    json_decref(cli.input);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_form_becomes_document_and_address),
        cmocka_unit_test(what_does_not_belong_is_refused),
        cmocka_unit_test(a_path_without_its_name_is_refused),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
