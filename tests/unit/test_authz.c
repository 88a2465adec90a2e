// SPDX-License-Identifier: Apache-2.0
//
// authz/authz.h, exhaustively: every verb there is, by every kind of principal, in every relation
// to an object: none, owner, reader and modifier by a wallet, stranger. The expectation is written
// here a second time on purpose.
#include "authz/authz.h"

#include "tests/unit/check.h"

enum { SERVICE = 700, STRANGER = 1000 };

static bool is_kmip(enum verb verb)
{
    static const enum verb verbs[] = {
        VERB_CREATE,
        VERB_CREATE_KEY_PAIR,
        VERB_REGISTER,
        VERB_LOCATE,
        VERB_GET,
        VERB_GET_ATTRIBUTES,
        VERB_ADD_ATTRIBUTE,
        VERB_MODIFY_ATTRIBUTE,
        VERB_ACTIVATE,
        VERB_GET_ATTRIBUTE_LIST,
        VERB_REVOKE,
        VERB_DELETE_ATTRIBUTE,
        VERB_DESTROY,
        VERB_QUERY,
        VERB_DISCOVER_VERSIONS,
    };
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (verbs[i] == verb)
            return true;
    }
    return false;
}

static bool is_admin(enum verb verb)
{
    return verb >= VERB_ADMIN_FIRST && verb < VERB_ADMIN_END;
}

static bool is_open(enum verb verb)
{
    return verb == VERB_STATUS || verb == VERB_ENDPOINT_ENROLL;
}

static struct authz_decision decide(enum principal_kind kind, uint32_t uid, enum verb verb,
                                    enum authz_relation relation)
{
    struct principal who = {.kind = kind, .uid = uid};
    struct authz_decision decision = authz_decide(&who, verb, relation, SERVICE);
    assert_non_null(decision.why);
    return decision;
}

static void each_verb_and_relation(void (*check)(enum verb verb, enum authz_relation relation))
{
    for (int verb = 0; verb < VERB_ADMIN_END + 16; verb++) {
        for (int relation = AUTHZ_NO_OBJECT; relation <= AUTHZ_OTHER; relation++)
            check((enum verb)verb, (enum authz_relation)relation);
    }
}

static void check_nobody(enum verb verb, enum authz_relation relation)
{
    assert_false(decide(PRINCIPAL_NOBODY, 0, verb, relation).permit);
    assert_false(decide(PRINCIPAL_NOBODY, SERVICE, verb, relation).permit);
    assert_false(decide((enum principal_kind)99, 0, verb, relation).permit);
}

static void nobody_may_do_anything(void **state)
{
    (void)state;
    each_verb_and_relation(check_nobody);
}

static bool reads_an_object(enum verb verb)
{
    return verb == VERB_GET || verb == VERB_GET_ATTRIBUTES || verb == VERB_GET_ATTRIBUTE_LIST;
}

static bool changes_an_object(enum verb verb)
{
    return verb == VERB_ADD_ATTRIBUTE || verb == VERB_MODIFY_ATTRIBUTE ||
           verb == VERB_DELETE_ATTRIBUTE || verb == VERB_ACTIVATE || verb == VERB_REVOKE ||
           verb == VERB_DESTROY;
}

static bool endpoint_may(enum verb verb, enum authz_relation relation)
{
    switch (relation) {
    case AUTHZ_NO_OBJECT:
    case AUTHZ_OWN:
        return is_kmip(verb);
    case AUTHZ_WALLET_READ:
        return reads_an_object(verb);
    case AUTHZ_WALLET_MODIFY:
        return reads_an_object(verb) || changes_an_object(verb);
    case AUTHZ_OTHER:
    default:
        return false;
    }
}

static void check_endpoint(enum verb verb, enum authz_relation relation)
{
    bool want = endpoint_may(verb, relation);
    assert_int_equal(decide(PRINCIPAL_ENDPOINT, 0, verb, relation).permit, want);
}

static void every_operation_on_an_object_that_writes_wants_modify(void **state)
{
    (void)state;
    for (int verb = 0; verb < VERB_ADMIN_FIRST; verb++) {
        bool reads = decide(PRINCIPAL_ENDPOINT, 0, (enum verb)verb, AUTHZ_WALLET_READ).permit;
        assert_false(reads && verb_writes((enum verb)verb));
        assert_false(
            decide(PRINCIPAL_ENDPOINT, 0, (enum verb)verb, (enum authz_relation)99).permit);
    }
}

static void an_endpoint_uses_what_it_owns_and_what_wallets_open_to_it(void **state)
{
    (void)state;
    each_verb_and_relation(check_endpoint);
}

static void check_admin(enum verb verb, enum authz_relation relation)
{
    assert_int_equal(decide(PRINCIPAL_LOCAL, 0, verb, relation).permit, is_admin(verb));
    assert_int_equal(decide(PRINCIPAL_LOCAL, SERVICE, verb, relation).permit, is_admin(verb));
}

static void root_and_the_service_administer_and_use_no_keys(void **state)
{
    (void)state;
    each_verb_and_relation(check_admin);
}

static void check_stranger(enum verb verb, enum authz_relation relation)
{
    bool want = is_open(verb) && relation == AUTHZ_NO_OBJECT;
    assert_int_equal(decide(PRINCIPAL_LOCAL, STRANGER, verb, relation).permit, want);
}

static void another_local_user_sees_the_status_and_enrolls(void **state)
{
    (void)state;
    each_verb_and_relation(check_stranger);
}

static bool may_carry(enum authz_channel channel, bool writes, enum principal_kind kind,
                      enum verb verb)
{
    struct request items[2] = {{.verb = VERB_NONE}, {.verb = verb}};
    struct batch batch = {.who = {.kind = kind}, .items = items, .count = 2};
    struct authz_decision decision = authz_may_carry(channel, writes, &batch);
    assert_non_null(decision.why);
    return decision.permit;
}

static void a_front_speaks_for_endpoints_and_web_for_local_users(void **state)
{
    (void)state;
    for (int number = 0; number < VERB_ADMIN_END + 16; number++) {
        enum verb verb = (enum verb)number;
        bool kmip = number < VERB_ADMIN_FIRST;
        bool none = verb == VERB_NONE;
        assert_int_equal(may_carry(AUTHZ_FROM_FRONT, true, PRINCIPAL_ENDPOINT, verb), kmip);
        assert_int_equal(may_carry(AUTHZ_FROM_WEB, true, PRINCIPAL_LOCAL, verb), !kmip || none);
        assert_false(may_carry(AUTHZ_FROM_FRONT, true, PRINCIPAL_LOCAL, verb));
        assert_false(may_carry(AUTHZ_FROM_FRONT, true, PRINCIPAL_NOBODY, verb));
        assert_false(may_carry(AUTHZ_FROM_WEB, true, PRINCIPAL_ENDPOINT, verb));
    }
}

static void a_reader_is_asked_for_no_change(void **state)
{
    (void)state;
    assert_true(may_carry(AUTHZ_FROM_FRONT, false, PRINCIPAL_ENDPOINT, VERB_GET));
    assert_false(may_carry(AUTHZ_FROM_FRONT, false, PRINCIPAL_ENDPOINT, VERB_DESTROY));
    assert_true(may_carry(AUTHZ_FROM_WEB, false, PRINCIPAL_LOCAL, VERB_KEY_LIST));
    assert_false(may_carry(AUTHZ_FROM_WEB, false, PRINCIPAL_LOCAL, VERB_ENDPOINT_ADD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_may_do_anything),
        cmocka_unit_test(an_endpoint_uses_what_it_owns_and_what_wallets_open_to_it),
        cmocka_unit_test(every_operation_on_an_object_that_writes_wants_modify),
        cmocka_unit_test(root_and_the_service_administer_and_use_no_keys),
        cmocka_unit_test(another_local_user_sees_the_status_and_enrolls),
        cmocka_unit_test(a_front_speaks_for_endpoints_and_web_for_local_users),
        cmocka_unit_test(a_reader_is_asked_for_no_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
