// SPDX-License-Identifier: Apache-2.0
//
// The JSON documents of administration: parameters in, answers out. A field that is not known is
// refused by name, a field twice or of the wrong type too.
#ifndef KW_OPS_DOC_H
#define KW_OPS_DOC_H

#include <jansson.h>

#include "ops/context.h"

enum { DOC_MAX = 256 * 1024, DOC_ANSWER_MAX = 3 * 1024 * 1024 };

void doc_freep(json_t **doc);

// The request's parameters (an empty object when there are none), checked against the verb's fields
// in spec/api: unknown ones, a wrong type and what is no choice are ERR_INVALID, one that is wanted
// and absent is ERR_MISSING_DATA. The caller frees.
MUST_USE enum err doc_params(const struct op *op, json_t **ret);

// An optional integer: *ret stays as it is when it is absent.
MUST_USE enum err doc_integer(const json_t *doc, const char *name, int64_t least, int64_t most,
                              int64_t *ret);

// Which page of a list in order of an identifier is asked for: the optional "cursor" and "limit".
enum { DOC_PAGE_DEFAULT = 100 };
struct doc_page {
    struct uuid after; // zero: from the beginning
    uint32_t limit;    // 1 to STORE_FIND_MAX
};
MUST_USE enum err doc_page(const json_t *doc, struct doc_page *ret);

// Sets "next_cursor": behind `last`, or null (last NULL) where the list ends.
MUST_USE enum err doc_page_end(json_t *answer, const struct uuid *last);

// The optional "dry_run". ERR_INVALID unless true or false.
MUST_USE enum err doc_dry_run(const json_t *doc, bool *ret);

// A text without control characters, of at most `max` bytes, borrowed from `doc`. Absent: empty, or
// ERR_MISSING_DATA when it is `required`.
MUST_USE enum err doc_text(const json_t *doc, const char *name, size_t max, bool required,
                           struct span *ret);

// The request's secret of this name, borrowed; empty when there is none.
struct span doc_secret(const struct op *op, const char *name);

// Makes `answer` (taken, NULL: no memory) the reply's document.
MUST_USE enum err doc_answer(struct op *op, json_t *answer);

// Adds `text` to the "warnings" of the reply's document. On failure that stays as it is.
MUST_USE enum err doc_warn(struct op *op, const char *text);

// Puts a text or an integer into an object. ERR_MEMORY.
MUST_USE enum err doc_set(json_t *object, const char *name, json_t *value);
json_t *doc_string(struct span text);
json_t *doc_uuid(const struct uuid *id);

json_t *doc_time(int64_t seconds); // RFC 3339, null for 0

#endif
