// SPDX-License-Identifier: Apache-2.0
//
// The files that the fronts and the web process read: key and certificate of the KMIP port and, if
// it has its own, of the console, and the authorities of client certificates. What they are to hold
// is committed in the store, with its audit record; the files follow, and catch up after a kill.
//
// Key and certificate change together though they are two files: a new key is staged beside the
// old one before the commit, the certificate's rename decides which of the two counts, and the
// staged key takes its place after that.
#ifndef KW_OPS_TLSFILE_H
#define KW_OPS_TLSFILE_H

#include "ops/context.h"

enum tlsfile { TLSFILE_SERVER, TLSFILE_CONSOLE, TLSFILE_COUNT };

// Settings that ops/sealed.h keeps: keys that wait for a certificate signed outside.
#define CA_PENDING_KEY          "ca-new.key"
#define TLSFILE_PENDING_SERVER  "tls.server.new"
#define TLSFILE_PENDING_CONSOLE "tls.console.new"

// "server", "console"
const char *tlsfile_name(enum tlsfile which);
// Under whose name certificates of ours are noted in the store.
const struct uuid *tlsfile_holder(enum tlsfile which);
bool tlsfile_is_holder(const struct uuid *id);

// The certificate with all above it (PEM), as the store has it. ERR_NOT_FOUND.
MUST_USE enum err tlsfile_chain(struct ops *ops, struct arena *arena, enum tlsfile which,
                                struct span *ret);

// Within the writer's transaction, as the last that an operation does: stages the key and notes the
// certificate. The files change after the commit.
MUST_USE enum err tlsfile_put(struct op *op, enum tlsfile which, struct span key,
                              struct span chain);
// The console goes back to the server's.
MUST_USE enum err tlsfile_drop(struct op *op, enum tlsfile which);

// Brings the files to what the store says, outside a transaction. What cannot be done is logged,
// and tried again after the next change or start.
void tlsfile_settle(struct ops *ops);

bool tlsfile_exists(const struct ops *ops);

#endif
