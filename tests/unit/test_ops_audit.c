// SPDX-License-Identifier: Apache-2.0
//
// Keeping the audit trail, as whole operations: signing by itself, filters, export, confirmation,
// retention by age, an older store.
#include <jansson.h>

#include "base/clock.h"
#include "base/paths.h"
#include "ops/context.h"
#include "ops/head.h"
#include "ops/keys.h"
#include "tests/unit/ops_rig.h"

enum { OLD = 3 };

// A server whose trail begins with records of 1970.
static int serving(void **state)
{
    (void)rig_up(state);
    struct store *store = rig.stores[OPS_WRITER];
    OK(store_begin(store, STORE_WRITE));
    for (int i = 0; i < OLD; i++) {
        const struct audit_record record = {.time_ms = 1000 + i, .verb = VERB_STATUS};
        OK(audit_append(store, span_of(NULL, 0), &record));
    }
    OK(store_commit(store));
    OK(admin(VERB_SETUP, "{}", "recovery_passphrase", "a passphrase of the tests"));
    for (int role = OPS_READER; role <= OPS_PEOPLE; role++)
        ops_set_keeper(rig.engines[role], (struct ipc *)&fake_keeper);
    make_endpoint("client", rig.client);
    return 0;
}

static void turn(void)
{
    int wait = 0;
    struct ops *ops = rig.engines[OPS_WRITER];
    ops->next_sign = 0;
    OK(ops_idle(ops, &wait));
}

static json_t *answer(void)
{
    json_t *doc = json_loadb((const char *)rig.reply.doc.data, rig.reply.doc.len, 0, NULL);
    assert_non_null(doc);
    return doc;
}

static int64_t number(const char *name)
{
    json_t *doc = answer();
    int64_t value = json_integer_value(json_object_get(doc, name));
    json_decref(doc);
    return value;
}

static int64_t status(const char *name)
{
    OK(admin(VERB_AUDIT_STATUS, "", NULL, NULL));
    return number(name);
}

// Exports everything and gives the document that confirms it.
static char *export_all(void)
{
    json_t *seals = json_array();
    char *cursor = NULL;
    for (bool more = true; more;) {
        json_t *ask = cursor == NULL ? json_object() : json_pack("{s:s}", "cursor", cursor);
        char *text = json_dumps(ask, 0);
        OK(admin(VERB_AUDIT_EXPORT, text, NULL, NULL));
        free(text);
        json_decref(ask);
        free(cursor);
        json_t *doc = answer();
        const char *lines = json_string_value(json_object_get(doc, "text"));
        const char *seal = strstr(lines, "{\"row\":\"seal\"");
        assert_non_null(seal);
        (void)json_array_append_new(seals, json_stringn(seal, strcspn(seal, "\n")));
        const char *next = json_string_value(json_object_get(doc, "next_cursor"));
        more = next != NULL;
        cursor = next == NULL ? NULL : strdup(next);
        json_decref(doc);
    }
    json_t *confirm = json_pack("{s:o}", "seals", seals);
    char *text = json_dumps(confirm, 0);
    json_decref(confirm);
    return text;
}

static void the_writer_signs_by_itself_and_when_it_stops(void **state)
{
    (void)state;
    turn(); // makes the key
    int64_t first = status("signed_through");
    assert_true(first > 0);
    turn(); // not due
    assert_int_equal(status("signed_through"), first);
    rig.engines[OPS_WRITER]->unsigned_records = AUDIT_SIGN_RECORDS;
    OK(ops_stop(rig.engines[OPS_WRITER]));
    assert_int_equal(status("signed_through"), status("last"));
}

// A key that is not there yet would be one of zeros, under which signatures can be made up.
static void before_there_is_a_key_no_seal_counts(void **state)
{
    (void)state;
    FAILS(ERR_WRONG_STATE, admin(VERB_AUDIT_CONFIRM, "{\"seals\":[\"x\"]}", NULL, NULL));
    turn(); // makes the key
    FAILS(ERR_INVALID, admin(VERB_AUDIT_CONFIRM, "{\"seals\":[\"x\"]}", NULL, NULL));
}

static void what_is_old_and_exported_goes_by_itself(void **state)
{
    (void)state;
    turn();
    OK(admin(VERB_AUDIT_RETENTION, "{\"days\":30}", NULL, NULL));
    turn(); // nothing was exported
    assert_int_equal(status("first"), 1);
    OK(ops_stop(rig.engines[OPS_WRITER]));
    char *confirm = export_all();
    turn(); // nothing was confirmed
    assert_int_equal(status("first"), 1);
    OK(admin(VERB_AUDIT_CONFIRM, confirm, NULL, NULL));
    assert_true(number("exported_through") > OLD);
    free(confirm);
    rig.engines[OPS_WRITER]->next_retention = 0;
    turn();
    assert_int_equal(status("first"), OLD + 1);
    OK(admin(VERB_AUDIT_VERIFY, "", NULL, NULL));
    json_t *doc = answer();
    assert_true(json_is_true(json_object_get(doc, "sound")));
    json_decref(doc);
    OK(admin(VERB_AUDIT_RETENTION, "{\"days\":0}", NULL, NULL));
    FAILS(ERR_INVALID, admin(VERB_AUDIT_RETENTION, "{\"days\":-1}", NULL, NULL));
    FAILS(ERR_WRONG_STATE, admin(VERB_AUDIT_PURGE, "{\"before\":\"1980-01-01\"}", NULL, NULL));
}

static void seals_that_leave_a_gap_count_for_nothing(void **state)
{
    (void)state;
    turn();
    OK(ops_stop(rig.engines[OPS_WRITER]));
    // A range that begins later: what is before it was not exported.
    OK(admin(VERB_AUDIT_EXPORT, "{\"since\":\"2020-01-01\"}", NULL, NULL));
    json_t *doc = answer();
    const char *lines = json_string_value(json_object_get(doc, "text"));
    const char *seal = strstr(lines, "{\"row\":\"seal\"");
    json_t *confirm = json_pack("{s:[o]}", "seals", json_stringn(seal, strcspn(seal, "\n")));
    char *text = json_dumps(confirm, 0);
    OK(admin(VERB_AUDIT_CONFIRM, text, NULL, NULL));
    assert_int_equal(number("exported_through"), 0);
    free(text);
    json_decref(confirm);
    json_decref(doc);
    FAILS(ERR_INVALID, admin(VERB_AUDIT_CONFIRM, "{\"seals\":[]}", NULL, NULL));
    FAILS(ERR_INVALID, admin(VERB_AUDIT_CONFIRM, "{\"seals\":[\"x\"]}", NULL, NULL));
}

static size_t listed(const char *filter)
{
    OK(admin(VERB_AUDIT_LIST, filter, NULL, NULL));
    json_t *doc = answer();
    size_t count = json_array_size(json_object_get(doc, "records"));
    json_decref(doc);
    return count;
}

static void the_list_is_filtered(void **state)
{
    (void)state;
    struct request query = {.verb = VERB_QUERY};
    OK(run(&query));
    assert_int_equal(listed("{\"verb\":\"status\",\"until\":\"1971-01-01\"}"), OLD);
    assert_int_equal(listed("{\"verb\":\"status\",\"since\":\"1971-01-01\"}"), 0);
    assert_int_equal(listed("{\"verb\":\"Query\"}"), 1);
    assert_int_equal(listed("{\"who\":\"client\",\"verb\":\"Query\"}"), 1);
    assert_int_equal(listed("{\"who\":\"endpoint\",\"verb\":\"Query\"}"), 1);
    assert_int_equal(listed("{\"who\":\"nobody\",\"verb\":\"Query\"}"), 0);
    assert_true(listed("{\"who\":\"local\"}") > 0);
    assert_int_equal(listed("{\"outcome\":\"ERR_DESTROYED\"}"), 0);
    FAILS(ERR_INVALID, admin(VERB_AUDIT_LIST, "{\"object\":\"x\"}", NULL, NULL));
    FAILS(ERR_INVALID, admin(VERB_AUDIT_LIST, "{\"since\":\"yesterday\"}", NULL, NULL));
    FAILS(ERR_INVALID, admin(VERB_AUDIT_EXPORT, "{\"cursor\":\"x\"}", NULL, NULL));
}

// ---- an older store ----

// A writer that starts, with or without a file of this end of the trail.
static void start_with(const struct store_audit *kept)
{
    struct uuid id;
    struct ops *ops = rig.engines[OPS_WRITER];
    OK(file_remove(rig.root, PATH_AUDIT_HEAD));
    if (kept != NULL)
        OK(audit_head_keep(rig.root, keys_newest(ops, "audit", &id), kept));
    ops->head_looked = false;
    ops->next_head = 0;
    turn();
}

// Is the alert in force?
static bool alerted(void)
{
    int wait = 0;
    struct ops *ops = rig.engines[OPS_ADMIN];
    ops->next_watch = 0;
    for (size_t i = 0; i < ALERT_TYPES_MAX; i++)
        ops->next_alert[i] = 0;
    OK(ops_idle(ops, &wait));
    OK(admin(VERB_ALERT_LIST, "", NULL, NULL));
    json_t *doc = answer();
    bool found = false;
    size_t i;
    json_t *alert;
    json_array_foreach(json_object_get(doc, "alerts"), i, alert)
    {
        if (strcmp(json_string_value(json_object_get(alert, "type")), HEAD_ALERT) == 0) {
            found = true;
            assert_string_equal(json_string_value(json_object_get(alert, "severity")), "critical");
        }
    }
    json_decref(doc);
    return found;
}

static size_t found_older(void)
{
    return listed("{\"verb\":\"older store found\"}");
}

static void acknowledge(void)
{
    char doc[128];
    OK(admin(VERB_ALERT_LIST, "", NULL, NULL));
    json_t *list = answer();
    size_t i;
    json_t *alert;
    json_array_foreach(json_object_get(list, "alerts"), i, alert)
    {
        (void)snprintf(doc, sizeof doc, "{\"id\":\"%s\"}",
                       json_string_value(json_object_get(alert, "id")));
        OK(admin(VERB_ALERT_ACKNOWLEDGE, doc, NULL, NULL));
    }
    json_decref(list);
}

static struct store_audit last_record(void)
{
    struct store_audit last;
    OK(store_audit_head(rig.stores[OPS_WRITER], &last));
    return last;
}

static void a_store_that_lacks_what_was_kept_is_told_until_it_is_acknowledged(void **state)
{
    (void)state;
    struct store_audit ahead = last_record();
    ahead.sequence += 100;
    struct store_audit other = last_record();
    other.hash[0] ^= 1;
    const struct store_audit *cases[] = {&ahead, &other};
    for (size_t i = 0; i < 2; i++) {
        start_with(cases[i]);
        assert_int_equal(found_older(), i + 1);
        assert_true(alerted());
        start_with(NULL); // that it is over now does not end it
        assert_true(alerted());
        assert_int_equal(found_older(), i + 1);
        acknowledge();
        assert_false(alerted());
    }
}

static void a_store_that_goes_on_from_what_was_kept_is_no_alert(void **state)
{
    (void)state;
    struct store_audit kept = last_record();
    (void)make_key("later");
    start_with(&kept);
    start_with(NULL);
    kept = last_record();
    start_with(&kept);
    assert_int_equal(found_older(), 0);
    assert_false(alerted());
}

static void a_record_that_was_purged_is_missed_by_nobody(void **state)
{
    (void)state;
    struct store_audit first = {.sequence = 1, .hash = {7}};
    turn();
    OK(admin(VERB_AUDIT_RETENTION, "{\"days\":30}", NULL, NULL));
    OK(ops_stop(rig.engines[OPS_WRITER]));
    char *confirm = export_all();
    OK(admin(VERB_AUDIT_CONFIRM, confirm, NULL, NULL));
    free(confirm);
    rig.engines[OPS_WRITER]->next_retention = 0;
    turn();
    assert_int_equal(status("first"), OLD + 1);
    start_with(&first);
    assert_int_equal(found_older(), 0);
}

static void the_file_follows_the_trail_and_may_not_be_anybodys(void **state)
{
    (void)state;
    struct ops *ops = rig.engines[OPS_WRITER];
    struct buf bytes CLEANUP(buf_done);
    start_with(NULL);
    assert_false(file_exists(rig.root, PATH_AUDIT_HEAD)); // nothing was committed since
    (void)make_key("first");
    turn(); // not due
    assert_false(file_exists(rig.root, PATH_AUDIT_HEAD));
    OK(ops_stop(ops));
    buf_init(&bytes, 4096, false);
    OK(file_read_private(rig.root, PATH_AUDIT_HEAD, 4096, &bytes));
    ops->head_looked = false;
    ops->next_head = 0;
    turn();
    assert_int_equal(found_older(), 0);
    for (size_t i = 0; i <= bytes.len; i++) { // each byte changed, and the file cut
        if (i < bytes.len)
            bytes.data[i] ^= 0x10;
        OK(file_write(rig.root, PATH_AUDIT_HEAD,
                      span_of(bytes.data, i < bytes.len ? bytes.len : bytes.len - 1)));
        if (i < bytes.len)
            bytes.data[i] ^= 0x10;
        ops->head_looked = false;
        ops->next_head = 0;
        turn();
        assert_int_equal(found_older(), i + 1);
    }
    assert_true(alerted());
}

static void a_file_that_cannot_be_written_stops_nobody(void **state)
{
    (void)state;
    start_with(NULL);
    OK(file_mkdirs(rig.root, PATH_AUDIT_HEAD "/in-the-way"));
    (void)make_key("first");
    OK(ops_stop(rig.engines[OPS_WRITER]));
    OK(file_remove_tree(rig.root, PATH_AUDIT_HEAD));
    OK(ops_stop(rig.engines[OPS_WRITER]));
    assert_true(file_exists(rig.root, PATH_AUDIT_HEAD));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, serving, rig_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_writer_signs_by_itself_and_when_it_stops),
        CASE(before_there_is_a_key_no_seal_counts),
        CASE(what_is_old_and_exported_goes_by_itself),
        CASE(seals_that_leave_a_gap_count_for_nothing),
        CASE(the_list_is_filtered),
        CASE(a_store_that_lacks_what_was_kept_is_told_until_it_is_acknowledged),
        CASE(a_store_that_goes_on_from_what_was_kept_is_no_alert),
        CASE(a_record_that_was_purged_is_missed_by_nobody),
        CASE(the_file_follows_the_trail_and_may_not_be_anybodys),
        CASE(a_file_that_cannot_be_written_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
