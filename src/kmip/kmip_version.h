// SPDX-License-Identifier: Apache-2.0
//
// Which protocol versions are served, and which answers a client of another one can read.
#ifndef KW_KMIP_KMIP_VERSION_H
#define KW_KMIP_KMIP_VERSION_H

#include "base/buf.h"
#include "kmip/kmip_tables.h"

// The served versions, newest first: the order of preference in Discover Versions.
extern const uint16_t kmip_versions[];
extern const size_t kmip_version_count;

bool kmip_version_is_served(uint16_t version);

// The served version nearest to `version`: the newest that is not newer, else the oldest.
uint16_t kmip_version_nearest(uint16_t version);

// "1.4, 1.3, …" into `out`, always terminated.
enum { KMIP_VERSIONS_TEXT = 64 };
void kmip_versions_text(char out[KMIP_VERSIONS_TEXT]);

// True when a request of `version` may hold what exists from..until: its major version has it.
static inline bool kmip_in_major(uint16_t version, uint16_t from, uint16_t until)
{
    return from >> 8 <= version >> 8 && until >> 8 >= version >> 8;
}

static inline bool kmip_is_2x(uint16_t version)
{
    return version >= KMIP_VERSION(2, 0);
}

#endif
