// SPDX-License-Identifier: Apache-2.0
//
// The table of operations.
#include "ops/dispatch.h"

#include "ops/verbs.h"

static const struct dispatch_row table[] = {
    {VERB_CREATE, create_run, true, false},
    {VERB_CREATE_KEY_PAIR, create_key_pair_run, true, false},
    {VERB_REGISTER, register_run, true, false},
    {VERB_LOCATE, locate_run, true, false},
    {VERB_GET, get_run, true, false},
    {VERB_GET_ATTRIBUTES, get_attributes_run, true, false},
    {VERB_GET_ATTRIBUTE_LIST, get_attribute_list_run, true, false},
    {VERB_ADD_ATTRIBUTE, add_attribute_run, true, false},
    {VERB_MODIFY_ATTRIBUTE, modify_attribute_run, true, false},
    {VERB_DELETE_ATTRIBUTE, delete_attribute_run, true, false},
    {VERB_ACTIVATE, activate_run, true, false},
    {VERB_REVOKE, revoke_run, true, false},
    {VERB_DESTROY, destroy_run, true, false},
    {VERB_QUERY, query_run, false, false},
    {VERB_DISCOVER_VERSIONS, query_run, false, false},
    {VERB_STATUS, status_run, false, false},
    {VERB_SETUP, setup_run, false, true},
    {VERB_HSM_STATUS, hsm_run, false, true},
    {VERB_HSM_INITIALIZE, hsm_run, false, true},
    {VERB_HSM_SET_CREDENTIAL, hsm_run, false, true},
    {VERB_HSM_REVERSE_MIGRATE, hsm_run, false, true},
    {VERB_HSM_VERIFY, hsm_run, false, true},
    {VERB_HSM_OPEN_WALLET, hsm_run, false, true},
    {VERB_HSM_PRE_RESTORE, hsm_run, false, true},
    {VERB_ENDPOINT_ADD, endpoint_add_run, true, false},
    {VERB_ENDPOINT_ENROLL, endpoint_enroll_run, true, false},
    {VERB_ENDPOINT_LIST, endpoint_list_run, true, false},
    {VERB_ENDPOINT_SHOW, endpoint_show_run, true, false},
    {VERB_KEY_LIST, key_list_run, true, false},
    {VERB_KEY_CREATE, key_create_run, true, false},
    {VERB_KEY_SHOW, key_show_run, true, false},
    {VERB_ENDPOINT_SUSPEND, endpoint_life_suspend_run, true, false},
    {VERB_ENDPOINT_RESUME, endpoint_life_resume_run, true, false},
    {VERB_ENDPOINT_REENROLL, endpoint_life_reenroll_run, true, false},
    {VERB_ENDPOINT_ROTATE, endpoint_life_rotate_run, true, false},
    {VERB_ENDPOINT_UPDATE, endpoint_life_update_run, true, false},
    {VERB_ENDPOINT_DELETE, endpoint_life_delete_run, true, false},
    {VERB_ENDPOINT_ACCESS, access_endpoint_run, true, false},
    {VERB_ENDPOINT_OBJECTS, access_objects_run, true, false},
    {VERB_KEY_ACCESS, access_key_run, true, false},
    {VERB_WALLET_LIST, wallet_list_run, true, false},
    {VERB_WALLET_CREATE, wallet_create_run, true, false},
    {VERB_WALLET_SHOW, wallet_show_run, true, false},
    {VERB_WALLET_UPDATE, wallet_update_run, true, false},
    {VERB_WALLET_DELETE, wallet_delete_run, true, false},
    {VERB_WALLET_OBJECTS, wallet_objects_run, true, false},
    {VERB_WALLET_ADD, wallet_add_run, true, false},
    {VERB_WALLET_REMOVE, wallet_remove_run, true, false},
    {VERB_WALLET_GRANT, wallet_grant_run, true, false},
    {VERB_WALLET_REVOKE, wallet_revoke_run, true, false},
    {VERB_GROUP_LIST, group_list_run, true, false},
    {VERB_GROUP_CREATE, group_create_run, true, false},
    {VERB_GROUP_SHOW, group_show_run, true, false},
    {VERB_GROUP_UPDATE, group_update_run, true, false},
    {VERB_GROUP_DELETE, group_delete_run, true, false},
    {VERB_GROUP_ADD, group_add_run, true, false},
    {VERB_GROUP_REMOVE, group_remove_run, true, false},
    {VERB_AUDIT_VERIFY, trail_verify_run, false, true},
    {VERB_AUDIT_LIST, trail_list_run, false, false},
    {VERB_PASSPHRASE_CHANGE, hsm_run, false, true},
    {VERB_ROTATE_WALLET_PASSWORD, hsm_run, false, true},
    {VERB_ROTATE_MASTER_KEY, hsm_run, false, true},
    {VERB_ROTATE_DATA_KEYS, rotation_start_run, true, false},
    {VERB_ROTATION_SHOW, rotation_show_run, false, false},
    {VERB_ALERT_LIST, alert_list_run, false, false},
};

const struct dispatch_row *dispatch_find(enum verb verb)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].verb == verb)
            return &table[i];
    }
    return NULL;
}
