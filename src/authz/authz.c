// SPDX-License-Identifier: Apache-2.0
//
// The permission table, from spec/api. A verb without a row is refused to everyone, so that a new
// verb is closed until somebody decides; tests/unit/test_authz.c walks every verb, principal, right
// and relation.
#include "authz/authz.h"

struct row {
    enum verb verb;
    unsigned by; // of enum api_by
};

#define KMIP_ROW(id, code, name, writes, by, ...) {VERB_##id, by},
#define ADMIN_ROW(id, name, writes, by, ...)      {VERB_##id, by},
static const struct row kmip_table[] = {API_KMIP_VERBS(KMIP_ROW)};
static const struct row admin_table[] = {API_ADMIN_VERBS(ADMIN_ROW)};

// Words that say how somebody must stand to the thing that is meant.
enum { RELATIONAL = API_BY_MANAGER | API_BY_OWNER | API_BY_READER | API_BY_MODIFIER | API_BY_SELF };

static unsigned allowed(enum verb verb)
{
    if (verb >= VERB_ADMIN_FIRST && verb < VERB_ADMIN_END)
        return admin_table[verb - VERB_ADMIN_FIRST].by;
    for (size_t i = 0; i < sizeof kmip_table / sizeof *kmip_table; i++) {
        if (kmip_table[i].verb == verb)
            return kmip_table[i].by;
    }
    return 0;
}

static struct authz_decision permit(const char *why)
{
    return (struct authz_decision){true, why};
}

static struct authz_decision deny(const char *why)
{
    return (struct authz_decision){false, why};
}

static struct authz_decision decide_endpoint(unsigned by, enum authz_relation relation)
{
    if ((by & API_BY_ENDPOINT) == 0)
        return deny("an endpoint does not administer the server");
    switch (relation) {
    case AUTHZ_NO_OBJECT:
        return permit("an endpoint may ask for this");
    case AUTHZ_OWN:
        return permit("the endpoint owns the object");
    case AUTHZ_WALLET_READ:
        return (by & API_BY_READER) != 0
                   ? permit("a wallet lets the endpoint read the object")
                   : deny("the wallet lets the endpoint only read the object");
    case AUTHZ_WALLET_MODIFY:
        return (by & API_BY_MODIFIER) != 0 ? permit("a wallet lets the endpoint modify the object")
                                           : deny("no wallet gives access to this operation");
    case AUTHZ_MANAGES:
    case AUTHZ_SELF:
    case AUTHZ_OTHER:
    default:
        return deny("the object belongs to another owner");
    }
}

static struct authz_decision decide_local(unsigned by, enum authz_relation relation, uint32_t uid,
                                          uint32_t service_uid)
{
    bool admin = uid == 0 || uid == service_uid;
    if (admin && (by & API_BY_LOCAL) != 0)
        return permit("a local administrator may do this");
    if ((by & (API_BY_ANYONE | API_BY_LOCAL_ANYONE)) != 0 && relation == AUTHZ_NO_OBJECT)
        return permit("any local user may ask for this");
    if ((by & (API_BY_LOCAL | API_BY_ANYONE | API_BY_LOCAL_ANYONE)) == 0)
        return deny("the local socket administers, it uses no keys");
    return deny("only root and the service's own user administer the server");
}

// The word that fits how a user stands to the thing.
static unsigned word_of(enum authz_relation relation)
{
    switch (relation) {
    case AUTHZ_NO_OBJECT: // which thing is not known yet: may be
        return RELATIONAL;
    case AUTHZ_OWN:
        return API_BY_OWNER;
    case AUTHZ_WALLET_READ:
        return API_BY_READER;
    case AUTHZ_WALLET_MODIFY:
        return API_BY_MODIFIER;
    case AUTHZ_MANAGES:
        return API_BY_MANAGER;
    case AUTHZ_SELF:
        return API_BY_SELF;
    case AUTHZ_OTHER:
    default:
        return 0;
    }
}

// What is left to somebody whose access is held: nothing by owning, by managing or by a wallet, and
// of what is the Key Administrator's for everything nothing that any user may do for themselves.
static unsigned left_to_held(unsigned by)
{
    unsigned shut = API_BY_OWNER | API_BY_READER | API_BY_MODIFIER | API_BY_MANAGER;
    if ((by & RIGHT_KEY) != 0)
        shut |= API_BY_USER | API_BY_SELF;
    return by & ~shut;
}

static struct authz_decision decide_user(unsigned all, enum authz_relation relation,
                                         const struct principal *who)
{
    unsigned by = who->held ? left_to_held(all) : all;
    if ((by & API_BY_ENDPOINT) != 0)
        return deny("keys are used by endpoints, not by users");
    if ((by & RIGHT_ALL & who->rights) != 0)
        return permit("a role or privilege of the user allows this");
    if ((by & (API_BY_USER | API_BY_ANYONE)) != 0)
        return permit("any user may do this");
    if ((by & word_of(relation)) != 0)
        return permit("the user has this right on what is meant");
    if (by != all)
        return deny("the user's access to keys and wallets is held, since somebody else has reset "
                    "the password or the second factor: ask a Key Administrator to restore it");
    return deny(relation == AUTHZ_NO_OBJECT ? "none of the user's roles and privileges allows this"
                                            : "the user has no right to this on what is meant");
}

uint32_t authz_words(enum verb verb)
{
    return allowed(verb);
}

struct authz_decision authz_decide(const struct principal *who, enum verb verb,
                                   enum authz_relation relation, uint32_t service_uid)
{
    unsigned by = allowed(verb);
    if (by == 0)
        return deny("nobody may use this operation");
    if (who->kind == PRINCIPAL_ENDPOINT)
        return decide_endpoint(by, relation);
    if (who->kind == PRINCIPAL_LOCAL)
        return decide_local(by, relation, who->uid, service_uid);
    if (who->kind == PRINCIPAL_USER)
        return decide_user(by, relation, who);
    if (who->kind == PRINCIPAL_NOBODY && (by & API_BY_ANYONE) != 0 && relation == AUTHZ_NO_OBJECT)
        return permit("anyone may ask for this");
    return deny("the client is not known");
}

static bool fits(enum authz_channel channel, enum verb verb)
{
    bool administers = verb >= VERB_ADMIN_FIRST;
    return verb == VERB_NONE || administers == (channel == AUTHZ_FROM_WEB);
}

struct authz_decision authz_may_carry(enum authz_channel channel, bool writes,
                                      const struct batch *batch)
{
    bool endpoint = batch->who.kind == PRINCIPAL_ENDPOINT;
    if (endpoint != (channel == AUTHZ_FROM_FRONT))
        return deny("the process that sent this does not speak for such a client");
    for (size_t i = 0; i < batch->count; i++) {
        if (!fits(channel, batch->items[i].verb))
            return deny("the process that sent this may not ask for such an operation");
        if (!writes && verb_writes(batch->items[i].verb))
            return deny("this process changes nothing");
    }
    return permit("the channel may carry this");
}
