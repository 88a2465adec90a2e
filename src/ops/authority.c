// SPDX-License-Identifier: Apache-2.0
//
// The relations are found here, what they permit is authz's business.
#include "ops/authority.h"

#include "authz/authz.h"
#include "ops/rights.h"
#include "store/people.h"

static bool permits(const struct op *op, enum authz_relation relation)
{
    return authz_decide(&op->who, op->request->verb, relation, op->ops->set.service_uid).permit;
}

bool authority_is_general(const struct op *op)
{
    return permits(op, AUTHZ_OTHER);
}

bool authority_has(const struct op *op, uint32_t rights)
{
    bool local = op->who.kind == PRINCIPAL_LOCAL &&
                 (op->who.uid == 0 || op->who.uid == op->ops->set.service_uid);
    return local || (op->who.kind == PRINCIPAL_USER && (op->who.rights & rights) != 0);
}

static enum err refuse(const struct op *op, bool seen)
{
    char text[RIGHTS_TEXT_MAX];
    if (!seen)
        FAIL(ERR_NOT_FOUND, "it is out of sight");
    rights_text(authz_words(op->request->verb), text);
    FAIL(ERR_NOT_PERMITTED, "the user has no right to this on what is meant: it takes %s", text);
}

enum err authority_access(struct op *op, const struct uuid *wallet, uint32_t *ret)
{
    struct store_grant *grants = NULL;
    size_t count = 0;
    uint32_t access = 0;
    *ret = 0;
    if (op->who.held)
        return ERR_OK;
    TRY(store_grant_reach(op->ops->set.store, &op->who.id, op->arena, &grants, &count));
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&grants[i].wallet, wallet, sizeof *wallet) == 0)
            access |= grants[i].access;
    }
    *ret = access;
    return ERR_OK;
}

enum err authority_wallet(struct op *op, const struct uuid *wallet)
{
    uint32_t access = 0;
    if (authority_is_general(op))
        return ERR_OK;
    TRY(authority_access(op, wallet, &access));
    if (((access & GRANT_READ) != 0 && permits(op, AUTHZ_WALLET_READ)) ||
        ((access & GRANT_MODIFY) != 0 && permits(op, AUTHZ_WALLET_MODIFY)) ||
        ((access & GRANT_MANAGE) != 0 && permits(op, AUTHZ_MANAGES)))
        return ERR_OK;
    return refuse(op, access != 0);
}

enum err authority_thing(struct op *op, const struct uuid *thing)
{
    bool manages = false;
    const struct store_privilege privilege = {op->who.id, *thing};
    if (authority_is_general(op))
        return ERR_OK;
    TRY(store_privilege_has(op->ops->set.store, &privilege, &manages));
    return manages && permits(op, AUTHZ_MANAGES) ? ERR_OK : refuse(op, manages);
}

enum err authority_give(struct op *op, const struct uuid *thing)
{
    const struct store_privilege privilege = {op->who.id, *thing};
    return store_privilege_put(op->ops->set.store, &privilege);
}

enum err authority_user(struct op *op, const struct uuid *user)
{
    bool self = memcmp(user, &op->who.id, sizeof *user) == 0;
    if (authority_is_general(op))
        return ERR_OK;
    return self && permits(op, AUTHZ_SELF) ? ERR_OK : refuse(op, self);
}
