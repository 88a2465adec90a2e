// SPDX-License-Identifier: Apache-2.0
//
// Payloads of single operations, driven by spec/kmip/operations.tbl: the tables say which members a
// payload has, one rule for each member says where it goes.
#ifndef KW_KMIP_KMIP_PAYLOAD_H
#define KW_KMIP_KMIP_PAYLOAD_H

#include "kmip/kmip.h"
#include "kmip/kmip_attr.h"

// The operation's row when it is served, in `version`. ERR_OPERATION otherwise.
MUST_USE enum err kmip_find_operation(uint16_t version, uint32_t operation,
                                      const struct kmip_op_info **ret);

// True when this server does the operation.
bool kmip_operation_is_served(uint32_t operation);

// Reads a Request Payload into `item` and `request`.
MUST_USE enum err kmip_get_payload(const struct kmip_reader *in, const struct kmip_op_info *op,
                                   struct span members, struct kmip_item *item,
                                   struct request *request);

// Writes a Response Payload. `terse` leaves out what an answer need not have.
MUST_USE enum err kmip_put_payload(struct buf *out, uint16_t version, const struct kmip_item *item,
                                   const struct reply *reply, bool terse);

#endif
