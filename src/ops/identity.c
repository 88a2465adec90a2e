// SPDX-License-Identifier: Apache-2.0
//
// While the server is locked, records cannot be opened: then a user has no name, and what the rows
// say counts, so that an administrator whose session still lasts can look after the HSM. Nothing is
// served meanwhile.
#include "ops/identity.h"

#include "ops/credential.h"
#include "ops/policy.h"
#include "ops/rights.h"
#include "ops/seen.h"

#define SETTING "separation"

enum { DAY_S = 86400 };

static enum err refuse(void)
{
    FAIL(ERR_AUTHENTICATION,
         "the session, token or certificate does not count, or no more: sign in again");
}

bool identity_may_wait(enum verb verb)
{
    return verb == VERB_ME_SHOW || verb == VERB_ME_CHANGE_PASSWORD || verb == VERB_SESSION_DELETE ||
           verb == VERB_PASSWORD_POLICY_SHOW;
}

enum err identity_separated(struct op *op, bool *ret)
{
    struct span value;
    enum err err = store_setting_get(op->ops->set.store, false, SETTING, op->arena, &value);
    *ret = err == ERR_OK && span_eq_str(value, "enforced");
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err identity_separate(struct op *op, bool enforced)
{
    return store_setting_put(op->ops->set.store, false, SETTING,
                             span_str(enforced ? "enforced" : "off"));
}

uint32_t identity_effective(uint32_t rights, bool separated)
{
    uint32_t roles = rights & IDENTITY_ROLES;
    bool several = (roles & (roles - 1)) != 0;
    return separated && several ? rights & ~(uint32_t)IDENTITY_ROLES : rights;
}

enum err identity_is_last(struct op *op, const struct store_user *user, bool *ret)
{
    struct uuid after = {{0}};
    struct store_user *rows = NULL;
    size_t count = STORE_FIND_MAX;
    bool separated = false;
    *ret = false;
    TRY(identity_separated(op, &separated));
    if ((identity_effective(user->rights, separated) & RIGHT_SYSTEM) == 0)
        return ERR_OK;
    while (count == STORE_FIND_MAX) {
        TRY(store_user_list(op->ops->set.store, RIGHT_SYSTEM, &after, STORE_FIND_MAX, op->arena,
                            &rows, &count));
        for (size_t i = 0; i < count; i++) {
            bool other = memcmp(&rows[i].id, &user->id, sizeof user->id) != 0;
            uint32_t rights = identity_effective(rows[i].rights, separated);
            if (other && rows[i].state == USER_ACTIVE && (rights & RIGHT_SYSTEM) != 0)
                return ERR_OK;
            after = rows[i].id;
        }
    }
    *ret = true;
    return ERR_OK;
}

// ---- who asks ----

static enum err check_credential(struct op *op, const struct store_credential *row,
                                 const struct policy *policy)
{
    int64_t seen = 0;
    if (row->kind != (uint32_t)op->who.credential || row->kind == STORED_LINK ||
        row->expires <= op->now)
        return refuse();
    if (row->kind != STORED_SESSION)
        return ERR_OK;
    TRY(store_seen_get(op->ops->set.store, &row->id, &seen));
    int64_t here = seen_last(op->ops->seen, &row->id);
    int64_t last = seen > here ? seen : here;
    if (row->created > last)
        last = row->created;
    return op->now - last >= policy->idle_s ? refuse() : ERR_OK;
}

// What the sealed records say must be what the rows say.
static enum err open_both(struct op *op, const struct store_credential *credential,
                          const struct store_user *row)
{
    struct span label;
    struct account account;
    if (!op->ops->open)
        return ERR_OK;
    TRY(credential_open(op, credential, &label));
    TRY(account_open(op, row, &account));
    op->who.name = account.name;
    return ERR_OK;
}

static enum err take_rights(struct op *op, const struct store_credential *credential,
                            const struct store_user *user, const struct policy *policy)
{
    bool separated = false;
    TRY(identity_separated(op, &separated));
    uint32_t rights = identity_effective(user->rights, separated) & RIGHT_ALL;
    // A token may be for less than a role: for what is within it.
    rights |= rights_within(rights & ~credential->rights);
    op->who.rights = rights & credential->rights;
    op->who.held = (user->flags & USER_HELD) != 0;
    bool old = policy->password_days > 0 &&
               op->now - user->password_changed >= policy->password_days * DAY_S;
    op->must_change =
        credential->kind == STORED_SESSION && (old || (user->flags & USER_MUST_CHANGE) != 0);
    return ERR_OK;
}

enum err identity_credential(struct op *op, struct store_credential *ret)
{
    return store_credential_by_hash(op->ops->set.store, op->who.fingerprint, op->arena, ret);
}

enum err identity_resolve(struct op *op)
{
    struct policy policy;
    struct store_credential credential;
    struct store_user user;
    enum err err = identity_credential(op, &credential);
    if (err == ERR_NOT_FOUND)
        return refuse();
    TRY(err);
    TRY(policy_load(op, &policy));
    TRY(check_credential(op, &credential, &policy));
    err = store_user_get(op->ops->set.store, &credential.user, op->arena, &user);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && user.state != USER_ACTIVE))
        return refuse();
    TRY(err);
    TRY(open_both(op, &credential, &user));
    TRY(take_rights(op, &credential, &user, &policy));
    op->who.id = user.id;
    seen_note(op->ops->seen, &credential.id, op->now);
    return ERR_OK;
}

enum err identity_account(struct op *op, bool session, struct account *ret)
{
    if (op->who.kind != PRINCIPAL_USER)
        FAIL(ERR_NOT_PERMITTED, "the local socket has no account of its own: sign in as a user");
    if (session && op->who.credential != CREDENTIAL_SESSION)
        FAIL(ERR_NOT_PERMITTED, "this wants a session: sign in with a password");
    return account_get(op, &op->who.id, ret);
}
