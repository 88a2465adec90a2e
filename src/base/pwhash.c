// SPDX-License-Identifier: Apache-2.0
//
// A check hashes always, and decides afterwards.
#include "base/pwhash.h"

#include <sodium.h>

#include "base/rand.h"
#include "base/secret.h"

enum {
    VERSION = 1,
    SALT_AT = 9,
    SALT_LEN = crypto_pwhash_SALTBYTES,
    HASH_AT = SALT_AT + SALT_LEN,
    HASH_LEN = 32,
    PASSES_MIN = 2,
    PASSES_MAX = 32,
    MEMORY_MIN_KIB = 32 * 1024,
    MEMORY_MAX_KIB = 1024 * 1024
};
_Static_assert(HASH_AT + HASH_LEN == PWHASH_LEN, "the layout in the header is this one");

static void put_u32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

static void begin_record(uint8_t record[PWHASH_LEN])
{
    record[0] = VERSION;
    put_u32(record + 1, PWHASH_PASSES);
    put_u32(record + 5, PWHASH_MEMORY_KIB);
    rand_bytes(record + SALT_AT, SALT_LEN);
}

// With the parameters and the salt of the record.
static enum err hash(struct span password, const uint8_t record[PWHASH_LEN], uint8_t ret[HASH_LEN])
{
    const char *text = password.len == 0 ? "" : (const char *)password.data;
    if (crypto_pwhash(ret, HASH_LEN, text, password.len, record + SALT_AT, get_u32(record + 1),
                      (size_t)get_u32(record + 5) * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0)
        FAIL(ERR_MEMORY, "no memory to check a password: it takes %u MiB",
             (unsigned)get_u32(record + 5) / 1024);
    return ERR_OK;
}

enum err pwhash_make(struct span password, uint8_t ret[PWHASH_LEN])
{
    uint8_t record[PWHASH_LEN];
    if (password.len > PWHASH_PASSWORD_MAX)
        FAIL(ERR_INVALID, "a password has at most %d bytes", PWHASH_PASSWORD_MAX);
    begin_record(record);
    TRY(hash(password, record, record + HASH_AT));
    memcpy(ret, record, PWHASH_LEN);
    return ERR_OK;
}

static enum err check_record(struct span record)
{
    if (record.len != PWHASH_LEN || record.data[0] != VERSION)
        FAIL(ERR_DAMAGED, "a password record has not the form that it should have");
    uint32_t passes = get_u32(record.data + 1);
    uint32_t memory = get_u32(record.data + 5);
    if (passes < PASSES_MIN || passes > PASSES_MAX || memory < MEMORY_MIN_KIB ||
        memory > MEMORY_MAX_KIB)
        FAIL(ERR_DAMAGED, "a password record asks for %u passes over %u KiB", (unsigned)passes,
             (unsigned)memory);
    return ERR_OK;
}

enum err pwhash_check(struct span password, struct span record, bool *ret_same)
{
    uint8_t none[PWHASH_LEN] = {0};
    uint8_t got[HASH_LEN];
    bool fits = record.len > 0 && password.len <= PWHASH_PASSWORD_MAX;
    if (record.len > 0)
        TRY(check_record(record));
    begin_record(none);
    if (password.len > PWHASH_PASSWORD_MAX)
        password.len = PWHASH_PASSWORD_MAX;
    TRY(hash(password, record.len > 0 ? record.data : none, got));
    const uint8_t *want = (record.len > 0 ? record.data : none) + HASH_AT;
    bool same = secret_equal(span_of(got, HASH_LEN), span_of(want, HASH_LEN));
    explicit_bzero(got, sizeof got);
    *ret_same = fits && same;
    return ERR_OK;
}

bool pwhash_is_old(struct span record)
{
    return record.len == PWHASH_LEN && (get_u32(record.data + 1) != PWHASH_PASSES ||
                                        get_u32(record.data + 5) != PWHASH_MEMORY_KIB);
}
