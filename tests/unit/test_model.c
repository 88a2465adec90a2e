// SPDX-License-Identifier: Apache-2.0
//
// What model/model.h promises: everything that is put comes back, nothing malformed does, and
// limits hold before memory is taken.
#include "model/model.h"

#include "tests/unit/check.h"

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    return arena_new(64 * 1024 * 1024, &arena) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    arena_freep(&arena);
    return 0;
}

static void add(struct attrs *attrs, struct attr attr)
{
    OK(attrs_add(attrs, arena, &attr));
}

static void fill_attrs(struct attrs *attrs)
{
    add(attrs, (struct attr){.tag = 0x420028, .index = ATTR_NO_INDEX, .type = 5, .number = 3});
    add(attrs, (struct attr){.tag = 0x420053, .index = 7, .type = 1, .bytes = span_str("TTLV")});
    add(attrs, (struct attr){.name = span_str("x-Id"), .index = 0, .type = 2, .number = -5});
    add(attrs, (struct attr){.tag = 0x42008d, .index = ATTR_NO_INDEX});
}

static void assert_same_attrs(const struct attrs *a, const struct attrs *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_true(attr_equal(&a->items[i], &b->items[i]));
        assert_int_equal(a->items[i].index, b->items[i].index);
    }
}

static void attributes_come_back(void **state)
{
    (void)state;
    struct attrs attrs = {0};
    fill_attrs(&attrs);
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 1 << 20, true);
    OK(model_put_attrs(&out, &attrs));
    struct cursor in = cursor_of(span_buf(&out));
    struct attrs back;
    OK(model_get_attrs(&in, arena, &back));
    OK(cursor_end(&in));
    assert_same_attrs(&attrs, &back);
    assert_ptr_equal(attrs_find(&back, 0x420053), &back.items[1]);
    assert_null(attrs_find(&back, 0x420001));
}

static void custom_attributes_are_told_apart_by_name(void **state)
{
    (void)state;
    struct attr a = {.name = span_str("x-a"), .type = 7, .bytes = span_str("v")};
    struct attr b = {.name = span_str("x-b"), .type = 7, .bytes = span_str("v")};
    assert_false(attr_same(&a, &b));
    b.name = span_str("x-a");
    assert_true(attr_equal(&a, &b));
    b.type = 8;
    assert_true(attr_same(&a, &b));
    assert_false(attr_equal(&a, &b));
}

static void a_list_stops_at_its_limit(void **state)
{
    (void)state;
    struct attrs attrs = {0};
    for (int i = 0; i < ATTRS_MAX; i++)
        add(&attrs, (struct attr){.tag = 0x420001, .type = 9, .number = i});
    struct attr one = {.tag = 0x420001};
    FAILS(ERR_TOO_LARGE, attrs_add(&attrs, arena, &one));
    assert_int_equal(attrs.items[ATTRS_MAX - 1].number, ATTRS_MAX - 1);
}

static void fill_request(struct request *request)
{
    *request = (struct request){
        .verb = VERB_REGISTER,
        .uid = span_str("some-uid"),
        .object_type = 2,
        .current = {.tag = 0x420053, .index = 3, .type = 1, .bytes = span_str("old")},
        .has_current = true,
        .object = {.type = 2,
                   .key_format = 1,
                   .algorithm = 3,
                   .length = 256,
                   .material = span_str("0123456789abcdef")},
        .key_format = 1,
        .has_wrapping = true,
        .maximum_items = 0,
        .offset_items = 12,
        .reason = 4,
        .reason_text = span_str("why"),
        .compromise_date = -1,
        .doc = span_str("{}"),
        .secrets = {{span_str("credential"), span_str("1234")}},
        .secret_count = 1,
    };
    fill_attrs(&request->attrs);
    fill_attrs(&request->object.attributes);
}

static void put_a_batch(struct buf *out)
{
    struct request *items = NULL;
    OK(arena_alloc(arena, 2, sizeof *items, &items));
    fill_request(&items[0]);
    items[1] = (struct request){.verb = VERB_GET, .maximum_items = -1};
    struct batch batch = {
        .who = {.kind = PRINCIPAL_ENDPOINT, .uid = 7, .address = span_str("127.0.0.1:4")},
        .version = 0x0104,
        .on_error = ON_ERROR_UNDO,
        .ordered = true,
        .room = 70000,
        .id = uuid_random(),
        .items = items,
        .count = 2,
    };
    batch.who.fingerprint[31] = 9;
    OK(model_put_batch(out, &batch));
}

static void a_batch_comes_back(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 1 << 20, true);
    put_a_batch(&out);
    struct batch back;
    OK(model_get_batch(span_buf(&out), arena, &back));
    assert_int_equal(back.who.fingerprint[31], 9);
    assert_true(span_eq_str(back.who.address, "127.0.0.1:4"));
    assert_int_equal(back.on_error, ON_ERROR_UNDO);
    assert_int_equal(back.room, 70000);
    assert_int_equal(back.count, 2);
    struct request expect;
    fill_request(&expect);
    const struct request *got = &back.items[0];
    assert_same_attrs(&expect.attrs, &got->attrs);
    assert_same_attrs(&expect.object.attributes, &got->object.attributes);
    assert_true(attr_equal(&expect.current, &got->current));
    assert_true(span_eq(expect.object.material, got->object.material));
    assert_int_equal(got->maximum_items, 0);
    assert_int_equal(got->compromise_date, -1);
    assert_true(span_eq_str(got->secrets[0].value, "1234"));
    assert_int_equal(back.items[1].maximum_items, -1);
    assert_int_equal(back.items[1].uid.len, 0);
}

static void put_replies(struct buf *out)
{
    struct span uids[] = {span_str("a"), span_str("bb")};
    struct reply items[] = {
        {.status = ERR_NOT_FOUND, .verb = VERB_GET, .message = span_str("no"), .skipped = true},
        {.verb = VERB_LOCATE, .uids = uids, .uid_count = 2, .located_items = 0},
        {.verb = VERB_GET, .located_items = -1, .object = {.type = 8, .subtype = 1}},
    };
    items[0].located_items = -1;
    struct replies replies = {items, COUNT_OF(items)};
    OK(model_put_replies(out, &replies));
}

static void replies_come_back(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 1 << 20, true);
    put_replies(&out);
    struct replies back;
    OK(model_get_replies(span_buf(&out), arena, &back));
    assert_int_equal(back.count, 3);
    assert_int_equal(back.items[0].status, ERR_NOT_FOUND);
    assert_true(back.items[0].skipped);
    assert_int_equal(back.items[1].uid_count, 2);
    assert_true(span_eq_str(back.items[1].uids[1], "bb"));
    assert_int_equal(back.items[1].located_items, 0);
    assert_int_equal(back.items[2].located_items, -1);
    assert_int_equal(back.items[2].object.type, 8);
}

// Cuts a record everywhere and flips each of its bytes: nothing may crash, a cut one never passes.
static void mangled_records_are_refused(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct buf out CLEANUP(buf_done);
        buf_init(&out, 1 << 20, true);
        which == 0 ? put_a_batch(&out) : put_replies(&out);
        struct batch batch;
        struct replies replies;
        for (size_t len = 0; len < out.len; len++) {
            struct span cut = span_of(out.data, len);
            FAILS(ERR_MESSAGE, which == 0 ? model_get_batch(cut, arena, &batch)
                                          : model_get_replies(cut, arena, &replies));
        }
        for (size_t i = 0; i < out.len; i++) {
            out.data[i] ^= 0xff;
            (void)!(which == 0 ? model_get_batch(span_buf(&out), arena, &batch)
                               : model_get_replies(span_buf(&out), arena, &replies));
            out.data[i] ^= 0xff;
        }
        OK(buf_put_u8(&out, 0));
        FAILS(ERR_MESSAGE, which == 0 ? model_get_batch(span_buf(&out), arena, &batch)
                                      : model_get_replies(span_buf(&out), arena, &replies));
    }
}

static void a_lying_count_takes_no_memory(void **state)
{
    (void)state;
    CLEANUP(arena_freep) struct arena *small = NULL;
    OK(arena_new(1024, &small));
    static const uint8_t lying[] = {MODEL_FORMAT, 0x02, 0x00, 0, 0, 0, 0, 0, 0};
    struct cursor in = cursor_of(span_of(lying, sizeof lying));
    struct attrs attrs;
    FAILS(ERR_MESSAGE, model_get_attrs(&in, small, &attrs));
}

static void too_many_items_are_refused(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 1 << 20, true);
    struct batch batch = {.count = BATCH_MAX + 1};
    FAILS(ERR_TOO_LARGE, model_put_batch(&out, &batch));
    struct replies replies = {.count = BATCH_MAX + 1};
    FAILS(ERR_TOO_LARGE, model_put_replies(&out, &replies));
}

static void verbs_know_whether_they_write(void **state)
{
    (void)state;
    assert_true(verb_writes(VERB_CREATE));
    assert_true(verb_writes(VERB_DESTROY));
    assert_true(verb_writes(VERB_SETUP));
    assert_false(verb_writes(VERB_GET));
    assert_false(verb_writes(VERB_NONE));
    assert_false(verb_writes(VERB_QUERY));
    assert_false(verb_writes((enum verb)9999));
    assert_string_equal(verb_name(VERB_GET_ATTRIBUTES), "Get Attributes");
    assert_string_equal(verb_name((enum verb)9), "unknown");
    for (int verb = VERB_ADMIN_FIRST; verb < VERB_ADMIN_END; verb++)
        assert_string_not_equal(verb_name((enum verb)verb), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_come_back),
        cmocka_unit_test(custom_attributes_are_told_apart_by_name),
        cmocka_unit_test(a_list_stops_at_its_limit),
        cmocka_unit_test(a_batch_comes_back),
        cmocka_unit_test(replies_come_back),
        cmocka_unit_test(mangled_records_are_refused),
        cmocka_unit_test(a_lying_count_takes_no_memory),
        cmocka_unit_test(too_many_items_are_refused),
        cmocka_unit_test(verbs_know_whether_they_write),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
