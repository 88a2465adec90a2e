// SPDX-License-Identifier: Apache-2.0
//
// Add Attribute (KMIP 1.4 section 4.14): one more instance of a multi-valued attribute, or the
// first of another.
#include "ops/rules.h"
#include "ops/verbs.h"

enum err add_attribute_run(struct op *op)
{
    struct object object;
    struct attr stored;
    if (op->request->attrs.count != 1)
        FAIL(ERR_MISSING_DATA, "Add Attribute takes one attribute");
    TRY(object_get_attrs(op, &object));
    TRY(rules_check_alive(op, &object));
    TRY(rules_add(op, &object, &op->request->attrs.items[0], &stored));
    TRY(object_update(op, &object));
    op->reply->uid = object.uid;
    return attrs_add(&op->reply->attrs, op->arena, &stored);
}
