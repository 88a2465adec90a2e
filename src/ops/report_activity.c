// SPDX-License-Identifier: Apache-2.0
//
// How often who has asked for what, allowed and refused, by the audit trail. A page counts one
// stretch of it, of LOOKS_MAX records at most: what one who asked did stands on several pages when
// it lies in several stretches, and is added up by whoever reads them all (the command line does).
// So nothing is kept between pages, and no request reads more than its stretch.
#include "base/clock.h"
#include "base/hex.h"
#include "ops/audit_view.h"
#include "ops/report.h"
#include "ops/verbs.h"

enum {
    LIMIT_DEFAULT = 1000,
    LOOKS_MAX = 20000,
    PASSES_MAX = 200000, // with those that lie before the time asked for
    DAYS_USUAL = 7,
    WHO_MAX = 256,
    WORD_MAX = 64,
    KEY_MAX = 2048, // of what is counted together
};

#define REPORT "activity."

struct activity {
    json_t *rows;
    json_t *found; // of the page, by what is counted together
    size_t limit;
    struct audit_feed *feed;
    struct audit_keys keys;
    struct audit_filter filter;
    bool by_who, by_operation;
    bool ended;
};

static void activity_done(struct activity *activity)
{
    json_decref(activity->rows);
    json_decref(activity->found);
    audit_feed_freep(&activity->feed);
}

// ---- what is wanted ----

static enum err take_times(struct op *op, const json_t *doc, struct audit_filter *filter)
{
    filter->until_ms = (op->now + 1) * 1000; // with what has happened within this second
    TRY(audit_view_time(doc, "until", &filter->until_ms));
    filter->since_ms = filter->until_ms - (int64_t)DAYS_USUAL * REPORT_DAY_S * 1000;
    TRY(audit_view_time(doc, "since", &filter->since_ms));
    if (filter->since_ms >= filter->until_ms)
        FAIL(ERR_INVALID,
             "\"since\" does not lie before \"until\", which is now if it is not given");
    return ERR_OK;
}

static enum err take(struct op *op, const json_t *doc, struct activity *activity)
{
    int64_t limit = LIMIT_DEFAULT;
    const char *by = json_string_value(json_object_get(doc, "by"));
    TRY(take_times(op, doc, &activity->filter));
    TRY(doc_text(doc, "who", WHO_MAX, false, &activity->filter.who));
    TRY(doc_text(doc, "operation", WORD_MAX, false, &activity->filter.verb));
    TRY(doc_integer(doc, "limit", 1, STORE_FIND_MAX, &limit));
    activity->limit = (size_t)limit;
    activity->by_who = by == NULL || strcmp(by, "operation") != 0;
    activity->by_operation = by == NULL || strcmp(by, "who") != 0;
    return ERR_OK;
}

static enum err take_place(struct span cursor, struct audit_extent *ret)
{
    const size_t len = sizeof REPORT - 1;
    if (cursor.len <= len || memcmp(cursor.data, REPORT, len) != 0 ||
        audit_view_place_read(span_of(cursor.data + len, cursor.len - len), ret) != ERR_OK)
        return report_bad_cursor();
    return ERR_OK;
}

// Where the page begins: at its cursor, or where the time asked for begins.
static enum err take_begin(struct op *op, const json_t *doc, struct activity *activity)
{
    struct audit_feed_options options = {.root = op->ops->set.root, .store = op->ops->set.store};
    struct span cursor;
    TRY(doc_text(doc, "cursor", AUDIT_PLACE_MAX, false, &cursor));
    options.since_ms = activity->filter.since_ms;
    if (cursor.len > 0)
        TRY(take_place(cursor, &options.after));
    else
        TRY(audit_chain_before(op->ops->set.store, activity->filter.since_ms,
                               &options.after.chain));
    audit_view_keys(op->ops, &activity->keys);
    return audit_feed_new(&options, &activity->feed);
}

// ---- counting ----

// What is counted together: a name in hexadecimal, since it may hold anything.
static enum err key_of(const struct activity *activity, const struct audit_brief *brief,
                       struct buf *out)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_text(&brief->who, id);
    buf_clear(out);
    if (activity->by_who) {
        TRY(buf_printf(out, "%s %s ", brief->kind, id));
        size_t len = brief->name.len < WHO_MAX ? brief->name.len : WHO_MAX;
        TRY(hex_put(out, span_of(brief->name.data, len)));
    }
    TRY(buf_put_u8(out, ' '));
    if (activity->by_operation)
        TRY(buf_put(out, brief->verb));
    return buf_put_u8(out, 0);
}

static json_t *name_of(const struct audit_brief *brief)
{
    if (brief->name.len == 0 || !span_is_utf8(brief->name))
        return json_null();
    return doc_string(brief->name);
}

static enum err add_row(struct activity *activity, const struct audit_brief *brief, const char *key)
{
    bool known = activity->by_who && !uuid_is_zero(&brief->who);
    json_t *row = json_pack("{s:o, s:o, s:o, s:i, s:i, s:o, s:o, s:o}", "kind",
                            activity->by_who ? json_string(brief->kind) : json_null(), "name",
                            activity->by_who ? name_of(brief) : json_null(), "operation",
                            activity->by_operation ? doc_string(brief->verb) : json_null(),
                            "allowed", 0, "refused", 0, "first", doc_time(brief->time_ms / 1000),
                            "last", json_null(), "id", known ? doc_uuid(&brief->who) : json_null());
    if (row == NULL || json_array_append_new(activity->rows, row) != 0 ||
        json_object_set(activity->found, key, row) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

static enum err count(struct activity *activity, const struct audit_brief *brief, struct buf *key)
{
    TRY(key_of(activity, brief, key));
    const char *text = (const char *)key->data;
    if (json_object_get(activity->found, text) == NULL)
        TRY(add_row(activity, brief, text));
    json_t *row = json_object_get(activity->found, text);
    json_t *number = json_object_get(row, brief->allowed ? "allowed" : "refused");
    (void)json_integer_set(number, json_integer_value(number) + 1);
    return doc_set(row, "last", doc_time(brief->time_ms / 1000));
}

// Counts one record, which costs one of the looks where it lies in the time asked for.
static enum err look(struct activity *activity, struct buf *key, int *looks)
{
    const struct audit_item *item = NULL;
    struct audit_brief brief;
    bool counts = false;
    bool fits = false;
    TRY(audit_feed_next(activity->feed, &item));
    activity->ended = item == NULL || item->time_ms >= activity->filter.until_ms + AUDIT_SLACK_MS;
    if (activity->ended)
        return ERR_OK;
    *looks -= item->time_ms >= activity->filter.since_ms;
    TRY(audit_feed_matches(activity->feed, &activity->keys, &activity->filter, &fits));
    if (fits)
        TRY(audit_feed_brief(activity->feed, &activity->keys, &brief, &counts));
    return counts ? count(activity, &brief, key) : ERR_OK;
}

static enum err fill(struct activity *activity)
{
    struct buf key CLEANUP(buf_done);
    buf_init(&key, KEY_MAX, true);
    int looks = LOOKS_MAX;
    for (int passed = 0; passed < PASSES_MAX && looks > 0 && !activity->ended; passed++) {
        if (json_array_size(activity->rows) == activity->limit)
            return ERR_OK;
        TRY(look(activity, &key, &looks));
    }
    return ERR_OK;
}

static json_t *next_of(const struct activity *activity)
{
    struct audit_extent place;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, AUDIT_PLACE_MAX + 1, false);
    if (activity->ended)
        return json_null();
    audit_feed_place(activity->feed, &place);
    if (buf_put_str(&text, REPORT) != ERR_OK)
        return NULL;
    return audit_view_place_text(&place, &text) == ERR_OK ? doc_string(span_buf(&text)) : NULL;
}

// {"since", "until", "who", "operation", "by", "cursor", "limit"}
enum err report_activity_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    CLEANUP(activity_done)
    struct activity activity = {.rows = json_array(), .found = json_object()};
    TRY(doc_params(op, &doc));
    TRY(take(op, doc, &activity));
    TRY(take_begin(op, doc, &activity));
    TRY(fill(&activity));
    TRY(doc_set(answer, "rows", json_incref(activity.rows)));
    TRY(doc_set(answer, "next_cursor", next_of(&activity)));
    return doc_answer(op, json_incref(answer));
}
