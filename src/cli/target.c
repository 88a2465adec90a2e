// SPDX-License-Identifier: Apache-2.0
//
// A profile's files are read anew by each command: whoever removes them has signed out.
#include "cli/target.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/kv.h"
#include "cli/client.h"
#include "cli/secrets.h"

// An option, else what the environment says, else NULL.
static const char *said(const struct cli *cli, enum opt option, const char *variable)
{
    if (cli_has(cli, option))
        return cli->values[option];
    const char *value = getenv(variable);
    return value != NULL && *value != '\0' ? value : NULL;
}

static const char *address_of(const struct cli *cli)
{
    return said(cli, OPT_ADDRESS, "KEYWARD_ADDR");
}

static const char *profile_of(const struct cli *cli)
{
    return said(cli, OPT_PROFILE, "KEYWARD_PROFILE");
}

static bool means_root(const struct cli *cli)
{
    return cli_has(cli, OPT_ROOT) || getenv("KEYWARD_ROOT") != NULL;
}

enum err target_path(const char *profile, const char *ending, char out[TARGET_PATH_MAX])
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    bool own = config != NULL && config[0] == '/';
    if (!own && (home == NULL || home[0] != '/'))
        FAIL(ERR_INVALID, "there is no home directory to keep profiles in: set HOME");
    int len = snprintf(out, TARGET_PATH_MAX, "%s%s/keyward/%s%s", own ? config : home,
                       own ? "" : "/.config", profile, ending);
    if (len < 0 || len >= TARGET_PATH_MAX)
        FAIL(ERR_INVALID, "the path of the home directory is too long");
    return ERR_OK;
}

enum err target_profile(const struct cli *cli, const char **ret)
{
    const char *name = profile_of(cli);
    *ret = name == NULL ? TARGET_DEFAULT : name;
    size_t plain = strspn(*ret, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    if (plain == 0 || plain > TARGET_NAME_MAX || (*ret)[plain] != '\0')
        FAIL(ERR_INVALID,
             "\"%.64s\" is no name of a profile: use 1 to %d letters, digits, \"-\" and \"_\"",
             *ret, TARGET_NAME_MAX);
    return ERR_OK;
}

// The default profile is meant where nothing else is: a machine with a server of its own has no
// need to say so.
static bool has_default(const struct cli *cli)
{
    char path[TARGET_PATH_MAX];
    if (means_root(cli) || target_path(TARGET_DEFAULT, ".conf", path) != ERR_OK)
        return false;
    return access(path, F_OK) == 0;
}

bool target_is_remote(const struct cli *cli)
{
    return address_of(cli) != NULL || profile_of(cli) != NULL || has_default(cli);
}

static enum err show_token(const char *path, struct http *http)
{
    CLEANUP(secret_freep) struct secret *token = NULL;
    TRY(secrets_read(path, &token));
    return http_show_token(http, token);
}

static enum err open_address(const struct cli *cli, const char *address, struct http **ret)
{
    CLEANUP(http_freep) struct http *http = NULL;
    const char *token = said(cli, OPT_API_TOKEN_FILE, "KEYWARD_TOKEN_FILE");
    TRY(http_open_remote(address, said(cli, OPT_CA_FILE, "KEYWARD_CA_FILE"), &http));
    if (token != NULL)
        TRY(show_token(token, http));
    *ret = http;
    http = NULL;
    return ERR_OK;
}

static enum err open_profile(const char *name, struct http **ret)
{
    CLEANUP(kv_freep) struct kv *conf = NULL;
    CLEANUP(http_freep) struct http *http = NULL;
    char path[TARGET_PATH_MAX];
    char ca[TARGET_PATH_MAX];
    TRY(target_path(name, ".conf", path));
    TRY(target_path(name, ".ca.pem", ca));
    TRY(kv_load_private(AT_FDCWD, path, &conf));
    const char *address = kv_get(conf, "ADDRESS", NULL);
    if (address == NULL)
        FAIL(ERR_AUTHENTICATION, "there is no profile \"%s\": sign in with \"keyward login\"",
             name);
    TRY(http_open_remote(address, access(ca, F_OK) == 0 ? ca : NULL, &http));
    TRY(target_path(name, ".token", path));
    if (access(path, F_OK) != 0)
        FAIL(ERR_AUTHENTICATION, "you are signed out of \"%s\": sign in with \"keyward login\"",
             address);
    TRY(show_token(path, http));
    *ret = http;
    http = NULL;
    return ERR_OK;
}

enum err target_open(struct cli *cli)
{
    const char *address = address_of(cli);
    const char *profile = NULL;
    bool remote = target_is_remote(cli);
    if (cli->http != NULL)
        return ERR_OK;
    if (remote && cli_has(cli, OPT_ROOT))
        FAIL(ERR_INVALID, "--root means a server of this machine, an address or a profile another "
                          "one: give one of them");
    if (!remote || cli_has(cli, OPT_ROOT)) {
        TRY(client_open_root(cli));
        return http_open_local(cli->root_fd, &cli->http);
    }
    if (address != NULL)
        return open_address(cli, address, &cli->http);
    TRY(target_profile(cli, &profile));
    return open_profile(profile, &cli->http);
}
