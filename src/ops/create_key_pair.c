// SPDX-License-Identifier: Apache-2.0
//
// Create Key Pair (KMIP 1.4 section 4.2): RSA and elliptic curves. RSA keys are kept as PKCS#1,
// their default Key Format Type, others as PKCS#8 and SubjectPublicKeyInfo; each half has a Link to
// the other.
#include "crypto/keypair.h"
#include "ops/attributes.h"
#include "ops/make.h"
#include "ops/rules.h"
#include "ops/verbs.h"
#include "wire/ttlv.h"

struct wanted {
    enum keypair_kind kind;
    uint32_t algorithm;
    uint32_t bits;
};

struct curve {
    uint32_t curve;
    uint32_t bits;
    enum keypair_kind kind;
};

static const struct curve curves[] = {
    {KMIP_RECOMMENDED_CURVE_P_256, 256, KEYPAIR_P256},
    {KMIP_RECOMMENDED_CURVE_P_384, 384, KEYPAIR_P384},
    {KMIP_RECOMMENDED_CURVE_P_521, 521, KEYPAIR_P521},
};

static enum err choose_curve(const struct attrs *common, struct wanted *wanted)
{
    uint32_t curve = 0;
    struct ttlv item;
    const struct attr *domain = attrs_find(common, KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS);
    if (domain != NULL && ttlv_find(domain->bytes, KMIP_TAG_RECOMMENDED_CURVE, &item))
        TRY(ttlv_enumeration(&item, &curve));
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        bool by_curve = curve != 0 && curves[i].curve == curve;
        bool by_bits = curve == 0 && curves[i].bits == wanted->bits;
        if (!by_curve && !by_bits)
            continue;
        if (wanted->bits != 0 && wanted->bits != curves[i].bits)
            FAIL(ERR_INVALID, "the curve has %u bits, not %u", (unsigned)curves[i].bits,
                 (unsigned)wanted->bits);
        wanted->kind = curves[i].kind;
        wanted->bits = curves[i].bits;
        return ERR_OK;
    }
    FAIL(ERR_INVALID, "key pairs are made on the curves P-256, P-384 and P-521");
}

// A number that may stand in any of the three sets of attributes.
static int64_t asked(const struct request *request, uint32_t tag)
{
    int64_t number = attributes_number(&request->attrs, tag, 0);
    if (number == 0)
        number = attributes_number(&request->private_attrs, tag, 0);
    return number != 0 ? number : attributes_number(&request->public_attrs, tag, 0);
}

static enum err choose(const struct request *request, struct wanted *ret)
{
    int64_t algorithm = asked(request, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM);
    int64_t bits = asked(request, KMIP_TAG_CRYPTOGRAPHIC_LENGTH);
    if (algorithm == 0)
        FAIL(ERR_MISSING_DATA, "a key pair needs a cryptographic algorithm");
    if (bits < 0 || bits > UINT16_MAX)
        FAIL(ERR_INVALID, "the cryptographic length is not valid");
    *ret = (struct wanted){KEYPAIR_RSA, (uint32_t)algorithm, (uint32_t)bits};
    switch (ret->algorithm) {
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA:
        if (bits == 0)
            FAIL(ERR_MISSING_DATA, "an RSA key pair needs a cryptographic length");
        return ERR_OK;
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_EC:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH:
        return choose_curve(&request->attrs, ret);
    default:
        FAIL(ERR_INVALID, "key pairs of this cryptographic algorithm cannot be created");
    }
}

// One half: common attributes and its own, its material.
static enum err make_half(struct op *op, const struct request *request, uint32_t type,
                          const struct wanted *wanted, struct span der, struct object *ret)
{
    bool is_private = type == KMIP_OBJECT_TYPE_PRIVATE_KEY;
    TRY(object_init(op, type, ret));
    TRY(rules_take(op, ret, &request->attrs));
    TRY(rules_take(op, ret, is_private ? &request->private_attrs : &request->public_attrs));
    ret->data.algorithm = wanted->algorithm;
    ret->data.length = wanted->bits;
    ret->data.key_format = is_private ? KMIP_KEY_FORMAT_TYPE_PKCS_8 : KMIP_KEY_FORMAT_TYPE_X_509;
    if (wanted->kind == KEYPAIR_RSA)
        ret->data.key_format = KMIP_KEY_FORMAT_TYPE_PKCS_1;
    TRY(arena_copy(op->arena, der, &ret->data.material));
    return attributes_make(op, ret, true);
}

static enum err generate(const struct wanted *wanted, struct buf *private_key,
                         struct buf *public_key)
{
    struct buf pkcs8 CLEANUP(buf_done);
    struct buf spki CLEANUP(buf_done);
    buf_init(&pkcs8, KEYPAIR_DER_MAX, true);
    buf_init(&spki, KEYPAIR_DER_MAX, false);
    if (wanted->kind != KEYPAIR_RSA)
        return keypair_generate(wanted->kind, (int)wanted->bits, private_key, public_key);
    TRY(keypair_generate(wanted->kind, (int)wanted->bits, &pkcs8, &spki));
    TRY(keypair_convert_private(span_buf(&pkcs8), KEYPAIR_PKCS8, KEYPAIR_PKCS1, private_key));
    return keypair_convert_public(span_buf(&spki), KEYPAIR_SPKI, KEYPAIR_PKCS1, public_key);
}

enum err make_pair(struct op *op, const struct request *request, struct object *ret_private,
                   struct object *ret_public)
{
    struct wanted wanted;
    struct buf private_der CLEANUP(buf_done);
    struct buf public_der CLEANUP(buf_done);
    buf_init(&private_der, KEYPAIR_DER_MAX, true);
    buf_init(&public_der, KEYPAIR_DER_MAX, false);
    TRY(choose(request, &wanted));
    TRY(generate(&wanted, &private_der, &public_der));
    TRY(make_half(op, request, KMIP_OBJECT_TYPE_PRIVATE_KEY, &wanted, span_buf(&private_der),
                  ret_private));
    TRY(make_half(op, request, KMIP_OBJECT_TYPE_PUBLIC_KEY, &wanted, span_buf(&public_der),
                  ret_public));
    TRY(attributes_put_link(op, &ret_private->attrs, KMIP_LINK_TYPE_PUBLIC_KEY_LINK,
                            ret_public->uid));
    return attributes_put_link(op, &ret_public->attrs, KMIP_LINK_TYPE_PRIVATE_KEY_LINK,
                               ret_private->uid);
}

enum err create_key_pair_run(struct op *op)
{
    struct object private_key;
    struct object public_key;
    TRY(make_pair(op, op->request, &private_key, &public_key));
    TRY(object_put(op, &public_key));
    TRY(object_put(op, &private_key));
    make_answer(op, &private_key);
    op->reply->public_uid = public_key.uid;
    return ERR_OK;
}
