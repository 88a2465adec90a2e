// SPDX-License-Identifier: Apache-2.0
//
// Attributes of a key, changed from the administrator's side: the same that an endpoint may change
// (rules.c), by KMIP's operations.
#include "ops/key.h"
#include "ops/rules.h"
#include "ops/value.h"
#include "ops/verbs.h"

enum { INDEX_MAX = ATTRS_MAX };

// Says for the audit trail which attribute it is, never its value.
static enum err tell(struct op *op, struct span name)
{
    return arena_copy(op->arena, name, &op->detail);
}

static enum err add_wanted(struct op *op, const json_t *doc, bool has_value, struct attrs *ret)
{
    struct span name;
    struct attr attr;
    int64_t index = ATTR_NO_INDEX;
    TRY(doc_text(doc, "attribute", RULES_NAME_MAX, true, &name));
    TRY(tell(op, name));
    if (has_value)
        TRY(value_attr(op, name, json_object_get(doc, "value"), &attr));
    else
        TRY(value_name(name, &attr));
    TRY(doc_integer(doc, "index", 0, INDEX_MAX, &index));
    attr.index = (int32_t)index;
    return attrs_add(ret, op->arena, &attr);
}

// {"id", "attribute", "value", "dry_run"}
enum err key_add_attribute_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct request request = *op->request;
    TRY(doc_params(op, &doc));
    TRY(add_wanted(op, doc, true, &request.attrs));
    return key_change(op, doc, &request, add_attribute_run);
}

// {"id", "attribute", "index", "value", "dry_run"}
enum err key_modify_attribute_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct request request = *op->request;
    TRY(doc_params(op, &doc));
    TRY(add_wanted(op, doc, true, &request.attrs));
    return key_change(op, doc, &request, modify_attribute_run);
}

// {"id", "attribute", "index", "dry_run"}
enum err key_delete_attribute_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct request request = *op->request;
    TRY(doc_params(op, &doc));
    TRY(add_wanted(op, doc, false, &request.attrs));
    return key_change(op, doc, &request, delete_attribute_run);
}
