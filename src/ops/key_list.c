// SPDX-License-Identifier: Apache-2.0
//
// The list of keys. An exact Name, and a custom attribute with its value, are found by the blind
// index, owner and wallet by theirs. All else (a part of a name, state, algorithm, length, dates)
// is compared object by object: a page looks at EXAMINE_MAX objects at most, whatever is in the
// store, and ends there with the cursor to go on from, even if it is not full. Counting stops at
// COUNT_MAX. Order is that of creation, so that a cursor stays good while objects come and go.
#include "ops/attributes.h"
#include "ops/grantee.h"
#include "ops/index.h"
#include "ops/key.h"
#include "ops/named.h"
#include "ops/render.h"
#include "ops/rules.h"
#include "ops/verbs.h"
#include "ops/walk.h"
#include "wire/ttlv.h"

enum { EXAMINE_MAX = 5000, COUNT_MAX = 100000, INDEX_MAX = 2, WORD_MAX = 64 };
enum { PAGE_BYTES = 64 * 1024 * 1024, DAY_S = 24 * 3600, DAYS_MAX = 36500 };

struct filter {
    struct store_query query; // what drives: owner, wallet, index values
    struct store_index index[INDEX_MAX];
    bool by_owner; // compared, where the walk is not driven by it
    struct uuid owner;
    uint32_t type, state, algorithm;                      // 0 any
    int64_t length;                                       // 0 any
    struct store_range created, activation, deactivation; // `to` 0: any
    struct span search, attribute;
};

// ---- what is wanted ----

static enum err take_word(const json_t *doc, const char *name, enum kmip_enum_id id, uint32_t *ret)
{
    struct span text;
    TRY(doc_text(doc, name, WORD_MAX, false, &text));
    *ret = 0;
    return text.len == 0 ? ERR_OK : render_find_enum(id, text, ret);
}

static enum err take_state(const json_t *doc, uint32_t *ret)
{
    struct span text;
    TRY(doc_text(doc, "state", WORD_MAX, false, &text));
    *ret = 0;
    for (uint32_t state = KMIP_STATE_PRE_ACTIVE; state <= KMIP_STATE_DESTROYED_COMPROMISED;
         state++) {
        if (span_eq_str(text, lifecycle_name((enum kmip_state)state)))
            *ret = state;
    }
    return ERR_OK;
}

static enum err take_range(struct op *op, const json_t *doc, const char *from, const char *to,
                           struct store_range *ret)
{
    *ret = (struct store_range){0, 0};
    TRY(key_take_time(doc, from, op->now, &ret->from));
    TRY(key_take_time(doc, to, op->now, &ret->to));
    if (ret->to == 0 && ret->from != 0)
        ret->to = INT64_MAX;
    if (ret->from > ret->to)
        FAIL(ERR_INVALID, "\"%s\" lies before \"%s\"", to, from);
    return ERR_OK;
}

static enum err take_dates(struct op *op, const json_t *doc, struct filter *filter)
{
    int64_t days = -1;
    TRY(take_range(op, doc, "created_from", "created_to", &filter->created));
    TRY(take_range(op, doc, "activation_from", "activation_to", &filter->activation));
    TRY(take_range(op, doc, "deactivation_from", "deactivation_to", &filter->deactivation));
    TRY(doc_integer(doc, "expiring_days", 0, DAYS_MAX, &days));
    if (days < 0)
        return ERR_OK;
    if (filter->deactivation.to != 0)
        FAIL(ERR_INVALID, "give either \"expiring_days\" or a range of deactivation dates");
    filter->deactivation = (struct store_range){op->now, op->now + days * DAY_S};
    return ERR_OK;
}

static enum err add_index(struct op *op, const struct attr *attr, struct filter *filter)
{
    TRY(index_of(op->ops, attr, &filter->index[filter->query.index_count]));
    filter->query.index_count++;
    filter->query.index = filter->index;
    return ERR_OK;
}

static enum err take_values(struct op *op, const json_t *doc, struct filter *filter)
{
    struct span name;
    struct span value;
    struct attrs names = {0};
    TRY(doc_text(doc, "name", RULES_NAME_MAX, false, &name));
    TRY(doc_text(doc, "search", RULES_NAME_MAX, false, &filter->search));
    TRY(doc_text(doc, "attribute", RULES_NAME_MAX, false, &filter->attribute));
    TRY(doc_text(doc, "value", RULES_NAME_MAX, false, &value));
    if (name.len > 0) {
        TRY(attributes_put_name(op, &names, name));
        TRY(add_index(op, &names.items[0], filter));
    }
    if (value.len > 0 && filter->attribute.len == 0)
        FAIL(ERR_MISSING_DATA, "\"value\" goes with \"attribute\"");
    if (value.len == 0)
        return ERR_OK;
    struct attr attr = {
        .tag = ATTR_CUSTOM, .name = filter->attribute, .type = ATTR_TEXT, .bytes = value};
    filter->attribute = span_str("");
    return add_index(op, &attr, filter);
}

static enum err take_places(struct op *op, const json_t *doc, struct filter *filter)
{
    struct span owner;
    struct span wallet;
    struct store_named named;
    TRY(doc_text(doc, "owner", GRANTEE_OWNER_MAX, false, &owner));
    TRY(doc_text(doc, "wallet", NAMED_NAME_MAX, false, &wallet));
    if (owner.len > 0) {
        TRY(grantee_find_owner(op, owner, &filter->owner));
        filter->by_owner = true;
        filter->query.owner = filter->owner;
        filter->query.any_owner = false;
    }
    if (wallet.len > 0) {
        TRY(named_find(op, NAMED_WALLET, doc, "wallet", &named));
        filter->query.wallet = named.id;
    }
    return ERR_OK;
}

static enum err take_filter(struct op *op, const json_t *doc, struct filter *filter)
{
    struct span sort;
    memset(filter, 0, sizeof *filter);
    filter->query.any_owner = true;
    TRY(doc_text(doc, "sort", WORD_MAX, false, &sort));
    filter->query.newest_first = span_eq_str(sort, "newest");
    TRY(take_word(doc, "type", KMIP_ENUM_OBJECT_TYPE, &filter->type));
    TRY(take_word(doc, "algorithm", KMIP_ENUM_CRYPTOGRAPHIC_ALGORITHM, &filter->algorithm));
    TRY(take_state(doc, &filter->state));
    TRY(doc_integer(doc, "length", 1, INT32_MAX, &filter->length));
    TRY(take_dates(op, doc, filter));
    TRY(take_values(op, doc, filter));
    return take_places(op, doc, filter);
}

// ---- comparing ----

static bool in_range(const struct store_range *range, int64_t date)
{
    return range->to == 0 || (date != 0 && date >= range->from && date <= range->to);
}

static bool row_matches(const struct op *op, const struct filter *filter,
                        const struct store_object *row)
{
    if (filter->by_owner && memcmp(&filter->owner, &row->owner, sizeof row->owner) != 0)
        return false;
    if (filter->type != 0 && filter->type != row->type)
        return false;
    if (filter->state != 0 && filter->state != (uint32_t)lifecycle_state_at(&row->dates, op->now))
        return false;
    return in_range(&filter->created, row->dates.initial) &&
           in_range(&filter->activation, row->dates.activation) &&
           in_range(&filter->deactivation, row->dates.deactivation);
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool holds(struct span text, struct span part)
{
    for (size_t at = 0; at + part.len <= text.len; at++) {
        size_t i = 0;
        while (i < part.len && lower(text.data[at + i]) == lower(part.data[i]))
            i++;
        if (i == part.len)
            return true;
    }
    return false;
}

static bool attrs_match(const struct filter *filter, const struct attrs *attrs)
{
    bool found = filter->search.len == 0;
    bool has = filter->attribute.len == 0;
    for (size_t i = 0; i < attrs->count; i++) {
        const struct attr *attr = &attrs->items[i];
        struct ttlv value;
        has = has || (attr->tag == ATTR_CUSTOM && span_eq(attr->name, filter->attribute));
        if (!found && attr->tag == KMIP_TAG_NAME &&
            ttlv_find(attr->bytes, KMIP_TAG_NAME_VALUE, &value))
            found = holds(value.value, filter->search);
    }
    int64_t algorithm = attributes_number(attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, 0);
    return found && has && (filter->algorithm == 0 || filter->algorithm == algorithm) &&
           (filter->length == 0 ||
            filter->length == attributes_number(attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 0));
}

static bool looks_inside(const struct filter *filter)
{
    return filter->search.len > 0 || filter->attribute.len > 0 || filter->algorithm != 0 ||
           filter->length != 0;
}

// `scratch` is emptied before it is used.
static enum err matches(struct op *op, const struct filter *filter, const struct store_object *row,
                        struct arena *scratch, bool *ret)
{
    struct object object = {.row = *row};
    *ret = row_matches(op, filter, row);
    if (!*ret || !looks_inside(filter))
        return ERR_OK;
    arena_reset(scratch);
    TRY(object_open_attrs(op->ops, scratch, &object));
    *ret = attrs_match(filter, &object.attrs);
    return ERR_OK;
}

// ---- the page ----

struct page {
    struct walk *walk;
    struct arena *scratch;
    json_t *list;
    uint32_t limit;
    struct uuid last; // examined last
    bool ended;
};

static enum err fill(struct op *op, const struct filter *filter, struct page *page)
{
    for (int examined = 0; examined < EXAMINE_MAX; examined++) {
        const struct store_object *row = NULL;
        bool match = false;
        if (json_array_size(page->list) == page->limit)
            return ERR_OK;
        TRY(walk_next(page->walk, &row));
        if (row == NULL) {
            page->ended = true;
            return ERR_OK;
        }
        page->last = row->id;
        TRY(matches(op, filter, row, page->scratch, &match));
        if (!match)
            continue;
        struct object object = {.row = *row};
        json_t *item = NULL;
        TRY(key_summary(op, &object, &item));
        if (json_array_append_new(page->list, item) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    return ERR_OK;
}

static enum err count_all(struct op *op, const struct filter *filter, struct arena *scratch,
                          json_t *answer)
{
    CLEANUP(walk_freep) struct walk *walk = NULL;
    struct filter all = *filter;
    int64_t count = 0;
    int64_t examined = 0;
    const struct store_object *row = NULL;
    all.query.after = (struct uuid){{0}};
    all.query.index = all.index;
    TRY(walk_new(op, &all.query, key_is_any(op), &walk));
    for (; examined < COUNT_MAX; examined++) {
        bool match = false;
        TRY(walk_next(walk, &row));
        if (row == NULL)
            break;
        TRY(matches(op, &all, row, scratch, &match));
        count += match;
    }
    TRY(doc_set(answer, "count", json_integer(count)));
    return doc_set(answer, "count_is_exact", json_boolean(examined < COUNT_MAX));
}

// → {"keys": […], "next_cursor", "count", "count_is_exact"}
enum err key_list_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    CLEANUP(arena_freep) struct arena *scratch = NULL;
    CLEANUP(walk_freep) struct walk *walk = NULL;
    struct filter filter;
    struct page page = {.list = json_array()};
    struct doc_page asked;
    TRY(doc_set(answer, "keys", page.list));
    TRY(doc_params(op, &doc));
    TRY(take_filter(op, doc, &filter));
    TRY(doc_page(doc, &asked));
    filter.query.after = asked.after;
    page.limit = asked.limit;
    TRY(arena_new(PAGE_BYTES, &scratch));
    TRY(walk_new(op, &filter.query, key_is_any(op), &walk));
    page.walk = walk;
    page.scratch = scratch;
    TRY(fill(op, &filter, &page));
    TRY(doc_page_end(answer, page.ended ? NULL : &page.last));
    if (json_is_true(json_object_get(doc, "with_count")))
        TRY(count_all(op, &filter, scratch, answer));
    return doc_answer(op, json_incref(answer));
}
