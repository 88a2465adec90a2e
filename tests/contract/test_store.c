// SPDX-License-Identifier: Apache-2.0
//
// store/store.h: what every driver promises. The same tests run on each of them; each test has a
// store of its own, opened twice, to write and to read.
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "tests/unit/check.h"

struct fixture {
    const char *path;
    int root;
    char dir[64];
    struct store *writer, *reader;
    struct arena *arena;
};

static int open_both(struct fixture *f)
{
    if (store_open(f->root, f->path, STORE_WRITE, &f->writer) != ERR_OK ||
        store_open(f->root, f->path, STORE_READ, &f->reader) != ERR_OK) {
        print_error("%s\n", err_detail());
        return -1;
    }
    return 0;
}

static int set_up(void **state, const char *path)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/keyward-store-XXXXXX");
    f->path = path;
    if (mkdtemp(f->dir) == NULL || file_open_dir(f->dir, &f->root) != ERR_OK ||
        arena_new((size_t)64 << 20, &f->arena) != ERR_OK)
        return -1;
    return open_both(f);
}

static int set_up_sqlite(void **state)
{
    return set_up(state, "store.db");
}

static int set_up_ram(void **state)
{
    return set_up(state, "ram:test");
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_close(f->reader);
    store_close(f->writer);
    arena_free(f->arena);
    int slash = file_open_dir("/", &f->root);
    (void)slash;
    enum err err = file_remove_tree(f->root, f->dir + 1);
    file_closep(&f->root);
    free(f);
    return err == ERR_OK ? 0 : -1;
}

static struct uuid numbered(unsigned n)
{
    struct uuid id = {{0x01}};
    id.bytes[12] = (uint8_t)(n >> 24);
    id.bytes[13] = (uint8_t)(n >> 16);
    id.bytes[14] = (uint8_t)(n >> 8);
    id.bytes[15] = (uint8_t)n;
    return id;
}

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

static bool same_id(const struct uuid *a, unsigned n)
{
    struct uuid b = numbered(n);
    return memcmp(a, &b, sizeof b) == 0;
}

static void begin(struct fixture *f)
{
    OK(store_begin(f->writer, STORE_WRITE));
}

static void commit(struct fixture *f)
{
    OK(store_commit(f->writer));
}

static void put_one(struct fixture *f, unsigned n, unsigned owner)
{
    struct store_object o = object(n, owner);
    begin(f);
    OK(store_object_put(f->writer, &o, NULL, 0));
    commit(f);
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

// ---- the small tables ----

static void an_outcome_is_told_again_until_it_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct uuid id = numbered(1);
    bool is = true;
    struct span answer;
    OK(store_outcome_find(f->reader, &id, f->arena, &is, &answer));
    assert_false(is);
    begin(f);
    OK(store_outcome_put(f->writer, &id, 100, span_str("done")));
    FAILS(ERR_CONFLICT, store_outcome_put(f->writer, &id, 100, span_str("again")));
    commit(f);
    OK(store_outcome_find(f->reader, &id, f->arena, &is, &answer));
    assert_true(is);
    assert_true(span_eq_str(answer, "done"));
    bool done = false;
    OK(store_maintain(f->writer, 100, &done));
    assert_true(done);
    OK(store_outcome_find(f->reader, &id, f->arena, &is, &answer));
    assert_true(is);
    OK(store_maintain(f->writer, 101, &done));
    OK(store_outcome_find(f->reader, &id, f->arena, &is, &answer));
    assert_false(is);
}

static void data_keys_are_listed_and_rewrapped_by_version(void **state)
{
    struct fixture *f = *state;
    struct store_data_key *list = NULL;
    size_t count = 1;
    OK(store_data_key_list(f->reader, f->arena, &list, &count));
    assert_int_equal(count, 0);
    struct store_data_key key = {numbered(1), 1, "objects", span_str("wrapped 1")};
    struct store_data_key other = {numbered(2), 1, "audit", span_str("wrapped 2")};
    begin(f);
    OK(store_data_key_put(f->writer, &other));
    OK(store_data_key_put(f->writer, &key));
    FAILS(ERR_CONFLICT, store_data_key_put(f->writer, &key));
    key.wrapped = span_str("wrapped anew");
    OK(store_data_key_update(f->writer, &key));
    FAILS(ERR_CONFLICT, store_data_key_update(f->writer, &key));
    key.id = numbered(3);
    FAILS(ERR_NOT_FOUND, store_data_key_update(f->writer, &key));
    memset(key.purpose, 'x', sizeof key.purpose);
    FAILS(ERR_INVALID, store_data_key_put(f->writer, &key));
    FAILS(ERR_INVALID, store_data_key_update(f->writer, &key));
    commit(f);
    OK(store_data_key_list(f->reader, f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_string_equal(list[0].purpose, "objects");
    assert_int_equal(list[0].version, 2);
    assert_true(span_eq_str(list[0].wrapped, "wrapped anew"));
    assert_string_equal(list[1].purpose, "audit");
}

static void settings_of_node_and_group_stand_apart(void **state)
{
    struct fixture *f = *state;
    struct span got;
    FAILS(ERR_NOT_FOUND, store_setting_get(f->reader, true, "a", f->arena, &got));
    begin(f);
    OK(store_setting_put(f->writer, true, "a", span_str("node")));
    OK(store_setting_put(f->writer, false, "a", span_str("old")));
    OK(store_setting_put(f->writer, false, "a", span_str("all")));
    OK(store_setting_put(f->writer, false, "empty", span_of(NULL, 0)));
    FAILS(ERR_INVALID, store_setting_put(f->writer, false, "", span_str("x")));
    char name[STORE_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[STORE_NAME_MAX + 1] = '\0';
    FAILS(ERR_INVALID, store_setting_put(f->writer, false, name, span_str("x")));
    FAILS(ERR_INVALID, store_setting_get(f->writer, false, name, f->arena, &got));
    commit(f);
    OK(store_setting_get(f->reader, true, "a", f->arena, &got));
    assert_true(span_eq_str(got, "node"));
    OK(store_setting_get(f->reader, false, "a", f->arena, &got));
    assert_true(span_eq_str(got, "all"));
    OK(store_setting_get(f->reader, false, "empty", f->arena, &got));
    assert_int_equal(got.len, 0);
}

static struct store_endpoint endpoint(unsigned n, uint8_t name, uint8_t fingerprint)
{
    struct store_endpoint e = {.id = numbered(n),
                               .version = 1,
                               .state = ENDPOINT_REGISTERED,
                               .token_expires = 50,
                               .created = 10,
                               .enrolled = 20,
                               .key_id = numbered(77),
                               .sealed = span_str("sealed endpoint")};
    memset(e.name_hash, name, sizeof e.name_hash);
    memset(e.fingerprint, fingerprint, sizeof e.fingerprint);
    memset(e.token_hash, 3, sizeof e.token_hash);
    return e;
}

static void an_endpoint_is_found_by_id_name_and_fingerprint(void **state)
{
    struct fixture *f = *state;
    struct store_endpoint e = endpoint(1, 5, 6);
    struct store_endpoint got;
    begin(f);
    OK(store_endpoint_put(f->writer, &e));
    commit(f);
    OK(store_endpoint_get(f->reader, &e.id, f->arena, &got));
    OK(store_endpoint_by_name(f->reader, e.name_hash, f->arena, &got));
    OK(store_endpoint_by_fingerprint(f->reader, e.fingerprint, f->arena, &got));
    assert_memory_equal(got.fingerprint, e.fingerprint, 32);
    assert_memory_equal(got.token_hash, e.token_hash, 32);
    assert_memory_equal(got.name_hash, e.name_hash, STORE_HASH_LEN);
    assert_int_equal(got.token_expires, 50);
    assert_int_equal(got.created, 10);
    assert_int_equal(got.enrolled, 20);
    assert_int_equal(got.state, ENDPOINT_REGISTERED);
    assert_true(span_eq_str(got.sealed, "sealed endpoint"));
    struct store_endpoint no = endpoint(2, 1, 1);
    FAILS(ERR_NOT_FOUND, store_endpoint_get(f->reader, &no.id, f->arena, &got));
    FAILS(ERR_NOT_FOUND, store_endpoint_by_name(f->reader, no.name_hash, f->arena, &got));
    FAILS(ERR_NOT_FOUND, store_endpoint_by_fingerprint(f->reader, no.fingerprint, f->arena, &got));
}

static void endpoints_without_certificate_are_many_and_found_by_none(void **state)
{
    struct fixture *f = *state;
    struct store_endpoint got;
    struct store_endpoint one = endpoint(1, 1, 0);
    struct store_endpoint two = endpoint(2, 2, 0);
    begin(f);
    OK(store_endpoint_put(f->writer, &one));
    OK(store_endpoint_put(f->writer, &two));
    commit(f);
    FAILS(ERR_NOT_FOUND, store_endpoint_by_fingerprint(f->reader, one.fingerprint, f->arena, &got));
    OK(store_endpoint_get(f->reader, &two.id, f->arena, &got));
    assert_memory_equal(got.fingerprint, two.fingerprint, 32);
}

static void names_and_certificates_of_endpoints_are_unique(void **state)
{
    struct fixture *f = *state;
    struct store_endpoint one = endpoint(1, 1, 1);
    struct store_endpoint name = endpoint(2, 1, 2);
    struct store_endpoint certificate = endpoint(2, 2, 1);
    struct store_endpoint two = endpoint(2, 2, 2);
    begin(f);
    OK(store_endpoint_put(f->writer, &one));
    FAILS(ERR_CONFLICT, store_endpoint_put(f->writer, &name));
    FAILS(ERR_CONFLICT, store_endpoint_put(f->writer, &certificate));
    FAILS(ERR_NOT_FOUND, store_endpoint_update(f->writer, &two));
    OK(store_endpoint_put(f->writer, &two));
    FAILS(ERR_CONFLICT, store_endpoint_put(f->writer, &two));
    FAILS(ERR_CONFLICT, store_endpoint_update(f->writer, &name));
    OK(store_endpoint_update(f->writer, &two));
    FAILS(ERR_CONFLICT, store_endpoint_update(f->writer, &two));
    commit(f);
}

static void endpoints_are_listed_in_pages(void **state)
{
    struct fixture *f = *state;
    begin(f);
    for (unsigned n = 5; n >= 1; n--) {
        struct store_endpoint e = endpoint(n, (uint8_t)n, (uint8_t)n);
        OK(store_endpoint_put(f->writer, &e));
    }
    commit(f);
    struct store_endpoint *list = NULL;
    size_t count = 0;
    struct uuid after = {{0}};
    OK(store_endpoint_list(f->reader, &after, 3, f->arena, &list, &count));
    assert_int_equal(count, 3);
    assert_true(same_id(&list[2].id, 3));
    OK(store_endpoint_list(f->reader, &list[2].id, 3, f->arena, &list, &count));
    assert_int_equal(count, 2);
    FAILS(ERR_INVALID, store_endpoint_list(f->reader, &after, 0, f->arena, &list, &count));
}

static void the_trail_has_no_gaps(void **state)
{
    struct fixture *f = *state;
    struct store_audit head;
    OK(store_audit_head(f->reader, &head));
    assert_int_equal(head.sequence, 0);
    struct store_audit row = {.sequence = 2, .time_ms = 5, .record = span_str("record")};
    memset(row.hash, 9, sizeof row.hash);
    begin(f);
    FAILS(ERR_CONFLICT, store_audit_append(f->writer, &row));
    for (row.sequence = 1; row.sequence <= 5; row.sequence++)
        OK(store_audit_append(f->writer, &row));
    row.sequence = 5;
    FAILS(ERR_CONFLICT, store_audit_append(f->writer, &row));
    commit(f);
    OK(store_audit_head(f->reader, &head));
    assert_int_equal(head.sequence, 5);
    assert_memory_equal(head.hash, row.hash, 32);
    struct store_audit *list = NULL;
    size_t count = 0;
    OK(store_audit_list(f->reader, 4, 1000, f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_int_equal(list[0].sequence, 4);
    assert_int_equal(list[0].time_ms, 5);
    assert_true(span_eq_str(list[1].record, "record"));
    OK(store_audit_list(f->reader, 1, 3, f->arena, &list, &count));
    assert_int_equal(count, 3);
    OK(store_audit_list(f->reader, 6, 3, f->arena, &list, &count));
    assert_int_equal(count, 0);
}

static void a_second_writer_is_told_to_wait(void **state)
{
    struct fixture *f = *state;
    struct store *second = NULL;
    OK(store_open(f->root, f->path, STORE_WRITE, &second));
    begin(f);
    FAILS(ERR_BUSY, store_begin(second, STORE_WRITE));
    commit(f);
    OK(store_begin(second, STORE_WRITE));
    OK(store_commit(second));
    store_close(second);
}

static void a_store_that_was_never_made_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    const char *path = strncmp(f->path, "ram:", 4) == 0 ? "ram:none" : "none.db";
    FAILS(ERR_NOT_FOUND, store_open(f->root, path, STORE_READ, &store));
    assert_null(store);
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

#define BOTH(test)                                                                                 \
    {#test " (sqlite)", test, set_up_sqlite, tear_down, NULL},                                     \
    {                                                                                              \
#test " (ram)", test, set_up_ram, tear_down, NULL                                          \
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
        BOTH(a_page_of_no_or_too_many_rows_is_refused),
        BOTH(too_many_values_of_an_object_are_refused),
        BOTH(nothing_is_seen_before_the_commit),
        BOTH(a_read_transaction_sees_one_snapshot),
        BOTH(a_rollback_takes_everything_back),
        BOTH(saves_nest_and_are_kept_or_undone_alone),
        BOTH(an_undo_of_the_outer_save_takes_the_kept_inner_one_too),
        BOTH(calls_out_of_place_are_refused),
        BOTH(a_change_by_others_is_told_once),
        BOTH(an_outcome_is_told_again_until_it_is_forgotten),
        BOTH(data_keys_are_listed_and_rewrapped_by_version),
        BOTH(settings_of_node_and_group_stand_apart),
        BOTH(an_endpoint_is_found_by_id_name_and_fingerprint),
        BOTH(endpoints_without_certificate_are_many_and_found_by_none),
        BOTH(names_and_certificates_of_endpoints_are_unique),
        BOTH(endpoints_are_listed_in_pages),
        BOTH(the_trail_has_no_gaps),
        BOTH(a_second_writer_is_told_to_wait),
        BOTH(a_store_that_was_never_made_is_not_found),
        BOTH(a_random_walk_agrees_with_a_plain_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
