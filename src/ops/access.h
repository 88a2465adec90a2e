// SPDX-License-Identifier: Apache-2.0
//
// Levels of access in words.
#ifndef KW_OPS_ACCESS_H
#define KW_OPS_ACCESS_H

#include "ops/doc.h"

// "read-only" or "read-modify" for bits of enum grant_access.
const char *access_name(uint32_t access);

// From the "access" and "manage" of a document. ERR_INVALID, ERR_MISSING_DATA.
MUST_USE enum err access_take(const json_t *doc, uint32_t *ret);

#endif
