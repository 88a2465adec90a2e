// SPDX-License-Identifier: Apache-2.0
//
// Retention. Invariants: a record goes only when it was exported and a signed head stands behind
// it; the purge is itself a record, with the hash of the last record that went and of what each
// journal begins with from then on, entered in the transaction that raises the floor; rows and
// files are removed after that, by whoever comes next, so that a kill in between loses nothing.
#include "audit/audit.h"

#include <fcntl.h>
#include <stdio.h>

#include "audit/audit_chain.h"
#include "audit/audit_walk.h"
#include "base/clock.h"
#include "base/file.h"

enum { ARENA_LIMIT = 4 << 20, DROP_ROWS = 500, EXTENT_LEN = 8 * (1 + AUDIT_READERS_MAX) };

static const char exported_name[] = "audit_exported";

enum err audit_exported_get(struct store *store, struct audit_extent *ret)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct span value;
    struct audit_extent got = {0};
    TRY(arena_new(ARENA_LIMIT, &arena));
    enum err err = store_setting_get(store, true, exported_name, arena, &value);
    if (err == ERR_NOT_FOUND) {
        *ret = got;
        return ERR_OK;
    }
    TRY(err);
    struct cursor in = cursor_of(value);
    if (value.len != EXTENT_LEN)
        FAIL(ERR_DAMAGED, "the setting \"%s\" is damaged", exported_name);
    TRY(cursor_u64(&in, &got.chain));
    for (size_t i = 0; i < AUDIT_READERS_MAX; i++)
        TRY(cursor_u64(&in, &got.reads[i]));
    *ret = got;
    return ERR_OK;
}

enum err audit_exported_put(struct store *store, const struct audit_extent *extent)
{
    uint8_t bytes[EXTENT_LEN];
    struct buf out = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    TRY(buf_put_u64(&out, extent->chain));
    for (size_t i = 0; i < AUDIT_READERS_MAX; i++)
        TRY(buf_put_u64(&out, extent->reads[i]));
    return store_setting_put(store, true, exported_name, span_buf(&out));
}

// ---- what may go ----

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// Where a journal begins now.
static struct audit_floor floor_now(const struct audit_entry *purged, uint32_t index)
{
    struct audit_floor floor = {.index = index, .segment = 1};
    if (purged != NULL)
        (void)audit_record_floor(purged, index, &floor);
    return floor;
}

// Raises a journal's floor over all segments that lie within `until` and before the anchored one.
static enum err raise_floor(int root, uint32_t anchored, uint64_t until, struct audit_floor *floor,
                            uint32_t *segments)
{
    struct audit_walk walk CLEANUP(audit_walk_done);
    TRY(audit_walk_init(&walk, root, floor->index));
    while (floor->segment < anchored) {
        enum audit_step step = AUDIT_STEP_RECORD;
        TRY(audit_walk_segment(&walk, floor->segment + 1, &step));
        if (step != AUDIT_STEP_RECORD || walk.count > until)
            return ERR_OK;
        floor->segment++;
        floor->count = walk.count;
        memcpy(floor->hash, walk.hash, AUDIT_HASH_LEN);
        ++*segments;
    }
    return ERR_OK;
}

struct plan {
    struct audit_purge *purge;
    struct audit_extent exported;
    struct store_audit last; // of the chain that goes, or the floor
    struct audit_floor floors[AUDIT_READERS_MAX];
    size_t count;
};

static enum err plan_journals(int root, struct store *store, struct arena *arena, struct plan *plan)
{
    struct audit_journals journals;
    struct audit_entry entry;
    struct store_audit purged;
    TRY(audit_chain_purge_get(store, arena, &purged));
    if (purged.sequence > 0)
        TRY(audit_record_read(purged.record, &entry));
    TRY(audit_walk_list(root, &journals));
    for (size_t i = 0; i < journals.count; i++) {
        uint32_t index = journals.index[i];
        struct audit_anchored anchor;
        struct audit_floor *floor = &plan->floors[plan->count++];
        *floor = floor_now(purged.sequence > 0 ? &entry : NULL, index);
        TRY(audit_chain_anchor_get(store, arena, index, &anchor));
        uint64_t until = least(plan->purge->wish.reads[index], plan->exported.reads[index]);
        TRY(raise_floor(root, anchor.segment, until, floor, &plan->purge->segments));
    }
    return ERR_OK;
}

static enum err plan_chain(struct store *store, struct arena *arena, struct plan *plan)
{
    struct audit_signing signing;
    struct audit_chain_head head;
    struct store_audit *row = NULL;
    size_t count = 0;
    TRY(audit_signing_get(store, &signing));
    TRY(store_audit_floor(store, &plan->last));
    TRY(audit_chain_head_get(store, &head));
    // The last sealed record stays: the key has to find it.
    uint64_t covered = least(signing.sequence, head.sealed);
    uint64_t through =
        least(least(plan->purge->wish.chain, plan->exported.chain), covered > 0 ? covered - 1 : 0);
    if (through <= plan->last.sequence) {
        plan->purge->through = plan->last.sequence;
        return ERR_OK;
    }
    TRY(store_audit_list(store, through, 1, arena, &row, &count));
    if (count == 0 || row->sequence != through)
        FAIL(ERR_DAMAGED, "the audit trail has no record %llu", (unsigned long long)through);
    plan->purge->records = through - plan->last.sequence;
    plan->purge->through = through;
    plan->last = *row;
    return ERR_OK;
}

static enum err carry_out(struct store *store, const struct plan *plan)
{
    struct audit_chain_head head;
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, AUDIT_RECORD_MAX, false);
    TRY(audit_chain_head_get(store, &head));
    struct audit_where where = {AUDIT_CHAIN_NODE, head.sequence + 1};
    int64_t now = clock_wall_ms();
    TRY(audit_record_purged(&bytes, where, now, &plan->last, plan->floors, plan->count));
    TRY(audit_chain_append(store, span_of(NULL, 0), &head, now, span_buf(&bytes)));
    TRY(audit_chain_purge_put(store, where.sequence));
    return plan->purge->records > 0 ? store_audit_raise(store, plan->purge->through) : ERR_OK;
}

enum err audit_purge(int root, struct store *store, bool dry_run, struct audit_purge *purge)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct plan plan = {.purge = purge};
    purge->records = 0;
    purge->segments = 0;
    TRY(arena_new(ARENA_LIMIT, &arena));
    TRY(audit_exported_get(store, &plan.exported));
    TRY(plan_chain(store, arena, &plan));
    TRY(plan_journals(root, store, arena, &plan));
    if (dry_run || (purge->records == 0 && purge->segments == 0))
        return ERR_OK;
    return carry_out(store, &plan);
}

// ---- afterwards ----

static bool has_segment(int root, uint32_t index, uint32_t segment)
{
    char path[AUDIT_PATH_MAX];
    audit_walk_path(index, segment, path);
    return segment > 0 && file_exists(root, path);
}

// Segments below the floors that the last purge has named; the oldest first, so that what a kill
// leaves lies side by side.
static enum err remove_segments(int root, const struct audit_entry *purged)
{
    for (uint32_t index = 0; index < AUDIT_READERS_MAX; index++) {
        struct audit_floor floor;
        if (!audit_record_floor(purged, index, &floor))
            continue;
        uint32_t segment = floor.segment;
        while (has_segment(root, index, segment - 1))
            segment--;
        for (; segment < floor.segment; segment++) {
            char path[AUDIT_PATH_MAX];
            audit_walk_path(index, segment, path);
            TRY(file_remove(root, path));
        }
    }
    return ERR_OK;
}

static enum err settle(int root, struct store *store, struct arena *arena, bool *ret_more)
{
    struct store_audit purged;
    struct audit_entry entry;
    TRY(audit_chain_purge_get(store, arena, &purged));
    if (purged.sequence == 0)
        return ERR_OK;
    TRY(audit_record_read(purged.record, &entry));
    TRY(remove_segments(root, &entry));
    return store_audit_drop(store, DROP_ROWS, ret_more);
}

enum err audit_purge_settle(int root, struct store *store, bool *ret_more)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    *ret_more = false;
    TRY(arena_new(ARENA_LIMIT, &arena));
    TRY(store_begin(store, STORE_WRITE));
    enum err err = settle(root, store, arena, ret_more);
    if (err != ERR_OK) {
        store_rollback(store);
        return err;
    }
    return store_commit(store);
}

static enum err time_at(struct store *store, uint64_t sequence, int64_t *ret)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct store_audit *row = NULL;
    size_t count = 0;
    TRY(arena_new(ARENA_LIMIT, &arena));
    TRY(store_audit_list(store, sequence, 1, arena, &row, &count));
    *ret = count == 0 ? INT64_MAX : row->time_ms;
    return ERR_OK;
}

// By halves: time rises with the sequence but for a clock that was set back, where a record more or
// less is purged a little later.
enum err audit_chain_before(struct store *store, int64_t time_ms, uint64_t *ret)
{
    struct store_audit floor;
    struct store_audit head;
    TRY(store_audit_floor(store, &floor));
    TRY(store_audit_head(store, &head));
    uint64_t below = floor.sequence;
    uint64_t above = head.sequence + 1;
    while (above - below > 1) {
        uint64_t middle = below + (above - below) / 2;
        int64_t time = 0;
        TRY(time_at(store, middle, &time));
        if (time < time_ms)
            below = middle;
        else
            above = middle;
    }
    *ret = below == floor.sequence ? 0 : below;
    return ERR_OK;
}
