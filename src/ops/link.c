// SPDX-License-Identifier: Apache-2.0
//
// Set-up links: how the first administrators come to be, so that nobody becomes one by being first.
// The local administrator makes one; it makes one account with the roles that it is for, once,
// within half an hour.
#include "base/pwhash.h"
#include "crypto/crypto.h"
#include "ops/credential.h"
#include "ops/identity.h"
#include "ops/named.h"
#include "ops/rights.h"
#include "ops/user.h"
#include "ops/verbs.h"

enum { LINK_S = 1800 };

// {"roles"} → the secret of the link
enum err link_create_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    char text[CREDENTIAL_TEXT_LEN + 1];
    bool separated = false;
    struct store_credential row = {.kind = STORED_LINK, .expires = op->now + LINK_S};
    TRY(doc_params(op, &doc));
    TRY(rights_take_list(doc, "roles", IDENTITY_ROLES, &row.rights));
    TRY(identity_separated(op, &separated));
    if (row.rights == 0 || (row.rights & ~(uint32_t)IDENTITY_ROLES) != 0)
        FAIL(ERR_INVALID, "\"roles\" must hold one or more of system, key, audit");
    if (identity_effective(row.rights, separated) != row.rights)
        FAIL(ERR_WRONG_STATE, "roles are separated: make a link for each");
    credential_make(STORED_LINK, text, row.hash);
    TRY(store_credential_forget(op->ops->set.store, op->now));
    TRY(credential_put(op, &row, span_str("set-up link")));
    op->object = row.id;
    enum err err =
        doc_answer(op, json_pack("{s:s, s:o, s:o}", "token", text, "expires", doc_time(row.expires),
                                 "roles", rights_words(row.rights)));
    explicit_bzero(text, sizeof text);
    return err;
}

static enum err refuse(void)
{
    FAIL(ERR_AUTHENTICATION, "the link does not exist, or was used, or its time is over: the local "
                             "administrator makes a new one (keyward setup-link create)");
}

static enum err find_link(struct op *op, struct store_credential *ret)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    struct span label;
    crypto_sha256(doc_secret(op, "token"), hash);
    enum err err = store_credential_by_hash(op->ops->set.store, hash, op->arena, ret);
    if (err == ERR_NOT_FOUND)
        return refuse();
    TRY(err);
    if (ret->kind != STORED_LINK || ret->expires <= op->now)
        return refuse();
    return credential_open(op, ret, &label);
}

static enum err use_link(struct op *op, struct account *account, const uint8_t *record)
{
    struct store_credential link;
    bool separated = false;
    TRY(find_link(op, &link)); // still there
    TRY(identity_separated(op, &separated));
    account->row.rights = account->row.forward = identity_effective(link.rights, separated);
    TRY(account_check_free(op, account->name));
    TRY(account_set_password(op, account, record, 0));
    TRY(account_put(op, account));
    op->object = account->row.id;
    return store_credential_remove(op->ops->set.store, &link.id);
}

// {"name", "full_name", "email"} and the secrets "token", "password"
enum err link_use_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account = {.row = {.state = USER_ACTIVE}};
    struct store_credential link;
    struct policy policy;
    uint8_t record[PWHASH_LEN];
    TRY(doc_params(op, &doc));
    TRY(find_link(op, &link));
    TRY(account_take_name(op, doc, "name", &account.name));
    TRY(user_take_texts(op, doc, &account));
    TRY(named_tell(op, &link.id, "user \"%.*s\"", (int)account.name.len,
                   (const char *)account.name.data));
    TRY(policy_load(op, &policy));
    TRY(policy_check(&policy, doc_secret(op, "password"), account.name));
    TRY(pwhash_make(doc_secret(op, "password"), record));
    TRY(ops_late_begin(op));
    TRY(ops_late_save(op));
    TRY(use_link(op, &account, record));
    return doc_answer(op, json_pack("{s:o, s:o, s:o}", "id", doc_uuid(&account.row.id), "name",
                                    doc_string(account.name), "roles",
                                    rights_roles(account.row.rights, account.row.forward)));
}
