// SPDX-License-Identifier: Apache-2.0
//
// The root record: which generation of protectors opens the store. Replaced by one rename, which is
// the commit point of every root-of-trust operation. A checksum finds damage; `proof`, a MAC under
// the newest master key, shows whoever has opened the wallet that record and wallet belong
// together.
#ifndef KW_KEYRING_ROOTREC_H
#define KW_KEYRING_ROOTREC_H

#include "base/rand.h"
#include "crypto/crypto.h"
#include "hsm/hsm.h"
#include "keyring/rootfile.h"
#include "keyring/wallet.h"

enum { ROOTREC_TEXT_MAX = 8192 };

struct root_record {
    struct uuid server;    // never changes
    struct uuid operation; // that committed this record
    uint32_t generation;   // 1, 2, 3 …
    bool hsm;              // opened by the HSM, else by passphrase and auto-login
    uint32_t master;       // newest generation of the TDE master key
    // With an HSM: the root key, as on the token.
    struct hsm_key key;
    char token_label[HSM_LABEL_MAX + 1];
    char token_serial[HSM_LABEL_MAX + 1];
    char mechanism[32];
    bool present[ROOT_HASHED_COUNT];
    uint8_t hash[ROOT_HASHED_COUNT][CRYPTO_HASH_LEN];
    uint8_t proof[CRYPTO_HASH_LEN];
};

// Reads PATH_ROOT_RECORD below `dir`. ERR_NOT_FOUND when there is none, ERR_DAMAGED, ERR_FILE_MODE.
MUST_USE enum err rootrec_load(int dir, struct root_record *ret);

MUST_USE enum err rootrec_parse(struct span text, struct root_record *ret);
MUST_USE enum err rootrec_text(const struct root_record *record, struct buf *out);

// Sets `master` and `proof` for the wallet. Call when all else is filled in.
MUST_USE enum err rootrec_prove(struct root_record *record, const struct wallet *wallet);

// ERR_DAMAGED when the wallet's newest key does not give the record's proof.
MUST_USE enum err rootrec_verify(const struct root_record *record, const struct wallet *wallet);

// Notes that `file` is to hold `bytes`, or, with data NULL, is to be absent.
void rootrec_note(struct root_record *record, enum root_file file, struct span bytes);

// ERR_DAMAGED, naming the file and what to do, unless `bytes` are what the record notes.
MUST_USE enum err rootrec_check(const struct root_record *record, enum root_file file,
                                struct span bytes);

#endif
