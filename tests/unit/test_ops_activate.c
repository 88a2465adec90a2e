// SPDX-License-Identifier: Apache-2.0
//
// Activate, Revoke, Destroy: every step of the life cycle that is allowed, every one that is not,
// and dates that move an object on by themselves.
#include "ops/lifecycle.h"

#include "tests/unit/ops_rig.h"

static void a_pre_active_key_becomes_active_now(void **state)
{
    (void)state;
    struct span uid = make_key("one");
    assert_int_equal(state_of(uid), KMIP_STATE_PRE_ACTIVE);
    assert_int_equal(attr_number(uid, KMIP_TAG_ACTIVATION_DATE), -1);
    OK(simple(VERB_ACTIVATE, uid));
    assert_true(span_eq(rig.reply.uid, uid));
    assert_int_equal(state_of(uid), KMIP_STATE_ACTIVE);
    assert_true(attr_number(uid, KMIP_TAG_ACTIVATION_DATE) > 1700000000);
}

static void an_active_or_destroyed_key_cannot_be_activated(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    OK(simple(VERB_ACTIVATE, uid));
    FAILS(ERR_WRONG_STATE, simple(VERB_ACTIVATE, uid));
    assert_int_equal(state_of(uid), KMIP_STATE_ACTIVE);
    OK(revoke_key(uid, KMIP_REVOCATION_REASON_CODE_UNSPECIFIED));
    FAILS(ERR_WRONG_STATE, simple(VERB_ACTIVATE, uid));
    OK(simple(VERB_DESTROY, uid));
    FAILS(ERR_DESTROYED, simple(VERB_ACTIVATE, uid));
}

static void nobody_elses_key_is_the_same_as_none(void **state)
{
    (void)state;
    static const enum verb verbs[] = {
        VERB_ACTIVATE,      VERB_REVOKE,           VERB_DESTROY,
        VERB_GET,           VERB_GET_ATTRIBUTES,   VERB_GET_ATTRIBUTE_LIST,
        VERB_ADD_ATTRIBUTE, VERB_MODIFY_ATTRIBUTE, VERB_DELETE_ATTRIBUTE};
    struct span uid = make_key(NULL);
    struct span none = span_str("00000000-0000-7000-8000-000000000000");
    struct span bad[] = {
        uid,         none, span_str("*"), span_str("../../etc/passwd"), span_str("1' OR '1'='1"),
        span_str("")};
    for (size_t v = 0; v < COUNT_OF(verbs); v++) {
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
            struct request request = {.verb = verbs[v], .uid = bad[i], .reason = 1};
            struct attr attr = text_attr("x-a", "b");
            OK(attrs_add(&request.attrs, rig.arena, &attr));
            FAILS(ERR_NOT_FOUND, run_other(&request));
            assert_true(span_eq_str(rig.reply.message, "there is no such object"));
            assert_int_equal(rig.reply.uid.len, 0);
            assert_int_equal(rig.reply.object.material.len, 0);
        }
    }
    assert_int_equal(state_of(uid), KMIP_STATE_PRE_ACTIVE);
}

static void revoke_deactivates_and_keeps_the_reason(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    OK(simple(VERB_ACTIVATE, uid));
    struct request request = {.verb = VERB_REVOKE,
                              .uid = uid,
                              .reason = KMIP_REVOCATION_REASON_CODE_SUPERSEDED,
                              .reason_text = span_str("a newer one is there")};
    OK(run(&request));
    assert_int_equal(state_of(uid), KMIP_STATE_DEACTIVATED);
    const struct attr *reason = attrs_find(&rig.reply.attrs, KMIP_TAG_REVOCATION_REASON);
    assert_non_null(reason);
    struct ttlv item;
    assert_true(ttlv_find(reason->bytes, KMIP_TAG_REVOCATION_MESSAGE, &item));
    assert_true(span_eq_str(item.value, "a newer one is there"));
    FAILS(ERR_WRONG_STATE, revoke_key(uid, KMIP_REVOCATION_REASON_CODE_UNSPECIFIED));
}

static void a_pre_active_key_can_be_revoked(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    OK(revoke_key(uid, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION));
    assert_int_equal(state_of(uid), KMIP_STATE_DEACTIVATED);
}

static void a_compromise_can_be_told_in_every_state_once(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    OK(simple(VERB_DESTROY, uid));
    OK(revoke_key(uid, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE));
    assert_int_equal(state_of(uid), KMIP_STATE_DESTROYED_COMPROMISED);
    FAILS(ERR_DESTROYED, revoke_key(uid, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE));
    uid = make_key(NULL);
    OK(revoke_key(uid, KMIP_REVOCATION_REASON_CODE_CA_COMPROMISE));
    assert_int_equal(state_of(uid), KMIP_STATE_COMPROMISED);
    assert_true(attr_number(uid, KMIP_TAG_COMPROMISE_OCCURRENCE_DATE) > 0);
    FAILS(ERR_WRONG_STATE, revoke_key(uid, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE));
    OK(simple(VERB_DESTROY, uid));
    assert_int_equal(state_of(uid), KMIP_STATE_DESTROYED_COMPROMISED);
}

static void a_revocation_needs_a_reason_that_is_known(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    FAILS(ERR_MISSING_DATA, revoke_key(uid, 0));
    FAILS(ERR_INVALID, revoke_key(uid, 99));
    struct request future = {.verb = VERB_REVOKE,
                             .uid = uid,
                             .reason = KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE,
                             .compromise_date = INT64_MAX};
    FAILS(ERR_INVALID, run(&future));
    assert_int_equal(state_of(uid), KMIP_STATE_PRE_ACTIVE);
}

static void a_destroyed_key_keeps_its_attributes_and_loses_its_material(void **state)
{
    (void)state;
    struct span uid = make_key("gone");
    OK(simple(VERB_GET, uid));
    assert_int_equal(rig.reply.object.material.len, 32);
    OK(simple(VERB_DESTROY, uid));
    FAILS(ERR_DESTROYED, simple(VERB_GET, uid));
    assert_int_equal(rig.reply.object.material.len, 0);
    assert_int_equal(state_of(uid), KMIP_STATE_DESTROYED);
    assert_int_equal(attr_number(uid, KMIP_TAG_CRYPTOGRAPHIC_LENGTH), 256);
    assert_true(attr_number(uid, KMIP_TAG_DESTROY_DATE) > 0);
    FAILS(ERR_DESTROYED, simple(VERB_DESTROY, uid));
}

static void an_active_key_must_be_revoked_before_it_is_destroyed(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    OK(simple(VERB_ACTIVATE, uid));
    FAILS(ERR_WRONG_STATE, simple(VERB_DESTROY, uid));
    OK(simple(VERB_GET, uid));
    OK(revoke_key(uid, KMIP_REVOCATION_REASON_CODE_UNSPECIFIED));
    OK(simple(VERB_DESTROY, uid));
}

static void dates_alone_decide_the_state(void **state)
{
    (void)state;
    const struct {
        struct store_dates dates;
        enum kmip_state want;
    } table[] = {
        {{.initial = 1}, KMIP_STATE_PRE_ACTIVE},
        {{.activation = 100}, KMIP_STATE_ACTIVE},
        {{.activation = 101}, KMIP_STATE_PRE_ACTIVE},
        {{.activation = 1, .deactivation = 101}, KMIP_STATE_ACTIVE},
        {{.activation = 1, .deactivation = 100}, KMIP_STATE_DEACTIVATED},
        {{.deactivation = 100}, KMIP_STATE_DEACTIVATED},
        {{.activation = 1, .compromise = 100}, KMIP_STATE_COMPROMISED},
        {{.deactivation = 1, .compromise = 100}, KMIP_STATE_COMPROMISED},
        {{.destroy = 100}, KMIP_STATE_DESTROYED},
        {{.destroy = 100, .compromise = 100}, KMIP_STATE_DESTROYED_COMPROMISED},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++)
        assert_int_equal(lifecycle_state_at(&table[i].dates, 100), table[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pre_active_key_becomes_active_now),
        cmocka_unit_test(an_active_or_destroyed_key_cannot_be_activated),
        cmocka_unit_test(nobody_elses_key_is_the_same_as_none),
        cmocka_unit_test(revoke_deactivates_and_keeps_the_reason),
        cmocka_unit_test(a_pre_active_key_can_be_revoked),
        cmocka_unit_test(a_compromise_can_be_told_in_every_state_once),
        cmocka_unit_test(a_revocation_needs_a_reason_that_is_known),
        cmocka_unit_test(a_destroyed_key_keeps_its_attributes_and_loses_its_material),
        cmocka_unit_test(an_active_key_must_be_revoked_before_it_is_destroyed),
        cmocka_unit_test(dates_alone_decide_the_state),
    };
    return cmocka_run_group_tests(tests, rig_serving, rig_down);
}
