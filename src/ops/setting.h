// SPDX-License-Identifier: Apache-2.0
//
// Settings that are JSON documents of this node.
#ifndef KW_OPS_SETTING_H
#define KW_OPS_SETTING_H

#include <jansson.h>

#include "ops/context.h"

// NULL in *ret when there is none. ERR_DAMAGED. Caller frees.
MUST_USE enum err setting_load(struct ops *ops, struct arena *arena, const char *name,
                               json_t **ret);
// Within a write transaction.
MUST_USE enum err setting_keep(struct ops *ops, const char *name, const json_t *doc);

const char *setting_text(const json_t *doc, const char *name); // "" when it is not there
int64_t setting_number(const json_t *doc, const char *name);   // 0 when it is not there

// Notes in `state` how a delivery to the outside ended: "error" with the time since when there is
// one ("error_since"), or neither of them when `error` is "".
MUST_USE enum err setting_put_error(json_t *state, const char *error);

#endif
