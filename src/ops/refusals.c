// SPDX-License-Identifier: Apache-2.0
//
// A table of entries. When it is full, the oldest stranger makes room, unless endpoints have more
// than half of it: then the oldest of all. Whose certificate it was is looked up when the failure
// is reported; a certificate that was only shown proves nothing, so it is said as such.
#include "ops/refusals.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "ops/doc.h"
#include "ops/endpoint.h"
#include "ops/verbs.h"
#include "store/issued.h"

enum { ENTRIES = 256, LIST_DEFAULT = 100 };

struct entry {
    int64_t first, last; // seconds
    uint64_t count;      // 0: free
    struct uuid endpoint;
    struct model_refusal what; // its spans point into the texts below
    char address[MODEL_REFUSAL_TEXT];
    char reason[MODEL_REFUSAL_TEXT];
    char subject[MODEL_REFUSAL_TEXT];
};

struct refusals {
    struct entry entries[ENTRIES];
};

enum err refusals_new(struct refusals **ret)
{
    *ret = calloc(1, sizeof **ret);
    if (*ret == NULL)
        FAIL(ERR_MEMORY, "no memory for refused clients");
    return ERR_OK;
}

void refusals_free(struct refusals *refusals)
{
    free(refusals);
}

static bool is_known(const struct entry *entry)
{
    return !uuid_is_zero(&entry->endpoint);
}

static bool is_same(const struct entry *entry, const struct model_refusal *what)
{
    return entry->count > 0 && span_eq(entry->what.address, what->address) &&
           span_eq(entry->what.reason, what->reason) && entry->what.certified == what->certified &&
           memcmp(entry->what.fingerprint, what->fingerprint, sizeof what->fingerprint) == 0;
}

// The place of an entry that is free, or that goes.
static struct entry *make_room(struct refusals *all)
{
    struct entry *oldest = NULL;
    struct entry *stranger = NULL;
    size_t known = 0;
    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &all->entries[i];
        if (entry->count == 0)
            return entry;
        known += is_known(entry);
        if (oldest == NULL || entry->last < oldest->last)
            oldest = entry;
        if (!is_known(entry) && (stranger == NULL || entry->last < stranger->last))
            stranger = entry;
    }
    return stranger != NULL && known <= ENTRIES / 2 ? stranger : oldest;
}

static struct span keep(char text[MODEL_REFUSAL_TEXT], struct span from)
{
    size_t len = from.len < MODEL_REFUSAL_TEXT ? from.len : MODEL_REFUSAL_TEXT - 1;
    memcpy(text, from.data, len);
    return span_of(text, len);
}

static struct entry *place_of(struct refusals *all, const struct model_refusal *what, int64_t now)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        if (is_same(&all->entries[i], what))
            return &all->entries[i];
    }
    struct entry *entry = make_room(all);
    *entry = (struct entry){.first = now, .what = *what};
    entry->what.address = keep(entry->address, what->address);
    entry->what.reason = keep(entry->reason, what->reason);
    entry->what.subject = keep(entry->subject, what->subject);
    return entry;
}

enum err ops_note_refusal(struct ops *ops, struct span body)
{
    struct model_refusal what;
    struct store_issued issued;
    if (ops->refusals == NULL)
        return ERR_OK;
    TRY(model_get_refusal(body, &what));
    int64_t now = clock_wall_s();
    struct entry *entry = place_of(ops->refusals, &what, now);
    entry->last = now;
    entry->count++;
    if (!what.certified || is_known(entry))
        return ERR_OK;
    enum err err = store_issued_get(ops->set.store, what.fingerprint, &issued);
    if (err == ERR_OK)
        entry->endpoint = issued.holder;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static json_t *describe(const struct entry *entry)
{
    char fingerprint[2 * sizeof entry->what.fingerprint + 1];
    bool certified = entry->what.certified;
    doc_hex(span_of(entry->what.fingerprint, sizeof entry->what.fingerprint), fingerprint);
    return json_pack("{s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "last", doc_time(entry->last), "first",
                     doc_time(entry->first), "count", (json_int_t)entry->count, "address",
                     doc_string(entry->what.address), "reason", doc_string(entry->what.reason),
                     "subject", certified ? doc_string(entry->what.subject) : json_null(),
                     "fingerprint", certified ? json_string(fingerprint) : json_null());
}

json_t *refusals_last(const struct refusals *refusals, const struct uuid *endpoint)
{
    const struct entry *last = NULL;
    for (size_t i = 0; refusals != NULL && i < ENTRIES; i++) {
        const struct entry *entry = &refusals->entries[i];
        if (entry->count > 0 && memcmp(&entry->endpoint, endpoint, sizeof *endpoint) == 0 &&
            (last == NULL || entry->last > last->last))
            last = entry;
    }
    return last == NULL ? json_null() : describe(last);
}

// ---- endpoint tls-failures ----

static int compare_newest(const void *a, const void *b)
{
    const struct entry *const *x = a;
    const struct entry *const *y = b;
    return ((*x)->last < (*y)->last) - ((*x)->last > (*y)->last);
}

static enum err append(struct op *op, const struct entry *entry, json_t *list)
{
    json_t *item = describe(entry);
    TRY(doc_set(item, "endpoint", endpoint_name(op, &entry->endpoint)));
    if (json_array_append_new(list, item) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

// {"limit"} → {"failures": the newest first}
enum err refusals_list_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    const struct entry *found[ENTRIES];
    size_t count = 0;
    int64_t limit = LIST_DEFAULT;
    json_t *list = json_array();
    TRY(doc_set(answer, "failures", list));
    TRY(doc_params(op, &doc));
    TRY(doc_integer(doc, "limit", 1, ENTRIES, &limit));
    for (size_t i = 0; op->ops->refusals != NULL && i < ENTRIES; i++) {
        if (op->ops->refusals->entries[i].count > 0)
            found[count++] = &op->ops->refusals->entries[i];
    }
    qsort(found, count, sizeof *found, compare_newest);
    for (size_t i = 0; i < count && i < (size_t)limit; i++)
        TRY(append(op, found[i], list));
    return doc_answer(op, json_incref(answer));
}
