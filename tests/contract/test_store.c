// SPDX-License-Identifier: Apache-2.0
//
// store/store.h: what every driver promises of objects, searches and transactions.
#include "tests/contract/store_rig.h"

static struct store_index value(uint32_t kind, const char *text, bool unique)
{
    struct store_index index = {.kind = kind, .unique = unique};
    memcpy(index.hash, text, strlen(text));
    return index;
}

static struct store_object object(unsigned n, unsigned owner)
{
    return (struct store_object){
        .id = numbered(n),
        .version = 1,
        .type = 2,
        .state = 1,
        .flags = 0x80000001,
        .owner = numbered(owner),
        .key_id = numbered(77),
        .dates = {.initial = 1000 + n, .last_change = 2000 + n, .archive = -1},
        .attributes = span_str("sealed attributes"),
        .material = span_str("sealed material"),
    };
}

static void put_one(struct fixture *f, unsigned n, unsigned owner)
{
    struct store_object o = object(n, owner);
    begin(f);
    OK(store_object_put(f->writer, &o, NULL, 0));
    commit(f);
}

// A query for one owner and at most one value.
static struct store_query query(unsigned owner, const struct store_index *index)
{
    return (struct store_query){
        .owner = numbered(owner), .index = index, .index_count = index != NULL, .limit = 1000};
}

static size_t found(struct fixture *f, struct store *store, const struct store_query *q)
{
    struct store_object *list = NULL;
    size_t count = 0;
    uint64_t counted = 0;
    OK(store_object_find(store, q, f->arena, &list, &count));
    if (q->skip == 0 && q->limit == STORE_FIND_MAX && count < STORE_FIND_MAX) {
        OK(store_object_count(store, q, &counted));
        assert_int_equal(counted, count);
    }
    return count;
}

// ---- objects ----

static void an_object_comes_back_as_it_was_put(void **state)
{
    struct fixture *f = *state;
    struct store_object got;
    put_one(f, 1, 9);
    struct uuid id = numbered(1);
    OK(store_object_get(f->reader, &id, f->arena, &got));
    struct store_object want = object(1, 9);
    assert_memory_equal(&got.id, &want.id, sizeof got.id);
    assert_memory_equal(&got.owner, &want.owner, sizeof got.owner);
    assert_memory_equal(&got.key_id, &want.key_id, sizeof got.key_id);
    assert_memory_equal(&got.dates, &want.dates, sizeof got.dates);
    assert_int_equal(got.version, 1);
    assert_int_equal(got.type, 2);
    assert_int_equal(got.state, 1);
    assert_int_equal(got.flags, 0x80000001);
    assert_true(span_eq_str(got.attributes, "sealed attributes"));
    assert_true(span_eq_str(got.material, "sealed material"));
}

static void an_object_that_is_not_there_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct store_object got;
    struct uuid id = numbered(1);
    FAILS(ERR_NOT_FOUND, store_object_get(f->reader, &id, f->arena, &got));
    struct store_object o = object(1, 9);
    begin(f);
    FAILS(ERR_NOT_FOUND, store_object_update(f->writer, &o, NULL, 0));
    commit(f);
}

static void an_id_is_taken_once(void **state)
{
    struct fixture *f = *state;
    put_one(f, 1, 9);
    struct store_object o = object(1, 8);
    begin(f);
    FAILS(ERR_CONFLICT, store_object_put(f->writer, &o, NULL, 0));
    commit(f);
    struct store_object got;
    OK(store_object_get(f->reader, &o.id, f->arena, &got));
    assert_true(same_id(&got.owner, 9));
}

static void an_update_wants_the_version_that_was_read(void **state)
{
    struct fixture *f = *state;
    put_one(f, 1, 9);
    struct store_object o = object(1, 9);
    o.material = span_of(NULL, 0);
    o.state = 5;
    begin(f);
    OK(store_object_update(f->writer, &o, NULL, 0));
    FAILS(ERR_CONFLICT, store_object_update(f->writer, &o, NULL, 0));
    o.version = 2;
    o.state = 6;
    OK(store_object_update(f->writer, &o, NULL, 0));
    commit(f);
    struct store_object got;
    OK(store_object_get(f->reader, &o.id, f->arena, &got));
    assert_int_equal(got.version, 3);
    assert_int_equal(got.state, 6);
    assert_int_equal(got.material.len, 0);
}

static void a_unique_value_is_refused_to_a_second_object_of_the_owner(void **state)
{
    struct fixture *f = *state;
    struct store_index name = value(1, "name", true);
    struct store_index more[2] = {value(2, "new", false), name};
    struct store_object first = object(1, 9);
    struct store_object second = object(2, 9);
    struct store_object foreign = object(3, 8);
    begin(f);
    OK(store_object_put(f->writer, &first, &name, 1));
    FAILS(ERR_CONFLICT, store_object_put(f->writer, &second, more, 2));
    OK(store_object_put(f->writer, &foreign, &name, 1));
    commit(f);
    // The refused put left nothing behind, neither row nor value.
    struct store_object got;
    FAILS(ERR_NOT_FOUND, store_object_get(f->reader, &second.id, f->arena, &got));
    struct store_query q = query(9, &more[0]);
    assert_int_equal(found(f, f->reader, &q), 0);
    q = query(9, &name);
    assert_int_equal(found(f, f->reader, &q), 1);
}

static void a_refused_update_leaves_row_and_values_as_they_were(void **state)
{
    struct fixture *f = *state;
    struct store_index one = value(1, "one", true);
    struct store_index two = value(1, "two", true);
    struct store_object first = object(1, 9);
    struct store_object second = object(2, 9);
    begin(f);
    OK(store_object_put(f->writer, &first, &one, 1));
    OK(store_object_put(f->writer, &second, &two, 1));
    second.state = 4;
    FAILS(ERR_CONFLICT, store_object_update(f->writer, &second, &one, 1));
    commit(f);
    struct store_object got;
    OK(store_object_get(f->reader, &second.id, f->arena, &got));
    assert_int_equal(got.version, 1);
    assert_int_equal(got.state, 1);
    struct store_query q = query(9, &two);
    assert_int_equal(found(f, f->reader, &q), 1);
}

static void an_update_replaces_values_and_owner(void **state)
{
    struct fixture *f = *state;
    struct store_index old[3] = {value(1, "a", true), value(2, "b", false), value(3, "c", false)};
    struct store_index new[3] = {value(2, "b", false), value(3, "d", false), value(1, "a", false)};
    struct store_object o = object(1, 9);
    struct store_object other = object(2, 9);
    begin(f);
    OK(store_object_put(f->writer, &o, old, 3));
    OK(store_object_update(f->writer, &o, new, 3));
    // "a" is not unique any more, so another object may have it.
    OK(store_object_put(f->writer, &other, old, 1));
    commit(f);
    struct store_query q = query(9, &old[2]);
    assert_int_equal(found(f, f->reader, &q), 0);
    q = query(9, &new[1]);
    assert_int_equal(found(f, f->reader, &q), 1);
    q = query(9, &old[0]);
    assert_int_equal(found(f, f->reader, &q), 2);
    o.owner = numbered(8);
    o.version = 2;
    begin(f);
    OK(store_object_update(f->writer, &o, new, 3));
    commit(f);
    q = query(9, &new[1]);
    assert_int_equal(found(f, f->reader, &q), 0);
    q = query(8, &new[1]);
    assert_int_equal(found(f, f->reader, &q), 1);
    q = query(8, NULL);
    assert_int_equal(found(f, f->reader, &q), 1);
}

static void a_value_given_twice_counts_once(void **state)
{
    struct fixture *f = *state;
    struct store_index twice[2] = {value(1, "a", false), value(1, "a", false)};
    struct store_object o = object(1, 9);
    begin(f);
    OK(store_object_put(f->writer, &o, twice, 2));
    commit(f);
    struct store_query q = query(9, &twice[0]);
    assert_int_equal(found(f, f->reader, &q), 1);
}

// 40 objects: owner 9 has the even ones; every third has value (1,"third"), every fifth
// (1,"fifth").
static void put_forty(struct fixture *f)
{
    begin(f);
    for (unsigned n = 1; n <= 40; n++) {
        struct store_index index[2];
        size_t count = 0;
        if (n % 3 == 0)
            index[count++] = value(1, "third", false);
        if (n % 5 == 0)
            index[count++] = value(1, "fifth", false);
        struct store_object o = object(n, n % 2 == 0 ? 9 : 8);
        o.type = n % 4 == 0 ? 7 : 2;
        o.state = n % 2 + 1;
        o.dates.deactivation = n > 30 ? n : 0;
        OK(store_object_put(f->writer, &o, index, count));
    }
    commit(f);
}

static void values_intersect_and_respect_the_owner(void **state)
{
    struct fixture *f = *state;
    put_forty(f);
    struct store_index index[2] = {value(1, "third", false), value(1, "fifth", false)};
    struct store_query q = query(9, index);
    assert_int_equal(found(f, f->reader, &q), 6); // 6 12 18 24 30 36
    q.index_count = 2;
    assert_int_equal(found(f, f->reader, &q), 1); // 30
    q.any_owner = true;
    assert_int_equal(found(f, f->reader, &q), 2); // 15 30
    q.index_count = 1;
    assert_int_equal(found(f, f->reader, &q), 13);
    q.index_count = 0;
    assert_int_equal(found(f, f->reader, &q), 40);
    struct store_index wrong_kind = value(2, "third", false);
    q = query(9, &wrong_kind);
    assert_int_equal(found(f, f->reader, &q), 0);
}

static void types_states_and_dates_filter(void **state)
{
    struct fixture *f = *state;
    put_forty(f);
    struct store_query q = {.any_owner = true, .limit = 1000, .type = 7};
    assert_int_equal(found(f, f->reader, &q), 10);
    q.states = 1 << 2;
    assert_int_equal(found(f, f->reader, &q), 0);
    q.states = 1 << 1 | 1 << 2;
    assert_int_equal(found(f, f->reader, &q), 10);
    q.has_initial = true;
    q.initial = (struct store_range){1008, 1016};
    assert_int_equal(found(f, f->reader, &q), 3);
    q.initial = (struct store_range){1016, 1008};
    assert_int_equal(found(f, f->reader, &q), 0);
    // A date that is not set is in no range.
    q = (struct store_query){.any_owner = true, .limit = 1000, .has_deactivation = true};
    q.deactivation = (struct store_range){INT64_MIN, INT64_MAX};
    assert_int_equal(found(f, f->reader, &q), 10);
    q.has_destroy = true;
    q.destroy = (struct store_range){INT64_MIN, INT64_MAX};
    assert_int_equal(found(f, f->reader, &q), 0);
}

static void every_date_has_a_filter_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct store_object o = object(1, 9);
    o.dates = (struct store_dates){.initial = 1,
                                   .activation = 2,
                                   .process_start = 3,
                                   .protect_stop = 4,
                                   .deactivation = 5,
                                   .destroy = 6,
                                   .compromise = 7,
                                   .compromise_occurrence = 8,
                                   .last_change = 9,
                                   .archive = 10};
    begin(f);
    OK(store_object_put(f->writer, &o, NULL, 0));
    commit(f);
    for (int i = 0; i < 8; i++) {
        struct store_query q = {.any_owner = true, .limit = 1000};
        struct {
            bool *has;
            struct store_range *range;
            int64_t date;
        } fields[] = {{&q.has_initial, &q.initial, 1},
                      {&q.has_activation, &q.activation, 2},
                      {&q.has_process_start, &q.process_start, 3},
                      {&q.has_protect_stop, &q.protect_stop, 4},
                      {&q.has_deactivation, &q.deactivation, 5},
                      {&q.has_destroy, &q.destroy, 6},
                      {&q.has_compromise, &q.compromise, 7},
                      {&q.has_last_change, &q.last_change, 9}};
        *fields[i].has = true;
        *fields[i].range = (struct store_range){fields[i].date, fields[i].date};
        assert_int_equal(found(f, f->reader, &q), 1);
        *fields[i].range = (struct store_range){fields[i].date + 1, fields[i].date + 1};
        assert_int_equal(found(f, f->reader, &q), 0);
    }
}

static void pages_follow_each_other_by_id_without_gap_or_double(void **state)
{
    struct fixture *f = *state;
    put_forty(f);
    struct store_index third = value(1, "third", false);
    static const unsigned expected[] = {6, 12, 18, 24, 30, 36};
    struct store_query q = query(9, &third);
    q.limit = 4;
    struct store_object *list = NULL;
    size_t count = 0;
    for (size_t at = 0; at < COUNT_OF(expected); at += count) {
        OK(store_object_find(f->reader, &q, f->arena, &list, &count));
        assert_int_equal(count, at == 0 ? 4 : 2);
        for (size_t i = 0; i < count; i++) {
            assert_true(same_id(&list[i].id, expected[at + i]));
            assert_int_equal(list[i].material.len, 0);
            assert_true(span_eq_str(list[i].attributes, "sealed attributes"));
        }
        q.after = list[count - 1].id;
    }
    assert_int_equal(found(f, f->reader, &q), 0);
    q = query(9, NULL);
    q.skip = 18;
    OK(store_object_find(f->reader, &q, f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_true(same_id(&list[0].id, 38));
}

static void the_newest_may_come_first(void **state)
{
    struct fixture *f = *state;
    put_forty(f);
    struct store_index third = value(1, "third", false);
    static const unsigned expected[] = {36, 30, 24, 18, 12, 6};
    struct store_query queries[] = {query(9, &third), query(9, &third)};
    queries[1].any_owner = true;
    for (size_t n = 0; n < COUNT_OF(queries); n++) {
        struct store_query q = queries[n];
        struct store_object *list = NULL;
        size_t count = 0;
        q.newest_first = true;
        q.limit = 4;
        for (size_t at = 0; at < COUNT_OF(expected); at += count) {
            OK(store_object_find(f->reader, &q, f->arena, &list, &count));
            assert_true(count > 0);
            for (size_t i = 0; i < count && n == 0; i++)
                assert_true(same_id(&list[i].id, expected[at + i]));
            for (size_t i = 1; i < count; i++)
                assert_true(memcmp(&list[i - 1].id, &list[i].id, UUID_LEN) > 0);
            q.after = list[count - 1].id;
        }
    }
}

static void a_page_of_no_or_too_many_rows_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store_object *list = NULL;
    size_t count = 0;
    struct store_query q = query(9, NULL);
    q.limit = 0;
    FAILS(ERR_INVALID, store_object_find(f->reader, &q, f->arena, &list, &count));
    q.limit = STORE_FIND_MAX + 1;
    FAILS(ERR_INVALID, store_object_find(f->reader, &q, f->arena, &list, &count));
    struct store_index many[STORE_FILTER_MAX + 1] = {{0}};
    q = (struct store_query){.index = many, .index_count = COUNT_OF(many), .limit = 1};
    FAILS(ERR_TOO_LARGE, store_object_find(f->reader, &q, f->arena, &list, &count));
    uint64_t total = 0;
    FAILS(ERR_TOO_LARGE, store_object_count(f->reader, &q, &total));
}

static void too_many_values_of_an_object_are_refused(void **state)
{
    struct fixture *f = *state;
    struct store_index *many = calloc(STORE_INDEX_MAX + 1, sizeof *many);
    for (uint32_t i = 0; i <= STORE_INDEX_MAX; i++)
        many[i].kind = i;
    struct store_object o = object(1, 9);
    begin(f);
    OK(store_object_put(f->writer, &o, many, STORE_INDEX_MAX));
    store_rollback(f->writer);
    begin(f);
    FAILS(ERR_TOO_LARGE, store_object_put(f->writer, &o, many, STORE_INDEX_MAX + 1));
    store_rollback(f->writer);
    free(many);
}

// ---- transactions ----

static void nothing_is_seen_before_the_commit(void **state)
{
    struct fixture *f = *state;
    struct store_object o = object(1, 9);
    struct store_object got;
    begin(f);
    OK(store_object_put(f->writer, &o, NULL, 0));
    OK(store_object_get(f->writer, &o.id, f->arena, &got));
    FAILS(ERR_NOT_FOUND, store_object_get(f->reader, &o.id, f->arena, &got));
    commit(f);
    OK(store_object_get(f->reader, &o.id, f->arena, &got));
}

static void a_read_transaction_sees_one_snapshot(void **state)
{
    struct fixture *f = *state;
    struct store_object got;
    struct uuid id = numbered(1);
    OK(store_begin(f->reader, STORE_READ));
    put_one(f, 1, 9);
    FAILS(ERR_NOT_FOUND, store_object_get(f->reader, &id, f->arena, &got));
    OK(store_commit(f->reader));
    OK(store_begin(f->reader, STORE_READ));
    OK(store_object_get(f->reader, &id, f->arena, &got));
    store_rollback(f->reader);
}

static void a_rollback_takes_everything_back(void **state)
{
    struct fixture *f = *state;
    struct store_object o = object(1, 9);
    struct store_object got;
    begin(f);
    OK(store_object_put(f->writer, &o, NULL, 0));
    store_rollback(f->writer);
    FAILS(ERR_NOT_FOUND, store_object_get(f->writer, &o.id, f->arena, &got));
    put_one(f, 1, 9);
}

static void saves_nest_and_are_kept_or_undone_alone(void **state)
{
    struct fixture *f = *state;
    struct store_object got;
    begin(f);
    for (unsigned n = 1; n <= 4; n++) {
        struct store_object o = object(n, 9);
        if (n == 2 || n == 3)
            OK(store_save(f->writer));
        OK(store_object_put(f->writer, &o, NULL, 0));
        if (n == 3) {
            store_undo(f->writer); // 3 goes
            OK(store_keep(f->writer));
        }
    }
    OK(store_save(f->writer));
    struct store_object o = object(5, 9);
    OK(store_object_put(f->writer, &o, NULL, 0));
    store_undo(f->writer);
    commit(f);
    for (unsigned n = 1; n <= 5; n++) {
        struct uuid id = numbered(n);
        bool stays = n == 1 || n == 2 || n == 4;
        FAILS(stays ? ERR_OK : ERR_NOT_FOUND, store_object_get(f->reader, &id, f->arena, &got));
    }
}

static void an_undo_of_the_outer_save_takes_the_kept_inner_one_too(void **state)
{
    struct fixture *f = *state;
    struct store_object one = object(1, 9);
    struct store_object two = object(2, 9);
    struct store_object got;
    begin(f);
    OK(store_save(f->writer));
    OK(store_object_put(f->writer, &one, NULL, 0));
    OK(store_save(f->writer));
    OK(store_object_put(f->writer, &two, NULL, 0));
    OK(store_keep(f->writer));
    store_undo(f->writer);
    commit(f);
    FAILS(ERR_NOT_FOUND, store_object_get(f->reader, &one.id, f->arena, &got));
    FAILS(ERR_NOT_FOUND, store_object_get(f->reader, &two.id, f->arena, &got));
}

// The first save of a transaction in which nothing was changed yet costs an engine nothing.
static void a_save_at_the_beginning_is_undone_alone(void **state)
{
    struct fixture *f = *state;
    struct store_object one = object(1, 9);
    struct store_object two = object(2, 9);
    struct store_object three = object(3, 9);
    struct store_object got;
    begin(f);
    OK(store_save(f->writer));
    OK(store_save(f->writer));
    OK(store_object_put(f->writer, &one, NULL, 0));
    store_undo(f->writer);
    OK(store_object_put(f->writer, &one, NULL, 0));
    store_undo(f->writer);
    FAILS(ERR_NOT_FOUND, store_object_get(f->writer, &one.id, f->arena, &got));
    OK(store_save(f->writer));
    OK(store_object_put(f->writer, &two, NULL, 0));
    OK(store_keep(f->writer));
    OK(store_save(f->writer));
    OK(store_object_put(f->writer, &three, NULL, 0));
    store_undo(f->writer);
    commit(f);
    FAILS(ERR_NOT_FOUND, store_object_get(f->reader, &one.id, f->arena, &got));
    OK(store_object_get(f->reader, &two.id, f->arena, &got));
    FAILS(ERR_NOT_FOUND, store_object_get(f->reader, &three.id, f->arena, &got));
}

static void calls_out_of_place_are_refused(void **state)
{
    struct fixture *f = *state;
    struct store_object o = object(1, 9);
    FAILS(ERR_INTERNAL, store_object_put(f->writer, &o, NULL, 0));
    FAILS(ERR_INTERNAL, store_save(f->writer));
    FAILS(ERR_INTERNAL, store_commit(f->writer));
    FAILS(ERR_INTERNAL, store_begin(f->reader, STORE_WRITE));
    OK(store_begin(f->writer, STORE_READ));
    FAILS(ERR_INTERNAL, store_object_put(f->writer, &o, NULL, 0));
    FAILS(ERR_INTERNAL, store_begin(f->writer, STORE_READ));
    bool done = false;
    FAILS(ERR_INTERNAL, store_maintain(f->writer, 0, &done));
    store_rollback(f->writer);
    begin(f);
    FAILS(ERR_INTERNAL, store_keep(f->writer));
    OK(store_save(f->writer));
    FAILS(ERR_INTERNAL, store_commit(f->writer));
    OK(store_save(f->writer));
    FAILS(ERR_INTERNAL, store_save(f->writer));
    store_rollback(f->writer);
    FAILS(ERR_INTERNAL, store_maintain(f->reader, 0, &done));
}

static void a_change_by_others_is_told_once(void **state)
{
    struct fixture *f = *state;
    bool changed = false;
    static const bool expected[] = {true, false, true, false};
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            put_one(f, 1, 9);
        OK(store_begin(f->reader, STORE_READ));
        OK(store_changed(f->reader, &changed));
        assert_int_equal(changed, expected[i]);
        OK(store_commit(f->reader));
    }
}

static void what_a_handle_commits_itself_is_no_change_to_it(void **state)
{
    struct fixture *f = *state;
    struct store *other = NULL;
    bool changed = false;
    begin(f);
    OK(store_changed(f->writer, &changed));
    commit(f);
    for (unsigned n = 1; n <= 3; n++) {
        struct store_object o = object(n, 9);
        begin(f);
        OK(store_changed(f->writer, &changed));
        assert_false(changed);
        OK(store_object_put(f->writer, &o, NULL, 0));
        commit(f);
    }
    struct store_object o = object(4, 9);
    OK(store_open(f->root, f->path, STORE_WRITE, &other));
    OK(store_begin(other, STORE_WRITE));
    OK(store_object_put(other, &o, NULL, 0));
    OK(store_commit(other));
    begin(f);
    OK(store_changed(f->writer, &changed));
    assert_true(changed);
    commit(f);
    store_close(other);
}

// A random walk over objects of one owner, checked against a plain table.
static void a_random_walk_agrees_with_a_plain_table(void **state)
{
    struct fixture *f = *state;
    enum { OBJECTS = 12, VALUES = 5, STEPS = 600 };
    struct {
        bool is;
        uint64_t version;
        unsigned values; // bits
    } table[OBJECTS] = {{0}};
    uint32_t seed = 12345;
    begin(f);
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 1664525 + 1013904223;
        unsigned n = seed >> 24 & 0xff;
        n %= OBJECTS;
        unsigned values = seed >> 8 & ((1 << VALUES) - 1);
        struct store_index index[VALUES];
        size_t count = 0;
        for (unsigned v = 0; v < VALUES; v++) {
            if ((values >> v & 1) != 0)
                index[count++] = (struct store_index){v, {(uint8_t)v}, false};
        }
        struct store_object o = object(n, 9);
        o.version = table[n].version;
        if (!table[n].is)
            OK(store_object_put(f->writer, &o, index, count));
        else
            OK(store_object_update(f->writer, &o, index, count));
        table[n].version += table[n].is ? 1 : 0;
        table[n].is = true;
        table[n].values = values;
        struct store_index asked[2] = {{seed % VALUES, {(uint8_t)(seed % VALUES)}, false},
                                       {n % VALUES, {(uint8_t)(n % VALUES)}, false}};
        struct store_query q = query(9, asked);
        q.index_count = 2;
        size_t expected = 0;
        for (int i = 0; i < OBJECTS; i++)
            expected += table[i].is && (table[i].values >> asked[0].kind & 1) != 0 &&
                        (table[i].values >> asked[1].kind & 1) != 0;
        assert_int_equal(found(f, f->writer, &q), expected);
        arena_reset(f->arena);
    }
    commit(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(an_object_comes_back_as_it_was_put),
        BOTH(an_object_that_is_not_there_is_not_found),
        BOTH(an_id_is_taken_once),
        BOTH(an_update_wants_the_version_that_was_read),
        BOTH(a_unique_value_is_refused_to_a_second_object_of_the_owner),
        BOTH(a_refused_update_leaves_row_and_values_as_they_were),
        BOTH(an_update_replaces_values_and_owner),
        BOTH(a_value_given_twice_counts_once),
        BOTH(values_intersect_and_respect_the_owner),
        BOTH(types_states_and_dates_filter),
        BOTH(every_date_has_a_filter_of_its_own),
        BOTH(pages_follow_each_other_by_id_without_gap_or_double),
        BOTH(the_newest_may_come_first),
        BOTH(a_page_of_no_or_too_many_rows_is_refused),
        BOTH(too_many_values_of_an_object_are_refused),
        BOTH(nothing_is_seen_before_the_commit),
        BOTH(a_read_transaction_sees_one_snapshot),
        BOTH(a_rollback_takes_everything_back),
        BOTH(saves_nest_and_are_kept_or_undone_alone),
        BOTH(an_undo_of_the_outer_save_takes_the_kept_inner_one_too),
        BOTH(a_save_at_the_beginning_is_undone_alone),
        BOTH(calls_out_of_place_are_refused),
        BOTH(a_change_by_others_is_told_once),
        BOTH(what_a_handle_commits_itself_is_no_change_to_it),
        BOTH(a_random_walk_agrees_with_a_plain_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
