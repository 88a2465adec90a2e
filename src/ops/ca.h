// SPDX-License-Identifier: Apache-2.0
//
// The server's certificate authority: its key lies sealed in the store, its certificate and those
// above it up to a root lie there in the clear. While authorities change there are two: the old one
// is still trusted and signs what the server shows, since clients know no other; the current one
// signs what endpoints get. Whatever is signed here is noted in the store (store/issued.h).
#ifndef KW_OPS_CA_H
#define KW_OPS_CA_H

#include "crypto/pki.h"
#include "ops/hosts.h"
#include "store/issued.h"

enum { CA_PEM_MAX = 64 * 1024, CA_DAYS_MAX = 36500 };

// Why a certificate has ended: CRLReason, RFC 5280 section 5.3.1.
enum { CA_END_SUPERSEDED = 4, CA_END_CEASED = 5 };

enum ca_slot { CA_CURRENT, CA_OLD };

// How many days a new certificate is valid.
struct ca_days {
    int64_t authority, server, console, endpoint;
};

struct ca {
    struct span key;   // PEM, clear, in the arena
    struct span chain; // PEM: its certificate, then those above it
    struct uuid id;    // the first half of its certificate's fingerprint
};

// ERR_NOT_FOUND when there is none in this place. ERR_LOCKED, ERR_DAMAGED.
MUST_USE enum err ca_get(struct op *op, enum ca_slot slot, struct ca *ret);

// The same without the key, which works while the server is locked.
MUST_USE enum err ca_public(struct ops *ops, struct arena *arena, enum ca_slot slot,
                            struct ca *ret);

// Within the writer's transaction, as all below that change something.
MUST_USE enum err ca_put(struct op *op, enum ca_slot slot, const struct ca *ca);
MUST_USE enum err ca_drop(struct op *op, enum ca_slot slot);

// An own root, not stored yet.
MUST_USE enum err ca_make(struct op *op, const char *common_name, int64_t days, struct ca *ret);

// Seals every key of this file's and of ops/tlsfile.h's under the newest data key. *ret_moved
// false: all were.
MUST_USE enum err ca_reseal(struct op *op, bool *ret_moved);

// What is set for new certificates, or the defaults.
MUST_USE enum err ca_days_load(struct ops *ops, struct arena *arena, struct ca_days *ret);
MUST_USE enum err ca_days_store(struct op *op, const struct ca_days *days);

// All certificates that clients are to trust: of both authorities, and of whoever signed the
// server's certificate outside. PEM, in the arena.
MUST_USE enum err ca_bundle(struct op *op, struct span *ret);

// A certificate that was signed, in the arena, and by which authority.
struct ca_signed {
    struct uuid authority;
    struct span cert; // PEM
    uint8_t fingerprint[32];
};

// Signs a request of an endpoint; outside a transaction, too. It must be entered before it leaves.
// ERR_NOT_FOUND, ERR_INVALID.
MUST_USE enum err ca_sign_client(struct op *op, struct span csr_pem, const char *name,
                                 struct ca_signed *ret);

// Notes it as the holder's. ERR_BUSY when the authority has changed since it was signed.
MUST_USE enum err ca_enter_client(struct op *op, const struct ca_signed *signed_cert,
                                  const struct uuid *holder);

// Signs a certificate of the server's own, which ends what there was before: it and what is above
// it, in the arena.
MUST_USE enum err ca_sign_server(struct op *op, struct span key_pem, const struct hosts *hosts,
                                 int64_t days, const struct uuid *holder, struct span *ret_chain);

#endif
