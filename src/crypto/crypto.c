// SPDX-License-Identifier: Apache-2.0
//
// XAES-256-GCM (C2SP, "The XAES-256-GCM extended-nonce AEAD"), SHA-256, HMAC and HKDF.
//
// A key and the first 12 bytes of a 24-byte random nonce give a key of one message's own (the KDF
// of NIST SP 800-108r1 with AES-CMAC, a 16-bit counter and label "X"); the last 12 bytes are the
// nonce of AES-256-GCM under it. With 192 random bits no counter has to be kept anywhere, also not
// across restarts, snapshots and restores.
//
// This runs once in every Get and several times in every Create, so each thread fetches the
// algorithms once and keeps its contexts.
// Invariant: no function returns with plain bytes in `out` that were not authenticated.
#include "crypto/crypto.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "base/rand.h"
#include "crypto/kat.h"

enum {
    BLOCK_LEN = 16,
    HASH_BLOCK_LEN = 64,
    HMAC_PARTS_MAX = 3,
    NONCE_LEN = 24,
    NONCE_HALF = 12,
    TAG_LEN = 16
};

// What one thread keeps. Never freed: it lives as long as the process' threads.
struct engine {
    EVP_CIPHER *ecb;
    EVP_CIPHER *gcm;
    EVP_MD *sha256;
    EVP_CIPHER_CTX *block;
    EVP_MD_CTX *hash;
    EVP_CIPHER_CTX *stream; // made last: the others are there when it is
};

static __thread struct engine engine_of_thread;

static enum err openssl_failed(const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);
    ERR_clear_error();
    FAIL(ERR_CRYPTOGRAPHIC, "%s failed: %s", what, reason == NULL ? "no reason given" : reason);
}

static enum err engine_get(struct engine **ret)
{
    struct engine *e = &engine_of_thread;
    if (e->stream == NULL) {
        if (e->ecb == NULL)
            e->ecb = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
        if (e->gcm == NULL)
            e->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
        if (e->sha256 == NULL)
            e->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        if (e->block == NULL)
            e->block = EVP_CIPHER_CTX_new();
        if (e->hash == NULL)
            e->hash = EVP_MD_CTX_new();
        if (e->ecb == NULL || e->gcm == NULL || e->sha256 == NULL || e->block == NULL ||
            e->hash == NULL)
            return openssl_failed("loading AES-256 and SHA-256");
        e->stream = EVP_CIPHER_CTX_new();
        if (e->stream == NULL)
            return openssl_failed("loading AES-256");
    }
    *ret = e;
    return ERR_OK;
}

// Doubling in GF(2^128), the subkey step of CMAC (NIST SP 800-38B section 6.1), in constant time.
static void double_block(uint8_t block[BLOCK_LEN])
{
    uint8_t carry = (uint8_t)(block[0] >> 7);
    for (size_t i = 0; i + 1 < BLOCK_LEN; i++)
        block[i] = (uint8_t)((block[i] << 1) | (block[i + 1] >> 7));
    block[BLOCK_LEN - 1] =
        (uint8_t)(((unsigned)block[BLOCK_LEN - 1] << 1) ^ (0x87U & (0U - carry)));
}

// The key of one message. Both CMACs are of one whole block, so each is one AES call on the block
// xor K1.
static enum err message_key(struct engine *e, struct span key, const uint8_t *nonce,
                            uint8_t out[CRYPTO_KEY_LEN])
{
    uint8_t k1[BLOCK_LEN] = {0};
    uint8_t blocks[2 * BLOCK_LEN];
    int len = 0;
    if (EVP_EncryptInit_ex2(e->block, e->ecb, key.data, NULL, NULL) != 1 ||
        EVP_CIPHER_CTX_set_padding(e->block, 0) != 1 ||
        EVP_EncryptUpdate(e->block, k1, &len, k1, BLOCK_LEN) != 1)
        return openssl_failed("AES-256");
    double_block(k1);
    for (uint8_t i = 0; i < 2; i++) {
        uint8_t *block = blocks + i * BLOCK_LEN;
        const uint8_t head[4] = {0, (uint8_t)(i + 1), 'X', 0};
        memcpy(block, head, sizeof head);
        memcpy(block + sizeof head, nonce, NONCE_HALF);
        for (size_t j = 0; j < BLOCK_LEN; j++)
            block[j] ^= k1[j];
    }
    int done = EVP_EncryptUpdate(e->block, out, &len, blocks, sizeof blocks);
    explicit_bzero(k1, sizeof k1);
    explicit_bzero(blocks, sizeof blocks);
    return done == 1 ? ERR_OK : openssl_failed("AES-256");
}

static enum err check_sizes(struct span key, struct span aad, struct span text)
{
    if (key.len != CRYPTO_KEY_LEN)
        FAIL(ERR_CRYPTOGRAPHIC, "a key has %zu bytes instead of %d", key.len, CRYPTO_KEY_LEN);
    if (aad.len > INT32_MAX || text.len > INT32_MAX - CRYPTO_SEAL_OVERHEAD)
        FAIL(ERR_TOO_LARGE, "a message to seal is longer than 2 GiB");
    return ERR_OK;
}

// `out` has room for the ciphertext and the tag.
static enum err gcm_seal(struct engine *e, const uint8_t *key, const uint8_t *nonce,
                         struct span aad, struct span plain, uint8_t *out)
{
    int len = 0;
    uint8_t none = 0;
    bool done = EVP_EncryptInit_ex2(e->stream, e->gcm, key, nonce, NULL) == 1;
    if (done && aad.len > 0)
        done = EVP_EncryptUpdate(e->stream, NULL, &len, aad.data, (int)aad.len) == 1;
    if (done && plain.len > 0)
        done = EVP_EncryptUpdate(e->stream, out, &len, plain.data, (int)plain.len) == 1;
    if (!done || EVP_EncryptFinal_ex(e->stream, &none, &len) != 1 ||
        EVP_CIPHER_CTX_ctrl(e->stream, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out + plain.len) != 1)
        return openssl_failed("AES-256-GCM");
    return ERR_OK;
}

enum err kat_seal(struct span key, const uint8_t nonce[NONCE_LEN], struct span aad,
                  struct span plain, struct buf *out)
{
    struct engine *e = NULL;
    uint8_t one[CRYPTO_KEY_LEN];
    TRY(check_sizes(key, aad, plain));
    TRY(engine_get(&e));
    TRY(buf_reserve(out, plain.len + CRYPTO_SEAL_OVERHEAD));
    TRY(message_key(e, key, nonce, one));
    uint8_t *to = out->data + out->len;
    memcpy(to, nonce, NONCE_LEN);
    enum err err = gcm_seal(e, one, nonce + NONCE_HALF, aad, plain, to + NONCE_LEN);
    explicit_bzero(one, sizeof one);
    TRY(err);
    out->len += plain.len + CRYPTO_SEAL_OVERHEAD;
    return ERR_OK;
}

enum err crypto_seal(struct span key, struct span aad, struct span plain, struct buf *out)
{
    uint8_t nonce[NONCE_LEN];
    rand_bytes(nonce, sizeof nonce);
    return kat_seal(key, nonce, aad, plain, out);
}

static enum err gcm_open(struct engine *e, const uint8_t *key, const uint8_t *nonce,
                         struct span aad, struct span text, const uint8_t *tag, uint8_t *out)
{
    int len = 0;
    uint8_t none = 0;
    uint8_t copy[TAG_LEN];
    memcpy(copy, tag, sizeof copy);
    bool done = EVP_DecryptInit_ex2(e->stream, e->gcm, key, nonce, NULL) == 1;
    if (done && aad.len > 0)
        done = EVP_DecryptUpdate(e->stream, NULL, &len, aad.data, (int)aad.len) == 1;
    if (done && text.len > 0)
        done = EVP_DecryptUpdate(e->stream, out, &len, text.data, (int)text.len) == 1;
    if (!done || EVP_CIPHER_CTX_ctrl(e->stream, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, copy) != 1)
        return openssl_failed("AES-256-GCM");
    if (EVP_DecryptFinal_ex(e->stream, &none, &len) != 1) {
        ERR_clear_error();
        explicit_bzero(out, text.len);
        FAIL(ERR_DAMAGED, "sealed bytes do not open: the key is another one, or they were changed");
    }
    return ERR_OK;
}

enum err crypto_open(struct span key, struct span aad, struct span sealed, struct buf *out)
{
    struct engine *e = NULL;
    uint8_t one[CRYPTO_KEY_LEN];
    TRY(check_sizes(key, aad, (struct span){NULL, 0}));
    if (sealed.len < CRYPTO_SEAL_OVERHEAD || sealed.len > INT32_MAX)
        FAIL(ERR_DAMAGED, "sealed bytes are too short or too long (%zu)", sealed.len);
    size_t len = sealed.len - CRYPTO_SEAL_OVERHEAD;
    TRY(engine_get(&e));
    // One byte more than needed, so that there is an address also for an empty text.
    TRY(buf_reserve(out, len == 0 ? 1 : len));
    TRY(message_key(e, key, sealed.data, one));
    struct span text = span_of(sealed.data + NONCE_LEN, len);
    enum err err = gcm_open(e, one, sealed.data + NONCE_HALF, aad, text, text.data + len,
                            out->data + out->len);
    explicit_bzero(one, sizeof one);
    TRY(err);
    out->len += len;
    return ERR_OK;
}

// SHA-256 of several parts, one after the other.
static bool digest(struct engine *e, const struct span *parts, size_t count,
                   uint8_t out[CRYPTO_HASH_LEN])
{
    bool done = EVP_DigestInit_ex2(e->hash, e->sha256, NULL) == 1;
    for (size_t i = 0; done && i < count; i++)
        done = parts[i].len == 0 || EVP_DigestUpdate(e->hash, parts[i].data, parts[i].len) == 1;
    return done && EVP_DigestFinal_ex(e->hash, out, NULL) == 1;
}

void crypto_sha256_pair(struct span first, struct span second, uint8_t out[CRYPTO_HASH_LEN])
{
    const struct span parts[] = {first, second};
    struct engine *e = NULL;
    // It fails for want of memory alone, when the thread's first call makes the contexts.
    if (engine_get(&e) != ERR_OK || !digest(e, parts, 2, out))
        abort();
}

void crypto_sha256(struct span bytes, uint8_t out[CRYPTO_HASH_LEN])
{
    crypto_sha256_pair(bytes, span_of(NULL, 0), out);
}

// HMAC (RFC 2104) of up to HMAC_PARTS_MAX parts. Done here, since OpenSSL's own fetches the
// algorithm each time, which costs more than the two digests.
static enum err hmac(struct span key, const struct span *parts, size_t count,
                     uint8_t out[CRYPTO_HASH_LEN])
{
    uint8_t inner[HASH_BLOCK_LEN] = {0};
    uint8_t outer[HASH_BLOCK_LEN];
    struct span text[1 + HMAC_PARTS_MAX] = {span_of(inner, sizeof inner)};
    const struct span last[] = {span_of(outer, sizeof outer), span_of(out, CRYPTO_HASH_LEN)};
    struct engine *e = NULL;
    TRY(engine_get(&e));
    if (key.len > sizeof inner)
        crypto_sha256(key, inner);
    else if (key.len > 0)
        memcpy(inner, key.data, key.len);
    for (size_t i = 0; i < sizeof inner; i++) {
        outer[i] = inner[i] ^ 0x5c;
        inner[i] ^= 0x36;
    }
    memcpy(text + 1, parts, count * sizeof *parts);
    bool done = digest(e, text, 1 + count, out) && digest(e, last, 2, out);
    explicit_bzero(inner, sizeof inner);
    explicit_bzero(outer, sizeof outer);
    return done ? ERR_OK : openssl_failed("HMAC-SHA-256");
}

enum err crypto_hmac_sha256(struct span key, struct span bytes, uint8_t out[CRYPTO_HASH_LEN])
{
    return hmac(key, &bytes, 1, out);
}

enum err crypto_totp(struct span key, uint64_t step, char out[CRYPTO_TOTP_DIGITS + 1])
{
    uint8_t counter[8];
    uint8_t mac[20];
    unsigned len = sizeof mac;
    for (int i = 0; i < 8; i++)
        counter[i] = (uint8_t)(step >> (56 - 8 * i));
    if (key.len == 0 || key.len > INT32_MAX)
        FAIL(ERR_CRYPTOGRAPHIC, "a key for one-time passwords has %zu bytes", key.len);
    if (HMAC(EVP_sha1(), key.data, (int)key.len, counter, sizeof counter, mac, &len) == NULL ||
        len != sizeof mac)
        return openssl_failed("HMAC-SHA-1");
    // RFC 4226 section 5.3, dynamic truncation.
    const uint8_t *at = mac + (mac[19] & 15);
    uint32_t code = (at[0] & 0x7fU) << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    for (int i = CRYPTO_TOTP_DIGITS - 1; i >= 0; i--) {
        out[i] = (char)('0' + code % 10);
        code /= 10;
    }
    out[CRYPTO_TOTP_DIGITS] = '\0';
    explicit_bzero(mac, sizeof mac);
    return ERR_OK;
}

enum err kat_hkdf(struct span key, struct span info, uint8_t *out, size_t len)
{
    static const uint8_t salt[CRYPTO_HASH_LEN];
    uint8_t extracted[CRYPTO_HASH_LEN];
    uint8_t block[CRYPTO_HASH_LEN];
    uint8_t number = 1;
    struct span parts[] = {span_of(NULL, 0), info, span_of(&number, 1)};
    enum err err = hmac(span_of(salt, sizeof salt), &key, 1, extracted);
    for (size_t done = 0; err == ERR_OK && done < len; done += sizeof block, number++) {
        err = hmac(span_of(extracted, sizeof extracted), parts, 3, block);
        memcpy(out + done, block, len - done < sizeof block ? len - done : sizeof block);
        parts[0] = span_of(block, sizeof block);
    }
    explicit_bzero(extracted, sizeof extracted);
    explicit_bzero(block, sizeof block);
    return err;
}

enum err crypto_derive(struct span key, const char *label, uint8_t out[CRYPTO_KEY_LEN])
{
    return kat_hkdf(key, span_str(label), out, CRYPTO_KEY_LEN);
}
