// SPDX-License-Identifier: Apache-2.0
//
// Secrets from people: a private file, standard input, or a prompt.
#ifndef KW_CLI_SECRETS_H
#define KW_CLI_SECRETS_H

#include "cli/client.h"

enum { SECRET_FILE_MAX = 1024, MATERIAL_FILE_MAX = 700 * 1024 };

// The field that holds what is imported. Unless --encoding says otherwise its file may hold any
// bytes, and is sent in base64.
#define SECRETS_MATERIAL "material"

// Reads a secret from `path`: a regular file of ours, no link, mode 0600 or stricter, not empty, or
// standard input for "-". One newline at the end is taken off. ERR_FILE_MODE names file and mode;
// ERR_INVALID.
MUST_USE enum err secrets_read(const char *path, struct secret **ret);

// All secrets of the command: those given by option, and those that the command asks for. Without a
// terminal a missing one is ERR_INVALID that names its option. Caller: client_secrets_done.
MUST_USE enum err secrets_collect(const struct cli *cli, struct client_secrets *ret);

// Makes a new private file, empty and open. ERR_CONFLICT when there is one already. Until
// secrets_finish an interrupt removes it again; one at a time.
MUST_USE enum err secrets_create(int dir, const char *path, int *ret_fd);

// Closes it. It stays, on the disk, when `err` is ERR_OK and nothing fails here, and is removed
// otherwise. Gives `err`, or what failed here.
MUST_USE enum err secrets_finish(int *fd, enum err err);

// Writes a new private file. ERR_CONFLICT when there is one already; never overwrites.
MUST_USE enum err secrets_write_new(int dir, const char *path, struct span bytes);

#endif
