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
#include "audit/audit_walk.h"
#include "base/secret.h"

enum { PAGE = 256, ARENA_LIMIT = 32 << 20 };

struct verify {
    struct audit_verdict verdict;
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

static enum err walk_of(struct verify *v, uint32_t index, struct audit_walk **ret)
{
    if (v->walks[index] == NULL) {
        v->walks[index] = calloc(1, sizeof(struct audit_walk));
        if (v->walks[index] == NULL)
            FAIL(ERR_MEMORY, "no memory to read a journal");
        TRY(audit_walk_init(v->walks[index], v->root, index));
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
    TRY(walk_of(v, anchor->index, &walk));
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

static enum err check_row(struct verify *v, const struct store_audit *row,
                          uint8_t hash[AUDIT_HASH_LEN])
{
    struct audit_entry entry;
    uint8_t expected[AUDIT_HASH_LEN];
    uint64_t next = v->verdict.records + 1;
    if (row->sequence != next) {
        bad(v, next, "record %llu is missing", (unsigned long long)next);
        return ERR_OK;
    }
    if (audit_record_hash(hash, row->record, expected) != ERR_OK ||
        memcmp(expected, row->hash, AUDIT_HASH_LEN) != 0 ||
        audit_record_read(row->record, &entry) != ERR_OK || entry.sequence != next ||
        entry.time_ms != row->time_ms || entry.chain != AUDIT_CHAIN_NODE) {
        bad(v, next, "record %llu was changed", (unsigned long long)next);
        return ERR_OK;
    }
    memcpy(hash, row->hash, AUDIT_HASH_LEN);
    v->verdict.records = next;
    return entry.kind == AUDIT_ANCHOR ? check_anchor(v, next, &entry.anchor) : ERR_OK;
}

static enum err check_chain(struct verify *v, struct store *store, struct arena *arena,
                            uint8_t hash[AUDIT_HASH_LEN])
{
    for (size_t count = PAGE; count == PAGE && v->verdict.sound;) {
        struct store_audit *rows = NULL;
        arena_reset(arena);
        TRY(store_audit_list(store, v->verdict.records + 1, PAGE, arena, &rows, &count));
        for (size_t i = 0; i < count && v->verdict.sound; i++)
            TRY(check_row(v, &rows[i], hash));
    }
    return ERR_OK;
}

static enum err check_head(struct verify *v, struct store *store)
{
    struct audit_chain_head head;
    TRY(audit_chain_head_get(store, &head));
    if (head.missing != 0)
        bad(v, head.missing, "the trail was cut off behind record %llu",
            (unsigned long long)head.missing - 1);
    else if (head.sealed > v->verdict.records)
        bad(v, v->verdict.records + 1, "the trail ends at record %llu, but %llu were written",
            (unsigned long long)v->verdict.records, (unsigned long long)head.sealed);
    return ERR_OK;
}

static enum err check_rest(struct verify *v)
{
    struct audit_journals journals;
    TRY(audit_walk_list(v->root, &journals));
    for (size_t i = 0; i < journals.count; i++) {
        struct audit_walk *walk = NULL;
        enum audit_step step = AUDIT_STEP_RECORD;
        TRY(walk_of(v, journals.index[i], &walk));
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

static enum err check_all(struct verify *v, struct store *store, struct arena *arena)
{
    uint8_t hash[AUDIT_HASH_LEN] = {0};
    TRY(check_chain(v, store, arena, hash));
    if (v->verdict.sound)
        TRY(check_head(v, store));
    return v->verdict.sound ? check_rest(v) : ERR_OK;
}

enum err audit_verify(int root, struct store *store, struct audit_verdict *ret)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct verify v CLEANUP(verify_done) = {.verdict = {.sound = true}, .root = root};
    TRY(arena_new(ARENA_LIMIT, &arena));
    TRY(store_begin(store, STORE_READ));
    enum err err = check_all(&v, store, arena);
    store_rollback(store);
    TRY(err);
    *ret = v.verdict;
    return ERR_OK;
}

enum err audit_verify_head(struct store *store, struct span seal_key, struct audit_verdict *ret)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct verify v = {.verdict = {.sound = true}};
    struct audit_chain_head head;
    struct store_audit *row = NULL;
    size_t count = 0;
    uint8_t mac[AUDIT_HASH_LEN];
    TRY(arena_new(ARENA_LIMIT, &arena));
    TRY(store_begin(store, STORE_READ));
    enum err err = audit_chain_head_get(store, &head);
    if (err == ERR_OK)
        err = store_audit_list(store, head.sealed, 1, arena, &row, &count);
    store_rollback(store);
    TRY(err);
    v.verdict.records = head.sequence;
    bool there = count > 0 && row->sequence == head.sealed;
    if (there)
        TRY(audit_chain_mac(seal_key, head.sealed, row->hash, mac));
    if (head.sealed == 0)
        bad(&v, 1, "no record of the trail is sealed");
    else if (!there)
        bad(&v, head.sealed, "record %llu, which the trail's seal names, is not there",
            (unsigned long long)head.sealed);
    else if (!secret_equal(span_of(mac, sizeof mac), span_of(head.mac, sizeof head.mac)))
        bad(&v, head.sealed, "the seal of the trail's head is not ours");
    *ret = v.verdict;
    return ERR_OK;
}
