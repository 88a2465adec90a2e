// SPDX-License-Identifier: Apache-2.0
//
// Administration: setup once and after an interruption, operations on the root of trust with what
// is recorded of them, endpoints and their tokens, keys as an administrator sees them.
#include "base/paths.h"

#include "tests/unit/ops_rig.h"

static bool answers(const char *text)
{
    return memmem(rig.reply.doc.data, rig.reply.doc.len, text, strlen(text)) != NULL;
}

static bool says(const char *text)
{
    return memmem(rig.reply.message.data, rig.reply.message.len, text, strlen(text)) != NULL;
}

static enum err setup(const char *doc)
{
    return admin(VERB_SETUP, doc, "recovery_passphrase", "a passphrase of the tests");
}

static void before_setup_all_but_the_status_is_refused(void **state)
{
    (void)state;
    OK(admin(VERB_STATUS, "", NULL, NULL));
    assert_true(answers("\"state\":\"empty\""));
    FAILS(ERR_LOCKED, admin(VERB_ENDPOINT_LIST, "", NULL, NULL));
    assert_true(says("keyward setup"));
    FAILS(ERR_LOCKED, admin(VERB_KEY_CREATE, "{}", NULL, NULL));
}

static void what_is_not_known_of_the_root_of_trust_is_not_told(void **state)
{
    (void)state;
    fake_keeper.status.state = KEYRING_LOCKED;
    OK(admin(VERB_STATUS, "", NULL, NULL));
    assert_true(answers("\"hsm_enabled\":null") && answers("\"generation\":null") &&
                answers("\"master_key\":null"));
    fake_keeper.status.generation = 3;
    fake_keeper.status.hsm_enabled = true;
    OK(admin(VERB_STATUS, "", NULL, NULL));
    assert_true(answers("\"hsm_enabled\":true") && answers("\"generation\":3"));
    fake_keeper.status.state = KEYRING_EMPTY;
    fake_keeper.status.generation = 0;
    fake_keeper.status.hsm_enabled = false;
}

static void setup_refuses_what_it_cannot_use(void **state)
{
    (void)state;
    FAILS(ERR_INVALID, setup("{\"server_name\":[]}"));
    assert_true(says("\"server_name\""));
    FAILS(ERR_INVALID, setup("{\"server_names\":\"x\"}"));
    FAILS(ERR_INVALID, setup("{\"server_names\":[\"a b\"]}"));
    FAILS(ERR_INVALID, setup("{\"server_names\":[7]}"));
    FAILS(ERR_INVALID, setup("{\"dry_run\":1}"));
    FAILS(ERR_INVALID, setup("{\"dry_run\":true,\"dry_run\":true}"));
    FAILS(ERR_INVALID, setup("[]"));
    FAILS(ERR_INVALID, setup("{"));
    FAILS(ERR_PASSPHRASE, admin(VERB_SETUP, "{}", "recovery_passphrase", "short"));
    assert_false(file_exists(rig.root, PATH_TLS_KEY));
}

static void an_interrupted_setup_is_taken_up_again(void **state)
{
    (void)state;
    // As if the first run had died once the wallet was made.
    fake_keeper.status.state = KEYRING_OPEN;
    fake_keeper.status.master = 1;
    unsigned operations = fake_keeper.operations;
    OK(setup("{\"server_names\":[\"kms.example\",\"127.0.0.1\"]}"));
    assert_int_equal(fake_keeper.operations, operations);
    assert_true(answers("kms.example"));
    assert_true(file_exists(rig.root, PATH_TLS_KEY));
    assert_true(file_exists(rig.root, PATH_TLS_CERT));
    // As if it had died before the last file was written.
    OK(file_remove(rig.root, PATH_TLS_CERT));
    OK(setup("{}"));
    assert_true(file_exists(rig.root, PATH_TLS_CERT));
    FAILS(ERR_CONFLICT, setup("{}"));
    assert_true(says("already"));
}

static void an_operation_on_the_root_of_trust_wraps_the_data_keys_again(void **state)
{
    (void)state;
    struct store_data_key *keys = NULL;
    size_t count = 0;
    unsigned operations = fake_keeper.operations;
    OK(admin(VERB_HSM_INITIALIZE, "{\"vendor\":\"x\"}", "credential", "1234"));
    assert_true(answers("steps"));
    assert_int_equal(fake_keeper.operations, operations + 1);
    OK(store_data_key_list(rig.stores[OPS_WRITER], rig.arena, &keys, &count));
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(keys[i].wrapped.data[35], fake_keeper.status.master);
    fake_keeper.fails = ERR_HSM_PIN;
    FAILS(ERR_HSM_PIN, admin(VERB_HSM_REVERSE_MIGRATE, "{}", "credential", "1234"));
    assert_true(answers("steps"));
    fake_keeper.fails = ERR_OK;
    FAILS(ERR_INVALID, admin(VERB_HSM_INITIALIZE, "{\"library\":\"/x.so\"}", NULL, NULL));
    assert_true(says("\"library\""));
}

static void an_operation_without_an_answer_may_have_changed_something(void **state)
{
    (void)state;
    fake_keeper.fails = ERR_TIMEOUT;
    fake_keeper.unsure = true;
    FAILS(ERR_TIMEOUT, admin(VERB_HSM_SET_CREDENTIAL, "{}", "credential", "1234"));
    assert_true(rig.reply.unsure && says("is not known"));
    FAILS(ERR_TIMEOUT, admin(VERB_HSM_SET_CREDENTIAL, "{\"dry_run\":true}", "credential", "1234"));
    assert_false(rig.reply.unsure || says("is not known"));
    FAILS(ERR_TIMEOUT, admin(VERB_HSM_VERIFY, "{}", NULL, NULL));
    assert_false(rig.reply.unsure);
    fake_keeper.unsure = false;
    FAILS(ERR_TIMEOUT, admin(VERB_HSM_SET_CREDENTIAL, "{}", "credential", "1234"));
    assert_false(rig.reply.unsure || says("is not known"));
    fake_keeper.fails = ERR_OK;
}

static void hold_the_store(void)
{
    OK(store_begin(rig.stores[OPS_WRITER], STORE_WRITE));
}

static void what_is_done_is_not_called_failed_for_want_of_its_record(void **state)
{
    (void)state;
    fake_keeper.during = hold_the_store;
    OK(admin(VERB_HSM_SET_CREDENTIAL, "{}", "credential", "1234"));
    assert_true(answers("steps") && answers("warnings"));
    store_rollback(rig.stores[OPS_WRITER]);
    fake_keeper.fails = ERR_IO;
    fake_keeper.unsure = true;
    FAILS(ERR_IO, admin(VERB_HSM_SET_CREDENTIAL, "{}", "credential", "1234"));
    assert_true(rig.reply.unsure);
    store_rollback(rig.stores[OPS_WRITER]);
    fake_keeper.during = NULL;
    fake_keeper.fails = ERR_OK;
    fake_keeper.unsure = false;
}

static void an_endpoint_is_enrolled_once_with_its_token(void **state)
{
    (void)state;
    char token[128];
    OK(admin(VERB_ENDPOINT_ADD, "{\"name\":\"one\",\"type\":\"database\"}", NULL, NULL));
    (void)snprintf(token, sizeof token, "%s", answer_text("token"));
    FAILS(ERR_CONFLICT, admin(VERB_ENDPOINT_ADD, "{\"name\":\"one\"}", NULL, NULL));
    const char *doc = "{\"name\":\"one\",\"csr\":\"nonsense\"}";
    FAILS(ERR_AUTHENTICATION, admin(VERB_ENDPOINT_ENROLL, doc, "token", "wrong"));
    char wrong[256];
    (void)snprintf(wrong, sizeof wrong, "%.*s", (int)rig.reply.message.len,
                   (const char *)rig.reply.message.data);
    FAILS(ERR_AUTHENTICATION,
          admin(VERB_ENDPOINT_ENROLL, "{\"name\":\"none\",\"csr\":\"x\"}", "token", token));
    assert_true(span_eq_str(rig.reply.message, wrong));
    FAILS(ERR_AUTHENTICATION, admin(VERB_ENDPOINT_ENROLL, doc, "token", ""));
    FAILS(ERR_INVALID, admin(VERB_ENDPOINT_ENROLL, doc, "token", token));
    make_endpoint("two", rig.client);
    OK(admin(VERB_ENDPOINT_SHOW, "{\"name\":\"two\"}", NULL, NULL));
    assert_true(answers("\"state\":\"enrolled\""));
    assert_false(answers("token"));
    OK(admin(VERB_ENDPOINT_SHOW, "{\"name\":\"one\"}", NULL, NULL));
    assert_true(answers("\"type\":\"database\""));
    FAILS(ERR_NOT_FOUND, admin(VERB_ENDPOINT_SHOW, "{\"name\":\"three\"}", NULL, NULL));
    FAILS(ERR_AUTHENTICATION,
          admin(VERB_ENDPOINT_ENROLL, "{\"name\":\"two\",\"csr\":\"x\"}", "token", ""));
}

static void a_dry_run_changes_nothing(void **state)
{
    (void)state;
    OK(admin(VERB_ENDPOINT_ADD, "{\"name\":\"dry\",\"dry_run\":true}", NULL, NULL));
    assert_false(answers("token"));
    FAILS(ERR_NOT_FOUND, admin(VERB_ENDPOINT_SHOW, "{\"name\":\"dry\"}", NULL, NULL));
    OK(admin(VERB_KEY_CREATE, "{\"name\":\"dry\",\"dry_run\":true}", NULL, NULL));
    OK(admin(VERB_KEY_CREATE, "{\"name\":\"dry\"}", NULL, NULL));
    FAILS(ERR_CONFLICT, admin(VERB_KEY_CREATE, "{\"name\":\"dry\"}", NULL, NULL));
}

static void names_of_endpoints_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "{\"name\":\"\"}",
        "{\"name\":7}",
        "{\"name\":\" x\"}",
        "{\"name\":\"a\\u0007\"}",
        "{\"name\":\"a/b\"}",
        "{\"name\":\"<b>\"}",
        "{\"name\":\"0123456789012345678901234567890123456789012345678901234567890123x\"}",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_not_equal(admin(VERB_ENDPOINT_ADD, bad[i], NULL, NULL), ERR_OK);
    OK(admin(VERB_ENDPOINT_ADD, "{\"name\":\"gr\\u00fc\\u00dfe\"}", NULL, NULL));
}

static void lists_come_in_pages(void **state)
{
    (void)state;
    char doc[9000];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(doc, sizeof doc, "{\"name\":\"page %d\"}", i);
        OK(admin(VERB_ENDPOINT_ADD, doc, NULL, NULL));
        OK(admin(VERB_KEY_CREATE, doc, NULL, NULL));
    }
    static const enum verb verbs[] = {VERB_ENDPOINT_LIST, VERB_KEY_LIST, VERB_AUDIT_LIST};
    for (size_t v = 0; v < COUNT_OF(verbs); v++) {
        size_t pages = 1;
        OK(admin(verbs[v], "{\"limit\":2}", NULL, NULL));
        while (!answers("\"next_cursor\":null")) {
            (void)snprintf(doc, sizeof doc, "{\"limit\":2,\"cursor\":\"%s\"}",
                           answer_text("next_cursor"));
            OK(admin(verbs[v], doc, NULL, NULL));
            pages++;
        }
        assert_true(pages > 2);
        FAILS(ERR_INVALID, admin(verbs[v], "{\"limit\":0}", NULL, NULL));
        FAILS(ERR_INVALID, admin(verbs[v], "{\"limit\":1001}", NULL, NULL));
        FAILS(ERR_INVALID, admin(verbs[v], "{\"cursor\":\"x\"}", NULL, NULL));
        FAILS(ERR_INVALID, admin(verbs[v], "{\"page\":1}", NULL, NULL));
    }
}

static void a_key_is_shown_without_its_material(void **state)
{
    (void)state;
    char doc[256];
    char uid[64];
    make_endpoint("owner", rig.client);
    OK(admin(VERB_KEY_CREATE,
             "{\"name\":\"shown\",\"algorithm\":\"aes\",\"length\":128,\"owner\":\"owner\"}", NULL,
             NULL));
    (void)snprintf(uid, sizeof uid, "%s", answer_text("id"));
    (void)snprintf(doc, sizeof doc, "{\"id\":\"%s\"}", uid);
    OK(admin(VERB_KEY_SHOW, doc, NULL, NULL));
    assert_true(answers("\"owner\":\"owner\""));
    assert_true(answers("Cryptographic Length"));
    assert_true(answers("Digest"));
    // The owner has it.
    struct request get = {.verb = VERB_GET, .uid = span_str(uid)};
    OK(run(&get));
    assert_int_equal(rig.reply.object.material.len, 16);
    FAILS(ERR_NOT_FOUND, admin(VERB_KEY_SHOW, "{\"id\":\"no-such-key\"}", NULL, NULL));
    FAILS(ERR_MISSING_DATA, admin(VERB_KEY_SHOW, "{}", NULL, NULL));
    FAILS(ERR_INVALID, admin(VERB_KEY_CREATE, "{\"algorithm\":\"rot13\"}", NULL, NULL));
    FAILS(ERR_INVALID, admin(VERB_KEY_CREATE, "{\"length\":\"256\"}", NULL, NULL));
    FAILS(ERR_NOT_FOUND, admin(VERB_KEY_CREATE, "{\"owner\":\"nobody\"}", NULL, NULL));
}

static void the_trail_of_all_this_is_sound(void **state)
{
    (void)state;
    OK(admin(VERB_AUDIT_LIST, "{\"limit\":1000}", NULL, NULL));
    assert_true(answers("attempted"));
    struct principal who = {.kind = PRINCIPAL_LOCAL, .uid = 0};
    struct request verify = {.verb = VERB_AUDIT_VERIFY, .maximum_items = -1};
    struct batch batch = {.who = who, .on_error = ON_ERROR_STOP, .items = &verify, .count = 1};
    rig.reply = run_batch(OPS_ADMIN, &batch).items[0];
    assert_int_equal(rig.reply.status, ERR_OK);
    assert_true(answers("\"sound\":true"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_setup_all_but_the_status_is_refused),
        cmocka_unit_test(what_is_not_known_of_the_root_of_trust_is_not_told),
        cmocka_unit_test(setup_refuses_what_it_cannot_use),
        cmocka_unit_test(an_interrupted_setup_is_taken_up_again),
        cmocka_unit_test(an_operation_on_the_root_of_trust_wraps_the_data_keys_again),
        cmocka_unit_test(an_operation_without_an_answer_may_have_changed_something),
        cmocka_unit_test(what_is_done_is_not_called_failed_for_want_of_its_record),
        cmocka_unit_test(an_endpoint_is_enrolled_once_with_its_token),
        cmocka_unit_test(a_dry_run_changes_nothing),
        cmocka_unit_test(names_of_endpoints_are_checked),
        cmocka_unit_test(lists_come_in_pages),
        cmocka_unit_test(a_key_is_shown_without_its_material),
        cmocka_unit_test(the_trail_of_all_this_is_sound),
    };
    return cmocka_run_group_tests(tests, rig_up, rig_down);
}
