// SPDX-License-Identifier: Apache-2.0
//
// Searches. The text of the statement depends on the shape of the query alone, values are bound.
// One of these orders drives it, each of which yields ids in order, so that a page stops as soon as
// it is full:
//   by value   the index value with the fewest objects (of one owner), the other values probed;
//   by owner   the owner's objects, when no value is given;
//   by wallet  the wallet's objects, values probed: no value, or only common ones;
//   by id      all objects, values probed: any owner and no value, or only common ones; or the one
//              object that is asked for.
// A rare value of any owner is driven by the index too, and its few matches are sorted.
// Invariant: build() and bind() walk the query in the same order.
#include "store/sqlite/sq_find.h"

#include "store/sqlite/sq_object.h"
#include "store/sqlite/sq_rows.h"

enum {
    WEIGH_MAX = 1024, // matches counted before a value is called common
    TEXT_LIMIT = 8192
};

// Columns as in OBJECT_COLUMNS, of the table called `o`.
#define FIND_COLUMNS                                                                               \
    "o.id, o.version, o.type, o.state, o.flags, o.owner, o.key_id, o.initial_date, "               \
    "o.activation_date, o.process_start_date, o.protect_stop_date, o.deactivation_date, "          \
    "o.destroy_date, o.compromise_date, o.compromise_occurrence_date, o.last_change_date, "        \
    "o.archive_date, o.attributes"

struct plan {
    const struct store_query *query;
    bool by_value;
    bool by_wallet;
    size_t driver; // number of the value that drives
};

struct range_column {
    const char *name;
    bool set;
    struct store_range range;
};

enum { RANGE_COUNT = 8 };

static void ranges_of(const struct store_query *q, struct range_column out[RANGE_COUNT])
{
    const struct range_column columns[RANGE_COUNT] = {
        {"initial_date", q->has_initial, q->initial},
        {"activation_date", q->has_activation, q->activation},
        {"process_start_date", q->has_process_start, q->process_start},
        {"protect_stop_date", q->has_protect_stop, q->protect_stop},
        {"deactivation_date", q->has_deactivation, q->deactivation},
        {"destroy_date", q->has_destroy, q->destroy},
        {"compromise_date", q->has_compromise, q->compromise},
        {"last_change_date", q->has_last_change, q->last_change},
    };
    memcpy(out, columns, sizeof columns);
}

// How many objects a value has, at most WEIGH_MAX.
static enum err weigh(struct sq_db *db, const struct store_query *query,
                      const struct store_index *value, int64_t *ret)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(db, query->any_owner ? SQ_INDEX_WEIGH_ANY : SQ_INDEX_WEIGH, &call));
    sq_call_int(&call, value->kind);
    sq_call_blob(&call, span_of(value->hash, STORE_HASH_LEN));
    if (!query->any_owner)
        sq_call_uuid(&call, &query->owner);
    sq_call_int(&call, WEIGH_MAX);
    TRY(sq_call_step(&call, &row));
    *ret = row ? sq_call_get_int(&call) : 0;
    return ERR_OK;
}

static enum err make_plan(struct sq_db *db, const struct store_query *query, struct plan *ret)
{
    int64_t least = WEIGH_MAX;
    bool one = !uuid_is_zero(&query->only);
    bool wallet = !uuid_is_zero(&query->wallet);
    *ret = (struct plan){.query = query, .by_value = query->index_count > 0 && !one};
    ret->by_wallet = wallet && !one && !ret->by_value;
    if (one)
        return ERR_OK;
    // A single value of one owner drives whatever it weighs.
    if (query->index_count == 0 || (query->index_count == 1 && !query->any_owner))
        return ERR_OK;
    for (size_t i = 0; i < query->index_count; i++) {
        int64_t weight = 0;
        TRY(weigh(db, query, &query->index[i], &weight));
        if (weight < least) {
            least = weight;
            ret->driver = i;
        }
    }
    if (query->any_owner && least == WEIGH_MAX) {
        ret->by_value = false;
        ret->by_wallet = wallet;
    }
    return ERR_OK;
}

static enum err build_filters(const struct plan *plan, struct buf *out)
{
    const struct store_query *q = plan->query;
    if (!uuid_is_zero(&q->wallet) && !plan->by_wallet)
        TRY(buf_put_str(out, " AND EXISTS (SELECT 1 FROM member w WHERE w.set_id = ? AND "
                             "w.member = o.id)"));
    for (size_t i = 0; i < q->index_count; i++) {
        if (plan->by_value && i == plan->driver)
            continue;
        TRY(buf_put_str(out, " AND EXISTS (SELECT 1 FROM object_index p WHERE p.kind = ? AND "
                             "p.hash = ? AND p.owner = "));
        TRY(buf_put_str(out, plan->by_value ? "i.owner AND p.object_id = i.object_id)"
                                            : "o.owner AND p.object_id = o.id)"));
    }
    if (q->type != 0)
        TRY(buf_put_str(out, " AND o.type = ?"));
    if (q->states != 0)
        TRY(buf_put_str(out, " AND (? >> o.state) & 1"));
    struct range_column ranges[RANGE_COUNT];
    ranges_of(q, ranges);
    for (int i = 0; i < RANGE_COUNT; i++) {
        if (ranges[i].set)
            TRY(buf_printf(out, " AND o.%s <> 0 AND o.%s BETWEEN ? AND ?", ranges[i].name,
                           ranges[i].name));
    }
    return ERR_OK;
}

// The column that drives, and by which the page is ordered.
static const char *order_of(const struct plan *plan)
{
    if (plan->by_value)
        return "i.object_id";
    return plan->by_wallet ? "m.member" : "o.id";
}

static const char *source_of(const struct plan *plan)
{
    if (plan->by_value)
        return "object_index i CROSS JOIN object o ON o.id = i.object_id WHERE i.kind = ? AND "
               "i.hash = ? AND ";
    if (plan->by_wallet)
        return "member m CROSS JOIN object o ON o.id = m.member WHERE m.set_id = ? AND ";
    return uuid_is_zero(&plan->query->only) ? "object o WHERE " : "object o WHERE o.id = ? AND ";
}

static enum err build(const struct plan *plan, bool count, struct buf *out)
{
    TRY(buf_put_str(out, count ? "SELECT count(*) FROM " : "SELECT " FIND_COLUMNS " FROM "));
    TRY(buf_printf(out, "%s%s %s ?", source_of(plan), order_of(plan),
                   plan->query->newest_first ? "<" : ">"));
    if (!plan->query->any_owner)
        TRY(buf_put_str(out, plan->by_value ? " AND i.owner = ?" : " AND o.owner = ?"));
    TRY(build_filters(plan, out));
    if (!count)
        TRY(buf_printf(out, " ORDER BY %s%s LIMIT ? OFFSET ?", order_of(plan),
                       plan->query->newest_first ? " DESC" : ""));
    return buf_put_u8(out, 0);
}

static void bind_value(struct sq_call *call, const struct store_index *value)
{
    sq_call_int(call, value->kind);
    sq_call_blob(call, span_of(value->hash, STORE_HASH_LEN));
}

// Behind every id. What is bound is borrowed until the statement is done.
static const struct uuid last = {
    {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};

// What drives the search, and from where on.
static void bind_source(const struct plan *plan, struct sq_call *call)
{
    const struct store_query *q = plan->query;
    if (plan->by_value)
        bind_value(call, &q->index[plan->driver]);
    else if (plan->by_wallet)
        sq_call_uuid(call, &q->wallet);
    else if (!uuid_is_zero(&q->only))
        sq_call_uuid(call, &q->only);
    sq_call_uuid(call, q->newest_first && uuid_is_zero(&q->after) ? &last : &q->after);
}

static void bind(const struct plan *plan, bool count, struct sq_call *call)
{
    const struct store_query *q = plan->query;
    bind_source(plan, call);
    if (!q->any_owner)
        sq_call_uuid(call, &q->owner);
    if (!uuid_is_zero(&q->wallet) && !plan->by_wallet)
        sq_call_uuid(call, &q->wallet);
    for (size_t i = 0; i < q->index_count; i++) {
        if (!plan->by_value || i != plan->driver)
            bind_value(call, &q->index[i]);
    }
    if (q->type != 0)
        sq_call_int(call, q->type);
    if (q->states != 0)
        sq_call_int(call, q->states);
    struct range_column ranges[RANGE_COUNT];
    ranges_of(q, ranges);
    for (int i = 0; i < RANGE_COUNT; i++) {
        if (!ranges[i].set)
            continue;
        sq_call_int(call, ranges[i].range.from);
        sq_call_int(call, ranges[i].range.to);
    }
    if (!count) {
        sq_call_int(call, q->limit);
        sq_call_int(call, q->skip);
    }
}

enum err sq_find_text(struct sq_db *db, const struct store_query *query, bool count,
                      struct buf *out)
{
    struct plan plan;
    TRY(make_plan(db, query, &plan));
    return build(&plan, count, out);
}

static enum err start(struct sq_db *db, const struct store_query *query, bool count,
                      struct sq_call *call)
{
    struct plan plan;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, TEXT_LIMIT, false);
    TRY(make_plan(db, query, &plan));
    TRY(build(&plan, count, &text));
    TRY(sq_call_start_text(db, (const char *)text.data, call));
    bind(&plan, count, call);
    return ERR_OK;
}

enum err sq_find_objects(struct sq_db *db, const struct store_query *query, struct arena *arena,
                         struct store_object **ret, size_t *ret_count)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(start(db, query, false, &call));
    return sq_rows_all(&call, sizeof **ret, sq_object_row, arena, ret, ret_count);
}

enum err sq_find_count(struct sq_db *db, const struct store_query *query, uint64_t *ret)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(start(db, query, true, &call));
    TRY(sq_call_step(&call, &row));
    *ret = row ? (uint64_t)sq_call_get_int(&call) : 0;
    return ERR_OK;
}
