// SPDX-License-Identifier: Apache-2.0
//
// Destroy (KMIP 1.4 section 4.21): the material goes, the attributes stay. An active object is
// refused: it has to be revoked first.
#include "ops/object.h"
#include "ops/verbs.h"

enum err destroy_run(struct op *op)
{
    struct object object;
    TRY(object_get_attrs(op, &object));
    TRY(lifecycle_destroy(&object.row.dates, op->now));
    object.row.material = (struct span){NULL, 0};
    TRY(object_update(op, &object));
    op->reply->uid = object.uid;
    return ERR_OK;
}
