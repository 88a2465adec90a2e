// SPDX-License-Identifier: Apache-2.0
//
// Query and Discover Versions: what the server says of itself. Only what is true is said.
#ifndef KW_KMIP_KMIP_QUERY_H
#define KW_KMIP_KMIP_QUERY_H

#include "kmip/kmip.h"

// Writes the members of the Response Payload.
MUST_USE enum err kmip_put_query(struct buf *out, uint16_t version, uint64_t functions);
MUST_USE enum err kmip_put_versions(struct buf *out, const struct kmip_item *item);
MUST_USE enum err kmip_put_version(struct buf *out, uint16_t version);

#endif
