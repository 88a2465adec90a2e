// SPDX-License-Identifier: Apache-2.0
//
// What an enrolled endpoint gets: key, certificate and authorities, the same in the forms that
// products read, and a page that says what to paste where. The command line writes the files into a
// directory, the server into an archive (tar.h); what is in them is decided here alone.
#ifndef KW_PACKAGE_PACKAGE_H
#define KW_PACKAGE_PACKAGE_H

#include "base/buf.h"

enum {
    PACKAGE_HOST_MAX = 255,
    PACKAGE_DIRECTORY_MAX = 1024,
    PACKAGE_PORT = 5696,            // of KMIP, where nothing else is said
    PACKAGE_BYTES_MAX = 1024 * 1024 // of all files together
};

// Where clients find the server. The host has no brackets, an IPv6 address neither.
struct package_server {
    char host[PACKAGE_HOST_MAX + 1];
    unsigned port;
};

struct package {
    const char *name;      // of the endpoint
    const char *directory; // full path where the files lie at the client; package_check_directory
    struct package_server server;
    bool made_by_server;   // the key, which the page then says
    struct span key, cert; // PEM
    struct span ca;        // PEM, all authorities that the client is to trust
};

// Takes one file, whose path is relative, its bytes borrowed. A path with a '/' at its end is a
// directory, and comes before what lies in it.
typedef enum err (*package_put)(void *context, const char *path, struct span bytes);

// Hands out all files, key.pem, cert.pem and ca.pem first. Takes a tenth of a second. ERR_INVALID,
// ERR_CRYPTOGRAPHIC, or what `put` gives.
MUST_USE enum err package_make(const struct package *package, package_put put, void *context);

// The names that package_make uses in its directory, by number; NULL past the end.
const char *package_name(size_t index);

// "HOST" or "HOST:PORT", an IPv6 address in brackets. Without a port *ret has the one that it had.
// ERR_INVALID.
MUST_USE enum err package_take_server(struct span text, struct package_server *ret);

// "PORT". ERR_INVALID.
MUST_USE enum err package_take_port(struct span text, unsigned *ret);

// The port of "ADDR:PORT", as keywardd.conf has it; `fallback` where it says none.
unsigned package_port_of(const char *address, unsigned fallback);

// ERR_INVALID for a path that is not full, too long, or has characters that the lines to be pasted
// (INI, YAML, JSON, SQL) would take for something else.
MUST_USE enum err package_check_directory(struct span path);

#endif
