// SPDX-License-Identifier: Apache-2.0
//
// Keeping the trail: export, the confirmation that an export has arrived, purge by hand and by age,
// the key that signs. Invariant: what was exported is believed only by seals of our own
// (audit_line.h), and counts only where it goes on without a gap from what was exported before, so
// that nothing is purged which no file has.
#include "ops/audit_keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/log.h"
#include "ops/audit_view.h"
#include "ops/keys.h"
#include "ops/signer.h"
#include "ops/verbs.h"

#define SETTING "audit.retention"

enum {
    EXPORT_CURSOR_MAX = 128,
    EXPORT_MAX = 2 * 1024 * 1024,
    SEALS_MAX = 200,
    RETENTION_LOOK_MS = 3600 * 1000,
    SETTLE_LOOK_MS = 200,
    DAYS_MAX = 36500
};

// ---- export ----

// "ID.BLOCK.CHAIN.AFTER"
static enum err take_cursor(const json_t *doc, struct audit_export_place *ret)
{
    struct span text;
    char copy[EXPORT_CURSOR_MAX + 1];
    unsigned long long block = 0;
    unsigned long long after = 0;
    unsigned chain = 0;
    int end = 0;
    *ret = (struct audit_export_place){0};
    TRY(doc_text(doc, "cursor", EXPORT_CURSOR_MAX, false, &text));
    if (text.len == 0)
        return ERR_OK;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (text.len < UUID_TEXT_LEN || uuid_parse(span_of(copy, UUID_TEXT_LEN), &ret->id) != ERR_OK ||
        sscanf(copy + UUID_TEXT_LEN, ".%9llu.%3u.%18llu%n", &block, &chain, &after, &end) != 3 ||
        copy[UUID_TEXT_LEN + end] != '\0' || block == 0)
        FAIL(ERR_INVALID, "the cursor is not one that a block of an export has ended with");
    ret->block = block;
    ret->chain = chain;
    ret->after = after;
    return ERR_OK;
}

static json_t *cursor_json(const struct audit_export_place *place)
{
    char id[UUID_TEXT_LEN + 1];
    char text[EXPORT_CURSOR_MAX];
    uuid_text(&place->id, id);
    (void)snprintf(text, sizeof text, "%s.%llu.%u.%llu", id, (unsigned long long)place->block,
                   (unsigned)place->chain, (unsigned long long)place->after);
    return json_string(text);
}

static enum err tell_export(struct op *op, const struct audit_export_place *place, bool end)
{
    char text[128];
    (void)snprintf(text, sizeof text, "block %llu%s", (unsigned long long)place->block,
                   end ? ", the last one" : "");
    return arena_copy(op->arena, span_str(text), &op->detail);
}

enum err audit_keep_export_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct audit_keys keys;
    struct audit_signer signer;
    struct audit_export_place place;
    struct audit_export job = {
        .root = op->ops->set.root, .store = op->ops->set.store, .keys = &keys, .signer = &signer};
    struct buf text CLEANUP(buf_done);
    bool end = false;
    buf_init(&text, EXPORT_MAX, false);
    TRY(doc_params(op, &doc));
    const char *format = json_string_value(json_object_get(doc, "format"));
    job.format = format != NULL && strcmp(format, "csv") == 0 ? AUDIT_CSV : AUDIT_JSON_LINES;
    TRY(audit_view_time(doc, "since", &job.since_ms));
    TRY(audit_view_time(doc, "until", &job.until_ms));
    TRY(take_cursor(doc, &place));
    audit_view_keys(op->ops, &keys);
    TRY(signer_get(op->ops, op->arena, &signer));
    TRY(audit_export_block(&job, &place, &text, &end));
    TRY(tell_export(op, &place, end));
    return doc_answer(op, json_pack("{s:o, s:o}", "text", doc_string(span_buf(&text)),
                                    "next_cursor", end ? json_null() : cursor_json(&place)));
}

// ---- confirmation ----

// Raises what counts as exported by one block.
static enum err count_seal(struct op *op, const uint8_t *key, const json_t *seal,
                           uint64_t chain_floor, struct audit_extent *extent)
{
    struct audit_sealed_range range;
    const char *text = json_string_value(seal);
    if (text == NULL)
        FAIL(ERR_INVALID, "\"seals\" is a list of lines");
    (void)op;
    TRY(audit_seal_read(span_of(text, strcspn(text, "\r\n")), key, &range));
    bool chain = range.chain == 0;
    uint64_t *known = chain ? &extent->chain : &extent->reads[range.chain - 1];
    uint64_t reached = chain && chain_floor > *known ? chain_floor : *known;
    if (range.after <= reached && range.last > *known)
        *known = range.last;
    return ERR_OK;
}

static enum err count_seals(struct op *op, const json_t *seals, struct audit_extent *extent)
{
    struct audit_signing signing;
    struct store_audit floor;
    size_t count = json_array_size(seals);
    if (count == 0 || count > SEALS_MAX)
        FAIL(ERR_INVALID, "\"seals\" has 1 to %d lines", SEALS_MAX);
    TRY(audit_signing_get(op->ops->set.store, &signing));
    // Without a key nothing was sealed, and a key of zeros would verify what anybody makes up.
    if (!signing.has_key)
        FAIL(ERR_WRONG_STATE, "nothing was exported yet: begin with `keyward audit export`");
    TRY(store_audit_floor(op->ops->set.store, &floor));
    for (size_t i = 0; i < count; i++)
        TRY(count_seal(op, signing.public_key, json_array_get(seals, i), floor.sequence, extent));
    return ERR_OK;
}

enum err audit_keep_confirm_run(struct op *op)
{
    char text[128];
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct audit_extent extent;
    TRY(doc_params(op, &doc));
    TRY(audit_exported_get(op->ops->set.store, &extent));
    TRY(count_seals(op, json_object_get(doc, "seals"), &extent));
    TRY(audit_exported_put(op->ops->set.store, &extent));
    (void)snprintf(text, sizeof text, "exported up to record %llu",
                   (unsigned long long)extent.chain);
    TRY(arena_copy(op->arena, span_str(text), &op->detail));
    return doc_answer(op, json_pack("{s:I}", "exported_through", (json_int_t)extent.chain));
}

// ---- purge ----

// Reads have no index by time: a journal's segments that end before the time go by their files'
// records, of which the last one before it counts.
static enum err reads_before(struct op *op, int64_t before_ms, struct audit_extent *ret)
{
    CLEANUP(audit_feed_freep) struct audit_feed *feed = NULL;
    struct audit_feed_options options = {.root = op->ops->set.root, .store = op->ops->set.store};
    const struct audit_item *item = NULL;
    TRY(audit_exported_get(op->ops->set.store, &options.after));
    struct audit_extent exported = options.after;
    options.after.chain = UINT64_MAX >> 1;
    memset(options.after.reads, 0, sizeof options.after.reads);
    TRY(audit_feed_new(&options, &feed));
    for (;;) {
        TRY(audit_feed_next(feed, &item));
        if (item == NULL || item->time_ms >= before_ms)
            break;
        uint64_t *known = &ret->reads[item->chain - 1];
        if (item->sequence <= exported.reads[item->chain - 1])
            *known = item->sequence;
    }
    return ERR_OK;
}

static enum err purge_before(struct op *op, int64_t before_ms, bool dry_run,
                             struct audit_purge *purge)
{
    *purge = (struct audit_purge){0};
    TRY(audit_chain_before(op->ops->set.store, before_ms, &purge->wish.chain));
    TRY(reads_before(op, before_ms, &purge->wish));
    return audit_purge(op->ops->set.root, op->ops->set.store, dry_run, purge);
}

enum err audit_keep_purge_run(struct op *op)
{
    char text[160];
    int64_t before_ms = 0;
    bool dry_run = false;
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct audit_purge purge;
    TRY(doc_params(op, &doc));
    TRY(doc_dry_run(doc, &dry_run));
    TRY(audit_view_time(doc, "before", &before_ms));
    TRY(purge_before(op, before_ms, dry_run, &purge));
    if (purge.records == 0 && purge.segments == 0 && !dry_run)
        FAIL(ERR_WRONG_STATE,
             "nothing was purged: a record goes when it is older than the given time, was exported "
             "(`keyward audit export`) and a signed head stands behind it");
    op->ops->next_retention = 0;
    (void)snprintf(text, sizeof text, "%llu records, up to %llu, and %u files of reads",
                   (unsigned long long)purge.records, (unsigned long long)purge.through,
                   (unsigned)purge.segments);
    TRY(arena_copy(op->arena, span_str(text), &op->detail));
    return doc_answer(op,
                      json_pack("{s:I, s:I, s:i}", "records", (json_int_t)purge.records, "through",
                                (json_int_t)purge.through, "files", (int)purge.segments));
}

// ---- retention ----

enum err audit_keep_days(struct ops *ops, struct arena *arena, int64_t *ret)
{
    struct span text;
    *ret = 0;
    enum err err = store_setting_get(ops->set.store, true, SETTING, arena, &text);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    struct cursor in = cursor_of(text);
    uint64_t days = 0;
    if (cursor_u64(&in, &days) != ERR_OK || days > DAYS_MAX)
        FAIL(ERR_DAMAGED, "the setting \"" SETTING "\" of the store is damaged");
    *ret = (int64_t)days;
    return ERR_OK;
}

enum err audit_keep_retention_run(struct op *op)
{
    char text[64];
    int64_t days = -1;
    uint8_t bytes[8];
    struct buf out = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    CLEANUP(doc_freep) json_t *doc = NULL;
    TRY(doc_params(op, &doc));
    TRY(doc_integer(doc, "days", 0, DAYS_MAX, &days));
    TRY(buf_put_u64(&out, (uint64_t)days));
    TRY(store_setting_put(op->ops->set.store, true, SETTING, span_buf(&out)));
    op->ops->next_retention = 0;
    (void)snprintf(text, sizeof text, "%lld days", (long long)days);
    TRY(arena_copy(op->arena, span_str(text), &op->detail));
    return doc_answer(op, json_pack("{s:I}", "days", (json_int_t)days));
}

// What is older than the policy says goes, with its record, as far as it was exported.
static enum err purge_by_age(struct ops *ops, struct arena *arena)
{
    int64_t days = 0;
    struct audit_purge purge;
    struct op op = {.ops = ops, .arena = arena, .now = clock_wall_s()};
    TRY(audit_keep_days(ops, arena, &days));
    if (days == 0)
        return ERR_OK;
    TRY(purge_before(&op, clock_wall_ms() - days * 24 * 3600 * 1000, false, &purge));
    if (purge.records + purge.segments > 0)
        log_event(LOG_LEVEL_INFO, "audit_purged records=%llu through=%llu files=%u",
                  (unsigned long long)purge.records, (unsigned long long)purge.through,
                  (unsigned)purge.segments);
    return ERR_OK;
}

static enum err in_transaction(struct ops *ops)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    TRY(arena_new(EXPORT_MAX, &arena));
    TRY(store_begin(ops->set.store, STORE_WRITE));
    enum err err = purge_by_age(ops, arena);
    if (err != ERR_OK) {
        store_rollback(ops->set.store);
        return err;
    }
    return store_commit(ops->set.store);
}

static void shorten(int *wait_ms, int64_t until, int64_t now)
{
    int left = until > now ? (int)(until - now) : 0;
    *wait_ms = *wait_ms < 0 || left < *wait_ms ? left : *wait_ms;
}

enum err audit_keep_idle(struct ops *ops, int *wait_ms)
{
    bool more = false;
    int64_t now = clock_mono_ms();
    if (now >= ops->next_retention) {
        ops->next_retention = now + RETENTION_LOOK_MS;
        ops->next_settle = now;
        TRY(in_transaction(ops));
    }
    if (now >= ops->next_settle) {
        TRY(audit_purge_settle(ops->set.root, ops->set.store, &more));
        ops->next_settle = more ? now + SETTLE_LOOK_MS : INT64_MAX;
    }
    shorten(wait_ms, ops->next_retention, now);
    if (ops->next_settle != INT64_MAX)
        shorten(wait_ms, ops->next_settle, now);
    return ERR_OK;
}

// ---- the key ----

enum err audit_keep_rotate_run(struct op *op)
{
    uint8_t key[AUDIT_PUBLIC_LEN];
    CLEANUP(doc_freep) json_t *doc = NULL;
    TRY(doc_params(op, &doc));
    TRY(signer_rotate(op, key));
    op->detail = span_str("a new key signs the audit trail");
    return doc_answer(op, json_pack("{s:o}", "public_key", audit_view_hex(key, sizeof key)));
}

// ---- status ----

// Without room nothing is recorded, and so nothing answered. -1: it cannot be told.
static int room_percent(const struct op *op)
{
    struct statvfs fs;
    if (fstatvfs(op->ops->set.root, &fs) != 0 || fs.f_blocks == 0)
        return -1;
    return (int)(fs.f_bavail * 100 / fs.f_blocks);
}

enum err audit_keep_status_run(struct op *op)
{
    struct store *store = op->ops->set.store;
    struct store_audit head;
    struct store_audit floor;
    struct audit_signing signing;
    struct audit_extent exported;
    int64_t days = 0;
    CLEANUP(doc_freep) json_t *doc = NULL;
    TRY(doc_params(op, &doc));
    TRY(store_audit_head(store, &head));
    TRY(store_audit_floor(store, &floor));
    TRY(audit_signing_get(store, &signing));
    TRY(audit_exported_get(store, &exported));
    TRY(audit_keep_days(op->ops, op->arena, &days));
    json_t *key =
        signing.has_key ? audit_view_hex(signing.public_key, AUDIT_PUBLIC_LEN) : json_null();
    return doc_answer(op, json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:i}", "first",
                                    (json_int_t)floor.sequence + 1, "last",
                                    (json_int_t)head.sequence, "records",
                                    (json_int_t)(head.sequence - floor.sequence), "public_key", key,
                                    "signed_through", json_integer((json_int_t)signing.sequence),
                                    "signed", doc_time(signing.time_ms / 1000), "exported_through",
                                    (json_int_t)exported.chain, "retention_days", (json_int_t)days,
                                    "room_percent", room_percent(op)));
}
