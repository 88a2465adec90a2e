// SPDX-License-Identifier: Apache-2.0
//
// PEM: blocks between lines of their label; what stands between the blocks is passed over, as
// `openssl` writes explanations there.
#include "base/base64.h"
#include "crypto/container.h"
#include "crypto/der.h"
#include "crypto/keypair.h"
#include "crypto/pbe.h"

enum { LABEL_MAX = 64 };

struct pem {
    struct pbe pbe;
    container_each *each;
    void *arg;
    size_t count;
};

static enum err give(struct pem *pem, enum container_kind kind, struct span der)
{
    if (pem->count++ == CONTAINER_ITEMS_MAX)
        FAIL(ERR_TOO_LARGE, "the file holds more than %d keys and certificates",
             CONTAINER_ITEMS_MAX);
    struct container_item item = {.kind = kind, .der = der};
    return pem->each(pem->arg, &item);
}

typedef enum err take_fn(struct pem *pem, struct span der);

static enum err take_private(struct pem *pem, struct span der)
{
    return give(pem, CONTAINER_PRIVATE, der);
}

static enum err take_public(struct pem *pem, struct span der)
{
    return give(pem, CONTAINER_PUBLIC, der);
}

static enum err take_certificate(struct pem *pem, struct span der)
{
    return give(pem, CONTAINER_CERTIFICATE, der);
}

static enum err convert_private(struct pem *pem, struct span der, enum keypair_format from)
{
    struct buf pkcs8 CLEANUP(buf_done);
    buf_init(&pkcs8, KEYPAIR_DER_MAX, true);
    TRY(keypair_convert_private(der, from, KEYPAIR_PKCS8, &pkcs8));
    return give(pem, CONTAINER_PRIVATE, span_buf(&pkcs8));
}

static enum err take_rsa(struct pem *pem, struct span der)
{
    return convert_private(pem, der, KEYPAIR_PKCS1);
}

static enum err take_ec(struct pem *pem, struct span der)
{
    return convert_private(pem, der, KEYPAIR_SEC1);
}

static enum err take_rsa_public(struct pem *pem, struct span der)
{
    struct buf spki CLEANUP(buf_done);
    buf_init(&spki, KEYPAIR_DER_MAX, false);
    TRY(keypair_convert_public(der, KEYPAIR_PKCS1, KEYPAIR_SPKI, &spki));
    return give(pem, CONTAINER_PUBLIC, span_buf(&spki));
}

// EncryptedPrivateKeyInfo ::= SEQUENCE { AlgorithmIdentifier, OCTET STRING }
static enum err take_encrypted(struct pem *pem, struct span der)
{
    struct cursor in = cursor_of(der);
    struct cursor parts;
    struct span algorithm;
    struct span cipher;
    struct buf plain CLEANUP(buf_done);
    buf_init(&plain, der.len + 64, true);
    TRY(der_enter(&in, DER_SEQUENCE, &parts));
    TRY(der_end(&in));
    TRY(der_take(&parts, DER_SEQUENCE, &algorithm));
    TRY(der_take(&parts, DER_OCTETS, &cipher));
    TRY(pbe_open(&pem->pbe, algorithm, cipher, &plain));
    return give(pem, CONTAINER_PRIVATE, span_buf(&plain));
}

static enum err take_nothing(struct pem *pem, struct span der)
{
    (void)pem;
    (void)der;
    return ERR_OK;
}

static const struct {
    const char *label;
    take_fn *take;
} labels[] = {
    {"PRIVATE KEY", take_private},     {"ENCRYPTED PRIVATE KEY", take_encrypted},
    {"RSA PRIVATE KEY", take_rsa},     {"EC PRIVATE KEY", take_ec},
    {"PUBLIC KEY", take_public},       {"RSA PUBLIC KEY", take_rsa_public},
    {"CERTIFICATE", take_certificate}, {"X509 CERTIFICATE", take_certificate},
    {"EC PARAMETERS", take_nothing}, // what `openssl ecparam` writes before the key
};

static take_fn *find(struct span label)
{
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        if (span_eq_str(label, labels[i].label))
            return labels[i].take;
    }
    return NULL;
}

// Finds `mark` in the text; false when it is not there.
static bool cut(struct span text, const char *mark, struct span *ret_before, struct span *ret_after)
{
    const uint8_t *at = memmem(text.data, text.len, mark, strlen(mark));
    if (at == NULL)
        return false;
    size_t before = (size_t)(at - text.data);
    *ret_before = span_of(text.data, before);
    *ret_after = span_of(at + strlen(mark), text.len - before - strlen(mark));
    return true;
}

static enum err take_block(struct pem *pem, struct span label, struct span body)
{
    struct buf der CLEANUP(buf_done);
    take_fn *take = find(label);
    buf_init(&der, CONTAINER_FILE_MAX, true);
    if (take == NULL)
        FAIL(ERR_FEATURE, "the file holds a \"%.*s\", which cannot be imported",
             (int)(label.len > LABEL_MAX ? LABEL_MAX : label.len), (const char *)label.data);
    if (memchr(body.data, ':', body.len) != NULL)
        FAIL(ERR_FEATURE,
             "the %.*s is encrypted in OpenSSL's old way; convert it with openssl "
             "pkcs8 -topk8",
             (int)label.len, (const char *)label.data);
    TRY(base64_take(body, &der));
    return take(pem, span_buf(&der));
}

static enum err take_all(struct pem *pem, struct span text)
{
    struct span before;
    struct span label;
    struct span body;
    struct span closing;
    while (cut(text, "-----BEGIN ", &before, &text)) {
        if (!cut(text, "-----", &label, &text) || label.len > LABEL_MAX ||
            !cut(text, "-----END ", &body, &text) || !cut(text, "-----", &closing, &text) ||
            !span_eq(label, closing))
            FAIL(ERR_INVALID, "a block of the PEM text does not end with the label that it began "
                              "with");
        TRY(take_block(pem, label, body));
    }
    if (pem->count == 0)
        FAIL(ERR_INVALID, "the text holds no key and no certificate in PEM");
    return ERR_OK;
}

enum err container_pem(struct span text, struct span passphrase, container_each *each, void *arg)
{
    struct pem pem = {.each = each, .arg = arg};
    if (text.len > CONTAINER_FILE_MAX)
        FAIL(ERR_TOO_LARGE, "the file is longer than %d bytes", CONTAINER_FILE_MAX);
    enum err err = pbe_init(&pem.pbe, passphrase, CONTAINER_ITERATIONS_MAX);
    if (err == ERR_OK)
        err = take_all(&pem, text);
    pbe_done(&pem.pbe);
    return err;
}
