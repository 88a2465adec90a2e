// SPDX-License-Identifier: Apache-2.0
//
// TLS identities that change while the server runs. Files below var/lib/keyward/tls are watched;
// when they have changed, keys, certificates and authorities are handed out again to the processes
// that show them, so that new connections get the new ones and open connections go on.
#ifndef KW_SUPERVISE_IDENTITY_H
#define KW_SUPERVISE_IDENTITY_H

#include "supervise/children.h"

// Begins to watch. The descriptor is readable when something has changed.
MUST_USE enum err identity_watch(int root, int *ret_watch);

// Call when it is readable. Nothing is handed out while a key is staged beside the one in force:
// the engine that staged it is in the middle of changing key and certificate (ops/tlsfile.h).
void identity_look(int watch, struct children *all);

#endif
