// SPDX-License-Identifier: Apache-2.0
//
// Register (KMIP 1.4 section 4.3): an object that the client has. What can be checked is checked:
// the key has as many bits as it says, encodings are what they claim to be, and nothing is empty.
// What is wrapped already is kept as it is.
#include "crypto/pki.h"
#include "ops/attributes.h"
#include "ops/keyformat.h"
#include "ops/make.h"
#include "ops/rules.h"
#include "ops/verbs.h"

// A number that the key block and the attributes may both give: they must agree.
static enum err agree(const struct attrs *attrs, uint32_t tag, const char *what, uint32_t *value)
{
    const struct attr *attr = attrs_find(attrs, tag);
    if (attr == NULL)
        return ERR_OK;
    if (attr->number <= 0 || attr->number > INT32_MAX)
        FAIL(ERR_INVALID, "the %s must be positive", what);
    if (*value != 0 && *value != (uint32_t)attr->number)
        FAIL(ERR_INVALID, "the %s of the key block is %u, that of the attributes %u", what,
             (unsigned)*value, (unsigned)attr->number);
    *value = (uint32_t)attr->number;
    return ERR_OK;
}

static bool is_key(uint32_t type)
{
    return type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY || type == KMIP_OBJECT_TYPE_PUBLIC_KEY ||
           type == KMIP_OBJECT_TYPE_PRIVATE_KEY;
}

static enum err check_type(const struct request *request)
{
    uint32_t type = request->object_type;
    if (!is_key(type) && type != KMIP_OBJECT_TYPE_CERTIFICATE &&
        type != KMIP_OBJECT_TYPE_SECRET_DATA && type != KMIP_OBJECT_TYPE_OPAQUE_OBJECT)
        FAIL(ERR_INVALID, "objects of this type cannot be registered");
    if (request->object.type != type)
        FAIL(ERR_INVALID, "the object type and the object do not match");
    if (request->object.material.len == 0)
        FAIL(ERR_INVALID, "the object is empty");
    if (request->object.compression != 0 &&
        request->object.compression != KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_UNCOMPRESSED)
        FAIL(ERR_KEY_COMPRESSION, "compressed keys are not supported");
    return ERR_OK;
}

static enum err check(struct op *op, struct object_data *data)
{
    const struct attrs *attrs = &op->request->attrs;
    TRY(check_type(op->request));
    *data = op->request->object;
    if (is_key(data->type) || data->type == KMIP_OBJECT_TYPE_SECRET_DATA) {
        if (data->key_format == 0)
            FAIL(ERR_MISSING_DATA, "the key block has no key format type");
        TRY(agree(attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, "cryptographic algorithm",
                  &data->algorithm));
        TRY(agree(attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, "cryptographic length", &data->length));
    }
    if (data->type == KMIP_OBJECT_TYPE_CERTIFICATE) {
        TRY(agree(attrs, KMIP_TAG_CERTIFICATE_TYPE, "certificate type", &data->subtype));
        if (data->subtype == KMIP_CERTIFICATE_TYPE_X_509)
            TRY(pki_check_der(data->material));
    }
    return is_key(data->type) && data->wrapping.len == 0 ? keyformat_check(data) : ERR_OK;
}

// Attributes may come beside the object and inside its Key Value.
static enum err take(struct op *op, struct object *object)
{
    TRY(rules_take(op, object, &op->request->attrs));
    TRY(rules_take(op, object, &object->data.attributes));
    object->data.attributes = (struct attrs){0};
    return attributes_make(op, object, false);
}

enum err register_run(struct op *op)
{
    struct object object;
    struct object_data data;
    TRY(check(op, &data));
    TRY(object_init(op, op->request->object_type, &object));
    object.data = data;
    TRY(take(op, &object));
    TRY(object_put(op, &object));
    make_answer(op, &object);
    return ERR_OK;
}
