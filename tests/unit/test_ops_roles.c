// SPDX-License-Identifier: Apache-2.0
//
// What people may do: roles and who passes them on, separation, recovery, privileges below the
// roles, and wallets in the hands of their users. Each permission stands beside its refusal.
#include "ops/rights.h"
#include "tests/unit/people_rig.h"

static enum err role(struct person *who, enum verb verb, const char *role_name, const char *user,
                     bool forward)
{
    char doc[256];
    (void)snprintf(doc, sizeof doc,
                   verb == VERB_ROLE_GRANT ? "{'role':'%s','user':'%s','forward':%s}"
                                           : "{'role':'%s','user':'%s'}",
                   role_name, user, forward ? "true" : "false");
    return ask(who->who, verb, doc, NULL);
}

static enum err privilege(struct person *who, enum verb verb, const char *user, const char *rest)
{
    char doc[256];
    (void)snprintf(doc, sizeof doc, "{'name':'%s',%s}", user, rest);
    return ask(who->who, verb, doc, NULL);
}

// ---- roles ----

static void a_role_is_passed_on_only_with_the_right_to(void **state)
{
    (void)state;
    struct person first = make_holder("first", "system", true);
    struct person second = make_user("second");
    struct person third = make_user("third");
    FAILS(ERR_NOT_PERMITTED, role(&second, VERB_ROLE_GRANT, "system", "second", false));
    OK(role(&first, VERB_ROLE_GRANT, "system", "second", false));
    OK(ask(second.who, VERB_USER_LIST, "{}", NULL));
    FAILS(ERR_NOT_PERMITTED, role(&second, VERB_ROLE_GRANT, "system", "third", false));
    FAILS(ERR_NOT_PERMITTED, role(&first, VERB_ROLE_GRANT, "key", "first", false));
    FAILS(ERR_NOT_PERMITTED, role(&first, VERB_ROLE_GRANT, "audit", "third", false));
    FAILS(ERR_INVALID, role(&first, VERB_ROLE_GRANT, "monitor", "third", false));
    FAILS(ERR_NOT_FOUND, role(&first, VERB_ROLE_GRANT, "system", "nobody", false));
    // The right to pass it on goes with another grant, and comes with one.
    OK(role(&first, VERB_ROLE_GRANT, "system", "second", true));
    OK(role(&second, VERB_ROLE_GRANT, "system", "third", false));
    FAILS(ERR_NOT_PERMITTED, role(&third, VERB_ROLE_REVOKE, "system", "first", false));
    OK(role(&second, VERB_ROLE_REVOKE, "system", "first", false));
    FAILS(ERR_NOT_FOUND, role(&second, VERB_ROLE_REVOKE, "system", "first", false));
    FAILS(ERR_NOT_PERMITTED, ask(first.who, VERB_USER_LIST, "{}", NULL));
    OK(role(&third, VERB_ROLE_REVOKE, "system", "third", false)); // one's own
    OK(ask(second.who, VERB_ROLE_LIST, "{}", NULL));
    assert_true(answers("'role':'system','holders':[{'name':'second','forward':true,"
                        "'state':'active'}]"));
}

// The table of fields lets none through; this holds should it ever.
static void a_privilege_is_not_taken_for_a_role(void **state)
{
    static const struct {
        const char *doc;
        enum err want;
    } rows[] = {
        {"{\"role\":\"audit\"}", ERR_OK},
        {"{\"role\":\"monitor\"}", ERR_INVALID},
        {"{\"role\":\"create-endpoint\"}", ERR_INVALID},
        {"{\"role\":\"root\"}", ERR_INVALID},
        {"{\"role\":1}", ERR_INVALID},
        {"{}", ERR_MISSING_DATA},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint32_t role = 0;
        json_t *doc = json_loads(rows[i].doc, 0, NULL);
        assert_int_equal(rights_take_role(doc, "role", &role), rows[i].want);
        assert_int_equal(role, rows[i].want == ERR_OK ? RIGHT_AUDIT : 0);
        json_decref(doc);
    }
}

static void a_token_passes_on_no_more_than_its_scope(void **state)
{
    (void)state;
    struct person first = make_holder("first", "system", true);
    (void)make_user("second");
    OK(ask(first.who, VERB_TOKEN_CREATE, "{'label':'no roles'}", NULL));
    struct person token = bearer(CREDENTIAL_TOKEN, "token");
    FAILS(ERR_NOT_PERMITTED, role(&token, VERB_ROLE_GRANT, "system", "second", false));
}

static void separated_roles_do_not_meet_in_one_person(void **state)
{
    (void)state;
    struct person both = make_holder("both", "system", true);
    struct person colin = make_user("colin");
    OK(ask(local, VERB_ROLE_GRANT, "{'role':'key','user':'both','forward':true}", NULL));
    OK(ask(local, VERB_ROLE_GRANT, "{'role':'system','user':'colin'}", NULL));
    OK(ask(both.who, VERB_USER_LIST, "{}", NULL));
    fake_keeper.fails = ERR_PASSPHRASE;
    FAILS(ERR_PASSPHRASE, ask(both.who, VERB_SEPARATION_SET, "{'enforced':true}",
                              "recovery_passphrase", "wrong", NULL));
    fake_keeper.fails = ERR_OK;
    OK(ask(both.who, VERB_SEPARATION_SET, "{'enforced':true}", "recovery_passphrase", "right",
           NULL));
    assert_true(answers("'holders_of_several':['both']"));
    // Of several none counts, until the extras are taken away.
    FAILS(ERR_NOT_PERMITTED, ask(both.who, VERB_USER_LIST, "{}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(both.who, VERB_USER_GROUP_LIST, "{}", NULL));
    OK(ask(colin.who, VERB_USER_LIST, "{}", NULL));
    FAILS(ERR_WRONG_STATE, ask(local, VERB_ROLE_GRANT, "{'role':'audit','user':'colin'}", NULL));
    FAILS(ERR_WRONG_STATE, ask(local, VERB_SETUP_LINK_CREATE, "{}", NULL));
    OK(ask(local, VERB_SETUP_LINK_CREATE, "{'roles':['audit']}", NULL));
    OK(ask(local, VERB_ROLE_REVOKE, "{'role':'key','user':'both'}", NULL));
    OK(ask(both.who, VERB_USER_LIST, "{}", NULL));
    OK(ask(both.who, VERB_SEPARATION_SET, "{'enforced':false}", "recovery_passphrase", "right",
           NULL));
    OK(ask(local, VERB_ROLE_GRANT, "{'role':'audit','user':'colin'}", NULL));
}

static void a_lost_role_comes_back_by_the_passphrase_and_wrong_ones_are_counted(void **state)
{
    (void)state;
    struct person someone = make_user("someone");
    fake_keeper.fails = ERR_PASSPHRASE;
    for (int i = 0; i < 5; i++)
        FAILS(ERR_PASSPHRASE, ask(someone.who, VERB_ROLE_RECOVER, "{'role':'key','user':'someone'}",
                                  "recovery_passphrase", "wrong", NULL));
    unsigned asked = fake_keeper.operations;
    fake_keeper.fails = ERR_OK;
    FAILS(ERR_TOO_MANY, ask(someone.who, VERB_ROLE_RECOVER, "{'role':'key','user':'someone'}",
                            "recovery_passphrase", "right", NULL));
    assert_int_equal(fake_keeper.operations, asked); // not even compared
    FAILS(ERR_NOT_PERMITTED, ask(someone.who, VERB_USER_GROUP_LIST, "{}", NULL));
}

static void every_door_to_the_passphrase_has_one_counter(void **state)
{
    (void)state;
    struct person system = make_holder("system", "system", true);
    fake_keeper.fails = ERR_PASSPHRASE;
    for (int i = 0; i < 2; i++) {
        FAILS(ERR_PASSPHRASE,
              ask(system.who, VERB_ROTATE_MASTER_KEY, "{}", "recovery_passphrase", "wrong", NULL));
        FAILS(ERR_PASSPHRASE, ask(system.who, VERB_SEPARATION_SET, "{'enforced':true}",
                                  "recovery_passphrase", "wrong", NULL));
    }
    // Over the local socket nothing is counted.
    FAILS(ERR_PASSPHRASE,
          ask(local, VERB_ROTATE_MASTER_KEY, "{}", "recovery_passphrase", "wrong", NULL));
    FAILS(ERR_PASSPHRASE, ask(system.who, VERB_PASSPHRASE_CHANGE, "{}", "recovery_passphrase",
                              "wrong", "new_recovery_passphrase", "another", NULL));
    fake_keeper.fails = ERR_OK;
    unsigned asked = fake_keeper.operations;
    FAILS(ERR_TOO_MANY,
          ask(system.who, VERB_ROTATE_MASTER_KEY, "{}", "recovery_passphrase", "right", NULL));
    FAILS(ERR_TOO_MANY, ask(system.who, VERB_ROLE_RECOVER, "{'role':'key','user':'system'}",
                            "recovery_passphrase", "right", NULL));
    assert_int_equal(fake_keeper.operations, asked);
    OK(ask(local, VERB_ROTATE_MASTER_KEY, "{}", "recovery_passphrase", "right", NULL));
}

static enum err recover(const struct principal *who)
{
    return ask(*who, VERB_ROLE_RECOVER, "{'role':'key','user':'first'}", "recovery_passphrase",
               "some passphrase", NULL);
}

static void nobody_shuts_the_door_to_the_passphrase_for_others(void **state)
{
    (void)state;
    struct person first = make_user("first");
    struct person second = make_user("second");
    fake_keeper.fails = ERR_PASSPHRASE;
    for (int i = 0; i < 20; i++)
        FAILS(i < 5 ? ERR_PASSPHRASE : ERR_TOO_MANY, recover(&first.who));
    assert_true(says("came from you: wait "));
    fake_keeper.fails = ERR_OK;
    OK(recover(&second.who));
    FAILS(ERR_TOO_MANY, recover(&first.who));
    OK(recover(&local));
    FAILS(ERR_TOO_MANY, recover(&first.who));
}

static void many_users_together_shut_it_but_on_the_server_itself(void **state)
{
    (void)state;
    char name[16];
    struct person last = make_user("first");
    fake_keeper.fails = ERR_PASSPHRASE;
    for (int i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof name, "user-%d", i);
        struct person one = make_user(name);
        for (int tries = 0; tries < 6; tries++)
            FAILS(tries < 5 ? ERR_PASSPHRASE : ERR_TOO_MANY, recover(&one.who));
    }
    FAILS(ERR_TOO_MANY, recover(&last.who));
    assert_true(says("came from several users: wait "));
    FAILS(ERR_PASSPHRASE, recover(&local)); // not counted
    fake_keeper.fails = ERR_OK;
    FAILS(ERR_TOO_MANY, recover(&last.who));
    OK(recover(&local));
}

static void the_passphrase_gives_a_role_with_the_right_to_pass_it_on(void **state)
{
    (void)state;
    struct person someone = make_user("someone");
    FAILS(ERR_AUTHENTICATION, ask(nobody, VERB_ROLE_RECOVER, "{'role':'key','user':'someone'}",
                                  "recovery_passphrase", "right", NULL));
    OK(ask(someone.who, VERB_ROLE_RECOVER, "{'role':'key','user':'someone'}", "recovery_passphrase",
           "right", NULL));
    assert_true(answers("'roles':[{'role':'key','forward':true}]"));
    OK(ask(someone.who, VERB_USER_GROUP_LIST, "{}", NULL));
}

static void nobody_gets_a_role_by_resetting_the_password_of_its_holder(void **state)
{
    (void)state;
    struct person system = make_holder("system", "system", true);
    (void)make_holder("auditor", "audit", true);
    (void)make_holder("colleague", "system", false);
    (void)make_user("plain");
    FAILS(ERR_NOT_PERMITTED, ask(system.who, VERB_USER_RESET_PASSWORD, "{'name':'auditor'}", NULL));
    FAILS(ERR_NOT_PERMITTED,
          ask(system.who, VERB_USER_RESET_SECOND_FACTOR, "{'name':'auditor'}", NULL));
    OK(ask(system.who, VERB_USER_RESET_PASSWORD, "{'name':'plain'}", NULL));
    OK(ask(system.who, VERB_USER_RESET_PASSWORD, "{'name':'colleague'}", NULL));
    OK(ask(local, VERB_USER_RESET_PASSWORD, "{'name':'auditor'}", NULL));
    OK(ask(system.who, VERB_USER_LOCK, "{'name':'auditor'}", NULL));
}

static void what_is_taken_away_counts_no_more_from_the_next_request_on(void **state)
{
    (void)state;
    struct person system = make_holder("system", "system", true);
    (void)make_holder("colin", "system", true);
    OK(ask(system.who, VERB_USER_LIST, "{}", NULL));
    OK(ask(local, VERB_ROLE_REVOKE, "{'role':'system','user':'system'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(system.who, VERB_USER_LIST, "{}", NULL));
    OK(ask(local, VERB_USER_DELETE, "{'name':'system'}", NULL));
    FAILS(ERR_AUTHENTICATION, ask(system.who, VERB_ME_SHOW, "{}", NULL));
    FAILS(ERR_NOT_FOUND, ask(local, VERB_USER_SHOW, "{'name':'system'}", NULL));
}

static void a_user_sees_and_changes_only_its_own_account(void **state)
{
    (void)state;
    struct person alice = make_user("alice");
    (void)make_user("bob");
    OK(ask(alice.who, VERB_USER_SHOW, "{'name':'Alice'}", NULL));
    OK(ask(alice.who, VERB_USER_UPDATE,
           "{'name':'alice','full_name':'Alice','email':'alice@example.org'}", NULL));
    assert_true(answers("'email':'alice@example.org'"));
    OK(ask(alice.who, VERB_USER_ACCESS, "{'name':'alice'}", NULL));
    OK(ask(alice.who, VERB_USER_OBJECTS, "{'name':'alice'}", NULL));
    // Others are not there, in the same words as nobody.
    FAILS(ERR_NOT_FOUND, ask(alice.who, VERB_USER_SHOW, "{'name':'bob'}", NULL));
    assert_true(says("there is no user \"bob\""));
    FAILS(ERR_NOT_FOUND, ask(alice.who, VERB_USER_SHOW, "{'name':'eve'}", NULL));
    assert_true(says("there is no user \"eve\""));
    FAILS(ERR_NOT_FOUND, ask(alice.who, VERB_USER_UPDATE, "{'name':'bob','email':'x@y.z'}", NULL));
    FAILS(ERR_NOT_FOUND, ask(alice.who, VERB_USER_ACCESS, "{'name':'bob'}", NULL));
    FAILS(ERR_NOT_FOUND, ask(alice.who, VERB_USER_OBJECTS, "{'name':'bob'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(alice.who, VERB_USER_LIST, "{}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(alice.who, VERB_USER_LOCK, "{'name':'alice'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(alice.who, VERB_USER_DELETE, "{'name':'alice'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(alice.who, VERB_USER_CREATE, "{'name':'carol'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(alice.who, VERB_ROLE_LIST, "{}", NULL));
}

// ---- privileges ----

static void privileges_are_granted_by_the_role_that_they_are_below(void **state)
{
    (void)state;
    struct person system = make_holder("system", "system", false);
    struct person key = make_holder("key", "key", false);
    (void)make_user("user");
    OK(ask(key.who, VERB_ENDPOINT_GROUP_CREATE, "{'name':'rac'}", NULL));
    static const struct {
        const char *rest;
        bool systems;
    } rows[] = {{"'privilege':'monitor'", true},
                {"'privilege':'create-endpoint'", true},
                {"'privilege':'manage-endpoint','endpoint':'client'", true},
                {"'privilege':'create-endpoint-group'", false},
                {"'privilege':'manage-endpoint-group','endpoint_group':'rac'", false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct person *may = rows[i].systems ? &system : &key;
        struct person *may_not = rows[i].systems ? &key : &system;
        FAILS(ERR_NOT_PERMITTED, privilege(may_not, VERB_PRIVILEGE_GRANT, "user", rows[i].rest));
        OK(privilege(may, VERB_PRIVILEGE_GRANT, "user", rows[i].rest));
        FAILS(ERR_CONFLICT, privilege(may, VERB_PRIVILEGE_GRANT, "user", rows[i].rest));
        FAILS(ERR_NOT_PERMITTED, privilege(may_not, VERB_PRIVILEGE_REVOKE, "user", rows[i].rest));
    }
    OK(ask(system.who, VERB_USER_SHOW, "{'name':'user'}", NULL));
    assert_true(answers("'privileges':['monitor','create-endpoint','create-endpoint-group']"));
    assert_true(answers("{'kind':'endpoint','name':'client'}"));
    assert_true(answers("{'kind':'endpoint_group','name':'rac'}"));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct person *may = rows[i].systems ? &system : &key;
        OK(privilege(may, VERB_PRIVILEGE_REVOKE, "user", rows[i].rest));
        FAILS(ERR_NOT_FOUND, privilege(may, VERB_PRIVILEGE_REVOKE, "user", rows[i].rest));
    }
    FAILS(ERR_INVALID, privilege(&system, VERB_PRIVILEGE_GRANT, "user", "'privilege':'root'"));
    FAILS(ERR_INVALID,
          privilege(&system, VERB_PRIVILEGE_GRANT, "user", "'privilege':'manage-endpoint'"));
    FAILS(ERR_INVALID, privilege(&system, VERB_PRIVILEGE_GRANT, "user",
                                 "'privilege':'monitor','endpoint':'client'"));
    FAILS(ERR_NOT_FOUND, privilege(&system, VERB_PRIVILEGE_GRANT, "user",
                                   "'privilege':'manage-endpoint','endpoint':'none'"));
}

static void who_may_create_endpoints_manages_what_it_creates_and_nothing_else(void **state)
{
    (void)state;
    struct person system = make_holder("system", "system", true);
    struct person maker = make_user("maker");
    struct person colin = make_user("colin");
    FAILS(ERR_NOT_PERMITTED, ask(maker.who, VERB_ENDPOINT_ADD, "{'name':'made'}", NULL));
    OK(privilege(&system, VERB_PRIVILEGE_GRANT, "maker", "'privilege':'create-endpoint'"));
    OK(privilege(&system, VERB_PRIVILEGE_GRANT, "colin", "'privilege':'create-endpoint'"));
    OK(ask(maker.who, VERB_ENDPOINT_ADD, "{'name':'made'}", NULL));
    OK(ask(maker.who, VERB_ENDPOINT_SHOW, "{'name':'made'}", NULL));
    OK(ask(maker.who, VERB_ENDPOINT_SUSPEND, "{'name':'made'}", NULL));
    OK(ask(maker.who, VERB_ENDPOINT_LIST, "{}", NULL));
    assert_true(answers("'name':'made'"));
    assert_false(answers("'name':'client'"));
    static const enum verb verbs[] = {
        VERB_ENDPOINT_SHOW,   VERB_ENDPOINT_SUSPEND, VERB_ENDPOINT_RESUME, VERB_ENDPOINT_RE_ENROLL,
        VERB_ENDPOINT_UPDATE, VERB_ENDPOINT_DELETE,  VERB_ENDPOINT_ACCESS, VERB_ENDPOINT_OBJECTS};
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        FAILS(ERR_NOT_FOUND, ask(colin.who, verbs[i], "{'name':'made'}", NULL));
        assert_true(says("there is no endpoint \"made\""));
        FAILS(ERR_NOT_FOUND, ask(maker.who, verbs[i], "{'name':'client'}", NULL));
    }
    FAILS(ERR_NOT_PERMITTED, privilege(&maker, VERB_PRIVILEGE_GRANT, "colin",
                                       "'privilege':'manage-endpoint','endpoint':'made'"));
    // It puts nothing into wallets that it may not change, and gives nothing to strangers.
    OK(ask(local, VERB_WALLET_CREATE, "{'name':'locals'}", NULL));
    FAILS(ERR_NOT_PERMITTED,
          ask(maker.who, VERB_ENDPOINT_UPDATE, "{'name':'made','default_wallet':'locals'}", NULL));
    OK(ask(maker.who, VERB_ENDPOINT_UPDATE, "{'name':'made','description':'mine'}", NULL));
    FAILS(ERR_NOT_PERMITTED,
          ask(maker.who, VERB_ENDPOINT_DELETE, "{'name':'made','reassign_to':'client'}", NULL));
    OK(ask(maker.who, VERB_ENDPOINT_DELETE, "{'name':'made'}", NULL));
    FAILS(ERR_NOT_FOUND, ask(maker.who, VERB_ENDPOINT_SHOW, "{'name':'made'}", NULL));
}

static void who_may_create_groups_manages_what_it_creates(void **state)
{
    (void)state;
    struct person key = make_holder("key", "key", false);
    struct person maker = make_user("maker");
    OK(privilege(&key, VERB_PRIVILEGE_GRANT, "maker", "'privilege':'create-endpoint-group'"));
    OK(ask(maker.who, VERB_ENDPOINT_GROUP_CREATE, "{'name':'rac'}", NULL));
    OK(ask(key.who, VERB_ENDPOINT_GROUP_CREATE, "{'name':'other rac'}", NULL));
    OK(ask(maker.who, VERB_ENDPOINT_GROUP_ADD, "{'name':'rac','endpoint':'client'}", NULL));
    OK(ask(maker.who, VERB_ENDPOINT_GROUP_LIST, "{}", NULL));
    assert_true(answers("'name':'rac'"));
    assert_false(answers("'other rac'"));
    FAILS(ERR_NOT_FOUND, ask(maker.who, VERB_ENDPOINT_GROUP_SHOW, "{'name':'other rac'}", NULL));
    FAILS(ERR_NOT_FOUND, ask(maker.who, VERB_ENDPOINT_GROUP_DELETE, "{'name':'other rac'}", NULL));
    OK(ask(key.who, VERB_ENDPOINT_GROUP_SHOW, "{'name':'rac'}", NULL));
    OK(ask(maker.who, VERB_ENDPOINT_GROUP_DELETE, "{'name':'rac'}", NULL));
}

// ---- wallets ----

static enum err grant(struct person *who, const char *wallet, const char *rest)
{
    char doc[256];
    (void)snprintf(doc, sizeof doc, "{'name':'%s',%s}", wallet, rest);
    return ask(who->who, VERB_WALLET_GRANT, doc, NULL);
}

static enum err move(struct person *who, enum verb verb, const char *wallet, const char *object)
{
    char doc[256];
    (void)snprintf(doc, sizeof doc, "{'name':'%s','object':'%s'}", wallet, object);
    return ask(who->who, verb, doc, NULL);
}

static enum err show_key(struct person *who, const char *id)
{
    char doc[128];
    (void)snprintf(doc, sizeof doc, "{'id':'%s'}", id);
    return ask(who->who, VERB_KEY_SHOW, doc, NULL);
}

static void a_user_owns_the_wallet_that_it_makes(void **state)
{
    (void)state;
    struct person alice = make_user("alice");
    struct person bob = make_user("bob");
    OK(ask(alice.who, VERB_WALLET_CREATE, "{'name':'hers'}", NULL));
    OK(ask(alice.who, VERB_WALLET_SHOW, "{'name':'hers'}", NULL));
    assert_true(answers("{'kind':'user','name':'alice','access':'read-modify','manage':true}"));
    OK(ask(bob.who, VERB_WALLET_LIST, "{}", NULL));
    assert_false(answers("hers"));
    static const enum verb verbs[] = {VERB_WALLET_SHOW, VERB_WALLET_OBJECTS, VERB_WALLET_UPDATE,
                                      VERB_WALLET_DELETE};
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        FAILS(ERR_NOT_FOUND, ask(bob.who, verbs[i], "{'name':'hers'}", NULL));
        assert_true(says("there is no wallet \"hers\""));
    }
    FAILS(ERR_NOT_FOUND, grant(&bob, "hers", "'user':'bob','access':'read-only'"));
    OK(ask(alice.who, VERB_WALLET_UPDATE, "{'name':'hers','description':'all mine'}", NULL));
    OK(ask(alice.who, VERB_WALLET_DELETE, "{'name':'hers'}", NULL));
}

static void nobody_grants_more_than_they_hold(void **state)
{
    (void)state;
    struct person owner = make_user("owner");
    struct person reader = make_user("reader");
    struct person third = make_user("third");
    OK(ask(owner.who, VERB_WALLET_CREATE, "{'name':'w'}", NULL));
    OK(grant(&owner, "w", "'user':'reader','access':'read-only'"));
    // Reading alone grants nothing.
    FAILS(ERR_NOT_PERMITTED, grant(&reader, "w", "'user':'third','access':'read-only'"));
    FAILS(ERR_NOT_PERMITTED, ask(reader.who, VERB_WALLET_DELETE, "{'name':'w'}", NULL));
    OK(grant(&owner, "w", "'user':'reader','access':'read-only','manage':true"));
    OK(grant(&reader, "w", "'user':'third','access':'read-only','manage':true"));
    FAILS(ERR_NOT_PERMITTED, grant(&reader, "w", "'user':'third','access':'read-modify'"));
    // Neither lowers nor takes what is above its own.
    FAILS(ERR_NOT_PERMITTED, grant(&reader, "w", "'user':'owner','access':'read-only'"));
    FAILS(ERR_NOT_PERMITTED,
          ask(reader.who, VERB_WALLET_REVOKE, "{'name':'w','user':'owner'}", NULL));
    FAILS(ERR_INVALID,
          grant(&owner, "w", "'user':'third','endpoint':'client','access':'read-only'"));
    FAILS(ERR_INVALID, grant(&owner, "w", "'access':'read-only'"));
    FAILS(ERR_NOT_FOUND, grant(&owner, "w", "'user':'none','access':'read-only'"));
    OK(ask(third.who, VERB_WALLET_REVOKE, "{'name':'w','user':'reader'}", NULL));
    FAILS(ERR_NOT_FOUND, ask(reader.who, VERB_WALLET_SHOW, "{'name':'w'}", NULL));
    // The Key Administrator manages the mappings of every wallet.
    struct person key = make_holder("key", "key", false);
    OK(grant(&key, "w", "'user':'third','access':'read-modify','manage':true"));
    OK(ask(key.who, VERB_WALLET_REVOKE, "{'name':'w','user':'owner'}", NULL));
    struct person system = make_holder("system", "system", false);
    FAILS(ERR_NOT_FOUND, grant(&system, "w", "'user':'system','access':'read-only'"));
}

static void users_reach_objects_by_wallets_and_as_owners(void **state)
{
    char id[64];
    (void)state;
    struct person owner = make_user("owner");
    struct person reader = make_user("reader");
    struct person key = make_holder("key", "key", false);
    OK(ask(owner.who, VERB_KEY_CREATE, "{'name':'secret'}", NULL));
    (void)snprintf(id, sizeof id, "%s", answer_text("id"));
    assert_true(answers("'owner':'owner'"));
    OK(show_key(&owner, id));
    FAILS(ERR_NOT_FOUND, show_key(&reader, id));
    OK(ask(key.who, VERB_USER_GROUP_CREATE, "{'name':'team'}", NULL));
    OK(ask(key.who, VERB_USER_GROUP_ADD, "{'name':'team','user':'reader'}", NULL));
    assert_true(answers("'members':['reader']"));
    FAILS(ERR_CONFLICT, ask(key.who, VERB_USER_GROUP_ADD, "{'name':'team','user':'reader'}", NULL));
    OK(ask(owner.who, VERB_WALLET_CREATE, "{'name':'w'}", NULL));
    OK(move(&owner, VERB_WALLET_ADD, "w", id));
    OK(grant(&owner, "w", "'user_group':'team','access':'read-only'"));
    OK(show_key(&reader, id));
    OK(ask(reader.who, VERB_KEY_LIST, "{}", NULL));
    assert_true(answers("'name':'secret'"));
    OK(ask(owner.who, VERB_KEY_LIST, "{}", NULL));
    assert_true(answers("'name':'secret'"));
    OK(ask(reader.who, VERB_USER_ACCESS, "{'name':'reader'}", NULL));
    assert_true(answers("'wallet':'w','access':'read-only','manage':false,'group':'team'"));
    char doc[128];
    (void)snprintf(doc, sizeof doc, "{'id':'%s'}", id);
    OK(ask(owner.who, VERB_KEY_ACCESS, doc, NULL));
    assert_true(answers("'kind':'user','name':'owner','access':'owner'"));
    assert_true(answers("'name':'reader','access':'read-only','wallet':'w','group':'team'"));
    FAILS(ERR_NOT_FOUND, ask(reader.who, VERB_KEY_ACCESS, doc, NULL));
    OK(ask(key.who, VERB_USER_GROUP_REMOVE, "{'name':'team','user':'reader'}", NULL));
    FAILS(ERR_NOT_FOUND, show_key(&reader, id));
    FAILS(ERR_NOT_PERMITTED, ask(owner.who, VERB_USER_GROUP_LIST, "{}", NULL));
    // Who owns objects does not go without them.
    FAILS(ERR_WRONG_STATE, ask(local, VERB_USER_DELETE, "{'name':'owner'}", NULL));
    FAILS(ERR_INVALID,
          ask(local, VERB_USER_DELETE, "{'name':'owner','reassign_to':'owner'}", NULL));
    FAILS(ERR_NOT_FOUND, ask(local, VERB_USER_DELETE, "{'name':'owner','reassign_to':'x'}", NULL));
    OK(ask(local, VERB_USER_DELETE, "{'name':'owner','reassign_to':'reader'}", NULL));
    assert_true(answers("'objects_reassigned':1"));
    OK(show_key(&reader, id));
}

static void managing_a_wallet_opens_nobody_elses_objects(void **state)
{
    char mine[64];
    char others[64];
    (void)state;
    struct person alice = make_user("alice");
    struct person bob = make_user("bob");
    OK(ask(alice.who, VERB_KEY_CREATE, "{'name':'of alice'}", NULL));
    (void)snprintf(others, sizeof others, "%s", answer_text("id"));
    OK(ask(bob.who, VERB_KEY_CREATE, "{'name':'of bob'}", NULL));
    (void)snprintf(mine, sizeof mine, "%s", answer_text("id"));
    OK(ask(bob.who, VERB_WALLET_CREATE, "{'name':'trap'}", NULL));
    FAILS(ERR_NOT_FOUND, move(&bob, VERB_WALLET_ADD, "trap", others));
    FAILS(ERR_NOT_FOUND, move(&bob, VERB_WALLET_ADD, "trap", "nonsense"));
    OK(move(&bob, VERB_WALLET_ADD, "trap", mine));
    // What one may only read, one does not carry into a wallet of one's own.
    OK(ask(alice.who, VERB_WALLET_CREATE, "{'name':'lent'}", NULL));
    OK(move(&alice, VERB_WALLET_ADD, "lent", others));
    OK(grant(&alice, "lent", "'user':'bob','access':'read-only','manage':true"));
    FAILS(ERR_NOT_PERMITTED, move(&bob, VERB_WALLET_ADD, "trap", others));
    FAILS(ERR_NOT_PERMITTED, move(&bob, VERB_WALLET_REMOVE, "lent", others));
    FAILS(ERR_NOT_PERMITTED, move(&bob, VERB_WALLET_ADD, "lent", mine));
    OK(grant(&alice, "lent", "'user':'bob','access':'read-modify','manage':true"));
    OK(move(&bob, VERB_WALLET_ADD, "trap", others));
    OK(move(&bob, VERB_WALLET_REMOVE, "lent", others));
}

// ---- separation of whoever resets and whoever opens keys ----

static struct person reset_and_change(const struct person *by, const char *name)
{
    char doc[128];
    (void)snprintf(doc, sizeof doc, "{'name':'%s'}", name);
    OK(ask(by->who, VERB_USER_RESET_PASSWORD, doc, "password", CHANGED, NULL));
    assert_true(answers("'access_held':true"));
    OK(sign_in_as(name, CHANGED));
    struct person person = bearer(CREDENTIAL_SESSION, "session");
    OK(ask(person.who, VERB_ME_CHANGE_PASSWORD, "{}", "password", CHANGED, "new_password", PASSWORD,
           NULL));
    return person;
}

static void whoever_resets_a_password_gets_at_no_keys(void **state)
{
    char id[64];
    (void)state;
    struct person system = make_holder("system", "system", true);
    struct person key = make_holder("key", "key", false);
    struct person owner = make_user("owner");
    OK(ask(owner.who, VERB_KEY_CREATE, "{'name':'secret'}", NULL));
    (void)snprintf(id, sizeof id, "%s", answer_text("id"));
    struct person held = reset_and_change(&system, "owner");
    static const enum verb shut[] = {VERB_KEY_LIST, VERB_WALLET_LIST};
    for (size_t i = 0; i < COUNT_OF(shut); i++) {
        FAILS(ERR_NOT_PERMITTED, ask(held.who, shut[i], "{}", NULL));
        assert_true(says("ask a Key Administrator to restore it"));
    }
    FAILS(ERR_NOT_PERMITTED, show_key(&held, id));
    FAILS(ERR_NOT_PERMITTED, ask(held.who, VERB_USER_OBJECTS, "{'name':'owner'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(held.who, VERB_KEY_CREATE, "{'name':'new'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(held.who, VERB_WALLET_CREATE, "{'name':'new'}", NULL));
    // One's own account is looked after all the same; a token reaches no more.
    OK(ask(held.who, VERB_ME_SHOW, "{}", NULL));
    assert_true(answers("'access_held':true"));
    OK(ask(held.who, VERB_TOKEN_CREATE, "{'label':'script'}", NULL));
    struct person token = bearer(CREDENTIAL_TOKEN, "token");
    FAILS(ERR_NOT_PERMITTED, show_key(&token, id));
    FAILS(ERR_NOT_PERMITTED, ask(system.who, VERB_USER_RESTORE_ACCESS, "{'name':'owner'}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(held.who, VERB_USER_RESTORE_ACCESS, "{'name':'owner'}", NULL));
    OK(ask(key.who, VERB_USER_RESTORE_ACCESS, "{'name':'owner'}", NULL));
    assert_true(answers("'access_held':false"));
    OK(show_key(&held, id));
    OK(show_key(&token, id));
    FAILS(ERR_WRONG_STATE, ask(key.who, VERB_USER_RESTORE_ACCESS, "{'name':'owner'}", NULL));
    assert_true(says("is not held"));
    FAILS(ERR_NOT_FOUND, ask(key.who, VERB_USER_RESTORE_ACCESS, "{'name':'none'}", NULL));
}

static void who_looks_after_endpoints_directs_their_keys_nowhere(void **state)
{
    (void)state;
    struct person system = make_holder("system", "system", true);
    struct person both = make_holder("both", "system", true);
    OK(ask(local, VERB_ROLE_GRANT, "{'role':'key','user':'both'}", NULL));
    OK(ask(system.who, VERB_WALLET_CREATE, "{'name':'trap'}", NULL));
    OK(ask(system.who, VERB_ENDPOINT_ADD, "{'name':'own'}", NULL));
    // Before an endpoint is enrolled it has no keys; "client" is.
    OK(ask(system.who, VERB_ENDPOINT_UPDATE, "{'name':'own','default_wallet':'trap'}", NULL));
    FAILS(ERR_NOT_PERMITTED,
          ask(system.who, VERB_ENDPOINT_UPDATE, "{'name':'client','default_wallet':'trap'}", NULL));
    assert_true(says("is the Key Administrator's"));
    FAILS(ERR_NOT_PERMITTED,
          ask(system.who, VERB_ENDPOINT_DELETE, "{'name':'client','reassign_to':'own'}", NULL));
    assert_true(says("is the Key Administrator's"));
    struct person key = make_holder("key", "key", false);
    OK(ask(key.who, VERB_ENDPOINT_UPDATE, "{'name':'client','default_wallet':'trap'}", NULL));
    FAILS(ERR_NOT_PERMITTED,
          ask(key.who, VERB_ENDPOINT_UPDATE, "{'name':'client','new_name':'mine'}", NULL));
    assert_true(says("change \"default_wallet\" alone"));
    FAILS(ERR_NOT_FOUND, ask(key.who, VERB_ENDPOINT_SUSPEND, "{'name':'client'}", NULL));
    OK(ask(both.who, VERB_ENDPOINT_UPDATE, "{'name':'client','default_wallet':''}", NULL));
    OK(ask(both.who, VERB_ENDPOINT_DELETE, "{'name':'client','reassign_to':'own'}", NULL));
}

static void access_is_restored_only_once_the_user_has_a_password_of_its_own(void **state)
{
    (void)state;
    struct person system = make_holder("system", "system", true);
    struct person key = make_holder("key", "key", false);
    struct person owner = make_user("owner");
    OK(ask(owner.who, VERB_WALLET_CREATE, "{'name':'w'}", NULL));
    OK(ask(system.who, VERB_USER_RESET_PASSWORD, "{'name':'owner'}", "password", CHANGED, NULL));
    FAILS(ERR_WRONG_STATE, ask(key.who, VERB_USER_RESTORE_ACCESS, "{'name':'owner'}", NULL));
    assert_true(says("that somebody else has set"));
    struct person held = reset_and_change(&system, "owner"); // a second time changes nothing
    FAILS(ERR_NOT_PERMITTED, ask(held.who, VERB_WALLET_SHOW, "{'name':'w'}", NULL));
    OK(ask(local, VERB_USER_RESTORE_ACCESS, "{'name':'owner'}", NULL));
    OK(ask(held.who, VERB_WALLET_SHOW, "{'name':'w'}", NULL));
}

static void access_is_held_for_each_way_to_a_key_and_for_no_other_reason(void **state)
{
    (void)state;
    struct person system = make_holder("system", "system", true);
    struct person both = make_holder("both", "system", true);
    struct person maker = make_user("maker");
    (void)make_user("reader");
    (void)make_user("member");
    (void)make_user("manager");
    (void)make_user("plain");
    OK(ask(local, VERB_ROLE_GRANT, "{'role':'key','user':'both'}", NULL));
    OK(ask(maker.who, VERB_WALLET_CREATE, "{'name':'w'}", NULL));
    OK(grant(&maker, "w", "'user':'reader','access':'read-only'"));
    OK(ask(local, VERB_USER_GROUP_CREATE, "{'name':'team'}", NULL));
    OK(ask(local, VERB_USER_GROUP_ADD, "{'name':'team','user':'member'}", NULL));
    OK(grant(&maker, "w", "'user_group':'team','access':'read-only'"));
    OK(ask(local, VERB_ENDPOINT_GROUP_CREATE, "{'name':'rac'}", NULL));
    OK(privilege(&both, VERB_PRIVILEGE_GRANT, "manager",
                 "'privilege':'manage-endpoint-group','endpoint_group':'rac'"));
    static const char *const held[] = {"maker", "reader", "member", "manager"};
    for (size_t i = 0; i < COUNT_OF(held); i++)
        (void)reset_and_change(&system, held[i]);
    OK(ask(system.who, VERB_USER_RESET_PASSWORD, "{'name':'plain'}", NULL));
    assert_true(answers("'access_held':false"));
    // Who is Key Administrator, too, or root, opens nothing that way that is not open already.
    OK(ask(both.who, VERB_USER_RESTORE_ACCESS, "{'name':'maker'}", NULL));
    OK(ask(both.who, VERB_USER_RESET_PASSWORD, "{'name':'maker'}", NULL));
    assert_true(answers("'access_held':false"));
    OK(ask(local, VERB_USER_RESET_PASSWORD, "{'name':'maker'}", NULL));
    assert_true(answers("'access_held':false"));
}

// ---- audit ----

static void the_trail_has_the_users_name_also_of_refusals(void **state)
{
    (void)state;
    struct person audit = make_holder("auditor", "audit", false);
    struct person alice = make_user("alice");
    FAILS(ERR_NOT_PERMITTED, ask(alice.who, VERB_AUDIT_LIST, "{}", NULL));
    FAILS(ERR_NOT_PERMITTED, ask(alice.who, VERB_USER_CREATE, "{'name':'x'}", NULL));
    OK(ask(alice.who, VERB_WALLET_CREATE, "{'name':'hers'}", NULL));
    OK(ask(audit.who, VERB_AUDIT_LIST, "{'limit':1000}", NULL));
    assert_true(answers("'verb':'wallet create'"));
    assert_true(answers("'name':'alice'"));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, rig_serving, rig_down)
    const struct CMUnitTest tests[] = {
        TEST(a_role_is_passed_on_only_with_the_right_to),
        TEST(a_privilege_is_not_taken_for_a_role),
        TEST(a_token_passes_on_no_more_than_its_scope),
        TEST(separated_roles_do_not_meet_in_one_person),
        TEST(a_lost_role_comes_back_by_the_passphrase_and_wrong_ones_are_counted),
        TEST(every_door_to_the_passphrase_has_one_counter),
        TEST(nobody_shuts_the_door_to_the_passphrase_for_others),
        TEST(many_users_together_shut_it_but_on_the_server_itself),
        TEST(the_passphrase_gives_a_role_with_the_right_to_pass_it_on),
        TEST(nobody_gets_a_role_by_resetting_the_password_of_its_holder),
        TEST(whoever_resets_a_password_gets_at_no_keys),
        TEST(who_looks_after_endpoints_directs_their_keys_nowhere),
        TEST(access_is_restored_only_once_the_user_has_a_password_of_its_own),
        TEST(access_is_held_for_each_way_to_a_key_and_for_no_other_reason),
        TEST(what_is_taken_away_counts_no_more_from_the_next_request_on),
        TEST(a_user_sees_and_changes_only_its_own_account),
        TEST(privileges_are_granted_by_the_role_that_they_are_below),
        TEST(who_may_create_endpoints_manages_what_it_creates_and_nothing_else),
        TEST(who_may_create_groups_manages_what_it_creates),
        TEST(a_user_owns_the_wallet_that_it_makes),
        TEST(nobody_grants_more_than_they_hold),
        TEST(users_reach_objects_by_wallets_and_as_owners),
        TEST(managing_a_wallet_opens_nobody_elses_objects),
        TEST(the_trail_has_the_users_name_also_of_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
