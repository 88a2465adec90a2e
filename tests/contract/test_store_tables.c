// SPDX-License-Identifier: Apache-2.0
//
// store/store.h: what every driver promises of the small tables: outcomes, data keys, settings,
// endpoints, the audit trail; and of opening.
#include "tests/contract/store_rig.h"

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
    struct uuid gone = numbered(1);
    FAILS(ERR_INTERNAL, store_data_key_delete(f->writer, &gone)); // no transaction
    begin(f);
    OK(store_data_key_delete(f->writer, &gone));
    FAILS(ERR_NOT_FOUND, store_data_key_delete(f->writer, &gone));
    OK(store_data_key_list(f->reader, f->arena, &list, &count));
    assert_int_equal(count, 2);
    commit(f);
    OK(store_data_key_list(f->reader, f->arena, &list, &count));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].purpose, "audit");
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
    for (row.sequence = 1; row.sequence <= 5; row.sequence++) {
        memset(row.mark, (int)row.sequence, sizeof row.mark);
        OK(store_audit_append(f->writer, &row));
    }
    row.sequence = 5;
    memset(row.mark, 5, sizeof row.mark);
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
    // The mark is the last row's.
    assert_true(head.marked && list[1].marked && !list[0].marked);
    assert_memory_equal(head.mark, "\5\5\5\5\5\5\5\5", 8);
    assert_memory_equal(list[1].mark, head.mark, sizeof head.mark);
    OK(store_audit_list(f->reader, 1, 3, f->arena, &list, &count));
    assert_int_equal(count, 3);
    OK(store_audit_list(f->reader, 6, 3, f->arena, &list, &count));
    assert_int_equal(count, 0);
}

static uint64_t first_of_trail(struct fixture *f, size_t *ret_count)
{
    struct store_audit *list = NULL;
    OK(store_audit_list(f->reader, 1, 1000, f->arena, &list, ret_count));
    return *ret_count == 0 ? 0 : list[0].sequence;
}

static void the_trail_is_purged_from_its_start_alone(void **state)
{
    struct fixture *f = *state;
    struct store_audit floor;
    size_t count = 0;
    bool more = true;
    struct store_audit row = {.time_ms = 5, .record = span_str("record")};
    begin(f);
    for (row.sequence = 1; row.sequence <= 6; row.sequence++) {
        memset(row.hash, (int)row.sequence, sizeof row.hash);
        OK(store_audit_append(f->writer, &row));
    }
    FAILS(ERR_INVALID, store_audit_raise(f->writer, 6));
    FAILS(ERR_NOT_FOUND, store_audit_raise(f->writer, 0));
    commit(f);
    OK(store_audit_floor(f->reader, &floor));
    assert_int_equal(floor.sequence, 0);
    begin(f);
    OK(store_audit_raise(f->writer, 4));
    FAILS(ERR_NOT_FOUND, store_audit_raise(f->writer, 4));
    FAILS(ERR_NOT_FOUND, store_audit_raise(f->writer, 2));
    commit(f);
    OK(store_audit_floor(f->reader, &floor));
    assert_int_equal(floor.sequence, 4);
    assert_int_equal(floor.hash[0], 4);
    assert_int_equal(first_of_trail(f, &count), 5);
    assert_int_equal(count, 2);
    // The rows go later, a few at a time; the trail goes on meanwhile.
    begin(f);
    OK(store_audit_drop(f->writer, 3, &more));
    assert_true(more);
    row.sequence = 7;
    OK(store_audit_append(f->writer, &row));
    OK(store_audit_drop(f->writer, 3, &more));
    assert_false(more);
    commit(f);
    assert_int_equal(first_of_trail(f, &count), 5);
    assert_int_equal(count, 3);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(an_outcome_is_told_again_until_it_is_forgotten),
        BOTH(data_keys_are_listed_and_rewrapped_by_version),
        BOTH(settings_of_node_and_group_stand_apart),
        BOTH(an_endpoint_is_found_by_id_name_and_fingerprint),
        BOTH(endpoints_without_certificate_are_many_and_found_by_none),
        BOTH(names_and_certificates_of_endpoints_are_unique),
        BOTH(endpoints_are_listed_in_pages),
        BOTH(the_trail_has_no_gaps),
        BOTH(the_trail_is_purged_from_its_start_alone),
        BOTH(a_second_writer_is_told_to_wait),
        BOTH(a_store_that_was_never_made_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
