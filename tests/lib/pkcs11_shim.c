// SPDX-License-Identifier: Apache-2.0
// A PKCS#11 module that stands before a real one (KWSHIM_MODULE, SoftHSM by default) and spoils it
// as a control file says (shim_control.h). For tests only.
//
// Invariants: every function passes shim_control_enter first, so every one can be counted, failed,
// delayed or made fatal; what the control file does not mention reaches the real module unchanged;
// the only exported symbol is C_GetFunctionList. Nearly all bodies are made from the table in
// shim_calls.h, those that look at their arguments are written out below.
#include "shim_control.h"
#include "shim_gcm.h"
#include "shim_objects.h"
#include "shim_slots.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ck_function_list *real;

// The real module may have holes too.
#define CALL_REAL(name, arguments)                                                                 \
    (real->name == NULL ? CKR_FUNCTION_NOT_SUPPORTED : real->name arguments)

#define PLAIN(name, min, parameters, arguments)                                                    \
    static ck_rv_t shim_##name parameters                                                          \
    {                                                                                              \
        ck_rv_t rv = CKR_OK;                                                                       \
        if (shim_control_enter(SHIM_##name, &rv)) {                                                \
            return rv;                                                                             \
        }                                                                                          \
        return CALL_REAL(name, arguments);                                                         \
    }
#define HOOKED(name, min)
#include "shim_calls.h"

static bool has_reserved(void *init_args)
{
    const struct ck_c_initialize_args *args = init_args;
    const char *wanted = getenv("KWSHIM_RESERVED");
    return wanted != NULL && args != NULL && args->reserved != NULL &&
           strcmp(args->reserved, wanted) == 0;
}

static ck_rv_t shim_C_Initialize(void *init_args)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_Initialize, &rv)) {
        return rv;
    }
    if (!shim_control_has("reserved")) {
        return CALL_REAL(C_Initialize, (init_args));
    }
    struct ck_c_initialize_args plain = {.flags = CKF_OS_LOCKING_OK};
    return has_reserved(init_args) ? CALL_REAL(C_Initialize, (&plain)) : CKR_ARGUMENTS_BAD;
}

static ck_rv_t shim_C_GetSlotList(unsigned char present, ck_slot_id_t *slots, unsigned long *n)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_GetSlotList, &rv)) {
        return rv;
    }
    rv = shim_slots_list(real, present, slots, n);
    if (rv == CKR_OK) {
        shim_control_miscount(SHIM_C_GetSlotList, n);
    }
    return rv;
}

static ck_rv_t shim_C_GetTokenInfo(ck_slot_id_t slot, struct ck_token_info *info)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_GetTokenInfo, &rv)) {
        return rv;
    }
    return shim_slots_token(real, slot, info);
}

static ck_rv_t shim_C_OpenSession(ck_slot_id_t slot, ck_flags_t flags, void *app,
                                  ck_notify_t notify, ck_session_handle_t *s)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_OpenSession, &rv)) {
        return rv;
    }
    if ((flags & CKF_RW_SESSION) == 0 && shim_control_has("noro")) {
        return CKR_SESSION_READ_ONLY;
    }
    return CALL_REAL(C_OpenSession, (shim_slots_real(slot), flags, app, notify, s));
}

static ck_rv_t shim_C_Login(ck_session_handle_t s, ck_user_type_t user, unsigned char *pin,
                            unsigned long pin_len)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_Login, &rv)) {
        return rv;
    }
    rv = CALL_REAL(C_Login, (s, user, pin, pin_len));
    if (rv == CKR_OK) {
        shim_objects_logged_in(real, s);
    }
    return rv;
}

static ck_rv_t shim_C_FindObjects(ck_session_handle_t s, ck_object_handle_t *found,
                                  unsigned long max, unsigned long *n)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_FindObjects, &rv)) {
        return rv;
    }
    rv = shim_objects_find(real, s, found, max, n);
    if (rv == CKR_OK) {
        shim_control_miscount(SHIM_C_FindObjects, n);
    }
    return rv;
}

static ck_rv_t shim_C_GetAttributeValue(ck_session_handle_t s, ck_object_handle_t o,
                                        struct ck_attribute *templ, unsigned long n)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_GetAttributeValue, &rv)) {
        return rv;
    }
    rv = CALL_REAL(C_GetAttributeValue, (s, o, templ, n));
    if (rv == CKR_OK) {
        shim_objects_lie(templ, n);
        shim_control_miscount(SHIM_C_GetAttributeValue, &templ[0].value_len);
    }
    return rv;
}

static bool is_data(struct ck_attribute *templ, unsigned long n)
{
    struct ck_attribute *class = shim_objects_attribute(templ, n, CKA_CLASS);
    ck_object_class_t value = CKO_SECRET_KEY;
    if (class != NULL && class->value_len == sizeof value) {
        memcpy(&value, class->value, sizeof value);
    }
    return value == CKO_DATA;
}

static ck_rv_t shim_C_CreateObject(ck_session_handle_t s, struct ck_attribute *templ,
                                   unsigned long n, ck_object_handle_t *object)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_CreateObject, &rv)) {
        return rv;
    }
    if (is_data(templ, n) && shim_control_has("nodata")) {
        return CKR_ATTRIBUTE_VALUE_INVALID;
    }
    rv = CALL_REAL(C_CreateObject, (s, templ, n, object));
    if (rv == CKR_OK) {
        shim_objects_made(*object);
    }
    return rv;
}

// A key of the same CKA_ID, 0 if there is none.
static ck_object_handle_t same_id(ck_session_handle_t s, struct ck_attribute *templ,
                                  unsigned long n)
{
    ck_object_class_t class = CKO_SECRET_KEY;
    struct ck_attribute *id = shim_objects_attribute(templ, n, CKA_ID);
    ck_object_handle_t found = 0;
    unsigned long count = 0;
    if (id == NULL) {
        return 0;
    }
    struct ck_attribute wanted[] = {{CKA_CLASS, &class, sizeof class}, *id};
    if (real->C_FindObjectsInit(s, wanted, 2) == CKR_OK) {
        if (real->C_FindObjects(s, &found, 1, &count) != CKR_OK || count == 0) {
            found = 0;
        }
        real->C_FindObjectsFinal(s);
    }
    return found;
}

static ck_rv_t shim_C_GenerateKey(ck_session_handle_t s, struct ck_mechanism *mech,
                                  struct ck_attribute *templ, unsigned long n,
                                  ck_object_handle_t *key)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_GenerateKey, &rv)) {
        return rv;
    }
    if (shim_objects_refused(templ, n)) {
        return CKR_TEMPLATE_INCONSISTENT;
    }
    if (shim_control_has("uniqueid") && same_id(s, templ, n) != 0) {
        return CKR_ATTRIBUTE_VALUE_INVALID;
    }
    if (shim_control_has("replaceid")) {
        ck_object_handle_t old = same_id(s, templ, n);
        if (old != 0) {
            real->C_DestroyObject(s, old);
        }
    }
    rv = CALL_REAL(C_GenerateKey, (s, mech, templ, n, key));
    if (rv == CKR_OK) {
        shim_objects_made(*key);
    }
    return rv;
}

static bool refused(const struct ck_mechanism *mech)
{
    static const struct {
        ck_mechanism_type_t mechanism;
        const char *word;
    } words[] = {{CKM_AES_GCM, "nogcm"},
                 {CKM_AES_CBC, "nocbc"},
                 {CKM_AES_CBC_PAD, "nocbcpad"},
                 {CKM_AES_ECB, "noecb"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (mech != NULL && mech->mechanism == words[i].mechanism) {
            return shim_control_has(words[i].word);
        }
    }
    return false;
}

static ck_rv_t shim_C_EncryptInit(ck_session_handle_t s, struct ck_mechanism *mech,
                                  ck_object_handle_t key)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_EncryptInit, &rv)) {
        return rv;
    }
    if (refused(mech)) {
        return CKR_MECHANISM_INVALID;
    }
    if (shim_gcm_wants(mech)) {
        return shim_gcm_init(real, s, mech, key, true);
    }
    return CALL_REAL(C_EncryptInit, (s, mech, key));
}

static ck_rv_t shim_C_DecryptInit(ck_session_handle_t s, struct ck_mechanism *mech,
                                  ck_object_handle_t key)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_DecryptInit, &rv)) {
        return rv;
    }
    if (refused(mech)) {
        return CKR_MECHANISM_INVALID;
    }
    if (shim_gcm_wants(mech)) {
        return shim_gcm_init(real, s, mech, key, false);
    }
    return CALL_REAL(C_DecryptInit, (s, mech, key));
}

static ck_rv_t shim_C_Encrypt(ck_session_handle_t s, unsigned char *in, unsigned long in_len,
                              unsigned char *out, unsigned long *out_len)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_Encrypt, &rv)) {
        return rv;
    }
    if (shim_gcm_active(s, true)) {
        rv = shim_gcm_encrypt(real, s, in, in_len, out, out_len);
    } else {
        rv = CALL_REAL(C_Encrypt, (s, in, in_len, out, out_len));
    }
    if (rv == CKR_OK) {
        shim_control_spoil(SHIM_C_Encrypt, out, out_len);
    }
    return rv;
}

static ck_rv_t shim_C_Decrypt(ck_session_handle_t s, unsigned char *in, unsigned long in_len,
                              unsigned char *out, unsigned long *out_len)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_Decrypt, &rv)) {
        return rv;
    }
    if (shim_gcm_active(s, false)) {
        rv = shim_gcm_decrypt(real, s, in, in_len, out, out_len);
    } else {
        rv = CALL_REAL(C_Decrypt, (s, in, in_len, out, out_len));
    }
    if (rv == CKR_OK) {
        shim_control_spoil(SHIM_C_Decrypt, out, out_len);
    }
    return rv;
}

static void load_real(void)
{
    const char *path = getenv("KWSHIM_MODULE");
    if (path == NULL) {
        path = "/usr/lib/softhsm/libsofthsm2.so";
    }
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList get = NULL;
    if (module != NULL) {
        *(void **)&get = dlsym(module, "C_GetFunctionList");
    }
    if (get == NULL || get(&real) != CKR_OK) {
        fprintf(stderr, "keyward-test-shim: could not load \"%s\": %s\n", path, dlerror());
        abort();
    }
}

static ck_rv_t shim_C_GetFunctionList(struct ck_function_list **ret_list);

static struct ck_function_list list = {
    .version = {2, 40},
#define PLAIN(name, min, parameters, arguments) .name = shim_##name,
#define HOOKED(name, min)                       .name = shim_##name,
#include "shim_calls.h"
};

// What is missing: all beside the 17, or what is named.
static void drop(void)
{
    unsigned long none = 0;
    bool minimal = shim_control_has("only17=null");
#define KEEP(name, min)                                                                            \
    list.name =                                                                                    \
        (minimal && !(min)) || shim_control_wishes("null", SHIM_##name, &none) ? NULL : list.name;
#define PLAIN(name, min, parameters, arguments) KEEP(name, min)
#define HOOKED(name, min)                       KEEP(name, min)
#include "shim_calls.h"
#undef KEEP
}

static ck_rv_t shim_C_GetFunctionList(struct ck_function_list **ret_list)
{
    ck_rv_t rv = CKR_OK;
    if (shim_control_enter(SHIM_C_GetFunctionList, &rv)) {
        return rv;
    }
    if (real == NULL) {
        load_real();
    }
    drop();
    *ret_list = &list;
    return CKR_OK;
}

__attribute__((visibility("default"))) ck_rv_t C_GetFunctionList(struct ck_function_list **ret_list)
{
    return shim_C_GetFunctionList(ret_list);
}
