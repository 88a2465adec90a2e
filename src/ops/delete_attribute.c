// SPDX-License-Identifier: Apache-2.0
//
// Delete Attribute (KMIP 1.4 section 4.16, 2.1 section 6.1.14): in 1.x one instance by name and
// index (0 when none is given), in 2.x one by its value, or all by reference.
#include "ops/rules.h"
#include "ops/verbs.h"

enum { VERSION_2 = 2 << 8 };

enum err delete_attribute_run(struct op *op)
{
    struct object object;
    struct attr gone;
    const struct request *request = op->request;
    if (!request->has_current && request->attrs.count != 1)
        FAIL(ERR_MISSING_DATA, "Delete Attribute takes one attribute");
    const struct attr *meant = request->has_current ? &request->current : &request->attrs.items[0];
    bool every = !request->has_current && op->batch->version >= VERSION_2;
    TRY(object_get_attrs(op, &object));
    TRY(rules_check_alive(op, &object));
    TRY(rules_delete(op, &object, meant, request->has_current, every, &gone));
    TRY(object_update(op, &object));
    op->reply->uid = object.uid;
    return attrs_add(&op->reply->attrs, op->arena, &gone);
}
