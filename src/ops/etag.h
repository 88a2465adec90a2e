// SPDX-License-Identifier: Apache-2.0
//
// Whether a thing is still what somebody saw of it (ETag, If-Match). The tag is a hash of what the
// verb that shows the thing answers, but for what changes without anybody changing the thing. An
// edit with a condition is compared in its own transaction, so nothing comes between.
#ifndef KW_OPS_ETAG_H
#define KW_OPS_ETAG_H

#include "ops/context.h"

// Of an answer that shows a thing: sets reply->etag. Other answers are left alone.
MUST_USE enum err etag_tell(struct op *op);

// ERR_CHANGED when the request has a condition that does not hold; ERR_INVALID when the verb
// changes nothing that can be looked at by itself.
MUST_USE enum err etag_check(struct op *op);

#endif
