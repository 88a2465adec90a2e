// SPDX-License-Identifier: Apache-2.0
//
// The steps stand in one table and end at the first that fails; what was made is removed all the
// same. Nothing here is a second way of using the library: every step calls what an operation
// calls, so that what passes here works there. Mechanism lists are told, never believed.
#include "hsm/hsm_probe.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/rand.h"
#include "hsm/hsm_trace.h"
#include "hsm/p11.h"

#define KEY_LABEL    "OKV validation HSM Root Key"
#define NUMBER_LABEL "OKV validation HSM Key Number"

enum { SAW_MAX = 4096, MECHANISMS_MAX = 4096, RANDOM_LEN = 32 };

struct probe {
    int root;
    int out;
    struct span credential;
    struct hsm_settings settings;
    struct p11 p11;
    struct hsm_key key;
    bool has_key;
    bool note; // the step's finding is one that Keyward can do without
};

static void put_line(int out, json_t *line)
{
    char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
    json_decref(line);
    if (text == NULL)
        return;
    size_t len = strlen(text);
    text[len] = '\n'; // in place of the NUL, which is not written
    // Without a reader there is nobody to tell.
    if (file_write_all(out, span_of(text, len + 1), "the report") != ERR_OK)
        log_event(LOG_LEVEL_WARN, "probe_unheard");
    free(text);
}

static void tell(int out, const char *step, const char *did, const char *saw, const char *result,
                 enum err err)
{
    put_line(out, json_pack("{s:s, s:s, s:s, s:s, s:s}", "step", step, "did", did, "saw",
                            span_is_utf8(span_str(saw)) ? saw : "(not readable)", "result", result,
                            "error", err_info(err)->name));
}

void hsm_probe_tell(int out, const char *step, const char *did, enum err err, const char *saw)
{
    tell(out, step, did, saw, err == ERR_OK ? "pass" : "fail", err);
}

static void tell_call(void *arg, const char *function)
{
    const struct probe *probe = (const struct probe *)arg;
    put_line(probe->out, json_pack("{s:s}", "call", function));
}

// Every function of contract B12, and what else Keyward uses where it is there. C_GetFunctionList
// is not in its own list: it was called, or there is no list.
static void look_at_functions(const CK_FUNCTION_LIST *f, struct buf *missing, struct buf *without)
{
#define LOOK(function, needed)                                                                     \
    {                                                                                              \
#function, f->function != NULL, needed                                                     \
    }
    const struct {
        const char *name;
        bool present;
        bool needed;
    } all[] = {
        LOOK(C_CloseSession, true),
        LOOK(C_Decrypt, true),
        LOOK(C_DecryptInit, true),
        LOOK(C_Encrypt, true),
        LOOK(C_EncryptInit, true),
        LOOK(C_Finalize, true),
        LOOK(C_FindObjects, true),
        LOOK(C_FindObjectsFinal, true),
        LOOK(C_FindObjectsInit, true),
        LOOK(C_GenerateKey, true),
        LOOK(C_GenerateRandom, true),
        LOOK(C_GetSlotList, true),
        LOOK(C_GetTokenInfo, true),
        LOOK(C_Initialize, true),
        LOOK(C_Login, true),
        LOOK(C_OpenSession, true),
        LOOK(C_CreateObject, false),
        LOOK(C_DestroyObject, false),
        LOOK(C_GetAttributeValue, false),
        LOOK(C_GetMechanismList, false),
    };
#undef LOOK
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct buf *list = all[i].needed ? missing : without;
        // Sixteen names fit any of the two.
        if (!all[i].present &&
            buf_printf(list, "%s%s", list->len == 0 ? "" : ", ", all[i].name) != ERR_OK)
            return;
    }
}

// A library that lacks a function was loaded all the same; the next step says which.
static enum err step_load(struct probe *probe, struct buf *saw)
{
    struct p11 *p11 = &probe->p11;
    enum err err = p11_module_load(p11, probe->root, &probe->settings);
    if (p11->functions == NULL)
        return err;
    struct buf missing CLEANUP(buf_done);
    struct buf without CLEANUP(buf_done);
    buf_init(&missing, SAW_MAX, false);
    buf_init(&without, SAW_MAX, false);
    look_at_functions(p11->functions, &missing, &without);
    if (missing.len == 0)
        TRY(err);
    return buf_printf(saw, "\"%s\", PKCS#11 %u.%u", probe->settings.library,
                      p11->functions->version.major, p11->functions->version.minor);
}

static enum err step_functions(struct probe *probe, struct buf *saw)
{
    struct buf missing CLEANUP(buf_done);
    struct buf without CLEANUP(buf_done);
    buf_init(&missing, SAW_MAX, false);
    buf_init(&without, SAW_MAX, false);
    look_at_functions(probe->p11.functions, &missing, &without);
    if (missing.len > 0)
        FAIL(ERR_HSM_LIBRARY, "the library lacks %.*s", (int)missing.len, missing.data);
    TRY(buf_put_str(saw, "all 17 are there"));
    if (without.len > 0)
        TRY(buf_printf(saw, "; does without %.*s", (int)without.len, without.data));
    return ERR_OK;
}

static enum err step_slot(struct probe *probe, struct buf *saw)
{
    CK_TOKEN_INFO info;
    char label[HSM_LABEL_MAX + 1];
    char maker[HSM_LABEL_MAX + 1];
    char model[17];
    char serial[17];
    TRY(p11_slot_find(&probe->p11, &probe->settings));
    TRY(p11_slot_info(&probe->p11, &info));
    p11_slot_text(info.label, sizeof info.label, label);
    p11_slot_text(info.manufacturerID, sizeof info.manufacturerID, maker);
    p11_slot_text(info.model, sizeof info.model, model);
    p11_slot_text(info.serialNumber, sizeof info.serialNumber, serial);
    return buf_printf(saw,
                      "token label \"%s\", manufacturer \"%s\", model \"%s\", serial \"%s\", "
                      "firmware %u.%u",
                      label, maker, model, serial, info.firmwareVersion.major,
                      info.firmwareVersion.minor);
}

static enum err step_login(struct probe *probe, struct buf *saw)
{
    TRY(p11_session_login(&probe->p11, probe->credential, false));
    return buf_put_str(saw, "C_OpenSession and one C_Login");
}

// For the reader alone: lists lie both ways, so nothing depends on it.
static enum err step_list(struct probe *probe, struct buf *saw)
{
    static const struct {
        CK_MECHANISM_TYPE type;
        const char *name;
    } names[] = {
        {CKM_AES_KEY_GEN, "CKM_AES_KEY_GEN"}, {CKM_AES_CBC, "CKM_AES_CBC"},
        {CKM_AES_CBC_PAD, "CKM_AES_CBC_PAD"}, {CKM_AES_GCM, "CKM_AES_GCM"},
        {CKM_AES_ECB, "CKM_AES_ECB"},
    };
    static CK_MECHANISM_TYPE list[MECHANISMS_MAX];
    CK_ULONG count = MECHANISMS_MAX;
    char text[P11_RV_TEXT];
    probe->note = true;
    CK_RV rv = P11_CALL(&probe->p11, C_GetMechanismList, probe->p11.slot, list, &count);
    if (rv != CKR_OK || count > MECHANISMS_MAX)
        return buf_printf(saw, "no list: C_GetMechanismList gave %s",
                          rv == CKR_OK ? "too long a list" : p11_rv_text(rv, text));
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        bool listed = false;
        for (CK_ULONG i = 0; i < count; i++)
            listed = listed || list[i] == names[n].type;
        TRY(buf_printf(saw, "%s%s %s", n == 0 ? "" : ", ", names[n].name,
                       listed ? "listed" : "not listed"));
    }
    return ERR_OK;
}

static enum err step_random(struct probe *probe, struct buf *saw)
{
    uint8_t bytes[2][RANDOM_LEN] = {{0}};
    static const uint8_t zeros[RANDOM_LEN];
    for (int i = 0; i < 2; i++) {
        CK_RV rv =
            P11_CALL(&probe->p11, C_GenerateRandom, probe->p11.session, bytes[i], RANDOM_LEN);
        if (rv != CKR_OK)
            return p11_rv_raise(ERR_HSM_FAILED, "get random bytes", "C_GenerateRandom", rv,
                                "the guide asks for this function; Keyward's own random bytes come "
                                "from the operating system");
    }
    if (memcmp(bytes[0], bytes[1], RANDOM_LEN) == 0 || memcmp(bytes[0], zeros, RANDOM_LEN) == 0)
        FAIL(ERR_HSM_FAILED, "C_GenerateRandom gives the same bytes twice, or none");
    return buf_printf(saw, "twice %d bytes, which differ", RANDOM_LEN);
}

static enum err step_key(struct probe *probe, struct buf *saw)
{
    struct hsm_key *key = &probe->key;
    *key = (struct hsm_key){.id_len = 4, .label = KEY_LABEL};
    TRY(p11_number_take(&probe->p11, NUMBER_LABEL, KEY_LABEL, &key->number));
    p11_number_encode(key->number, key->id);
    TRY(p11_key_create(&probe->p11, key, probe->settings.key_extractable));
    probe->has_key = true;
    return buf_printf(saw, "\"%s\", CKA_ID %08x, sensitive, %sextractable", KEY_LABEL, key->number,
                      probe->settings.key_extractable ? "" : "not ");
}

static enum err find_number(struct probe *probe, CK_OBJECT_HANDLE out[P11_MATCHES_MAX],
                            size_t *ret_count)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    static const char label[] = NUMBER_LABEL;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
                               {CKA_LABEL, (void *)(uintptr_t)label, sizeof label - 1}};
    return p11_session_find(&probe->p11, template, 2, out, P11_MATCHES_MAX, ret_count);
}

static enum err step_number(struct probe *probe, struct buf *saw)
{
    CK_OBJECT_HANDLE found[P11_MATCHES_MAX];
    size_t count = 0;
    probe->note = true;
    TRY(find_number(probe, found, &count));
    if (count == 0)
        return buf_put_str(saw, "no data objects (CKO_DATA): key numbers are taken from the keys");
    return buf_printf(saw, "\"%s\" is kept as a data object", NUMBER_LABEL);
}

static enum err find_key(struct probe *probe, CK_OBJECT_HANDLE *ret)
{
    CK_OBJECT_HANDLE found[P11_MATCHES_MAX];
    size_t count = 0;
    TRY(p11_key_find(&probe->p11, &probe->key, found, &count));
    if (count != 1)
        FAIL(ERR_HSM_KEY, "%zu keys answer to class, label and id, not 1", count);
    *ret = found[0];
    return ERR_OK;
}

static enum err step_find(struct probe *probe, struct buf *saw)
{
    CK_OBJECT_HANDLE handle = 0;
    TRY(find_key(probe, &handle));
    return buf_put_str(saw, "one key answers to class, label and id");
}

static enum err round_trip(struct probe *probe, CK_OBJECT_HANDLE handle, char mechanism[32])
{
    uint8_t dek[HSM_DEK_LEN];
    struct buf sealed CLEANUP(buf_done);
    CLEANUP(secret_freep) struct secret *back = NULL;
    buf_init(&sealed, HSM_SEALED_MAX, false);
    rand_bytes(dek, sizeof dek);
    struct span in = span_of(dek, sizeof dek);
    TRY(p11_seal_encrypt(&probe->p11, handle, mechanism, in, &sealed));
    TRY(p11_seal_decrypt(&probe->p11, handle, mechanism, span_buf(&sealed), &back));
    if (!secret_equal(secret_span(back), in))
        FAIL(ERR_HSM_FAILED, "%s: what came back is not what went in", mechanism);
    return ERR_OK;
}

// Of the detail of a refusal only what the library said.
static void short_reason(char out[160])
{
    const char *detail = err_detail();
    const char *colon = strchr(detail, ':');
    const char *from = colon == NULL ? detail : strchr(colon + 1, ':');
    from = from == NULL ? detail : from + 1 + strspn(from + 1, " ");
    (void)snprintf(out, 160, "%.*s", (int)strcspn(from, ",;"), from);
}

static enum err step_mechanisms(struct probe *probe, struct buf *saw)
{
    static const char *const names[] = {"AES_CBC", "AES_CBC_PAD", "AES_GCM", "AES_ECB"};
    CK_OBJECT_HANDLE handle = 0;
    probe->note = true;
    TRY(find_key(probe, &handle));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char mechanism[32] = "";
        char why[160] = "works";
        memcpy(mechanism, names[i], strlen(names[i]));
        if (round_trip(probe, handle, mechanism) != ERR_OK)
            short_reason(why);
        TRY(buf_printf(saw, "%s%s: %s", i == 0 ? "" : ", ", names[i], why));
    }
    return ERR_OK;
}

static enum err step_choice(struct probe *probe, struct buf *saw)
{
    CK_OBJECT_HANDLE handle = 0;
    char mechanism[32];
    memcpy(mechanism, probe->settings.mechanism, sizeof mechanism);
    TRY(find_key(probe, &handle));
    TRY(round_trip(probe, handle, mechanism));
    return buf_printf(saw, "%s: 32 bytes came back in a new session", mechanism);
}

// Where the library cannot remove objects they stay, and the reader is told.
static enum err step_clean(struct probe *probe, struct buf *saw)
{
    CK_OBJECT_HANDLE found[P11_MATCHES_MAX];
    size_t count = 0;
    bool left = !probe->has_key || p11_key_destroy(&probe->p11, &probe->key) != ERR_OK;
    if (find_number(probe, found, &count) != ERR_OK)
        count = 0;
    for (size_t i = 0; i < count; i++)
        left =
            P11_CALL(&probe->p11, C_DestroyObject, probe->p11.session, found[i]) != CKR_OK || left;
    probe->note = left;
    return buf_put_str(saw, left ? "\"" KEY_LABEL "\" or \"" NUMBER_LABEL
                                   "\" may be left on the token: the library removes no objects"
                                 : "removed");
}

struct step {
    const char *name;
    const char *did;
    enum err (*run)(struct probe *probe, struct buf *saw);
};

static const struct step steps[] = {
    {"load", "loaded the library; called C_GetFunctionList and C_Initialize", step_load},
    {"functions", "looked for the 17 functions that the guide asks for (CG 5.2.2)", step_functions},
    {"token", "looked for the one token to use: C_GetSlotList, C_GetTokenInfo", step_slot},
    {"login", "opened a read-write session and logged in", step_login},
    {"mechanism list", "asked which mechanisms the token lists", step_list},
    {"random", "called C_GenerateRandom twice", step_random},
    {"root key", "took a key number and made an AES-256 token key: C_GenerateKey", step_key},
    {"key number", "looked for the key number object", step_number},
    {"search", "searched for the key: C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal",
     step_find},
    {"mechanisms", "encrypted and decrypted 32 bytes with each mechanism", step_mechanisms},
    {"round trip", "encrypted and decrypted with the mechanism that Keyward chooses", step_choice},
};
static const struct step clean_up = {"clean-up", "removed the key and the key number object",
                                     step_clean};

static enum err take_step(struct probe *probe, const struct step *step)
{
    struct buf saw CLEANUP(buf_done);
    char text[SAW_MAX + 1];
    buf_init(&saw, SAW_MAX, false);
    probe->note = false;
    put_line(probe->out, json_pack("{s:s, s:s}", "begin", step->name, "did", step->did));
    enum err err = step->run(probe, &saw);
    if (err != ERR_OK)
        (void)snprintf(text, sizeof text, "%s", err_detail());
    else
        (void)snprintf(text, sizeof text, "%.*s", (int)saw.len,
                       saw.len == 0 ? "" : (const char *)saw.data);
    const char *passed = probe->note ? "note" : "pass";
    tell(probe->out, step->name, step->did, text, err == ERR_OK ? passed : "fail", err);
    return err;
}

enum err hsm_probe(int root, const struct hsm_settings *settings, struct span credential, int out)
{
    struct probe probe = {
        .root = root, .out = out, .credential = credential, .settings = *settings};
    enum err err = hsm_trace_open(root, "probe");
    if (err != ERR_OK) {
        hsm_probe_tell(out, "settings", "make the trace file", err, err_detail());
        return err;
    }
    hsm_trace_listen(tell_call, &probe);
    for (size_t i = 0; i < sizeof steps / sizeof *steps && err == ERR_OK; i++)
        err = take_step(&probe, &steps[i]);
    if (probe.has_key && take_step(&probe, &clean_up) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "probe_left_objects");
    p11_module_unload(&probe.p11);
    hsm_trace_listen(NULL, NULL);
    return err;
}
