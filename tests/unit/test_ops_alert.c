// SPDX-License-Identifier: Apache-2.0
//
// Alerts, what the courier gets to see of them, and where audit records are forwarded to: the rules
// that need neither a network nor a second process.
#include <jansson.h>

#include "base/clock.h"
#include "ops/alert.h"
#include "ops/context.h"
#include "store/people.h"
#include "tests/unit/ops_rig.h"

// Looks at the HSM alone, which is the first type.
static void watch(void)
{
    int wait = 0;
    struct ops *ops = rig.engines[OPS_ADMIN];
    ops->next_watch = 0;
    ops->next_alert[0] = 0;
    for (size_t i = 1; i < ALERT_TYPES_MAX; i++)
        ops->next_alert[i] = INT64_MAX;
    OK(ops_idle(ops, &wait));
}

static void set_hsm(bool up)
{
    fake_keeper.health = (struct keyring_health){.hsm_enabled = true, .known = true, .up = up};
    (void)snprintf(fake_keeper.health.problem, sizeof fake_keeper.health.problem, "timeout");
    (void)snprintf(fake_keeper.health.message, sizeof fake_keeper.health.message, "It is slow.");
    watch();
}

static bool says(const char *text)
{
    return memmem(rig.reply.doc.data, rig.reply.doc.len, text, strlen(text)) != NULL;
}

// One frame of a courier.
static enum err courier(enum ops_role role, const char *ask, struct span *ret)
{
    *ret = span_of("", 0);
    OK(ops_begin(rig.engines[role]));
    enum err err = ops_run_courier(rig.engines[role], span_str(ask), rig.arena, ret);
    OK(ops_end(rig.engines[role]));
    return err;
}

static json_t *mails(char password[64])
{
    struct span answer;
    OK(courier(OPS_READER, "{\"ask\":\"mail\"}", &answer));
    const uint8_t *end = memchr(answer.data, '\0', answer.len);
    size_t len = end == NULL ? answer.len : (size_t)(end - answer.data);
    json_t *doc = json_loadb((const char *)answer.data, len, 0, NULL);
    assert_non_null(doc);
    memset(password, 0, 64);
    if (end != NULL)
        memcpy(password, end + 1, answer.len - len - 1);
    return doc;
}

static size_t mail_count(void)
{
    char password[64];
    json_t *doc = mails(password);
    size_t count = json_array_size(json_object_get(doc, "mails"));
    json_decref(doc);
    return count;
}

static void set_mail(void)
{
    OK(admin(VERB_MAIL_SET,
             "{\"host\":\"mail.example.org\",\"user\":\"u\",\"from\":\"k@example.org\","
             "\"to\":[\"ops@example.org\"]}",
             "mail_password", "hunter2hunter2"));
}

static void an_alert_is_mailed_once_unless_it_is_silenced(void **state)
{
    (void)state;
    char id[64];
    char doc[160];
    char password[64];
    struct span answer;
    set_mail();
    assert_int_equal(mail_count(), 0);
    set_hsm(false);
    json_t *pulled = mails(password);
    const json_t *mail = json_array_get(json_object_get(pulled, "mails"), 0);
    assert_string_equal(password, "hunter2hunter2");
    assert_string_equal(json_string_value(json_object_get(mail, "text")), "It is slow.");
    assert_null(json_object_get(json_object_get(pulled, "config"), "mail_password"));
    (void)snprintf(id, sizeof id, "%s", json_string_value(json_object_get(mail, "id")));
    json_decref(pulled);
    (void)snprintf(doc, sizeof doc, "{\"id\":\"%s\",\"until\":\"2000-01-01\"}", id);
    OK(admin(VERB_ALERT_SILENCE, doc, NULL, NULL)); // is over
    assert_int_equal(mail_count(), 1);
    char year[CLOCK_TEXT_LEN + 1];
    clock_text(clock_wall_ms() + 3600 * 1000, year);
    (void)snprintf(doc, sizeof doc, "{\"id\":\"%s\",\"until\":\"%s\"}", id, year);
    OK(admin(VERB_ALERT_SILENCE, doc, NULL, NULL));
    assert_int_equal(mail_count(), 0);
    (void)snprintf(doc, sizeof doc, "{\"id\":\"%s\",\"until\":\"2099-01-01\"}", id);
    FAILS(ERR_INVALID, admin(VERB_ALERT_SILENCE, doc, NULL, NULL));
    (void)snprintf(doc, sizeof doc, "{\"id\":\"%s\",\"until\":\"2000-01-01\"}", id);
    OK(admin(VERB_ALERT_SILENCE, doc, NULL, NULL));
    (void)snprintf(doc, sizeof doc, "{\"tell\":\"mail\",\"sent\":[\"%s\",\"another\"]}", id);
    OK(courier(OPS_WRITER, doc, &answer));
    assert_int_equal(mail_count(), 0);
    watch();
    assert_int_equal(mail_count(), 0);
    set_hsm(true);
    set_hsm(false); // another one
    assert_int_equal(mail_count(), 1);
}

static void a_type_is_switched_off_and_its_mail_too(void **state)
{
    (void)state;
    set_mail();
    set_hsm(false);
    OK(admin(VERB_ALERT_CONFIGURE, "{\"name\":\"hsm\",\"mail\":false}", NULL, NULL));
    assert_int_equal(mail_count(), 0);
    OK(admin(VERB_ALERT_CONFIGURE, "{\"name\":\"hsm\",\"mail\":true,\"threshold\":60}", NULL,
             NULL));
    assert_int_equal(mail_count(), 1);
    watch();
    assert_int_equal(fake_keeper.watch_s, 60);
    OK(admin(VERB_ALERT_CONFIGURE, "{\"name\":\"hsm\",\"enabled\":false}", NULL, NULL));
    watch();
    OK(admin(VERB_ALERT_LIST, "", NULL, NULL));
    assert_false(says("\"type\":\"hsm\""));
    OK(admin(VERB_ALERT_HISTORY, "", NULL, NULL));
    assert_true(says("\"type\":\"hsm\""));
    FAILS(ERR_INVALID,
          admin(VERB_ALERT_CONFIGURE, "{\"name\":\"hsm\",\"threshold\":9}", NULL, NULL));
    FAILS(ERR_INVALID,
          admin(VERB_ALERT_CONFIGURE, "{\"name\":\"audit_trail\",\"threshold\":9}", NULL, NULL));
    FAILS(ERR_NOT_FOUND, admin(VERB_ALERT_CONFIGURE, "{\"name\":\"x\"}", NULL, NULL));
    FAILS(ERR_INVALID,
          admin(VERB_ALERT_CONFIGURE, "{\"name\":\"hsm\",\"to\":[\"no address\"]}", NULL, NULL));
}

static void mail_is_set_with_sound_values_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"host\":\"a b\",\"from\":\"k@x\",\"to\":[\"o@x\"]}",
        "{\"host\":\"m\",\"from\":\"k@x\\r\\nBcc: z@x\",\"to\":[\"o@x\"]}",
        "{\"host\":\"m\",\"from\":\"k@x\",\"to\":[]}",
        "{\"host\":\"m\",\"from\":\"k@x\",\"to\":[\"o@x> NOTIFY\"]}",
        "{\"host\":\"m\",\"from\":\"k@x\",\"to\":[\"o@x\"],\"security\":\"none\"}",
        "{\"host\":\"m\",\"from\":\"k@x\",\"to\":[\"o@x\"],\"user\":\"u\"}",
        "{\"host\":\"m\",\"from\":\"k@x\",\"to\":[\"o@x\"],\"ca\":\"x\"}",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        FAILS(ERR_INVALID, admin(VERB_MAIL_SET, bad[i], NULL, NULL));
    FAILS(ERR_WRONG_STATE, admin(VERB_MAIL_TEST, "", NULL, NULL));
    FAILS(ERR_WRONG_STATE, admin(VERB_MAIL_DISABLE, "", NULL, NULL));
    set_mail();
    OK(admin(VERB_MAIL_SHOW, "", NULL, NULL));
    assert_true(says("mail.example.org") && !says("hunter2"));
    OK(admin(VERB_MAIL_TEST, "", NULL, NULL));
    assert_int_equal(mail_count(), 1);
    OK(admin(VERB_MAIL_DISABLE, "", NULL, NULL));
    assert_int_equal(mail_count(), 0);
}

static void password_and_signing_key_move_under_a_new_data_key(void **state)
{
    (void)state;
    int wait = 0;
    char password[64];
    struct ops *writer = rig.engines[OPS_WRITER];
    set_mail();
    OK(ops_idle(writer, &wait)); // makes the key that signs
    OK(admin(VERB_ROTATE_DATA_KEYS, "{}", NULL, NULL));
    for (int i = 0; i < 100; i++) {
        writer->next_reseal = 0;
        OK(ops_idle(writer, &wait));
    }
    OK(admin(VERB_ROTATE_STATUS, "", NULL, NULL));
    assert_true(says("\"done\""));
    json_decref(mails(password));
    assert_string_equal(password, "hunter2hunter2");
    OK(ops_stop(writer)); // signs
    OK(admin(VERB_AUDIT_STATUS, "", NULL, NULL));
    assert_false(says("\"signed_through\": 0") || says("\"signed_through\":0,"));
}

static void a_courier_may_say_nothing_else(void **state)
{
    (void)state;
    struct span answer;
    FAILS(ERR_MESSAGE, courier(OPS_READER, "no document", &answer));
    FAILS(ERR_OPERATION, courier(OPS_READER, "{\"ask\":\"keys\"}", &answer));
    FAILS(ERR_OPERATION, courier(OPS_READER, "{\"tell\":\"mail\"}", &answer));
    FAILS(ERR_OPERATION, courier(OPS_WRITER, "{\"ask\":\"mail\"}", &answer));
    FAILS(ERR_INVALID, courier(OPS_WRITER, "{\"tell\":\"syslog\",\"place\":\"x\"}", &answer));
}

static json_t *pull(const char *place)
{
    char ask[256];
    struct span answer;
    (void)snprintf(ask, sizeof ask, "{\"ask\":\"syslog\",\"place\":\"%s\"}", place);
    OK(courier(OPS_READER, ask, &answer));
    json_t *doc = json_loadb((const char *)answer.data, answer.len, 0, NULL);
    assert_non_null(doc);
    return doc;
}

static void records_are_pulled_from_where_delivery_was_told(void **state)
{
    (void)state;
    char tell[256];
    struct span answer;
    json_t *first = pull("");
    assert_true(json_is_null(json_object_get(first, "config")));
    json_decref(first);
    OK(admin(VERB_SYSLOG_SET, "{\"host\":\"127.0.0.1\",\"transport\":\"tcp\"}", NULL, NULL));
    first = pull("");
    size_t count = json_array_size(json_object_get(first, "records"));
    assert_true(count > 2);
    const char *place = json_string_value(json_object_get(first, "place"));
    json_t *again = pull(""); // nothing was told: the same once more
    assert_int_equal(json_array_size(json_object_get(again, "records")), count);
    json_decref(again);
    json_t *next = pull(place);
    assert_int_equal(json_array_size(json_object_get(next, "records")), 0);
    json_decref(next);
    (void)snprintf(tell, sizeof tell, "{\"tell\":\"syslog\",\"place\":\"%s\"}", place);
    json_decref(first);
    OK(courier(OPS_WRITER, tell, &answer));
    next = pull("");
    assert_int_equal(json_array_size(json_object_get(next, "records")), 0);
    json_decref(next);
    OK(courier(OPS_WRITER, "{\"tell\":\"syslog\",\"error\":\"it is gone\"}", &answer));
    OK(admin(VERB_SYSLOG_SHOW, "", NULL, NULL));
    assert_true(says("it is gone"));
    OK(courier(OPS_WRITER, "{\"tell\":\"syslog\",\"place\":null}", &answer));
    OK(admin(VERB_SYSLOG_SHOW, "", NULL, NULL));
    assert_false(says("it is gone"));
    // Alerts alone.
    OK(admin(VERB_SYSLOG_SET, "{\"host\":\"::1\",\"what\":\"alerts\",\"from\":\"start\"}", NULL,
             NULL));
    set_hsm(false);
    next = pull("");
    assert_int_equal(json_array_size(json_object_get(next, "records")), 1);
    json_decref(next);
    OK(admin(VERB_ALERT_CONFIGURE, "{\"name\":\"hsm\",\"syslog\":false}", NULL, NULL));
    next = pull("");
    assert_int_equal(json_array_size(json_object_get(next, "records")), 0);
    json_decref(next);
}

static void a_trail_that_is_not_in_order_is_an_alert(void **state)
{
    (void)state;
    int wait = 0;
    size_t trail = 0;
    struct ops *ops = rig.engines[OPS_ADMIN];
    struct store_audit head;
    watch();
    while (strcmp(alert_types[trail].name, "audit_trail") != 0)
        trail++;
    ops->next_watch = 0;
    ops->next_alert[trail] = 1;
    OK(ops_idle(ops, &wait));
    OK(admin(VERB_ALERT_LIST, "", NULL, NULL));
    assert_false(says("audit_trail"));
    struct store *store = rig.stores[OPS_WRITER];
    OK(store_begin(store, STORE_WRITE));
    OK(store_audit_head(store, &head));
    struct store_audit forged = {.sequence = head.sequence + 1, .record = span_str("forged")};
    OK(store_audit_append(store, &forged));
    OK(store_commit(store));
    ops->next_watch = 0;
    ops->next_alert[trail] = 1;
    OK(ops_idle(ops, &wait));
    OK(admin(VERB_ALERT_LIST, "", NULL, NULL));
    assert_true(says("\"type\":\"audit_trail\"") && says("was changed"));
}

static size_t type_at(const char *name)
{
    size_t at = 0;
    while (strcmp(alert_types[at].name, name) != 0)
        at++;
    return at;
}

// Looks at one type.
static void look_at(const char *name)
{
    int wait = 0;
    struct ops *ops = rig.engines[OPS_ADMIN];
    watch();
    ops->next_watch = 0;
    ops->next_alert[type_at(name)] = 1;
    OK(ops_idle(ops, &wait));
    OK(admin(VERB_ALERT_LIST, "", NULL, NULL));
}

static void every_type_says_what_helps(void **state)
{
    (void)state;
    for (size_t i = 0; i < alert_type_count; i++) {
        if (alert_types[i].fix == NULL || alert_types[i].fix[0] == '\0')
            fail_msg("nothing is said to help against %s", alert_types[i].name);
    }
}

static void a_password_that_ages_is_an_alert_with_the_users_name(void **state)
{
    (void)state;
    OK(admin(VERB_USER_CREATE, "{\"name\":\"alice\"}", NULL, NULL));
    look_at("user_password");
    assert_false(says("user_password"));
    OK(admin(VERB_PASSWORD_POLICY_SET, "{\"password_days\":1}", NULL, NULL));
    look_at("user_password");
    assert_true(says("user \\\"alice\\\" has a password that expires on "));
    assert_true(says("\"fix\":\"keyward user show NAME\""));
    OK(admin(VERB_PASSWORD_POLICY_SET, "{\"password_days\":0}", NULL, NULL));
    look_at("user_password");
    assert_false(says("user_password"));
}

// Wrong tries of a name, or of whom the hash is given for.
static void put_tries(const uint8_t hash[STORE_HASH_LEN], int64_t since, int64_t until)
{
    struct store *store = rig.stores[OPS_WRITER];
    struct store_tries tries = {.wrong = 5, .since = since, .until = until};
    memcpy(tries.name_hash, hash, sizeof tries.name_hash);
    OK(store_begin(store, STORE_WRITE));
    OK(store_tries_put(store, &tries));
    OK(store_commit(store));
}

static void a_user_that_is_locked_is_an_alert_until_it_is_over(void **state)
{
    struct store_user *rows = NULL;
    const struct uuid start = {{0}};
    size_t count = 0;
    uint8_t other[STORE_HASH_LEN] = {7};
    int64_t now = clock_wall_s();
    (void)state;
    OK(admin(VERB_USER_CREATE, "{\"name\":\"alice\"}", NULL, NULL));
    OK(store_user_list(rig.stores[OPS_READER], 0, &start, 10, rig.arena, &rows, &count));
    put_tries(other, now, now + 900); // nobody's name
    look_at("lockout");
    assert_false(says("lockout"));
    put_tries(rows[0].name_hash, now, now + 900);
    look_at("lockout");
    assert_true(says("user \\\"alice\\\" is locked until "));
    put_tries(rows[0].name_hash, now, now - 1);
    look_at("lockout");
    assert_false(says("lockout"));
}

static void the_recovery_passphrase_that_is_locked_is_an_alert(void **state)
{
    uint8_t hash[STORE_HASH_LEN];
    int64_t now = clock_wall_s();
    (void)state;
    memset(hash, 0xff, sizeof hash);
    put_tries(hash, now, now + 900);
    look_at("lockout");
    assert_true(says("\"severity\":\"high\",\"problem\":\"passphrase_of_all\""));
    assert_true(says("taken on the server itself alone for a while"));
    put_tries(hash, now, now - 1);
    hash[15] = 1; // of one user
    put_tries(hash, now, now + 900);
    look_at("lockout");
    assert_true(says("a user has given too many wrong recovery passphrases"));
    assert_false(says("on the server itself alone"));
}

static void many_names_that_are_tried_are_an_alert(void **state)
{
    uint8_t hash[STORE_HASH_LEN] = {0};
    int64_t now = clock_wall_s();
    (void)state;
    for (uint8_t i = 0; i < 9; i++) {
        hash[0] = (uint8_t)(i + 1);
        put_tries(hash, now, 0);
    }
    hash[0] = 100;
    put_tries(hash, now - 3601, 0); // too long ago
    memset(hash, 0xff, 8);
    put_tries(hash, now, 0); // no name's
    look_at("name_spray");
    assert_false(says("name_spray"));
    hash[0] = 101;
    put_tries(hash, now, 0);
    look_at("name_spray");
    assert_true(says("wrong passwords came for 10 different user names within an hour"));
    OK(admin(VERB_ALERT_CONFIGURE, "{\"name\":\"name_spray\",\"threshold\":11}", NULL, NULL));
    look_at("name_spray");
    assert_false(says("name_spray"));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, rig_serving, rig_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_alert_is_mailed_once_unless_it_is_silenced),
        CASE(a_type_is_switched_off_and_its_mail_too),
        CASE(mail_is_set_with_sound_values_alone),
        CASE(password_and_signing_key_move_under_a_new_data_key),
        CASE(a_courier_may_say_nothing_else),
        CASE(every_type_says_what_helps),
        CASE(a_password_that_ages_is_an_alert_with_the_users_name),
        CASE(a_user_that_is_locked_is_an_alert_until_it_is_over),
        CASE(the_recovery_passphrase_that_is_locked_is_an_alert),
        CASE(many_names_that_are_tried_are_an_alert),
        CASE(a_trail_that_is_not_in_order_is_an_alert),
        CASE(records_are_pulled_from_where_delivery_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
