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
        VERB_RE_KEY,
        VERB_RE_KEY_KEY_PAIR,
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

// Where a token, a link or a password is the authority, and what machines ask.
static bool is_for_anyone(enum verb verb)
{
    return verb == VERB_ENDPOINT_ENROLL || verb == VERB_ENDPOINT_PACKAGE ||
           verb == VERB_SESSION_CREATE || verb == VERB_SETUP_LINK_USE || verb == VERB_READY ||
           verb == VERB_CRL || verb == VERB_CRL_PEM || verb == VERB_CRL_DER ||
           verb == VERB_CRL_OF || verb == VERB_CA_CERTIFICATE;
}

static bool is_open(enum verb verb)
{
    return verb == VERB_STATUS || is_for_anyone(verb);
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
    bool want = is_for_anyone(verb) && relation == AUTHZ_NO_OBJECT;
    assert_int_equal(decide(PRINCIPAL_NOBODY, 0, verb, relation).permit, want);
    assert_int_equal(decide(PRINCIPAL_NOBODY, SERVICE, verb, relation).permit, want);
    assert_false(decide((enum principal_kind)99, 0, verb, relation).permit);
}

static void who_is_not_known_may_only_enroll_and_sign_in(void **state)
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
           verb == VERB_DESTROY || verb == VERB_RE_KEY || verb == VERB_RE_KEY_KEY_PAIR;
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
    case AUTHZ_MANAGES:
    case AUTHZ_SELF:
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

static bool user_may(uint32_t rights, enum verb verb, enum authz_relation relation)
{
    struct principal who = {.kind = PRINCIPAL_USER, .rights = rights};
    return authz_decide(&who, verb, relation, SERVICE).permit;
}

static void a_user_uses_no_keys_over_kmip_and_sets_up_no_server(void **state)
{
    (void)state;
    for (int verb = 0; verb < VERB_ADMIN_FIRST; verb++)
        assert_false(user_may(RIGHT_ALL, (enum verb)verb, AUTHZ_NO_OBJECT));
    assert_false(user_may(RIGHT_ALL, VERB_SETUP, AUTHZ_NO_OBJECT));
}

static void a_role_opens_what_is_its_own_and_nothing_else(void **state)
{
    static const struct {
        enum verb verb;
        uint32_t rights;
    } rows[] = {
        {VERB_HSM_INITIALIZE, RIGHT_SYSTEM},
        {VERB_PASSPHRASE_CHANGE, RIGHT_SYSTEM},
        {VERB_ENDPOINT_SUSPEND, RIGHT_SYSTEM},
        {VERB_ENDPOINT_ADD, RIGHT_SYSTEM | RIGHT_CREATE_ENDPOINT},
        {VERB_WALLET_GRANT, RIGHT_KEY},
        {VERB_ENDPOINT_GROUP_CREATE, RIGHT_KEY | RIGHT_CREATE_GROUP},
        {VERB_AUDIT_LIST, RIGHT_AUDIT},
        {VERB_AUDIT_VERIFY, RIGHT_AUDIT},
        {VERB_HSM_STATUS, RIGHT_SYSTEM | RIGHT_MONITOR},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (uint32_t right = 1; right <= RIGHT_ALL; right <<= 1)
            assert_int_equal(user_may(right, rows[i].verb, AUTHZ_OTHER),
                             (rows[i].rights & right) != 0);
        assert_false(user_may(0, rows[i].verb, AUTHZ_OTHER));
    }
}

static void a_relation_opens_only_the_thing_itself(void **state)
{
    (void)state;
    assert_true(user_may(0, VERB_WALLET_GRANT, AUTHZ_NO_OBJECT)); // which wallet is not known yet
    assert_true(user_may(0, VERB_WALLET_GRANT, AUTHZ_MANAGES));
    assert_false(user_may(0, VERB_WALLET_GRANT, AUTHZ_WALLET_MODIFY));
    assert_false(user_may(0, VERB_WALLET_GRANT, AUTHZ_OTHER));
    assert_true(user_may(0, VERB_KEY_SHOW, AUTHZ_WALLET_READ));
    assert_false(user_may(0, VERB_KEY_SHOW, AUTHZ_OTHER));
    assert_false(user_may(RIGHT_SYSTEM, VERB_KEY_SHOW, AUTHZ_OTHER));
    assert_false(user_may(RIGHT_ALL, VERB_KEY_SHOW + 0x800, AUTHZ_OWN));
}

// Who may use which verbs, written down here a second time: a row holds for one verb, or for all of
// a noun that have no row of their own. A noun without a row fails the test.
enum {
    RELATED_MANAGER = 1,
    RELATED_OWNER = 2,
    RELATED_READER = 4,
    RELATED_MODIFIER = 8,
    RELATED_SELF = 16,
    ANY_USER = 32,
    NOBODY = 64 // no user
};

static const struct expected {
    const char *name;
    uint32_t rights;
    unsigned others;
} expectations[] = {
    {"alert", RIGHT_SYSTEM, 0},
    {"alert list", 0, ANY_USER},
    {"alert types", 0, ANY_USER},
    {"alert history", RIGHT_SYSTEM | RIGHT_AUDIT, 0},
    {"audit", RIGHT_AUDIT, 0},
    {"audit status", RIGHT_AUDIT | RIGHT_SYSTEM, 0},
    {"ca", RIGHT_SYSTEM, 0},
    {"ca show", 0, ANY_USER},
    {"ca certificate", 0, ANY_USER},
    {"ca status", RIGHT_SYSTEM | RIGHT_MONITOR, 0},
    {"certificate", RIGHT_SYSTEM, 0},
    {"certificate list", RIGHT_SYSTEM | RIGHT_MONITOR | RIGHT_AUDIT, 0},
    {"certificate crl-address", RIGHT_SYSTEM | RIGHT_MONITOR | RIGHT_AUDIT, 0},
    {"certificate show", 0, ANY_USER},
    {"certificate validity", RIGHT_SYSTEM | RIGHT_MONITOR, 0},
    {"crl", 0, ANY_USER},
    {"endpoint tls-failures", RIGHT_SYSTEM | RIGHT_MONITOR, 0},
    {"endpoint-group", RIGHT_KEY, RELATED_MANAGER},
    {"endpoint-group list", RIGHT_KEY | RIGHT_SYSTEM, RELATED_MANAGER},
    {"endpoint-group show", RIGHT_KEY | RIGHT_SYSTEM, RELATED_MANAGER},
    {"endpoint-group create", RIGHT_KEY | RIGHT_CREATE_GROUP, 0},
    {"endpoint", RIGHT_SYSTEM, RELATED_MANAGER},
    {"endpoint list", RIGHT_SYSTEM | RIGHT_KEY, RELATED_MANAGER},
    {"endpoint show", RIGHT_SYSTEM | RIGHT_KEY, RELATED_MANAGER},
    {"endpoint update", RIGHT_SYSTEM | RIGHT_KEY, RELATED_MANAGER},
    {"endpoint access", RIGHT_SYSTEM | RIGHT_KEY, RELATED_MANAGER},
    {"endpoint objects", RIGHT_KEY, RELATED_MANAGER},
    {"endpoint add", RIGHT_SYSTEM | RIGHT_CREATE_ENDPOINT, 0},
    {"endpoint enroll", 0, ANY_USER},
    {"endpoint package", 0, ANY_USER},
    {"hsm", RIGHT_SYSTEM, 0},
    {"hsm status", RIGHT_SYSTEM | RIGHT_MONITOR, 0},
    {"key", RIGHT_KEY, RELATED_OWNER | RELATED_MODIFIER},
    {"key list", RIGHT_KEY, RELATED_OWNER | RELATED_READER | RELATED_MODIFIER},
    {"key show", RIGHT_KEY, RELATED_OWNER | RELATED_READER | RELATED_MODIFIER},
    {"key create", RIGHT_KEY, ANY_USER},
    {"key import", RIGHT_KEY, ANY_USER},
    {"key export", RIGHT_KEY, RELATED_OWNER},
    {"key access", RIGHT_KEY, RELATED_OWNER},
    {"key give", RIGHT_KEY, 0},
    {"mail", RIGHT_SYSTEM, 0},
    {"me", 0, ANY_USER},
    {"metrics", RIGHT_SYSTEM | RIGHT_MONITOR, 0},
    {"operation", 0, ANY_USER},
    {"passphrase", RIGHT_SYSTEM, 0},
    {"password-policy", RIGHT_SYSTEM, 0},
    {"password-policy show", 0, ANY_USER},
    {"privilege", RIGHT_SYSTEM | RIGHT_KEY, 0},
    {"ready", 0, ANY_USER},
    {"report activity", RIGHT_AUDIT, 0},
    {"report expiring", RIGHT_SYSTEM | RIGHT_KEY | RIGHT_AUDIT | RIGHT_MONITOR,
     RELATED_MANAGER | RELATED_OWNER | RELATED_READER | RELATED_MODIFIER | RELATED_SELF},
    {"report never-rotated", RIGHT_KEY, RELATED_OWNER | RELATED_READER | RELATED_MODIFIER},
    {"report entitlement", RIGHT_SYSTEM | RIGHT_KEY, RELATED_MANAGER | RELATED_SELF},
    {"report quiet-endpoints", RIGHT_SYSTEM | RIGHT_KEY, RELATED_MANAGER},
    {"role", RIGHT_SYSTEM | RIGHT_KEY | RIGHT_AUDIT, 0},
    {"role recover", 0, ANY_USER}, // the recovery passphrase is the authority
    {"rotate", RIGHT_SYSTEM, 0},
    {"rotate status", RIGHT_SYSTEM | RIGHT_MONITOR, 0},
    {"separation", RIGHT_SYSTEM, 0},
    {"session", 0, ANY_USER},
    {"setup", 0, NOBODY},
    {"setup-link create", 0, NOBODY},
    {"setup-link use", 0, ANY_USER},
    {"status", 0, ANY_USER},
    {"syslog", RIGHT_SYSTEM, 0},
    {"syslog show", RIGHT_SYSTEM | RIGHT_AUDIT, 0},
    {"token", 0, ANY_USER},
    {"user", RIGHT_SYSTEM, 0},
    {"user list", RIGHT_SYSTEM | RIGHT_KEY | RIGHT_AUDIT, 0},
    {"user show", RIGHT_SYSTEM | RIGHT_KEY | RIGHT_AUDIT, RELATED_SELF},
    {"user update", RIGHT_SYSTEM, RELATED_SELF},
    {"user restore-access", RIGHT_KEY, 0},
    {"user access", RIGHT_KEY, RELATED_SELF},
    {"user objects", RIGHT_KEY, RELATED_SELF},
    {"user-group", RIGHT_KEY, 0},
    {"user-group list", RIGHT_KEY | RIGHT_SYSTEM, 0},
    {"user-group show", RIGHT_KEY | RIGHT_SYSTEM, 0},
    {"wallet", RIGHT_KEY, RELATED_MANAGER},
    {"wallet list", RIGHT_KEY, ANY_USER},
    {"wallet create", RIGHT_KEY, ANY_USER},
    {"wallet show", RIGHT_KEY, RELATED_READER | RELATED_MODIFIER | RELATED_MANAGER},
    {"wallet objects", RIGHT_KEY, RELATED_READER | RELATED_MODIFIER | RELATED_MANAGER},
};

static const struct expected *expected_of(const char *name)
{
    const struct expected *noun = NULL;
    size_t len = strcspn(name, " ");
    for (size_t i = 0; i < COUNT_OF(expectations); i++) {
        const char *own = expectations[i].name;
        if (strcmp(own, name) == 0)
            return &expectations[i];
        if (strlen(own) == len && strncmp(own, name, len) == 0)
            noun = &expectations[i];
    }
    if (noun == NULL)
        fail_msg("\"%s\" has no row here: who may use it?", name);
    return noun;
}

static unsigned related(enum authz_relation relation)
{
    static const unsigned words[] = {
        [AUTHZ_NO_OBJECT] = RELATED_MANAGER | RELATED_OWNER | RELATED_READER | RELATED_MODIFIER |
                            RELATED_SELF, // which thing it is is not known yet
        [AUTHZ_OWN] = RELATED_OWNER,
        [AUTHZ_WALLET_READ] = RELATED_READER,
        [AUTHZ_WALLET_MODIFY] = RELATED_MODIFIER,
        [AUTHZ_MANAGES] = RELATED_MANAGER,
        [AUTHZ_SELF] = RELATED_SELF,
        [AUTHZ_OTHER] = 0,
    };
    return words[relation];
}

static void check_user(enum verb verb, enum authz_relation relation)
{
    if (!is_admin(verb)) {
        assert_false(user_may(RIGHT_ALL, verb, relation));
        return;
    }
    const struct expected *want = expected_of(verb_name(verb));
    bool everybody = (want->others & (ANY_USER | related(relation))) != 0;
    for (uint32_t right = 0; right <= RIGHT_ALL; right = right == 0 ? 1 : right << 1) {
        bool may = (want->others & NOBODY) == 0 && (everybody || (want->rights & right) != 0);
        if (user_may(right, verb, relation) != may)
            fail_msg("\"%s\" by right %u in relation %d: %s expected", verb_name(verb),
                     (unsigned)right, (int)relation, may ? "a permit" : "a refusal");
    }
}

static void every_verb_by_every_right_in_every_relation(void **state)
{
    (void)state;
    each_verb_and_relation(check_user);
}

// The ways that are shut to somebody whose access is held: relations but oneself, and of what is
// the Key Administrator's all that needs no role.
static void check_held(enum verb verb, enum authz_relation relation)
{
    if (!is_admin(verb))
        return;
    const struct expected *want = expected_of(verb_name(verb));
    unsigned open = ANY_USER | RELATED_SELF;
    if ((want->rights & RIGHT_KEY) != 0)
        open = 0;
    bool everybody = (want->others & open & (ANY_USER | related(relation))) != 0;
    for (uint32_t right = 0; right <= RIGHT_ALL; right = right == 0 ? 1 : right << 1) {
        struct principal who = {.kind = PRINCIPAL_USER, .rights = right, .held = true};
        bool may = (want->others & NOBODY) == 0 && (everybody || (want->rights & right) != 0);
        if (authz_decide(&who, verb, relation, SERVICE).permit != may)
            fail_msg("\"%s\" by right %u in relation %d, held: %s expected", verb_name(verb),
                     (unsigned)right, (int)relation, may ? "a permit" : "a refusal");
    }
}

static void a_held_user_keeps_its_roles_and_its_own_account_alone(void **state)
{
    (void)state;
    each_verb_and_relation(check_held);
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

static void a_front_speaks_for_endpoints_and_web_for_people(void **state)
{
    (void)state;
    for (int number = 0; number < VERB_ADMIN_END + 16; number++) {
        enum verb verb = (enum verb)number;
        bool kmip = number < VERB_ADMIN_FIRST;
        bool none = verb == VERB_NONE;
        assert_int_equal(may_carry(AUTHZ_FROM_FRONT, true, PRINCIPAL_ENDPOINT, verb), kmip);
        assert_int_equal(may_carry(AUTHZ_FROM_WEB, true, PRINCIPAL_LOCAL, verb), !kmip || none);
        assert_int_equal(may_carry(AUTHZ_FROM_WEB, true, PRINCIPAL_USER, verb), !kmip || none);
        assert_int_equal(may_carry(AUTHZ_FROM_WEB, true, PRINCIPAL_NOBODY, verb), !kmip || none);
        assert_false(may_carry(AUTHZ_FROM_FRONT, true, PRINCIPAL_USER, verb));
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
        cmocka_unit_test(who_is_not_known_may_only_enroll_and_sign_in),
        cmocka_unit_test(an_endpoint_uses_what_it_owns_and_what_wallets_open_to_it),
        cmocka_unit_test(every_operation_on_an_object_that_writes_wants_modify),
        cmocka_unit_test(root_and_the_service_administer_and_use_no_keys),
        cmocka_unit_test(another_local_user_sees_the_status_and_enrolls),
        cmocka_unit_test(a_front_speaks_for_endpoints_and_web_for_people),
        cmocka_unit_test(a_user_uses_no_keys_over_kmip_and_sets_up_no_server),
        cmocka_unit_test(a_role_opens_what_is_its_own_and_nothing_else),
        cmocka_unit_test(a_relation_opens_only_the_thing_itself),
        cmocka_unit_test(every_verb_by_every_right_in_every_relation),
        cmocka_unit_test(a_held_user_keeps_its_roles_and_its_own_account_alone),
        cmocka_unit_test(a_reader_is_asked_for_no_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
