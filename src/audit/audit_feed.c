// SPDX-License-Identifier: Apache-2.0
//
// The feed. Each source (the chain, each journal) holds one record ahead; the earliest of these is
// handed out next. Invariant: what a source holds borrows from its page or its walk, which nobody
// touches until it was handed out and the next is asked for.
#include "audit/audit_feed.h"

#include <stdlib.h>

#include "audit/audit_json.h"
#include "audit/audit_walk.h"
#include "base/log.h"

enum { PAGE = 256, PAGE_ARENA = 16 << 20, PLAIN_MAX = 4096, CONTEXTS_MAX = 64 << 20 };

struct context_place {
    uint64_t sequence;
    uint64_t at;
};

struct source {
    uint32_t chain;
    uint64_t taken;    // last record that was handed out, or `after`
    bool ready, ended; // holds one; has none for now
    bool broken;       // a journal that is not sound
    struct audit_item item;
    struct audit_entry entry;
    // the chain
    struct arena *arena;
    struct store_audit *rows;
    size_t row, row_count;
    uint8_t last_hash[AUDIT_HASH_LEN];
    // a journal
    bool placed;
    struct audit_walk walk;
    struct buf contexts; // of this segment: clear part, sealed part
    struct buf places;   // where in it each is: struct context_place, the sequence rising
    uint64_t recalled;   // the context that was opened last
    struct buf plain;
    struct audit_telling telling;
};

struct audit_feed {
    struct audit_feed_options set;
    struct source *sources[1 + AUDIT_READERS_MAX];
    size_t count;
    struct source *current; // of the item that was handed out last
    struct buf plain;
};

static void source_free(struct source *source)
{
    if (source == NULL)
        return;
    arena_freep(&source->arena);
    audit_walk_done(&source->walk);
    buf_done(&source->contexts);
    buf_done(&source->places);
    buf_done(&source->plain);
    free(source);
}

static void source_freep(struct source **source)
{
    source_free(*source);
    *source = NULL;
}

static enum err source_new(struct audit_feed *feed, uint32_t chain, uint64_t after)
{
    CLEANUP(source_freep) struct source *source = calloc(1, sizeof *source);
    if (source == NULL)
        FAIL(ERR_MEMORY, "no memory to read the audit trail");
    *source = (struct source){.chain = chain, .taken = after, .walk = {.fd = -1}};
    buf_init(&source->contexts, CONTEXTS_MAX, false);
    buf_init(&source->places, CONTEXTS_MAX, false);
    buf_init(&source->plain, PLAIN_MAX, true);
    if (chain == AUDIT_CHAIN_NODE)
        TRY(arena_new(PAGE_ARENA, &source->arena));
    else
        TRY(audit_walk_init(&source->walk, feed->set.root, chain - 1));
    feed->sources[feed->count++] = source;
    source = NULL;
    return ERR_OK;
}

static bool has_source(const struct audit_feed *feed, uint32_t chain)
{
    for (size_t i = 0; i < feed->count; i++) {
        if (feed->sources[i]->chain == chain)
            return true;
    }
    return feed->set.one_chain && chain != feed->set.chain;
}

static enum err find_sources(struct audit_feed *feed)
{
    struct audit_journals journals;
    if (!has_source(feed, AUDIT_CHAIN_NODE))
        TRY(source_new(feed, AUDIT_CHAIN_NODE, feed->set.after.chain));
    TRY(audit_walk_list(feed->set.root, &journals));
    for (size_t i = 0; i < journals.count; i++) {
        uint32_t index = journals.index[i];
        if (!has_source(feed, index + 1))
            TRY(source_new(feed, index + 1, feed->set.after.reads[index]));
    }
    return ERR_OK;
}

enum err audit_feed_new(const struct audit_feed_options *options, struct audit_feed **ret)
{
    CLEANUP(audit_feed_freep) struct audit_feed *feed = calloc(1, sizeof *feed);
    if (feed == NULL)
        FAIL(ERR_MEMORY, "no memory to read the audit trail");
    feed->set = *options;
    buf_init(&feed->plain, PLAIN_MAX, true);
    TRY(find_sources(feed));
    *ret = feed;
    feed = NULL;
    return ERR_OK;
}

void audit_feed_free(struct audit_feed *feed)
{
    if (feed == NULL)
        return;
    for (size_t i = 0; i < feed->count; i++)
        source_free(feed->sources[i]);
    buf_done(&feed->plain);
    free(feed);
}

void audit_feed_freep(struct audit_feed **feed)
{
    audit_feed_free(*feed);
    *feed = NULL;
}

enum err audit_feed_again(struct audit_feed *feed)
{
    for (size_t i = 0; i < feed->count; i++)
        feed->sources[i]->ended = false;
    return find_sources(feed);
}

void audit_feed_place(const struct audit_feed *feed, struct audit_extent *ret)
{
    *ret = feed->set.after;
    for (size_t i = 0; i < feed->count; i++) {
        const struct source *source = feed->sources[i];
        if (source->chain == AUDIT_CHAIN_NODE)
            ret->chain = source->taken;
        else
            ret->reads[source->chain - 1] = source->taken;
    }
}

// ---- the chain ----

// The hash in front of the first row of a page: the floor's, or that of the row before.
static enum err hash_before(struct audit_feed *feed, struct source *source, uint64_t first)
{
    struct store_audit floor;
    struct store_audit *row = NULL;
    size_t count = 0;
    TRY(store_audit_floor(feed->set.store, &floor));
    memcpy(source->last_hash, floor.hash, AUDIT_HASH_LEN);
    if (first <= floor.sequence + 1)
        return ERR_OK;
    TRY(store_audit_list(feed->set.store, first - 1, 1, source->arena, &row, &count));
    if (count > 0)
        memcpy(source->last_hash, row->hash, AUDIT_HASH_LEN);
    return ERR_OK;
}

static enum err next_page(struct audit_feed *feed, struct source *source)
{
    bool first = source->rows == NULL;
    arena_reset(source->arena);
    TRY(store_audit_list(feed->set.store, source->taken + 1, PAGE, source->arena, &source->rows,
                         &source->row_count));
    source->row = 0;
    if (first && source->row_count > 0)
        TRY(hash_before(feed, source, source->rows[0].sequence));
    if (source->row_count == 0)
        source->rows = first ? NULL : source->rows;
    return ERR_OK;
}

static enum err next_of_chain(struct audit_feed *feed, struct source *source)
{
    if (source->row == source->row_count)
        TRY(next_page(feed, source));
    source->ended = source->row_count == 0;
    if (source->ended)
        return ERR_OK;
    const struct store_audit *row = &source->rows[source->row++];
    TRY(audit_record_read(row->record, &source->entry));
    source->item = (struct audit_item){.chain = AUDIT_CHAIN_NODE,
                                       .sequence = row->sequence,
                                       .time_ms = row->time_ms,
                                       .record = row->record};
    memcpy(source->item.before, source->last_hash, AUDIT_HASH_LEN);
    memcpy(source->item.hash, row->hash, AUDIT_HASH_LEN);
    memcpy(source->last_hash, row->hash, AUDIT_HASH_LEN);
    source->ready = true;
    return ERR_OK;
}

// ---- a journal ----

// Goes to the last segment that begins at or before what is wanted, or to the first there is.
static enum err find_segment(struct source *source, uint32_t last, int64_t since_ms)
{
    for (uint32_t segment = last; segment > 0; segment--) {
        enum audit_step step;
        TRY(audit_walk_segment(&source->walk, segment, &step));
        bool older = since_ms > 0 && source->walk.began_ms + AUDIT_SLACK_MS <= since_ms;
        if (step != AUDIT_STEP_RECORD || source->walk.count <= source->taken || older)
            return ERR_OK;
    }
    return ERR_OK;
}

static enum err place(struct audit_feed *feed, struct source *source)
{
    struct audit_journals journals;
    TRY(audit_walk_list(feed->set.root, &journals));
    for (size_t i = 0; i < journals.count; i++) {
        if (journals.index[i] == source->chain - 1)
            TRY(find_segment(source, journals.last[i], feed->set.since_ms));
    }
    source->placed = true;
    return ERR_OK;
}

static enum err keep_context(struct source *source, const struct audit_entry *entry)
{
    if (entry->kind == AUDIT_SEGMENT) {
        buf_clear(&source->contexts);
        buf_clear(&source->places);
        source->recalled = 0;
        return ERR_OK;
    }
    const struct context_place place = {entry->sequence, source->contexts.len};
    TRY(buf_put(&source->places, span_of(&place, sizeof place)));
    TRY(buf_put_var(&source->contexts, entry->clear));
    return buf_put_var(&source->contexts, entry->sealed);
}

// What is not sound is told by verification; here the other sources go on.
static enum err give_up(const struct audit_feed *feed, struct source *source)
{
    source->ended = source->broken = true;
    if (feed->set.raw)
        FAIL(ERR_DAMAGED, "the audit journal \"%s\" is not sound after record %llu",
             source->walk.path, (unsigned long long)source->walk.count);
    log_event(LOG_LEVEL_ERROR, "audit_journal_not_read path=%s after=%llu", source->walk.path,
              (unsigned long long)source->walk.count);
    return ERR_OK;
}

static enum err hold(struct source *source, const uint8_t before[AUDIT_HASH_LEN])
{
    source->item = (struct audit_item){.chain = source->chain,
                                       .sequence = source->entry.sequence,
                                       .time_ms = source->entry.time_ms,
                                       .record = source->entry.record};
    memcpy(source->item.before, before, AUDIT_HASH_LEN);
    memcpy(source->item.hash, source->walk.hash, AUDIT_HASH_LEN);
    source->ready = true;
    return ERR_OK;
}

static enum err next_of_journal(struct audit_feed *feed, struct source *source)
{
    uint8_t before[AUDIT_HASH_LEN];
    if (!source->placed)
        TRY(place(feed, source));
    while (!source->ready && !source->broken) {
        enum audit_step step = AUDIT_STEP_RECORD;
        memcpy(before, source->walk.hash, sizeof before);
        TRY(audit_walk_next(&source->walk, &step, &source->entry));
        if (step == AUDIT_STEP_BAD)
            return give_up(feed, source);
        source->ended = step != AUDIT_STEP_RECORD;
        if (source->ended)
            return ERR_OK;
        bool request = source->entry.kind == AUDIT_REQUEST;
        if (!request)
            TRY(keep_context(source, &source->entry));
        if (source->entry.sequence > source->taken && (request || feed->set.raw))
            TRY(hold(source, before));
    }
    return ERR_OK;
}

// ---- both ----

static enum err fill(struct audit_feed *feed, struct source *source)
{
    if (source->ready || source->ended || source->broken)
        return ERR_OK;
    return source->chain == AUDIT_CHAIN_NODE ? next_of_chain(feed, source)
                                             : next_of_journal(feed, source);
}

enum err audit_feed_next(struct audit_feed *feed, const struct audit_item **ret)
{
    struct source *earliest = NULL;
    for (size_t i = 0; i < feed->count; i++) {
        struct source *source = feed->sources[i];
        TRY(fill(feed, source));
        if (source->ready && (earliest == NULL || source->item.time_ms < earliest->item.time_ms))
            earliest = source;
    }
    feed->current = earliest;
    *ret = NULL;
    if (earliest == NULL)
        return ERR_OK;
    earliest->ready = false;
    earliest->taken = earliest->item.sequence;
    *ret = &earliest->item;
    return ERR_OK;
}

// ---- what a record tells ----

static bool open_with(const struct audit_keys *keys, const struct audit_entry *entry,
                      struct buf *plain, struct audit_telling *ret)
{
    for (size_t i = 0; i < keys->count; i++) {
        buf_clear(plain);
        if (audit_record_open(keys->keys[i], entry, plain, ret) == ERR_OK)
            return true;
    }
    return false;
}

static int by_sequence(const void *key, const void *place)
{
    uint64_t wanted = *(const uint64_t *)key;
    uint64_t has = ((const struct context_place *)place)->sequence;
    return wanted < has ? -1 : wanted > has;
}

// A segment may have hundreds of thousands: one for each connection.
static bool find_context(const struct source *source, uint64_t sequence, struct audit_entry *ret)
{
    const struct context_place *place =
        source->places.len == 0
            ? NULL
            : bsearch(&sequence, source->places.data, source->places.len / sizeof *place,
                      sizeof *place, by_sequence);
    if (place == NULL)
        return false;
    struct cursor in = cursor_of(
        span_of(source->contexts.data + place->at, source->contexts.len - (size_t)place->at));
    return cursor_var(&in, &ret->clear) == ERR_OK && cursor_var(&in, &ret->sealed) == ERR_OK;
}

// Who asked, from the context of a journal's record; records in a row mostly share it.
static bool recall(struct source *source, const struct audit_keys *keys, struct audit_telling *ret)
{
    struct audit_entry context = {0};
    if (source->recalled != source->entry.context) {
        source->recalled = 0;
        if (!find_context(source, source->entry.context, &context) ||
            !open_with(keys, &context, &source->plain, &source->telling))
            return false;
        source->recalled = source->entry.context;
    }
    *ret = source->telling;
    return true;
}

static struct audit_told told_by(struct audit_feed *feed, const struct audit_keys *keys)
{
    struct source *source = feed->current;
    const struct audit_entry *entry = &source->entry;
    struct audit_told told = {.how = "none"};
    struct audit_telling own;
    if (entry->kind != AUDIT_REQUEST)
        return told;
    if (entry->context != 0)
        told.how = recall(source, keys, &told.telling) ? "opened" : "sealed";
    if ((entry->flags & AUDIT_LOCKED) != 0)
        told.how = "left out";
    if ((entry->flags & AUDIT_SEALED) == 0)
        return told;
    if (!open_with(keys, entry, &feed->plain, &own)) {
        told.how = "sealed";
        return told;
    }
    told.how = "opened";
    told.telling.detail = own.detail;
    if (entry->context == 0)
        told.telling = own;
    return told;
}

static bool is_who(struct audit_feed *feed, const struct audit_keys *keys, struct span who)
{
    char id[UUID_TEXT_LEN + 1];
    const struct audit_entry *entry = &feed->current->entry;
    uuid_text(&entry->who, id);
    if (span_eq_str(who, id) || span_eq_str(who, audit_json_kind(entry->who_kind)))
        return true;
    struct audit_told told = told_by(feed, keys);
    return span_eq(told.telling.name, who);
}

enum err audit_feed_matches(struct audit_feed *feed, const struct audit_keys *keys,
                            const struct audit_filter *filter, bool *ret)
{
    const struct audit_entry *entry = &feed->current->entry;
    bool asks = filter->verb.len + filter->outcome.len + filter->who.len > 0 ||
                !uuid_is_zero(&filter->object);
    *ret = false;
    if (entry->time_ms < filter->since_ms ||
        (filter->until_ms > 0 && entry->time_ms >= filter->until_ms))
        return ERR_OK;
    *ret = !asks;
    if (!asks || entry->kind != AUDIT_REQUEST)
        return ERR_OK;
    bool fits = filter->verb.len == 0 || span_eq(filter->verb, entry->verb);
    fits = fits && (filter->outcome.len == 0 || span_eq(filter->outcome, entry->outcome));
    fits = fits && (uuid_is_zero(&filter->object) ||
                    memcmp(&filter->object, &entry->object, sizeof entry->object) == 0);
    *ret = fits && (filter->who.len == 0 || is_who(feed, keys, filter->who));
    return ERR_OK;
}

enum err audit_feed_json(struct audit_feed *feed, const struct audit_keys *keys, json_t **ret)
{
    struct audit_told told = told_by(feed, keys);
    return audit_json_put(&feed->current->entry, &told, ret);
}

enum err audit_feed_brief(struct audit_feed *feed, const struct audit_keys *keys,
                          struct audit_brief *ret, bool *ret_counts)
{
    const struct audit_entry *entry = &feed->current->entry;
    bool allowed = span_eq_str(entry->outcome, err_info(ERR_OK)->name);
    *ret_counts =
        entry->kind == AUDIT_REQUEST && (!allowed || (entry->flags & AUDIT_ATTEMPTED) == 0);
    if (!*ret_counts)
        return ERR_OK;
    struct audit_told told = told_by(feed, keys);
    *ret = (struct audit_brief){.kind = audit_json_kind(entry->who_kind),
                                .who = entry->who,
                                .name = told.telling.name,
                                .verb = entry->verb,
                                .time_ms = entry->time_ms,
                                .allowed = allowed};
    return ERR_OK;
}
