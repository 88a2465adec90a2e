// SPDX-License-Identifier: Apache-2.0
//
// Auto-login files, `cwallet.sso`: magic "KWSSO" and NUL, version (2 bytes), kind (1), server id
// (16), a random key (32), and the payload sealed under that key with all before it as associated
// data. The key lies beside what it seals: such a file opens for whoever can read it. Its guard is
// mode 0600 and where it lies; the sealing only finds damage and files put in another's place
// (docs/KEYS.md).
#ifndef KW_KEYRING_AUTOLOGIN_H
#define KW_KEYRING_AUTOLOGIN_H

#include "base/rand.h"
#include "base/secret.h"

enum { AUTOLOGIN_FILE_MAX = 1 << 17 }; // bytes of one that are looked at

enum autologin_kind {
    AUTOLOGIN_TDE = 1,    // tde/cwallet.sso: a packed wallet
    AUTOLOGIN_RAM,        // mnt/okvram/cwallet.sso: a packed wallet
    AUTOLOGIN_CREDENTIAL, // hsm/wallet/cwallet.sso: the HSM credential
    AUTOLOGIN_RESTORE     // hsm/restore/cwallet.sso: the HSM credential prepared for a restore
};

MUST_USE enum err autologin_encode(enum autologin_kind kind, const struct uuid *server,
                                   struct span payload, struct buf *out);

// ERR_DAMAGED when the bytes are no such file, or one of another kind or server; `path` names it.
MUST_USE enum err autologin_decode(enum autologin_kind kind, const struct uuid *server,
                                   struct span bytes, const char *path, struct secret **ret);

#endif
