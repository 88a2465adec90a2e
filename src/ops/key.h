// SPDX-License-Identifier: Apache-2.0
//
// A key in one line, as lists show it.
#ifndef KW_OPS_KEY_H
#define KW_OPS_KEY_H

#include "ops/doc.h"
#include "ops/object.h"

// Opens the object's attributes. The caller frees *ret.
MUST_USE enum err key_summary(struct op *op, struct object *object, json_t **ret);

// Answers with one page of the objects that `query` finds: {"keys": […], "next_cursor": text or
// null}. Cursor and limit are those of `doc`.
MUST_USE enum err key_answer_page(struct op *op, const json_t *doc, struct store_query *query);

#endif
