// SPDX-License-Identifier: Apache-2.0
//
// Symmetric algorithms and the lengths of their keys, as a table. DES counts 56 effective bits a
// key in some products and 64 in others: both are taken, the material is whole bytes. What is weak
// by now is made all the same, since what is encrypted with it may have to be read for decades.
#include "ops/make.h"

#include "base/rand.h"
#include "ops/attributes.h"
#include "ops/rules.h"

enum { HMAC_BITS_MAX = 4096 };

struct algorithm {
    uint32_t algorithm;
    const char *name;
    uint16_t bits[6]; // 0 ends; none: any whole number of bytes
};

static const struct algorithm table[] = {
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, "AES", {128, 192, 256}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES, "3DES", {112, 128, 168, 192}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_DES, "DES", {56, 64}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_SKIPJACK, "Skipjack", {80}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_IDEA, "IDEA", {128}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_CAST5, "CAST5", {64, 80, 128}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_BLOWFISH, "Blowfish", {128, 192, 256, 448}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_TWOFISH, "Twofish", {128, 192, 256}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_MARS, "MARS", {128, 192, 256, 448}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_RC2, "RC2", {40, 64, 128}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_RC4, "RC4", {40, 64, 128, 256}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_RC5, "RC5", {40, 64, 128, 256}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_CAMELLIA, "Camellia", {128, 192, 256}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20, "ChaCha20", {256}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20POLY1305, "ChaCha20-Poly1305", {256}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA1, "HMAC-SHA1", {0}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA224, "HMAC-SHA224", {0}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, "HMAC-SHA256", {0}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA384, "HMAC-SHA384", {0}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA512, "HMAC-SHA512", {0}},
};

static const struct algorithm *find(uint32_t algorithm)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].algorithm == algorithm)
            return &table[i];
    }
    return NULL;
}

enum err make_check_length(uint32_t algorithm, uint32_t bits)
{
    const struct algorithm *row = find(algorithm);
    if (row == NULL)
        return ERR_OK;
    if (row->bits[0] == 0 && bits >= 8 && bits <= HMAC_BITS_MAX && bits % 8 == 0)
        return ERR_OK;
    for (size_t i = 0; i < 6 && row->bits[i] != 0; i++) {
        if (row->bits[i] == bits)
            return ERR_OK;
    }
    FAIL(ERR_INVALID, "%s has no keys of %u bits", row->name, (unsigned)bits);
}

static bool has_parity(uint32_t algorithm)
{
    return algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_DES ||
           algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES;
}

// Whole bytes of a key: DES counts 7 bits of each byte, or 8.
static size_t bytes_of(uint32_t algorithm, uint32_t bits)
{
    if (has_parity(algorithm) && bits % 56 == 0)
        return bits / 7;
    return bits / 8;
}

// DES keys have odd parity in each byte.
static void set_parity(uint8_t *key, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool odd = __builtin_popcount(key[i] & 0xfe) % 2 == 1;
        key[i] = (uint8_t)((key[i] & 0xfe) | (odd ? 0 : 1));
    }
}

static enum err make_material(struct op *op, uint32_t algorithm, uint32_t bits,
                              struct object_data *data)
{
    uint8_t *key = NULL;
    size_t len = bytes_of(algorithm, bits);
    TRY(arena_alloc(op->arena, len, 1, &key));
    rand_bytes(key, len);
    if (has_parity(algorithm))
        set_parity(key, len);
    data->key_format = KMIP_KEY_FORMAT_TYPE_RAW;
    data->algorithm = algorithm;
    data->length = bits;
    data->material = span_of(key, len);
    return ERR_OK;
}

enum err make_symmetric(struct op *op, const struct attrs *wanted, struct object *ret)
{
    int64_t algorithm = attributes_number(wanted, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, 0);
    int64_t bits = attributes_number(wanted, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 0);
    if (algorithm == 0 || bits == 0)
        FAIL(ERR_MISSING_DATA, "a key needs a cryptographic algorithm and length");
    if (bits < 0 || bits > UINT16_MAX || find((uint32_t)algorithm) == NULL)
        FAIL(ERR_INVALID, "keys of this cryptographic algorithm or length cannot be created");
    TRY(make_check_length((uint32_t)algorithm, (uint32_t)bits));
    TRY(object_init(op, KMIP_OBJECT_TYPE_SYMMETRIC_KEY, ret));
    TRY(rules_take(op, ret, wanted));
    TRY(make_material(op, (uint32_t)algorithm, (uint32_t)bits, &ret->data));
    return attributes_make(op, ret, true);
}

void make_answer(struct op *op, const struct object *object)
{
    op->reply->object_type = object->row.type;
    op->reply->uid = object->uid;
    op->has_placeholder = true;
    op->placeholder = object->row.id;
}
