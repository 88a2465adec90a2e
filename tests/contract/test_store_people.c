// SPDX-License-Identifier: Apache-2.0
//
// store/people.h: what every driver promises of users, privileges, credentials and wrong tries.
#include "store/people.h"

#include "tests/contract/store_rig.h"

static struct store_user user(unsigned n, uint8_t name)
{
    struct store_user row = {.id = numbered(n),
                             .version = 1,
                             .state = USER_ACTIVE,
                             .rights = 5,
                             .forward = 4,
                             .flags = USER_MUST_CHANGE,
                             .created = 10,
                             .password_changed = 20,
                             .totp_step = 30,
                             .key_id = numbered(77),
                             .sealed = span_str("sealed user")};
    memset(row.name_hash, name, sizeof row.name_hash);
    return row;
}

static struct store_credential credential(unsigned n, uint8_t hash, unsigned of)
{
    struct store_credential row = {.id = numbered(n),
                                   .version = 1,
                                   .kind = STORED_SESSION,
                                   .user = numbered(of),
                                   .created = 10,
                                   .expires = 100 + n,
                                   .rights = 3,
                                   .key_id = numbered(78),
                                   .sealed = span_str("sealed label")};
    memset(row.hash, hash, sizeof row.hash);
    return row;
}

static void put_user(struct fixture *f, unsigned n, uint8_t name)
{
    struct store_user row = user(n, name);
    OK(store_user_put(f->writer, &row));
}

static void put_credential(struct fixture *f, unsigned n, uint8_t hash, unsigned of)
{
    struct store_credential row = credential(n, hash, of);
    OK(store_credential_put(f->writer, &row));
}

static void a_user_comes_back_as_it_was_put(void **state)
{
    struct fixture *f = *state;
    struct store_user got;
    struct store_user row = user(1, 5);
    begin(f);
    OK(store_user_put(f->writer, &row));
    FAILS(ERR_CONFLICT, store_user_put(f->writer, &row));
    struct store_user twin = user(2, 5);
    FAILS(ERR_CONFLICT, store_user_put(f->writer, &twin));
    commit(f);
    OK(store_user_by_name(f->reader, row.name_hash, f->arena, &got));
    assert_true(same_id(&got.id, 1));
    assert_int_equal(got.state, USER_ACTIVE);
    assert_int_equal(got.rights, 5);
    assert_int_equal(got.forward, 4);
    assert_int_equal(got.flags, USER_MUST_CHANGE);
    assert_int_equal(got.created, 10);
    assert_int_equal(got.password_changed, 20);
    assert_int_equal(got.totp_step, 30);
    assert_true(same_id(&got.key_id, 77));
    assert_true(span_eq_str(got.sealed, "sealed user"));
    memset(row.name_hash, 6, sizeof row.name_hash);
    FAILS(ERR_NOT_FOUND, store_user_by_name(f->reader, row.name_hash, f->arena, &got));
    FAILS(ERR_NOT_FOUND, store_user_get(f->reader, &twin.id, f->arena, &got));
}

static void a_user_changes_by_version(void **state)
{
    struct fixture *f = *state;
    struct store_user got;
    struct store_user row = user(1, 5);
    begin(f);
    OK(store_user_put(f->writer, &row));
    put_user(f, 2, 6);
    row.sealed = span_str("changed");
    row.state = USER_LOCKED;
    memset(row.name_hash, 6, sizeof row.name_hash);
    FAILS(ERR_CONFLICT, store_user_update(f->writer, &row));
    memset(row.name_hash, 7, sizeof row.name_hash);
    OK(store_user_update(f->writer, &row));
    FAILS(ERR_CONFLICT, store_user_update(f->writer, &row));
    FAILS(ERR_CONFLICT, store_user_remove(f->writer, &row.id, 1));
    commit(f);
    OK(store_user_get(f->reader, &row.id, f->arena, &got));
    assert_int_equal(got.version, 2);
    assert_int_equal(got.state, USER_LOCKED);
    assert_true(span_eq_str(got.sealed, "changed"));
    row.id = numbered(9);
    begin(f);
    FAILS(ERR_NOT_FOUND, store_user_update(f->writer, &row));
    FAILS(ERR_NOT_FOUND, store_user_remove(f->writer, &row.id, 1));
    commit(f);
}

static void users_are_listed_in_pages_and_by_what_they_hold(void **state)
{
    struct fixture *f = *state;
    struct uuid after = {{0}};
    struct store_user *list = NULL;
    size_t count = 0;
    begin(f);
    for (unsigned n = 1; n <= 5; n++) {
        struct store_user row = user(n, (uint8_t)n);
        row.rights = n % 2 == 1 ? 1 : 2;
        OK(store_user_put(f->writer, &row));
    }
    commit(f);
    OK(store_user_list(f->reader, 0, &after, 3, f->arena, &list, &count));
    assert_int_equal(count, 3);
    after = list[2].id;
    OK(store_user_list(f->reader, 0, &after, 3, f->arena, &list, &count));
    assert_int_equal(count, 2);
    after = (struct uuid){{0}};
    OK(store_user_list(f->reader, 2, &after, 9, f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_true(same_id(&list[0].id, 2) && same_id(&list[1].id, 4));
    OK(store_user_list(f->reader, 4, &after, 9, f->arena, &list, &count));
    assert_int_equal(count, 0);
    FAILS(ERR_INVALID, store_user_list(f->reader, 0, &after, 0, f->arena, &list, &count));
}

static bool manages(struct fixture *f, unsigned who, unsigned thing)
{
    bool has = false;
    const struct store_privilege privilege = {numbered(who), numbered(thing)};
    OK(store_privilege_has(f->reader, &privilege, &has));
    return has;
}

static void privileges_are_had_once_and_listed_from_either_side(void **state)
{
    struct fixture *f = *state;
    struct uuid none = {{0}};
    struct uuid *list = NULL;
    size_t count = 0;
    const struct store_privilege one = {numbered(1), numbered(11)};
    const struct store_privilege two = {numbered(1), numbered(12)};
    const struct store_privilege three = {numbered(2), numbered(11)};
    begin(f);
    OK(store_privilege_put(f->writer, &one));
    OK(store_privilege_put(f->writer, &two));
    OK(store_privilege_put(f->writer, &three));
    FAILS(ERR_CONFLICT, store_privilege_put(f->writer, &one));
    commit(f);
    assert_true(manages(f, 1, 11) && manages(f, 1, 12) && manages(f, 2, 11));
    assert_false(manages(f, 2, 12) || manages(f, 11, 1));
    OK(store_privilege_list(f->reader, &one.user, &none, 9, f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_true(same_id(&list[0], 11) && same_id(&list[1], 12));
    OK(store_privilege_list(f->reader, &one.user, &one.thing, 9, f->arena, &list, &count));
    assert_int_equal(count, 1);
    begin(f);
    OK(store_privilege_remove(f->writer, &one));
    FAILS(ERR_NOT_FOUND, store_privilege_remove(f->writer, &one));
    commit(f);
    assert_false(manages(f, 1, 11));
}

static void a_credential_is_found_by_its_hash(void **state)
{
    struct fixture *f = *state;
    struct store_credential got;
    struct store_credential row = credential(1, 5, 50);
    begin(f);
    OK(store_credential_put(f->writer, &row));
    struct store_credential twin = credential(2, 5, 50);
    FAILS(ERR_CONFLICT, store_credential_put(f->writer, &twin));
    commit(f);
    OK(store_credential_by_hash(f->reader, row.hash, f->arena, &got));
    assert_true(same_id(&got.id, 1) && same_id(&got.user, 50) && same_id(&got.key_id, 78));
    assert_int_equal(got.kind, STORED_SESSION);
    assert_int_equal(got.created, 10);
    assert_int_equal(got.expires, 101);
    assert_int_equal(got.rights, 3);
    assert_true(span_eq_str(got.sealed, "sealed label"));
    begin(f);
    row.sealed = span_str("again");
    OK(store_credential_update(f->writer, &row));
    FAILS(ERR_CONFLICT, store_credential_update(f->writer, &row));
    FAILS(ERR_NOT_FOUND, store_credential_update(f->writer, &twin));
    commit(f);
    OK(store_credential_get(f->reader, &row.id, f->arena, &got));
    assert_int_equal(got.version, 2);
    assert_true(span_eq_str(got.sealed, "again"));
    begin(f);
    OK(store_credential_remove(f->writer, &row.id));
    FAILS(ERR_NOT_FOUND, store_credential_remove(f->writer, &row.id));
    commit(f);
    FAILS(ERR_NOT_FOUND, store_credential_by_hash(f->reader, row.hash, f->arena, &got));
    FAILS(ERR_NOT_FOUND, store_credential_get(f->reader, &row.id, f->arena, &got));
}

static void credentials_are_listed_by_user_and_forgotten_when_expired(void **state)
{
    struct fixture *f = *state;
    struct uuid none = {{0}};
    struct uuid of = numbered(50);
    struct uuid gone = numbered(1);
    struct store_credential *list = NULL;
    size_t count = 0;
    int64_t seen = 0;
    begin(f);
    put_credential(f, 1, 1, 50);
    put_credential(f, 2, 2, 51);
    put_credential(f, 3, 3, 50);
    OK(store_seen_put(f->writer, &gone, 7));
    commit(f);
    OK(store_credential_list(f->reader, &of, &none, 9, f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_true(same_id(&list[0].id, 1) && same_id(&list[1].id, 3));
    OK(store_credential_list(f->reader, NULL, &list[0].id, 9, f->arena, &list, &count));
    assert_int_equal(count, 2);
    begin(f);
    OK(store_credential_forget(f->writer, 103)); // they expire at 101, 102, 103
    commit(f);
    OK(store_credential_list(f->reader, NULL, &none, 9, f->arena, &list, &count));
    assert_int_equal(count, 1);
    assert_true(same_id(&list[0].id, 3));
    OK(store_seen_get(f->reader, &gone, &seen));
    assert_int_equal(seen, 0);
}

static void a_user_that_goes_takes_all_that_names_it(void **state)
{
    struct fixture *f = *state;
    struct uuid none = {{0}};
    struct uuid who = numbered(50);
    struct uuid group = numbered(60);
    struct uuid session = numbered(1);
    struct store_credential *list = NULL;
    const struct store_privilege privilege = {who, numbered(11)};
    const struct store_grant grant = {numbered(70), who, GRANTEE_USER, GRANT_READ};
    size_t count = 0;
    int64_t seen = 0;
    uint64_t members = 9;
    begin(f);
    put_user(f, 50, 5);
    put_credential(f, 1, 1, 50);
    put_credential(f, 2, 2, 51);
    OK(store_privilege_put(f->writer, &privilege));
    OK(store_member_put(f->writer, &group, &who));
    OK(store_grant_put(f->writer, &grant));
    OK(store_seen_put(f->writer, &who, 7));
    OK(store_seen_put(f->writer, &session, 7));
    commit(f);
    begin(f);
    OK(store_user_remove(f->writer, &who, 1));
    commit(f);
    OK(store_credential_list(f->reader, NULL, &none, 9, f->arena, &list, &count));
    assert_int_equal(count, 1);
    assert_false(manages(f, 50, 11));
    OK(store_member_count(f->reader, &group, &members));
    assert_int_equal(members, 0);
    struct store_grant *grants = NULL;
    OK(store_grant_list(f->reader, &grant.wallet, &none, 9, f->arena, &grants, &count));
    assert_int_equal(count, 0);
    OK(store_seen_get(f->reader, &who, &seen));
    assert_int_equal(seen, 0);
    OK(store_seen_get(f->reader, &session, &seen));
    assert_int_equal(seen, 0);
}

static void an_endpoint_or_group_that_goes_takes_the_privileges_on_it(void **state)
{
    struct fixture *f = *state;
    struct store_endpoint endpoint = {.id = numbered(11), .version = 1};
    struct store_named group = {.id = numbered(12), .version = 1, .kind = NAMED_ENDPOINT_GROUP};
    const struct store_privilege one = {numbered(1), endpoint.id};
    const struct store_privilege two = {numbered(1), group.id};
    begin(f);
    OK(store_endpoint_put(f->writer, &endpoint));
    OK(store_named_put(f->writer, &group));
    OK(store_privilege_put(f->writer, &one));
    OK(store_privilege_put(f->writer, &two));
    OK(store_endpoint_remove(f->writer, &endpoint.id, 1));
    commit(f);
    assert_false(manages(f, 1, 11));
    assert_true(manages(f, 1, 12));
    begin(f);
    OK(store_named_remove(f->writer, &group.id, 1));
    commit(f);
    assert_false(manages(f, 1, 12));
}

static void wrong_tries_are_kept_by_name(void **state)
{
    struct fixture *f = *state;
    struct store_tries got;
    struct store_tries tries = {.name_hash = {1}, .wrong = 3, .since = 10, .until = 20};
    OK(store_tries_get(f->reader, tries.name_hash, &got));
    assert_int_equal(got.wrong, 0);
    assert_memory_equal(got.name_hash, tries.name_hash, STORE_HASH_LEN);
    begin(f);
    OK(store_tries_put(f->writer, &tries));
    tries.wrong = 4;
    OK(store_tries_put(f->writer, &tries));
    commit(f);
    OK(store_tries_get(f->reader, tries.name_hash, &got));
    assert_int_equal(got.wrong, 4);
    assert_int_equal(got.since, 10);
    assert_int_equal(got.until, 20);
    begin(f);
    OK(store_tries_forget(f->writer, 15)); // may still not be tried
    commit(f);
    OK(store_tries_get(f->reader, tries.name_hash, &got));
    assert_int_equal(got.wrong, 4);
    begin(f);
    OK(store_tries_forget(f->writer, 21));
    commit(f);
    OK(store_tries_get(f->reader, tries.name_hash, &got));
    assert_int_equal(got.wrong, 0);
    begin(f);
    OK(store_tries_put(f->writer, &tries));
    OK(store_tries_remove(f->writer, tries.name_hash));
    OK(store_tries_remove(f->writer, tries.name_hash));
    commit(f);
    OK(store_tries_get(f->reader, tries.name_hash, &got));
    assert_int_equal(got.wrong, 0);
}

static void wrong_tries_are_listed_in_order_of_the_hash(void **state)
{
    struct fixture *f = *state;
    struct store_tries *list = NULL;
    size_t count = 0;
    uint8_t after[STORE_HASH_LEN] = {0};
    begin(f);
    for (uint8_t i = 3; i > 0; i--) {
        const struct store_tries tries = {.name_hash = {i}, .wrong = i, .since = 10, .until = 20};
        OK(store_tries_put(f->writer, &tries));
    }
    commit(f);
    OK(store_tries_list(f->reader, after, 2, f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_int_equal(list[0].wrong, 1);
    assert_int_equal(list[1].name_hash[0], 2);
    assert_int_equal(list[1].until, 20);
    OK(store_tries_list(f->reader, list[1].name_hash, 2, f->arena, &list, &count));
    assert_int_equal(count, 1);
    assert_int_equal(list[0].wrong, 3);
    FAILS(ERR_INVALID, store_tries_list(f->reader, after, 0, f->arena, &list, &count));
}

static void nothing_is_written_outside_a_transaction(void **state)
{
    struct fixture *f = *state;
    struct store_user row = user(1, 1);
    struct store_credential one = credential(1, 1, 1);
    struct store_tries tries = {.wrong = 1};
    const struct store_privilege privilege = {numbered(1), numbered(2)};
    FAILS(ERR_INTERNAL, store_user_put(f->writer, &row));
    FAILS(ERR_INTERNAL, store_credential_put(f->writer, &one));
    FAILS(ERR_INTERNAL, store_tries_put(f->writer, &tries));
    FAILS(ERR_INTERNAL, store_privilege_put(f->writer, &privilege));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_user_comes_back_as_it_was_put),
        BOTH(a_user_changes_by_version),
        BOTH(users_are_listed_in_pages_and_by_what_they_hold),
        BOTH(privileges_are_had_once_and_listed_from_either_side),
        BOTH(a_credential_is_found_by_its_hash),
        BOTH(credentials_are_listed_by_user_and_forgotten_when_expired),
        BOTH(a_user_that_goes_takes_all_that_names_it),
        BOTH(an_endpoint_or_group_that_goes_takes_the_privileges_on_it),
        BOTH(wrong_tries_are_kept_by_name),
        BOTH(wrong_tries_are_listed_in_order_of_the_hash),
        BOTH(nothing_is_written_outside_a_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
