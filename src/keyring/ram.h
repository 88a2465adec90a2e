// SPDX-License-Identifier: Apache-2.0
//
// `mnt/okvram`: what an HSM-enabled server keeps of its open wallet in memory, so that a keeper
// that crashed opens again without the HSM. An orderly stop removes it: a start goes through the
// HSM. It must lie on a RAM file system; where the directory
// does not, it becomes a link: to a directory in run/keyward where that does (so that /dev/shm
// stays open to the library of the HSM), else to a private one below /dev/shm. Where neither can
// be, nothing is written.
#ifndef KW_KEYRING_RAM_H
#define KW_KEYRING_RAM_H

#include "keyring/rootrec.h"

// Makes the directory in run/keyward if that is in RAM, and tells whether it is. For a keeper that
// may still reach run/keyward, before its wall is closed.
bool ram_reserve(int root);

// Makes the place. ERR_UNAVAILABLE when there is no RAM file system to be had: the wallet then
// lives in the keeper alone.
MUST_USE enum err ram_prepare(int root, const struct uuid *server);

// ERR_FILE_MODE when the place is in RAM and others may enter it. Elsewhere nothing is written, so
// there is nothing to guard.
MUST_USE enum err ram_check(int root);

// Writes cwallet.sso (the open wallet) and ewallet.p12 (`file`, a copy).
MUST_USE enum err ram_write(int root, const struct root_record *record, const struct wallet *wallet,
                            struct span file);

// Removes both files; absence is no error.
MUST_USE enum err ram_forget(int root);

// The wallet as it was written for this very record. ERR_NOT_FOUND, ERR_DAMAGED.
MUST_USE enum err ram_open(int root, const struct root_record *record, struct wallet **ret);

#endif
