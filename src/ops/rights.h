// SPDX-License-Identifier: Apache-2.0
//
// Roles and privileges in words.
#ifndef KW_OPS_RIGHTS_H
#define KW_OPS_RIGHTS_H

#include "ops/doc.h"

// The role of a word of a document's field: "system", "key" or "audit". ERR_INVALID for privileges,
// too, ERR_MISSING_DATA.
MUST_USE enum err rights_take_role(const json_t *doc, const char *field, uint32_t *ret);

enum { RIGHTS_TEXT_MAX = 160 };

// For people, of words that say who may (enum api_by): "System Administrator or Monitor", "Key
// Administrator or who manages it".
void rights_text(uint32_t by, char out[RIGHTS_TEXT_MAX]);

// The privileges below the roles that these roles hold within them: System Administrator those of
// Monitor and Create Endpoint, Key Administrator that of Create Endpoint Group.
uint32_t rights_within(uint32_t rights);

// The rights of a list of words; `usual` when there is no list. ERR_INVALID.
MUST_USE enum err rights_take_list(const json_t *doc, const char *field, uint32_t usual,
                                   uint32_t *ret);

// The words of these rights, in their order. NULL without memory.
json_t *rights_words(uint32_t rights);

// [{"role", "forward"}], of the roles among them. NULL without memory.
json_t *rights_roles(uint32_t rights, uint32_t forward);

// "system", "key" …
const char *rights_word(uint32_t right);

// "System Administrator", "Key Administrator" …
const char *rights_title(uint32_t right);

#endif
