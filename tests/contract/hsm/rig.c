// SPDX-License-Identifier: Apache-2.0
//
// The part of the rig that both drivers share.
#include "tests/contract/hsm/rig.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"

extern char **environ;

void rig_path(const struct rig *rig, const char *path, char out[RIG_PATH_MAX])
{
    int len = snprintf(out, RIG_PATH_MAX, "%s/%s", rig->dir, path);
    assert_in_range(len, 1, RIG_PATH_MAX - 1);
}

static bool find_below(const char *dir, const char *name, char out[RIG_PATH_MAX])
{
    int len = snprintf(out, RIG_PATH_MAX, "%s/%s", dir, name);
    return len > 0 && len < RIG_PATH_MAX && access(out, F_OK) == 0;
}

void rig_built(const char *name, char out[RIG_PATH_MAX])
{
    static const char *const places[] = {"tests/lib", "src/prog", "tests/contract/hsm"};
    const char *build = getenv("KEYWARD_BUILD");
    assert_non_null(build);
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        char dir[RIG_PATH_MAX];
        assert_true(snprintf(dir, sizeof dir, "%s/%s", build, places[i]) > 0);
        if (find_below(dir, name, out))
            return;
    }
    fail_msg("%s was not built", name);
}

void rig_file(struct rig *rig, const char *path, const char *text, mode_t mode)
{
    char *parent = strdup(path);
    assert_non_null(parent);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        *slash = '\0';
        OK(file_mkdirs(rig->root, parent));
    }
    free(parent);
    OK(file_write(rig->root, path, span_str(text)));
    assert_int_equal(fchmodat(rig->root, path, mode, 0), 0);
}

void rig_run(const char *const *words)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid = 0;
    int failed =
        posix_spawnp(&pid, words[0], &actions, NULL, (char *const *)(uintptr_t)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0)
        fail_msg("could not run %s", words[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("%s failed", words[0]);
}

void rig_token(struct rig *rig, const char *label)
{
    (void)rig;
    const char *const words[] = {"softhsm2-util", "--init-token", "--free",   "--label",   label,
                                 "--pin",         RIG_PIN,        "--so-pin", "sopin5678", NULL};
    rig_run(words);
}

void rig_tool(struct rig *rig, const char *const *options)
{
    (void)rig;
    const char *words[32] = {"pkcs11-tool", "--module", RIG_SOFTHSM, "--token-label",
                             RIG_LABEL,     "--login",  "--pin",     RIG_PIN};
    size_t count = 8;
    for (; *options != NULL && count < COUNT_OF(words) - 1; options++)
        words[count++] = *options;
    rig_run(words);
}

void rig_export(struct rig *rig, const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 65536, false);
    enum err err = file_read(rig->root, PATH_HSM_ENV, 65536, &text);
    assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
    OK(buf_printf(&text, "export %s=\"%s\"\n", name, value));
    OK(buf_put_u8(&text, 0));
    rig_file(rig, PATH_HSM_ENV, (const char *)text.data, 0600);
}

// A directory of its own, so that a running hsmd, which may open what is in there but makes no new
// way to files beside its root, sees what is put there later.
#define SHIM "shim"

void rig_shim(struct rig *rig, const char *words)
{
    static const char *const fresh[] = {SHIM "/control.counts", SHIM "/trace", SHIM "/control.new"};
    for (size_t i = 0; i < COUNT_OF(fresh); i++)
        rig_file(rig, fresh[i], i == 2 ? words : "", 0600);
    assert_int_equal(renameat(rig->root, SHIM "/control.new", rig->root, SHIM "/control"), 0);
}

size_t rig_calls(struct rig *rig, const char *function)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 16 * 1024 * 1024, false);
    OK(file_read(rig->root, SHIM "/trace", 16 * 1024 * 1024, &text));
    OK(buf_put_u8(&text, 0));
    size_t count = 0;
    char *rest = (char *)text.data;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
        count += strcmp(line, function) == 0;
    return count;
}

static void make_token_dir(struct rig *rig)
{
    char path[RIG_PATH_MAX];
    char text[2 * RIG_PATH_MAX];
    OK(file_mkdirs(rig->root, "tokens"));
    assert_true(snprintf(text, sizeof text,
                         "directories.tokendir = %s/tokens\nobjectstore.backend = file\n"
                         "log.level = ERROR\nslots.removable = false\n",
                         rig->dir) > 0);
    rig_file(rig, "softhsm2.conf", text, 0600);
    rig_path(rig, "softhsm2.conf", path);
    rig_export(rig, "SOFTHSM2_CONF", path);
}

int rig_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    strcpy(rig->dir, "/tmp/keyward-hsm-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    OK(file_open_dir(rig->dir, &rig->root));
    OK(file_mkdirs(rig->root, SHIM));
    make_token_dir(rig);
    rig_token(rig, RIG_LABEL);
    char path[RIG_PATH_MAX];
    rig_export(rig, "KWSHIM_MODULE", RIG_SOFTHSM);
    rig_path(rig, SHIM "/control", path);
    rig_export(rig, "KWSHIM_CONTROL", path);
    rig_path(rig, SHIM "/trace", path);
    rig_export(rig, "KWSHIM_TRACE", path);
    rig_shim(rig, "");
    rig_driver_root(rig->dir);
    OK(hsm_settings_load(rig->root, &rig->settings));
    OK(hsm_settings_choose(rig->root, NULL, true, RIG_LABEL, &rig->settings));
    rig_built("keyward-test-shim.so", path);
    assert_true(strlen(path) <= HSM_LIBRARY_MAX);
    memcpy(rig->settings.library, path, strlen(path) + 1);
    *state = rig;
    return 0;
}

int rig_down(void **state)
{
    struct rig *rig = (struct rig *)*state;
    const char *const words[] = {"rm", "-rf", "--one-file-system", rig->dir, NULL};
    rig_run(words);
    (void)close(rig->root);
    free(rig);
    return 0;
}

enum err rig_open(struct rig *rig, struct hsm **ret)
{
    return hsm_open(rig->root, &rig->settings, span_str(RIG_PIN), "test", ret);
}

void rig_hang(struct rig *rig, const char *function, enum err (*act)(struct rig *, void *),
              void *arg)
{
    char words[64];
    assert_true(snprintf(words, sizeof words, "hang=%s:1", function) > 0);
    for (int i = 0; i < RIG_TRIES; i++) {
        rig_shim(rig, words);
        FAILS(ERR_HSM_TIMEOUT, act(rig, arg));
        if (strstr(err_detail(), function) != NULL)
            return;
    }
    assert_true(rig_says(function));
}

bool rig_says(const char *text)
{
    if (strstr(err_detail(), text) != NULL)
        return true;
    print_error("the detail is: %s\n", err_detail());
    return false;
}
