// SPDX-License-Identifier: Apache-2.0
//
// Revoke (KMIP 1.4 section 4.20): a compromise may be told of any object, even of a destroyed one;
// every other reason deactivates, and is accepted for a pre-active object too, since products
// revoke before they destroy.
#include "ops/attributes.h"
#include "ops/rules.h"
#include "ops/verbs.h"
#include "wire/ttlv.h"

static bool is_compromise(uint32_t reason)
{
    return reason == KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE ||
           reason == KMIP_REVOCATION_REASON_CODE_CA_COMPROMISE;
}

static enum err check(const struct request *request)
{
    if (request->reason == 0)
        FAIL(ERR_MISSING_DATA, "Revoke needs a revocation reason");
    if (request->reason < KMIP_ENUM_EXTENSION &&
        kmip_enum_member_find(KMIP_ENUM_REVOCATION_REASON_CODE, request->reason) == NULL)
        FAIL(ERR_INVALID, "the revocation reason %u is not known", (unsigned)request->reason);
    if (request->reason_text.len > TEXT_MAX || !span_is_utf8(request->reason_text))
        FAIL(ERR_INVALID, "the revocation message is too long or not UTF-8");
    return ERR_OK;
}

static enum err keep_reason(struct op *op, struct object *object)
{
    struct attr gone = {.tag = KMIP_TAG_REVOCATION_REASON};
    struct buf members CLEANUP(buf_done);
    buf_init(&members, TEXT_MAX + 64, false);
    TRY(ttlv_put_enumeration(&members, KMIP_TAG_REVOCATION_REASON_CODE, op->request->reason));
    if (op->request->reason_text.len > 0)
        TRY(ttlv_put_text(&members, KMIP_TAG_REVOCATION_MESSAGE, op->request->reason_text));
    rules_drop(&object->attrs, &gone);
    return attributes_put_bytes(op, &object->attrs, KMIP_TAG_REVOCATION_REASON, ATTR_STRUCTURE,
                                span_buf(&members));
}

enum err revoke_run(struct op *op)
{
    struct object object;
    TRY(check(op->request));
    TRY(object_get_attrs(op, &object));
    if (is_compromise(op->request->reason))
        TRY(lifecycle_compromise(&object.row.dates, op->now, op->request->compromise_date));
    else
        TRY(lifecycle_deactivate(&object.row.dates, op->now));
    TRY(keep_reason(op, &object));
    TRY(object_update(op, &object));
    op->reply->uid = object.uid;
    return ERR_OK;
}
