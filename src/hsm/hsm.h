// SPDX-License-Identifier: Apache-2.0
//
// The HSM, as the keeper sees it. Two implementations stand behind this header: hsm_direct.c (in
// keyward-hsmd, the only program that knows pkcs11.h: p11.h says which of its files) and hsm_rpc.c
// (in the keeper: a fresh hsmd for each hsm_open, a deadline on each call, killed when it passes).
// The vendor's library is untrusted: it may hang, crash, leak, print or lie, and only hsmd suffers.
//
// The root key encrypts nothing but a random 32-byte key (hsm_seal); what that key protects is
// sealed in software by the keyring (docs/KEYS.md). Errors: ERR_HSM_LIBRARY, ERR_HSM_SLOT,
// ERR_HSM_PIN (final: never retried by itself), ERR_HSM_KEY, ERR_HSM_FAILED, ERR_HSM_TIMEOUT,
// ERR_HSM_CRASHED, each with the path or label tried, the CK_RV by name, and what to check next.
#ifndef KW_HSM_HSM_H
#define KW_HSM_HSM_H

#include "base/secret.h"

enum {
    HSM_CREDENTIAL_MAX = 79, // bytes
    HSM_LABEL_MAX = 32,      // bytes, CK_TOKEN_INFO.label
    HSM_VENDOR_MAX = 64,
    HSM_LIBRARY_MAX = 512,
    HSM_KEY_ID_MAX = 32,
    HSM_KEY_LABEL_MAX = 63,
    HSM_RESERVED_MAX = 511,
    HSM_DEK_LEN = 32,
    HSM_SEALED_MAX = 256,
    HSM_TIMEOUT_S = 10,       // deadline of one PKCS#11 call unless HSM_TIMEOUT says otherwise
    HSM_TIMEOUT_MAX_S = 120,  // the largest HSM_TIMEOUT
    HSM_OPEN_MS = 30000,      // load, find the slot, log in; 3 calls' deadlines where that is more
    HSM_OPERATION_MS = 90000, // any other verb, likewise
};

// What the configuration files say (contract A4, B12).
struct hsm_settings {
    bool enabled;                      // HSM_ENABLED
    int provider;                      // HSM_PROVIDER 1 to 4
    char vendor[HSM_VENDOR_MAX + 1];   // Thales, Entrust, Utimaco or VENDOR_NAME
    char library[HSM_LIBRARY_MAX + 1]; // absolute path
    bool use_label;                    // HSM_TOKEN_LABEL is set
    char label[HSM_LABEL_MAX + 1];
    bool key_extractable;         // HSM_KEY_EXTRACTABLE
    bool reverse_migrate_enabled; // HSM_REVERSE_MIGRATE_ENABLED
    char mechanism[32];           // HSM_MECHANISM, "auto"
    uint32_t timeout_s;           // HSM_TIMEOUT: deadline of one PKCS#11 call, 1 to 120
    char init_reserved[HSM_RESERVED_MAX +
                       1]; // HSM_INIT_RESERVED: pReserved of C_Initialize, "": none
    char adopt_label[HSM_KEY_LABEL_MAX + 1]; // HSM_ADOPT_KEY_LABEL, "": root keys are made here
    uint8_t adopt_id[HSM_KEY_ID_MAX];        // HSM_ADOPT_KEY_ID, hexadecimal in the file
    size_t adopt_id_len;                     // 0: the label alone says which
    bool attended; // set by the caller when a person asked: log in even if the token says that one
                   // try is left. Never read from a file.
};

// Reads okv_security.conf and okv_hsm.conf below the root prefix. ERR_CONFIG names file, line and
// key.
MUST_USE enum err hsm_settings_load(int root, struct hsm_settings *ret);

// The settings with another vendor and label, as Initialize and Set Credential choose them.
// `vendor` NULL or "": keep. ERR_CONFIG when there is no such vendor (the ones there are are
// named); ERR_HSM_SLOT for a label that is empty, too long or has a leading blank.
MUST_USE enum err hsm_settings_choose(int root, const char *vendor, bool use_label,
                                      const char *label, struct hsm_settings *settings);

// okv_security.conf with the settings written back: unknown keys and comments survive. Appends the
// file's new text.
MUST_USE enum err hsm_settings_text(int root, const struct hsm_settings *settings, struct buf *out);

struct hsm_token {
    char label[HSM_LABEL_MAX + 1]; // without the padding
    char manufacturer[HSM_LABEL_MAX + 1];
    char model[17];
    char serial[17];
    char firmware[16]; // "2.6"
};

// One root key on the HSM. `id` is CKA_ID: the key number, 4 bytes big-endian. An adopted key
// (HSM_ADOPT_KEY_LABEL) has number 0, the label it was given, and an id only where one was
// configured; it is searched for among AES keys alone.
struct hsm_key {
    uint32_t number;
    uint8_t id[HSM_KEY_ID_MAX];
    size_t id_len;
    char label[HSM_KEY_LABEL_MAX + 1]; // CKA_LABEL, "OKV <release> HSM Root Key"
};

struct hsm;

// Loads the library, finds the one slot, logs in. Asks the supervisor for a fresh process (rpc).
// `trace` names the trace file's operation ("initialize", "monitor"), written to var/okv/log/hsm.
// Credential: 1 to 79 bytes, as typed. Of rpc only the handle opened last has a process: opening
// one ends the others. What fails before C_Login is called is tried three times, each in a new
// process, and so are hsm_token_info, _key_look, _unseal and _list unless this handle made a key;
// not after a timeout, not after a refused PIN.
MUST_USE enum err hsm_open(int root, const struct hsm_settings *settings, struct span credential,
                           const char *trace, struct hsm **ret);
void hsm_close(struct hsm *hsm); // ends the process
void hsm_closep(struct hsm **hsm);

MUST_USE enum err hsm_token_info(struct hsm *hsm, struct hsm_token *ret);

// Raises the key number object by one and generates a root key with that number: AES-256, token,
// private, sensitive, extractable as set, label of `release`. Attributes are read back. A number
// that any secret key has as its id is passed over (some tokens would destroy that key). When
// another server made a key of the same number meanwhile, this one is destroyed again and the next
// number taken; where the token destroys nothing, or does not tell, the key is given back all the
// same, and hsm_key_look counts 2.
// With settings.adopt_label nothing is made: the one AES key of that label (and id) is found,
// ERR_HSM_KEY when there is none or more than one.
MUST_USE enum err hsm_key_create(struct hsm *hsm, const char *release, struct hsm_key *ret);

// Whether the last hsm_key_create may have left a key on the token other than the one that it gave:
// false only where none was made, as far as the library says, or each was destroyed for certain.
bool hsm_key_left(const struct hsm *hsm);

// What the token tells of the keys that answer to a label and id.
struct hsm_key_state {
    uint32_t count;   // 0 missing, 1 right, 2 or more ambiguous
    bool extractable; // one of them says so; a library need not tell
};

MUST_USE enum err hsm_key_look(struct hsm *hsm, const struct hsm_key *key,
                               struct hsm_key_state *ret);

// Waits up to half a second, at random, so that two servers that go on taking the same numbers at
// the same time come apart.
void hsm_back_off(void);

// Removes a key that hsm_key_create of this process made, when the operation fails afterwards.
MUST_USE enum err hsm_key_destroy(struct hsm *hsm, const struct hsm_key *key);

// Encrypts HSM_DEK_LEN bytes under the root key. `mechanism` in/out: "auto" is replaced by the
// first that works
// ("AES_CBC", "AES_CBC_PAD", "AES_GCM", "AES_ECB"). Output is opaque to the caller, at most
// HSM_SEALED_MAX bytes.
MUST_USE enum err hsm_seal(struct hsm *hsm, const struct hsm_key *key, char mechanism[32],
                           struct span dek, struct buf *ret_sealed);

// Decrypts with the `nth` (0-based) of the keys that answer to label and id; ERR_HSM_KEY past the
// last. A wrong key or damaged bytes may give ERR_OK and garbage: the caller's own seal decides.
MUST_USE enum err hsm_unseal(struct hsm *hsm, const struct hsm_key *key, uint32_t nth,
                             const char *mechanism, struct span sealed, struct secret **ret_dek);

// The root keys and number objects on the token, one JSON object each in an array: class, label,
// number (hsmclient verify).
MUST_USE enum err hsm_list(struct hsm *hsm, struct buf *ret_json);

#endif
