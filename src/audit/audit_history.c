// SPDX-License-Identifier: Apache-2.0
//
// The chain has an anchor for each journal, a second or less behind the reads that it covers: the
// anchors among the newest records are where the walk over a journal begins, so that no journal is
// read from its start to find its end.
#include "audit/audit_history.h"

#include "audit/audit_walk.h"

enum { CHAIN_LOOKS = 4000, TIME_LOOKS = 400, READ_LOOKS = 4000, READS_LEAST = 250, PAGE = 250 };
enum { BEFORE_MS = 1000, BEHIND_MS = 2000, PAGE_ARENA = 16 << 20, UNANCHORED = 4000 };

struct history {
    const struct audit_history_want *want;
    audit_history_found found;
    void *context;
    struct arena *page;
    struct arena *kept;
    struct audit_anchored *anchors; // among the newest records, oldest first
    size_t anchor_count;
    int64_t since_ms;
};

static void history_done(struct history *history)
{
    arena_freep(&history->page);
    arena_freep(&history->kept);
}

static bool is_wanted(const struct audit_history_want *want, const struct uuid *object)
{
    return !uuid_is_zero(object) && (memcmp(object, &want->object, sizeof *object) == 0 ||
                                     memcmp(object, &want->other, sizeof *object) == 0);
}

static enum err take_request(struct history *history, const struct audit_entry *entry)
{
    bool wanted = entry->kind == AUDIT_REQUEST && (entry->flags & AUDIT_ATTEMPTED) == 0 &&
                  is_wanted(history->want, &entry->object) &&
                  span_eq_str(entry->outcome, err_info(ERR_OK)->name);
    if (!wanted)
        return ERR_OK;
    struct audit_history_event event = {.time_ms = entry->time_ms,
                                        .object = entry->object,
                                        .verb = entry->verb,
                                        .who_kind = entry->who_kind,
                                        .uid = entry->uid,
                                        .who = entry->who};
    return history->found(history->context, &event);
}

// ---- the chain ----

struct range {
    uint64_t from, below; // sequence
    int64_t until_ms;     // 0: no limit
    bool anchors;         // are kept
};

static enum err take_row(struct history *history, const struct range *range,
                         const struct store_audit *row)
{
    struct audit_entry entry;
    if (audit_record_read(row->record, &entry) != ERR_OK)
        return ERR_OK;
    if (range->anchors && entry.kind == AUDIT_ANCHOR && history->anchor_count < CHAIN_LOOKS)
        history->anchors[history->anchor_count++] = entry.anchor;
    return take_request(history, &entry);
}

// Takes the rows of a range off its front. *ret_first_ms is the time of the first, 0 when there is
// none.
static enum err look(struct history *history, struct range *range, int64_t *ret_first_ms)
{
    *ret_first_ms = 0;
    while (range->from < range->below) {
        struct store_audit *rows = NULL;
        size_t count = 0;
        uint64_t left = range->below - range->from;
        arena_reset(history->page);
        TRY(store_audit_list(history->want->store, range->from, left < PAGE ? (uint32_t)left : PAGE,
                             history->page, &rows, &count));
        if (count == 0)
            return ERR_OK;
        *ret_first_ms = *ret_first_ms == 0 ? rows[0].time_ms : *ret_first_ms;
        for (size_t i = 0; i < count; i++) {
            if (rows[i].sequence >= range->below ||
                (range->until_ms != 0 && rows[i].time_ms > range->until_ms))
                return ERR_OK;
            TRY(take_row(history, range, &rows[i]));
            range->from = rows[i].sequence + 1;
        }
    }
    return ERR_OK;
}

// The newest records, then, before them, those around the known times.
static enum err look_at_chain(struct history *history)
{
    struct store_audit head;
    const struct audit_history_want *want = history->want;
    TRY(store_audit_head(want->store, &head));
    uint64_t end = head.sequence + 1;
    uint64_t tail = end > CHAIN_LOOKS ? end - CHAIN_LOOKS : 1;
    uint64_t looked = 1;
    struct range newest = {.from = tail, .below = end, .anchors = true};
    TRY(look(history, &newest, &history->since_ms));
    for (size_t i = 0; i < want->time_count; i++) {
        uint64_t before = 0;
        int64_t first_ms;
        int64_t time_ms = want->times[i] * 1000;
        TRY(audit_chain_before(want->store, time_ms - BEFORE_MS, &before));
        struct range range = {.from = before + 1 > looked ? before + 1 : looked,
                              .until_ms = time_ms + BEHIND_MS};
        range.below = range.from + TIME_LOOKS < tail ? range.from + TIME_LOOKS : tail;
        TRY(look(history, &range, &first_ms));
        looked = range.from > looked ? range.from : looked;
    }
    return ERR_OK;
}

// ---- the journals ----

// The oldest anchor from which on a journal has at most `most` records; NULL when it has none.
// *ret_first: there is no older one among the newest records.
static const struct audit_anchored *choose(const struct history *history, uint32_t index,
                                           uint64_t most, bool *ret_first)
{
    const struct audit_anchored *chosen = NULL;
    uint64_t end = 0;
    for (size_t i = history->anchor_count; i-- > 0;) {
        const struct audit_anchored *anchor = &history->anchors[i];
        if (anchor->index != index)
            continue;
        end = chosen == NULL ? anchor->count : end;
        *ret_first = end - anchor->count <= most;
        if (!*ret_first)
            return chosen;
        chosen = anchor;
    }
    return chosen;
}

// From the start of the anchor's segment where that is near enough, else from the anchor.
static enum err begin(struct audit_walk *walk, const struct audit_anchored *from, uint64_t most,
                      enum audit_step *ret_step)
{
    TRY(audit_walk_segment(walk, from->segment, ret_step));
    if (*ret_step == AUDIT_STEP_RECORD && from->count - walk->count <= most)
        return ERR_OK;
    return audit_walk_resume(walk, from, ret_step);
}

static enum err walk_on(struct history *history, struct audit_walk *walk, uint64_t most,
                        int64_t *ret_first_ms)
{
    enum audit_step step = AUDIT_STEP_RECORD;
    *ret_first_ms = 0;
    for (uint64_t looks = 0; looks < 2 * most + UNANCHORED; looks++) {
        struct audit_entry entry;
        TRY(audit_walk_next(walk, &step, &entry));
        if (step != AUDIT_STEP_RECORD)
            return ERR_OK;
        *ret_first_ms = *ret_first_ms == 0 ? entry.time_ms : *ret_first_ms;
        TRY(take_request(history, &entry));
    }
    return ERR_OK;
}

static enum err look_at_journal(struct history *history, uint32_t index, uint64_t most)
{
    struct audit_walk walk;
    enum audit_step step = AUDIT_STEP_MISSING;
    bool first = false;
    int64_t first_ms = 0;
    const struct audit_anchored *from = choose(history, index, most, &first);
    if (from == NULL)
        return ERR_OK;
    TRY(audit_walk_init(&walk, history->want->root, index));
    enum err err = begin(&walk, from, most, &step);
    if (err == ERR_OK && step == AUDIT_STEP_RECORD)
        err = walk_on(history, &walk, most, &first_ms);
    audit_walk_done(&walk);
    if (!first && first_ms > history->since_ms)
        history->since_ms = first_ms;
    return err;
}

static enum err look_at_journals(struct history *history)
{
    struct audit_journals journals;
    TRY(audit_walk_list(history->want->root, &journals));
    uint64_t most = journals.count > 0 ? READ_LOOKS / journals.count : 0;
    for (size_t i = 0; i < journals.count; i++)
        TRY(look_at_journal(history, journals.index[i], most < READS_LEAST ? READS_LEAST : most));
    return ERR_OK;
}

enum err audit_history(const struct audit_history_want *want, audit_history_found found,
                       void *context, int64_t *ret_since_ms)
{
    struct history history CLEANUP(history_done) = {
        .want = want, .found = found, .context = context};
    TRY(arena_new(PAGE_ARENA, &history.page));
    TRY(arena_new(PAGE_ARENA, &history.kept));
    TRY(arena_alloc(history.kept, CHAIN_LOOKS, sizeof *history.anchors, &history.anchors));
    TRY(look_at_chain(&history));
    TRY(look_at_journals(&history));
    *ret_since_ms = history.since_ms;
    return ERR_OK;
}
