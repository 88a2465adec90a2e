// SPDX-License-Identifier: Apache-2.0
//
// store/store.h: what every driver promises of wallets, groups, members and grants, of the searches
// that go by them, and of endpoints that change certificates and go away.
#include "tests/contract/store_rig.h"

static struct store_named named(unsigned n, uint32_t kind, uint8_t name)
{
    struct store_named row = {.id = numbered(n),
                              .version = 1,
                              .kind = kind,
                              .created = 10,
                              .key_id = numbered(77),
                              .sealed = span_str("sealed name")};
    memset(row.name_hash, name, sizeof row.name_hash);
    return row;
}

static void put_named(struct fixture *f, unsigned n, uint32_t kind, uint8_t name)
{
    struct store_named row = named(n, kind, name);
    OK(store_named_put(f->writer, &row));
}

static void join(struct fixture *f, unsigned set, unsigned member)
{
    struct uuid a = numbered(set);
    struct uuid b = numbered(member);
    OK(store_member_put(f->writer, &a, &b));
}

static void grant(struct fixture *f, unsigned wallet, unsigned grantee, uint32_t access)
{
    struct store_grant row = {numbered(wallet), numbered(grantee), GRANTEE_ENDPOINT, access};
    OK(store_grant_put(f->writer, &row));
}

static uint32_t access_of(struct fixture *f, unsigned who, unsigned object)
{
    struct uuid a = numbered(who);
    struct uuid b = numbered(object);
    uint32_t access = 99;
    OK(store_access_get(f->reader, &a, &b, &access));
    return access;
}

static struct store_endpoint endpoint(unsigned n, uint8_t fingerprint, uint8_t previous)
{
    struct store_endpoint e = {.id = numbered(n),
                               .version = 1,
                               .state = ENDPOINT_ENROLLED,
                               .previous_until = 60,
                               .default_wallet = numbered(500),
                               .sealed = span_str("sealed endpoint")};
    memset(e.name_hash, (int)n, sizeof e.name_hash);
    memset(e.fingerprint, fingerprint, sizeof e.fingerprint);
    memset(e.previous, previous, sizeof e.previous);
    return e;
}

static void put_object(struct fixture *f, unsigned n, unsigned owner,
                       const struct store_index *index, size_t count)
{
    struct store_object o = {.id = numbered(n),
                             .version = 1,
                             .type = 2,
                             .state = 1,
                             .owner = numbered(owner),
                             .attributes = span_str("sealed attributes"),
                             .material = span_str("sealed material")};
    OK(store_object_put(f->writer, &o, index, count));
}

static void a_wallet_is_found_by_id_and_name_within_its_kind(void **state)
{
    struct fixture *f = *state;
    struct store_named got;
    struct store_named row = named(1, NAMED_WALLET, 5);
    begin(f);
    OK(store_named_put(f->writer, &row));
    FAILS(ERR_CONFLICT, store_named_put(f->writer, &row));
    struct store_named twin = named(2, NAMED_WALLET, 5);
    FAILS(ERR_CONFLICT, store_named_put(f->writer, &twin));
    put_named(f, 3, NAMED_ENDPOINT_GROUP, 5);
    commit(f);
    OK(store_named_get(f->reader, &row.id, f->arena, &got));
    assert_true(span_eq_str(got.sealed, "sealed name"));
    assert_int_equal(got.created, 10);
    OK(store_named_by_name(f->reader, NAMED_ENDPOINT_GROUP, row.name_hash, f->arena, &got));
    assert_true(same_id(&got.id, 3));
    FAILS(ERR_NOT_FOUND,
          store_named_by_name(f->reader, NAMED_USER_GROUP, row.name_hash, f->arena, &got));
    FAILS(ERR_NOT_FOUND, store_named_get(f->reader, &twin.id, f->arena, &got));
}

static void a_wallet_changes_by_version(void **state)
{
    struct fixture *f = *state;
    struct store_named row = named(1, NAMED_WALLET, 5);
    struct store_named got;
    begin(f);
    OK(store_named_put(f->writer, &row));
    put_named(f, 2, NAMED_WALLET, 6);
    row.sealed = span_str("renamed");
    memset(row.name_hash, 6, sizeof row.name_hash);
    FAILS(ERR_CONFLICT, store_named_update(f->writer, &row));
    memset(row.name_hash, 7, sizeof row.name_hash);
    OK(store_named_update(f->writer, &row));
    FAILS(ERR_CONFLICT, store_named_update(f->writer, &row));
    FAILS(ERR_CONFLICT, store_named_remove(f->writer, &row.id, 1));
    commit(f);
    OK(store_named_get(f->reader, &row.id, f->arena, &got));
    assert_int_equal(got.version, 2);
    assert_true(span_eq_str(got.sealed, "renamed"));
    row.id = numbered(9);
    begin(f);
    FAILS(ERR_NOT_FOUND, store_named_update(f->writer, &row));
    FAILS(ERR_NOT_FOUND, store_named_remove(f->writer, &row.id, 1));
    commit(f);
}

static void wallets_are_listed_in_pages_by_kind(void **state)
{
    struct fixture *f = *state;
    struct uuid after = {{0}};
    struct store_named *list = NULL;
    size_t count = 0;
    begin(f);
    for (unsigned n = 5; n >= 1; n--)
        put_named(f, n, NAMED_WALLET, (uint8_t)n);
    put_named(f, 3000, NAMED_ENDPOINT_GROUP, 1);
    commit(f);
    OK(store_named_list(f->reader, NAMED_WALLET, &after, 3, f->arena, &list, &count));
    assert_int_equal(count, 3);
    assert_true(same_id(&list[0].id, 1));
    after = list[2].id;
    OK(store_named_list(f->reader, NAMED_WALLET, &after, 3, f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_true(same_id(&list[1].id, 5));
    FAILS(ERR_INVALID,
          store_named_list(f->reader, NAMED_WALLET, &after, 0, f->arena, &list, &count));
}

static void members_join_once_and_leave(void **state)
{
    struct fixture *f = *state;
    struct uuid wallet = numbered(1);
    struct uuid one = numbered(11);
    struct uuid none = {{0}};
    struct uuid *list = NULL;
    size_t count = 0;
    uint64_t counted = 9;
    begin(f);
    join(f, 1, 12);
    join(f, 1, 11);
    join(f, 2, 11);
    FAILS(ERR_CONFLICT, store_member_put(f->writer, &wallet, &one));
    commit(f);
    OK(store_member_list(f->reader, &wallet, &none, 10, f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_true(same_id(&list[0], 11));
    OK(store_member_list(f->reader, &wallet, &one, 10, f->arena, &list, &count));
    assert_int_equal(count, 1);
    OK(store_member_of(f->reader, &one, &none, 10, f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_true(same_id(&list[1], 2));
    OK(store_member_count(f->reader, &wallet, &counted));
    assert_int_equal(counted, 2);
    begin(f);
    OK(store_member_remove(f->writer, &wallet, &one));
    FAILS(ERR_NOT_FOUND, store_member_remove(f->writer, &wallet, &one));
    commit(f);
    OK(store_member_count(f->reader, &wallet, &counted));
    assert_int_equal(counted, 1);
}

static void access_is_the_union_of_all_grants(void **state)
{
    struct fixture *f = *state;
    enum { ONE = 101, TWO = 102, GROUP = 200, READ = 1, WRITE = 2, OBJECT = 11 };
    begin(f);
    join(f, READ, OBJECT);
    join(f, WRITE, OBJECT);
    join(f, GROUP, TWO);
    grant(f, READ, ONE, GRANT_READ);
    grant(f, WRITE, GROUP, GRANT_READ | GRANT_MODIFY);
    commit(f);
    assert_int_equal(access_of(f, ONE, OBJECT), GRANT_READ);
    assert_int_equal(access_of(f, TWO, OBJECT), GRANT_READ | GRANT_MODIFY);
    assert_int_equal(access_of(f, 103, OBJECT), 0);
    assert_int_equal(access_of(f, ONE, 12), 0);
    begin(f);
    grant(f, READ, TWO, GRANT_READ | GRANT_MANAGE);
    commit(f);
    assert_int_equal(access_of(f, TWO, OBJECT), GRANT_READ | GRANT_MODIFY | GRANT_MANAGE);
    // A grant takes the place of the one before it.
    begin(f);
    grant(f, READ, ONE, GRANT_READ | GRANT_MODIFY);
    commit(f);
    assert_int_equal(access_of(f, ONE, OBJECT), GRANT_READ | GRANT_MODIFY);
    struct uuid group = numbered(GROUP);
    struct uuid two = numbered(TWO);
    begin(f);
    OK(store_member_remove(f->writer, &group, &two));
    commit(f);
    assert_int_equal(access_of(f, TWO, OBJECT), GRANT_READ | GRANT_MANAGE);
}

static void grants_are_listed_by_wallet_and_by_who_has_them(void **state)
{
    struct fixture *f = *state;
    struct uuid wallet = numbered(1);
    struct uuid who = numbered(101);
    struct uuid none = {{0}};
    struct store_grant *list = NULL;
    size_t count = 0;
    begin(f);
    join(f, 200, 101);
    grant(f, 1, 101, GRANT_READ);
    grant(f, 1, 200, GRANT_READ | GRANT_MODIFY);
    grant(f, 2, 200, GRANT_READ);
    grant(f, 2, 102, GRANT_READ);
    struct store_grant bad = {wallet, who, GRANTEE_ENDPOINT, GRANT_MODIFY};
    FAILS(ERR_INVALID, store_grant_put(f->writer, &bad));
    bad.access = 8 | GRANT_READ;
    FAILS(ERR_INVALID, store_grant_put(f->writer, &bad));
    commit(f);
    OK(store_grant_list(f->reader, &wallet, &none, 10, f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_true(same_id(&list[0].grantee, 101));
    assert_int_equal(list[1].access, GRANT_READ | GRANT_MODIFY);
    assert_int_equal(list[1].kind, GRANTEE_ENDPOINT);
    OK(store_grant_reach(f->reader, &who, f->arena, &list, &count));
    assert_int_equal(count, 3);
    assert_true(same_id(&list[2].wallet, 2));
    begin(f);
    OK(store_grant_remove(f->writer, &wallet, &who));
    FAILS(ERR_NOT_FOUND, store_grant_remove(f->writer, &wallet, &who));
    commit(f);
    OK(store_grant_reach(f->reader, &who, f->arena, &list, &count));
    assert_int_equal(count, 2);
}

static void a_wallet_that_goes_leaves_nothing_but_its_objects(void **state)
{
    struct fixture *f = *state;
    struct store_endpoint e = endpoint(101, 6, 0);
    struct store_endpoint got;
    struct store_object object;
    struct uuid id = numbered(11);
    uint64_t count = 9;
    e.default_wallet = numbered(1);
    begin(f);
    put_named(f, 1, NAMED_WALLET, 5);
    put_object(f, 11, 9, NULL, 0);
    join(f, 1, 11);
    grant(f, 1, 101, GRANT_READ);
    OK(store_endpoint_put(f->writer, &e));
    commit(f);
    struct uuid wallet = numbered(1);
    begin(f);
    OK(store_named_remove(f->writer, &wallet, 1));
    commit(f);
    assert_int_equal(access_of(f, 101, 11), 0);
    OK(store_member_count(f->reader, &wallet, &count));
    assert_int_equal(count, 0);
    OK(store_object_get(f->reader, &id, f->arena, &object));
    OK(store_endpoint_get(f->reader, &e.id, f->arena, &got));
    assert_true(uuid_is_zero(&got.default_wallet));
    assert_int_equal(got.version, 2);
    assert_true(span_eq_str(got.sealed, "sealed endpoint"));
}

static void an_endpoint_is_found_by_its_previous_certificate_too(void **state)
{
    struct fixture *f = *state;
    struct store_endpoint e = endpoint(1, 6, 7);
    struct store_endpoint same = endpoint(2, 8, 7);
    struct store_endpoint got;
    begin(f);
    OK(store_endpoint_put(f->writer, &e));
    FAILS(ERR_CONFLICT, store_endpoint_put(f->writer, &same));
    commit(f);
    OK(store_endpoint_by_fingerprint(f->reader, e.previous, f->arena, &got));
    assert_memory_equal(got.fingerprint, e.fingerprint, 32);
    assert_memory_equal(got.previous, e.previous, 32);
    assert_int_equal(got.previous_until, 60);
    assert_true(same_id(&got.default_wallet, 500));
    FAILS(ERR_NOT_FOUND,
          store_endpoint_by_fingerprint(f->reader, same.fingerprint, f->arena, &got));
}

static void an_endpoint_that_goes_takes_its_grants_along(void **state)
{
    struct fixture *f = *state;
    struct store_endpoint e = endpoint(101, 6, 0);
    struct store_endpoint got;
    struct uuid none = {{0}};
    struct uuid *sets = NULL;
    size_t count = 9;
    int64_t seen = 9;
    begin(f);
    OK(store_endpoint_put(f->writer, &e));
    join(f, 1, 11);
    join(f, 200, 101);
    grant(f, 1, 101, GRANT_READ);
    OK(store_seen_put(f->writer, &e.id, 50));
    FAILS(ERR_CONFLICT, store_endpoint_remove(f->writer, &e.id, 2));
    OK(store_endpoint_remove(f->writer, &e.id, 1));
    FAILS(ERR_NOT_FOUND, store_endpoint_remove(f->writer, &e.id, 1));
    commit(f);
    FAILS(ERR_NOT_FOUND, store_endpoint_get(f->reader, &e.id, f->arena, &got));
    assert_int_equal(access_of(f, 101, 11), 0);
    OK(store_member_of(f->reader, &e.id, &none, 10, f->arena, &sets, &count));
    assert_int_equal(count, 0);
    OK(store_seen_get(f->reader, &e.id, &seen));
    assert_int_equal(seen, 0);
}

static void the_last_sight_of_an_endpoint_never_goes_back(void **state)
{
    struct fixture *f = *state;
    struct uuid id = numbered(1);
    int64_t seen = 9;
    OK(store_seen_get(f->reader, &id, &seen));
    assert_int_equal(seen, 0);
    begin(f);
    OK(store_seen_put(f->writer, &id, 50));
    OK(store_seen_put(f->writer, &id, 40));
    commit(f);
    OK(store_seen_get(f->reader, &id, &seen));
    assert_int_equal(seen, 50);
}

static struct store_index name_value(uint8_t name, bool unique)
{
    struct store_index value = {.kind = 1, .unique = unique};
    memset(value.hash, name, sizeof value.hash);
    return value;
}

static size_t found(struct fixture *f, const struct store_query *q, unsigned first)
{
    struct store_object *list = NULL;
    size_t count = 0;
    uint64_t counted = 0;
    OK(store_object_find(f->reader, q, f->arena, &list, &count));
    OK(store_object_count(f->reader, q, &counted));
    assert_int_equal(count, counted);
    if (count > 0)
        assert_true(same_id(&list[0].id, first));
    for (size_t i = 1; i < count; i++)
        assert_true(memcmp(&list[i - 1].id, &list[i].id, UUID_LEN) < 0);
    return count;
}

static void a_search_stays_within_a_wallet(void **state)
{
    struct fixture *f = *state;
    struct store_index rare = name_value(1, false);
    struct store_index other = name_value(2, false);
    begin(f);
    put_object(f, 11, 9, &rare, 1);
    put_object(f, 12, 8, &rare, 1);
    put_object(f, 13, 8, &other, 1);
    put_object(f, 14, 9, &rare, 1);
    join(f, 1, 14);
    join(f, 1, 12);
    join(f, 1, 13);
    commit(f);
    struct store_query q = {.any_owner = true, .wallet = numbered(1), .limit = 1000};
    assert_int_equal(found(f, &q, 12), 3);
    q.index = &rare;
    q.index_count = 1;
    assert_int_equal(found(f, &q, 12), 2);
    struct uuid after = numbered(12);
    q.after = after;
    assert_int_equal(found(f, &q, 14), 1);
    q.any_owner = false;
    q.owner = numbered(8);
    assert_int_equal(found(f, &q, 0), 0);
    q = (struct store_query){.any_owner = true, .only = numbered(12), .limit = 1000};
    assert_int_equal(found(f, &q, 12), 1);
    q.index = &other;
    q.index_count = 1;
    assert_int_equal(found(f, &q, 0), 0);
    q.index = &rare;
    q.wallet = numbered(1);
    assert_int_equal(found(f, &q, 12), 1);
    q.wallet = numbered(2);
    assert_int_equal(found(f, &q, 0), 0);
}

static void objects_move_to_another_owner_all_or_none(void **state)
{
    struct fixture *f = *state;
    struct store_index name = name_value(1, true);
    struct uuid from = numbered(9);
    struct uuid to = numbered(8);
    uint64_t count = 99;
    begin(f);
    put_object(f, 10, 9, NULL, 0);
    put_object(f, 11, 9, &name, 1);
    put_object(f, 12, 8, &name, 1);
    FAILS(ERR_CONFLICT, store_object_move(f->writer, &from, &to, &count));
    FAILS(ERR_INVALID, store_object_move(f->writer, &from, &from, &count));
    commit(f);
    struct store_query q = {.owner = from, .limit = 1000};
    assert_int_equal(found(f, &q, 10), 2);
    to = numbered(7);
    begin(f);
    OK(store_object_move(f->writer, &from, &to, &count));
    assert_int_equal(count, 2);
    commit(f);
    assert_int_equal(found(f, &q, 0), 0);
    q.owner = to;
    assert_int_equal(found(f, &q, 10), 2);
    q.index = &name;
    q.index_count = 1;
    assert_int_equal(found(f, &q, 11), 1);
    struct store_object object;
    struct uuid id = numbered(11);
    OK(store_object_get(f->reader, &id, f->arena, &object));
    assert_int_equal(object.version, 1);
    assert_true(span_eq_str(object.material, "sealed material"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_wallet_is_found_by_id_and_name_within_its_kind),
        BOTH(a_wallet_changes_by_version),
        BOTH(wallets_are_listed_in_pages_by_kind),
        BOTH(members_join_once_and_leave),
        BOTH(access_is_the_union_of_all_grants),
        BOTH(grants_are_listed_by_wallet_and_by_who_has_them),
        BOTH(a_wallet_that_goes_leaves_nothing_but_its_objects),
        BOTH(an_endpoint_is_found_by_its_previous_certificate_too),
        BOTH(an_endpoint_that_goes_takes_its_grants_along),
        BOTH(the_last_sight_of_an_endpoint_never_goes_back),
        BOTH(a_search_stays_within_a_wallet),
        BOTH(objects_move_to_another_owner_all_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
