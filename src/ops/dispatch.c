// SPDX-License-Identifier: Apache-2.0
//
// The table of operations, from spec/api.
#include "ops/dispatch.h"

#include "ops/verbs.h"

#define KMIP_ROW(id, code, name, writes, by, run, keys, own) {VERB_##id, run, keys, own},
#define ADMIN_ROW(id, name, writes, by, run, keys, own)      {VERB_##id, run, keys, own},
static const struct dispatch_row kmip_table[] = {API_KMIP_VERBS(KMIP_ROW)};
static const struct dispatch_row admin_table[] = {API_ADMIN_VERBS(ADMIN_ROW)};

const struct dispatch_row *dispatch_find(enum verb verb)
{
    if (verb >= VERB_ADMIN_FIRST && verb < VERB_ADMIN_END)
        return &admin_table[verb - VERB_ADMIN_FIRST];
    for (size_t i = 0; i < sizeof kmip_table / sizeof *kmip_table; i++) {
        if (kmip_table[i].verb == verb)
            return &kmip_table[i];
    }
    return NULL;
}
