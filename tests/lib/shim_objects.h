// SPDX-License-Identifier: Apache-2.0
// Objects as vendors treat them: a view as of the start (stale), refused templates (policy=…),
// attributes that are told otherwise (lie=…).
#pragma once
#include <p11-kit/pkcs11.h>
#include <stdbool.h>

// The attribute of a template, NULL if it is not there or has no value.
struct ck_attribute *shim_objects_attribute(struct ck_attribute *templ, unsigned long n,
                                            ck_attribute_type_t type);

// To be called after C_Login: with `stale`, what is not there now stays unseen, unless this process
// makes it (shim_objects_made).
void shim_objects_logged_in(struct ck_function_list *real, ck_session_handle_t s);
void shim_objects_made(ck_object_handle_t object);
ck_rv_t shim_objects_find(struct ck_function_list *real, ck_session_handle_t s,
                          ck_object_handle_t *found, unsigned long max, unsigned long *n);

// Whether the policy in force refuses a key's template.
bool shim_objects_refused(struct ck_attribute *templ, unsigned long n);

// Tells attributes otherwise after a C_GetAttributeValue that succeeded.
void shim_objects_lie(struct ck_attribute *templ, unsigned long n);
