// SPDX-License-Identifier: Apache-2.0
//
// How many connections each address has in its handshake: a hash table with open addressing that
// never fills, since it has twice the places that there can be connections. The hash is keyed, so
// that nobody can choose addresses that collide.
#include <stdlib.h>

#include "base/rand.h"
#include "net/inner.h"

static uint64_t hash_key[2];

enum err address_init(struct address_table *table, size_t entries)
{
    table->size = 16;
    while (table->size < entries * 2)
        table->size *= 2;
    table->slots = calloc(table->size, sizeof *table->slots);
    if (table->slots == NULL)
        FAIL(ERR_MEMORY, "no memory for %zu addresses", table->size);
    rand_bytes(hash_key, sizeof hash_key);
    return ERR_OK;
}

void address_done(struct address_table *table)
{
    free(table->slots);
    table->slots = NULL;
    table->size = 0;
}

static size_t home_of(const struct address_table *table, const struct in6_addr *address)
{
    uint64_t halves[2];
    memcpy(halves, address, sizeof halves);
    __extension__ unsigned __int128 product =
        (unsigned __int128)(halves[0] ^ hash_key[0]) * ((halves[1] ^ hash_key[1]) | 1);
    uint64_t mixed = (uint64_t)product ^ (uint64_t)(product >> 64);
    return (size_t)(mixed ^ mixed >> 32) & (table->size - 1);
}

static struct address_slot *slot_of(const struct address_table *table,
                                    const struct in6_addr *address)
{
    size_t at = home_of(table, address);
    while (table->slots[at].count > 0 &&
           memcmp(&table->slots[at].address, address, sizeof *address) != 0)
        at = (at + 1) & (table->size - 1);
    return &table->slots[at];
}

uint32_t address_count(const struct address_table *table, const struct in6_addr *address)
{
    return slot_of(table, address)->count;
}

void address_add(struct address_table *table, const struct in6_addr *address)
{
    struct address_slot *slot = slot_of(table, address);
    slot->address = *address;
    slot->count++;
}

// Moves later entries into the hole, so that none becomes unreachable.
static void close_hole(struct address_table *table, size_t hole)
{
    size_t mask = table->size - 1;
    for (size_t at = (hole + 1) & mask; table->slots[at].count > 0; at = (at + 1) & mask) {
        size_t home = home_of(table, &table->slots[at].address);
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        table->slots[hole] = table->slots[at];
        table->slots[at].count = 0;
        hole = at;
    }
}

void address_remove(struct address_table *table, const struct in6_addr *address)
{
    struct address_slot *slot = slot_of(table, address);
    if (slot->count > 0 && --slot->count == 0)
        close_hole(table, (size_t)(slot - table->slots));
}
