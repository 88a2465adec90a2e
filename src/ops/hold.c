// SPDX-License-Identifier: Apache-2.0
//
// What a held account may still do is authz's business; here it is held, and let go again.
#include "ops/hold.h"

#include "ops/authority.h"
#include "ops/identity.h"
#include "ops/lifecycle.h"
#include "ops/named.h"
#include "ops/user.h"
#include "ops/verbs.h"

enum err hold_check(const struct op *op, const struct account *account)
{
    uint32_t roles = account->row.rights & IDENTITY_ROLES;
    if (op->who.kind == PRINCIPAL_USER && (roles & ~op->who.rights) != 0)
        FAIL(ERR_NOT_PERMITTED,
             "\"%.*s\" holds a role that you do not hold: somebody who holds it, too, or the local "
             "administrator must do this",
             (int)account->name.len, (const char *)account->name.data);
    return ERR_OK;
}

// Whether there is anything that somebody else could get at as this user.
static enum err reaches(struct op *op, const struct uuid *user, bool *ret)
{
    static const struct uuid start;
    struct store *store = op->ops->set.store;
    struct store_query owned = {.owner = *user, .states = LIFECYCLE_LIVING, .limit = 1};
    struct store_object *rows = NULL;
    struct store_grant *grants = NULL;
    struct uuid *things = NULL;
    size_t count = 0;
    TRY(store_object_find(store, &owned, op->arena, &rows, &count));
    if (count == 0)
        TRY(store_grant_reach(store, user, op->arena, &grants, &count));
    if (count == 0)
        TRY(store_privilege_list(store, user, &start, 1, op->arena, &things, &count));
    *ret = count > 0;
    return ERR_OK;
}

enum err hold_set(struct op *op, struct account *account)
{
    bool held = false;
    if (authority_has(op, RIGHT_KEY))
        return ERR_OK;
    TRY(reaches(op, &account->row.id, &held));
    if (!held)
        return ERR_OK;
    account->row.flags |= USER_HELD;
    return named_tell(op, &account->row.id, "user \"%.*s\", whose access to keys is held",
                      (int)account->name.len, (const char *)account->name.data);
}

// {"name"} → the user
enum err user_restore_access_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    json_t *answer = NULL;
    TRY(doc_params(op, &doc));
    TRY(user_take(op, doc, &account));
    if ((account.row.flags & USER_HELD) == 0)
        FAIL(ERR_WRONG_STATE, "the access of user \"%.*s\" is not held", (int)account.name.len,
             (const char *)account.name.data);
    // Whoever set the password could still be the first to use it.
    if ((account.row.flags & USER_MUST_CHANGE) != 0)
        FAIL(ERR_WRONG_STATE,
             "user \"%.*s\" has the password still that somebody else has set: let the user sign "
             "in and change it, ask whether that was the user, then restore the access",
             (int)account.name.len, (const char *)account.name.data);
    account.row.flags &= ~(uint32_t)USER_HELD;
    TRY(account_update(op, &account));
    TRY(user_describe(op, &account, &answer));
    return doc_answer(op, answer);
}
