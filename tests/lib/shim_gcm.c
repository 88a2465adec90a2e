// SPDX-License-Identifier: Apache-2.0
// The two habits of shim_gcm.h. The luna kind delays C_DecryptInit until the ciphertext, and with
// it the IV, is there.
#include "shim_gcm.h"

#include "shim_control.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define LUNA_IV  16
#define CLOUD_IV 12
#define TAG      16

static struct {
    bool active;
    bool encrypt;
    ck_session_handle_t session;
    ck_object_handle_t key;
    unsigned char iv[LUNA_IV];
    unsigned char aad[256];
    unsigned long aad_len;
} op;

static bool appends(void)
{
    return shim_control_has("gcm=luna") || shim_control_has("gcm=fips");
}

bool shim_gcm_wants(const struct ck_mechanism *mech)
{
    return mech != NULL && mech->mechanism == CKM_AES_GCM &&
           (appends() || shim_control_has("gcm=cloudhsm") || shim_control_has("gcm=short") ||
            shim_control_has("gcm=strict"));
}

bool shim_gcm_active(ck_session_handle_t s, bool encrypt)
{
    return op.active && op.session == s && op.encrypt == encrypt;
}

static void fill(unsigned char *iv, size_t size)
{
    if (getrandom(iv, size, 0) != (ssize_t)size) {
        abort();
    }
}

static ck_rv_t cloud_init(struct ck_function_list *real, ck_session_handle_t s,
                          struct ck_mechanism *mech, ck_object_handle_t key)
{
    static const unsigned char zero[CLOUD_IV];
    struct ck_gcm_params *p = mech->parameter;
    if (p->iv_ptr == NULL || p->iv_len != CLOUD_IV || memcmp(p->iv_ptr, zero, CLOUD_IV) != 0) {
        return CKR_MECHANISM_PARAM_INVALID;
    }
    fill(p->iv_ptr, CLOUD_IV);
    return real->C_EncryptInit(s, mech, key);
}

static ck_rv_t luna_real_init(struct ck_function_list *real)
{
    struct ck_gcm_params p = {.iv_ptr = op.iv,
                              .iv_len = LUNA_IV,
                              .iv_bits = LUNA_IV * 8,
                              .aad_ptr = op.aad,
                              .aad_len = op.aad_len,
                              .tag_bits = TAG * 8};
    struct ck_mechanism mech = {CKM_AES_GCM, &p, sizeof p};
    return op.encrypt ? real->C_EncryptInit(op.session, &mech, op.key)
                      : real->C_DecryptInit(op.session, &mech, op.key);
}

static ck_rv_t luna_init(struct ck_function_list *real, const struct ck_gcm_params *p)
{
    if (p->tag_bits != TAG * 8 || p->aad_len > sizeof op.aad ||
        (p->iv_ptr != NULL && shim_control_has("gcm=fips"))) {
        return CKR_MECHANISM_PARAM_INVALID;
    }
    op.aad_len = p->aad_len;
    if (p->aad_len != 0) {
        memcpy(op.aad, p->aad_ptr, p->aad_len);
    }
    if (op.encrypt) {
        fill(op.iv, LUNA_IV);
        ck_rv_t rv = luna_real_init(real);
        if (rv != CKR_OK) {
            return rv;
        }
    }
    op.active = true;
    return CKR_OK;
}

// CK_GCM_PARAMS as PKCS#11 2.40 printed it first, without the IV's bits.
struct short_params {
    unsigned char *iv_ptr;
    unsigned long iv_len;
    unsigned char *aad_ptr;
    unsigned long aad_len;
    unsigned long tag_bits;
};

static ck_rv_t pass_on(struct ck_function_list *real, ck_session_handle_t s,
                       struct ck_gcm_params *p, ck_object_handle_t key, bool encrypt)
{
    struct ck_mechanism mech = {CKM_AES_GCM, p, sizeof *p};
    return encrypt ? real->C_EncryptInit(s, &mech, key) : real->C_DecryptInit(s, &mech, key);
}

static ck_rv_t short_init(struct ck_function_list *real, ck_session_handle_t s,
                          struct ck_mechanism *mech, ck_object_handle_t key, bool encrypt)
{
    const struct short_params *p = mech->parameter;
    if (p == NULL || mech->parameter_len != sizeof *p) {
        return CKR_MECHANISM_PARAM_INVALID;
    }
    struct ck_gcm_params whole = {p->iv_ptr,  p->iv_len,  p->iv_len * 8,
                                  p->aad_ptr, p->aad_len, p->tag_bits};
    return pass_on(real, s, &whole, key, encrypt);
}

static ck_rv_t strict_init(struct ck_function_list *real, ck_session_handle_t s,
                           struct ck_mechanism *mech, ck_object_handle_t key, bool encrypt)
{
    struct ck_gcm_params *p = mech->parameter;
    if (p == NULL || mech->parameter_len != sizeof *p || p->iv_ptr == NULL ||
        p->iv_bits != 8 * p->iv_len) {
        return CKR_MECHANISM_PARAM_INVALID;
    }
    return pass_on(real, s, p, key, encrypt);
}

ck_rv_t shim_gcm_init(struct ck_function_list *real, ck_session_handle_t s,
                      struct ck_mechanism *mech, ck_object_handle_t key, bool encrypt)
{
    if (shim_control_has("gcm=short")) {
        return short_init(real, s, mech, key, encrypt);
    }
    if (shim_control_has("gcm=strict")) {
        return strict_init(real, s, mech, key, encrypt);
    }
    if (mech->parameter == NULL || mech->parameter_len < sizeof(struct ck_gcm_params)) {
        return CKR_MECHANISM_PARAM_INVALID;
    }
    if (shim_control_has("gcm=cloudhsm")) {
        return encrypt ? cloud_init(real, s, mech, key) : real->C_DecryptInit(s, mech, key);
    }
    op.active = false;
    op.encrypt = encrypt;
    op.session = s;
    op.key = key;
    return luna_init(real, mech->parameter);
}

ck_rv_t shim_gcm_encrypt(struct ck_function_list *real, ck_session_handle_t s, unsigned char *in,
                         unsigned long in_len, unsigned char *out, unsigned long *out_len)
{
    unsigned long need = in_len + TAG + LUNA_IV;
    unsigned long room = *out_len;
    *out_len = need;
    if (out == NULL) {
        return CKR_OK;
    }
    if (room < need) {
        return CKR_BUFFER_TOO_SMALL;
    }
    unsigned long n = room - LUNA_IV;
    ck_rv_t rv = real->C_Encrypt(s, in, in_len, out, &n);
    op.active = false;
    if (rv == CKR_OK) {
        memcpy(out + n, op.iv, LUNA_IV);
        *out_len = n + LUNA_IV;
    }
    return rv;
}

ck_rv_t shim_gcm_decrypt(struct ck_function_list *real, ck_session_handle_t s, unsigned char *in,
                         unsigned long in_len, unsigned char *out, unsigned long *out_len)
{
    if (in_len < TAG + LUNA_IV) {
        op.active = false;
        return CKR_ENCRYPTED_DATA_LEN_RANGE;
    }
    unsigned long need = in_len - TAG - LUNA_IV;
    unsigned long room = *out_len;
    if (out == NULL || room < need) {
        *out_len = need;
        return out == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
    }
    op.active = false;
    memcpy(op.iv, in + in_len - LUNA_IV, LUNA_IV);
    ck_rv_t rv = luna_real_init(real);
    if (rv == CKR_OK) {
        rv = real->C_Decrypt(s, in, in_len - LUNA_IV, out, out_len);
    }
    return rv;
}
