// SPDX-License-Identifier: Apache-2.0
//
// Every operation, one function a file (or a small family of them).
#ifndef KW_OPS_VERBS_H
#define KW_OPS_VERBS_H

#include "ops/context.h"

op_function create_run;
op_function create_key_pair_run;
op_function register_run;
op_function locate_run;
op_function get_run;
op_function get_attributes_run;
op_function get_attribute_list_run;
op_function add_attribute_run;
op_function modify_attribute_run;
op_function delete_attribute_run;
op_function activate_run;
op_function revoke_run;
op_function destroy_run;
op_function query_run;

op_function status_run;
op_function setup_run;
op_function hsm_run;
op_function endpoint_add_run;
op_function endpoint_enroll_run;
op_function endpoint_list_run;
op_function endpoint_show_run;
op_function key_list_run;
op_function key_create_run;
op_function key_show_run;
op_function endpoint_life_suspend_run;
op_function endpoint_life_resume_run;
op_function endpoint_life_reenroll_run;
op_function endpoint_life_rotate_run;
op_function endpoint_life_update_run;
op_function endpoint_life_delete_run;
op_function access_endpoint_run;
op_function access_objects_run;
op_function access_key_run;
op_function wallet_list_run;
op_function wallet_create_run;
op_function wallet_show_run;
op_function wallet_update_run;
op_function wallet_delete_run;
op_function wallet_objects_run;
op_function wallet_add_run;
op_function wallet_remove_run;
op_function wallet_grant_run;
op_function wallet_revoke_run;
op_function group_list_run;
op_function group_create_run;
op_function group_show_run;
op_function group_update_run;
op_function group_delete_run;
op_function group_add_run;
op_function group_remove_run;
op_function trail_verify_run;
op_function trail_list_run;
op_function rotation_start_run;
op_function rotation_show_run;
op_function alert_list_run;

#endif
