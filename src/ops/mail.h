// SPDX-License-Identifier: Apache-2.0
//
// Mail about alerts. Where to lies sealed in the node settings "mail" and "mail.password"; the
// courier pulls what is to be sent from a reader and reports to the writer what was.
#ifndef KW_OPS_MAIL_H
#define KW_OPS_MAIL_H

#include <jansson.h>

#include "ops/context.h"

// What the courier asks for: server and mails; the password apart, in the arena.
MUST_USE enum err mail_pull(struct ops *ops, struct arena *arena, json_t **ret,
                            struct span *ret_password);

// What the courier reports, within a write transaction.
MUST_USE enum err mail_tell(struct ops *ops, struct arena *arena, const json_t *tell);

// Since when mail cannot be sent, seconds, 0 for not at all, and why.
MUST_USE enum err mail_fails(struct ops *ops, struct arena *arena, int64_t *ret_since,
                             struct span *ret_error);

// Who gets mail about one type of alert, in place of everybody else; an empty list: as the others.
MUST_USE enum err mail_recipients(struct op *op, const char *type, const json_t *to);

// Seals again under the newest data key, within a write transaction.
MUST_USE enum err mail_reseal(struct op *op, bool *ret_moved);

#endif
