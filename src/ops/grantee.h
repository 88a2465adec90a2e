// SPDX-License-Identifier: Apache-2.0
//
// Who may be given access: users, endpoints and groups of either, in documents and by name.
#ifndef KW_OPS_GRANTEE_H
#define KW_OPS_GRANTEE_H

#include "ops/doc.h"

// "endpoint", "endpoint_group", "user" or "user_group", of enum grantee_kind.
const char *grantee_kind_name(uint32_t kind);

// The one that a document names in the field of its kind. ERR_INVALID unless there is exactly one,
// ERR_NOT_FOUND. The name is borrowed from the document.
MUST_USE enum err grantee_take(struct op *op, const json_t *doc, uint32_t *ret_kind,
                               struct uuid *ret, struct span *ret_name);

// Its name; the identifier when there is no such one any more.
json_t *grantee_name(struct op *op, uint32_t kind, const struct uuid *id);

// Who may own objects: the endpoint of this name (at most GRANTEE_OWNER_MAX bytes), or the user.
// ERR_NOT_FOUND.
enum { GRANTEE_OWNER_MAX = 255 };
MUST_USE enum err grantee_find_owner(struct op *op, struct span name, struct uuid *ret);

// The name of an owner of objects; null for nobody.
json_t *grantee_owner(struct op *op, const struct uuid *id);

// The kind of an owner of objects: GRANTEE_ENDPOINT or GRANTEE_USER; 0 for nobody who is known.
uint32_t grantee_owner_kind(struct op *op, const struct uuid *id);

#endif
