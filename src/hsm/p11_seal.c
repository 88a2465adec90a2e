// SPDX-License-Identifier: Apache-2.0
//
// Encrypting 32 random bytes under the root key. No mechanism works on every HSM, and lists and
// flags of mechanisms lie, so the one to use is found by doing it: encrypt, decrypt with a new
// session, compare. Confidentiality of the 32 bytes is all that is asked of the HSM; that they are
// the right ones is the caller's seal to decide, so a plain block mode is sound (docs/KEYS.md).
//
// Sealed bytes: format 1, mechanism (its place in the table plus 1), length of the IV, IV,
// ciphertext.
#include "base/log.h"
#include "base/rand.h"
#include "hsm/p11.h"

enum {
    FORMAT = 1,
    HEADER = 3,
    IV_MAX = 16,
    GCM_IV = 12,
    GCM_TAG = 16,
    SLACK = 64, // some HSMs want, and write, more than the standard says
    OUT_MAX = HSM_SEALED_MAX + SLACK,
};

enum iv_source {
    IV_NONE,
    IV_OWN,    // random, from here
    IV_ZERO,   // zeros, which the HSM overwrites with its own
    IV_ABSENT, // no buffer: the HSM appends its own to the ciphertext
};

struct cipher {
    const char *name;
    CK_MECHANISM_TYPE type;
    size_t iv_len;
    size_t out_len; // of HSM_DEK_LEN bytes
    enum iv_source sources[3];
    bool short_params; // GCM's parameters without ulIvBits, as the standard printed them first
};

// The order is that of the tries, and a place in it stands in sealed bytes: new ones go last.
static const struct cipher ciphers[] = {
    {"AES_CBC", CKM_AES_CBC, IV_MAX, HSM_DEK_LEN, {IV_OWN}, false},
    {"AES_CBC_PAD", CKM_AES_CBC_PAD, IV_MAX, HSM_DEK_LEN + 16, {IV_OWN}, false},
    {"AES_GCM", CKM_AES_GCM, GCM_IV, HSM_DEK_LEN + GCM_TAG, {IV_OWN, IV_ZERO, IV_ABSENT}, false},
    {"AES_ECB", CKM_AES_ECB, 0, HSM_DEK_LEN, {IV_NONE}, false},
    {"AES_GCM", CKM_AES_GCM, GCM_IV, HSM_DEK_LEN + GCM_TAG, {IV_OWN, IV_ZERO, IV_ABSENT}, true},
};
enum { CIPHERS = sizeof ciphers / sizeof *ciphers };

struct box {
    const struct cipher *cipher;
    size_t iv_len;
    uint8_t iv[IV_MAX];
    size_t len;
    uint8_t text[OUT_MAX];
};

struct short_gcm {
    CK_BYTE_PTR pIv;
    CK_ULONG ulIvLen;
    CK_BYTE_PTR pAAD;
    CK_ULONG ulAADLen;
    CK_ULONG ulTagBits;
};

struct params {
    CK_MECHANISM mechanism;
    CK_GCM_PARAMS gcm;
    struct short_gcm short_gcm;
};

static void params_init(struct params *params, const struct cipher *cipher, uint8_t *iv,
                        size_t iv_len)
{
    memset(params, 0, sizeof *params);
    params->mechanism.mechanism = cipher->type;
    if (cipher->short_params) {
        params->short_gcm.pIv = iv_len == 0 ? NULL : iv;
        params->short_gcm.ulIvLen = iv_len;
        params->short_gcm.ulTagBits = 8 * GCM_TAG;
        params->mechanism.pParameter = &params->short_gcm;
        params->mechanism.ulParameterLen = sizeof params->short_gcm;
    } else if (cipher->type == CKM_AES_GCM) {
        params->gcm.pIv = iv_len == 0 ? NULL : iv;
        params->gcm.ulIvLen = iv_len;
        params->gcm.ulIvBits = 8 * iv_len;
        params->gcm.ulTagBits = 8 * GCM_TAG;
        params->mechanism.pParameter = &params->gcm;
        params->mechanism.ulParameterLen = sizeof params->gcm;
    } else if (iv_len > 0) {
        params->mechanism.pParameter = iv;
        params->mechanism.ulParameterLen = iv_len;
    }
}

// A failed operation may stay active; only another session is sure to be free of it.
static void renew_after(struct p11 *p11, CK_RV rv)
{
    if (rv == CKR_OK)
        return;
    enum err err = p11_session_renew(p11);
    if (err != ERR_OK)
        log_error("session_lost", err);
}

// True when the output can be what the mechanism should give, with an IV that somebody made.
static bool is_plausible(const struct box *box, enum iv_source source)
{
    static const uint8_t zeros[IV_MAX];
    bool blank = box->iv_len == 0 || memcmp(box->iv, zeros, box->iv_len) == 0;
    return box->len == box->cipher->out_len && (source == IV_NONE || !blank);
}

// An HSM that makes its own IV of 12 or 16 bytes may append it to the ciphertext.
static bool has_appended_iv(const struct box *box)
{
    size_t want = box->cipher->out_len;
    return box->cipher->type == CKM_AES_GCM &&
           (box->len == want + GCM_IV || box->len == want + IV_MAX);
}

static void split_iv(struct box *box)
{
    size_t want = box->cipher->out_len;
    box->iv_len = box->len - want;
    memcpy(box->iv, box->text + want, box->iv_len);
    box->len = want;
}

static CK_RV encrypt(struct p11 *p11, CK_OBJECT_HANDLE key, enum iv_source source, struct span dek,
                     struct box *box)
{
    struct params params;
    memset(box->iv, 0, sizeof box->iv);
    box->iv_len = source == IV_ABSENT ? 0 : box->cipher->iv_len;
    if (source == IV_OWN)
        rand_bytes(box->iv, box->iv_len);
    params_init(&params, box->cipher, box->iv, box->iv_len);
    CK_RV rv = P11_CALL(p11, C_EncryptInit, p11->session, &params.mechanism, key);
    if (rv != CKR_OK)
        return rv;
    uint8_t input[HSM_DEK_LEN];
    memcpy(input, dek.data, sizeof input);
    CK_ULONG len = sizeof box->text;
    rv = P11_CALL(p11, C_Encrypt, p11->session, input, sizeof input, box->text, &len);
    explicit_bzero(input, sizeof input);
    if (rv == CKR_OK && len > sizeof box->text)
        return CKR_GENERAL_ERROR;
    box->len = len;
    return rv;
}

static CK_RV decrypt(struct p11 *p11, CK_OBJECT_HANDLE key, const struct box *box,
                     uint8_t out[OUT_MAX], size_t *ret_len)
{
    struct params params;
    uint8_t iv[IV_MAX];
    uint8_t text[OUT_MAX];
    memcpy(iv, box->iv, sizeof iv);
    memcpy(text, box->text, box->len);
    params_init(&params, box->cipher, iv, box->iv_len);
    CK_RV rv = P11_CALL(p11, C_DecryptInit, p11->session, &params.mechanism, key);
    if (rv != CKR_OK)
        return rv;
    CK_ULONG len = OUT_MAX;
    rv = P11_CALL(p11, C_Decrypt, p11->session, text, box->len, out, &len);
    if (rv == CKR_OK && len > OUT_MAX)
        return CKR_GENERAL_ERROR;
    *ret_len = len;
    return rv;
}

// The session is another one, so that nothing is left over from encrypting.
static bool comes_back(struct p11 *p11, CK_OBJECT_HANDLE key, const struct box *box,
                       struct span dek)
{
    if (p11_session_renew(p11) != ERR_OK)
        return false;
    uint8_t out[OUT_MAX];
    size_t len = 0;
    CK_RV rv = decrypt(p11, key, box, out, &len);
    renew_after(p11, rv);
    bool same = rv == CKR_OK && len == dek.len && secret_equal(span_of(out, len), dek);
    explicit_bzero(out, sizeof out);
    return same;
}

static bool try_source(struct p11 *p11, CK_OBJECT_HANDLE key, enum iv_source source,
                       struct span dek, struct box *box, CK_RV *ret_rv)
{
    *ret_rv = encrypt(p11, key, source, dek, box);
    renew_after(p11, *ret_rv);
    // An HSM that gives the plaintext back encrypts nothing.
    if (*ret_rv != CKR_OK || box->len > HSM_SEALED_MAX - HEADER - IV_MAX ||
        memmem(box->text, box->len, dek.data, dek.len) != NULL)
        return false;
    if (!has_appended_iv(box))
        return is_plausible(box, source) && comes_back(p11, key, box, dek);
    // To decrypt, one kind of HSM takes the IV as parameter, another wants it where it put it.
    if (comes_back(p11, key, box, dek))
        return true;
    split_iv(box);
    return comes_back(p11, key, box, dek);
}

static bool try_cipher(struct p11 *p11, CK_OBJECT_HANDLE key, const struct cipher *cipher,
                       struct span dek, struct box *box, struct buf *why)
{
    char text[P11_RV_TEXT];
    CK_RV rv = CKR_OK;
    box->cipher = cipher;
    for (size_t i = 0; i < sizeof cipher->sources / sizeof *cipher->sources; i++) {
        if (i > 0 && cipher->sources[i] == IV_NONE)
            break;
        if (try_source(p11, key, cipher->sources[i], dek, box, &rv))
            return true;
    }
    // The text is for the message alone; without room for it the message is shorter.
    if (buf_printf(why, "%s%s: %s", why->len == 0 ? "" : ", ", cipher->name,
                   rv == CKR_OK ? "what came back is not what went in" : p11_rv_text(rv, text)) !=
        ERR_OK)
        why->len = 0;
    return false;
}

static enum err put_box(const struct box *box, struct buf *out)
{
    TRY(buf_put_u8(out, FORMAT));
    TRY(buf_put_u8(out, (uint8_t)(box->cipher - ciphers + 1)));
    TRY(buf_put_u8(out, (uint8_t)box->iv_len));
    TRY(buf_put(out, span_of(box->iv, box->iv_len)));
    return buf_put(out, span_of(box->text, box->len));
}

static enum err take_box(struct span sealed, struct box *ret)
{
    struct cursor in = cursor_of(sealed);
    uint8_t head[HEADER] = {0};
    for (int i = 0; i < HEADER; i++)
        TRY(cursor_u8(&in, &head[i]));
    struct span iv;
    if (head[0] != FORMAT || head[1] < 1 || head[1] > CIPHERS || head[2] > IV_MAX ||
        cursor_bytes(&in, head[2], &iv) != ERR_OK || in.rest.len == 0 ||
        in.rest.len > HSM_SEALED_MAX)
        FAIL(ERR_DAMAGED, "what the root key sealed has an unknown form");
    memset(ret, 0, sizeof *ret);
    ret->cipher = &ciphers[head[1] - 1];
    ret->iv_len = iv.len;
    memcpy(ret->iv, iv.data, iv.len);
    ret->len = in.rest.len;
    memcpy(ret->text, in.rest.data, in.rest.len);
    return ERR_OK;
}

static bool is_asked(const char *mechanism, const struct cipher *cipher)
{
    return strcmp(mechanism, "auto") == 0 || strcmp(mechanism, cipher->name) == 0;
}

enum err p11_seal_encrypt(struct p11 *p11, CK_OBJECT_HANDLE key, char mechanism[32],
                          struct span dek, struct buf *ret_sealed)
{
    if (dek.len != HSM_DEK_LEN)
        FAIL(ERR_INTERNAL, "the root key seals %d bytes, not %zu", HSM_DEK_LEN, dek.len);
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 1024, false);
    for (size_t i = 0; i < CIPHERS; i++) {
        struct box box = {.len = 0};
        if (!is_asked(mechanism, &ciphers[i]) ||
            !try_cipher(p11, key, &ciphers[i], dek, &box, &why))
            continue;
        TRY(put_box(&box, ret_sealed));
        log_event(LOG_LEVEL_INFO, "mechanism_chosen mechanism=%s", ciphers[i].name);
        memset(mechanism, 0, 32);
        memcpy(mechanism, ciphers[i].name, strlen(ciphers[i].name));
        return ERR_OK;
    }
    FAIL(ERR_HSM_FAILED,
         "could not encrypt with the root key (mechanism \"%.31s\"): %.*s; set HSM_MECHANISM in "
         "okv_security.conf to one that this HSM allows",
         mechanism, (int)why.len, why.len == 0 ? "" : (const char *)why.data);
}

enum err p11_seal_decrypt(struct p11 *p11, CK_OBJECT_HANDLE key, const char *mechanism,
                          struct span sealed, struct secret **ret_dek)
{
    struct box box;
    TRY(take_box(sealed, &box));
    if (!is_asked(mechanism, box.cipher))
        FAIL(ERR_DAMAGED, "what the root key sealed says mechanism %s, not \"%.31s\"",
             box.cipher->name, mechanism);
    uint8_t out[OUT_MAX];
    size_t len = 0;
    CK_RV rv = decrypt(p11, key, &box, out, &len);
    renew_after(p11, rv);
    enum err err = ERR_OK;
    if (rv != CKR_OK)
        err = p11_rv_raise(ERR_HSM_FAILED, "decrypt with the root key", "C_Decrypt", rv,
                           "the key may be another one, or the HSM may be out of order");
    else if (len != HSM_DEK_LEN)
        err = err_raise(ERR_HSM_FAILED, __FILE__, __LINE__,
                        "could not decrypt with the root key: %zu bytes came back, not %d", len,
                        HSM_DEK_LEN);
    else
        err = secret_copy(span_of(out, len), ret_dek);
    explicit_bzero(out, sizeof out);
    return err;
}
