// SPDX-License-Identifier: Apache-2.0
//
// Between the halves somebody may have changed or locked the account: the second half looks again,
// and takes a proof that was made with another password for a wrong one.
#include "ops/proof.h"

#include "base/pwhash.h"
#include "ops/identity.h"
#include "ops/totp.h"

static enum err find(struct op *op, const uint8_t hash[STORE_HASH_LEN], struct proof *proof)
{
    struct store_user row;
    enum err err = store_user_by_name(op->ops->set.store, hash, op->arena, &row);
    proof->known = err == ERR_OK;
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    return account_open(op, &row, &proof->account);
}

// Without a password the time of a hash is taken all the same, so that a try costs something.
static enum err compare_password(struct op *op, struct proof *proof)
{
    struct span record = proof->known ? proof->account.password : span_of(NULL, 0);
    bool same = false;
    TRY(pwhash_check(doc_secret(op, "password"), record, &same));
    proof->right = proof->right && same;
    return ERR_OK;
}

static enum err compare_code(struct op *op, struct proof *proof)
{
    bool fits = false;
    bool factor = (proof->account.row.flags & USER_TOTP) != 0;
    bool asked =
        (proof->wanted & PROOF_CODE) != 0 || (factor && (proof->wanted & PROOF_FACTOR) != 0);
    if (!proof->known || !asked)
        return ERR_OK;
    if (proof->account.totp.len > 0)
        TRY(totp_check(&proof->account, doc_secret(op, "code"), op->now, &fits, &proof->code_step));
    proof->right = proof->right && fits;
    return ERR_OK;
}

enum err proof_compare(struct op *op, const uint8_t hash[STORE_HASH_LEN], unsigned wanted,
                       struct proof *ret)
{
    *ret = (struct proof){.wanted = wanted};
    TRY(policy_load(op, &ret->policy));
    TRY(find(op, hash, ret));
    TRY(store_tries_get(op->ops->set.store, hash, &ret->tries));
    if (tries_is_locked(op, &ret->tries))
        return ERR_OK;
    ret->right = ret->known;
    if ((wanted & PROOF_PASSWORD) != 0)
        TRY(compare_password(op, ret));
    return compare_code(op, ret);
}

// The account as it is in this transaction.
static enum err look_again(struct op *op, struct proof *proof)
{
    struct account now;
    struct store *store = op->ops->set.store;
    TRY(store_tries_get(store, proof->tries.name_hash, &proof->tries));
    if (!proof->known)
        return ERR_OK;
    enum err err = account_get(op, &proof->account.row.id, &now);
    if (err == ERR_NOT_FOUND) {
        proof->right = false;
        proof->known = false;
        return ERR_OK;
    }
    TRY(err);
    proof->right = proof->right && now.row.state == USER_ACTIVE &&
                   span_eq(now.password, proof->account.password) &&
                   (proof->code_step == 0 || now.row.totp_step < proof->code_step);
    proof->account = now;
    return ERR_OK;
}

static enum err count(struct op *op, struct proof *proof)
{
    bool last = false;
    if (proof->known)
        TRY(identity_is_last(op, &proof->account.row, &last));
    return tries_count(op, &proof->policy, &proof->tries, last);
}

enum err proof_settle(struct op *op, struct proof *proof, enum err code, const char *words)
{
    TRY(ops_late_begin(op));
    TRY(look_again(op, proof));
    bool locked = tries_is_locked(op, &proof->tries);
    if (locked || !proof->right) {
        TRY(count(op, proof));
        TRY(ops_late_save(op));
        if (locked)
            return tries_refuse(op, &proof->tries);
        FAIL(code, "%s", words);
    }
    TRY(ops_late_save(op));
    TRY(tries_clear(op, &proof->tries));
    if (proof->code_step == 0)
        return ERR_OK;
    proof->account.row.totp_step = proof->code_step;
    return account_update(op, &proof->account);
}
