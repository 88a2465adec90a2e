// SPDX-License-Identifier: Apache-2.0
//
// The blind index: by which values an object can be found without the store learning them. A value
// is HMAC-SHA-256 of attribute and canonical value under the index key, cut to 16 bytes.
#ifndef KW_OPS_INDEX_H
#define KW_OPS_INDEX_H

#include "ops/object.h"

// All index values of an object. Names are unique among the owner's objects, until destroyed.
MUST_USE enum err index_build(struct op *op, const struct object *object, struct store_index **ret,
                              size_t *ret_count);

// True for attributes whose values stand in the index.
bool index_has(const struct attr *attr);

// The index value of one attribute.
MUST_USE enum err index_of(struct ops *ops, const struct attr *attr, struct store_index *ret);

// The hash by which an endpoint is found by name.
MUST_USE enum err index_endpoint(struct ops *ops, struct span name, uint8_t ret[STORE_HASH_LEN]);

// The hash by which a user is found by the normal form of its name.
MUST_USE enum err index_user(struct ops *ops, struct span name, uint8_t ret[STORE_HASH_LEN]);

// The hash by which a wallet or a group (enum named_kind) is found by name.
MUST_USE enum err index_named(struct ops *ops, uint32_t kind, struct span name,
                              uint8_t ret[STORE_HASH_LEN]);

#endif
