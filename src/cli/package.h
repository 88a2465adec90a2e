// SPDX-License-Identifier: Apache-2.0
//
// What an enrolled endpoint gets besides key.pem, cert.pem and ca.pem: the same in the forms that
// products read, and a page that says what to paste where.
#ifndef KW_CLI_PACKAGE_H
#define KW_CLI_PACKAGE_H

#include "cli/state.h"

enum { PACKAGE_HOST_MAX = 255 };

// Where clients find the server: --server, else this host's name and the port of keywardd.conf.
struct package_server {
    char host[PACKAGE_HOST_MAX + 1];
    unsigned port;
};

// ERR_INVALID for a --server that is none. Opens the root prefix when it has to be looked into.
MUST_USE enum err package_find_server(struct cli *cli, struct package_server *ret);

// ERR_CONFLICT when the directory has one of the files already.
MUST_USE enum err package_check(int dir, const char *shown);

// Writes all of them, private (mode 0600, directories 0700). `shown` is the directory as people
// name it; it stands in the lines to be pasted.
MUST_USE enum err package_write(int dir, const char *shown, const struct package_server *server,
                                const char *name, struct span key, struct span cert,
                                struct span ca);

#endif
