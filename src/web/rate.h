// SPDX-License-Identifier: Apache-2.0
//
// How much one address may ask over TLS before anybody looks at who it is: two token buckets for
// each address (RFC 6585, 429). One counts every request, the other those that turned out to come
// from nobody known, so that guessing is slow while work is not. Addresses are remembered in a
// table of fixed size; the one that was heard of longest ago makes room.
#ifndef KW_WEB_RATE_H
#define KW_WEB_RATE_H

#include <netinet/in.h>

#include "base/err.h"

struct rate;

// Requests a second and strangers' requests a minute, for one address.
MUST_USE enum err rate_new(unsigned requests_a_second, unsigned strangers_a_minute,
                           struct rate **ret);
void rate_free(struct rate *rate);

// Takes one request; 0, or in how many seconds to try again.
unsigned rate_take(struct rate *rate, const struct in6_addr *address, int64_t now_ms);

// What was taken last came from nobody known.
void rate_count_stranger(struct rate *rate, const struct in6_addr *address, int64_t now_ms);

#endif
