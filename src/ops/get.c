// SPDX-License-Identifier: Apache-2.0
//
// Get (KMIP 1.4 section 4.11): the one operation by which material leaves. Allowed in every state
// but destroyed; a wrapped answer is not offered, and asking for one never gives clear bytes. The
// first Get of an object ends its being Fresh (KMIP 1.4 section 3.34), which the writer notes: a
// reader declines that one, once for each object.
#include "ops/keyformat.h"
#include "ops/verbs.h"

static enum err check(const struct request *request)
{
    if (request->has_wrapping)
        FAIL(ERR_FEATURE, "keys are not given wrapped; leave the key wrapping specification out");
    if (request->key_compression != 0 &&
        request->key_compression != KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_UNCOMPRESSED)
        FAIL(ERR_KEY_COMPRESSION, "keys are not given compressed");
    return ERR_OK;
}

enum err get_run(struct op *op)
{
    struct object object;
    struct object_data data;
    TRY(check(op->request));
    TRY(object_get(op, &object));
    TRY(object_release(op, &object, &data));
    TRY(keyformat_convert(op, op->request->key_format, &data));
    TRY(object_note_served(op, &object));
    op->reply->object_type = object.row.type;
    op->reply->uid = object.uid;
    op->reply->object = data;
    return ERR_OK;
}
