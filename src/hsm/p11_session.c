// SPDX-License-Identifier: Apache-2.0
//
// One read-write session and one login. Invariants: C_Login is called at most once in the life of a
// process, never with an empty credential, and never on the token's last try unless a person asked;
// a refused PIN is final here, and the keeper latches it.
#include "base/log.h"
#include "hsm/p11.h"

static enum err session_open(struct p11 *p11, CK_SESSION_HANDLE *ret)
{
    CK_RV rv = P11_CALL(p11, C_OpenSession, p11->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL,
                        NULL, ret);
    if (rv != CKR_OK)
        return p11_rv_raise(ERR_HSM_FAILED, "open a session on the token", "C_OpenSession", rv,
                            "check that the HSM is reachable and not out of sessions");
    return ERR_OK;
}

// The new session comes first: on some tokens closing the last one ends the login.
enum err p11_session_renew(struct p11 *p11)
{
    CK_SESSION_HANDLE fresh = 0;
    TRY(session_open(p11, &fresh));
    if (p11->in_session)
        (void)P11_CALL(p11, C_CloseSession, p11->session);
    p11->session = fresh;
    p11->in_session = true;
    return ERR_OK;
}

// Without spending a try: what the token's flags say already.
static enum err check_flags(struct p11 *p11, bool attended)
{
    CK_TOKEN_INFO info;
    TRY(p11_slot_info(p11, &info));
    if ((info.flags & CKF_USER_PIN_COUNT_LOW) != 0)
        log_event(LOG_LEVEL_WARN, "pin_tries_low slot=%lu", p11->slot);
    if (attended)
        return ERR_OK;
    if ((info.flags & CKF_USER_PIN_LOCKED) != 0)
        FAIL(ERR_HSM_PIN,
             "the token \"%s\" says that its user PIN is locked; have the HSM's administrator "
             "unlock it, then set the credential again",
             p11->label);
    if ((info.flags & CKF_USER_PIN_FINAL_TRY) != 0)
        FAIL(ERR_HSM_PIN_LATCHED,
             "the token \"%s\" has one PIN try left, which is kept for a person: check the "
             "credential and set it again, or run hsmclient open_wallet",
             p11->label);
    return ERR_OK;
}

static const char *pin_advice(CK_RV rv)
{
    switch (rv) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
        return "set the right credential; it is not tried again by itself";
    case CKR_PIN_EXPIRED:
        return "change the PIN on the HSM, then set the new credential";
    case CKR_PIN_LOCKED:
        return "have the HSM's administrator unlock the PIN, then set the credential again";
    default:
        return NULL;
    }
}

enum err p11_session_login(struct p11 *p11, struct span credential, bool attended)
{
    if (credential.len == 0 || credential.len > HSM_CREDENTIAL_MAX)
        FAIL(ERR_INVALID, "the HSM credential must have 1 to %d bytes, not %zu", HSM_CREDENTIAL_MAX,
             credential.len);
    TRY(check_flags(p11, attended));
    TRY(p11_session_renew(p11));
    unsigned char pin[HSM_CREDENTIAL_MAX];
    memcpy(pin, credential.data, credential.len);
    CK_RV rv = P11_CALL(p11, C_Login, p11->session, CKU_USER, pin, credential.len);
    explicit_bzero(pin, sizeof pin);
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
        return ERR_OK;
    const char *advice = pin_advice(rv);
    char text[P11_RV_TEXT];
    FAIL(advice == NULL ? ERR_HSM_FAILED : ERR_HSM_PIN,
         "could not log in to the token \"%s\": C_Login gave %s; %s", p11->label,
         p11_rv_text(rv, text), advice == NULL ? "check the HSM and the vendor's own log" : advice);
}

static CK_RV find_some(struct p11 *p11, CK_OBJECT_HANDLE *out, size_t max, size_t *ret_count)
{
    enum { CHUNK = 32 };
    size_t count = 0;
    while (count < max) {
        CK_ULONG want = max - count < CHUNK ? max - count : CHUNK;
        CK_ULONG got = 0;
        CK_RV rv = P11_CALL(p11, C_FindObjects, p11->session, out + count, want, &got);
        if (rv != CKR_OK)
            return rv;
        if (got > want)
            return CKR_GENERAL_ERROR;
        if (got == 0)
            break;
        count += got;
    }
    *ret_count = count;
    return CKR_OK;
}

enum err p11_session_find(struct p11 *p11, CK_ATTRIBUTE *template, CK_ULONG count,
                          CK_OBJECT_HANDLE *out, size_t max, size_t *ret_count)
{
    const char *function = "C_FindObjectsInit";
    CK_RV rv = P11_CALL(p11, C_FindObjectsInit, p11->session, template, count);
    if (rv == CKR_OK) {
        function = "C_FindObjects";
        rv = find_some(p11, out, max, ret_count);
        (void)P11_CALL(p11, C_FindObjectsFinal, p11->session);
    }
    if (rv == CKR_OK)
        return ERR_OK;
    enum err renewed = p11_session_renew(p11);
    if (renewed != ERR_OK)
        log_error("session_lost", renewed);
    return p11_rv_raise(ERR_HSM_FAILED, "search the token", function, rv,
                        "check the HSM and the vendor's own log");
}

bool p11_session_attribute(struct p11 *p11, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                           void *out, size_t room, size_t *ret_len)
{
    CK_ATTRIBUTE attribute = {type, out, room};
    CK_RV rv = P11_CALL(p11, C_GetAttributeValue, p11->session, object, &attribute, 1);
    if (rv != CKR_OK || attribute.ulValueLen > room)
        return false;
    *ret_len = attribute.ulValueLen;
    return true;
}
