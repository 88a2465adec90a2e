// SPDX-License-Identifier: Apache-2.0
//
// Attributes from JSON, the other way round than render.h: enumerations and masks by KMIP's names,
// structures by their members', dates in RFC 3339, bytes in hexadecimal.
#ifndef KW_OPS_VALUE_H
#define KW_OPS_VALUE_H

#include "kmip/kmip_tables.h"
#include "ops/doc.h"

// The attribute of this name, without a value: KMIP's own, whatever the case, or one that begins
// with "x-". ERR_INVALID.
MUST_USE enum err value_name(struct span name, struct attr *ret);

// The same with the value that `value` is. A custom attribute takes its type from it. ERR_INVALID.
MUST_USE enum err value_attr(struct op *op, struct span name, const json_t *value,
                             struct attr *ret);

// A mask as the names of its bits, a list of texts.
MUST_USE enum err value_mask(enum kmip_enum_id id, const json_t *list, uint32_t *ret);

#endif
