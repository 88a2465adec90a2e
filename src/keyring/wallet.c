// SPDX-License-Identifier: Apache-2.0
//
// The TDE wallet. Invariant: keys[i].number == i + 1, each key has WALLET_KEY_LEN bytes; a file
// that says otherwise does not become a wallet.
#include "keyring/wallet.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "crypto/pkcs12.h"

#define NAME_PREFIX "tde-master-key-"

struct wallet {
    size_t count;
    struct wallet_key keys[WALLET_KEYS_MAX];
};

enum err wallet_new(struct wallet **ret)
{
    struct wallet *wallet = calloc(1, sizeof *wallet);
    if (wallet == NULL)
        FAIL(ERR_MEMORY, "no memory for a wallet");
    *ret = wallet;
    return ERR_OK;
}

void wallet_free(struct wallet *wallet)
{
    if (wallet == NULL)
        return;
    for (size_t i = 0; i < wallet->count; i++)
        secret_free(wallet->keys[i].key);
    free(wallet);
}

void wallet_freep(struct wallet **wallet)
{
    wallet_free(*wallet);
    *wallet = NULL;
}

static enum err append(struct wallet *wallet, uint32_t number, int64_t created, struct span key)
{
    if (wallet->count == WALLET_KEYS_MAX)
        FAIL(ERR_TOO_LARGE, "the wallet holds %d master keys already", WALLET_KEYS_MAX);
    if (number != wallet->count + 1 || key.len != WALLET_KEY_LEN)
        FAIL(ERR_DAMAGED, "the wallet's entry %zu is not master key %zu", wallet->count + 1,
             wallet->count + 1);
    struct wallet_key *to = &wallet->keys[wallet->count];
    TRY(secret_copy(key, &to->key));
    to->number = number;
    to->created = created;
    wallet->count++;
    return ERR_OK;
}

enum err wallet_copy(const struct wallet *from, struct wallet **ret)
{
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    TRY(wallet_new(&wallet));
    for (size_t i = 0; i < from->count; i++) {
        const struct wallet_key *key = &from->keys[i];
        TRY(append(wallet, key->number, key->created, secret_span(key->key)));
    }
    *ret = wallet;
    wallet = NULL;
    return ERR_OK;
}

enum err wallet_rotate(struct wallet *wallet)
{
    CLEANUP(secret_freep) struct secret *key = NULL;
    TRY(secret_random(WALLET_KEY_LEN, &key));
    return append(wallet, (uint32_t)wallet->count + 1, clock_wall_s(), secret_span(key));
}

size_t wallet_count(const struct wallet *wallet)
{
    return wallet->count;
}

const struct wallet_key *wallet_newest(const struct wallet *wallet)
{
    return wallet->count == 0 ? NULL : &wallet->keys[wallet->count - 1];
}

const struct wallet_key *wallet_find(const struct wallet *wallet, uint32_t number)
{
    return number == 0 || number > wallet->count ? NULL : &wallet->keys[number - 1];
}

enum err wallet_encode(const struct wallet *wallet, struct span password, int iterations,
                       struct buf *out)
{
    struct pkcs12_bag *bags = calloc(wallet->count + 1, sizeof *bags);
    if (bags == NULL)
        FAIL(ERR_MEMORY, "no memory for a wallet");
    for (size_t i = 0; i < wallet->count; i++) {
        (void)snprintf(bags[i].name, sizeof bags[i].name, NAME_PREFIX "%u", wallet->keys[i].number);
        bags[i].time = wallet->keys[i].created;
        bags[i].value = secret_span(wallet->keys[i].key);
    }
    enum err err = pkcs12_encode(bags, wallet->count, password, iterations, out);
    free(bags);
    return err;
}

static enum err take_bag(void *arg, const struct pkcs12_bag *bag)
{
    struct wallet *wallet = arg;
    char want[PKCS12_NAME_MAX + 1];
    uint32_t number = (uint32_t)wallet->count + 1;
    (void)snprintf(want, sizeof want, NAME_PREFIX "%u", number);
    if (strcmp(bag->name, want) != 0)
        FAIL(ERR_DAMAGED, "the wallet holds \"%s\" where \"%s\" belongs", bag->name, want);
    return append(wallet, number, bag->time, bag->value);
}

enum err wallet_decode(struct span bytes, struct span password, struct wallet **ret)
{
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    if (bytes.len > WALLET_FILE_MAX)
        FAIL(ERR_DAMAGED, "a wallet of %zu bytes is too large", bytes.len);
    TRY(wallet_new(&wallet));
    TRY(pkcs12_decode(bytes, password, take_bag, wallet));
    if (wallet->count == 0)
        FAIL(ERR_DAMAGED, "the wallet holds no master key");
    *ret = wallet;
    wallet = NULL;
    return ERR_OK;
}

enum err wallet_pack(const struct wallet *wallet, struct buf *out)
{
    TRY(buf_put_u32(out, (uint32_t)wallet->count));
    for (size_t i = 0; i < wallet->count; i++) {
        TRY(buf_put_u32(out, wallet->keys[i].number));
        TRY(buf_put_u64(out, (uint64_t)wallet->keys[i].created));
        TRY(buf_put(out, secret_span(wallet->keys[i].key)));
    }
    return ERR_OK;
}

enum err wallet_unpack(struct span bytes, struct wallet **ret)
{
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    struct cursor in = cursor_of(bytes);
    uint32_t count = 0;
    TRY(wallet_new(&wallet));
    TRY(cursor_u32(&in, &count));
    if (count == 0 || count > WALLET_KEYS_MAX)
        FAIL(ERR_DAMAGED, "the wallet holds %u master keys", count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = 0;
        uint64_t created = 0;
        struct span key;
        TRY(cursor_u32(&in, &number));
        TRY(cursor_u64(&in, &created));
        TRY(cursor_bytes(&in, WALLET_KEY_LEN, &key));
        TRY(append(wallet, number, (int64_t)created, key));
    }
    TRY(cursor_end(&in));
    *ret = wallet;
    wallet = NULL;
    return ERR_OK;
}
