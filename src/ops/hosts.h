// SPDX-License-Identifier: Apache-2.0
//
// The names by which clients reach the server, as they stand in a certificate.
#ifndef KW_OPS_HOSTS_H
#define KW_OPS_HOSTS_H

#include "crypto/pki.h"
#include "ops/doc.h"

struct hosts {
    const char *names[PKI_HOSTS_MAX];
    size_t count;
};

// The list in a document's field, borrowed from it; absent: none. ERR_INVALID names what is no host
// name and no address.
MUST_USE enum err hosts_take(const json_t *doc, const char *field, struct hosts *ret);

// Those that a certificate (PEM) is for, in the arena.
MUST_USE enum err hosts_of(struct arena *arena, struct span cert_pem, struct hosts *ret);

// As JSON; NULL without memory.
json_t *hosts_json(const struct hosts *hosts);

#endif
