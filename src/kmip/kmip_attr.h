// SPDX-License-Identifier: Apache-2.0
//
// Attributes on the wire. In 1.x an attribute is a structure with a name in text, an index and a
// value; in 2.x it is an item with a tag of its own, and only a vendor's attribute has names.
// Inside, a custom attribute is known by one text: "x-Name" of 1.x is vendor "x" and name "Name"
// in 2.x; any other vendor's is "vendor.name", a dot inside the vendor doubled.
#ifndef KW_KMIP_KMIP_ATTR_H
#define KW_KMIP_KMIP_ATTR_H

#include "kmip/kmip_version.h"
#include "model/model.h"
#include "wire/ttlv.h"

struct kmip_reader {
    struct arena *arena;
    uint16_t version;
};

// Appends the attribute that `item` is (1.x: an Attribute structure; 2.x: an item of Attributes).
MUST_USE enum err kmip_get_attr(const struct kmip_reader *in, const struct ttlv *item,
                                struct attrs *ret);

// Appends all attributes of a Template-Attribute or Attributes structure, whatever its tag.
MUST_USE enum err kmip_get_attr_list(const struct kmip_reader *in, const struct ttlv *item,
                                     struct attrs *ret);

// Appends the name that `item` (Attribute Name or Attribute Reference) is, without a value.
MUST_USE enum err kmip_get_attr_name(const struct kmip_reader *in, const struct ttlv *item,
                                     struct attrs *ret);

// The value of a structure by its table: members of known types, none twice that may not be, in the
// standard's order (copied into the arena where they stood in another), unknown ones left out.
MUST_USE enum err kmip_get_structure(const struct kmip_reader *in, const struct ttlv *item,
                                     struct span *ret);

// ERR_INVALID when the item's type, or an Enumeration's value, is not one the tables know.
MUST_USE enum err kmip_check_value(uint16_t version, uint32_t tag, const struct ttlv *item);

// Appends an attribute as `version` has it. What the version lacks is left out: the attribute, or
// members of its value. `named`: the client asked for it by name, so newer minor versions count,
// and nothing is kept from it that clients are known to choke on.
MUST_USE enum err kmip_put_attr(struct buf *out, uint16_t version, bool named,
                                const struct attr *attr);

// Attribute Name (1.x) or Attribute Reference (2.x).
MUST_USE enum err kmip_put_attr_name(struct buf *out, uint16_t version, const struct attr *attr);

#endif
