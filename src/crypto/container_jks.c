// SPDX-License-Identifier: Apache-2.0
//
// Java's own key store, as the JDK's sources have it: big-endian numbers, texts with a length of 16
// bits, entries, and a SHA-1 of passphrase, a fixed text and all bytes before it. A private key is
// hidden by a key stream of SHA-1 over the passphrase and the block before, and followed by the
// SHA-1 of passphrase and key.
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "crypto/container.h"
#include "crypto/der.h"
#include "crypto/pbe.h"

enum {
    MAGIC_JKS = 0xfeedfeed,
    MAGIC_JCEKS = 0xcececece,
    SHA1_LEN = 20,
    ENTRY_KEY = 1,
    ENTRY_CERTIFICATE = 2,
    CHAIN_MAX = 16
};

struct jks {
    struct pbe pbe; // for the passphrase in UTF-16
    struct span wide;
    uint32_t version;
    container_each *each;
    void *arg;
    size_t count;
};

static enum err cut_off(void)
{
    FAIL(ERR_INVALID, "the key store is cut off");
}

// SHA-1 of up to three pieces.
static enum err sha1(struct span a, struct span b, struct span c, uint8_t out[SHA1_LEN])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context != NULL && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1 &&
                EVP_DigestUpdate(context, a.data, a.len) == 1 &&
                EVP_DigestUpdate(context, b.data, b.len) == 1 &&
                EVP_DigestUpdate(context, c.data, c.len) == 1 &&
                EVP_DigestFinal_ex(context, out, NULL) == 1;
    EVP_MD_CTX_free(context);
    if (!done)
        FAIL(ERR_CRYPTOGRAPHIC, "could not hash");
    return ERR_OK;
}

static enum err take_text(struct cursor *in, struct span *ret)
{
    uint16_t len = 0;
    if (cursor_u16(in, &len) != ERR_OK || cursor_bytes(in, len, ret) != ERR_OK)
        return cut_off();
    return ERR_OK;
}

static enum err take_bytes(struct cursor *in, struct span *ret)
{
    uint32_t len = 0;
    if (cursor_u32(in, &len) != ERR_OK || cursor_bytes(in, len, ret) != ERR_OK)
        return cut_off();
    return ERR_OK;
}

// Java's UTF-8 is not quite that: an alias that is no plain text is left out.
static struct span usable(struct span alias)
{
    for (size_t i = 0; i < alias.len; i++) {
        if (alias.data[i] < 0x20 || alias.data[i] == 0x7f)
            return span_of("", 0);
    }
    bool good = alias.len <= CONTAINER_NAME_MAX && span_is_utf8(alias);
    return good ? alias : span_of("", 0);
}

static enum err give(struct jks *jks, enum container_kind kind, struct span alias, struct span der)
{
    if (jks->count++ == CONTAINER_ITEMS_MAX)
        FAIL(ERR_TOO_LARGE, "the key store holds more than %d keys and certificates",
             CONTAINER_ITEMS_MAX);
    struct container_item item = {kind, usable(alias), der};
    return jks->each(jks->arg, &item);
}

static enum err unhide(struct jks *jks, struct span hidden, struct buf *out)
{
    uint8_t block[SHA1_LEN];
    uint8_t check[SHA1_LEN];
    const struct span none = {NULL, 0};
    if (hidden.len <= 2 * (size_t)SHA1_LEN)
        FAIL(ERR_INVALID, "a key of the key store is too short");
    size_t len = hidden.len - 2 * (size_t)SHA1_LEN;
    const uint8_t *in = hidden.data + SHA1_LEN;
    memcpy(block, hidden.data, SHA1_LEN);
    for (size_t i = 0; i < len; i++) {
        if (i % SHA1_LEN == 0)
            TRY(sha1(jks->wide, span_of(block, SHA1_LEN), none, block));
        TRY(buf_put_u8(out, in[i] ^ block[i % SHA1_LEN]));
    }
    TRY(sha1(jks->wide, span_buf(out), none, check));
    explicit_bzero(block, sizeof block);
    if (CRYPTO_memcmp(check, in + len, SHA1_LEN) != 0)
        FAIL(ERR_PASSPHRASE, "a key of the key store has another passphrase than the store; give "
                             "it the same one with keytool -keypasswd");
    return ERR_OK;
}

// EncryptedPrivateKeyInfo with Sun's own algorithm.
static enum err take_key(struct jks *jks, struct span alias, struct span der)
{
    static const char sun[] = "\x2b\x06\x01\x04\x01\x2a\x02\x11\x01\x01";
    struct cursor in = cursor_of(der);
    struct cursor parts;
    struct cursor algorithm;
    struct span oid;
    struct span hidden;
    struct buf plain CLEANUP(buf_done);
    TRY(der_enter(&in, DER_SEQUENCE, &parts));
    TRY(der_enter(&parts, DER_SEQUENCE, &algorithm));
    TRY(der_take(&algorithm, DER_OID, &oid));
    TRY(der_take(&parts, DER_OCTETS, &hidden));
    if (!span_eq(oid, span_of(sun, sizeof sun - 1)))
        FAIL(ERR_FEATURE, "a key of the key store is protected in a way that is not supported");
    buf_init(&plain, hidden.len, true);
    TRY(unhide(jks, hidden, &plain));
    return give(jks, CONTAINER_PRIVATE, alias, span_buf(&plain));
}

static enum err take_certificate(struct jks *jks, struct span alias, struct cursor *in)
{
    struct span type = span_str("X.509");
    struct span der;
    if (jks->version == 2)
        TRY(take_text(in, &type));
    TRY(take_bytes(in, &der));
    if (!span_eq_str(type, "X.509") && !span_eq_str(type, "X509"))
        FAIL(ERR_FEATURE, "the key store holds a certificate that is not X.509");
    return give(jks, CONTAINER_CERTIFICATE, alias, der);
}

static enum err take_entry(struct jks *jks, struct cursor *in)
{
    uint32_t kind = 0;
    uint32_t chain = 0;
    uint64_t made = 0;
    struct span alias;
    struct span key;
    if (cursor_u32(in, &kind) != ERR_OK)
        return cut_off();
    TRY(take_text(in, &alias));
    if (cursor_u64(in, &made) != ERR_OK)
        return cut_off();
    if (kind == ENTRY_CERTIFICATE)
        return take_certificate(jks, alias, in);
    if (kind != ENTRY_KEY)
        FAIL(ERR_INVALID, "the key store holds an entry of an unknown kind");
    TRY(take_bytes(in, &key));
    TRY(take_key(jks, alias, key));
    if (cursor_u32(in, &chain) != ERR_OK)
        return cut_off();
    if (chain > CHAIN_MAX)
        FAIL(ERR_TOO_LARGE, "a chain of the key store has more than %d certificates", CHAIN_MAX);
    for (uint32_t i = 0; i < chain; i++)
        TRY(take_certificate(jks, alias, in));
    return ERR_OK;
}

static enum err check_hash(const struct jks *jks, struct span bytes)
{
    uint8_t hash[SHA1_LEN];
    struct span body = span_of(bytes.data, bytes.len - SHA1_LEN);
    TRY(sha1(jks->wide, span_str("Mighty Aphrodite"), body, hash));
    if (CRYPTO_memcmp(hash, bytes.data + body.len, SHA1_LEN) != 0)
        FAIL(ERR_PASSPHRASE, "the key store does not open with this passphrase, or was changed");
    return ERR_OK;
}

static enum err take_store(struct jks *jks, struct span bytes)
{
    struct cursor in = cursor_of(bytes);
    uint32_t magic = 0;
    uint32_t entries = 0;
    if (cursor_u32(&in, &magic) != ERR_OK || (magic != MAGIC_JKS && magic != MAGIC_JCEKS))
        FAIL(ERR_INVALID, "the bytes are no JKS key store; newer ones are PKCS#12");
    if (magic == MAGIC_JCEKS)
        FAIL(ERR_FEATURE, "this is a JCEKS key store; convert it with keytool -importkeystore "
                          "-deststoretype PKCS12");
    if (cursor_u32(&in, &jks->version) != ERR_OK || cursor_u32(&in, &entries) != ERR_OK ||
        in.rest.len < SHA1_LEN)
        return cut_off();
    if (jks->version != 1 && jks->version != 2)
        FAIL(ERR_INVALID, "the key store has the unknown version %u", (unsigned)jks->version);
    TRY(check_hash(jks, bytes));
    in.rest.len -= SHA1_LEN;
    if (entries == 0 || entries > CONTAINER_ITEMS_MAX)
        FAIL(ERR_INVALID, "the key store holds %u entries instead of 1 to %d", (unsigned)entries,
             CONTAINER_ITEMS_MAX);
    for (uint32_t i = 0; i < entries; i++)
        TRY(take_entry(jks, &in));
    if (in.rest.len > 0)
        FAIL(ERR_INVALID, "something stands behind the entries of the key store");
    return ERR_OK;
}

enum err container_jks(struct span bytes, struct span passphrase, container_each *each, void *arg)
{
    struct jks jks = {.each = each, .arg = arg};
    if (bytes.len > CONTAINER_FILE_MAX)
        FAIL(ERR_TOO_LARGE, "the file is longer than %d bytes", CONTAINER_FILE_MAX);
    enum err err = pbe_init(&jks.pbe, passphrase, 0);
    // Without the two zero bytes at its end.
    jks.wide = span_of(jks.pbe.wide.data, err == ERR_OK ? jks.pbe.wide.len - 2 : 0);
    if (err == ERR_OK)
        err = take_store(&jks, bytes);
    pbe_done(&jks.pbe);
    return err;
}
