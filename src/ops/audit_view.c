// SPDX-License-Identifier: Apache-2.0
//
// Looking at the trail: list with filters, status, verification. A page ends after PAGE_LOOKS
// records that were looked at, so that a filter which fits nothing holds nobody up: it may be empty
// and yet have a next one.
#include "ops/audit_view.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hex.h"
#include "ops/keys.h"
#include "ops/verbs.h"

enum { LIST_DEFAULT = 100, PAGE_LOOKS = 20000, WORD_MAX = 64, WHO_MAX = 256 };

void audit_view_keys(const struct ops *ops, struct audit_keys *ret)
{
    *ret = (struct audit_keys){.count = 0};
    while (ret->count < AUDIT_KEYS_MAX) {
        struct span key = keys_nth(ops, "audit", ret->count);
        if (key.len == 0)
            return;
        ret->keys[ret->count++] = key;
    }
}

enum err audit_view_time(const json_t *doc, const char *name, int64_t *ret_ms)
{
    const char *text = json_string_value(json_object_get(doc, name));
    if (text != NULL && !clock_parse(text, ret_ms))
        FAIL(ERR_INVALID,
             "\"%s\" is no time: give it as 2026-01-31T12:00:00Z or as a day, 2026-01-31", name);
    return ERR_OK;
}

json_t *audit_view_hex(const uint8_t *bytes, size_t len)
{
    char text[2 * 64 + 1];
    if (len > 64)
        return NULL;
    hex_text(span_of(bytes, len), text);
    return json_string(text);
}

// ---- places ----

enum err audit_view_place_text(const struct audit_extent *place, struct buf *out)
{
    TRY(buf_printf(out, "c%llu", (unsigned long long)place->chain));
    for (size_t i = 0; i < AUDIT_READERS_MAX; i++) {
        if (place->reads[i] > 0)
            TRY(buf_printf(out, ".r%zu-%llu", i, (unsigned long long)place->reads[i]));
    }
    return ERR_OK;
}

static bool take_number(const char **text, uint64_t *ret)
{
    char *end = NULL;
    if (**text < '0' || **text > '9')
        return false;
    *ret = strtoull(*text, &end, 10);
    bool good = end - *text <= 18;
    *text = end;
    return good;
}

static bool take_place(const char *text, struct audit_extent *ret)
{
    if (*text++ != 'c' || !take_number(&text, &ret->chain))
        return false;
    while (*text != '\0') {
        uint64_t reader = 0;
        if (*text++ != '.' || *text++ != 'r' || !take_number(&text, &reader) ||
            reader >= AUDIT_READERS_MAX || *text++ != '-' ||
            !take_number(&text, &ret->reads[reader]))
            return false;
    }
    return true;
}

enum err audit_view_place_read(struct span text, struct audit_extent *ret)
{
    char copy[AUDIT_PLACE_MAX + 1];
    struct audit_extent place = {0};
    if (text.len > AUDIT_PLACE_MAX)
        FAIL(ERR_INVALID, "the cursor is too long");
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (!take_place(copy, &place))
        FAIL(ERR_INVALID, "the cursor is not one that a page of this list has ended with");
    *ret = place;
    return ERR_OK;
}

// ---- list ----

static enum err take_filter(const json_t *doc, struct audit_filter *ret)
{
    struct span object;
    TRY(audit_view_time(doc, "since", &ret->since_ms));
    TRY(audit_view_time(doc, "until", &ret->until_ms));
    TRY(doc_text(doc, "verb", WORD_MAX, false, &ret->verb));
    TRY(doc_text(doc, "outcome", WORD_MAX, false, &ret->outcome));
    TRY(doc_text(doc, "who", WHO_MAX, false, &ret->who));
    TRY(doc_text(doc, "object", WORD_MAX, false, &object));
    if (object.len > 0 && uuid_parse(object, &ret->object) != ERR_OK)
        FAIL(ERR_INVALID, "\"object\" is the identifier of an object");
    return ERR_OK;
}

// Where a page begins: at its cursor, or where the time asked for begins.
static enum err take_begin(struct op *op, const json_t *doc, const struct audit_filter *filter,
                           struct audit_extent *ret)
{
    struct span cursor;
    TRY(doc_text(doc, "cursor", AUDIT_PLACE_MAX, false, &cursor));
    if (cursor.len > 0)
        return audit_view_place_read(cursor, ret);
    *ret = (struct audit_extent){0};
    return filter->since_ms > 0
               ? audit_chain_before(op->ops->set.store, filter->since_ms, &ret->chain)
               : ERR_OK;
}

struct page {
    struct audit_feed *feed;
    struct audit_keys keys;
    struct audit_filter filter;
    json_t *records;
    size_t limit;
    bool ended;
};

static enum err add_record(struct page *page)
{
    bool fits = false;
    json_t *record = NULL;
    TRY(audit_feed_matches(page->feed, &page->keys, &page->filter, &fits));
    if (!fits)
        return ERR_OK;
    TRY(audit_feed_json(page->feed, &page->keys, &record));
    if (json_array_append_new(page->records, record) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

static enum err fill_page(struct page *page)
{
    for (int looks = 0; looks < PAGE_LOOKS; looks++) {
        const struct audit_item *item = NULL;
        if (json_array_size(page->records) == page->limit)
            return ERR_OK;
        TRY(audit_feed_next(page->feed, &item));
        page->ended = item == NULL;
        if (page->ended)
            return ERR_OK;
        TRY(add_record(page));
    }
    return ERR_OK;
}

static enum err set_next(const struct page *page, json_t *answer)
{
    struct audit_extent place;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, AUDIT_PLACE_MAX + 1, false);
    if (page->ended)
        return doc_set(answer, "next_cursor", json_null());
    audit_feed_place(page->feed, &place);
    TRY(audit_view_place_text(&place, &text));
    return doc_set(answer, "next_cursor", doc_string(span_buf(&text)));
}

enum err audit_view_list_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    CLEANUP(audit_feed_freep) struct audit_feed *feed = NULL;
    struct page page = {.records = json_array()};
    struct audit_feed_options options = {.root = op->ops->set.root, .store = op->ops->set.store};
    int64_t limit = LIST_DEFAULT;
    TRY(doc_set(answer, "records", page.records));
    TRY(doc_params(op, &doc));
    TRY(take_filter(doc, &page.filter));
    TRY(doc_integer(doc, "limit", 1, 1000, &limit));
    TRY(take_begin(op, doc, &page.filter, &options.after));
    options.since_ms = page.filter.since_ms;
    TRY(audit_feed_new(&options, &feed));
    page.feed = feed;
    page.limit = (size_t)limit;
    audit_view_keys(op->ops, &page.keys);
    TRY(fill_page(&page));
    TRY(set_next(&page, answer));
    return doc_answer(op, json_incref(answer));
}

// ---- verification ----

static enum err take_key(const json_t *doc, uint8_t out[AUDIT_PUBLIC_LEN], bool *ret_given)
{
    struct span text;
    TRY(doc_text(doc, "public_key", 2 * AUDIT_PUBLIC_LEN, false, &text));
    *ret_given = text.len > 0;
    for (size_t i = 0; i < text.len; i += 2) {
        char pair[3] = {(char)text.data[i], i + 1 < text.len ? (char)text.data[i + 1] : 'x', '\0'};
        char *end = NULL;
        long value = strtol(pair, &end, 16);
        if (*end != '\0' || text.len != 2 * AUDIT_PUBLIC_LEN || strspn(pair, "+- ") > 0)
            FAIL(ERR_INVALID, "\"public_key\" has 64 hexadecimal digits, as `audit status` tells");
        out[i / 2] = (uint8_t)value;
    }
    return ERR_OK;
}

// Without a key of the asker's, the sealed one must have signed: the trail's own word is not taken.
static enum err own_key(struct op *op, uint8_t out[AUDIT_PUBLIC_LEN], bool *ret_known)
{
    struct audit_signing signing;
    TRY(audit_signing_get(op->ops->set.store, &signing));
    *ret_known = signing.has_key;
    memcpy(out, signing.public_key, AUDIT_PUBLIC_LEN);
    return ERR_OK;
}

static enum err check_seal(struct ops *ops, struct audit_verdict *verdict)
{
    struct audit_keys keys;
    audit_view_keys(ops, &keys);
    return audit_verify_head(ops->set.store, keys.keys, keys.count, verdict);
}

enum err audit_view_verify(struct ops *ops, const uint8_t *trusted, struct audit_verdict *ret)
{
    TRY(audit_verify(ops->set.root, ops->set.store, trusted, ret));
    if (!ret->sound || !ops->open)
        return ERR_OK;
    struct audit_verdict verdict = *ret;
    TRY(check_seal(ops, &verdict));
    if (!verdict.sound) { // or sealed with a key that came a moment ago
        TRY(keys_refresh(ops));
        verdict = *ret;
        TRY(check_seal(ops, &verdict));
    }
    *ret = verdict;
    return ERR_OK;
}

static json_t *signed_json(uint64_t sequence, int64_t time_ms)
{
    return sequence == 0 ? json_null()
                         : json_pack("{s:I, s:o}", "sequence", (json_int_t)sequence, "time",
                                     doc_time(time_ms / 1000));
}

enum err audit_view_verify_run(struct op *op)
{
    struct audit_verdict verdict;
    uint8_t key[AUDIT_PUBLIC_LEN];
    bool known = false;
    CLEANUP(doc_freep) json_t *doc = NULL;
    TRY(doc_params(op, &doc));
    TRY(take_key(doc, key, &known));
    if (!known)
        TRY(own_key(op, key, &known));
    TRY(audit_view_verify(op->ops, known ? key : NULL, &verdict));
    json_t *signer =
        verdict.has_key ? audit_view_hex(verdict.public_key, AUDIT_PUBLIC_LEN) : json_null();
    return doc_answer(
        op, json_pack("{s:b, s:I, s:I, s:I, s:I, s:s, s:o, s:o}", "sound", verdict.sound, "first",
                      (json_int_t)verdict.first, "records", (json_int_t)verdict.records,
                      "read_records", (json_int_t)verdict.read_records, "bad_sequence",
                      (json_int_t)verdict.bad_sequence, "what", verdict.what, "public_key", signer,
                      "signed", signed_json(verdict.signed_sequence, verdict.signed_ms)));
}
