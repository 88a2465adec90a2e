// SPDX-License-Identifier: Apache-2.0
//
// Rotation of the data keys while objects are made, changed and read, stopped and taken up again;
// alerts as they are raised, told and cleared.
#include <jansson.h>

#include "ops/keys.h"
#include "ops/seal.h"
#include "tests/unit/ops_rig.h"

enum { OBJECTS = 200, TURNS_MAX = 20000 };

static struct ops *writer(void)
{
    return rig.engines[OPS_WRITER];
}

static bool answers(const char *text)
{
    return memmem(rig.reply.doc.data, rig.reply.doc.len, text, strlen(text)) != NULL;
}

static bool rotating(const char *state)
{
    char text[64];
    (void)snprintf(text, sizeof text, "\"state\":\"%s\"", state);
    OK(admin(VERB_ROTATE_STATUS, "", NULL, NULL));
    return answers(text);
}

static void turn(struct ops *ops)
{
    int wait_ms = 0;
    OK(ops_idle(ops, &wait_ms));
}

static void finish(const char *state)
{
    for (int i = 0; i < TURNS_MAX && rotating("running"); i++) {
        writer()->next_reseal = 0;
        turn(writer());
    }
    assert_true(rotating(state));
}

static size_t keys_of(const char *purpose)
{
    struct store_data_key *keys = NULL;
    size_t count = 0;
    size_t found = 0;
    OK(store_data_key_list(rig.stores[OPS_WRITER], rig.arena, &keys, &count));
    for (size_t i = 0; i < count; i++)
        found += strcmp(keys[i].purpose, purpose) == 0;
    return found;
}

static struct uuid key_of(struct span uid)
{
    struct uuid id;
    struct store_object row;
    OK(uuid_parse(uid, &id));
    OK(store_object_get(rig.stores[OPS_READER], &id, rig.arena, &row));
    return row.key_id;
}

// The bytes of a key as its owner gets them.
static struct span get_key(struct span uid)
{
    OK(simple(VERB_GET, uid));
    return rig.reply.object.material;
}

static struct span make_named(int number)
{
    char name[32];
    (void)snprintf(name, sizeof name, "key %d", number);
    return make_key(name);
}

// The writer's process ends and another begins.
static void restart_writer(void)
{
    struct ops_settings settings = {
        .role = OPS_WRITER, .root = rig.root, .store = rig.stores[OPS_WRITER], .service_uid = 700};
    ops_freep(&rig.engines[OPS_WRITER]);
    OK(ops_new(&settings, &rig.engines[OPS_WRITER]));
    ops_set_keeper(rig.engines[OPS_WRITER], (struct ipc *)&fake_keeper);
    OK(ops_begin(writer()));
    OK(ops_end(writer()));
}

static enum err rotate(void)
{
    return admin(VERB_ROTATE_DATA_KEYS, "{}", NULL, NULL);
}

static void everything_moves_under_the_new_key_and_the_old_one_goes(void **state)
{
    (void)state;
    static struct span uids[OBJECTS];
    static struct span values[OBJECTS];
    assert_true(rotating("never"));
    for (int i = 0; i < OBJECTS; i++) {
        uids[i] = make_named(i);
        values[i] = get_key(uids[i]);
    }
    OK(revoke_key(uids[0], 1));
    OK(simple(VERB_DESTROY, uids[0])); // its attributes move, too
    struct uuid old = key_of(uids[1]);
    OK(rotate());
    assert_true(answers("\"objects_total\":200"));
    assert_int_equal(keys_of("objects"), 2);
    FAILS(ERR_BUSY, rotate());
    FAILS(ERR_BUSY, admin(VERB_ROTATE_DATA_KEYS, "{\"dry_run\":true}", NULL, NULL));
    // What is made meanwhile is under the new key at once.
    struct span fresh = make_named(OBJECTS);
    struct uuid new = key_of(fresh);
    assert_memory_not_equal(&old, &new, sizeof old);
    finish("done");
    assert_int_equal(keys_of("objects"), 1);
    assert_int_equal(keys_of("audit"), 2); // old records stay readable
    assert_int_equal(keys_of("index"), 1);
    for (int i = 0; i < OBJECTS; i++) {
        struct uuid now = key_of(uids[i]);
        assert_memory_equal(&now, &new, sizeof new);
        if (i > 0)
            assert_true(span_eq(get_key(uids[i]), values[i]));
    }
    FAILS(ERR_DESTROYED, simple(VERB_GET, uids[0]));
    FAILS(ERR_CONFLICT, ({
              struct request request = create_request("key 7");
              run(&request);
          }));
    OK(simple(VERB_ACTIVATE, uids[5]));
    make_endpoint("third", rig.other); // the authority's key was moved
    OK(admin(VERB_ENDPOINT_SHOW, "{\"name\":\"client\"}", NULL, NULL));
    OK(admin(VERB_AUDIT_LIST, "{\"limit\":1000}", NULL, NULL));
    assert_true(answers("\"verb\":\"data keys rotated\""));
    assert_true(answers("\"verb\":\"setup\""));
    assert_false(answers("\"telling\":\"sealed\""));
}

static void every_engine_forgets_the_removed_key(void **state)
{
    (void)state;
    struct span uid = make_key("one");
    (void)get_key(uid);
    OK(rotate());
    finish("done");
    for (int role = OPS_READER; role <= OPS_ADMIN; role++) {
        struct ops *ops = rig.engines[role];
        ops->next_refresh = 0;
        size_t held = 0;
        (void)get_key(uid);
        OK(admin(VERB_HSM_STATUS, "", NULL, NULL)); // a turn of the admin engine
        for (size_t i = 0; i < ops->key_count; i++)
            held += strcmp(ops->keys[i].purpose, "objects") == 0;
        assert_int_equal(held, 1);
    }
}

static void a_rotation_that_is_stopped_anywhere_goes_on(void **state)
{
    (void)state;
    static struct span uids[OBJECTS];
    for (int i = 0; i < OBJECTS; i++)
        uids[i] = make_named(i);
    struct span before = get_key(uids[OBJECTS - 1]);
    OK(rotate());
    int starts = 0;
    for (; rotating("running") && starts < TURNS_MAX; starts++) {
        writer()->next_reseal = 0;
        turn(writer());
        restart_writer();
        // A change behind the cursor, and one before it.
        if (starts < 3) {
            OK(simple(VERB_ACTIVATE, uids[2 * starts]));
            OK(simple(VERB_ACTIVATE, uids[OBJECTS - 2 - 2 * starts]));
        }
    }
    assert_true(starts > 5 && rotating("done"));
    assert_int_equal(keys_of("objects"), 1);
    for (int i = 0; i < OBJECTS; i++)
        (void)get_key(uids[i]);
    assert_true(span_eq(get_key(uids[OBJECTS - 1]), before));
    OK(rotate()); // and once more
    finish("done");
    assert_true(span_eq(get_key(uids[OBJECTS - 1]), before));
}

// A wallet as the store keeps one, sealed by this engine.
static struct store_named make_wallet(struct ops *ops, uint8_t number)
{
    struct store_named row = {.version = 1, .kind = NAMED_WALLET, .created = 1};
    row.id.bytes[15] = row.name_hash[0] = number;
    const struct seal_bound bound = {.part = SEAL_NAMED, .id = row.id, .type = row.kind};
    struct span plain = span_str("name of the wallet");
    OK(ops_begin(ops));
    OK(seal_close(ops, rig.arena, &bound, plain, &row.sealed, &row.key_id));
    OK(store_named_put(rig.stores[OPS_WRITER], &row));
    OK(ops_end(ops));
    return row;
}

static void named_sets_move_too(void **state)
{
    (void)state;
    struct store_named row = make_wallet(writer(), 1);
    struct uuid old = row.key_id;
    struct span plain;
    OK(rotate());
    finish("done");
    OK(store_named_get(rig.stores[OPS_WRITER], &row.id, rig.arena, &row));
    assert_memory_not_equal(&row.key_id, &old, sizeof old);
    const struct seal_bound bound = {.part = SEAL_NAMED, .id = row.id, .type = row.kind};
    OK(seal_open(writer(), rig.arena, &bound, &row.key_id, row.sealed, &plain));
    assert_true(span_eq_str(plain, "name of the wallet"));
}

static void what_cannot_be_opened_keeps_its_key(void **state)
{
    (void)state;
    struct span uid = make_key("good");
    struct span bad = make_key("bad");
    struct store *store = rig.stores[OPS_WRITER];
    struct store_object row;
    struct uuid id;
    OK(uuid_parse(bad, &id));
    OK(store_object_get(store, &id, rig.arena, &row));
    struct span good_attributes = row.attributes;
    OK(arena_copy(rig.arena, span_str("no sealed attributes, far too short or not"),
                  &row.attributes));
    OK(store_begin(store, STORE_WRITE));
    OK(store_object_update(store, &row, NULL, 0));
    OK(store_commit(store));
    (void)good_attributes;
    OK(rotate());
    finish("incomplete");
    assert_true(answers("\"unreadable\":1"));
    assert_int_equal(keys_of("objects"), 2);
    (void)get_key(uid);
    OK(admin(VERB_AUDIT_LIST, "{\"limit\":1000}", NULL, NULL));
    assert_true(answers("could be opened"));
}

static void a_rotation_begins_with_the_store_alone(void **state)
{
    (void)state;
    ops_set_keeper(writer(), NULL);
    FAILS(ERR_UNAVAILABLE, rotate());
    assert_int_equal(keys_of("objects"), 1);
    assert_true(rotating("never"));
    ops_set_keeper(writer(), (struct ipc *)&fake_keeper);
    FAILS(ERR_INVALID, admin(VERB_ROTATE_DATA_KEYS, "{\"fast\":true}", NULL, NULL));
    OK(admin(VERB_ROTATE_DATA_KEYS, "{\"dry_run\":true}", NULL, NULL));
    assert_int_equal(keys_of("objects"), 1);
    struct principal stranger = {.kind = PRINCIPAL_LOCAL, .uid = 1000};
    struct request request = {.verb = VERB_ROTATE_DATA_KEYS, .doc = span_str("{}")};
    FAILS(ERR_NOT_PERMITTED, run_as(stranger, &request));
    (void)make_key("still works");
}

static void the_data_keys_follow_the_master_key(void **state)
{
    (void)state;
    OK(admin(VERB_ROTATE_MASTER_KEY, "{}", "recovery_passphrase", "a passphrase of the tests"));
    struct store_data_key *keys = NULL;
    size_t count = 0;
    OK(store_data_key_list(rig.stores[OPS_WRITER], rig.arena, &keys, &count));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(keys[i].wrapped.data[35], fake_keeper.status.master);
    // As if the process had died between the operation and the wrapping.
    fake_keeper.status.master++;
    turn(rig.engines[OPS_ADMIN]);
    OK(store_data_key_list(rig.stores[OPS_WRITER], rig.arena, &keys, &count));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(keys[i].wrapped.data[35], fake_keeper.status.master);
    FAILS(ERR_INVALID, admin(VERB_ROTATE_MASTER_KEY, "{\"vendor\":\"x\"}", NULL, NULL));
    fake_keeper.fails = ERR_PASSPHRASE;
    FAILS(ERR_PASSPHRASE, admin(VERB_PASSPHRASE_CHANGE, "{}", "recovery_passphrase", "wrong"));
    fake_keeper.fails = ERR_OK;
}

// The HSM alone, which comes first: the disk of whoever runs the tests is his own affair.
static void watch(void)
{
    struct ops *ops = rig.engines[OPS_ADMIN];
    ops->next_watch = 0;
    ops->next_alert[0] = 0;
    for (size_t i = 1; i < ALERT_TYPES_MAX; i++)
        ops->next_alert[i] = INT64_MAX;
    turn(rig.engines[OPS_ADMIN]);
}

static void set_health(bool hsm, bool known, bool up, const char *problem)
{
    fake_keeper.health = (struct keyring_health){.hsm_enabled = hsm, .known = known, .up = up};
    (void)snprintf(fake_keeper.health.problem, sizeof fake_keeper.health.problem, "%s", problem);
    (void)snprintf(fake_keeper.health.message, sizeof fake_keeper.health.message,
                   "HSM configuration error. %s", problem);
}

static bool alerted(const char *text)
{
    OK(admin(VERB_ALERT_LIST, "", NULL, NULL));
    return answers(text);
}

static void an_alert_is_raised_once_and_cleared_by_itself(void **state)
{
    (void)state;
    watch();
    assert_true(alerted("\"alerts\":[]"));
    set_health(true, false, false, "");
    watch();
    assert_true(alerted("\"alerts\":[]")); // nothing is known yet
    set_health(true, true, false, "timeout");
    for (int i = 0; i < 5; i++)
        watch();
    assert_true(alerted("\"problem\":\"timeout\""));
    assert_true(alerted("HSM configuration error. ") && alerted("\"severity\":\"critical\""));
    set_health(true, true, false, "crash"); // another problem takes its place
    watch();
    assert_true(alerted("\"problem\":\"crash\"") && !alerted("timeout"));
    fake_keeper.health_fails = ERR_TIMEOUT; // a keeper that says nothing changes nothing
    watch();
    assert_true(alerted("\"problem\":\"crash\""));
    fake_keeper.health_fails = ERR_OK;
    set_health(true, true, true, "");
    watch();
    assert_true(alerted("\"alerts\":[]"));
    OK(admin(VERB_AUDIT_LIST, "{\"limit\":1000}", NULL, NULL));
    char *text = strndup((const char *)rig.reply.doc.data, rig.reply.doc.len);
    int raised = 0;
    for (const char *at = text; (at = strstr(at, "\"verb\":\"alert raised\"")) != NULL; at++)
        raised++;
    assert_int_equal(raised, 2);
    assert_non_null(strstr(text, "\"verb\":\"alert cleared\""));
    free(text);
}

static void an_alert_survives_a_restart_and_goes_with_the_hsm(void **state)
{
    (void)state;
    set_health(true, true, false, "key_missing");
    watch();
    struct ops_settings settings = {
        .role = OPS_ADMIN, .root = rig.root, .store = rig.stores[OPS_ADMIN], .service_uid = 700};
    ops_freep(&rig.engines[OPS_ADMIN]);
    OK(ops_new(&settings, &rig.engines[OPS_ADMIN]));
    ops_set_keeper(rig.engines[OPS_ADMIN], (struct ipc *)&fake_keeper);
    set_health(true, false, false, "");
    watch();
    assert_true(alerted("\"problem\":\"key_missing\""));
    set_health(false, false, false, "");
    watch();
    assert_true(alerted("\"alerts\":[]"));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, rig_serving, rig_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(everything_moves_under_the_new_key_and_the_old_one_goes),
        CASE(every_engine_forgets_the_removed_key),
        CASE(a_rotation_that_is_stopped_anywhere_goes_on),
        CASE(named_sets_move_too),
        CASE(what_cannot_be_opened_keeps_its_key),
        CASE(a_rotation_begins_with_the_store_alone),
        CASE(the_data_keys_follow_the_master_key),
        CASE(an_alert_is_raised_once_and_cleared_by_itself),
        CASE(an_alert_survives_a_restart_and_goes_with_the_hsm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
