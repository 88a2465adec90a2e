// SPDX-License-Identifier: Apache-2.0
//
// Recovery passphrases and PINs that the machine makes.
#ifndef KW_BASE_PASSPHRASE_H
#define KW_BASE_PASSPHRASE_H

#include "base/secret.h"

// `groups` groups of five letters and digits, joined by hyphens; 25 random bits each. The letters
// are those of Crockford's base 32 in lower case, without i, l, o and u, so that it can be copied
// by hand. Caller frees.
MUST_USE enum err passphrase_make(size_t groups, struct secret **ret);

#endif
