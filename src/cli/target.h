// SPDX-License-Identifier: Apache-2.0
//
// Which server a command asks: the one below a root prefix of this machine, over its local socket,
// or one at an address, over HTTPS, with an API token. The latter by options, by the environment
// (KEYWARD_ADDR, KEYWARD_CA_FILE, KEYWARD_TOKEN_FILE, KEYWARD_PROFILE), or by a profile that
// `keyward login` has made below ~/.config/keyward: NAME.conf, NAME.ca.pem, NAME.token, all 0600.
// Options win over the environment; a root prefix and an address together are refused.
#ifndef KW_CLI_TARGET_H
#define KW_CLI_TARGET_H

#include "cli/http.h"
#include "cli/state.h"

enum { TARGET_NAME_MAX = 64, TARGET_PATH_MAX = 4096 };
#define TARGET_DEFAULT "default"

// Opens the way to the server that the command means, as cli->http, and the root prefix where it is
// one of this machine.
MUST_USE enum err target_open(struct cli *cli);

// Whether the command means a server at an address.
bool target_is_remote(const struct cli *cli);

// The profile that the command means, "default" unless it says another. ERR_INVALID for a name that
// is no file's name.
MUST_USE enum err target_profile(const struct cli *cli, const char **ret);

// The path of a profile's file with this ending. ERR_INVALID without a home directory.
MUST_USE enum err target_path(const char *profile, const char *ending, char out[TARGET_PATH_MAX]);

#endif
