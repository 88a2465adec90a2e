// SPDX-License-Identifier: Apache-2.0
//
// Invariant: a list returned by hsm_env_load holds no name of the table below and no directory of
// LD_LIBRARY_PATH that is not absolute, so that what runs in hsmd is Keyward's binary, the system's
// libraries and what the administrator named by a full path.
#include "hsm/hsm_env.h"

#include <stdlib.h>

#include "base/kv.h"
#include "base/paths.h"

struct refusal {
    const char *name;
    bool prefix;
    const char *why;
};

static const struct refusal refusals[] = {
    {"LD_", true, "it changes how programs are loaded; of these only LD_LIBRARY_PATH may be set"},
    {"GLIBC_TUNABLES", false, "it changes the C library's safety checks"},
    {"MALLOC_", true, "it changes the C library's memory checks"},
    {"GCONV_PATH", false, "it makes the C library load code"},
    {"GETCONF_DIR", false, "it makes the C library run programs"},
    {"LOCPATH", false, "it makes the C library read files of its choice"},
    {"NLSPATH", false, "it makes the C library read files of its choice"},
    {"HOSTALIASES", false, "it changes how host names are looked up"},
    {"LOCALDOMAIN", false, "it changes how host names are looked up"},
    {"RESOLV_", true, "it changes how host names are looked up"},
    {"RES_OPTIONS", false, "it changes how host names are looked up"},
    {"PATH", false, "the library must name what it runs by a full path"},
    {"IFS", false, "it changes how a shell reads its input"},
    {"ENV", false, "it makes a shell run a file"},
    {"BASH_", true, "it makes a shell run a file"},
    {"SHELLOPTS", false, "it changes how a shell works"},
    {"PS4", false, "it makes a shell run commands"},
    {"OPENSSL_", true, "it makes OpenSSL load code or files of its choice"},
    {"SSLKEYLOGFILE", false, "it writes the keys of TLS connections to a file"},
    {"ASAN_OPTIONS", false, "it changes the memory checks of a test build"},
    {"LSAN_OPTIONS", false, "it changes the memory checks of a test build"},
    {"UBSAN_OPTIONS", false, "it changes the memory checks of a test build"},
};

static const struct refusal *refusal_find(const char *name)
{
    if (strcmp(name, "LD_LIBRARY_PATH") == 0)
        return NULL;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct refusal *refusal = &refusals[i];
        size_t len = strlen(refusal->name);
        if (refusal->prefix ? strncmp(name, refusal->name, len) == 0
                            : strcmp(name, refusal->name) == 0)
            return refusal;
    }
    return NULL;
}

// Every directory of LD_LIBRARY_PATH must be absolute: an empty or relative one means the current
// directory.
static enum err check_library_path(const char *value)
{
    for (const char *at = value;;) {
        if (*at != '/')
            FAIL(ERR_CONFIG,
                 "\"%s\": each directory of LD_LIBRARY_PATH must start with '/': \"%.200s\"",
                 PATH_HSM_ENV, value);
        at = strchr(at, ':');
        if (at == NULL)
            return ERR_OK;
        at++;
    }
}

// A zone's name is fine, a file of somebody's choice is not.
static enum err check_zone(const char *value)
{
    if (value[0] == ':' || value[0] == '/' || strstr(value, "..") != NULL)
        FAIL(ERR_CONFIG, "\"%s\": TZ must be the name of a time zone, not the path \"%.200s\"",
             PATH_HSM_ENV, value);
    return ERR_OK;
}

static enum err check_pair(const char *name, const char *value)
{
    const struct refusal *refusal = refusal_find(name);
    if (refusal != NULL)
        FAIL(ERR_CONFIG, "\"%s\" may not set %s: %s; remove the line", PATH_HSM_ENV, name,
             refusal->why);
    if (strcmp(name, "LD_LIBRARY_PATH") == 0)
        return check_library_path(value);
    if (strcmp(name, "TZ") == 0)
        return check_zone(value);
    return ERR_OK;
}

void hsm_env_free(char **env)
{
    for (char **at = env; at != NULL && *at != NULL; at++)
        free(*at);
    free(env);
}

void hsm_env_freep(char ***env)
{
    hsm_env_free(*env);
    *env = NULL;
}

enum err hsm_env_load(int root, char ***ret_env)
{
    CLEANUP(kv_freep) struct kv *kv = NULL;
    TRY(kv_load_private(root, PATH_HSM_ENV, &kv));
    CLEANUP(hsm_env_freep) char **env = calloc(KV_LINES_MAX + 1, sizeof *env);
    if (env == NULL)
        FAIL(ERR_MEMORY, "no memory for the library's environment");
    const char *name;
    const char *value;
    for (size_t i = 0; i < KV_LINES_MAX && kv_at(kv, i, &name, &value); i++) {
        TRY(check_pair(name, value));
        struct buf pair CLEANUP(buf_done);
        buf_init(&pair, KV_FILE_LIMIT, false);
        TRY(buf_printf(&pair, "%s=%s", name, value));
        TRY(span_strdup(span_buf(&pair), &env[i]));
    }
    *ret_env = env;
    env = NULL;
    return ERR_OK;
}
