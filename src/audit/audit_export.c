// SPDX-License-Identifier: Apache-2.0
//
// Writing blocks. An export takes the chain first, then each journal; a block holds records of one
// of them, side by side. Nothing is kept between blocks: where to go on stands in the place, and
// what a caller makes of that shows in the file, since each block says what it follows.
#include "audit/audit_export.h"

#include "audit/audit_line.h"
#include "audit/audit_walk.h"
#include "base/clock.h"
#include "base/rand.h"

enum { BLOCK_RECORDS = 1000, BLOCK_BYTES = 1 << 20 };

struct block {
    const struct audit_export *job;
    struct audit_line line; // room for the one that is put
    uint8_t digest[AUDIT_HASH_LEN];
    uint64_t after, last; // records before the block, last one in it
    uint8_t before[AUDIT_HASH_LEN];
    uint64_t count;
    bool chain_ends;
};

static enum err put_begin(struct block *b, const struct audit_export_place *place, struct buf *out)
{
    struct audit_line *line = &b->line;
    line->kind = AUDIT_LINE_BLOCK;
    line->id = place->id;
    line->block = place->block;
    line->chain = place->chain;
    line->sequence = b->after;
    line->time_ms = clock_wall_ms();
    memcpy(line->hash, b->before, AUDIT_HASH_LEN);
    memcpy(line->bytes, b->job->signer->public_key, AUDIT_PUBLIC_LEN);
    line->len = AUDIT_PUBLIC_LEN;
    return audit_line_put(b->job->format, line, NULL, b->digest, out);
}

static enum err put_record(struct block *b, struct audit_feed *feed, const struct audit_item *item,
                           struct buf *out)
{
    json_t *told = NULL;
    struct audit_line *line = &b->line;
    if (item->record.len > sizeof line->bytes)
        FAIL(ERR_DAMAGED, "audit record %llu is too long", (unsigned long long)item->sequence);
    line->kind = AUDIT_LINE_RECORD;
    line->sequence = item->sequence;
    line->chain = item->chain;
    line->time_ms = item->time_ms;
    memcpy(line->hash, item->hash, AUDIT_HASH_LEN);
    memcpy(line->bytes, item->record.data, item->record.len);
    line->len = item->record.len;
    TRY(audit_feed_json(feed, b->job->keys, &told));
    enum err err = audit_line_put(b->job->format, line, told, b->digest, out);
    json_decref(told);
    b->last = item->sequence;
    b->count++;
    return err;
}

static enum err put_seal(struct block *b, const struct audit_export_place *place, bool end,
                         struct buf *out)
{
    uint8_t bytes[256];
    struct buf statement = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    struct audit_line *line = &b->line;
    line->kind = AUDIT_LINE_SEAL;
    line->id = place->id;
    line->block = place->block;
    line->chain = place->chain;
    line->sequence = b->after;
    line->last = b->last;
    line->end = end;
    memcpy(line->hash, b->digest, AUDIT_HASH_LEN);
    TRY(audit_line_statement(line, &statement));
    TRY(ed25519_sign(b->job->signer->private_key, span_buf(&statement), line->bytes));
    line->len = ED25519_SIGNATURE_LEN;
    return audit_line_put(b->job->format, line, NULL, b->digest, out);
}

static bool is_over(const struct audit_export *job, const struct audit_item *item)
{
    return item == NULL || (job->until_ms > 0 && item->time_ms >= job->until_ms);
}

// The records of one block, from the item that the feed gave last.
static enum err put_records(struct block *b, struct audit_feed *feed, const struct audit_item *item,
                            size_t begin, struct buf *out)
{
    while (!is_over(b->job, item) && b->count < BLOCK_RECORDS && out->len - begin < BLOCK_BYTES) {
        TRY(put_record(b, feed, item, out));
        TRY(audit_feed_next(feed, &item));
    }
    b->chain_ends = is_over(b->job, item);
    return ERR_OK;
}

// Passes over what is too old, at the beginning of a chain.
static enum err find_begin(const struct audit_export *job, struct audit_feed *feed,
                           const struct audit_item **ret)
{
    do
        TRY(audit_feed_next(feed, ret));
    while (*ret != NULL && (*ret)->time_ms < job->since_ms);
    return ERR_OK;
}

static enum err open_feed(const struct audit_export *job, struct audit_export_place *place,
                          bool first, struct audit_feed **ret)
{
    struct audit_feed_options options = {.root = job->root,
                                         .store = job->store,
                                         .raw = true,
                                         .one_chain = true,
                                         .chain = place->chain};
    if (first && place->chain == AUDIT_CHAIN_NODE && job->since_ms > 0)
        TRY(audit_chain_before(job->store, job->since_ms, &place->after));
    if (place->chain == AUDIT_CHAIN_NODE)
        options.after.chain = place->after;
    else
        options.after.reads[place->chain - 1] = place->after;
    return audit_feed_new(&options, ret);
}

// The journal behind this chain; *ret_none when there is no more.
static enum err next_chain(const struct audit_export *job, uint32_t chain, uint32_t *ret,
                           bool *ret_none)
{
    struct audit_journals journals;
    TRY(audit_walk_list(job->root, &journals));
    *ret_none = true;
    for (size_t i = journals.count; i-- > 0;) {
        if (journals.index[i] + 1 > chain) {
            *ret = journals.index[i] + 1;
            *ret_none = false;
        }
    }
    return ERR_OK;
}

static enum err fill_block(struct block *b, struct audit_export_place *place, bool first,
                           struct buf *out)
{
    CLEANUP(audit_feed_freep) struct audit_feed *feed = NULL;
    const struct audit_item *item = NULL;
    size_t begin = out->len;
    TRY(open_feed(b->job, place, first, &feed));
    if (first)
        TRY(find_begin(b->job, feed, &item));
    else
        TRY(audit_feed_next(feed, &item));
    b->after = item == NULL ? place->after : item->sequence - 1;
    b->last = b->after;
    if (item != NULL)
        memcpy(b->before, item->before, AUDIT_HASH_LEN);
    TRY(put_begin(b, place, out));
    return put_records(b, feed, item, begin, out);
}

static enum err begin_export(const struct audit_export *job, struct audit_export_place *place,
                             struct buf *out)
{
    *place = (struct audit_export_place){.chain = AUDIT_CHAIN_NODE};
    place->id = uuid_random();
    return job->format == AUDIT_CSV ? buf_put_str(out, audit_line_columns) : ERR_OK;
}

enum err audit_export_block(const struct audit_export *job, struct audit_export_place *place,
                            struct buf *out, bool *ret_end)
{
    struct block b = {.job = job};
    uint32_t following = 0;
    bool none = false;
    // A chain begins with the block that has nothing in front of it.
    bool first = place->block == 0 || place->after == 0;
    if (place->block == 0)
        TRY(begin_export(job, place, out));
    if (place->chain > AUDIT_READERS_MAX)
        FAIL(ERR_INVALID, "the cursor is not one of an export");
    place->block++;
    TRY(fill_block(&b, place, first, out));
    if (b.chain_ends)
        TRY(next_chain(job, place->chain, &following, &none));
    *ret_end = b.chain_ends && none;
    TRY(put_seal(&b, place, *ret_end, out));
    place->after = b.chain_ends ? 0 : b.last;
    if (b.chain_ends && !none)
        place->chain = following;
    return ERR_OK;
}
