// SPDX-License-Identifier: Apache-2.0
//
// The node's own chain: records of changes, and anchors of the journals. Invariant: the last row
// carries a mark, and no other does, so that rows cut off at the end are missed; who appends behind
// a row without one writes into the new mark where the cut is. The rest of the mark is a MAC under
// a key derived from the audit data key over the last record that was written while the store was
// open: without the root of trust nobody can make one for a chain of their own. What it cannot tell
// is a whole store put back as it once was (audit_head.c).
#include "audit/audit.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "audit/audit_chain.h"
#include "audit/audit_walk.h"
#include "base/clock.h"
#include "base/file.h"
#include "crypto/crypto.h"

enum { ARENA_LIMIT = 1 << 20, ANCHOR_LEN = 4 + 8 + 8 + AUDIT_HASH_LEN };

// Set with the first record, so that a trail of which nothing is left is missed, too.
static const char begun_name[] = "audit_begun";

_Static_assert(8 + 8 + AUDIT_HASH_LEN == STORE_MARK_LEN, "a mark is two numbers and a MAC");
static const char purged_name[] = "audit_purged"; // where the record of the last purge is

static enum err take_fixed(struct cursor *in, void *out, size_t len)
{
    struct span bytes;
    TRY(cursor_bytes(in, len, &bytes));
    memcpy(out, bytes.data, len);
    return ERR_OK;
}

static enum err take_mark(struct cursor *in, struct audit_chain_head *ret)
{
    TRY(cursor_u64(in, &ret->missing));
    TRY(cursor_u64(in, &ret->sealed));
    return take_fixed(in, ret->mac, sizeof ret->mac);
}

static enum err was_begun(struct store *store, bool *ret)
{
    struct span value;
    CLEANUP(arena_freep) struct arena *arena = NULL;
    TRY(arena_new(ARENA_LIMIT, &arena));
    enum err err = store_setting_get(store, true, begun_name, arena, &value);
    *ret = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err audit_chain_head_get(struct store *store, struct audit_chain_head *ret)
{
    struct store_audit last;
    bool expected = true;
    TRY(store_audit_head(store, &last));
    if (last.sequence == 0)
        TRY(was_begun(store, &expected));
    *ret = (struct audit_chain_head){.sequence = last.sequence};
    memcpy(ret->hash, last.hash, AUDIT_HASH_LEN);
    if (last.marked) {
        struct cursor in = cursor_of(span_of(last.mark, sizeof last.mark));
        return take_mark(&in, ret);
    }
    ret->missing = expected ? last.sequence + 1 : 0;
    return ERR_OK;
}

enum err audit_chain_mac(struct span seal_key, const char *use, uint64_t sequence,
                         const uint8_t hash[AUDIT_HASH_LEN], uint8_t out[AUDIT_HASH_LEN])
{
    uint8_t bytes[8 + AUDIT_HASH_LEN];
    uint8_t key[CRYPTO_KEY_LEN];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(sequence >> (56 - 8 * i));
    memcpy(bytes + 8, hash, AUDIT_HASH_LEN);
    TRY(crypto_derive(seal_key, use, key));
    enum err err = crypto_hmac_sha256(span_of(key, sizeof key), span_of(bytes, sizeof bytes), out);
    explicit_bzero(key, sizeof key);
    return err;
}

// The mark of `row`. A record that is not sealed leaves the seal of an earlier one standing.
static enum err make_mark(struct span seal_key, const struct audit_chain_head *last,
                          struct store_audit *row)
{
    uint8_t mac[AUDIT_HASH_LEN];
    struct buf out = {.data = row->mark, .cap = sizeof row->mark, .limit = sizeof row->mark};
    bool seals = seal_key.len > 0;
    if (seals)
        TRY(audit_chain_mac(seal_key, AUDIT_MAC_MARK, row->sequence, row->hash, mac));
    TRY(buf_put_u64(&out, last->missing));
    TRY(buf_put_u64(&out, seals ? row->sequence : last->sealed));
    return buf_put(&out, span_of(seals ? mac : last->mac, AUDIT_HASH_LEN));
}

enum err audit_chain_append(struct store *store, struct span seal_key,
                            const struct audit_chain_head *last, int64_t time_ms,
                            struct span record)
{
    struct store_audit row = {.sequence = last->sequence + 1, .time_ms = time_ms, .record = record};
    TRY(audit_record_hash(last->hash, record, row.hash));
    TRY(make_mark(seal_key, last, &row));
    TRY(store_audit_append(store, &row));
    return row.sequence == 1 ? store_setting_put(store, true, begun_name, span_str("1")) : ERR_OK;
}

enum err audit_append(struct store *store, struct span seal_key, const struct audit_record *record)
{
    struct audit_chain_head last;
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, AUDIT_RECORD_MAX, false);
    TRY(audit_chain_head_get(store, &last));
    struct audit_where where = {AUDIT_CHAIN_NODE, last.sequence + 1};
    TRY(audit_record_request(&bytes, where, seal_key, 0, record));
    return audit_chain_append(store, seal_key, &last, record->time_ms, span_buf(&bytes));
}

enum err audit_chain_purge_get(struct store *store, struct arena *arena, struct store_audit *ret)
{
    struct span value;
    struct store_audit *row = NULL;
    size_t count = 0;
    uint64_t sequence = 0;
    *ret = (struct store_audit){0};
    enum err err = store_setting_get(store, true, purged_name, arena, &value);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    struct cursor in = cursor_of(value);
    if (cursor_u64(&in, &sequence) != ERR_OK || cursor_end(&in) != ERR_OK)
        FAIL(ERR_DAMAGED, "the setting \"%s\" is damaged", purged_name);
    TRY(store_audit_list(store, sequence, 1, arena, &row, &count));
    if (count == 0 || row->sequence != sequence)
        FAIL(ERR_DAMAGED, "record %llu of the audit trail, about the last purge, is not there",
             (unsigned long long)sequence);
    *ret = *row;
    return ERR_OK;
}

enum err audit_chain_purge_put(struct store *store, uint64_t sequence)
{
    uint8_t bytes[8];
    struct buf out = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    TRY(buf_put_u64(&out, sequence));
    return store_setting_put(store, true, purged_name, span_buf(&out));
}

// ---- anchors ----

static void anchor_name(uint32_t index, char out[STORE_NAME_MAX])
{
    (void)snprintf(out, STORE_NAME_MAX, "audit_anchor_%u", (unsigned)index);
}

// Where the last anchor of a journal was; only saves reading the journal from its start.
enum err audit_chain_anchor_get(struct store *store, struct arena *arena, uint32_t index,
                                struct audit_anchored *ret)
{
    char name[STORE_NAME_MAX];
    struct span value;
    anchor_name(index, name);
    *ret = (struct audit_anchored){.index = index};
    enum err err = store_setting_get(store, true, name, arena, &value);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    struct cursor in = cursor_of(value);
    struct audit_anchored got = {.index = index};
    if (cursor_u32(&in, &got.segment) != ERR_OK || cursor_u64(&in, &got.length) != ERR_OK ||
        cursor_u64(&in, &got.count) != ERR_OK ||
        take_fixed(&in, got.hash, AUDIT_HASH_LEN) != ERR_OK || cursor_end(&in) != ERR_OK)
        FAIL(ERR_DAMAGED, "the setting \"%s\" is damaged", name);
    *ret = got;
    return ERR_OK;
}

static enum err put_anchor(struct store *store, const struct audit_anchored *anchor)
{
    char name[STORE_NAME_MAX];
    uint8_t bytes[ANCHOR_LEN];
    struct buf out = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    anchor_name(anchor->index, name);
    TRY(buf_put_u32(&out, anchor->segment));
    TRY(buf_put_u64(&out, anchor->length));
    TRY(buf_put_u64(&out, anchor->count));
    TRY(buf_put(&out, span_of(anchor->hash, AUDIT_HASH_LEN)));
    return store_setting_put(store, true, name, span_buf(&out));
}

// Follows a journal from its last anchor to its end; *ret_new says whether there is more. What is
// found is on the disk before it is anchored: the chain never vouches for what a power cut can
// take.
static enum err follow(int root, struct audit_anchored *anchor, bool *ret_new)
{
    struct audit_walk walk CLEANUP(audit_walk_done);
    enum audit_step step = AUDIT_STEP_RECORD;
    struct audit_entry entry;
    *ret_new = false;
    TRY(audit_walk_init(&walk, root, anchor->index));
    if (anchor->count > 0)
        TRY(audit_walk_resume(&walk, anchor, &step));
    while (step == AUDIT_STEP_RECORD)
        TRY(audit_walk_next(&walk, &step, &entry));
    if (step == AUDIT_STEP_MISSING)
        FAIL(ERR_DAMAGED, "segment %u of the audit journal of reader %u is missing",
             (unsigned)(anchor->segment == 0 ? 1 : anchor->segment), (unsigned)anchor->index);
    if (walk.count > anchor->count) {
        if (fdatasync(walk.fd) != 0)
            return file_raise("fsync", walk.path);
        anchor->segment = walk.segment;
        anchor->length = walk.offset;
        anchor->count = walk.count;
        memcpy(anchor->hash, walk.hash, AUDIT_HASH_LEN);
        *ret_new = true;
    }
    if (step == AUDIT_STEP_BAD)
        FAIL(ERR_DAMAGED, "the audit journal \"%s\" is not sound after record %llu", walk.path,
             (unsigned long long)walk.count);
    return ERR_OK;
}

static enum err enter(struct store *store, const struct audit_anchored *anchor)
{
    struct audit_chain_head last;
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, AUDIT_RECORD_MAX, false);
    TRY(audit_chain_head_get(store, &last));
    struct audit_where where = {AUDIT_CHAIN_NODE, last.sequence + 1};
    int64_t now = clock_wall_ms();
    TRY(audit_record_anchor(&bytes, where, now, anchor));
    TRY(audit_chain_append(store, span_of(NULL, 0), &last, now, span_buf(&bytes)));
    return put_anchor(store, anchor);
}

static enum err enter_all(struct store *store, const struct audit_anchored *anchors, size_t count)
{
    if (count == 0)
        return ERR_OK;
    TRY(store_begin(store, STORE_WRITE));
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = enter(store, &anchors[i]);
    if (err == ERR_OK)
        err = store_commit(store);
    if (err != ERR_OK)
        store_rollback(store);
    return err;
}

// The journals on the disk, and those that were anchored once and should be there.
static enum err list_known(int root, struct store *store, struct arena *arena,
                           struct audit_journals *ret)
{
    TRY(audit_walk_list(root, ret));
    for (uint32_t index = 0; index < AUDIT_JOURNALS_MAX; index++) {
        struct audit_anchored anchor;
        bool listed = false;
        for (size_t i = 0; i < ret->count; i++)
            listed = listed || ret->index[i] == index;
        if (listed)
            continue;
        TRY(audit_chain_anchor_get(store, arena, index, &anchor));
        if (anchor.count > 0) {
            ret->index[ret->count] = index;
            ret->last[ret->count++] = 0;
        }
    }
    return ERR_OK;
}

enum err audit_extent_now(int root, struct store *store, struct audit_extent *ret)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct audit_extent extent = {0};
    struct audit_journals journals;
    struct store_audit head;
    TRY(arena_new(ARENA_LIMIT, &arena));
    TRY(store_audit_head(store, &head));
    extent.chain = head.sequence;
    TRY(audit_walk_list(root, &journals));
    for (size_t i = 0; i < journals.count; i++) {
        struct audit_anchored anchor;
        TRY(audit_chain_anchor_get(store, arena, journals.index[i], &anchor));
        extent.reads[journals.index[i]] = anchor.count;
    }
    *ret = extent;
    return ERR_OK;
}

enum err audit_anchor(int root, struct store *store)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct audit_journals journals;
    struct audit_anchored anchors[AUDIT_JOURNALS_MAX];
    size_t count = 0;
    enum err damage = ERR_OK;
    TRY(arena_new(ARENA_LIMIT, &arena));
    TRY(list_known(root, store, arena, &journals));
    for (size_t i = 0; i < journals.count; i++) {
        bool is_new = false;
        TRY(audit_chain_anchor_get(store, arena, journals.index[i], &anchors[count]));
        enum err err = follow(root, &anchors[count], &is_new);
        if (err != ERR_OK && err != ERR_DAMAGED)
            return err;
        damage = err == ERR_OK ? damage : err;
        count += is_new ? 1 : 0;
    }
    TRY(enter_all(store, anchors, count));
    return damage;
}
