// SPDX-License-Identifier: Apache-2.0
//
// What the administrator's operations on objects have in common. They are KMIP's own, asked for by
// another verb: each runs the same function as an endpoint's request, so that there is one set of
// rules; who may is decided by spec/api.
#ifndef KW_OPS_KEY_H
#define KW_OPS_KEY_H

#include "ops/doc.h"
#include "ops/object.h"

enum { KEY_TEXT_MAX = 1024 };

// A key in one line, as lists show it. Opens the object's attributes. The caller frees *ret.
MUST_USE enum err key_summary(struct op *op, struct object *object, json_t **ret);

// Answers with one page of the objects that `query` finds: {"keys": […], "next_cursor": text or
// null}. Cursor and limit are those of `doc`.
MUST_USE enum err key_answer_page(struct op *op, const json_t *doc, struct store_query *query);

// Appends the names of the wallets that hold an object: with `any` of all, else of those that the
// asker has some access to.
MUST_USE enum err key_wallets(struct op *op, const struct uuid *object, bool any, json_t *list);

// Whether whoever asks may do this with every object, not only with what is open to him.
bool key_is_any(const struct op *op);

// The object that the document's "id" names, with its attributes, if this verb is open for it.
MUST_USE enum err key_take(struct op *op, const json_t *doc, struct object *ret);

// Changes the object that the document's "id" names by `change`, a KMIP operation that takes what
// it needs from `request` (verb and identifier are filled in here), and answers with the key's
// line. A dry run does the same and takes it back.
MUST_USE enum err key_change(struct op *op, const json_t *doc, struct request *request,
                             op_function *change);

// A time from a document: RFC 3339, a date alone, or "now" as `now`. Absent: 0.
MUST_USE enum err key_take_time(const json_t *doc, const char *name, int64_t now, int64_t *ret);

#endif
