// SPDX-License-Identifier: Apache-2.0
//
// Activate (KMIP 1.4 section 4.19): a pre-active object becomes active now. The file to copy when
// an operation is added: check → decide → load → act → record → answer, top to bottom.
//
// Who may activate at all was asked before this is entered; whether this object may be touched is
// asked by object_get_attrs, which gives the same answer for an object of somebody else's as for
// none. The caller's savepoint takes everything back when a step fails, and records the outcome.
#include "ops/object.h"
#include "ops/verbs.h"

enum err activate_run(struct op *op)
{
    struct object object;
    TRY(object_get_attrs(op, &object));
    TRY(lifecycle_activate(&object.row.dates, op->now));
    TRY(object_update(op, &object));
    op->reply->uid = object.uid;
    return ERR_OK;
}
