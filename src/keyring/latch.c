// SPDX-License-Identifier: Apache-2.0
//
// The PIN latch: `pin.latch` is 32 random bytes and the 32 bytes of the MAC.
#include "keyring/latch.h"

#include "base/file.h"
#include "base/paths.h"
#include "base/rand.h"
#include "crypto/crypto.h"

enum { KEY_LEN = 32, FILE_LEN = KEY_LEN + CRYPTO_HASH_LEN };

static enum err mac_of(struct span key, const struct hsm_settings *settings, struct span credential,
                       uint8_t out[CRYPTO_HASH_LEN])
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 4096, true);
    TRY(buf_put_var(&text, credential));
    TRY(buf_put_u8(&text, settings->use_label));
    TRY(buf_put_var(&text, span_str(settings->use_label ? settings->label : "")));
    TRY(buf_put_var(&text, span_str(settings->library)));
    return crypto_hmac_sha256(key, span_buf(&text), out);
}

bool latch_is_set(int root)
{
    return file_exists(root, PATH_PIN_LATCH);
}

enum err latch_refuse(void)
{
    FAIL(ERR_HSM_PIN_LATCHED,
         "the HSM refused the stored credential before, so it is not tried again: set the right "
         "credential (Set Credential), or try this one once more with open_wallet");
}

enum err latch_check(int root, const struct hsm_settings *settings, struct span credential)
{
    struct buf file CLEANUP(buf_done);
    uint8_t mac[CRYPTO_HASH_LEN];
    buf_init(&file, FILE_LEN, true);
    if (!latch_is_set(root))
        return ERR_OK;
    TRY(file_read_private(root, PATH_PIN_LATCH, FILE_LEN, &file));
    if (file.len == FILE_LEN) {
        TRY(mac_of(span_of(file.data, KEY_LEN), settings, credential, mac));
        if (!secret_equal(span_of(mac, sizeof mac), span_of(file.data + KEY_LEN, sizeof mac)))
            return ERR_OK;
    }
    return latch_refuse();
}

enum err latch_set(int root, const struct hsm_settings *settings, struct span credential)
{
    uint8_t file[FILE_LEN];
    rand_bytes(file, KEY_LEN);
    TRY(mac_of(span_of(file, KEY_LEN), settings, credential, file + KEY_LEN));
    return file_write(root, PATH_PIN_LATCH, span_of(file, sizeof file));
}

enum err latch_clear(int root)
{
    return file_remove(root, PATH_PIN_LATCH);
}
