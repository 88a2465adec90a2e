// SPDX-License-Identifier: Apache-2.0
//
// The verbs in one table, from spec/api: what each is called in logs, audit records and messages,
// and whether it changes the store. A verb without a row has no name and writes nothing.
#include "model/model.h"

struct verb_row {
    enum verb verb;
    const char *name;
    bool writes;
};

#define KMIP_ROW(id, code, name, writes, ...) {VERB_##id, name, writes},
#define ADMIN_ROW(id, name, writes, ...)      {VERB_##id, name, writes},
#define EVENT_ROW(id, name)                   {VERB_##id, name, false},
static const struct verb_row kmip_verbs[] = {API_KMIP_VERBS(KMIP_ROW)};
static const struct verb_row admin_verbs[] = {API_ADMIN_VERBS(ADMIN_ROW)};
static const struct verb_row event_verbs[] = {API_EVENTS(EVENT_ROW)};
static const struct verb_row no_verb = {VERB_NONE, "unknown", false};

static const struct verb_row *row_of(enum verb verb)
{
    unsigned number = (unsigned)verb;
    if (number >= VERB_ADMIN_FIRST && number < VERB_ADMIN_END)
        return &admin_verbs[number - VERB_ADMIN_FIRST];
    if (number >= VERB_EVENT_FIRST && number < VERB_EVENT_END)
        return &event_verbs[number - VERB_EVENT_FIRST];
    for (size_t i = 0; i < sizeof kmip_verbs / sizeof *kmip_verbs; i++) {
        if (kmip_verbs[i].verb == verb)
            return &kmip_verbs[i];
    }
    return &no_verb;
}

bool verb_writes(enum verb verb)
{
    return row_of(verb)->writes;
}

const char *verb_name(enum verb verb)
{
    return row_of(verb)->name;
}
