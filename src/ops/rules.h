// SPDX-License-Identifier: Apache-2.0
//
// What a client may do to which attribute (the table of spec/kmip), and how instances are counted.
#ifndef KW_OPS_RULES_H
#define KW_OPS_RULES_H

#include "ops/attributes.h"

enum { RULES_NAME_MAX = 4096 }; // bytes of a custom attribute's name

// Whether flag (enum kmip_attr_flag) holds for this attribute. Unknown standard tags: none.
bool rules_may(const struct attr *attr, unsigned flag);

// The attribute's name for messages; custom ones by their own.
struct span rules_name(const struct attr *attr);

// The lowest index that no instance has yet.
int32_t rules_next_index(const struct attrs *attrs, const struct attr *attr);

// A value that may be kept: well-formed text, a named custom attribute, a Name with a value.
MUST_USE enum err rules_check_value(const struct attr *attr);

// Takes a client's attributes into a new object. ERR_READ_ONLY, ERR_SINGLE_VALUED, ERR_INVALID.
MUST_USE enum err rules_take(struct op *op, struct object *object, const struct attrs *given);

// One more instance, or a first one, by a client. *ret is what was stored.
MUST_USE enum err rules_add(struct op *op, struct object *object, const struct attr *attr,
                            struct attr *ret);
// `current` NULL: the instance with the attribute's index, or the only one.
MUST_USE enum err rules_modify(struct op *op, struct object *object, const struct attr *attr,
                               const struct attr *current, struct attr *ret);
// Takes away one instance (`every` false) or all of them; *ret is the first of what is gone.
MUST_USE enum err rules_delete(struct op *op, struct object *object, const struct attr *attr,
                               bool by_value, bool every, struct attr *ret);

// Takes an attribute away, whether a client might or not.
void rules_drop(struct attrs *attrs, const struct attr *attr);

// ERR_DESTROYED once the object is destroyed: its attributes stand as they are.
MUST_USE enum err rules_check_alive(const struct op *op, const struct object *object);

#endif
