// SPDX-License-Identifier: Apache-2.0
//
// PKCS#12 as far as keys and certificates go: a password-integrity MAC (without one the file is
// refused), safes in the clear or encrypted under the same passphrase, bags of keys, shrouded keys
// and X.509 certificates. Revocation lists and secret bags are passed over, nested safes refused.
//
// Invariant: the MAC over all safes is verified before any of them is looked into.
#include "crypto/container.h"
#include "crypto/der.h"
#include "crypto/pbe.h"

#define OID(text) span_of(text, sizeof(text) - 1)
#define PKCS7     "\x2a\x86\x48\x86\xf7\x0d\x01\x07"
#define PKCS9     "\x2a\x86\x48\x86\xf7\x0d\x01\x09"
#define BAG       "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01"

struct p12 {
    struct pbe pbe;
    container_each *each;
    void *arg;
    size_t count;
};

static enum err put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80)
        return buf_put_u8(out, (uint8_t)c);
    if (c < 0x800) {
        TRY(buf_put_u8(out, (uint8_t)(0xc0 | c >> 6)));
        return buf_put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
    if (c < 0x10000) {
        TRY(buf_put_u8(out, (uint8_t)(0xe0 | c >> 12)));
    } else {
        TRY(buf_put_u8(out, (uint8_t)(0xf0 | c >> 18)));
        TRY(buf_put_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3f))));
    }
    TRY(buf_put_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f))));
    return buf_put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
}

// BMPString to UTF-8, at most CONTAINER_NAME_MAX bytes.
static enum err put_name(struct span wide, struct buf *out)
{
    struct cursor in = cursor_of(wide);
    if (wide.len % 2 != 0)
        FAIL(ERR_INVALID, "a friendly name of the file is no text");
    while (in.rest.len > 0 && out->len + 4 <= CONTAINER_NAME_MAX) {
        uint16_t unit = 0;
        uint16_t low = 0;
        TRY(cursor_u16(&in, &unit));
        uint32_t c = unit;
        if (unit >= 0xd800 && unit < 0xdc00 && in.rest.len >= 2) {
            TRY(cursor_u16(&in, &low));
            c = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (low & 0x3ff);
        }
        if (c < 0x20 || (c >= 0xd800 && c < 0xe000))
            FAIL(ERR_INVALID, "a friendly name of the file is no text");
        TRY(put_utf8(out, c));
    }
    return ERR_OK;
}

// The friendlyName among a bag's attributes.
static enum err find_name(struct cursor *bag, struct buf *ret)
{
    struct cursor list;
    if (bag->rest.len == 0)
        return ERR_OK;
    TRY(der_enter(bag, DER_SET, &list));
    while (list.rest.len > 0) {
        struct cursor attribute;
        struct cursor values;
        struct span oid;
        struct span text;
        TRY(der_enter(&list, DER_SEQUENCE, &attribute));
        TRY(der_take(&attribute, DER_OID, &oid));
        TRY(der_enter(&attribute, DER_SET, &values));
        if (!span_eq(oid, OID(PKCS9 "\x14")) || ret->len > 0)
            continue;
        TRY(der_take(&values, DER_BMP, &text));
        TRY(put_name(text, ret));
    }
    return der_end(bag);
}

static enum err give(struct p12 *p12, enum container_kind kind, struct span der,
                     struct cursor *attributes)
{
    struct buf name CLEANUP(buf_done);
    buf_init(&name, CONTAINER_NAME_MAX, false);
    TRY(find_name(attributes, &name));
    if (p12->count++ == CONTAINER_ITEMS_MAX)
        FAIL(ERR_TOO_LARGE, "the file holds more than %d keys and certificates",
             CONTAINER_ITEMS_MAX);
    struct container_item item = {kind, span_buf(&name), der};
    return p12->each(p12->arg, &item);
}

// pkcs8ShroudedKeyBag: EncryptedPrivateKeyInfo
static enum err take_shrouded(struct p12 *p12, struct cursor *value, struct cursor *attributes)
{
    struct cursor parts;
    struct span algorithm;
    struct span cipher;
    struct buf plain CLEANUP(buf_done);
    TRY(der_enter(value, DER_SEQUENCE, &parts));
    TRY(der_take(&parts, DER_SEQUENCE, &algorithm));
    TRY(der_take(&parts, DER_OCTETS, &cipher));
    TRY(der_end(&parts));
    buf_init(&plain, cipher.len + 64, true);
    TRY(pbe_open(&p12->pbe, algorithm, cipher, &plain));
    return give(p12, CONTAINER_PRIVATE, span_buf(&plain), attributes);
}

// CertBag ::= SEQUENCE { certId, [0] OCTET STRING }
static enum err take_certificate(struct p12 *p12, struct cursor *value, struct cursor *attributes)
{
    struct cursor parts;
    struct cursor explicit;
    struct span oid;
    struct span der;
    TRY(der_enter(value, DER_SEQUENCE, &parts));
    TRY(der_take(&parts, DER_OID, &oid));
    if (!span_eq(oid, OID(PKCS9 "\x16\x01")))
        FAIL(ERR_FEATURE, "the file holds a certificate that is not X.509");
    TRY(der_enter(&parts, DER_CONTEXT_0, &explicit));
    TRY(der_take(&explicit, DER_OCTETS, &der));
    return give(p12, CONTAINER_CERTIFICATE, der, attributes);
}

// SafeBag ::= SEQUENCE { bagId, [0] bagValue, SET OF attributes OPTIONAL }
static enum err take_bag(struct p12 *p12, struct cursor *bag)
{
    struct cursor value;
    struct der_item key;
    struct span oid;
    TRY(der_take(bag, DER_OID, &oid));
    TRY(der_enter(bag, DER_CONTEXT_0, &value));
    if (span_eq(oid, OID(BAG "\x02")))
        return take_shrouded(p12, &value, bag);
    if (span_eq(oid, OID(BAG "\x03")))
        return take_certificate(p12, &value, bag);
    if (span_eq(oid, OID(BAG "\x01"))) {
        TRY(der_next(&value, &key));
        return give(p12, CONTAINER_PRIVATE, key.whole, bag);
    }
    if (span_eq(oid, OID(BAG "\x06")))
        FAIL(ERR_FEATURE, "the file holds safes within safes");
    return ERR_OK;
}

static enum err take_safe(struct p12 *p12, struct span contents)
{
    struct cursor in = cursor_of(contents);
    struct cursor list;
    TRY(der_enter(&in, DER_SEQUENCE, &list));
    TRY(der_end(&in));
    while (list.rest.len > 0) {
        struct cursor bag;
        TRY(der_enter(&list, DER_SEQUENCE, &bag));
        TRY(take_bag(p12, &bag));
    }
    return ERR_OK;
}

// EncryptedData ::= SEQUENCE { version, SEQUENCE { contentType, algorithm, [0] OCTET STRING } }
static enum err take_encrypted(struct p12 *p12, struct cursor *explicit)
{
    struct cursor data;
    struct cursor content;
    struct span oid;
    struct span algorithm;
    struct span cipher;
    struct buf plain CLEANUP(buf_done);
    int32_t version = 0;
    TRY(der_enter(explicit, DER_SEQUENCE, &data));
    TRY(der_number(&data, &version));
    TRY(der_enter(&data, DER_SEQUENCE, &content));
    TRY(der_take(&content, DER_OID, &oid));
    TRY(der_take(&content, DER_SEQUENCE, &algorithm));
    TRY(der_take(&content, DER_CONTEXT_0_PLAIN, &cipher));
    buf_init(&plain, cipher.len + 64, true);
    TRY(pbe_open(&p12->pbe, algorithm, cipher, &plain));
    return take_safe(p12, span_buf(&plain));
}

// ContentInfo ::= SEQUENCE { contentType, [0] content }
static enum err take_content(struct p12 *p12, struct cursor *list)
{
    struct cursor info;
    struct cursor explicit;
    struct span oid;
    struct span contents;
    TRY(der_enter(list, DER_SEQUENCE, &info));
    TRY(der_take(&info, DER_OID, &oid));
    TRY(der_enter(&info, DER_CONTEXT_0, &explicit));
    if (span_eq(oid, OID(PKCS7 "\x06")))
        return take_encrypted(p12, &explicit);
    if (!span_eq(oid, OID(PKCS7 "\x01")))
        FAIL(ERR_FEATURE, "a part of the file is encrypted for a certificate, not a passphrase");
    TRY(der_take(&explicit, DER_OCTETS, &contents));
    return take_safe(p12, contents);
}

// MacData ::= SEQUENCE { SEQUENCE { hash, OCTET STRING }, salt, iterations DEFAULT 1 }
static enum err check_mac(struct p12 *p12, struct cursor *file, struct span safes)
{
    struct cursor data;
    struct cursor info;
    struct span hash;
    struct span mac;
    struct span salt;
    int32_t iterations = 1;
    if (file->rest.len == 0)
        FAIL(ERR_INVALID, "the file has no MAC: nothing says that it is whole");
    TRY(der_enter(file, DER_SEQUENCE, &data));
    TRY(der_enter(&data, DER_SEQUENCE, &info));
    TRY(der_take(&info, DER_SEQUENCE, &hash));
    TRY(der_take(&info, DER_OCTETS, &mac));
    TRY(der_take(&data, DER_OCTETS, &salt));
    if (data.rest.len > 0)
        TRY(der_number(&data, &iterations));
    TRY(der_end(&data));
    return pbe_check_mac(&p12->pbe, hash, salt, iterations, safes, mac);
}

// PFX ::= SEQUENCE { version, ContentInfo, MacData OPTIONAL }
static enum err take_file(struct p12 *p12, struct span der)
{
    struct cursor in = cursor_of(der);
    struct cursor file;
    struct cursor info;
    struct cursor explicit;
    struct span oid;
    struct span safes;
    int32_t version = 0;
    TRY(der_enter(&in, DER_SEQUENCE, &file));
    TRY(der_end(&in));
    TRY(der_number(&file, &version));
    if (version != 3)
        FAIL(ERR_INVALID, "the file is no PKCS#12 of version 3");
    TRY(der_enter(&file, DER_SEQUENCE, &info));
    TRY(der_take(&info, DER_OID, &oid));
    if (!span_eq(oid, OID(PKCS7 "\x01")))
        FAIL(ERR_FEATURE, "the file is signed; only files with a MAC by passphrase are read");
    TRY(der_enter(&info, DER_CONTEXT_0, &explicit));
    TRY(der_take(&explicit, DER_OCTETS, &safes));
    TRY(check_mac(p12, &file, safes));
    struct cursor contents = cursor_of(safes);
    struct cursor list;
    TRY(der_enter(&contents, DER_SEQUENCE, &list));
    TRY(der_end(&contents));
    while (list.rest.len > 0)
        TRY(take_content(p12, &list));
    if (p12->count == 0)
        FAIL(ERR_INVALID, "the file holds no key and no certificate");
    return ERR_OK;
}

enum err container_pkcs12(struct span der, struct span passphrase, container_each *each, void *arg)
{
    struct p12 p12 = {.each = each, .arg = arg};
    if (der.len > CONTAINER_FILE_MAX)
        FAIL(ERR_TOO_LARGE, "the file is longer than %d bytes", CONTAINER_FILE_MAX);
    enum err err = pbe_init(&p12.pbe, passphrase, CONTAINER_ITERATIONS_MAX);
    if (err == ERR_OK)
        err = take_file(&p12, der);
    pbe_done(&p12.pbe);
    return err;
}
