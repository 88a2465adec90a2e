// SPDX-License-Identifier: Apache-2.0
//
// The permission table. A verb without a row is refused to everyone, so that a new verb is closed
// until somebody decides; tests/unit/test_authz.c walks every verb, principal and relation.
#include "authz/authz.h"

// Who may use a verb, one bit each.
enum {
    BY_ENDPOINT = 1, // an enrolled endpoint, on nothing or on what it owns
    BY_ANYONE = 2,   // whoever reaches the local socket
    BY_ADMIN = 4,    // the service's user and root, over the local socket, on any object
    BY_READER = 8,   // an endpoint, on what it may read by a wallet
    BY_MODIFIER = 16 // an endpoint, on what it may read and modify by a wallet
};

struct row {
    enum verb verb;
    unsigned by;
};

static const struct row table[] = {
    {VERB_CREATE, BY_ENDPOINT},
    {VERB_CREATE_KEY_PAIR, BY_ENDPOINT},
    {VERB_REGISTER, BY_ENDPOINT},
    {VERB_LOCATE, BY_ENDPOINT},
    {VERB_GET, BY_ENDPOINT | BY_READER | BY_MODIFIER},
    {VERB_GET_ATTRIBUTES, BY_ENDPOINT | BY_READER | BY_MODIFIER},
    {VERB_GET_ATTRIBUTE_LIST, BY_ENDPOINT | BY_READER | BY_MODIFIER},
    {VERB_ADD_ATTRIBUTE, BY_ENDPOINT | BY_MODIFIER},
    {VERB_MODIFY_ATTRIBUTE, BY_ENDPOINT | BY_MODIFIER},
    {VERB_DELETE_ATTRIBUTE, BY_ENDPOINT | BY_MODIFIER},
    {VERB_ACTIVATE, BY_ENDPOINT | BY_MODIFIER},
    {VERB_REVOKE, BY_ENDPOINT | BY_MODIFIER},
    {VERB_DESTROY, BY_ENDPOINT | BY_MODIFIER},
    {VERB_QUERY, BY_ENDPOINT},
    {VERB_DISCOVER_VERSIONS, BY_ENDPOINT},
    {VERB_STATUS, BY_ANYONE | BY_ADMIN},
    {VERB_SETUP, BY_ADMIN},
    {VERB_HSM_STATUS, BY_ADMIN},
    {VERB_HSM_INITIALIZE, BY_ADMIN},
    {VERB_HSM_SET_CREDENTIAL, BY_ADMIN},
    {VERB_HSM_REVERSE_MIGRATE, BY_ADMIN},
    {VERB_HSM_VERIFY, BY_ADMIN},
    {VERB_HSM_OPEN_WALLET, BY_ADMIN},
    {VERB_HSM_PRE_RESTORE, BY_ADMIN},
    {VERB_ENDPOINT_ADD, BY_ADMIN},
    {VERB_ENDPOINT_ENROLL, BY_ANYONE | BY_ADMIN}, // the one-time token is the authority
    {VERB_ENDPOINT_LIST, BY_ADMIN},
    {VERB_ENDPOINT_SHOW, BY_ADMIN},
    {VERB_KEY_LIST, BY_ADMIN},
    {VERB_KEY_CREATE, BY_ADMIN},
    {VERB_KEY_SHOW, BY_ADMIN},
    {VERB_ENDPOINT_SUSPEND, BY_ADMIN},
    {VERB_ENDPOINT_RESUME, BY_ADMIN},
    {VERB_ENDPOINT_REENROLL, BY_ADMIN},
    {VERB_ENDPOINT_ROTATE, BY_ADMIN},
    {VERB_ENDPOINT_UPDATE, BY_ADMIN},
    {VERB_ENDPOINT_DELETE, BY_ADMIN},
    {VERB_ENDPOINT_ACCESS, BY_ADMIN},
    {VERB_ENDPOINT_OBJECTS, BY_ADMIN},
    {VERB_KEY_ACCESS, BY_ADMIN},
    {VERB_WALLET_LIST, BY_ADMIN},
    {VERB_WALLET_CREATE, BY_ADMIN},
    {VERB_WALLET_SHOW, BY_ADMIN},
    {VERB_WALLET_UPDATE, BY_ADMIN},
    {VERB_WALLET_DELETE, BY_ADMIN},
    {VERB_WALLET_OBJECTS, BY_ADMIN},
    {VERB_WALLET_ADD, BY_ADMIN},
    {VERB_WALLET_REMOVE, BY_ADMIN},
    {VERB_WALLET_GRANT, BY_ADMIN},
    {VERB_WALLET_REVOKE, BY_ADMIN},
    {VERB_GROUP_LIST, BY_ADMIN},
    {VERB_GROUP_CREATE, BY_ADMIN},
    {VERB_GROUP_SHOW, BY_ADMIN},
    {VERB_GROUP_UPDATE, BY_ADMIN},
    {VERB_GROUP_DELETE, BY_ADMIN},
    {VERB_GROUP_ADD, BY_ADMIN},
    {VERB_GROUP_REMOVE, BY_ADMIN},
    {VERB_AUDIT_VERIFY, BY_ADMIN},
    {VERB_AUDIT_LIST, BY_ADMIN},
    {VERB_PASSPHRASE_CHANGE, BY_ADMIN},
    {VERB_ROTATE_WALLET_PASSWORD, BY_ADMIN},
    {VERB_ROTATE_MASTER_KEY, BY_ADMIN},
    {VERB_ROTATE_DATA_KEYS, BY_ADMIN},
    {VERB_ROTATION_SHOW, BY_ADMIN},
    {VERB_ALERT_LIST, BY_ADMIN},
};

static unsigned allowed(enum verb verb)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].verb == verb)
            return table[i].by;
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
    if ((by & BY_ENDPOINT) == 0)
        return deny("an endpoint does not administer the server");
    switch (relation) {
    case AUTHZ_NO_OBJECT:
        return permit("an endpoint may ask for this");
    case AUTHZ_OWN:
        return permit("the endpoint owns the object");
    case AUTHZ_WALLET_READ:
        return (by & BY_READER) != 0 ? permit("a wallet lets the endpoint read the object")
                                     : deny("the wallet lets the endpoint only read the object");
    case AUTHZ_WALLET_MODIFY:
        return (by & BY_MODIFIER) != 0 ? permit("a wallet lets the endpoint modify the object")
                                       : deny("no wallet gives access to this operation");
    case AUTHZ_OTHER:
    default:
        return deny("the object belongs to another owner");
    }
}

static struct authz_decision decide_local(unsigned by, enum authz_relation relation, uint32_t uid,
                                          uint32_t service_uid)
{
    bool admin = uid == 0 || uid == service_uid;
    if (admin && (by & BY_ADMIN) != 0)
        return permit("a local administrator may do this");
    if ((by & BY_ANYONE) != 0 && relation == AUTHZ_NO_OBJECT)
        return permit("any local user may ask for this");
    if ((by & (BY_ADMIN | BY_ANYONE)) == 0)
        return deny("the local socket administers, it uses no keys");
    return deny("only root and the service's own user administer the server");
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
    enum principal_kind kind = channel == AUTHZ_FROM_FRONT ? PRINCIPAL_ENDPOINT : PRINCIPAL_LOCAL;
    if (batch->who.kind != kind)
        return deny("the process that sent this does not speak for such a client");
    for (size_t i = 0; i < batch->count; i++) {
        if (!fits(channel, batch->items[i].verb))
            return deny("the process that sent this may not ask for such an operation");
        if (!writes && verb_writes(batch->items[i].verb))
            return deny("this process changes nothing");
    }
    return permit("the channel may carry this");
}
