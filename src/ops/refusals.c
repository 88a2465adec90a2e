// SPDX-License-Identifier: Apache-2.0
//
// A table of entries. When it is full, the oldest stranger makes room, unless endpoints have more
// than half of it: then the oldest of all. Whose certificate it was is looked up when the failure
// is reported; a certificate that was only shown proves nothing, so it is said as such.
//
// The file is the identifier of a data key and, sealed under it since subjects are names of
// endpoints, the entries. It is as long as the table at most, written whole, and goes on with what
// was there: a file that cannot be opened is forgotten.
#include "ops/refusals.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/paths.h"
#include "ops/doc.h"
#include "ops/endpoint.h"
#include "ops/keys.h"
#include "ops/seal.h"
#include "ops/verbs.h"
#include "store/issued.h"

enum { ENTRIES = 256, LIST_DEFAULT = 100, WRITE_MS = 10000 };
enum { ENTRY_MAX = 3 * MODEL_REFUSAL_TEXT + 128, FILE_MAX = ENTRIES * ENTRY_MAX };

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
    bool loaded;        // the file, if there was one
    bool changed;       // since the file was written
    int64_t next_write; // monotonic ms
    struct uuid key;    // that the file is sealed under
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
           span_eq(entry->what.reason, what->reason) && entry->what.https == what->https &&
           entry->what.certified == what->certified &&
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
    ops->refusals->changed = true;
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
    hex_text(span_of(entry->what.fingerprint, sizeof entry->what.fingerprint), fingerprint);
    return json_pack("{s:o, s:o, s:I, s:o, s:s, s:o, s:o, s:o}", "last", doc_time(entry->last),
                     "first", doc_time(entry->first), "count", (json_int_t)entry->count, "address",
                     doc_string(entry->what.address), "port", entry->what.https ? "https" : "kmip",
                     "reason", doc_string(entry->what.reason), "subject",
                     certified ? doc_string(entry->what.subject) : json_null(), "fingerprint",
                     certified ? json_string(fingerprint) : json_null());
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

// ---- the file ----

static const struct seal_bound bound = {.part = "refused"};

static enum err put_entry(const struct entry *entry, struct buf *out)
{
    struct buf what CLEANUP(buf_done);
    buf_init(&what, ENTRY_MAX, false);
    TRY(model_put_refusal(&what, &entry->what));
    TRY(buf_put_u64(out, (uint64_t)entry->first));
    TRY(buf_put_u64(out, (uint64_t)entry->last));
    TRY(buf_put_u64(out, entry->count));
    TRY(buf_put(out, span_of(entry->endpoint.bytes, UUID_LEN)));
    return buf_put_var(out, span_buf(&what));
}

static enum err write_file(struct ops *ops, struct arena *arena)
{
    struct refusals *all = ops->refusals;
    struct span sealed;
    struct buf plain CLEANUP(buf_done);
    struct buf out CLEANUP(buf_done);
    buf_init(&plain, FILE_MAX, true);
    buf_init(&out, 2 * FILE_MAX, false);
    for (size_t i = 0; i < ENTRIES; i++) {
        if (all->entries[i].count > 0)
            TRY(put_entry(&all->entries[i], &plain));
    }
    TRY(seal_close(ops, arena, &bound, span_buf(&plain), &sealed, &all->key));
    TRY(buf_put(&out, span_of(all->key.bytes, UUID_LEN)));
    TRY(buf_put(&out, sealed));
    return file_write(ops->set.root, PATH_REFUSED, span_buf(&out));
}

// What was counted before the file was read is added to it.
static void add_entry(struct refusals *all, const struct entry *old)
{
    struct entry *entry = place_of(all, &old->what, old->first);
    entry->first = old->first < entry->first ? old->first : entry->first;
    entry->last = old->last > entry->last ? old->last : entry->last;
    entry->count += old->count;
    entry->endpoint = old->endpoint;
}

static enum err take_entry(struct refusals *all, struct cursor *in)
{
    struct entry entry = {0};
    struct span what;
    struct span endpoint;
    uint64_t first = 0;
    uint64_t last = 0;
    TRY(cursor_u64(in, &first));
    TRY(cursor_u64(in, &last));
    TRY(cursor_u64(in, &entry.count));
    TRY(cursor_bytes(in, UUID_LEN, &endpoint));
    TRY(cursor_var(in, &what));
    TRY(model_get_refusal(what, &entry.what));
    entry.first = (int64_t)first;
    entry.last = (int64_t)last;
    memcpy(entry.endpoint.bytes, endpoint.data, UUID_LEN);
    if (entry.count > 0)
        add_entry(all, &entry);
    return ERR_OK;
}

static enum err read_file(struct ops *ops, struct arena *arena)
{
    struct span plain;
    struct span key;
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, 2 * FILE_MAX, false);
    enum err err = file_read(ops->set.root, PATH_REFUSED, 2 * FILE_MAX, &bytes);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    struct cursor in = cursor_of(span_buf(&bytes));
    TRY(cursor_bytes(&in, UUID_LEN, &key));
    memcpy(ops->refusals->key.bytes, key.data, UUID_LEN);
    TRY(seal_open(ops, arena, &bound, &ops->refusals->key, in.rest, &plain));
    in = cursor_of(plain);
    while (in.rest.len > 0)
        TRY(take_entry(ops->refusals, &in));
    return ERR_OK;
}

static void run(struct ops *ops, enum err (*what)(struct ops *, struct arena *), const char *event)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    enum err err = arena_new(4 * FILE_MAX, &arena);
    if (err == ERR_OK)
        err = what(ops, arena);
    if (err != ERR_OK)
        log_error(event, err);
}

// Whether the file lags behind the table, or lies under a data key that is to go.
static bool is_behind(struct ops *ops)
{
    struct uuid newest;
    const struct refusals *all = ops->refusals;
    bool old_key = !uuid_is_zero(&all->key) && keys_newest(ops, "objects", &newest).len > 0 &&
                   memcmp(&newest, &all->key, sizeof newest) != 0;
    return all->loaded && ops->open && ops->set.index == 0 && (all->changed || old_key);
}

static void write_now(struct ops *ops)
{
    ops->refusals->changed = false;
    run(ops, write_file, "refused_clients_not_written");
}

int refusals_idle(struct ops *ops)
{
    struct refusals *all = ops->refusals;
    int64_t now = clock_mono_ms();
    if (all == NULL || !ops->open)
        return -1;
    if (!all->loaded) {
        all->loaded = true;
        run(ops, read_file, "refused_clients_not_read");
    }
    if (!is_behind(ops))
        return -1;
    if (now < all->next_write)
        return (int)(all->next_write - now);
    all->next_write = now + WRITE_MS;
    write_now(ops);
    return -1;
}

void refusals_stop(struct ops *ops)
{
    if (ops->refusals != NULL && is_behind(ops))
        write_now(ops);
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
