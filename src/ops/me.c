// SPDX-License-Identifier: Apache-2.0
//
// One's own account: who one is, one's password, one's second factor. A changed password ends the
// other sessions and every API token; what proves who one is is asked for again.
#include <stdio.h>

#include "base/pwhash.h"
#include "ops/credential.h"
#include "ops/identity.h"
#include "ops/named.h"
#include "ops/proof.h"
#include "ops/rights.h"
#include "ops/totp.h"
#include "ops/verbs.h"

#define WRONG "the password or the code is wrong"

static const char *credential_name(enum credential_kind kind)
{
    if (kind == CREDENTIAL_SESSION)
        return "session";
    return kind == CREDENTIAL_TOKEN ? "token" : "certificate";
}

// → who asks
enum err me_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    TRY(doc_params(op, &doc));
    TRY(identity_account(op, false, &account));
    const struct store_user *row = &account.row;
    return doc_answer(
        op, json_pack(
                "{s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:o, s:o, s:o, s:s}", "id", doc_uuid(&row->id),
                "name", doc_string(account.name), "full_name", doc_string(account.full_name),
                "email", doc_string(account.email), "must_change_password", op->must_change,
                "second_factor", (row->flags & USER_TOTP) != 0, "access_held", op->who.held,
                "roles", rights_roles(row->rights, row->forward), "privileges",
                rights_words(row->rights & ~(uint32_t)IDENTITY_ROLES), "rights",
                rights_words(op->who.rights), "credential", credential_name(op->who.credential)));
}

// The account of a session, with its proof compared.
static enum err prove(struct op *op, unsigned wanted, struct proof *ret)
{
    struct account account;
    TRY(identity_account(op, true, &account));
    TRY(named_tell(op, &account.row.id, "user \"%.*s\"", (int)account.name.len,
                   (const char *)account.name.data));
    return proof_compare(op, account.row.name_hash, wanted, ret);
}

// Neither the password so far nor one of those that are kept.
static enum err check_unused(struct op *op, const struct account *account, struct span password)
{
    struct span kept = account->kept;
    bool same = span_eq(password, doc_secret(op, "password"));
    for (size_t at = 0; !same && at + PWHASH_LEN <= kept.len; at += PWHASH_LEN)
        TRY(pwhash_check(password, span_of(kept.data + at, PWHASH_LEN), &same));
    if (same)
        FAIL(ERR_INVALID, "the new password was in use before: choose another one");
    return ERR_OK;
}

// The secrets "password" and "new_password"
enum err me_change_password_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct proof proof;
    struct store_credential own;
    uint8_t record[PWHASH_LEN];
    uint64_t ended = 0;
    struct span password = doc_secret(op, "new_password");
    TRY(doc_params(op, &doc));
    TRY(prove(op, PROOF_PASSWORD, &proof));
    if (proof.right) {
        TRY(policy_check(&proof.policy, password, proof.account.name));
        TRY(check_unused(op, &proof.account, password));
        TRY(pwhash_make(password, record));
    }
    TRY(proof_settle(op, &proof, ERR_NOT_PERMITTED, WRONG));
    TRY(account_set_password(op, &proof.account, record, proof.policy.password_kept));
    proof.account.row.flags &= ~(uint32_t)USER_MUST_CHANGE;
    TRY(account_update(op, &proof.account));
    TRY(identity_credential(op, &own));
    TRY(credential_end_all(op, &own.user, 0, &own.id, &ended));
    return doc_answer(op, json_pack("{s:o, s:I}", "name", doc_string(proof.account.name), "ended",
                                    (json_int_t)ended));
}

// The secret "password" → the secret of a second factor
enum err me_factor_enroll_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct proof proof;
    uint8_t secret[TOTP_SECRET_LEN];
    char text[TOTP_TEXT_LEN + 1];
    char uri[256];
    TRY(doc_params(op, &doc));
    TRY(prove(op, PROOF_PASSWORD, &proof));
    TRY(proof_settle(op, &proof, ERR_NOT_PERMITTED, WRONG));
    if ((proof.account.row.flags & USER_TOTP) != 0)
        FAIL(ERR_WRONG_STATE, "you have a second factor already: disable it first");
    totp_make(secret, text);
    proof.account.totp = span_of(secret, sizeof secret);
    proof.account.row.flags |= USER_TOTP_PENDING;
    TRY(account_update(op, &proof.account));
    (void)snprintf(uri, sizeof uri, "otpauth://totp/Keyward:%.*s?secret=%s&issuer=Keyward",
                   (int)proof.account.name.len, (const char *)proof.account.name.data, text);
    enum err err = doc_answer(op, json_pack("{s:s, s:s}", "secret", text, "uri", uri));
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(text, sizeof text);
    explicit_bzero(uri, sizeof uri);
    return err;
}

static enum err answer_factor(struct op *op, bool on)
{
    return doc_answer(op, json_pack("{s:b}", "second_factor", on));
}

// The secret "code"
enum err me_factor_confirm_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct proof proof;
    struct account account;
    TRY(doc_params(op, &doc));
    TRY(identity_account(op, true, &account));
    if ((account.row.flags & USER_TOTP_PENDING) == 0)
        FAIL(ERR_WRONG_STATE, "there is no second factor to confirm: make one first");
    TRY(prove(op, PROOF_CODE, &proof));
    TRY(proof_settle(op, &proof, ERR_NOT_PERMITTED, WRONG));
    proof.account.row.flags &= ~(uint32_t)USER_TOTP_PENDING;
    proof.account.row.flags |= USER_TOTP;
    TRY(account_update(op, &proof.account));
    return answer_factor(op, true);
}

// The secrets "password" and "code"
enum err me_factor_disable_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct proof proof;
    struct account account;
    TRY(doc_params(op, &doc));
    TRY(identity_account(op, true, &account));
    if ((account.row.flags & USER_TOTP) == 0)
        FAIL(ERR_WRONG_STATE, "you have no second factor");
    TRY(prove(op, PROOF_PASSWORD | PROOF_CODE, &proof));
    TRY(proof_settle(op, &proof, ERR_NOT_PERMITTED, WRONG));
    proof.account.row.flags &= ~(uint32_t)USER_TOTP;
    proof.account.totp = span_of(NULL, 0);
    TRY(account_update(op, &proof.account));
    return answer_factor(op, false);
}
