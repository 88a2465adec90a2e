// SPDX-License-Identifier: Apache-2.0
//
// The server's own certificate authority: its key lies sealed in the store, its certificate and the
// server's in the files that the fronts read.
#ifndef KW_OPS_CA_H
#define KW_OPS_CA_H

#include "ops/context.h"

enum { CA_DAYS = 3650, CA_SERVER_DAYS = 825, CA_CLIENT_DAYS = 825, CA_PEM_MAX = 64 * 1024 };

struct ca {
    struct span key;  // PEM, clear, in the arena
    struct span cert; // PEM
};

// ERR_NOT_FOUND before setup. ERR_LOCKED, ERR_DAMAGED.
MUST_USE enum err ca_get(struct op *op, struct ca *ret);

// Seals its key under the newest data key, within a write transaction. *ret_moved false: it was.
MUST_USE enum err ca_reseal(struct op *op, bool *ret_moved);

// Makes and stores one, within a write transaction.
MUST_USE enum err ca_make(struct op *op, struct ca *ret);

// Writes server key and certificate (for `hosts`) and the CA's certificate below the root prefix.
MUST_USE enum err ca_write_files(struct op *op, const struct ca *ca, const char *const *hosts,
                                 size_t host_count);
bool ca_has_files(const struct op *op);

// ERR_NOT_FOUND, ERR_INVALID: a client certificate for a request.
MUST_USE enum err ca_sign_client(struct op *op, struct span csr_pem, const char *name,
                                 struct span *ret_cert, struct span *ret_ca,
                                 uint8_t ret_fingerprint[32]);

#endif
