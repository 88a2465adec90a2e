// SPDX-License-Identifier: Apache-2.0
//
// hsm.h on the library itself: runs in keyward-hsmd (and in tests). Every call blocks as long as
// the library does; deadlines are the keeper's, from outside (hsm_rpc.c).
#include "hsm/hsm.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/rand.h"
#include "hsm/p11.h"

enum { NUMBER_TRIES = 8, BACK_OFF_MS = 500 };

struct hsm {
    struct p11 p11;
    struct hsm_settings settings;
};

static enum err open_token(struct hsm *hsm, int root, const struct hsm_settings *settings,
                           struct span credential)
{
    TRY(p11_module_load(&hsm->p11, root, settings));
    TRY(p11_slot_find(&hsm->p11, settings));
    return p11_session_login(&hsm->p11, credential, settings->attended);
}

enum err hsm_open(int root, const struct hsm_settings *settings, struct span credential,
                  const char *trace, struct hsm **ret)
{
    if (credential.len == 0 || credential.len > HSM_CREDENTIAL_MAX)
        FAIL(ERR_INVALID, "the HSM credential must have 1 to %d bytes, not %zu", HSM_CREDENTIAL_MAX,
             credential.len);
    CLEANUP(hsm_closep) struct hsm *hsm = calloc(1, sizeof *hsm);
    if (hsm == NULL)
        FAIL(ERR_MEMORY, "no memory for the HSM");
    hsm->settings = *settings;
    log_event(LOG_LEVEL_INFO, "hsm_open operation=%s vendor=\"%s\" library=\"%s\" label=\"%s\"",
              trace, settings->vendor, settings->library,
              settings->use_label ? settings->label : "");
    TRY(open_token(hsm, root, settings, credential));
    *ret = hsm;
    hsm = NULL;
    return ERR_OK;
}

void hsm_close(struct hsm *hsm)
{
    if (hsm == NULL)
        return;
    p11_module_unload(&hsm->p11);
    free(hsm);
}

void hsm_closep(struct hsm **hsm)
{
    hsm_close(*hsm);
    *hsm = NULL;
}

enum err hsm_token_info(struct hsm *hsm, struct hsm_token *ret)
{
    CK_TOKEN_INFO info;
    TRY(p11_slot_info(&hsm->p11, &info));
    memset(ret, 0, sizeof *ret);
    p11_slot_text(info.label, sizeof info.label, ret->label);
    p11_slot_text(info.manufacturerID, sizeof info.manufacturerID, ret->manufacturer);
    p11_slot_text(info.model, sizeof info.model, ret->model);
    p11_slot_text(info.serialNumber, sizeof info.serialNumber, ret->serial);
    (void)snprintf(ret->firmware, sizeof ret->firmware, "%u.%u", info.firmwareVersion.major,
                   info.firmwareVersion.minor);
    return ERR_OK;
}

static enum err make_label(const char *release, const char *what, char out[64])
{
    size_t len = strlen(release);
    if (len == 0 || len > 32 || !span_is_utf8(span_of(release, len)))
        FAIL(ERR_INTERNAL, "a release's name has 1 to 32 bytes");
    (void)snprintf(out, 64, "OKV %s HSM %s", release, what);
    return ERR_OK;
}

void hsm_back_off(void)
{
    uint16_t random = 0;
    rand_bytes(&random, sizeof random);
    (void)poll(NULL, 0, random % BACK_OFF_MS);
}

// A key of a number that nobody else has taken, as far as this process can see: *ret_alone. A key
// that is not alone is destroyed; where that is impossible, or the keys cannot be counted, the
// keeper's own count will tell.
static enum err create_once(struct hsm *hsm, const char *number_label, struct hsm_key *key,
                            bool *ret_alone)
{
    CK_OBJECT_HANDLE found[P11_MATCHES_MAX];
    size_t count = 0;
    TRY(p11_number_take(&hsm->p11, number_label, key->label, &key->number));
    p11_number_encode(key->number, key->id);
    enum err err = p11_key_create(&hsm->p11, key, hsm->settings.key_extractable);
    *ret_alone = false;
    if (err == ERR_CONFLICT)
        return ERR_OK;
    TRY(err);
    err = p11_key_find(&hsm->p11, key, found, &count);
    if (err != ERR_OK)
        log_error("root_key_not_counted", err);
    *ret_alone = err != ERR_OK || count < 2 || p11_key_destroy(&hsm->p11, key) != ERR_OK;
    return ERR_OK;
}

enum err hsm_key_create(struct hsm *hsm, const char *release, struct hsm_key *ret)
{
    struct hsm_key key = {.id_len = 4};
    char number_label[64];
    bool alone = false;
    hsm->p11.key_left = false;
    if (hsm->settings.adopt_label[0] != '\0')
        return p11_key_adopt(&hsm->p11, &hsm->settings, ret);
    TRY(make_label(release, "Root Key", key.label));
    TRY(make_label(release, "Key Number", number_label));
    for (int i = 0; i < NUMBER_TRIES && !alone; i++) {
        TRY(create_once(hsm, number_label, &key, &alone));
        if (alone)
            break;
        log_event(LOG_LEVEL_WARN, "key_number_taken_by_another number=%u try=%d", key.number,
                  i + 1);
        hsm_back_off();
    }
    if (!alone)
        FAIL(ERR_HSM_KEY,
             "other servers took the same key number %d times; initialize again when they have "
             "ended",
             NUMBER_TRIES);
    log_event(LOG_LEVEL_INFO, "root_key_made number=%u label=\"%s\"", key.number, key.label);
    *ret = key;
    return ERR_OK;
}

bool hsm_key_left(const struct hsm *hsm)
{
    return hsm->p11.key_left;
}

enum err hsm_key_look(struct hsm *hsm, const struct hsm_key *key, struct hsm_key_state *ret)
{
    CK_OBJECT_HANDLE found[P11_MATCHES_MAX];
    size_t count = 0;
    TRY(p11_key_find(&hsm->p11, key, found, &count));
    *ret = (struct hsm_key_state){.count = (uint32_t)count};
    for (size_t i = 0; i < count && i < P11_MATCHES_MAX; i++) {
        CK_BBOOL value = CK_FALSE;
        size_t len = 0;
        ret->extractable |= p11_session_attribute(&hsm->p11, found[i], CKA_EXTRACTABLE, &value,
                                                  sizeof value, &len) &&
                            len == sizeof value && value != CK_FALSE;
    }
    return ERR_OK;
}

enum err hsm_key_destroy(struct hsm *hsm, const struct hsm_key *key)
{
    return p11_key_destroy(&hsm->p11, key);
}

static enum err missing(const struct hsm_key *key)
{
    if (key->number == 0)
        FAIL(ERR_HSM_KEY,
             "the adopted root key \"%s\" is not on the HSM; check that the token is the right one "
             "and run hsmclient verify",
             key->label);
    FAIL(ERR_HSM_KEY,
         "the root key \"%s\" number %u is not on the HSM; check that the token is the right one "
         "and run hsmclient verify",
         key->label, key->number);
}

// A key that this process made is known by its handle even where another server made one like it.
static enum err one_key(struct hsm *hsm, const struct hsm_key *key, CK_OBJECT_HANDLE *ret)
{
    if (p11_key_created(&hsm->p11, key, ret))
        return ERR_OK;
    CK_OBJECT_HANDLE found[P11_MATCHES_MAX];
    size_t count = 0;
    TRY(p11_key_find(&hsm->p11, key, found, &count));
    if (count == 0)
        return missing(key);
    if (count > 1)
        FAIL(ERR_HSM_KEY,
             "%zu keys on the HSM answer to \"%s\" number %u; have the HSM's "
             "administrator remove the ones that no server uses",
             count, key->label, key->number);
    *ret = found[0];
    return ERR_OK;
}

enum err hsm_seal(struct hsm *hsm, const struct hsm_key *key, char mechanism[32], struct span dek,
                  struct buf *ret_sealed)
{
    CK_OBJECT_HANDLE handle = 0;
    TRY(one_key(hsm, key, &handle));
    return p11_seal_encrypt(&hsm->p11, handle, mechanism, dek, ret_sealed);
}

enum err hsm_unseal(struct hsm *hsm, const struct hsm_key *key, uint32_t nth, const char *mechanism,
                    struct span sealed, struct secret **ret_dek)
{
    CK_OBJECT_HANDLE found[P11_MATCHES_MAX];
    size_t count = 0;
    TRY(p11_key_find(&hsm->p11, key, found, &count));
    if (count == 0)
        return missing(key);
    if (nth >= count)
        FAIL(ERR_HSM_KEY, "%zu keys on the HSM answer to \"%s\" number %u, and none is the %u.",
             count, key->label, key->number, nth + 1);
    return p11_seal_decrypt(&hsm->p11, found[nth], mechanism, sealed, ret_dek);
}

enum err hsm_list(struct hsm *hsm, struct buf *ret_json)
{
    return p11_list(&hsm->p11, ret_json);
}
