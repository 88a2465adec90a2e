// SPDX-License-Identifier: Apache-2.0
//
// Locate: by every kind of attribute, by ranges and states, paged, in a stable order; what is not
// understood matches nothing, and nobody finds what is another's.
#include "ops/index.h"

#include "tests/unit/ops_rig.h"

static size_t locate(struct request *request)
{
    request->verb = VERB_LOCATE;
    OK(run(request));
    return rig.reply.uid_count;
}

static size_t locate_attr(struct attr attr)
{
    struct request request = {.maximum_items = -1};
    OK(attrs_add(&request.attrs, rig.arena, &attr));
    return locate(&request);
}

static size_t locate_number(uint32_t tag, uint8_t type, int64_t number)
{
    return locate_attr(
        (struct attr){.tag = tag, .index = ATTR_NO_INDEX, .type = type, .number = number});
}

static struct span make_with(const char *name, struct attr attr)
{
    struct request request = create_request(name);
    OK(attrs_add(&request.attrs, rig.arena, &attr));
    OK(run(&request));
    return rig.reply.uid;
}

static void a_key_is_found_by_each_of_its_values(void **state)
{
    (void)state;
    struct attr group = {.tag = KMIP_TAG_OBJECT_GROUP,
                         .index = ATTR_NO_INDEX,
                         .type = ATTR_TEXT,
                         .bytes = span_str("group of one")};
    struct span uid = make_with("by values", group);
    assert_int_equal(locate_attr(group), 1);
    assert_true(span_eq(rig.reply.uids[0], uid));
    assert_int_equal(locate_attr(name_attr(span_str("by values"))), 1);
    uid = make_with("custom", text_attr("x-Product", "p"));
    assert_int_equal(locate_attr(text_attr("x-Product", "p")), 1);
    assert_true(span_eq(rig.reply.uids[0], uid));
    assert_int_equal(locate_attr(text_attr("x-Product", "q")), 0);
    assert_int_equal(locate_attr(text_attr("x-product", "p")), 0);
    struct attr identifier = {
        .tag = KMIP_TAG_UNIQUE_IDENTIFIER, .index = ATTR_NO_INDEX, .type = ATTR_TEXT, .bytes = uid};
    assert_int_equal(locate_attr(identifier), 1);
    identifier.bytes = span_str("*");
    assert_int_equal(locate_attr(identifier), 0);
}

static void all_filters_must_match(void **state)
{
    (void)state;
    (void)make_with("both", text_attr("x-both", "1"));
    struct request request = {.maximum_items = -1};
    struct attr name = name_attr(span_str("both"));
    struct attr custom = text_attr("x-both", "2");
    OK(attrs_add(&request.attrs, rig.arena, &name));
    OK(attrs_add(&request.attrs, rig.arena, &custom));
    assert_int_equal(locate(&request), 0);
    request.attrs.items[1] = text_attr("x-both", "1");
    assert_int_equal(locate(&request), 1);
    put_attr(&request.attrs, KMIP_TAG_OBJECT_TYPE, ATTR_ENUMERATION, KMIP_OBJECT_TYPE_CERTIFICATE);
    assert_int_equal(locate(&request), 0);
}

static void an_unknown_filter_matches_nothing(void **state)
{
    (void)state;
    (void)make_key(NULL);
    assert_int_equal(locate_number(0x42fffe, ATTR_INTEGER, 0), 0);
    assert_int_equal(locate_number(KMIP_TAG_ARCHIVE_DATE, ATTR_DATE_TIME, 1), 0);
    assert_int_equal(locate_number(KMIP_TAG_STATE, ATTR_ENUMERATION, 77), 0);
    assert_int_equal(locate_number(KMIP_TAG_STATE, ATTR_ENUMERATION, -1), 0);
    assert_int_equal(locate_number(KMIP_TAG_OBJECT_TYPE, ATTR_ENUMERATION, 0), 0);
    assert_int_equal(locate_attr(text_attr("x-never", "")), 0);
}

static void nobody_finds_what_is_anothers(void **state)
{
    (void)state;
    struct span uid = make_key("mine alone");
    struct request request = {.verb = VERB_LOCATE, .maximum_items = -1};
    OK(run_other(&request));
    for (size_t i = 0; i < rig.reply.uid_count; i++)
        assert_false(span_eq(rig.reply.uids[i], uid));
    struct attr identifier = {
        .tag = KMIP_TAG_UNIQUE_IDENTIFIER, .type = ATTR_TEXT, .index = -1, .bytes = uid};
    OK(attrs_add(&request.attrs, rig.arena, &identifier));
    OK(run_other(&request));
    assert_int_equal(rig.reply.uid_count, 0);
}

static void states_are_found_as_dates_say(void **state)
{
    (void)state;
    size_t active = locate_number(KMIP_TAG_STATE, ATTR_ENUMERATION, KMIP_STATE_ACTIVE);
    size_t waiting = locate_number(KMIP_TAG_STATE, ATTR_ENUMERATION, KMIP_STATE_PRE_ACTIVE);
    // Written as pre-active, active since by its date.
    struct span uid = make_key(NULL);
    struct request request = {.verb = VERB_ADD_ATTRIBUTE, .uid = uid};
    put_attr(&request.attrs, KMIP_TAG_ACTIVATION_DATE, ATTR_DATE_TIME, 1000);
    OK(run(&request));
    assert_int_equal(locate_number(KMIP_TAG_STATE, ATTR_ENUMERATION, KMIP_STATE_ACTIVE),
                     active + 1);
    assert_int_equal(locate_number(KMIP_TAG_STATE, ATTR_ENUMERATION, KMIP_STATE_PRE_ACTIVE),
                     waiting);
}

static void destroyed_objects_are_found_only_when_asked_for(void **state)
{
    (void)state;
    struct span uid = make_key("destroyed one");
    OK(simple(VERB_DESTROY, uid));
    struct request request = {.maximum_items = -1};
    struct attr name = name_attr(span_str("destroyed one"));
    OK(attrs_add(&request.attrs, rig.arena, &name));
    assert_int_equal(locate(&request), 0);
    request.storage_mask = 5;
    assert_int_equal(locate(&request), 1);
    request.storage_mask = 4;
    assert_int_equal(locate(&request), 1);
    request.storage_mask = 2;
    assert_int_equal(locate(&request), 0);
    request.storage_mask = 0;
    put_attr(&request.attrs, KMIP_TAG_STATE, ATTR_ENUMERATION, KMIP_STATE_DESTROYED);
    assert_int_equal(locate(&request), 1);
}

static void dates_are_matched_exactly_or_as_a_range(void **state)
{
    (void)state;
    struct request create = create_request("dated");
    put_attr(&create.attrs, KMIP_TAG_ACTIVATION_DATE, ATTR_DATE_TIME, 4100000000);
    OK(run(&create));
    assert_int_equal(locate_number(KMIP_TAG_ACTIVATION_DATE, ATTR_DATE_TIME, 4100000000), 1);
    assert_int_equal(locate_number(KMIP_TAG_ACTIVATION_DATE, ATTR_DATE_TIME, 4100000001), 0);
    struct request range = {.maximum_items = -1};
    put_attr(&range.attrs, KMIP_TAG_ACTIVATION_DATE, ATTR_DATE_TIME, 4000000001);
    put_attr(&range.attrs, KMIP_TAG_ACTIVATION_DATE, ATTR_DATE_TIME, 4200000000);
    assert_int_equal(locate(&range), 1);
    range.attrs.items[0].number = 4200000000;
    range.attrs.items[1].number = 4000000001;
    assert_int_equal(locate(&range), 0);
    put_attr(&range.attrs, KMIP_TAG_ACTIVATION_DATE, ATTR_DATE_TIME, 1);
    range.verb = VERB_LOCATE;
    FAILS(ERR_INVALID, run(&range));
}

static void a_mask_matches_when_all_its_bits_are_there(void **state)
{
    (void)state;
    struct request create = create_request("masked");
    create.attrs.items[2].number = 0x30c;
    OK(run(&create));
    assert_int_equal(locate_number(KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, ATTR_INTEGER, 0x300), 1);
    assert_int_equal(locate_number(KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, ATTR_INTEGER, 0x301), 0);
}

static void pages_are_stable_and_whole(void **state)
{
    (void)state;
    enum { MANY = 25, PAGE = 10 };
    struct span made[MANY];
    for (size_t i = 0; i < MANY; i++)
        made[i] = make_with(NULL, text_attr("x-page", "all"));
    // Identifiers rise with time; within a millisecond their order is their own.
    bool seen[MANY] = {false};
    struct span last = span_str("");
    for (int32_t offset = 0; offset < MANY + PAGE; offset += PAGE) {
        struct request request = {.maximum_items = PAGE, .offset_items = offset};
        struct attr attr = text_attr("x-page", "all");
        OK(attrs_add(&request.attrs, rig.arena, &attr));
        size_t count = locate(&request);
        assert_int_equal(count, offset + PAGE <= MANY ? PAGE : offset < MANY ? MANY - offset : 0);
        assert_int_equal(rig.reply.located_items, MANY);
        for (size_t i = 0; i < count; i++) {
            struct span uid = rig.reply.uids[i];
            assert_true(last.len == 0 || memcmp(last.data, uid.data, uid.len) < 0);
            last = uid;
            for (size_t k = 0; k < MANY; k++)
                seen[k] = seen[k] || span_eq(made[k], uid);
        }
    }
    for (size_t k = 0; k < MANY; k++)
        assert_true(seen[k]);
}

static void pages_of_compared_objects_are_whole_too(void **state)
{
    (void)state;
    enum { MANY = 12, PAGE = 5 };
    for (size_t i = 0; i < MANY; i++) {
        struct request create = create_request(NULL);
        create.attrs.items[2].number = 0x1000;
        OK(run(&create));
    }
    size_t total = 0;
    for (int32_t offset = 0; offset < MANY + PAGE; offset += PAGE) {
        struct request request = {.maximum_items = PAGE, .offset_items = offset};
        put_attr(&request.attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, ATTR_INTEGER, 0x1000);
        total += locate(&request);
        assert_int_equal(rig.reply.located_items, MANY);
    }
    assert_int_equal(total, MANY);
}

static void negative_bounds_are_refused(void **state)
{
    (void)state;
    struct request request = {.verb = VERB_LOCATE, .maximum_items = -2};
    FAILS(ERR_INVALID, run(&request));
    request = (struct request){.verb = VERB_LOCATE, .maximum_items = 1, .offset_items = -1};
    FAILS(ERR_INVALID, run(&request));
    request = (struct request){.verb = VERB_LOCATE, .maximum_items = INT32_MAX};
    OK(run(&request));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_found_by_each_of_its_values),
        cmocka_unit_test(all_filters_must_match),
        cmocka_unit_test(an_unknown_filter_matches_nothing),
        cmocka_unit_test(nobody_finds_what_is_anothers),
        cmocka_unit_test(states_are_found_as_dates_say),
        cmocka_unit_test(destroyed_objects_are_found_only_when_asked_for),
        cmocka_unit_test(dates_are_matched_exactly_or_as_a_range),
        cmocka_unit_test(a_mask_matches_when_all_its_bits_are_there),
        cmocka_unit_test(pages_are_stable_and_whole),
        cmocka_unit_test(pages_of_compared_objects_are_whole_too),
        cmocka_unit_test(negative_bounds_are_refused),
    };
    return cmocka_run_group_tests(tests, rig_serving, rig_down);
}
