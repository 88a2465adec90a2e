// SPDX-License-Identifier: Apache-2.0
//
// The journal of root-of-trust operations: intent, stage, commit, settle (docs/ARCHITECTURE.md,
// "The root record"). One at a time.
//
//     begin ──► stage … ──► commit ──► settle
//       │          │          ▲ the rename of the root record
//       └──────────┴─► abort
//
// Killed before the commit, journal_recover aborts; killed after, it settles. Every step may be
// repeated. Root keys made on the HSM on the way are noted here before anything else happens, and
// become orphans (keyring/orphan.h) with an abort.
#ifndef KW_KEYRING_JOURNAL_H
#define KW_KEYRING_JOURNAL_H

#include "keyring/orphan.h"
#include "keyring/rootrec.h"

enum { JOURNAL_KEYS_MAX = 16, JOURNAL_NAME_MAX = 31, JOURNAL_PATH_MAX = 256 };

struct journal {
    struct uuid operation;
    char name[JOURNAL_NAME_MAX + 1]; // "initialize"
    uint32_t generation;             // to be reached
    bool put[ROOT_FILE_COUNT];       // to be put in place
    bool remove[ROOT_FILE_COUNT];    // to be removed after the commit
    bool key_pending;                // a root key is being made, or may have been: number unknown
    uint32_t keys[JOURNAL_KEYS_MAX]; // numbers of root keys made
    size_t key_count;
    struct orphan left; // an orphan once this is committed; number 0: none
};

// Writes the intent and makes an empty staging directory.
MUST_USE enum err journal_begin(int root, const struct journal *journal);

// Writes the journal again, after key_pending or keys have changed.
MUST_USE enum err journal_update(int root, const struct journal *journal);

// Writes one file below the staging directory, under its documented path.
MUST_USE enum err journal_stage(int root, const struct journal *journal, enum root_file file,
                                struct span bytes);
// Stages okv_security.conf with this text, and a copy of okv_hsm.conf beside it, so that settings
// can be read from the staging directory alone.
MUST_USE enum err journal_stage_settings(int root, const struct journal *journal,
                                         struct span security_conf);
MUST_USE enum err journal_stage_record(int root, const struct journal *journal,
                                       const struct root_record *record);

// The staging directory, open. Caller closes.
MUST_USE enum err journal_open_staging(int root, const struct uuid *operation, int *ret_fd);

// The commit point. After an error *ret_unsure tells whether the record may be the new one all the
// same: then neither settle nor abort, but stop, so that the next start reads what the disk says.
MUST_USE enum err journal_commit(int root, const struct journal *journal, bool *ret_unsure);
MUST_USE enum err journal_settle(int root, const struct journal *journal);
MUST_USE enum err journal_abort(int root, const struct journal *journal);

enum journal_outcome { JOURNAL_CLEAN, JOURNAL_SETTLED, JOURNAL_ABORTED };

// At start, and before each operation: brings a journal that was left to its end. *ret_name gets
// the operation's name.
MUST_USE enum err journal_recover(int root, enum journal_outcome *ret,
                                  char ret_name[JOURNAL_NAME_MAX + 1]);

#endif
