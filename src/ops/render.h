// SPDX-License-Identifier: Apache-2.0
//
// Attributes as JSON, with KMIP's names for enumerations and structures.
#ifndef KW_OPS_RENDER_H
#define KW_OPS_RENDER_H

#include <jansson.h>

#include "kmip/kmip_tables.h"
#include "model/model.h"

enum { RENDER_DEPTH = 8 };

// The member's name, or its number in hexadecimal.
json_t *render_enum(enum kmip_enum_id id, uint32_t value);

// The number of an enumeration's member by name, without regard to case. ERR_INVALID.
MUST_USE enum err render_find_enum(enum kmip_enum_id id, struct span name, uint32_t *ret);

// An array of {"name", "index", "value"}; the caller owns it.
MUST_USE enum err render_attrs(const struct attrs *attrs, json_t **ret);

#endif
