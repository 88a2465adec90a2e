// SPDX-License-Identifier: Apache-2.0
//
// The verbs in one table: what each is called in logs, audit records and messages, and whether it
// changes the store. A verb without a row has no name and writes nothing.
#include "model/model.h"

struct verb_row {
    const char *name;
    bool writes;
};

static const struct verb_row kmip_verbs[] = {
    [VERB_CREATE] = {"Create", true},
    [VERB_CREATE_KEY_PAIR] = {"Create Key Pair", true},
    [VERB_REGISTER] = {"Register", true},
    [VERB_LOCATE] = {"Locate", false},
    [VERB_GET] = {"Get", false},
    [VERB_GET_ATTRIBUTES] = {"Get Attributes", false},
    [VERB_GET_ATTRIBUTE_LIST] = {"Get Attribute List", false},
    [VERB_ADD_ATTRIBUTE] = {"Add Attribute", true},
    [VERB_MODIFY_ATTRIBUTE] = {"Modify Attribute", true},
    [VERB_DELETE_ATTRIBUTE] = {"Delete Attribute", true},
    [VERB_ACTIVATE] = {"Activate", true},
    [VERB_REVOKE] = {"Revoke", true},
    [VERB_DESTROY] = {"Destroy", true},
    [VERB_QUERY] = {"Query", false},
    [VERB_DISCOVER_VERSIONS] = {"Discover Versions", false},
};

static const struct verb_row admin_verbs[VERB_ADMIN_END - VERB_ADMIN_FIRST] = {
    [VERB_STATUS - VERB_ADMIN_FIRST] = {"status", false},
    [VERB_SETUP - VERB_ADMIN_FIRST] = {"setup", true},
    [VERB_HSM_STATUS - VERB_ADMIN_FIRST] = {"hsm status", false},
    [VERB_HSM_INITIALIZE - VERB_ADMIN_FIRST] = {"hsm initialize", true},
    [VERB_HSM_SET_CREDENTIAL - VERB_ADMIN_FIRST] = {"hsm set-credential", true},
    [VERB_HSM_REVERSE_MIGRATE - VERB_ADMIN_FIRST] = {"hsm reverse-migrate", true},
    [VERB_HSM_VERIFY - VERB_ADMIN_FIRST] = {"hsm verify", false},
    [VERB_HSM_OPEN_WALLET - VERB_ADMIN_FIRST] = {"hsm open-wallet", false},
    [VERB_HSM_PRE_RESTORE - VERB_ADMIN_FIRST] = {"hsm pre-restore", false},
    [VERB_ENDPOINT_ADD - VERB_ADMIN_FIRST] = {"endpoint add", true},
    [VERB_ENDPOINT_ENROLL - VERB_ADMIN_FIRST] = {"endpoint enroll", true},
    [VERB_ENDPOINT_LIST - VERB_ADMIN_FIRST] = {"endpoint list", false},
    [VERB_ENDPOINT_SHOW - VERB_ADMIN_FIRST] = {"endpoint show", false},
    [VERB_KEY_LIST - VERB_ADMIN_FIRST] = {"key list", false},
    [VERB_KEY_CREATE - VERB_ADMIN_FIRST] = {"key create", true},
    [VERB_KEY_SHOW - VERB_ADMIN_FIRST] = {"key show", false},
    [VERB_AUDIT_VERIFY - VERB_ADMIN_FIRST] = {"audit verify", false},
    [VERB_AUDIT_LIST - VERB_ADMIN_FIRST] = {"audit list", false},
    [VERB_PASSPHRASE_CHANGE - VERB_ADMIN_FIRST] = {"passphrase change", true},
    [VERB_ROTATE_WALLET_PASSWORD - VERB_ADMIN_FIRST] = {"rotate wallet-password", true},
    [VERB_ROTATE_MASTER_KEY - VERB_ADMIN_FIRST] = {"rotate master-key", true},
    [VERB_ROTATE_DATA_KEYS - VERB_ADMIN_FIRST] = {"rotate data-keys", true},
    [VERB_ROTATION_SHOW - VERB_ADMIN_FIRST] = {"rotate status", false},
    [VERB_ALERT_LIST - VERB_ADMIN_FIRST] = {"alert list", false},
    [VERB_ENDPOINT_SUSPEND - VERB_ADMIN_FIRST] = {"endpoint suspend", true},
    [VERB_ENDPOINT_RESUME - VERB_ADMIN_FIRST] = {"endpoint resume", true},
    [VERB_ENDPOINT_REENROLL - VERB_ADMIN_FIRST] = {"endpoint re-enroll", true},
    [VERB_ENDPOINT_ROTATE - VERB_ADMIN_FIRST] = {"endpoint rotate", true},
    [VERB_ENDPOINT_UPDATE - VERB_ADMIN_FIRST] = {"endpoint update", true},
    [VERB_ENDPOINT_DELETE - VERB_ADMIN_FIRST] = {"endpoint delete", true},
    [VERB_ENDPOINT_ACCESS - VERB_ADMIN_FIRST] = {"endpoint access", false},
    [VERB_ENDPOINT_OBJECTS - VERB_ADMIN_FIRST] = {"endpoint objects", false},
    [VERB_KEY_ACCESS - VERB_ADMIN_FIRST] = {"key access", false},
    [VERB_WALLET_LIST - VERB_ADMIN_FIRST] = {"wallet list", false},
    [VERB_WALLET_CREATE - VERB_ADMIN_FIRST] = {"wallet create", true},
    [VERB_WALLET_SHOW - VERB_ADMIN_FIRST] = {"wallet show", false},
    [VERB_WALLET_UPDATE - VERB_ADMIN_FIRST] = {"wallet update", true},
    [VERB_WALLET_DELETE - VERB_ADMIN_FIRST] = {"wallet delete", true},
    [VERB_WALLET_OBJECTS - VERB_ADMIN_FIRST] = {"wallet objects", false},
    [VERB_WALLET_ADD - VERB_ADMIN_FIRST] = {"wallet add", true},
    [VERB_WALLET_REMOVE - VERB_ADMIN_FIRST] = {"wallet remove", true},
    [VERB_WALLET_GRANT - VERB_ADMIN_FIRST] = {"wallet grant", true},
    [VERB_WALLET_REVOKE - VERB_ADMIN_FIRST] = {"wallet revoke", true},
    [VERB_GROUP_LIST - VERB_ADMIN_FIRST] = {"endpoint-group list", false},
    [VERB_GROUP_CREATE - VERB_ADMIN_FIRST] = {"endpoint-group create", true},
    [VERB_GROUP_SHOW - VERB_ADMIN_FIRST] = {"endpoint-group show", false},
    [VERB_GROUP_UPDATE - VERB_ADMIN_FIRST] = {"endpoint-group update", true},
    [VERB_GROUP_DELETE - VERB_ADMIN_FIRST] = {"endpoint-group delete", true},
    [VERB_GROUP_ADD - VERB_ADMIN_FIRST] = {"endpoint-group add", true},
    [VERB_GROUP_REMOVE - VERB_ADMIN_FIRST] = {"endpoint-group remove", true},
};

static const struct verb_row event_verbs[VERB_EVENT_END - VERB_EVENT_FIRST] = {
    [VERB_ALERT_RAISED - VERB_EVENT_FIRST] = {"alert raised", false},
    [VERB_ALERT_CLEARED - VERB_EVENT_FIRST] = {"alert cleared", false},
    [VERB_DATA_KEYS_ROTATED - VERB_EVENT_FIRST] = {"data keys rotated", false},
};

static const struct verb_row no_verb = {"unknown", false};

static const struct verb_row *row_of(enum verb verb)
{
    const struct verb_row *row = &no_verb;
    unsigned number = (unsigned)verb;
    if (number < sizeof kmip_verbs / sizeof *kmip_verbs)
        row = &kmip_verbs[number];
    else if (number >= VERB_ADMIN_FIRST && number < VERB_ADMIN_END)
        row = &admin_verbs[number - VERB_ADMIN_FIRST];
    else if (number >= VERB_EVENT_FIRST && number < VERB_EVENT_END)
        row = &event_verbs[number - VERB_EVENT_FIRST];
    return row->name != NULL ? row : &no_verb;
}

bool verb_writes(enum verb verb)
{
    return row_of(verb)->writes;
}

const char *verb_name(enum verb verb)
{
    return row_of(verb)->name;
}
