// SPDX-License-Identifier: Apache-2.0
//
// Symmetric keys are raw or transparent (a structure with the bytes). Keys of pairs are looked into
// where the crypto room knows their encoding; transparent ones are structures that are kept as they
// came.
#include "ops/keyformat.h"

#include "crypto/keypair.h"
#include "ops/make.h"
#include "wire/ttlv.h"

struct format {
    uint32_t kmip;
    bool is_private;
    enum keypair_format format;
};

static const struct format formats[] = {
    {KMIP_KEY_FORMAT_TYPE_PKCS_1, true, KEYPAIR_PKCS1},
    {KMIP_KEY_FORMAT_TYPE_PKCS_1, false, KEYPAIR_PKCS1},
    {KMIP_KEY_FORMAT_TYPE_PKCS_8, true, KEYPAIR_PKCS8},
    {KMIP_KEY_FORMAT_TYPE_X_509, false, KEYPAIR_SPKI},
    {KMIP_KEY_FORMAT_TYPE_ECPRIVATEKEY, true, KEYPAIR_SEC1},
};

static bool find_format(uint32_t kmip, bool is_private, enum keypair_format *ret)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (formats[i].kmip == kmip && formats[i].is_private == is_private) {
            *ret = formats[i].format;
            return true;
        }
    }
    return false;
}

// The bytes of a symmetric key in either format.
static enum err symmetric_bytes(const struct object_data *data, struct span *ret)
{
    struct ttlv item;
    *ret = data->material;
    if (!data->structured)
        return ERR_OK;
    if (!ttlv_find(data->material, KMIP_TAG_KEY, &item))
        FAIL(ERR_INVALID, "the key material has no key");
    return ttlv_bytes(&item, ret);
}

static enum err check_symmetric(struct object_data *data)
{
    struct span key;
    TRY(symmetric_bytes(data, &key));
    if (key.len == 0 || key.len > UINT16_MAX / 8)
        FAIL(ERR_INVALID, "the key has %zu bytes", key.len);
    uint32_t bits = (uint32_t)key.len * 8;
    bool effective =
        data->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES && data->length == bits / 8 * 7;
    if (data->length != 0 && data->length != bits && !effective)
        FAIL(ERR_INVALID, "the cryptographic length is %u, but the key has %u bits",
             (unsigned)data->length, (unsigned)bits);
    if (data->length == 0)
        data->length = bits;
    return make_check_length(data->algorithm, data->length);
}

static bool algorithm_matches(uint32_t algorithm, enum keypair_kind kind)
{
    switch (algorithm) {
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA:
        return kind == KEYPAIR_RSA;
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_EC:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ECMQV:
        return kind == KEYPAIR_P256 || kind == KEYPAIR_P384 || kind == KEYPAIR_P521;
    default:
        return kind != KEYPAIR_RSA;
    }
}

// Algorithms whose keys the crypto room can look into; 0 when the request names none.
static bool can_look_into(uint32_t algorithm)
{
    return algorithm == 0 || algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA ||
           algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC ||
           algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA ||
           algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH;
}

static enum err check_pair(struct object_data *data)
{
    struct keypair_info info;
    enum keypair_format format;
    bool is_private = data->type == KMIP_OBJECT_TYPE_PRIVATE_KEY;
    if (data->structured || !can_look_into(data->algorithm) ||
        !find_format(data->key_format, is_private, &format))
        return ERR_OK;
    TRY(keypair_describe(data->material, format, is_private, &info));
    if (data->algorithm != 0 && !algorithm_matches(data->algorithm, info.kind))
        FAIL(ERR_INVALID, "the key is not of the cryptographic algorithm that is given");
    if (data->length != 0 && data->length != (uint32_t)info.bits)
        FAIL(ERR_INVALID, "the cryptographic length is %u, but the key has %d bits",
             (unsigned)data->length, info.bits);
    data->length = (uint32_t)info.bits;
    if (data->algorithm == 0 && info.kind == KEYPAIR_RSA)
        data->algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA;
    if (data->algorithm == 0 && info.kind <= KEYPAIR_P521)
        data->algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC;
    return ERR_OK;
}

enum err keyformat_check(struct object_data *data)
{
    if (data->type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        return check_symmetric(data);
    return check_pair(data);
}

static enum err convert_symmetric(struct op *op, uint32_t format, struct object_data *data)
{
    struct span key;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, UINT16_MAX, true);
    TRY(symmetric_bytes(data, &key));
    if (format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY) {
        TRY(ttlv_put_bytes(&out, KMIP_TAG_KEY, key));
        data->structured = true;
    } else if (format == KMIP_KEY_FORMAT_TYPE_RAW || format == KMIP_KEY_FORMAT_TYPE_OPAQUE) {
        TRY(buf_put(&out, key));
        data->structured = false;
    } else {
        FAIL(ERR_KEY_FORMAT, "a symmetric key has no such format");
    }
    data->key_format = format;
    return arena_copy(op->arena, span_buf(&out), &data->material);
}

static enum err convert_pair(struct op *op, uint32_t format, struct object_data *data)
{
    enum keypair_format from;
    enum keypair_format to;
    struct buf out CLEANUP(buf_done);
    bool is_private = data->type == KMIP_OBJECT_TYPE_PRIVATE_KEY;
    buf_init(&out, KEYPAIR_DER_MAX, is_private);
    if (data->structured || !find_format(data->key_format, is_private, &from) ||
        !find_format(format, is_private, &to))
        FAIL(ERR_KEY_FORMAT, "the key cannot be given in this key format type");
    if (is_private)
        TRY(keypair_convert_private(data->material, from, to, &out));
    else
        TRY(keypair_convert_public(data->material, from, to, &out));
    data->key_format = format;
    return arena_copy(op->arena, span_buf(&out), &data->material);
}

enum err keyformat_convert(struct op *op, uint32_t format, struct object_data *data)
{
    if (format == 0 || format == data->key_format)
        return ERR_OK;
    if (data->wrapping.len > 0)
        FAIL(ERR_KEY_FORMAT, "a wrapped key is given in the format that it was registered in");
    if (data->type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        return convert_symmetric(op, format, data);
    if (data->type == KMIP_OBJECT_TYPE_PUBLIC_KEY || data->type == KMIP_OBJECT_TYPE_PRIVATE_KEY)
        return convert_pair(op, format, data);
    FAIL(ERR_KEY_FORMAT, "the object has no such key format type");
}
