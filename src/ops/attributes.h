// SPDX-License-Identifier: Apache-2.0
//
// Attributes: what the server makes and what a client sees (what a client may change is in
// rules.h). Dates, flags, type, state and identifier stand in the object's row; all else in its
// sealed list, where instances of one attribute have distinct indices.
#ifndef KW_OPS_ATTRIBUTES_H
#define KW_OPS_ATTRIBUTES_H

#include "ops/object.h"

// Adds what the server makes of a new object's `data`: digest, algorithm, length, format.
// `made_here`: the server generated it.
MUST_USE enum err attributes_make(struct op *op, struct object *object, bool made_here);

// All attributes as a client sees them, in the arena.
MUST_USE enum err attributes_all(struct op *op, const struct object *object, struct attrs *ret);

// Adds a number, text or structure, copied, as one more instance.
MUST_USE enum err attributes_put_number(struct op *op, struct attrs *attrs, uint32_t tag,
                                        uint8_t type, int64_t number);
MUST_USE enum err attributes_put_bytes(struct op *op, struct attrs *attrs, uint32_t tag,
                                       uint8_t type, struct span bytes);
MUST_USE enum err attributes_put_link(struct op *op, struct attrs *attrs, uint32_t link_type,
                                      struct span uid);

// Whether there is a link of this type, and where it leads (borrowed).
bool attributes_find_link(const struct attrs *attrs, uint32_t link_type, struct span *ret_uid);

// A Name, as uninterpreted text.
MUST_USE enum err attributes_put_name(struct op *op, struct attrs *attrs, struct span name);

// A number among attributes, or `fallback`.
int64_t attributes_number(const struct attrs *attrs, uint32_t tag, int64_t fallback);

// The text of the only Name; empty when there is none or more than one.
struct span attributes_name(const struct attrs *attrs);

#endif
