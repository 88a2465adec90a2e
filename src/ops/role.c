// SPDX-License-Identifier: Apache-2.0
//
// The three roles. Who holds one with the right to grant it onward gives it to others; nobody else
// does, but the local administrator, and whoever knows the recovery passphrase where a holder is
// lost. Where roles are separated nobody gets a second one, and who has several can use none.
#include "ops/identity.h"
#include "ops/named.h"
#include "ops/rights.h"
#include "ops/root.h"
#include "ops/tries.h"
#include "ops/user.h"
#include "ops/verbs.h"

enum { LIST_MAX = STORE_FIND_MAX };

static bool is_local(const struct op *op)
{
    return op->who.kind == PRINCIPAL_LOCAL;
}

// ---- list ----

static enum err add_holder(struct op *op, const struct store_user *row, uint32_t role, json_t *list)
{
    struct account account;
    TRY(account_open(op, row, &account));
    json_t *item = json_pack("{s:o, s:b, s:s}", "name", doc_string(account.name), "forward",
                             (row->forward & role) != 0, "state",
                             row->state == USER_LOCKED ? "locked" : "active");
    if (item == NULL || json_array_append_new(list, item) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

static enum err add_holders(struct op *op, uint32_t role, json_t *list)
{
    struct uuid after = {{0}};
    struct store_user *rows = NULL;
    size_t count = LIST_MAX;
    while (count == LIST_MAX) {
        TRY(store_user_list(op->ops->set.store, role, &after, LIST_MAX, op->arena, &rows, &count));
        for (size_t i = 0; i < count; i++) {
            TRY(add_holder(op, &rows[i], role, list));
            after = rows[i].id;
        }
    }
    return ERR_OK;
}

// → {"roles": […], "separation"}
enum err role_list_run(struct op *op)
{
    static const uint32_t roles[] = {RIGHT_SYSTEM, RIGHT_KEY, RIGHT_AUDIT};
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    bool separated = false;
    TRY(doc_params(op, &doc));
    TRY(identity_separated(op, &separated));
    TRY(doc_set(answer, "separation", json_boolean(separated)));
    json_t *list = json_array();
    TRY(doc_set(answer, "roles", list));
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        json_t *holders = json_array();
        json_t *item = json_pack("{s:s, s:o}", "role", rights_word(roles[i]), "holders", holders);
        if (item == NULL || json_array_append_new(list, item) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
        TRY(add_holders(op, roles[i], holders));
    }
    return doc_answer(op, json_incref(answer));
}

// ---- grant and revoke ----

static enum err take(struct op *op, const json_t *doc, uint32_t *ret_role, struct account *ret)
{
    TRY(rights_take_role(doc, "role", ret_role));
    TRY(account_find(op, doc, "user", ret));
    return named_tell(op, &ret->row.id, "%s, user \"%.*s\"", rights_title(*ret_role),
                      (int)ret->name.len, (const char *)ret->name.data);
}

static enum err check_forward(struct op *op, uint32_t role)
{
    struct account own;
    if (is_local(op))
        return ERR_OK;
    TRY(identity_account(op, false, &own));
    if ((op->who.rights & role) == 0 || (own.row.forward & role) == 0)
        FAIL(ERR_NOT_PERMITTED,
             "only who holds the role %s with the right to grant it onward can "
             "do this",
             rights_title(role));
    return ERR_OK;
}

static enum err check_single(struct op *op, const struct account *account, uint32_t role)
{
    bool separated = false;
    TRY(identity_separated(op, &separated));
    if (separated && (account->row.rights & IDENTITY_ROLES & ~role) != 0)
        FAIL(ERR_WRONG_STATE,
             "user \"%.*s\" holds another role, and roles are separated: take that one away first",
             (int)account->name.len, (const char *)account->name.data);
    return ERR_OK;
}

static enum err give(struct op *op, struct account *account, uint32_t role, bool forward)
{
    json_t *answer = NULL;
    TRY(check_single(op, account, role));
    account->row.rights |= role;
    account->row.forward &= ~role;
    account->row.forward |= forward ? role : 0;
    TRY(account_update(op, account));
    TRY(user_describe(op, account, &answer));
    return doc_answer(op, answer);
}

// {"role", "user", "forward"} → the user
enum err role_grant_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    uint32_t role = 0;
    TRY(doc_params(op, &doc));
    TRY(take(op, doc, &role, &account));
    TRY(check_forward(op, role));
    return give(op, &account, role, json_is_true(json_object_get(doc, "forward")));
}

// {"role", "user"} → the user
enum err role_revoke_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    uint32_t role = 0;
    json_t *answer = NULL;
    TRY(doc_params(op, &doc));
    TRY(take(op, doc, &role, &account));
    bool self = memcmp(&account.row.id, &op->who.id, sizeof op->who.id) == 0;
    if (!self)
        TRY(check_forward(op, role));
    if ((account.row.rights & role) == 0)
        FAIL(ERR_NOT_FOUND, "user \"%.*s\" does not hold this role", (int)account.name.len,
             (const char *)account.name.data);
    if (role == RIGHT_SYSTEM)
        TRY(user_check_not_last(op, &account));
    account.row.rights &= ~role;
    account.row.forward &= ~role;
    TRY(account_update(op, &account));
    TRY(user_describe(op, &account, &answer));
    return doc_answer(op, answer);
}

// ---- by the recovery passphrase ----

// Checked without a transaction, then counted within one; a save is open afterwards.
static enum err prove_recovery(struct op *op)
{
    struct recovery_door door;
    enum err err = ERR_OK;
    TRY(tries_recovery(op, &door));
    if (!door.locked)
        err = root_operate(op, KEYRING_CHECK_PASSPHRASE, span_str("{}"), false);
    op->reply->doc = span_of(NULL, 0);
    if (err != ERR_OK && err != ERR_PASSPHRASE)
        return err;
    TRY(ops_late_begin(op));
    TRY(tries_recovered(op, &door, err == ERR_OK));
    TRY(ops_late_save(op));
    if (door.locked)
        return tries_refuse_recovery(op, &door);
    return err == ERR_OK ? ERR_OK : tries_wrong_passphrase();
}

// {"role", "user"} and the secret "recovery_passphrase" → the user
enum err role_recover_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    uint32_t role = 0;
    TRY(doc_params(op, &doc));
    TRY(rights_take_role(doc, "role", &role));
    TRY(prove_recovery(op));
    TRY(take(op, doc, &role, &account));
    return give(op, &account, role, true);
}

static enum err holders_of_several(struct op *op, json_t *list)
{
    struct uuid after = {{0}};
    struct store_user *rows = NULL;
    size_t count = LIST_MAX;
    while (count == LIST_MAX) {
        TRY(store_user_list(op->ops->set.store, IDENTITY_ROLES, &after, LIST_MAX, op->arena, &rows,
                            &count));
        for (size_t i = 0; i < count; i++) {
            uint32_t rights = rows[i].rights;
            after = rows[i].id;
            if (identity_effective(rights, true) != rights &&
                json_array_append_new(list, account_name(op, &rows[i].id)) != 0)
                FAIL(ERR_MEMORY, "no memory for an answer");
        }
    }
    return ERR_OK;
}

// {"enforced"} and the secret "recovery_passphrase"
enum err role_separation_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    static const struct uuid none;
    TRY(doc_params(op, &doc));
    bool enforced = json_is_true(json_object_get(doc, "enforced"));
    TRY(named_tell(op, &none, "separation of roles %s", enforced ? "enforced" : "off"));
    TRY(prove_recovery(op));
    TRY(identity_separate(op, enforced));
    json_t *list = json_array();
    TRY(doc_set(answer, "separation", json_boolean(enforced)));
    TRY(doc_set(answer, "holders_of_several", list));
    if (enforced)
        TRY(holders_of_several(op, list));
    return doc_answer(op, json_incref(answer));
}
