// SPDX-License-Identifier: Apache-2.0
//
// Modify Attribute (KMIP 1.4 section 4.15, 2.1 section 6.1.27): in 1.x the instance is named by its
// index, in 2.x by its current value.
#include "ops/rules.h"
#include "ops/verbs.h"

enum err modify_attribute_run(struct op *op)
{
    struct object object;
    struct attr stored;
    const struct request *request = op->request;
    if (request->attrs.count != 1)
        FAIL(ERR_MISSING_DATA, "Modify Attribute takes one attribute");
    TRY(object_get_attrs(op, &object));
    TRY(rules_check_alive(op, &object));
    TRY(rules_modify(op, &object, &request->attrs.items[0],
                     request->has_current ? &request->current : NULL, &stored));
    TRY(object_update(op, &object));
    op->reply->uid = object.uid;
    return attrs_add(&op->reply->attrs, op->arena, &stored);
}
