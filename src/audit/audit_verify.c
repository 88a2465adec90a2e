// SPDX-License-Identifier: Apache-2.0
//
// Verification, without any key: one pass over the chain with each journal followed beside it. At
// each anchor the journal must have exactly the record, the length and the hash that the anchor
// names; after the last one it must only be well formed, and may end within a frame.
#include "audit/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "audit/audit_chain.h"
#include "audit/audit_check.h"
#include "audit/audit_walk.h"
#include "base/secret.h"

enum { PAGE = 256, ARENA_LIMIT = 32 << 20 };

struct verify {
    struct audit_verdict verdict;
    struct audit_check check;
    struct store_audit purged; // the record of the last purge, as the store names it
    struct audit_entry purge;  // read from it
    bool has_purge, purge_found;
    uint64_t floors[AUDIT_JOURNALS_MAX]; // records of journals that were purged
    int root;
    struct audit_walk *walks[AUDIT_JOURNALS_MAX]; // made when first needed
};

static void verify_done(struct verify *v)
{
    for (size_t i = 0; i < AUDIT_JOURNALS_MAX; i++) {
        if (v->walks[i] != NULL)
            audit_walk_done(v->walks[i]);
        free(v->walks[i]);
        v->walks[i] = NULL;
    }
}

static void bad(struct verify *v, uint64_t sequence, const char *fmt, ...) PRINTF_LIKE(3, 4);

// Keeps the first finding.
static void bad(struct verify *v, uint64_t sequence, const char *fmt, ...)
{
    if (!v->verdict.sound)
        return;
    v->verdict.sound = false;
    v->verdict.bad_sequence = sequence;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(v->verdict.what, sizeof v->verdict.what, fmt, args);
    va_end(args);
}

// A journal that was purged begins with what the purge says.
static enum err begin_walk(struct verify *v, struct audit_walk *walk, enum audit_step *ret_step)
{
    struct audit_floor floor;
    *ret_step = AUDIT_STEP_RECORD;
    if (!v->has_purge || !audit_record_floor(&v->purge, walk->index, &floor) || floor.segment == 1)
        return ERR_OK;
    v->floors[walk->index] = floor.count;
    TRY(audit_walk_segment(walk, floor.segment, ret_step));
    if (*ret_step == AUDIT_STEP_RECORD &&
        (walk->count != floor.count || memcmp(walk->hash, floor.hash, AUDIT_HASH_LEN) != 0))
        *ret_step = AUDIT_STEP_BAD;
    return ERR_OK;
}

static enum err walk_of(struct verify *v, uint32_t index, struct audit_walk **ret,
                        enum audit_step *ret_step)
{
    *ret_step = AUDIT_STEP_RECORD;
    if (v->walks[index] == NULL) {
        v->walks[index] = calloc(1, sizeof(struct audit_walk));
        if (v->walks[index] == NULL)
            FAIL(ERR_MEMORY, "no memory to read a journal");
        TRY(audit_walk_init(v->walks[index], v->root, index));
        TRY(begin_walk(v, v->walks[index], ret_step));
    }
    *ret = v->walks[index];
    return ERR_OK;
}

static enum err advance(struct verify *v, struct audit_walk *walk, enum audit_step *ret_step)
{
    struct audit_entry entry;
    TRY(audit_walk_next(walk, ret_step, &entry));
    if (*ret_step == AUDIT_STEP_RECORD && entry.kind == AUDIT_REQUEST)
        v->verdict.read_records++;
    return ERR_OK;
}

static void bad_journal(struct verify *v, const struct audit_walk *walk, enum audit_step step,
                        uint64_t vouched)
{
    unsigned index = walk->index;
    unsigned long long next = walk->count + 1;
    if (step == AUDIT_STEP_MISSING)
        bad(v, next, "the journal of reader %u is missing", index);
    else if (step == AUDIT_STEP_BAD)
        bad(v, next, "record %llu of the journal of reader %u was changed (%s)", next, index,
            walk->path);
    else
        bad(v, next,
            "the journal of reader %u ends before record %llu, but the trail vouches for %llu (%s)",
            index, next, (unsigned long long)vouched, walk->path);
}

static enum err check_anchor(struct verify *v, uint64_t sequence,
                             const struct audit_anchored *anchor)
{
    struct audit_walk *walk = NULL;
    enum audit_step step = AUDIT_STEP_RECORD;
    if (anchor->index >= AUDIT_JOURNALS_MAX) {
        bad(v, sequence, "record %llu names a journal that cannot be",
            (unsigned long long)sequence);
        return ERR_OK;
    }
    TRY(walk_of(v, anchor->index, &walk, &step));
    if (step == AUDIT_STEP_RECORD && anchor->count <= v->floors[anchor->index])
        return ERR_OK; // of what was purged
    while (step == AUDIT_STEP_RECORD && walk->count < anchor->count)
        TRY(advance(v, walk, &step));
    if (step != AUDIT_STEP_RECORD)
        bad_journal(v, walk, step, anchor->count);
    else if (walk->count != anchor->count || walk->segment != anchor->segment ||
             walk->offset != anchor->length ||
             memcmp(walk->hash, anchor->hash, AUDIT_HASH_LEN) != 0)
        bad(v, walk->count, "the journal of reader %u is not the one that record %llu vouches for",
            (unsigned)anchor->index, (unsigned long long)sequence);
    return ERR_OK;
}

// The record that the store names as that of the last purge is the last one of its kind.
static void check_purged(struct verify *v, const struct audit_entry *entry)
{
    if (entry->sequence > v->purged.sequence)
        bad(v, entry->sequence, "the purge of record %llu is not known to the store",
            (unsigned long long)entry->sequence);
    else if (entry->sequence == v->purged.sequence)
        v->purge_found = span_eq(entry->record, v->purged.record);
}

static enum err check_row(struct verify *v, const struct store_audit *row)
{
    struct audit_entry entry;
    uint64_t next = v->check.last + 1;
    if (!audit_check_next(&v->check, row, &entry)) {
        bad(v, next, "%s", v->check.why);
        return ERR_OK;
    }
    v->verdict.records++;
    if (entry.kind == AUDIT_PURGED)
        check_purged(v, &entry);
    return entry.kind == AUDIT_ANCHOR ? check_anchor(v, next, &entry.anchor) : ERR_OK;
}

static enum err check_chain(struct verify *v, struct store *store, struct arena *arena)
{
    for (size_t count = PAGE; count == PAGE && v->verdict.sound;) {
        struct store_audit *rows = NULL;
        arena_reset(arena);
        TRY(store_audit_list(store, v->check.last + 1, PAGE, arena, &rows, &count));
        for (size_t i = 0; i < count && v->verdict.sound; i++)
            TRY(check_row(v, &rows[i]));
    }
    return ERR_OK;
}

// Where the trail begins, as the record of the last purge tells it.
static enum err begin(struct verify *v, struct store *store, struct arena *kept)
{
    struct store_audit floor;
    struct audit_entry entry;
    TRY(store_audit_floor(store, &floor));
    v->check.last = floor.sequence;
    memcpy(v->check.hash, floor.hash, AUDIT_HASH_LEN);
    v->verdict.first = floor.sequence + 1;
    if (audit_chain_purge_get(store, kept, &v->purged) != ERR_OK) {
        bad(v, floor.sequence + 1, "%s", err_detail());
        return ERR_OK;
    }
    bool told = v->purged.sequence > 0 && audit_record_read(v->purged.record, &entry) == ERR_OK;
    v->has_purge = told && entry.kind == AUDIT_PURGED;
    if (v->has_purge)
        v->purge = entry;
    bool same = v->has_purge ? entry.purged == floor.sequence &&
                                   memcmp(entry.start, floor.hash, AUDIT_HASH_LEN) == 0
                             : floor.sequence == 0;
    if (!same)
        bad(v, floor.sequence + 1, "the trail begins at record %llu, but no purge says so",
            (unsigned long long)floor.sequence + 1);
    return ERR_OK;
}

static enum err check_head(struct verify *v, struct store *store)
{
    struct audit_chain_head head;
    TRY(audit_chain_head_get(store, &head));
    if (head.missing != 0)
        bad(v, head.missing, "the trail was cut off behind record %llu",
            (unsigned long long)head.missing - 1);
    else if (head.sealed > v->check.last)
        bad(v, v->check.last + 1, "the trail ends at record %llu, but %llu were written",
            (unsigned long long)v->check.last, (unsigned long long)head.sealed);
    if (v->has_purge && !v->purge_found)
        bad(v, v->purged.sequence, "record %llu, about the last purge, was changed",
            (unsigned long long)v->purged.sequence);
    if (!audit_check_end(&v->check))
        bad(v, v->check.last, "%s", v->check.why);
    return ERR_OK;
}

static enum err check_rest(struct verify *v)
{
    struct audit_journals journals;
    TRY(audit_walk_list(v->root, &journals));
    for (size_t i = 0; i < journals.count; i++) {
        struct audit_walk *walk = NULL;
        enum audit_step step = AUDIT_STEP_RECORD;
        TRY(walk_of(v, journals.index[i], &walk, &step));
        while (step == AUDIT_STEP_RECORD)
            TRY(advance(v, walk, &step));
        if (step == AUDIT_STEP_BAD || step == AUDIT_STEP_MISSING)
            bad_journal(v, walk, step, 0);
        else if (walk->segment < journals.last[i])
            bad(v, walk->count + 1, "segment %u of the journal of reader %u is missing",
                (unsigned)walk->segment + 1, (unsigned)walk->index);
    }
    return ERR_OK;
}

static enum err check_all(struct verify *v, struct store *store, struct arena *arena,
                          struct arena *kept)
{
    TRY(begin(v, store, kept));
    if (v->verdict.sound)
        TRY(check_chain(v, store, arena));
    if (v->verdict.sound)
        TRY(check_head(v, store));
    return v->verdict.sound ? check_rest(v) : ERR_OK;
}

static void tell_signed(struct verify *v)
{
    v->verdict.signed_sequence = v->check.signed_sequence;
    v->verdict.signed_ms = v->check.signed_ms;
    v->verdict.has_key = v->check.has_key;
    memcpy(v->verdict.public_key, v->check.key, AUDIT_PUBLIC_LEN);
}

enum err audit_verify(int root, struct store *store, const uint8_t *trusted,
                      struct audit_verdict *ret)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    CLEANUP(arena_freep) struct arena *kept = NULL;
    struct verify v CLEANUP(verify_done) = {
        .verdict = {.sound = true}, .check = {.trusted = trusted}, .root = root};
    TRY(arena_new(ARENA_LIMIT, &arena));
    TRY(arena_new(ARENA_LIMIT, &kept));
    TRY(store_begin(store, STORE_READ));
    enum err err = check_all(&v, store, arena, kept);
    store_rollback(store);
    TRY(err);
    tell_signed(&v);
    *ret = v.verdict;
    return ERR_OK;
}

// Whether one of the keys has sealed the row.
static enum err is_ours(const struct audit_chain_head *head, const struct store_audit *row,
                        const struct span *keys, size_t count, bool *ret)
{
    uint8_t mac[AUDIT_HASH_LEN];
    *ret = false;
    for (size_t i = 0; i < count && !*ret; i++) {
        TRY(audit_chain_mac(keys[i], AUDIT_MAC_MARK, head->sealed, row->hash, mac));
        *ret = secret_equal(span_of(mac, sizeof mac), span_of(head->mac, sizeof head->mac));
    }
    return ERR_OK;
}

enum err audit_verify_head(struct store *store, const struct span *keys, size_t key_count,
                           struct audit_verdict *verdict)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct verify v = {.verdict = *verdict};
    struct audit_chain_head head;
    struct store_audit *row = NULL;
    size_t count = 0;
    bool ours = false;
    TRY(arena_new(ARENA_LIMIT, &arena));
    TRY(store_begin(store, STORE_READ));
    enum err err = audit_chain_head_get(store, &head);
    if (err == ERR_OK)
        err = store_audit_list(store, head.sealed, 1, arena, &row, &count);
    store_rollback(store);
    TRY(err);
    bool there = count > 0 && row->sequence == head.sealed;
    if (there)
        TRY(is_ours(&head, row, keys, key_count, &ours));
    if (head.sealed == 0)
        bad(&v, 1, "no record of the trail is sealed");
    else if (!there)
        bad(&v, head.sealed, "record %llu, which the trail's seal names, is not there",
            (unsigned long long)head.sealed);
    else if (!ours)
        bad(&v, head.sealed, "the seal of record %llu is none of this server's keys'",
            (unsigned long long)head.sealed);
    *verdict = v.verdict;
    return ERR_OK;
}
