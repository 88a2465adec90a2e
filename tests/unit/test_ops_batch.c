// SPDX-License-Identifier: Apache-2.0
//
// Batches: order, ID Placeholder, what follows a failure; who may enter at all; a locked server;
// the trail of it all.
#include "audit/audit.h"

#include "tests/unit/ops_rig.h"

static struct replies run_items(struct request *items, size_t count, enum on_error on_error)
{
    struct batch batch = {.who = endpoint(rig.client),
                          .version = 1 << 8 | 4,
                          .on_error = on_error,
                          .ordered = true,
                          .items = items,
                          .count = count};
    return run_batch(OPS_WRITER, &batch);
}

static size_t count_named(const char *group)
{
    struct request request = {.verb = VERB_LOCATE, .maximum_items = -1};
    struct attr attr = text_attr("x-batch", group);
    OK(attrs_add(&request.attrs, rig.arena, &attr));
    OK(run(&request));
    return rig.reply.uid_count;
}

static struct request create_in(const char *group, bool valid)
{
    struct request request = create_request(NULL);
    struct attr attr = text_attr("x-batch", group);
    OK(attrs_add(&request.attrs, rig.arena, &attr));
    if (!valid)
        request.attrs.items[1].number = 7;
    return request;
}

static void the_placeholder_stands_for_what_was_made_or_found(void **state)
{
    (void)state;
    struct request items[] = {create_request("placeholder"),
                              {.verb = VERB_ACTIVATE},
                              {.verb = VERB_GET},
                              {.verb = VERB_LOCATE, .maximum_items = -1},
                              {.verb = VERB_GET_ATTRIBUTES}};
    struct attr name = name_attr(span_str("placeholder"));
    OK(attrs_add(&items[3].attrs, rig.arena, &name));
    struct replies replies = run_items(items, COUNT_OF(items), ON_ERROR_STOP);
    for (size_t i = 0; i < replies.count; i++)
        assert_int_equal(replies.items[i].status, ERR_OK);
    assert_int_equal(replies.items[2].object.material.len, 32);
    assert_true(span_eq(replies.items[4].uid, replies.items[0].uid));
}

static void what_does_not_fit_beside_a_change_fails_alone(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    struct request items[] = {create_request("fits"),
                              {.verb = VERB_GET, .uid = uid},
                              {.verb = VERB_GET_ATTRIBUTES, .uid = uid},
                              {.verb = VERB_GET, .uid = uid}};
    struct batch batch = {.who = endpoint(rig.client),
                          .version = 1 << 8 | 4,
                          .on_error = ON_ERROR_CONTINUE,
                          .ordered = true,
                          .room = 1400,
                          .items = items,
                          .count = COUNT_OF(items)};
    struct replies replies = run_batch(OPS_WRITER, &batch);
    assert_int_equal(replies.items[0].status, ERR_OK);
    assert_int_equal(replies.items[1].status, ERR_OK);
    assert_int_equal(replies.items[2].status, ERR_TOO_LARGE);
    assert_int_equal(replies.items[2].attrs.count, 0);
    assert_int_equal(replies.items[3].status, ERR_OK);
    batch.on_error = ON_ERROR_UNDO;
    items[0] = create_request("taken back");
    replies = run_batch(OPS_WRITER, &batch);
    assert_true(replies.items[0].undone);
    batch.room = 0;
    items[0] = create_request("all of it");
    replies = run_batch(OPS_WRITER, &batch);
    for (size_t i = 0; i < replies.count; i++)
        assert_int_equal(replies.items[i].status, ERR_OK);
}

static void an_empty_placeholder_names_nothing(void **state)
{
    (void)state;
    struct request items[] = {{.verb = VERB_LOCATE, .maximum_items = -1}, {.verb = VERB_GET}};
    (void)make_key(NULL);
    (void)make_key(NULL);
    struct replies replies = run_items(items, COUNT_OF(items), ON_ERROR_STOP);
    assert_true(replies.items[0].uid_count > 1);
    assert_int_equal(replies.items[1].status, ERR_NOT_FOUND);
}

enum { ITEMS = 256, BAD = 200 };

static struct replies run_many(const char *group, enum on_error on_error)
{
    static struct request items[ITEMS];
    for (size_t i = 0; i < ITEMS; i++)
        items[i] = create_in(group, i != BAD);
    return run_items(items, ITEMS, on_error);
}

// Others wait for the end of a batch: what looks through all objects again and again is ended, the
// same asked for alone is not.
static void what_takes_too_long_in_one_message_is_not_gone_on_with(void **state)
{
    (void)state;
    static struct request items[ITEMS];
    for (size_t made = 0; made < 40; made++)
        (void)run_many("many", ON_ERROR_CONTINUE);
    struct request looking = {.verb = VERB_LOCATE, .maximum_items = 1}; // but all are counted
    struct attr mask = {.tag = KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK,
                        .index = ATTR_NO_INDEX,
                        .type = ATTR_INTEGER,
                        .number = 4};
    OK(attrs_add(&looking.attrs, rig.arena, &mask));
    for (size_t i = 0; i < ITEMS; i++)
        items[i] = looking;
    items[0] = create_request("before it took too long");
    struct replies replies = run_items(items, ITEMS, ON_ERROR_CONTINUE);
    assert_int_equal(replies.items[0].status, ERR_OK);
    assert_int_equal(replies.items[1].status, ERR_OK);
    assert_int_equal(replies.items[ITEMS - 1].status, ERR_TOO_LARGE);
    struct span said = replies.items[ITEMS - 1].message;
    assert_non_null(memmem(said.data, said.len, "ask for less in one message", 27));
    OK(run(&looking));
    assert_true(rig.reply.located_items > ITEMS);
}

static void stop_keeps_what_came_before_the_failure(void **state)
{
    (void)state;
    struct replies replies = run_many("stop", ON_ERROR_STOP);
    assert_int_equal(replies.items[BAD - 1].status, ERR_OK);
    assert_int_equal(replies.items[BAD].status, ERR_INVALID);
    assert_true(replies.items[BAD + 1].skipped);
    assert_int_equal(count_named("stop"), BAD);
}

static void continue_leaves_out_the_failure_alone(void **state)
{
    (void)state;
    struct replies replies = run_many("continue", ON_ERROR_CONTINUE);
    assert_int_equal(replies.items[BAD].status, ERR_INVALID);
    assert_int_equal(replies.items[ITEMS - 1].status, ERR_OK);
    assert_int_equal(count_named("continue"), ITEMS - 1);
}

static void undo_leaves_none(void **state)
{
    (void)state;
    struct replies replies = run_many("undo", ON_ERROR_UNDO);
    assert_true(replies.items[0].undone);
    assert_int_equal(replies.items[0].uid.len, 0);
    assert_int_equal(replies.items[BAD].status, ERR_INVALID);
    assert_false(replies.items[BAD].undone);
    assert_true(replies.items[BAD + 1].skipped);
    assert_int_equal(count_named("undo"), 0);
    struct request good[] = {create_in("undo", true), create_in("undo", true)};
    replies = run_items(good, 2, ON_ERROR_UNDO);
    assert_false(replies.items[0].undone);
    assert_int_equal(count_named("undo"), 2);
}

static void an_empty_or_endless_batch_is_refused(void **state)
{
    (void)state;
    struct replies replies;
    struct batch batch = {.who = endpoint(rig.client)};
    OK(ops_begin(rig.engines[OPS_WRITER]));
    FAILS(ERR_MESSAGE, ops_run_batch(rig.engines[OPS_WRITER], &batch, rig.arena, &replies));
    batch.count = BATCH_MAX + 1;
    FAILS(ERR_MESSAGE, ops_run_batch(rig.engines[OPS_WRITER], &batch, rig.arena, &replies));
    ops_abort(rig.engines[OPS_WRITER]);
}

static void what_needs_too_much_memory_is_answered_alone(void **state)
{
    (void)state;
    CLEANUP(arena_freep) struct arena *narrow = NULL;
    struct replies replies = {0};
    struct request get = {.verb = VERB_GET, .uid = make_key(NULL)};
    struct batch batch = {.who = endpoint(rig.client), .items = &get, .count = 1};
    OK(arena_new(sizeof(struct reply) + 64, &narrow));
    OK(ops_begin(rig.engines[OPS_READER]));
    OK(ops_run_batch(rig.engines[OPS_READER], &batch, narrow, &replies));
    OK(ops_end(rig.engines[OPS_READER]));
    assert_int_equal(replies.items[0].status, ERR_TOO_LARGE);
    assert_int_equal(replies.items[0].object.material.len, 0);
    assert_true(replies.items[0].message.len > 0);
}

static void a_stranger_is_refused_and_recorded(void **state)
{
    (void)state;
    static const uint8_t unknown[32] = {9};
    static const uint8_t none[32];
    struct request request = {.verb = VERB_LOCATE};
    FAILS(ERR_AUTHENTICATION, run_as(endpoint(unknown), &request));
    FAILS(ERR_AUTHENTICATION, run_as(endpoint(none), &request));
    request = create_request(NULL);
    FAILS(ERR_AUTHENTICATION, run_as(endpoint(unknown), &request));
    struct principal nobody = {.kind = PRINCIPAL_NOBODY};
    FAILS(ERR_AUTHENTICATION, run_as(nobody, &request));
    struct principal root = {.kind = PRINCIPAL_LOCAL, .uid = 0};
    FAILS(ERR_NOT_PERMITTED, run_as(root, &request));
    request = (struct request){.verb = VERB_KEY_LIST};
    FAILS(ERR_NOT_PERMITTED, run(&request));
    request = (struct request){.verb = (enum verb)77};
    FAILS(ERR_OPERATION, run(&request));
}

static void a_locked_server_says_why_and_opens_by_itself(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    struct ops_settings settings = {
        .role = OPS_READER, .index = 1, .root = rig.root, .store = rig.stores[OPS_READER]};
    struct ops *engine = rig.engines[OPS_READER];
    OK(ops_new(&settings, &rig.engines[OPS_READER]));
    fake_keeper.status.state = KEYRING_LOCKED;
    (void)snprintf(fake_keeper.status.reason, sizeof fake_keeper.status.reason, "the HSM is away");
    FAILS(ERR_LOCKED, simple(VERB_GET, uid));
    assert_true(
        span_eq_str(rig.reply.message, "the key process is not running; it is being started"));
    ops_set_keeper(rig.engines[OPS_READER], (struct ipc *)&fake_keeper);
    FAILS(ERR_LOCKED, simple(VERB_GET, uid));
    assert_true(span_eq_str(rig.reply.message, "the HSM is away"));
    // A keeper that does not answer is left alone for a while.
    unsigned calls = fake_keeper.calls;
    fake_keeper.status_fails = ERR_UNAVAILABLE;
    FAILS(ERR_LOCKED, simple(VERB_GET, uid));
    assert_true(span_eq_str(rig.reply.message, "the key process does not answer"));
    FAILS(ERR_LOCKED, simple(VERB_GET, uid));
    assert_int_equal(fake_keeper.calls, calls + 1);
    fake_keeper.status_fails = ERR_OK;
    struct request query = {.verb = VERB_DISCOVER_VERSIONS};
    OK(run(&query));
    fake_keeper.status.state = KEYRING_OPEN;
    ops_set_keeper(rig.engines[OPS_READER], (struct ipc *)&fake_keeper);
    OK(simple(VERB_GET, uid));
    assert_int_equal(rig.reply.object.material.len, 32);
    ops_freep(&rig.engines[OPS_READER]);
    rig.engines[OPS_READER] = engine;
}

static void what_was_refused_and_done_is_in_a_sound_trail(void **state)
{
    (void)state;
    struct audit_verdict verdict;
    OK(audit_anchor(rig.root, rig.stores[OPS_WRITER]));
    OK(audit_verify(rig.root, rig.stores[OPS_WRITER], NULL, &verdict));
    assert_true(verdict.sound);
    uint64_t writes = verdict.records;
    uint64_t reads = verdict.read_records;
    struct span uid = make_key(NULL);
    // The first Get is declined by the reader, which has no record of it then, and done by the
    // writer.
    OK(simple(VERB_GET, uid));
    OK(simple(VERB_GET, uid));
    FAILS(ERR_NOT_FOUND, simple(VERB_GET, span_str("nothing")));
    FAILS(ERR_NOT_FOUND, simple(VERB_DESTROY, span_str("nothing")));
    OK(audit_verify(rig.root, rig.stores[OPS_WRITER], NULL, &verdict));
    assert_true(verdict.sound);
    assert_int_equal(verdict.records, writes + 3);
    assert_int_equal(verdict.read_records, reads + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_placeholder_stands_for_what_was_made_or_found),
        cmocka_unit_test(what_does_not_fit_beside_a_change_fails_alone),
        cmocka_unit_test(an_empty_placeholder_names_nothing),
        cmocka_unit_test(what_takes_too_long_in_one_message_is_not_gone_on_with),
        cmocka_unit_test(stop_keeps_what_came_before_the_failure),
        cmocka_unit_test(continue_leaves_out_the_failure_alone),
        cmocka_unit_test(undo_leaves_none),
        cmocka_unit_test(an_empty_or_endless_batch_is_refused),
        cmocka_unit_test(what_needs_too_much_memory_is_answered_alone),
        cmocka_unit_test(a_stranger_is_refused_and_recorded),
        cmocka_unit_test(a_locked_server_says_why_and_opens_by_itself),
        cmocka_unit_test(what_was_refused_and_done_is_in_a_sound_trail),
    };
    return cmocka_run_group_tests(tests, rig_serving, rig_down);
}
