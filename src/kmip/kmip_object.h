// SPDX-License-Identifier: Apache-2.0
//
// Managed objects on the wire (1.4 section 2).
#ifndef KW_KMIP_KMIP_OBJECT_H
#define KW_KMIP_KMIP_OBJECT_H

#include "kmip/kmip_attr.h"

// The Object Type of a managed object's tag, 0 for any other tag.
uint32_t kmip_object_type_of(uint32_t tag);

// Reads a managed object. ERR_INVALID, ERR_MISSING_DATA, ERR_KEY_FORMAT, ERR_FEATURE (split and PGP
// keys).
MUST_USE enum err kmip_get_object(const struct kmip_reader *in, const struct ttlv *item,
                                  struct object_data *ret);

MUST_USE enum err kmip_put_object(struct buf *out, uint16_t version,
                                  const struct object_data *object);

#endif
