// SPDX-License-Identifier: Apache-2.0
//
// Locate (KMIP 1.4 section 4.9): every filter must match, and a filter that is not understood
// matches nothing, never everything. What the store can tell (index values, dates, type) it
// filters; what it cannot (state that dates have moved on, masks, attributes without an index) is
// compared here, object by object. Found is what the endpoint owns and what wallets let it read;
// order is that of creation.
#include "ops/attributes.h"
#include "ops/index.h"
#include "ops/reach.h"
#include "ops/room.h"
#include "ops/rules.h"
#include "ops/verbs.h"

enum { PAGE = 500, UIDS_FIRST = 16, STORAGE_ONLINE = 1, STORAGE_DESTROYED = 4, NO_STATE = 0 };
enum { VERSION_LOCATED = 1 << 8 | 3 }; // the first version with Located Items

static const uint32_t living = 1U << KMIP_STATE_PRE_ACTIVE | 1U << KMIP_STATE_ACTIVE |
                               1U << KMIP_STATE_DEACTIVATED | 1U << KMIP_STATE_COMPROMISED;

struct plan {
    struct store_query query;
    struct store_index *index;
    const struct attr **compare; // filters that the store cannot decide
    size_t compare_count;
    uint32_t state;  // wanted State, NO_STATE for any
    bool impossible; // nothing can match
    bool has_one;    // Unique Identifier is among the filters
    struct uuid one;
};

struct date_filter {
    uint32_t tag;
    bool *has;
    struct store_range *range;
};

static bool find_date(struct store_query *query, uint32_t tag, struct date_filter *ret)
{
    const struct date_filter table[] = {
        {KMIP_TAG_INITIAL_DATE, &query->has_initial, &query->initial},
        {KMIP_TAG_ACTIVATION_DATE, &query->has_activation, &query->activation},
        {KMIP_TAG_DEACTIVATION_DATE, &query->has_deactivation, &query->deactivation},
        {KMIP_TAG_PROCESS_START_DATE, &query->has_process_start, &query->process_start},
        {KMIP_TAG_PROTECT_STOP_DATE, &query->has_protect_stop, &query->protect_stop},
        {KMIP_TAG_DESTROY_DATE, &query->has_destroy, &query->destroy},
        {KMIP_TAG_COMPROMISE_DATE, &query->has_compromise, &query->compromise},
        {KMIP_TAG_LAST_CHANGE_DATE, &query->has_last_change, &query->last_change},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].tag == tag) {
            *ret = table[i];
            return true;
        }
    }
    return false;
}

// One date is that very second; two are the ends of a range, in this order.
static enum err plan_date(const struct date_filter *date, int64_t value)
{
    if (value == 0)
        value = 1;
    if (!*date->has) {
        *date->has = true;
        *date->range = (struct store_range){value, value};
        return ERR_OK;
    }
    if (date->range->from != date->range->to)
        FAIL(ERR_INVALID, "a date can be asked for once, or twice for a range");
    date->range->to = value;
    return ERR_OK;
}

static enum err plan_filter(struct op *op, struct plan *plan, const struct attr *filter)
{
    struct date_filter date;
    if (filter->tag == KMIP_TAG_OBJECT_TYPE) {
        plan->impossible |= plan->query.type != 0 && plan->query.type != (uint32_t)filter->number;
        plan->impossible |= filter->number <= 0 || filter->number > INT32_MAX;
        plan->query.type = (uint32_t)filter->number;
        return ERR_OK;
    }
    if (filter->tag == KMIP_TAG_STATE) {
        plan->impossible |= plan->state != NO_STATE && plan->state != (uint32_t)filter->number;
        plan->impossible |= filter->number < KMIP_STATE_PRE_ACTIVE ||
                            filter->number > KMIP_STATE_DESTROYED_COMPROMISED;
        plan->state = (uint32_t)filter->number;
        return ERR_OK;
    }
    if (filter->tag == KMIP_TAG_UNIQUE_IDENTIFIER) {
        struct uuid id = {{0}};
        plan->impossible |= uuid_parse(filter->bytes, &id) != ERR_OK ||
                            (plan->has_one && memcmp(&plan->one, &id, sizeof id) != 0);
        plan->has_one = true;
        plan->one = id;
        return ERR_OK;
    }
    if (find_date(&plan->query, filter->tag, &date))
        return plan_date(&date, filter->number);
    if (index_has(filter) && plan->query.index_count < STORE_FILTER_MAX) {
        TRY(index_of(op->ops, filter, &plan->index[plan->query.index_count]));
        plan->query.index_count++;
        return ERR_OK;
    }
    plan->compare[plan->compare_count++] = filter;
    return ERR_OK;
}

// Which states rows may have been written with. Destroyed objects are found only when they are
// asked for, by State or by the Storage Status Mask.
static void plan_states(const struct op *op, struct plan *plan)
{
    uint32_t mask = op->request->storage_mask;
    if (plan->state != NO_STATE && !plan->impossible)
        plan->query.states = lifecycle_written_states((enum kmip_state)plan->state);
    else if ((mask & STORAGE_DESTROYED) == 0)
        plan->query.states = living;
    else if ((mask & STORAGE_ONLINE) == 0)
        plan->query.states = 1U << KMIP_STATE_DESTROYED | 1U << KMIP_STATE_DESTROYED_COMPROMISED;
    plan->impossible |= mask != 0 && (mask & (STORAGE_ONLINE | STORAGE_DESTROYED)) == 0;
}

static enum err make_plan(struct op *op, struct plan *plan)
{
    const struct attrs *filters = &op->request->attrs;
    memset(plan, 0, sizeof *plan);
    TRY(arena_alloc(op->arena, STORE_FILTER_MAX, sizeof *plan->index, &plan->index));
    TRY(arena_alloc(op->arena, filters->count + 1, sizeof *plan->compare, &plan->compare));
    plan->query.index = plan->index;
    plan->query.owner = op->who.id;
    for (size_t i = 0; i < filters->count; i++)
        TRY(plan_filter(op, plan, &filters->items[i]));
    plan_states(op, plan);
    return ERR_OK;
}

// Masks match when the object has every bit that is asked for; all else must be equal.
static bool has_value(const struct attrs *all, const struct attr *filter)
{
    bool is_mask = filter->tag == KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK;
    for (size_t i = 0; i < all->count; i++) {
        const struct attr *attr = &all->items[i];
        if (attr_equal(attr, filter))
            return true;
        if (is_mask && attr->tag == filter->tag &&
            (attr->number & filter->number) == filter->number)
            return true;
    }
    return false;
}

static enum err compare(struct op *op, const struct plan *plan, const struct store_object *row,
                        bool *ret)
{
    *ret = false;
    if (plan->state != NO_STATE &&
        (uint32_t)lifecycle_state_at(&row->dates, op->now) != plan->state)
        return ERR_OK;
    if (plan->compare_count == 0) {
        *ret = true;
        return ERR_OK;
    }
    struct attrs all;
    struct object object = {.row = *row};
    char text[UUID_TEXT_LEN + 1];
    uuid_text(&row->id, text);
    object.uid = span_of(text, UUID_TEXT_LEN);
    TRY(object_open_attrs(op->ops, op->arena, &object));
    TRY(attributes_all(op, &object, &all));
    for (size_t i = 0; i < plan->compare_count; i++) {
        if (!has_value(&all, plan->compare[i]))
            return ERR_OK;
    }
    *ret = true;
    return ERR_OK;
}

// The list doubles whenever it is full: at UIDS_FIRST and each power of two from there.
static enum err grow(struct op *op)
{
    struct span *uids = NULL;
    struct reply *reply = op->reply;
    size_t count = reply->uid_count;
    if (count != 0 && (count < UIDS_FIRST || (count & (count - 1)) != 0))
        return ERR_OK;
    TRY(arena_alloc(op->arena, count == 0 ? UIDS_FIRST : count * 2, sizeof *uids, &uids));
    if (count > 0)
        memcpy(uids, reply->uids, count * sizeof *uids);
    reply->uids = uids;
    return ERR_OK;
}

static enum err add_uid(struct op *op, const struct uuid *id)
{
    char text[UUID_TEXT_LEN + 1];
    struct reply *reply = op->reply;
    TRY(grow(op));
    uuid_text(id, text);
    TRY(arena_copy(op->arena, span_of(text, UUID_TEXT_LEN), &reply->uids[reply->uid_count]));
    reply->uid_count++;
    op->object = *id;
    return ERR_OK;
}

struct window {
    uint64_t skip;
    uint64_t limit;
    bool count_all;
    uint64_t matched;
};

static enum err take_row(struct op *op, const struct plan *plan, const struct store_object *row,
                         struct window *window)
{
    bool matches = false;
    TRY(compare(op, plan, row, &matches));
    if (!matches)
        return ERR_OK;
    window->matched++;
    if (window->matched <= window->skip || op->reply->uid_count >= window->limit)
        return ERR_OK;
    return add_uid(op, &row->id);
}

static bool is_full(const struct op *op, const struct window *window)
{
    return !window->count_all && op->reply->uid_count >= window->limit;
}

enum { LOOKS_A_CLOCK = 64 }; // objects compared between two looks at the clock

// Walks all that can be reached, comparing each.
static enum err walk(struct op *op, struct reach *reach, const struct plan *plan,
                     struct window *window)
{
    struct op inner = *op;
    CLEANUP(arena_freep) struct arena *page = NULL;
    TRY(arena_new(64 * 1024 * 1024, &page));
    inner.arena = page;
    for (size_t looked = 1; !is_full(op, window); looked++) {
        const struct store_object *row = NULL;
        bool matches = false;
        arena_reset(page);
        if (looked % LOOKS_A_CLOCK == 0)
            TRY(room_time(op));
        TRY(reach_next(reach, &row));
        if (row == NULL)
            return ERR_OK;
        TRY(compare(&inner, plan, row, &matches));
        if (!matches)
            continue;
        window->matched++;
        if (window->matched > window->skip && op->reply->uid_count < window->limit)
            TRY(add_uid(op, &row->id));
    }
    return ERR_OK;
}

// The store alone decides: it skips and limits itself.
static enum err fetch(struct op *op, struct plan *plan, struct window *window)
{
    uint64_t left = window->limit;
    plan->query.skip = (uint32_t)window->skip;
    while (left > 0) {
        size_t count = 0;
        struct store_object *rows = NULL;
        plan->query.limit = left < PAGE ? (uint32_t)left : PAGE;
        TRY(store_object_find(op->ops->set.store, &plan->query, op->arena, &rows, &count));
        for (size_t i = 0; i < count; i++)
            TRY(add_uid(op, &rows[i].id));
        left -= count;
        if (count < plan->query.limit)
            break;
        plan->query.after = rows[count - 1].id;
        plan->query.skip = 0;
    }
    window->matched = window->skip + op->reply->uid_count;
    bool is_all =
        op->reply->uid_count < window->limit && (op->reply->uid_count > 0 || window->skip == 0);
    if (is_all || !window->count_all)
        return ERR_OK;
    plan->query.after = (struct uuid){{0}};
    plan->query.skip = 0;
    return store_object_count(op->ops->set.store, &plan->query, &window->matched);
}

// A filter by identifier: the object itself, if it can be reached, put to all other filters.
static enum err fetch_one(struct op *op, struct plan *plan, struct window *window)
{
    struct store_object row;
    struct store_object *rows = NULL;
    enum authz_relation relation;
    size_t count = 0;
    enum err err = store_object_get(op->ops->set.store, &plan->one, op->arena, &row);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    TRY(object_relate(op, &row, &relation));
    if (relation == AUTHZ_OTHER)
        return ERR_OK;
    plan->query.any_owner = true;
    plan->query.only = plan->one;
    plan->query.limit = 1;
    TRY(store_object_find(op->ops->set.store, &plan->query, op->arena, &rows, &count));
    return count == 0 ? ERR_OK : take_row(op, plan, &rows[0], window);
}

static enum err search(struct op *op, struct plan *plan, struct window *window)
{
    CLEANUP(reach_freep) struct reach *reach = NULL;
    if (plan->impossible)
        return ERR_OK;
    if (plan->has_one)
        return fetch_one(op, plan, window);
    TRY(reach_new(op, &op->who.id, &plan->query, &reach));
    if (plan->state != NO_STATE || plan->compare_count > 0 || reach_has_wallets(reach))
        return walk(op, reach, plan, window);
    return fetch(op, plan, window);
}

enum err locate_run(struct op *op)
{
    struct plan plan;
    struct window window = {.limit = OPS_LOCATE_MAX};
    const struct request *request = op->request;
    if (request->maximum_items < -1 || request->offset_items < 0)
        FAIL(ERR_INVALID, "Maximum Items and Offset Items must not be negative");
    if (request->maximum_items >= 0 && request->maximum_items < OPS_LOCATE_MAX)
        window.limit = (uint64_t)request->maximum_items;
    window.skip = (uint64_t)request->offset_items;
    // Who asks for a part wants to know how much there is; others count what they get.
    window.count_all = op->batch->version >= VERSION_LOCATED &&
                       (request->maximum_items >= 0 || request->offset_items > 0);
    TRY(make_plan(op, &plan));
    TRY(search(op, &plan, &window));
    if (window.count_all)
        op->reply->located_items = (int64_t)window.matched;
    // The ID Placeholder stands for the one object that was found (1.4 section 4.9).
    op->has_placeholder = op->reply->uid_count == 1;
    op->placeholder = op->has_placeholder ? op->object : (struct uuid){{0}};
    if (!op->has_placeholder)
        op->object = (struct uuid){{0}};
    return ERR_OK;
}
