// SPDX-License-Identifier: Apache-2.0
//
// Create (KMIP 1.4 section 4.1): a symmetric key from the kernel's random bytes.
#include "base/rand.h"
#include "ops/make.h"
#include "ops/verbs.h"

enum err create_run(struct op *op)
{
    struct object object;
    if (op->request->object_type != KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        FAIL(ERR_INVALID, "Create makes symmetric keys only; register other objects");
    TRY(make_symmetric(op, &op->request->attrs, &object));
    TRY(object_put(op, &object));
    make_answer(op, &object);
    return ERR_OK;
}
