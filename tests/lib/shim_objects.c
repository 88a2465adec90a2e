// SPDX-License-Identifier: Apache-2.0
// The view is a list of handles, which the real module keeps the same for a process.
#include "shim_objects.h"

#include "shim_control.h"

#include <stdlib.h>
#include <string.h>

#define SEEN_MAX 4096

static struct {
    bool limited;
    unsigned long count;
    ck_object_handle_t seen[SEEN_MAX];
} view;

struct ck_attribute *shim_objects_attribute(struct ck_attribute *templ, unsigned long n,
                                            ck_attribute_type_t type)
{
    for (unsigned long i = 0; i < n; i++) {
        if (templ[i].type == type && templ[i].value != NULL) {
            return &templ[i];
        }
    }
    return NULL;
}

void shim_objects_made(ck_object_handle_t object)
{
    if (view.limited && view.count < SEEN_MAX) {
        view.seen[view.count++] = object;
    }
}

void shim_objects_logged_in(struct ck_function_list *real, ck_session_handle_t s)
{
    view.limited = shim_control_has("stale");
    view.count = 0;
    if (!view.limited) {
        return;
    }
    if (real->C_FindObjectsInit(s, NULL, 0) != CKR_OK ||
        real->C_FindObjects(s, view.seen, SEEN_MAX, &view.count) != CKR_OK ||
        real->C_FindObjectsFinal(s) != CKR_OK) {
        abort();
    }
}

static bool is_seen(ck_object_handle_t object)
{
    for (unsigned long i = 0; i < view.count; i++) {
        if (view.seen[i] == object) {
            return true;
        }
    }
    return !view.limited;
}

ck_rv_t shim_objects_find(struct ck_function_list *real, ck_session_handle_t s,
                          ck_object_handle_t *found, unsigned long max, unsigned long *n)
{
    unsigned long got = 0;
    unsigned long kept = 0;
    do {
        ck_rv_t rv = real->C_FindObjects(s, found, max, &got);
        if (rv != CKR_OK) {
            return rv;
        }
        for (unsigned long i = 0; i < got; i++) {
            if (is_seen(found[i])) {
                found[kept++] = found[i];
            }
        }
    } while (got > 0 && kept == 0); // none left over means the end to the caller
    *n = kept;
    return CKR_OK;
}

static bool is_true(struct ck_attribute *templ, unsigned long n, ck_attribute_type_t type)
{
    struct ck_attribute *found = shim_objects_attribute(templ, n, type);
    return found != NULL && found->value_len == 1 && *(unsigned char *)found->value != 0;
}

bool shim_objects_refused(struct ck_attribute *templ, unsigned long n)
{
    static const ck_attribute_type_t forbidden[] = {CKA_WRAP, CKA_UNWRAP, CKA_SIGN, CKA_VERIFY,
                                                    CKA_DERIVE};
    static const ck_attribute_type_t wanted[] = {CKA_TOKEN,   CKA_PRIVATE, CKA_SENSITIVE,
                                                 CKA_ENCRYPT, CKA_DECRYPT, CKA_EXTRACTABLE};
    if (shim_control_has("policy=noextract")) {
        return is_true(templ, n, CKA_SENSITIVE) && is_true(templ, n, CKA_EXTRACTABLE);
    }
    if (!shim_control_has("policy=nshield")) {
        return false;
    }
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        if (is_true(templ, n, forbidden[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (shim_objects_attribute(templ, n, wanted[i]) == NULL) {
            return true;
        }
    }
    return false;
}

static void tell(struct ck_attribute *templ, unsigned long n, ck_attribute_type_t type,
                 unsigned char value)
{
    struct ck_attribute *found = shim_objects_attribute(templ, n, type);
    if (found != NULL && found->value_len == 1) {
        *(unsigned char *)found->value = value;
    }
}

void shim_objects_lie(struct ck_attribute *templ, unsigned long n)
{
    if (shim_control_has("lie=extractable")) {
        tell(templ, n, CKA_EXTRACTABLE, 1);
    }
    if (shim_control_has("lie=insensitive")) {
        tell(templ, n, CKA_SENSITIVE, 0);
    }
}
