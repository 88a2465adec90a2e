// SPDX-License-Identifier: Apache-2.0
//
// Buckets hold thousandths of a request. The table is a hash of sets with a few places each, keyed
// with bytes that nobody outside knows, so that nobody can choose whose place is taken.
#include "web/rate.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "web/limits.h"

enum { PLACES = 8, SETS = WEB_ADDRESSES / PLACES, WHOLE = 1000, MINUTE_MS = 60 * 1000 };

struct place {
    struct in6_addr address;
    int64_t heard_ms; // 0: free
    int64_t requests;
    int64_t strangers;
};

struct rate {
    uint64_t key[2];
    int64_t requests_max;
    int64_t requests_a_minute; // thousandths
    int64_t strangers_max;
    struct place places[SETS][PLACES];
};

enum err rate_new(unsigned requests_a_second, unsigned strangers_a_minute, struct rate **ret)
{
    struct rate *rate = calloc(1, sizeof *rate);
    if (rate == NULL)
        FAIL(ERR_MEMORY, "no memory for %d addresses", WEB_ADDRESSES);
    rand_bytes(rate->key, sizeof rate->key);
    rate->requests_a_minute = (int64_t)requests_a_second * 60 * WHOLE;
    rate->requests_max = (int64_t)requests_a_second * WEB_REQUESTS_BURST * WHOLE;
    rate->strangers_max = (int64_t)strangers_a_minute * WHOLE;
    *ret = rate;
    return ERR_OK;
}

void rate_free(struct rate *rate)
{
    free(rate);
}

static size_t set_of(const struct rate *rate, const struct in6_addr *address)
{
    uint64_t halves[2];
    memcpy(halves, address, sizeof halves);
    __extension__ unsigned __int128 product =
        (unsigned __int128)(halves[0] ^ rate->key[0]) * ((halves[1] ^ rate->key[1]) | 1);
    uint64_t mixed = (uint64_t)product ^ (uint64_t)(product >> 64);
    return (size_t)((mixed ^ mixed >> 32) % SETS);
}

static int64_t filled(int64_t level, int64_t limit, int64_t gain_a_minute, int64_t passed_ms)
{
    int64_t passed = passed_ms > MINUTE_MS ? MINUTE_MS : passed_ms;
    level += gain_a_minute * passed / MINUTE_MS;
    return level > limit ? limit : level;
}

// The address's place, with its buckets filled up to now.
static struct place *place_of(struct rate *rate, const struct in6_addr *address, int64_t now_ms)
{
    struct place *set = rate->places[set_of(rate, address)];
    struct place *oldest = &set[0];
    for (size_t i = 0; i < PLACES; i++) {
        struct place *place = &set[i];
        if (place->heard_ms != 0 && memcmp(&place->address, address, sizeof *address) == 0) {
            int64_t passed = now_ms - place->heard_ms;
            place->requests =
                filled(place->requests, rate->requests_max, rate->requests_a_minute, passed);
            place->strangers =
                filled(place->strangers, rate->strangers_max, rate->strangers_max, passed);
            place->heard_ms = now_ms;
            return place;
        }
        if (place->heard_ms < oldest->heard_ms)
            oldest = place;
    }
    *oldest = (struct place){*address, now_ms, rate->requests_max, rate->strangers_max};
    return oldest;
}

static unsigned seconds_until_one(int64_t level, int64_t gain_a_minute)
{
    int64_t ms = (WHOLE - level) * MINUTE_MS / gain_a_minute;
    return (unsigned)(ms / 1000 + 1);
}

unsigned rate_take(struct rate *rate, const struct in6_addr *address, int64_t now_ms)
{
    struct place *place = place_of(rate, address, now_ms);
    if (place->strangers < WHOLE)
        return seconds_until_one(place->strangers, rate->strangers_max);
    if (place->requests < WHOLE)
        return seconds_until_one(place->requests, rate->requests_a_minute);
    place->requests -= WHOLE;
    return 0;
}

void rate_count_stranger(struct rate *rate, const struct in6_addr *address, int64_t now_ms)
{
    struct place *place = place_of(rate, address, now_ms);
    place->strangers -= place->strangers < WHOLE ? place->strangers : WHOLE;
}
