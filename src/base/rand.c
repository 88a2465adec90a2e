// SPDX-License-Identifier: Apache-2.0
//
// getrandom(2) and UUIDs.
#include "base/rand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/hex.h"

void rand_bytes(void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            abort();
        }
        at += got;
        len -= (size_t)got;
    }
}

static void stamp(struct uuid *uuid, uint8_t version)
{
    uuid->bytes[6] = (uint8_t)((uuid->bytes[6] & 0x0f) | version << 4);
    uuid->bytes[8] = (uint8_t)((uuid->bytes[8] & 0x3f) | 0x80);
}

struct uuid uuid_random(void)
{
    struct uuid uuid;
    rand_bytes(uuid.bytes, sizeof uuid.bytes);
    stamp(&uuid, 4);
    return uuid;
}

struct uuid uuid_ordered(int64_t unix_ms)
{
    struct uuid uuid;
    rand_bytes(uuid.bytes, sizeof uuid.bytes);
    for (int i = 0; i < 6; i++)
        uuid.bytes[i] = (uint8_t)((uint64_t)unix_ms >> (8 * (5 - i)));
    stamp(&uuid, 7);
    return uuid;
}

void uuid_text(const struct uuid *uuid, char out[UUID_TEXT_LEN + 1])
{
    char *at = out;
    for (int i = 0; i < UUID_LEN; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        hex_digits(span_of(uuid->bytes + i, 1), at);
        at += 2;
    }
    *at = '\0';
}

enum err uuid_parse(struct span text, struct uuid *ret)
{
    struct uuid uuid;
    size_t at = 0;
    if (text.len != UUID_TEXT_LEN)
        FAIL(ERR_INVALID, "an identifier must have %d characters", UUID_TEXT_LEN);
    for (int i = 0; i < UUID_LEN; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && text.data[at++] != '-')
            FAIL(ERR_INVALID, "an identifier lacks a hyphen");
        int high = hex_digit(text.data[at]);
        int low = hex_digit(text.data[at + 1]);
        if (high < 0 || low < 0)
            FAIL(ERR_INVALID, "an identifier holds a character that is not hexadecimal");
        uuid.bytes[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    *ret = uuid;
    return ERR_OK;
}

bool uuid_is_zero(const struct uuid *uuid)
{
    static const struct uuid zero;
    return memcmp(uuid, &zero, sizeof zero) == 0;
}
