// SPDX-License-Identifier: Apache-2.0
//
// The one slot. A token counts when it is initialized, wants a login, has a user PIN and may be
// written to; of these exactly one must have the label that is configured, or, without a label, be
// there at all. Labels are 32 bytes padded with blanks and are compared whole, by bytes. Slot
// numbers and serial numbers say nothing: the first change, the second are not unique.
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "hsm/p11.h"

#define NAMED "Could Not Get Slot for HSM"

enum { LABEL_LEN = HSM_LABEL_MAX, SEEN_LIMIT = 600 };

struct search {
    bool any; // no label configured
    unsigned char label[LABEL_LEN];
    size_t matches;
    CK_SLOT_ID slot;
    char slot_label[LABEL_LEN + 1];
    struct buf seen; // `"label" (why it does not count)`, for the message
};

void p11_slot_text(const unsigned char *field, size_t len, char *out)
{
    while (len > 0 && (field[len - 1] == ' ' || field[len - 1] == '\0'))
        len--;
    bool utf8 = span_is_utf8(span_of(field, len));
    for (size_t i = 0; i < len; i++) {
        bool plain = field[i] >= 0x20 && field[i] != 0x7f && (field[i] < 0x80 || utf8);
        out[i] = plain ? (char)field[i] : '?';
    }
    out[len] = '\0';
}

// Some libraries pad with NUL.
static void pad(const void *text, size_t len, unsigned char out[LABEL_LEN])
{
    memset(out, ' ', LABEL_LEN);
    memcpy(out, text, len);
    for (size_t i = LABEL_LEN; i > 0 && (out[i - 1] == '\0' || out[i - 1] == ' '); i--)
        out[i - 1] = ' ';
}

static const char *token_fault(const CK_TOKEN_INFO *info)
{
    if ((info->flags & CKF_TOKEN_INITIALIZED) == 0)
        return "not initialized";
    if ((info->flags & CKF_WRITE_PROTECTED) != 0)
        return "write-protected";
    if ((info->flags & CKF_LOGIN_REQUIRED) == 0)
        return "wants no login";
    if ((info->flags & CKF_USER_PIN_INITIALIZED) == 0)
        return "has no user PIN";
    return NULL;
}

static enum err look_at(struct p11 *p11, CK_SLOT_ID slot, struct search *search)
{
    CK_TOKEN_INFO info;
    memset(&info, 0, sizeof info);
    CK_RV rv = P11_CALL(p11, C_GetTokenInfo, slot, &info);
    char text[P11_RV_TEXT];
    if (rv != CKR_OK) {
        log_event(LOG_LEVEL_WARN, "slot_skipped slot=%lu rv=\"%s\"", slot, p11_rv_text(rv, text));
        return ERR_OK;
    }
    char label[LABEL_LEN + 1];
    p11_slot_text(info.label, sizeof info.label, label);
    const char *fault = token_fault(&info);
    log_event(LOG_LEVEL_INFO, "token_seen slot=%lu label=\"%s\" usable=%d why=\"%s\"", slot, label,
              fault == NULL, fault == NULL ? "" : fault);
    if (search->seen.len < SEEN_LIMIT)
        TRY(buf_printf(&search->seen, "%s\"%s\"%s%s%s", search->seen.len == 0 ? "" : ", ", label,
                       fault == NULL ? "" : " (", fault == NULL ? "" : fault,
                       fault == NULL ? "" : ")"));
    unsigned char padded[LABEL_LEN];
    pad(info.label, sizeof info.label, padded);
    if (fault != NULL || (!search->any && memcmp(padded, search->label, LABEL_LEN) != 0))
        return ERR_OK;
    search->matches++;
    search->slot = slot;
    memcpy(search->slot_label, label, sizeof label);
    return ERR_OK;
}

static enum err slot_list(struct p11 *p11, CK_SLOT_ID **ret, CK_ULONG *ret_count)
{
    static const char next[] = "check that the HSM is reachable and this server is enrolled";
    CK_ULONG count = 0;
    CK_RV rv = P11_CALL(p11, C_GetSlotList, CK_TRUE, NULL, &count);
    if (rv == CKR_OK && count > P11_SLOTS_MAX)
        FAIL(ERR_HSM_SLOT, NAMED ": the library tells of %lu slots, more than %d", count,
             P11_SLOTS_MAX);
    // Room for slots that appear meanwhile: some libraries crash on a list that is too short.
    CK_SLOT_ID *slots = calloc((size_t)P11_SLOTS_MAX + 1, sizeof *slots);
    if (slots == NULL)
        FAIL(ERR_MEMORY, "no memory for the list of slots");
    if (rv == CKR_OK && count > 0) {
        count = P11_SLOTS_MAX;
        rv = P11_CALL(p11, C_GetSlotList, CK_TRUE, slots, &count);
    }
    if (rv != CKR_OK || count > P11_SLOTS_MAX) {
        free(slots);
        char text[P11_RV_TEXT];
        FAIL(ERR_HSM_SLOT, NAMED ": C_GetSlotList gave %s; %s", p11_rv_text(rv, text), next);
    }
    *ret = slots;
    *ret_count = count;
    return ERR_OK;
}

static enum err judge(const struct search *search, const struct hsm_settings *settings)
{
    int len = (int)search->seen.len;
    const char *seen = len == 0 ? "none" : (const char *)search->seen.data;
    len = len == 0 ? 4 : len;
    if (search->matches == 1)
        return ERR_OK;
    if (search->matches == 0 && search->any)
        FAIL(ERR_HSM_SLOT,
             NAMED ": there is no token that can be used; tokens seen: %.*s; check that the HSM is "
                   "reachable and its partition is initialized",
             len, seen);
    if (search->matches == 0)
        FAIL(ERR_HSM_SLOT,
             NAMED ": no usable token has the label \"%s\"; tokens seen: %.*s; check the token "
                   "label and that the HSM is reachable",
             settings->label, len, seen);
    if (search->any)
        FAIL(ERR_HSM_SLOT, NAMED ": there are %zu tokens: %.*s; set the token label of one",
             search->matches, len, seen);
    FAIL(ERR_HSM_SLOT,
         NAMED ": %zu tokens have the label \"%s\"; give each token a label of its own",
         search->matches, settings->label);
}

enum err p11_slot_find(struct p11 *p11, const struct hsm_settings *settings)
{
    struct search search = {.any = !settings->use_label};
    size_t len = strlen(settings->label);
    if (settings->use_label && (len == 0 || len > LABEL_LEN || settings->label[0] == ' '))
        FAIL(ERR_HSM_SLOT,
             NAMED ": the token label \"%s\" is empty, too long or begins with a blank",
             settings->label);
    pad(settings->label, settings->use_label ? len : 0, search.label);
    CK_SLOT_ID *slots = NULL;
    CK_ULONG count = 0;
    TRY(slot_list(p11, &slots, &count));
    buf_init(&search.seen, SEEN_LIMIT + 128, false);
    enum err err = ERR_OK;
    for (CK_ULONG i = 0; i < count && err == ERR_OK; i++)
        err = look_at(p11, slots[i], &search);
    free(slots);
    if (err == ERR_OK)
        err = judge(&search, settings);
    buf_done(&search.seen);
    p11->slot = search.slot;
    memcpy(p11->label, search.slot_label, sizeof p11->label);
    return err;
}

enum err p11_slot_info(struct p11 *p11, CK_TOKEN_INFO *ret)
{
    memset(ret, 0, sizeof *ret);
    CK_RV rv = P11_CALL(p11, C_GetTokenInfo, p11->slot, ret);
    if (rv != CKR_OK)
        return p11_rv_raise(ERR_HSM_FAILED, "read the token's description", "C_GetTokenInfo", rv,
                            "check that the HSM is reachable");
    return ERR_OK;
}
