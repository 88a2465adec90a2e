// SPDX-License-Identifier: Apache-2.0
//
// Data keys wrapped under a generation of the master key: generation (4 bytes, big-endian) and the
// 32 bytes sealed, with the generation and the caller's context as associated data.
#ifndef KW_KEYRING_DATAKEY_H
#define KW_KEYRING_DATAKEY_H

#include "keyring/wallet.h"

enum { DATAKEY_LEN = 32, DATAKEY_CONTEXT_MAX = 1024 };

MUST_USE enum err datakey_wrap(const struct wallet *wallet, struct span context, struct span key,
                               struct buf *out);

// ERR_NOT_FOUND when the wallet lacks the generation, ERR_DAMAGED when the bytes do not open.
MUST_USE enum err datakey_unwrap(const struct wallet *wallet, struct span context,
                                 struct span wrapped, struct secret **ret);

// Which generation the bytes are wrapped under. ERR_DAMAGED when they are too short.
MUST_USE enum err datakey_generation(struct span wrapped, uint32_t *ret);

#endif
