// SPDX-License-Identifier: Apache-2.0
//
// Root-of-trust operations: the frame around op_*.c. Each operation is a list of steps; each step
// is told, with how it went, in the JSON document that goes back, also when one fails.
#ifndef KW_KEYRING_OPERATE_H
#define KW_KEYRING_OPERATE_H

#include <jansson.h>

#include "keyring/autologin.h"
#include "keyring/core.h"
#include "keyring/journal.h"

enum { PASSPHRASE_MIN_CHARS = 15 };

struct operation {
    struct core *core;
    json_t *params;
    json_t *result;
    bool dry_run;   // check everything, change nothing
    bool committed; // whatever fails from here on takes nothing back
    bool unsure;    // the commit failed, and whether it stands is not known
    const struct keyring_secret *secrets;
    size_t secret_count;
};

// Runs one. `doc` is a JSON object or empty. ret_doc gets the result, also on failure; *ret_unsure,
// of a failure, whether something may have been changed all the same.
MUST_USE enum err operate_run(struct core *core, enum keyring_operation operation, struct span doc,
                              const struct keyring_secret *secrets, size_t secret_count,
                              struct buf *ret_doc, bool *ret_unsure);

// Tells how a step went and passes `err` on, with its detail.
MUST_USE enum err operate_step(struct operation *op, const char *step, enum err err);

// Tells of a step after the commit, which may fail without the operation failing: then among the
// result's "warnings", too.
void operate_after(struct operation *op, const char *step, enum err err);

// After the commit of an operation that has proved a credential.
void operate_forget_latch(struct operation *op);

// Appends name and steps so far of the operation under way, as a JSON object; nothing when there is
// none.
MUST_USE enum err operate_tell_steps(const struct core *core, struct buf *out);

// A secret by name; ERR_MISSING_DATA when it was not given, or is empty.
MUST_USE enum err operate_secret(const struct operation *op, const char *name, struct span *ret);
bool operate_has_secret(const struct operation *op, const char *name);

// The same with the limits that an HSM credential has (1 to 79 bytes).
MUST_USE enum err operate_credential(const struct operation *op, struct span *ret);

// ERR_INVALID for a new recovery passphrase of fewer than 15 characters, or that repeats one.
MUST_USE enum err operate_check_new_passphrase(struct span passphrase);

// A parameter of the document, or the fallback when it is not there or null. ERR_INVALID for a
// value of another type.
MUST_USE enum err operate_text(const struct operation *op, const char *name, const char **ret);
MUST_USE enum err operate_flag(const struct operation *op, const char *name, bool fallback,
                               bool *ret);

// The settings in force with vendor and label as the document has them.
MUST_USE enum err operate_settings(const struct operation *op, struct hsm_settings *ret);

// Labels and messages may hold bytes that are not UTF-8, which JSON cannot: they become '?'. Caller
// frees; NULL without memory.
json_t *operate_json_text(const char *text);

// Adds type, label, manufacturer, firmware and serial to the result.
void operate_tell_token(struct operation *op, const struct hsm_token *token);

// Logs in and tells of the token. Costs one login.
MUST_USE enum err operate_try_token(struct operation *op, const struct hsm_settings *settings,
                                    struct span credential, const char *trace);

// An operation's transaction. operate_begin fills in operation id, generation and the record that
// is to be (a copy of the one in force); then the op stages, then operate_commit. The caller calls
// operate_undo when anything fails before or in operate_commit.
struct operate_change {
    struct journal journal;
    struct root_record record;
    bool open; // begun and neither committed nor undone
};

MUST_USE enum err operate_begin(struct operation *op, const char *name,
                                struct operate_change *change);

// Stages a root file and notes its hash in the record.
MUST_USE enum err operate_stage(struct operation *op, struct operate_change *change,
                                enum root_file file, struct span bytes);
MUST_USE enum err operate_stage_settings(struct operation *op, struct operate_change *change,
                                         const struct hsm_settings *settings);

// Stages a wallet as PKCS#12, or as an auto-login file.
MUST_USE enum err operate_stage_wallet(struct operation *op, struct operate_change *change,
                                       enum root_file file, const struct wallet *wallet,
                                       struct span password, int iterations);
// Stages enctdepwd: `password` sealed under `dek`. Server and generation of the header are filled
// in.
MUST_USE enum err operate_stage_password(struct operation *op, struct operate_change *change,
                                         struct password_header *header, struct span sealed_dek,
                                         struct span dek, struct span password);
// A new wallet password: 256 random bits as hexadecimal text, since PKCS#12 passwords are text.
MUST_USE enum err operate_new_password(struct secret **ret);
MUST_USE enum err operate_stage_autologin(struct operation *op, struct operate_change *change,
                                          const struct wallet *wallet);

// Stages the HSM credential as an auto-login file.
MUST_USE enum err operate_stage_credential(struct operation *op, struct operate_change *change,
                                           enum root_file file, enum autologin_kind kind,
                                           struct span credential);

// Proves, commits, settles, and makes record and wallet (taken) the ones in force. What is not
// settled is no failure: the next operation, or the next start, does it first.
MUST_USE enum err operate_commit(struct operation *op, struct operate_change *change,
                                 struct wallet **wallet, unsigned ways, struct span passphrase);

// Undoes what operate_begin began; nothing after a commit. Passes `err` on with its detail.
MUST_USE enum err operate_undo(struct operation *op, struct operate_change *change, enum err err);

// The operations, op_*.c.
MUST_USE enum err op_setup_run(struct operation *op);
MUST_USE enum err op_status_run(struct operation *op);
MUST_USE enum err op_initialize_run(struct operation *op);
MUST_USE enum err op_credential_run(struct operation *op);
MUST_USE enum err op_credential_prepare(struct operation *op);
MUST_USE enum err op_reverse_run(struct operation *op);
MUST_USE enum err op_verify_run(struct operation *op);
MUST_USE enum err op_status_open(struct operation *op);
MUST_USE enum err op_passphrase_run(struct operation *op);
MUST_USE enum err op_passphrase_check(struct operation *op);
MUST_USE enum err op_rotate_password(struct operation *op);
MUST_USE enum err op_rotate_master(struct operation *op);

#endif
