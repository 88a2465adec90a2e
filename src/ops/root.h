// SPDX-License-Identifier: Apache-2.0
//
// Operations on the root of trust, run by the keeper.
#ifndef KW_OPS_ROOT_H
#define KW_OPS_ROOT_H

#include "keyring/keyring.h"
#include "ops/context.h"

enum { ROOT_DOC_MAX = 256 * 1024 };

// Passes the request's secrets and `doc` to the keeper and puts the document that it answers into
// the reply, also when it failed. Blocks for as long as the operation takes. `changes`: it is no
// dry run and no mere question; then its success makes op->stands true, and a failure whose outcome
// is not known op->reply->unsure.
MUST_USE enum err root_operate(struct op *op, enum keyring_operation operation, struct span doc,
                               bool changes);

#endif
