// SPDX-License-Identifier: Apache-2.0
//
// What the engines may ask the keeper: about ten verbs. The keeper holds the TDE wallet and the
// master keys, which never leave it; an engine gets data keys, which wrap under the current
// generation of the master key. These are the client's functions, over IPC; `keyring/keeper.h` is
// the keeper's side. Each call blocks up to its deadline: KEEPER_TIMEOUT_MS, for root-of-trust
// operations KEEPER_OPERATION_MS.
//
// ERR_LOCKED: the wallet is not open (the detail says why: HSM away, PIN refused, …); nothing was
// changed.
#ifndef KW_KEYRING_KEYRING_H
#define KW_KEYRING_KEYRING_H

#include "base/secret.h"
#include "ipc/ipc.h"

enum { KEEPER_TIMEOUT_MS = 10000, KEEPER_OPERATION_MS = 120000, KEYRING_WRAPPED_MAX = 256 };

// The reason of a keeper that has not yet tried to open the wallet, and of an engine that has not
// yet asked: it passes by itself.
#define KEYRING_STARTING "the server is starting"

// What whoever gives a wrong recovery passphrase is told, and nothing else.
#define KEYRING_WRONG_PASSPHRASE                                                                   \
    "the recovery passphrase is wrong: give the one of the setup, or the one that it was last "    \
    "changed to (keyward passphrase change, keyward hsm reverse-migrate)"

enum keyring_state {
    KEYRING_EMPTY,  // no wallet yet: `keyward setup` has not been run
    KEYRING_LOCKED, // there is a wallet, not open yet
    KEYRING_OPEN
};

struct keyring_status {
    enum keyring_state state;
    bool hsm_enabled;
    uint32_t generation; // of the root record: rises by one with each committed operation
    uint32_t master;     // newest generation of the TDE master key, 0 when locked
    char reason[512];    // why it is locked, "" when open
};

MUST_USE enum err keyring_status(struct ipc *keeper, struct keyring_status *ret);

// How the HSM is, as the keeper has last seen it; asks no HSM (contract B10).
struct keyring_health {
    bool hsm_enabled;
    bool known; // the HSM was asked since the keeper started
    bool up;
    bool extractable;   // the root key could leave the HSM, as the HSM last told
    uint32_t master;    // newest generation of the TDE master key, 0 when locked
    int64_t latency_ms; // of the last check
    int64_t checked_ms; // wall clock
    char problem[32];   // one word of docs/API.md's list, "" when up
    char message[600];  // for people
};

// `watch_s` other than 0 sets how often the keeper looks at the HSM by itself from here on, 10 to
// 86400 seconds.
MUST_USE enum err keyring_health(struct ipc *keeper, uint32_t watch_s, struct keyring_health *ret);

// What the operation under way has done so far: appends a JSON object with its "name" and "steps",
// or nothing when there is none. Answered while the operation waits for the HSM.
MUST_USE enum err keyring_steps(struct ipc *keeper, struct buf *ret_doc);

// A fresh data key (32 random bytes) and the same wrapped under the newest master key, bound to
// `context` (for example the data key's id). Caller frees the secret.
MUST_USE enum err keyring_new_key(struct ipc *keeper, struct span context, struct secret **ret_key,
                                  struct buf *ret_wrapped);

// ERR_DAMAGED when wrapped bytes and context do not belong together; ERR_NOT_FOUND when the wallet
// lacks the generation that they are wrapped under.
MUST_USE enum err keyring_unwrap(struct ipc *keeper, struct span context, struct span wrapped,
                                 struct secret **ret_key);

// The same data key under the newest generation; *ret_changed false when it was that already.
MUST_USE enum err keyring_rewrap(struct ipc *keeper, struct span context, struct span wrapped,
                                 struct buf *ret_wrapped, bool *ret_changed);

enum keyring_operation {
    KEYRING_SETUP = 1,  // recovery_passphrase: makes the first wallet
    KEYRING_HSM_STATUS, // type, label, manufacturer, firmware, key number; no HSM call when locked
                        // by a latch
    KEYRING_HSM_INITIALIZE,  // credential, recovery_passphrase
    KEYRING_HSM_CREDENTIAL,  // credential
    KEYRING_REVERSE_MIGRATE, // credential, recovery_passphrase, new_recovery_passphrase; with the
                             // parameter hsm_lost the second, and optionally the third
    KEYRING_HSM_VERIFY,
    KEYRING_OPEN_WALLET,       // optional: credential, or recovery_passphrase
    KEYRING_PRE_RESTORE,       // credential
    KEYRING_CHANGE_PASSPHRASE, // recovery_passphrase, new_recovery_passphrase
    KEYRING_ROTATE_PASSWORD,   // a new wallet password under the same root key (HSM mode)
    KEYRING_ROTATE_MASTER,     // recovery_passphrase: a new generation of the TDE master key
    KEYRING_CHECK_PASSPHRASE,  // recovery_passphrase: whether it is the one; the people engine may
    KEYRING_OPERATION_END
};

// Runs a root-of-trust operation: all or nothing. `doc` is a JSON object of parameters ("vendor",
// "token_label", "use_token_label", "hsm_lost", "dry_run"), `secrets` name the secrets above.
// *ret_doc gets a JSON object that tells what was done, step by step, also on failure. One at a
// time: ERR_BUSY. Meanwhile the other verbs are still answered. *ret_unsure, set on failure, too:
// something may have been changed all the same, since the keeper has ended, goes on beyond the
// deadline, or could not find out.
struct keyring_secret {
    const char *name;
    struct span value;
};

MUST_USE enum err keyring_operate(struct ipc *keeper, enum keyring_operation operation,
                                  struct span doc, const struct keyring_secret *secrets,
                                  size_t secret_count, struct buf *ret_doc, bool *ret_unsure);

#endif
