// SPDX-License-Identifier: Apache-2.0
//
// What people may do with keys: the Key Administrator everything, others what they own and what
// wallets open to them; a stranger is told the same of a key as of none.
#include "tests/unit/people_rig.h"

static char key[64];

static const struct {
    enum verb verb;
    const char *members; // besides the identifier
    bool changes;
} verbs[] = {
    {VERB_KEY_SHOW, "", false},
    {VERB_KEY_ACTIVATE, ",'dry_run':true", true},
    {VERB_KEY_REVOKE, ",'reason':'superseded','dry_run':true", true},
    {VERB_KEY_DESTROY, ",'confirm':'guarded','dry_run':true", true},
    {VERB_KEY_RE_KEY, ",'dry_run':true", true},
    {VERB_KEY_SET_DATES, ",'deactivation_date':'2999-01-01','dry_run':true", true},
    {VERB_KEY_ADD_ATTRIBUTE, ",'attribute':'x-a','value':'b','dry_run':true", true},
    {VERB_KEY_MODIFY_ATTRIBUTE, ",'attribute':'x-note','value':'b','dry_run':true", true},
    {VERB_KEY_DELETE_ATTRIBUTE, ",'attribute':'x-note','dry_run':true", true},
};

static enum err on_key(struct principal who, enum verb verb, const char *members)
{
    char doc[512];
    (void)snprintf(doc, sizeof doc, "{'id':'%s'%s}", key, members);
    return ask(who, verb, doc, NULL);
}

// A key of the endpoint "client" with a note, in the wallet "purse".
static void put_key(void)
{
    char doc[256];
    OK(ask(local, VERB_WALLET_CREATE, "{'name':'purse'}", NULL));
    OK(ask(local, VERB_KEY_CREATE, "{'name':'guarded','owner':'client','wallet':'purse'}", NULL));
    (void)snprintf(key, sizeof key, "%s", answer_text("id"));
    (void)snprintf(doc, sizeof doc, "{'id':'%s','attribute':'x-note','value':'a'}", key);
    OK(ask(local, VERB_KEY_ADD_ATTRIBUTE, doc, NULL));
}

static void check(struct principal who, enum err reading, enum err changing)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        enum err want = verbs[i].changes ? changing : reading;
        if (on_key(who, verbs[i].verb, verbs[i].members) != want)
            fail_msg("%s: %d, %.*s", verb_name(verbs[i].verb), (int)rig.reply.status,
                     (int)rig.reply.message.len, (const char *)rig.reply.message.data);
    }
}

static void a_wallet_opens_a_key_to_a_user_as_far_as_it_is_granted(void **state)
{
    (void)state;
    put_key();
    struct person user = make_user("user");
    check(user.who, ERR_NOT_FOUND, ERR_NOT_FOUND);
    OK(ask(user.who, VERB_KEY_LIST, "{'with_count':true}", NULL));
    assert_true(answers("'keys':[]") && answers("'count':0"));
    OK(ask(local, VERB_WALLET_GRANT, "{'name':'purse','user':'user','access':'read-only'}", NULL));
    check(user.who, ERR_OK, ERR_NOT_FOUND);
    OK(ask(user.who, VERB_KEY_LIST, "{'with_count':true,'wallet':'purse','sort':'newest'}", NULL));
    assert_true(answers("guarded") && answers("'count':1"));
    OK(ask(local, VERB_WALLET_GRANT, "{'name':'purse','user':'user','access':'read-modify'}",
           NULL));
    check(user.who, ERR_OK, ERR_OK);
    // What leaves, and whose it is, is the Key Administrator's and the owner's business.
    FAILS(ERR_NOT_FOUND, on_key(user.who, VERB_KEY_EXPORT, ",'reason':'test'"));
    FAILS(ERR_NOT_PERMITTED, on_key(user.who, VERB_KEY_GIVE, ",'owner':'other'"));
    FAILS(ERR_NOT_FOUND, on_key(user.who, VERB_KEY_ACCESS, ""));
}

static void other_wallets_of_a_key_are_not_told(void **state)
{
    (void)state;
    put_key();
    char doc[128];
    struct person user = make_user("user");
    OK(ask(local, VERB_WALLET_CREATE, "{'name':'hidden'}", NULL));
    (void)snprintf(doc, sizeof doc, "{'name':'hidden','object':'%s'}", key);
    OK(ask(local, VERB_WALLET_ADD, doc, NULL));
    OK(ask(local, VERB_WALLET_GRANT, "{'name':'purse','user':'user','access':'read-only'}", NULL));
    OK(on_key(user.who, VERB_KEY_SHOW, ""));
    assert_true(answers("'wallets':['purse']"));
    OK(on_key(local, VERB_KEY_SHOW, ""));
    assert_true(answers("hidden"));
}

static void roles_open_keys_or_not(void **state)
{
    (void)state;
    put_key();
    check(make_holder("keys", "key", false).who, ERR_OK, ERR_OK);
    struct person keys = sign_in("keys");
    OK(on_key(keys.who, VERB_KEY_EXPORT, ",'reason':'test'"));
    OK(on_key(keys.who, VERB_KEY_GIVE, ",'owner':'other','dry_run':true"));
    OK(ask(keys.who, VERB_KEY_LIST, "{}", NULL));
    assert_true(answers("guarded"));
    check(make_holder("sys", "system", false).who, ERR_NOT_FOUND, ERR_NOT_FOUND);
    check(make_holder("auditor", "audit", false).who, ERR_NOT_FOUND, ERR_NOT_FOUND);
    FAILS(ERR_AUTHENTICATION, on_key(nobody, VERB_KEY_SHOW, ""));
}

static void a_key_is_given_to_a_user(void **state)
{
    (void)state;
    put_key();
    struct person user = make_user("user");
    FAILS(ERR_NOT_FOUND, on_key(local, VERB_KEY_GIVE, ",'owner':'nobody'"));
    assert_true(says("there is no endpoint and no user \"nobody\""));
    OK(on_key(local, VERB_KEY_GIVE, ",'owner':'user'"));
    assert_true(answers("'owner':'user'"));
    OK(on_key(user.who, VERB_KEY_EXPORT, ",'reason':'mine now'"));
    OK(ask(local, VERB_KEY_LIST, "{'owner':'USER','with_count':true}", NULL));
    assert_true(answers("guarded") && answers("'count':1"));
    FAILS(ERR_CONFLICT, on_key(local, VERB_KEY_GIVE, ",'owner':'user'"));
    FAILS(ERR_NOT_FOUND, ask(local, VERB_KEY_LIST, "{'owner':'nobody'}", NULL));
}

static void a_user_makes_keys_of_his_own(void **state)
{
    (void)state;
    put_key();
    struct person user = make_user("user");
    struct person other = make_user("stranger");
    OK(ask(user.who, VERB_KEY_CREATE, "{'name':'mine'}", NULL));
    (void)snprintf(key, sizeof key, "%s", answer_text("id"));
    OK(on_key(user.who, VERB_KEY_EXPORT, ",'reason':'mine'"));
    FAILS(ERR_NOT_FOUND, on_key(other.who, VERB_KEY_EXPORT, ",'reason':'not mine'"));
    FAILS(ERR_NOT_FOUND, on_key(other.who, VERB_KEY_SHOW, ""));
    OK(ask(user.who, VERB_KEY_IMPORT, "{'format':'raw','name':'mine too'}", "material",
           "AAECAwQFBgcICQoLDA0ODw==", NULL));
    OK(ask(user.who, VERB_KEY_LIST, "{}", NULL));
    assert_true(answers("mine too") && !answers("guarded"));
    FAILS(ERR_NOT_PERMITTED, ask(user.who, VERB_KEY_CREATE, "{'owner':'client'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(user.who, VERB_KEY_CREATE, "{'wallet':'purse'}", NULL));
    OK(ask(local, VERB_WALLET_GRANT, "{'name':'purse','user':'user','access':'read-modify'}",
           NULL));
    OK(ask(user.who, VERB_KEY_CREATE, "{'wallet':'purse'}", NULL));
    FAILS(ERR_AUTHENTICATION, ask(nobody, VERB_KEY_CREATE, "{}", NULL));
}

static void neither_a_key_nor_a_session_is_answered_from_memory(void **state)
{
    (void)state;
    struct person user = make_user("user");
    OK(ask(user.who, VERB_KEY_CREATE, "{'name':'mine'}", NULL));
    (void)snprintf(key, sizeof key, "%s", answer_text("id"));
    once_key = span_str("again");
    OK(on_key(user.who, VERB_KEY_EXPORT, ",'reason':'mine'"));
    OK(sign_in_as("user", PASSWORD));
    once_key = span_of(NULL, 0);
    OK(on_key(user.who, VERB_KEY_REVOKE, ",'reason':'cessation-of-operation'"));
    char confirm[128];
    (void)snprintf(confirm, sizeof confirm, ",'confirm':'%s'", key);
    OK(on_key(user.who, VERB_KEY_DESTROY, confirm));
    OK(ask(local, VERB_USER_LOCK, "{'name':'user'}", NULL));
    once_key = span_str("again");
    FAILS(ERR_AUTHENTICATION, sign_in_as("user", PASSWORD));
    once_key = span_of(NULL, 0);
    OK(ask(local, VERB_USER_UNLOCK, "{'name':'user'}", NULL));
    user = sign_in("user");
    once_key = span_str("again");
    assert_int_not_equal(on_key(user.who, VERB_KEY_EXPORT, ",'reason':'mine'"), ERR_OK);
    once_key = span_of(NULL, 0);
}

static void deleting_somebody_is_no_way_to_their_keys(void **state)
{
    (void)state;
    struct person user = make_user("user");
    struct person system = make_holder("system", "system", true);
    OK(ask(user.who, VERB_KEY_CREATE, "{'name':'mine'}", NULL));
    FAILS(ERR_NOT_PERMITTED,
          ask(system.who, VERB_USER_DELETE, "{'name':'user','reassign_to':'system'}", NULL));
    OK(ask(user.who, VERB_ME_SHOW, "{}", NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_serving, rig_down)
    static const struct CMUnitTest tests[] = {
        TEST(a_wallet_opens_a_key_to_a_user_as_far_as_it_is_granted),
        TEST(other_wallets_of_a_key_are_not_told),
        TEST(roles_open_keys_or_not),
        TEST(a_key_is_given_to_a_user),
        TEST(a_user_makes_keys_of_his_own),
        TEST(neither_a_key_nor_a_session_is_answered_from_memory),
        TEST(deleting_somebody_is_no_way_to_their_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
