// SPDX-License-Identifier: Apache-2.0
//
// The ways to open the TDE wallet: by a passphrase, by auto-login, by the HSM. Keeper and prover
// use the same functions; the prover looks into the staging directory of an operation first. Each
// checks every file against the root record before it uses it, and the wallet against the record's
// proof before it hands it out.
#ifndef KW_KEYRING_OPENER_H
#define KW_KEYRING_OPENER_H

#include "keyring/password.h"
#include "keyring/rootrec.h"

// Where files are looked for.
struct opener {
    int root;
    int staging; // looked at first; -1: there is none
};

// Reads a root file, checked against the record. `out` should be a secret buf. ERR_NOT_FOUND,
// ERR_DAMAGED, ERR_FILE_MODE, each with what to do.
MUST_USE enum err opener_read(const struct opener *o, const struct root_record *record,
                              enum root_file file, size_t limit, struct buf *out);

// The record, staged or in place.
MUST_USE enum err opener_record(const struct opener *o, struct root_record *ret);

// By recovery passphrase: the TDE wallet, or with an HSM the copy in hsm/restore. ERR_PASSPHRASE.
// Blocks for the stretching (about a second).
MUST_USE enum err opener_passphrase(const struct opener *o, const struct root_record *record,
                                    struct span passphrase, struct wallet **ret);

// By tde/cwallet.sso; only without an HSM.
MUST_USE enum err opener_autologin(const struct opener *o, const struct root_record *record,
                                   struct wallet **ret);

// The stored HSM credential.
MUST_USE enum err opener_credential(const struct opener *o, const struct root_record *record,
                                    struct secret **ret);

// Settings, from staging when they were staged there.
MUST_USE enum err opener_settings(const struct opener *o, struct hsm_settings *ret);

struct opener_found {
    struct hsm_token token;
    struct hsm_key_state keys;
    struct secret *wallet; // the wallet password. Caller frees, also after an error.
};

// By the HSM, through a fresh process: opens the token, decrypts enctdepwd, opens the TDE wallet.
// Every key that answers is tried; the file's own seal says which is right. `trace` names the trace
// file. Everything that can be checked without the HSM is checked before it is asked. `ret_found`
// may be NULL; *ret_found is filled as far as it went.
MUST_USE enum err opener_hsm(const struct opener *o, const struct root_record *record,
                             const struct hsm_settings *settings, struct span credential,
                             const char *trace, struct opener_found *ret_found,
                             struct wallet **ret);

#endif
