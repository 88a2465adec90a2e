// SPDX-License-Identifier: Apache-2.0
//
// 32 letters: five bits of a random byte choose one without bias.
#include "base/passphrase.h"

#include "base/rand.h"

enum { GROUP = 5, GROUPS_MAX = 16 };

enum err passphrase_make(size_t groups, struct secret **ret)
{
    static const char letters[] = "0123456789abcdefghjkmnpqrstvwxyz";
    if (groups == 0 || groups > GROUPS_MAX)
        FAIL(ERR_INVALID, "a passphrase has 1 to %d groups", GROUPS_MAX);
    CLEANUP(secret_freep) struct secret *made = NULL;
    TRY(secret_new(groups * (GROUP + 1) - 1, &made));
    rand_bytes(made->data, made->len);
    for (size_t i = 0; i < made->len; i++) {
        bool hyphen = i % (GROUP + 1) == GROUP;
        made->data[i] = hyphen ? (uint8_t)'-' : (uint8_t)letters[made->data[i] & 31];
    }
    *ret = made;
    made = NULL;
    return ERR_OK;
}
