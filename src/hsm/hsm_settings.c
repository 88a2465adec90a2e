// SPDX-License-Identifier: Apache-2.0
//
// okv_security.conf and okv_hsm.conf (contract A4, B12). Invariants: a key that an older file lacks
// has its default; what is written back changes no line whose value stays; the library's path is
// the documented one, and hsmd alone decides where it lies (p11_module.c).
#include "hsm/hsm.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hex.h"
#include "base/kv.h"
#include "base/paths.h"

enum { PROVIDER_OTHER = 4 };

static const struct {
    const char *vendor;
    const char *library;
} providers[] = {
    {"Thales", "/usr/safenet/lunaclient/lib/libCryptoki2_64.so"},
    {"Entrust", "/opt/nfast/toolkits/pkcs11/libcknfast.so"},
    {"Utimaco", "/opt/utimaco/lib/libcs_pkcs11_R2.so"},
};

static const char *const mechanisms[] = {"auto", "AES_CBC", "AES_CBC_PAD", "AES_GCM", "AES_ECB"};

static enum err put_text(char *out, size_t room, const char *value, const char *key,
                         const char *path)
{
    size_t len = strlen(value);
    if (len >= room)
        FAIL(ERR_CONFIG, "\"%s\": %s is longer than %zu bytes", path, key, room - 1);
    memcpy(out, value, len + 1);
    return ERR_OK;
}

// Why a label cannot name a token (hsm-tokens: labels are 32 bytes padded with blanks), or NULL.
static const char *label_fault(const char *label)
{
    size_t len = strlen(label);
    if (len == 0)
        return "it is empty";
    if (label[0] == ' ')
        return "it begins with a blank";
    if (len > HSM_LABEL_MAX)
        return "it is longer than 32 bytes";
    if (!span_is_utf8(span_str(label)))
        return "it is not UTF-8";
    for (const char *c = label; *c != '\0'; c++) {
        if (*c == '"' || (unsigned char)*c < 0x20 || *c == 0x7f)
            return "it holds a double quote or a control character";
    }
    return NULL;
}

static enum err set_builtin(int provider, struct hsm_settings *settings)
{
    size_t index = (size_t)provider - 1;
    settings->provider = provider;
    TRY(put_text(settings->vendor, sizeof settings->vendor, providers[index].vendor, "vendor",
                 PATH_HSM_CONF));
    return put_text(settings->library, sizeof settings->library, providers[index].library,
                    "library", PATH_HSM_CONF);
}

static enum err set_other(const struct kv *conf, struct hsm_settings *settings)
{
    const char *vendor = kv_get(conf, "VENDOR_NAME", "");
    const char *library = kv_get(conf, "PKCS11_LIB_LOC", "");
    if (vendor[0] == '\0')
        FAIL(ERR_CONFIG, "\"%s\" lacks VENDOR_NAME: set it as the vendor's guide says",
             PATH_HSM_CONF);
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
        if (strcmp(vendor, providers[i].vendor) == 0)
            FAIL(ERR_CONFIG, "\"%s\": VENDOR_NAME must not be \"%s\", which is built in",
                 PATH_HSM_CONF, vendor);
    }
    if (library[0] == '\0')
        FAIL(ERR_CONFIG, "\"%s\" lacks PKCS11_LIB_LOC: set it to the library's full path",
             PATH_HSM_CONF);
    if (library[0] != '/')
        FAIL(ERR_CONFIG, "\"%s\": PKCS11_LIB_LOC must be a full path, not \"%.200s\"",
             PATH_HSM_CONF, library);
    settings->provider = PROVIDER_OTHER;
    TRY(put_text(settings->vendor, sizeof settings->vendor, vendor, "VENDOR_NAME", PATH_HSM_CONF));
    return put_text(settings->library, sizeof settings->library, library, "PKCS11_LIB_LOC",
                    PATH_HSM_CONF);
}

// Without HSM_PROVIDER, as in older files, the vendor of okv_hsm.conf counts where there is one,
// else the first built-in one. While no HSM is in use a vendor that is not (or no longer) described
// is no error: vendor and library stay empty.
static enum err load_provider(const struct kv *security, const struct kv *conf,
                              struct hsm_settings *settings)
{
    bool other = kv_get(conf, "VENDOR_NAME", "")[0] != '\0';
    const char *value = kv_get(security, "HSM_PROVIDER", other ? "4" : "1");
    if (strlen(value) != 1 || value[0] < '1' || value[0] > '4')
        FAIL(ERR_CONFIG,
             "\"%s\": HSM_PROVIDER must be \"1\" (Thales), \"2\" (Entrust), \"3\" (Utimaco) or "
             "\"4\" (the vendor of okv_hsm.conf), not \"%.32s\"",
             PATH_SECURITY_CONF, value);
    int provider = value[0] - '0';
    if (provider != PROVIDER_OTHER)
        return set_builtin(provider, settings);
    enum err err = set_other(conf, settings);
    if (err != ERR_CONFIG || settings->enabled)
        return err;
    settings->provider = provider;
    return ERR_OK;
}

static enum err load_label(const struct kv *security, struct hsm_settings *settings)
{
    const char *label = kv_get(security, "HSM_TOKEN_LABEL", "");
    settings->use_label = label[0] != '\0';
    if (!settings->use_label)
        return ERR_OK;
    const char *fault = label_fault(label);
    if (fault != NULL)
        FAIL(ERR_CONFIG, "\"%s\": HSM_TOKEN_LABEL \"%.64s\" cannot name a token: %s",
             PATH_SECURITY_CONF, label, fault);
    return put_text(settings->label, sizeof settings->label, label, "HSM_TOKEN_LABEL",
                    PATH_SECURITY_CONF);
}

static enum err load_mechanism(const struct kv *security, struct hsm_settings *settings)
{
    const char *value = kv_get(security, "HSM_MECHANISM", mechanisms[0]);
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++) {
        if (strcmp(value, mechanisms[i]) == 0)
            return put_text(settings->mechanism, sizeof settings->mechanism, value, "HSM_MECHANISM",
                            PATH_SECURITY_CONF);
    }
    FAIL(ERR_CONFIG,
         "\"%s\": HSM_MECHANISM must be \"auto\", \"AES_CBC\", \"AES_CBC_PAD\", \"AES_GCM\" or "
         "\"AES_ECB\", not \"%.32s\"",
         PATH_SECURITY_CONF, value);
}

static enum err load_timeout(const struct kv *security, struct hsm_settings *settings)
{
    settings->timeout_s = HSM_TIMEOUT_S;
    const char *value = kv_get(security, "HSM_TIMEOUT", NULL);
    if (value == NULL)
        return ERR_OK;
    char *end = NULL;
    unsigned long seconds = strtoul(value, &end, 10);
    if (!isdigit((unsigned char)value[0]) || *end != '\0' || seconds < 1 ||
        seconds > HSM_TIMEOUT_MAX_S)
        FAIL(ERR_CONFIG, "\"%s\": HSM_TIMEOUT must be 1 to %d seconds, not \"%.32s\"",
             PATH_SECURITY_CONF, HSM_TIMEOUT_MAX_S, value);
    settings->timeout_s = (uint32_t)seconds;
    return ERR_OK;
}

// Hexadecimal digits of 1 to HSM_KEY_ID_MAX bytes.
static enum err load_adopt_id(const char *text, struct hsm_settings *settings)
{
    if (!hex_bytes_any_case(span_str(text), settings->adopt_id, sizeof settings->adopt_id,
                            &settings->adopt_id_len))
        FAIL(ERR_CONFIG,
             "\"%s\": HSM_ADOPT_KEY_ID must be the key's CKA_ID as 2 to %d hexadecimal digits, not "
             "\"%.80s\"",
             PATH_SECURITY_CONF, 2 * HSM_KEY_ID_MAX, text);
    return ERR_OK;
}

static enum err load_adopt(const struct kv *security, struct hsm_settings *settings)
{
    const char *label = kv_get(security, "HSM_ADOPT_KEY_LABEL", "");
    const char *id = kv_get(security, "HSM_ADOPT_KEY_ID", "");
    TRY(put_text(settings->adopt_label, sizeof settings->adopt_label, label, "HSM_ADOPT_KEY_LABEL",
                 PATH_SECURITY_CONF));
    if (!span_is_utf8(span_str(label)))
        FAIL(ERR_CONFIG, "\"%s\": HSM_ADOPT_KEY_LABEL is not UTF-8", PATH_SECURITY_CONF);
    if (label[0] == '\0' && id[0] != '\0')
        FAIL(ERR_CONFIG, "\"%s\": HSM_ADOPT_KEY_ID is of use only with HSM_ADOPT_KEY_LABEL",
             PATH_SECURITY_CONF);
    return load_adopt_id(id, settings);
}

enum err hsm_settings_load(int root, struct hsm_settings *ret)
{
    CLEANUP(kv_freep) struct kv *security = NULL;
    CLEANUP(kv_freep) struct kv *conf = NULL;
    TRY(kv_load_private(root, PATH_SECURITY_CONF, &security));
    TRY(kv_load_private(root, PATH_HSM_CONF, &conf));
    struct hsm_settings settings = {.enabled = false};
    TRY(kv_get_bool(security, "HSM_ENABLED", false, &settings.enabled));
    TRY(kv_get_bool(security, "HSM_KEY_EXTRACTABLE", false, &settings.key_extractable));
    TRY(kv_get_bool(security, "HSM_REVERSE_MIGRATE_ENABLED", true,
                    &settings.reverse_migrate_enabled));
    TRY(load_provider(security, conf, &settings));
    TRY(load_label(security, &settings));
    TRY(load_mechanism(security, &settings));
    TRY(load_timeout(security, &settings));
    TRY(put_text(settings.init_reserved, sizeof settings.init_reserved,
                 kv_get(security, "HSM_INIT_RESERVED", ""), "HSM_INIT_RESERVED",
                 PATH_SECURITY_CONF));
    TRY(load_adopt(security, &settings));
    *ret = settings;
    return ERR_OK;
}

static enum err choose_vendor(int root, const char *vendor, struct hsm_settings *settings)
{
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
        if (strcmp(vendor, providers[i].vendor) == 0)
            return set_builtin((int)i + 1, settings);
    }
    CLEANUP(kv_freep) struct kv *conf = NULL;
    TRY(kv_load_private(root, PATH_HSM_CONF, &conf));
    const char *other = kv_get(conf, "VENDOR_NAME", "");
    if (other[0] != '\0' && strcmp(vendor, other) == 0)
        return set_other(conf, settings);
    if (other[0] == '\0')
        FAIL(ERR_CONFIG,
             "there is no HSM vendor \"%.64s\": choose Thales, Entrust or Utimaco, or set "
             "VENDOR_NAME in \"%s\"",
             vendor, PATH_HSM_CONF);
    FAIL(ERR_CONFIG, "there is no HSM vendor \"%.64s\": choose Thales, Entrust, Utimaco or %.64s",
         vendor, other);
}

enum err hsm_settings_choose(int root, const char *vendor, bool use_label, const char *label,
                             struct hsm_settings *settings)
{
    struct hsm_settings chosen = *settings;
    if (vendor != NULL && vendor[0] != '\0')
        TRY(choose_vendor(root, vendor, &chosen));
    chosen.use_label = use_label;
    memset(chosen.label, 0, sizeof chosen.label);
    if (use_label) {
        const char *text = label == NULL ? "" : label;
        const char *fault = label_fault(text);
        if (fault != NULL)
            FAIL(ERR_HSM_SLOT,
                 "Could Not Get Slot for HSM: the token label \"%.64s\" cannot name a token: %s",
                 text, fault);
        memcpy(chosen.label, text, strlen(text));
    }
    *settings = chosen;
    return ERR_OK;
}

// Leaves the line alone when it says the same already.
static enum err put_key(struct kv *kv, const char *key, const char *value)
{
    const char *old = kv_get(kv, key, NULL);
    if (old != NULL && strcmp(old, value) == 0)
        return ERR_OK;
    return kv_set(kv, key, value);
}

static const char *bit(bool value)
{
    return value ? "1" : "0";
}

enum err hsm_settings_text(int root, const struct hsm_settings *settings, struct buf *out)
{
    CLEANUP(kv_freep) struct kv *kv = NULL;
    TRY(kv_load_private(root, PATH_SECURITY_CONF, &kv));
    char provider[4];
    char timeout[16];
    (void)snprintf(provider, sizeof provider, "%d", settings->provider % 10);
    (void)snprintf(timeout, sizeof timeout, "%u", settings->timeout_s);
    TRY(put_key(kv, "HSM_ENABLED", bit(settings->enabled)));
    TRY(put_key(kv, "HSM_PROVIDER", provider));
    TRY(put_key(kv, "HSM_KEY_EXTRACTABLE", bit(settings->key_extractable)));
    TRY(put_key(kv, "HSM_TOKEN_LABEL", settings->use_label ? settings->label : ""));
    TRY(put_key(kv, "HSM_REVERSE_MIGRATE_ENABLED", bit(settings->reverse_migrate_enabled)));
    if (kv_get(kv, "HSM_MECHANISM", NULL) != NULL || strcmp(settings->mechanism, "auto") != 0)
        TRY(put_key(kv, "HSM_MECHANISM", settings->mechanism));
    if (kv_get(kv, "HSM_TIMEOUT", NULL) != NULL || settings->timeout_s != HSM_TIMEOUT_S)
        TRY(put_key(kv, "HSM_TIMEOUT", timeout));
    return kv_text(kv, out);
}
