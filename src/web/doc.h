// SPDX-License-Identifier: Apache-2.0
//
// The JSON document of a request: parsed strictly, secrets lifted out of it, what the address says
// put into it. Strict: one object, UTF-8 without byte order mark, no duplicate member, no NUL, no
// number beyond 64 bits, at most DOC_DEPTH_MAX levels, nothing behind it.
#ifndef KW_WEB_DOC_H
#define KW_WEB_DOC_H

#include "model/model.h"

enum { DOC_BYTES_MAX = 1024 * 1024, DOC_DEPTH_MAX = 16, DOC_SECRET_MAX = 1024 };

struct doc;

// An empty body is an empty object. ERR_MESSAGE (says where), ERR_INVALID for a secret that is no
// text or too long, ERR_TOO_LARGE.
MUST_USE enum err doc_parse(struct span body, struct doc **ret);
void doc_free(struct doc *doc);
void doc_freep(struct doc **doc);

// Adds a member that stands in the address. ERR_INVALID when the document has it, too.
MUST_USE enum err doc_put_text(struct doc *doc, const char *name, const char *value);
MUST_USE enum err doc_put_number(struct doc *doc, const char *name, long value);
MUST_USE enum err doc_put_true(struct doc *doc, const char *name);

// The text of a member, as a string; `out` stays as it is when there is none. ERR_INVALID when it
// is no text or does not fit.
MUST_USE enum err doc_get_text(const struct doc *doc, const char *name, char *out, size_t room);

// Fills request->doc and request->secrets, which borrow from the doc. ERR_INVALID for more secrets
// than a request can carry.
MUST_USE enum err doc_fill(struct doc *doc, struct request *request);

#endif
