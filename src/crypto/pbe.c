// SPDX-License-Identifier: Apache-2.0
//
// Object identifiers are compared as the bytes that they are in DER.
#include "crypto/pbe.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>

#include "crypto/der.h"

enum { KEY_MAX = 32, HASH_MAX = 64, IV_MAX = 16, ID_KEY = 1, ID_IV = 2, ID_MAC = 3 };

#define OID(text) span_of(text, sizeof(text) - 1)
#define PKCS5     "\x2a\x86\x48\x86\xf7\x0d\x01\x05"
#define PKCS12PBE "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01"
#define RSADSI    "\x2a\x86\x48\x86\xf7\x0d"
#define NIST      "\x60\x86\x48\x01\x65\x03\x04"

struct named_oid {
    const char *oid;
    size_t len;
    const char *name;        // OpenSSL's, of a hash or a cipher
    uint8_t key_len, iv_len; // of a cipher
};

#define NAMED(oid, name)                                                                           \
    {                                                                                              \
        oid, sizeof(oid) - 1, name, 0, 0                                                           \
    }
#define CIPHER(oid, name, key_len, iv)                                                             \
    {                                                                                              \
        oid, sizeof(oid) - 1, name, key_len, iv                                                    \
    }

static const struct named_oid prfs[] = {
    NAMED(RSADSI "\x02\x07", "SHA1"),   NAMED(RSADSI "\x02\x08", "SHA224"),
    NAMED(RSADSI "\x02\x09", "SHA256"), NAMED(RSADSI "\x02\x0a", "SHA384"),
    NAMED(RSADSI "\x02\x0b", "SHA512"),
};

static const struct named_oid hashes[] = {
    NAMED("\x2b\x0e\x03\x02\x1a", "SHA1"), NAMED(NIST "\x02\x04", "SHA224"),
    NAMED(NIST "\x02\x01", "SHA256"),      NAMED(NIST "\x02\x02", "SHA384"),
    NAMED(NIST "\x02\x03", "SHA512"),
};

static const struct named_oid ciphers[] = {
    CIPHER(NIST "\x01\x02", "AES-128-CBC", 16, 16),
    CIPHER(NIST "\x01\x16", "AES-192-CBC", 24, 16),
    CIPHER(NIST "\x01\x2a", "AES-256-CBC", 32, 16),
    CIPHER(RSADSI "\x03\x07", "DES-EDE3-CBC", 24, 8),
};

static const struct named_oid *find(const struct named_oid *list, size_t count, struct span oid)
{
    for (size_t i = 0; i < count; i++) {
        if (oid.len == list[i].len && memcmp(oid.data, list[i].oid, oid.len) == 0)
            return &list[i];
    }
    return NULL;
}

#define FIND(list, oid) find(list, sizeof(list) / sizeof *(list), oid)

// One UTF-8 character; the text is known to be well formed.
static uint32_t take_character(struct span text, size_t *at)
{
    uint8_t first = text.data[(*at)++];
    int more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    uint32_t c = more == 0 ? first : first & (0x3fu >> more);
    for (; more > 0 && *at < text.len; more--)
        c = c << 6 | (text.data[(*at)++] & 0x3f);
    return c;
}

enum err pbe_init(struct pbe *pbe, struct span password, int64_t iterations)
{
    *pbe = (struct pbe){.password = password, .left = iterations};
    buf_init(&pbe->wide, 2 * PBE_PASSWORD_MAX + 2, true);
    if (password.len > PBE_PASSWORD_MAX || !span_is_utf8(password))
        FAIL(ERR_INVALID, "the passphrase of the file is too long or not UTF-8");
    for (size_t at = 0; at < password.len;) {
        uint32_t c = take_character(password, &at);
        if (c >= 0x10000)
            TRY(buf_put_u16(&pbe->wide, (uint16_t)(0xd800 + ((c - 0x10000) >> 10))));
        TRY(buf_put_u16(&pbe->wide,
                        (uint16_t)(c >= 0x10000 ? 0xdc00 + ((c - 0x10000) & 0x3ff) : c)));
    }
    return buf_put_u16(&pbe->wide, 0);
}

void pbe_done(struct pbe *pbe)
{
    buf_done(&pbe->wide);
}

static enum err spend(struct pbe *pbe, int32_t iterations, int64_t times)
{
    if (iterations < 1)
        FAIL(ERR_INVALID, "the file asks for no iterations at all");
    if (iterations * times > pbe->left)
        FAIL(ERR_TOO_LARGE, "the file asks for too many iterations of its passphrase; export it "
                            "again with fewer");
    pbe->left -= iterations * times;
    return ERR_OK;
}

static enum err failed(const char *what)
{
    ERR_clear_error();
    FAIL(ERR_CRYPTOGRAPHIC, "%s", what);
}

// PKCS#12's own derivation (RFC 7292 appendix B).
static enum err derive(struct pbe *pbe, struct span password, const char *hash, int id,
                       struct span salt, int32_t iterations, uint8_t *out, size_t len)
{
    TRY(spend(pbe, iterations, 1 + (int64_t)(len / 20)));
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "PKCS12KDF", NULL);
    EVP_KDF_CTX *context = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)hash, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)(uintptr_t)password.data,
                                          password.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt.data,
                                          salt.len),
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_PKCS12_ID, &id),
        OSSL_PARAM_construct_int32(OSSL_KDF_PARAM_ITER, &iterations),
        OSSL_PARAM_construct_end(),
    };
    bool done = context != NULL && EVP_KDF_derive(context, out, len, params) == 1;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return done ? ERR_OK : failed("could not derive a key from the passphrase");
}

struct keyed {
    const char *cipher;
    uint8_t key[KEY_MAX];
    uint8_t iv[IV_MAX];
};

static enum err check_salt(struct span salt)
{
    if (salt.len == 0 || salt.len > PBE_SALT_MAX)
        FAIL(ERR_INVALID, "the salt of the file is empty or too long");
    return ERR_OK;
}

static enum err take_prf(struct cursor *in, const char **ret)
{
    struct cursor algorithm;
    struct span oid;
    *ret = "SHA1"; // RFC 8018 appendix A.2
    if (in->rest.len == 0)
        return ERR_OK;
    TRY(der_enter(in, DER_SEQUENCE, &algorithm));
    TRY(der_take(&algorithm, DER_OID, &oid));
    const struct named_oid *prf = FIND(prfs, oid);
    if (prf == NULL)
        FAIL(ERR_FEATURE, "the passphrase is stretched by a hash that is not supported");
    *ret = prf->name;
    return der_end(in);
}

// PBKDF2-params ::= SEQUENCE { salt, iterationCount, keyLength OPTIONAL, prf DEFAULT hmacWithSHA1 }
static enum err stretch(struct pbe *pbe, struct cursor *kdf, size_t key_len, struct keyed *keyed)
{
    struct cursor params;
    struct span oid;
    struct span salt;
    int32_t iterations = 0;
    int32_t asked = (int32_t)key_len;
    const char *prf = NULL;
    TRY(der_take(kdf, DER_OID, &oid));
    if (!span_eq(oid, OID(PKCS5 "\x0c")))
        FAIL(ERR_FEATURE, "the passphrase is not stretched by PBKDF2");
    TRY(der_enter(kdf, DER_SEQUENCE, &params));
    TRY(der_take(&params, DER_OCTETS, &salt));
    TRY(check_salt(salt));
    TRY(der_number(&params, &iterations));
    if (der_is_next(&params, DER_INTEGER))
        TRY(der_number(&params, &asked));
    TRY(take_prf(&params, &prf));
    if ((size_t)asked != key_len)
        FAIL(ERR_INVALID, "the key length of the file does not fit its cipher");
    TRY(spend(pbe, iterations, 2));
    EVP_MD *hash = EVP_MD_fetch(NULL, prf, NULL);
    bool done = hash != NULL && PKCS5_PBKDF2_HMAC((const char *)pbe->password.data,
                                                  (int)pbe->password.len, salt.data, (int)salt.len,
                                                  iterations, hash, (int)key_len, keyed->key) == 1;
    EVP_MD_free(hash);
    return done ? ERR_OK : failed("could not stretch the passphrase");
}

// PBES2-params ::= SEQUENCE { keyDerivationFunc, encryptionScheme }
static enum err key_by_pbes2(struct pbe *pbe, struct cursor *in, struct keyed *keyed)
{
    struct cursor params;
    struct cursor kdf;
    struct cursor scheme;
    struct span oid;
    struct span iv;
    TRY(der_enter(in, DER_SEQUENCE, &params));
    TRY(der_enter(&params, DER_SEQUENCE, &kdf));
    TRY(der_enter(&params, DER_SEQUENCE, &scheme));
    TRY(der_take(&scheme, DER_OID, &oid));
    const struct named_oid *cipher = FIND(ciphers, oid);
    if (cipher == NULL)
        FAIL(ERR_FEATURE, "the file is encrypted by a cipher that is not supported: AES-CBC and "
                          "3DES are");
    TRY(der_take(&scheme, DER_OCTETS, &iv));
    if (iv.len != cipher->iv_len)
        FAIL(ERR_INVALID, "the initialization vector of the file does not fit its cipher");
    keyed->cipher = cipher->name;
    memcpy(keyed->iv, iv.data, iv.len);
    return stretch(pbe, &kdf, cipher->key_len, keyed);
}

// pkcs-12PbeParams ::= SEQUENCE { salt, iterations }
static enum err key_by_pkcs12(struct pbe *pbe, struct cursor *in, bool two_keys,
                              struct keyed *keyed)
{
    struct cursor params;
    struct span salt;
    int32_t iterations = 0;
    struct span wide = span_buf(&pbe->wide);
    TRY(der_enter(in, DER_SEQUENCE, &params));
    TRY(der_take(&params, DER_OCTETS, &salt));
    TRY(check_salt(salt));
    TRY(der_number(&params, &iterations));
    keyed->cipher = "DES-EDE3-CBC";
    TRY(derive(pbe, wide, "SHA1", ID_KEY, salt, iterations, keyed->key, two_keys ? 16 : 24));
    if (two_keys)
        memcpy(keyed->key + 16, keyed->key, 8);
    return derive(pbe, wide, "SHA1", ID_IV, salt, iterations, keyed->iv, 8);
}

static enum err make_key(struct pbe *pbe, struct span algorithm, struct keyed *keyed)
{
    struct cursor in = cursor_of(algorithm);
    struct span oid;
    TRY(der_take(&in, DER_OID, &oid));
    if (span_eq(oid, OID(PKCS5 "\x0d")))
        return key_by_pbes2(pbe, &in, keyed);
    if (span_eq(oid, OID(PKCS12PBE "\x03")) || span_eq(oid, OID(PKCS12PBE "\x04")))
        return key_by_pkcs12(pbe, &in, oid.data[oid.len - 1] == 4, keyed);
    if (span_eq(oid, OID(PKCS12PBE "\x05")) || span_eq(oid, OID(PKCS12PBE "\x06")))
        FAIL(ERR_FEATURE, "the file is encrypted with RC2, which is not supported; export it again "
                          "with AES");
    FAIL(ERR_FEATURE, "the file is encrypted in a way that is not supported; export it again with "
                      "PBES2 and AES");
}

static enum err decrypt(const struct keyed *keyed, struct span in, struct buf *out)
{
    int first = 0;
    int last = 0;
    size_t before = out->len;
    if (in.len == 0 || in.len > INT32_MAX / 2)
        FAIL(ERR_INVALID, "an encrypted part of the file is empty");
    TRY(buf_reserve(out, in.len + IV_MAX));
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, keyed->cipher, NULL);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool done = cipher != NULL && context != NULL &&
                EVP_DecryptInit_ex2(context, cipher, keyed->key, keyed->iv, NULL) == 1 &&
                EVP_DecryptUpdate(context, out->data + before, &first, in.data, (int)in.len) == 1 &&
                EVP_DecryptFinal_ex(context, out->data + before + first, &last) == 1;
    EVP_CIPHER_CTX_free(context);
    EVP_CIPHER_free(cipher);
    ERR_clear_error();
    if (!done)
        FAIL(ERR_PASSPHRASE, "the file does not open with this passphrase");
    out->len = before + (size_t)first + (size_t)last;
    return ERR_OK;
}

enum err pbe_open(struct pbe *pbe, struct span algorithm, struct span cipher, struct buf *out)
{
    struct keyed keyed = {0};
    enum err err = make_key(pbe, algorithm, &keyed);
    if (err == ERR_OK)
        err = decrypt(&keyed, cipher, out);
    explicit_bzero(&keyed, sizeof keyed);
    return err;
}

static enum err mac_matches(struct pbe *pbe, struct span password, const char *hash,
                            struct span salt, int32_t iterations, struct span bytes,
                            struct span mac, bool *ret)
{
    uint8_t key[HASH_MAX];
    uint8_t made[HASH_MAX];
    size_t made_len = 0;
    TRY(derive(pbe, password, hash, ID_MAC, salt, iterations, key, mac.len));
    bool done = EVP_Q_mac(NULL, "HMAC", NULL, hash, NULL, key, mac.len, bytes.data, bytes.len, made,
                          sizeof made, &made_len) != NULL;
    explicit_bzero(key, sizeof key);
    if (!done)
        return failed("could not check the file's MAC");
    *ret = made_len == mac.len && CRYPTO_memcmp(made, mac.data, mac.len) == 0;
    return ERR_OK;
}

enum err pbe_check_mac(struct pbe *pbe, struct span hash, struct span salt, int32_t iterations,
                       struct span bytes, struct span mac)
{
    struct cursor in = cursor_of(hash);
    struct span oid;
    bool matches = false;
    TRY(der_take(&in, DER_OID, &oid));
    const struct named_oid *known = FIND(hashes, oid);
    if (known == NULL)
        FAIL(ERR_FEATURE, "the MAC of the file is of a kind that is not supported: HMAC with SHA-1 "
                          "or SHA-2 is");
    TRY(check_salt(salt));
    const char *name = known->name;
    EVP_MD *digest = EVP_MD_fetch(NULL, name, NULL);
    bool fits = digest != NULL && (size_t)EVP_MD_get_size(digest) == mac.len;
    EVP_MD_free(digest);
    if (!fits)
        FAIL(ERR_INVALID, "the MAC of the file has the wrong length");
    TRY(mac_matches(pbe, span_buf(&pbe->wide), name, salt, iterations, bytes, mac, &matches));
    // No password at all is not the same as an empty one: some write one, some the other.
    if (!matches && pbe->password.len == 0)
        TRY(mac_matches(pbe, span_of("", 0), name, salt, iterations, bytes, mac, &matches));
    if (!matches)
        FAIL(ERR_PASSPHRASE, "the file does not open with this passphrase, or was changed");
    return ERR_OK;
}
