// SPDX-License-Identifier: Apache-2.0
//
// What has a name and is no endpoint, user or object: wallets and groups. Their rows hold a blind
// index of the name, and name and description sealed. `kind` is enum named_kind.
#ifndef KW_OPS_NAMED_H
#define KW_OPS_NAMED_H

#include "ops/doc.h"

enum { NAMED_NAME_MAX = 64, NAMED_TEXT_MAX = 256, NAMED_SEALED_MAX = 4096 };

// A name from a document, borrowed from it: letters of any script, digits, and what does not need
// quoting; no leading or trailing blank. ERR_INVALID, ERR_MISSING_DATA.
MUST_USE enum err named_take_name(const json_t *doc, const char *field, struct span *ret);

// By the name in `field` of the document. ERR_NOT_FOUND says the name.
MUST_USE enum err named_find(struct op *op, uint32_t kind, const json_t *doc, const char *field,
                             struct store_named *ret);

// The one that the "name" of a document means, where the asker may use the verb on it. What is out
// of sight is not found, in the same words.
MUST_USE enum err named_take(struct op *op, uint32_t kind, const json_t *doc,
                             struct store_named *ret);

// The name as JSON; null when there is no such wallet or group.
json_t *named_name(struct op *op, const struct uuid *id);

// {id, name, description, created}
MUST_USE enum err named_describe(struct op *op, const struct store_named *row, json_t **ret);

// Notes for the audit trail which row this is about, and in words what is done.
__attribute__((format(printf, 3, 4))) MUST_USE enum err
named_tell(struct op *op, const struct uuid *object, const char *format, ...);

// The operations that wallets and groups share. {"cursor", "limit"} → page in `list` of what the
// asker may see, which may be fewer than the limit;
// {"name", "description"}; {"name", "new_name", "description"}; {"name"}
MUST_USE enum err named_list(struct op *op, uint32_t kind, const char *list, const char *members);
MUST_USE enum err named_create(struct op *op, uint32_t kind, struct store_named *ret);
MUST_USE enum err named_update(struct op *op, uint32_t kind);
MUST_USE enum err named_delete(struct op *op, uint32_t kind);

#endif
