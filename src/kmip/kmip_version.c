// SPDX-License-Identifier: Apache-2.0
//
// The served versions.
#include "kmip/kmip_version.h"

#include <stdio.h>

const uint16_t kmip_versions[] = {
    KMIP_VERSION(2, 1), KMIP_VERSION(2, 0), KMIP_VERSION(1, 4), KMIP_VERSION(1, 3),
    KMIP_VERSION(1, 2), KMIP_VERSION(1, 1), KMIP_VERSION(1, 0),
};
const size_t kmip_version_count = sizeof kmip_versions / sizeof *kmip_versions;

bool kmip_version_is_served(uint16_t version)
{
    for (size_t i = 0; i < kmip_version_count; i++) {
        if (kmip_versions[i] == version)
            return true;
    }
    return false;
}

uint16_t kmip_version_nearest(uint16_t version)
{
    for (size_t i = 0; i < kmip_version_count; i++) {
        if (kmip_versions[i] <= version)
            return kmip_versions[i];
    }
    return kmip_versions[kmip_version_count - 1];
}

void kmip_versions_text(char out[KMIP_VERSIONS_TEXT])
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < kmip_version_count && at < KMIP_VERSIONS_TEXT; i++) {
        int len = snprintf(out + at, KMIP_VERSIONS_TEXT - at, "%s%u.%u", i == 0 ? "" : ", ",
                           kmip_versions[i] >> 8u, kmip_versions[i] & 0xffu);
        at += len > 0 ? (size_t)len : 0;
    }
}
