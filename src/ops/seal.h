// SPDX-License-Identifier: Apache-2.0
//
// Sealing of what lies in the store under a data key. The associated data bind the record's id, its
// kind, type and flags, and where the whole record is written at each change its version, so that
// no two sealed values can be swapped, and no flag (Sensitive, Extractable) lifted.
#ifndef KW_OPS_SEAL_H
#define KW_OPS_SEAL_H

#include "ops/context.h"

// Whatever is sealed here must be known to ops/reseal.c, which seals it again when the data keys
// are rotated: settings and endpoints by their own code, objects, and of named sets (wallets,
// groups)
// {.part = SEAL_NAMED, .id, .type = kind}. Answers that are kept for a day (ops/once.c) are not
// sealed again: one that outlives its key is not told any more. Who could not connect
// (ops/refusals.c) is written anew.
#define SEAL_NAMED      "named"
#define SEAL_USER       "user"       // ops/account.c
#define SEAL_CREDENTIAL "credential" // ops/credential.c

struct seal_bound {
    const char *part; // "attributes", "material", "endpoint", "setting", at most 15 bytes
    struct uuid id;
    uint64_t version; // 0 where it is not bound
    uint32_t type;
    uint32_t flags;
};

// Seals under the newest key for objects; result in the arena. ERR_LOCKED, ERR_CRYPTOGRAPHIC.
MUST_USE enum err seal_close(struct ops *ops, struct arena *arena, const struct seal_bound *bound,
                             struct span plain, struct span *ret, struct uuid *ret_key_id);

// The clear bytes, in the arena. ERR_DAMAGED when anything bound differs.
MUST_USE enum err seal_open(struct ops *ops, struct arena *arena, const struct seal_bound *bound,
                            const struct uuid *key_id, struct span sealed, struct span *ret);

#endif
