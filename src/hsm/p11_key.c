// SPDX-License-Identifier: Apache-2.0
//
// Root keys: found by class, label and id, never by a handle that was kept. A key that this process
// made is known by the handle that C_GenerateKey gave, and only such a key is ever destroyed.
//
// SENSITIVE and EXTRACTABLE are always asked for (tokens' defaults differ) and are read back where
// the library tells; a key that came out otherwise is destroyed. No use but ENCRYPT and DECRYPT is
// asked for: HSMs refuse keys that may do everything. A key that may be on the token although
// nobody gets it is owned up to (key_left): an answer that is no refusal, and a destruction that
// failed.
#include "base/log.h"
#include "base/rand.h"
#include "hsm/p11.h"

enum { AES_256 = 32, APART_LEN = 16 };

enum err p11_key_find(struct p11 *p11, const struct hsm_key *key,
                      CK_OBJECT_HANDLE out[P11_MATCHES_MAX], size_t *ret_count)
{
    bool adopted = key->number == 0;
    if (key->id_len > sizeof key->id || (key->id_len == 0 && !adopted))
        FAIL(ERR_INTERNAL, "a root key's id has 1 to %zu bytes", sizeof key->id);
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_ATTRIBUTE template[4] = {{CKA_CLASS, &class, sizeof class}};
    CK_ULONG count = 1;
    template[count++] =
        (CK_ATTRIBUTE){CKA_LABEL, (void *)(uintptr_t)key->label, strlen(key->label)};
    if (key->id_len > 0)
        template[count++] = (CK_ATTRIBUTE){CKA_ID, (void *)(uintptr_t)key->id, key->id_len};
    if (adopted)
        template[count++] = (CK_ATTRIBUTE){CKA_KEY_TYPE, &type, sizeof type};
    return p11_session_find(p11, template, count, out, P11_MATCHES_MAX, ret_count);
}

enum err p11_key_has_id(struct p11 *p11, const struct hsm_key *key, bool *ret)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
                               {CKA_ID, (void *)(uintptr_t)key->id, key->id_len}};
    CK_OBJECT_HANDLE found[P11_MATCHES_MAX];
    size_t count = 0;
    TRY(p11_session_find(p11, template, 2, found, P11_MATCHES_MAX, &count));
    *ret = count > 0;
    return ERR_OK;
}

enum err p11_key_adopt(struct p11 *p11, const struct hsm_settings *settings, struct hsm_key *ret)
{
    struct hsm_key key = {.id_len = settings->adopt_id_len};
    memcpy(key.label, settings->adopt_label, sizeof key.label);
    memcpy(key.id, settings->adopt_id, sizeof key.id);
    CK_OBJECT_HANDLE found[P11_MATCHES_MAX];
    size_t count = 0;
    TRY(p11_key_find(p11, &key, found, &count));
    if (count == 0)
        FAIL(ERR_HSM_KEY,
             "no AES key on the HSM has the label \"%s\"%s that HSM_ADOPT_KEY_LABEL asks for; have "
             "the HSM's administrator make it, for ENCRYPT and DECRYPT, or correct the label",
             key.label, key.id_len > 0 ? " and the CKA_ID" : "");
    if (count > 1)
        FAIL(ERR_HSM_KEY,
             "%zu AES keys on the HSM have the label \"%s\"; say by HSM_ADOPT_KEY_ID which one, or "
             "have the HSM's administrator give each a label of its own",
             count, key.label);
    *ret = key;
    return ERR_OK;
}

// The codes by which a library says that it dislikes the template. Only after these is there a
// second try.
static bool dislikes_template(CK_RV rv)
{
    return rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_TEMPLATE_INCOMPLETE ||
           rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_VALUE_INVALID ||
           rv == CKR_ATTRIBUTE_READ_ONLY;
}

// The codes by which a library says that it did not begin: no key was made. After any other
// (CKR_DEVICE_ERROR, CKR_FUNCTION_FAILED, a vendor's own) there may be one.
static bool is_refusal(CK_RV rv)
{
    return dislikes_template(rv) || rv == CKR_FUNCTION_NOT_SUPPORTED ||
           rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID ||
           rv == CKR_ARGUMENTS_BAD || rv == CKR_KEY_SIZE_RANGE || rv == CKR_USER_NOT_LOGGED_IN ||
           rv == CKR_PIN_EXPIRED || rv == CKR_SESSION_READ_ONLY ||
           rv == CKR_TOKEN_WRITE_PROTECTED || rv == CKR_CRYPTOKI_NOT_INITIALIZED;
}

// On some tokens an id is unique, and that is how they say so.
static bool is_taken(struct p11 *p11, const struct hsm_key *key)
{
    bool taken = false;
    return p11_key_has_id(p11, key, &taken) == ERR_OK && taken;
}

static CK_RV generate(struct p11 *p11, const struct hsm_key *key, bool extractable,
                      CK_OBJECT_HANDLE *ret)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_ULONG len = AES_256;
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL extract = extractable ? CK_TRUE : CK_FALSE;
    // In the order in which they are given up.
    CK_ATTRIBUTE template[] = {
        {CKA_PRIVATE, &yes, sizeof yes},
        {CKA_CLASS, &class, sizeof class},
        {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_VALUE_LEN, &len, sizeof len},
        {CKA_TOKEN, &yes, sizeof yes},
        {CKA_SENSITIVE, &yes, sizeof yes},
        {CKA_EXTRACTABLE, &extract, sizeof extract},
        {CKA_ENCRYPT, &yes, sizeof yes},
        {CKA_DECRYPT, &yes, sizeof yes},
        {CKA_LABEL, (void *)(uintptr_t)key->label, strlen(key->label)},
        {CKA_ID, (void *)(uintptr_t)key->id, key->id_len},
    };
    static const size_t given_up[] = {0, 1, 3};
    CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
    CK_RV rv = CKR_OK;
    for (size_t i = 0; i < sizeof given_up / sizeof *given_up; i++) {
        CK_ULONG count = sizeof template / sizeof *template - given_up[i];
        rv = P11_CALL(p11, C_GenerateKey, p11->session, &mechanism, template + given_up[i], count,
                      ret);
        if (!dislikes_template(rv) || (rv == CKR_ATTRIBUTE_VALUE_INVALID && is_taken(p11, key)))
            break;
    }
    p11->key_left = p11->key_left || (rv != CKR_OK && !is_refusal(rv));
    return rv;
}

// Destroys a key that nobody gets.
static void withdraw(struct p11 *p11, CK_OBJECT_HANDLE object, const struct hsm_key *key)
{
    CK_RV rv = P11_CALL(p11, C_DestroyObject, p11->session, object);
    char text[P11_RV_TEXT];
    p11->key_left = p11->key_left || rv != CKR_OK;
    log_event(LOG_LEVEL_WARN, "key_withdrawn number=%u rv=\"%s\"", key->number,
              p11_rv_text(rv, text));
}

static bool may_set_id(const struct p11 *p11)
{
    return p11->no_data_objects && p11->functions->C_SetAttributeValue != NULL &&
           p11->functions->C_DestroyObject != NULL;
}

// Where the token has no data objects: under an id that no key has, then under its own. A key that
// the token gives no other id is destroyed, and one is made as everywhere.
static CK_RV generate_numbered(struct p11 *p11, const struct hsm_key *key, bool extractable,
                               CK_OBJECT_HANDLE *ret)
{
    if (!may_set_id(p11))
        return generate(p11, key, extractable, ret);
    struct hsm_key apart = *key;
    CK_ATTRIBUTE id = {CKA_ID, (void *)(uintptr_t)key->id, key->id_len};
    apart.id_len = APART_LEN;
    rand_bytes(apart.id, apart.id_len);
    CK_RV rv = generate(p11, &apart, extractable, ret);
    if (rv != CKR_OK || P11_CALL(p11, C_SetAttributeValue, p11->session, *ret, &id, 1) == CKR_OK)
        return rv;
    withdraw(p11, *ret, key);
    return generate(p11, key, extractable, ret);
}

static const char *advice(CK_RV rv, bool extractable)
{
    if (rv == CKR_FUNCTION_NOT_SUPPORTED)
        return "where the library makes no keys, have the HSM's administrator make one and name it "
               "by HSM_ADOPT_KEY_LABEL in okv_security.conf";
    if (dislikes_template(rv) && extractable)
        return "this HSM may refuse keys that are sensitive and extractable: set "
               "HSM_KEY_EXTRACTABLE=\"0\" in okv_security.conf";
    return "check that the partition has room and lets this user make AES-256 keys";
}

static enum err check_bit(struct p11 *p11, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                          const char *name, CK_BBOOL wanted)
{
    CK_BBOOL value = CK_FALSE;
    size_t len = 0;
    if (!p11_session_attribute(p11, object, type, &value, sizeof value, &len) ||
        len != sizeof value) {
        log_event(LOG_LEVEL_WARN, "key_attribute_unread attribute=%s", name);
        return ERR_OK;
    }
    if ((value != CK_FALSE) != (wanted != CK_FALSE))
        FAIL(ERR_HSM_FAILED,
             "the HSM made a root key with %s %s although %s was asked for; check the HSM's policy "
             "and HSM_KEY_EXTRACTABLE in okv_security.conf",
             name, value ? "true" : "false", wanted ? "true" : "false");
    return ERR_OK;
}

static enum err check_key(struct p11 *p11, CK_OBJECT_HANDLE object, const struct hsm_key *key,
                          bool extractable)
{
    TRY(check_bit(p11, object, CKA_TOKEN, "CKA_TOKEN", CK_TRUE));
    TRY(check_bit(p11, object, CKA_SENSITIVE, "CKA_SENSITIVE", CK_TRUE));
    TRY(check_bit(p11, object, CKA_EXTRACTABLE, "CKA_EXTRACTABLE",
                  extractable ? CK_TRUE : CK_FALSE));
    CK_ULONG len = 0;
    size_t got = 0;
    if (p11_session_attribute(p11, object, CKA_VALUE_LEN, &len, sizeof len, &got) &&
        got == sizeof len && len != AES_256)
        FAIL(ERR_HSM_FAILED, "the HSM made a root key of %lu bytes although 32 were asked for",
             len);
    CK_OBJECT_HANDLE found[P11_MATCHES_MAX];
    size_t count = 0;
    TRY(p11_key_find(p11, key, found, &count));
    if (count == 0)
        FAIL(ERR_HSM_KEY,
             "the HSM made the root key number %u but does not find it; check the "
             "HSM's own log",
             key->number);
    return ERR_OK;
}

static void forget(struct p11 *p11, size_t index)
{
    p11->created_count--;
    for (size_t i = index; i < p11->created_count; i++) {
        p11->created[i] = p11->created[i + 1];
        p11->created_keys[i] = p11->created_keys[i + 1];
    }
}

static bool created_index(const struct p11 *p11, const struct hsm_key *key, size_t *ret)
{
    for (size_t i = 0; i < p11->created_count; i++) {
        const struct hsm_key *made = &p11->created_keys[i];
        if (span_eq(span_of(made->id, made->id_len), span_of(key->id, key->id_len)) &&
            strcmp(made->label, key->label) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

bool p11_key_created(const struct p11 *p11, const struct hsm_key *key, CK_OBJECT_HANDLE *ret)
{
    size_t index = 0;
    if (!created_index(p11, key, &index))
        return false;
    *ret = p11->created[index];
    return true;
}

enum err p11_key_create(struct p11 *p11, const struct hsm_key *key, bool extractable)
{
    if (p11->created_count >= P11_CREATED_MAX)
        FAIL(ERR_TOO_LARGE, "one HSM operation makes at most %d root keys", P11_CREATED_MAX);
    CK_OBJECT_HANDLE object = 0;
    CK_RV rv = generate_numbered(p11, key, extractable, &object);
    if (rv == CKR_ATTRIBUTE_VALUE_INVALID && is_taken(p11, key))
        FAIL(ERR_CONFLICT, "another key on the HSM has the id %u already", key->number);
    if (rv != CKR_OK)
        return p11_rv_raise(ERR_HSM_FAILED, "make the root key", "C_GenerateKey", rv,
                            advice(rv, extractable));
    p11->created[p11->created_count] = object;
    p11->created_keys[p11->created_count] = *key;
    p11->created_count++;
    enum err err = check_key(p11, object, key, extractable);
    if (err == ERR_OK)
        return ERR_OK;
    withdraw(p11, object, key);
    forget(p11, p11->created_count - 1);
    return err;
}

enum err p11_key_destroy(struct p11 *p11, const struct hsm_key *key)
{
    size_t index = 0;
    if (!created_index(p11, key, &index))
        FAIL(ERR_HSM_KEY,
             "the root key number %u was not made by this operation and stays on the "
             "HSM",
             key->number);
    CK_RV rv = P11_CALL(p11, C_DestroyObject, p11->session, p11->created[index]);
    if (rv != CKR_OK)
        return p11_rv_raise(ERR_HSM_FAILED, "remove the root key again", "C_DestroyObject", rv,
                            "it stays on the HSM, unused; its administrator may remove it");
    forget(p11, index);
    return ERR_OK;
}
