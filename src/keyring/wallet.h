// SPDX-License-Identifier: Apache-2.0
//
// The TDE wallet: the generations of the TDE master key, numbered from 1, oldest first. On disk it
// is a PKCS#12 file whose secret bags are named "tde-master-key-1" and so on, with the time of
// creation; in an auto-login wallet it is packed without a password.
#ifndef KW_KEYRING_WALLET_H
#define KW_KEYRING_WALLET_H

#include "base/secret.h"

#ifndef KEYWARD_WALLET_ITERATIONS
#define KEYWARD_WALLET_ITERATIONS 600000 // fewer in a build of scripts/crash (meson_options.txt)
#endif

enum {
    WALLET_KEY_LEN = 32,
    WALLET_KEYS_MAX = 1024,    // generations
    WALLET_FILE_MAX = 1 << 19, // bytes of ewallet.p12 that are looked at
    WALLET_PASSPHRASE_ITERATIONS = KEYWARD_WALLET_ITERATIONS, // where a person chose the password
    WALLET_RANDOM_ITERATIONS = 2048                           // where it is 32 random bytes
};

struct wallet_key {
    uint32_t number;
    int64_t created; // seconds since 1970
    struct secret *key;
};

struct wallet;

// An empty wallet. Caller frees.
MUST_USE enum err wallet_new(struct wallet **ret);
void wallet_free(struct wallet *wallet);
void wallet_freep(struct wallet **wallet);

MUST_USE enum err wallet_copy(const struct wallet *from, struct wallet **ret);

// Appends the next generation, random.
MUST_USE enum err wallet_rotate(struct wallet *wallet);

size_t wallet_count(const struct wallet *wallet);

// The newest generation, NULL for an empty wallet.
const struct wallet_key *wallet_newest(const struct wallet *wallet);

// The generation `number`, NULL when there is none.
const struct wallet_key *wallet_find(const struct wallet *wallet, uint32_t number);

// The PKCS#12 file, appended. Blocks for the iterations: see crypto/pkcs12.h.
MUST_USE enum err wallet_encode(const struct wallet *wallet, struct span password, int iterations,
                                struct buf *out);

// ERR_PASSPHRASE, or ERR_DAMAGED when the file holds anything but generations 1 to n.
MUST_USE enum err wallet_decode(struct span bytes, struct span password, struct wallet **ret);

// Without a password: `out` must be a secret buf.
MUST_USE enum err wallet_pack(const struct wallet *wallet, struct buf *out);
MUST_USE enum err wallet_unpack(struct span bytes, struct wallet **ret);

#endif
