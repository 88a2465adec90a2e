// SPDX-License-Identifier: Apache-2.0
//
// The HTTPS port and the certificate that is shown on it. The port opens once the server is set up,
// which is when it has a certificate and its key.
#ifndef KW_SUPERVISE_HTTPS_H
#define KW_SUPERVISE_HTTPS_H

#include "base/kv.h"
#include "supervise/children.h"

struct https {
    const char *address; // to listen on; NULL: the port stays closed
    bool told_closed;    // that the port could not be opened or given
};

// Reads WEB_LISTEN ("none" keeps the port closed). A server below "/" listens
// on [::]:443 when nothing is set, others not at all. The address is borrowed from `conf`.
MUST_USE enum err https_init(struct https *https, const struct children *all,
                             const struct kv *conf);

// Opens the port when its time has come, and gives it to each web process that runs without it. A
// port that is taken is logged, told in run/keyward/web, and tried again later, as is one that
// cannot be given: HTTPS being closed never keeps keys from being served.
void https_open(struct https *https, struct children *all);

// True while https_open has to be called from time to time.
bool https_waits(const struct https *https, const struct children *all);

#endif
