// SPDX-License-Identifier: Apache-2.0
//
// From verb to operation.
#ifndef KW_OPS_DISPATCH_H
#define KW_OPS_DISPATCH_H

#include "ops/context.h"

struct dispatch_row {
    enum verb verb;
    op_function *run;
    bool needs_keys;      // refused with ERR_LOCKED while the data keys are not there
    bool own_transaction; // admin alone: begins and ends its own, since it may take minutes
};

// NULL for what is no verb.
const struct dispatch_row *dispatch_find(enum verb verb);

#endif
