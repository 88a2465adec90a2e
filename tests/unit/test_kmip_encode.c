// SPDX-License-Identifier: Apache-2.0
//
// What kmip/kmip.h promises of answers: only what the version has, nothing cut, a failure that says
// why, and never a change called failed that was made.
#include "kmip/kmip.h"

#include "kmip/kmip_result.h"
#include "wire/limits.h"

#include "tests/unit/message.h"

static struct arena *arena;
static struct message m;
static struct kmip_call call;
static struct buf out;

static int set_up(void **state)
{
    (void)state;
    msg_init(&m);
    buf_init(&out, 16 << 20, true);
    return arena_new(LIMIT_ARENA, &arena) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    msg_done(&m);
    buf_done(&out);
    arena_freep(&arena);
    return 0;
}

static void again(void)
{
    tear_down(NULL);
    set_up(NULL);
}

static void ask(int major, int minor, uint32_t operation)
{
    again();
    msg_request(&m, major, minor, operation);
}

// Decodes what was asked, encodes the one reply, and gives the answer's only batch item.
static struct span answer(struct reply *reply)
{
    OK(kmip_decode(msg_span(&m), arena, &call));
    assert_int_equal(call.items[0].status, ERR_OK);
    reply->verb = call.batch.items[0].verb;
    struct replies replies = {reply, 1};
    OK(kmip_encode(&call, &replies, &out));
    OK(ttlv_check(span_buf(&out)));
    assert_int_equal(NUMBER_AT(span_buf(&out), KMIP_TAG_RESPONSE_MESSAGE, KMIP_TAG_RESPONSE_HEADER,
                               KMIP_TAG_BATCH_COUNT),
                     1);
    return AT(span_buf(&out), KMIP_TAG_RESPONSE_MESSAGE, KMIP_TAG_BATCH_ITEM).value;
}

static struct reply good(void)
{
    return (struct reply){.uid = span_str("u"), .located_items = -1};
}

static void an_answer_has_the_version_asked(void **state)
{
    (void)state;
    static const int versions[][2] = {{1, 0}, {1, 1}, {1, 2}, {1, 3}, {1, 4}, {2, 0}, {2, 1}};
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        ask(versions[i][0], versions[i][1], VERB_ACTIVATE);
        struct reply reply = good();
        struct span item = answer(&reply);
        assert_int_equal(NUMBER_AT(item, KMIP_TAG_RESULT_STATUS), 0);
        assert_int_equal(NUMBER_AT(item, KMIP_TAG_OPERATION), VERB_ACTIVATE);
        struct span header =
            AT(span_buf(&out), KMIP_TAG_RESPONSE_MESSAGE, KMIP_TAG_RESPONSE_HEADER).value;
        assert_int_equal(
            NUMBER_AT(header, KMIP_TAG_PROTOCOL_VERSION, KMIP_TAG_PROTOCOL_VERSION_MAJOR),
            versions[i][0]);
        assert_int_equal(
            NUMBER_AT(header, KMIP_TAG_PROTOCOL_VERSION, KMIP_TAG_PROTOCOL_VERSION_MINOR),
            versions[i][1]);
        assert_int_equal(msg_count(header, KMIP_TAG_CLIENT_CORRELATION_VALUE), 0);
    }
}

static void a_key_is_given_without_anything_else(void **state)
{
    (void)state;
    ask(1, 0, VERB_GET);
    struct reply reply = good();
    reply.object_type = 2;
    reply.object = (struct object_data){.type = 2,
                                        .key_format = 1,
                                        .algorithm = 3,
                                        .length = 256,
                                        .material = span_str("0123456789abcdef0123456789abcdef")};
    struct span payload = AT(answer(&reply), KMIP_TAG_RESPONSE_PAYLOAD).value;
    struct span block = AT(payload, KMIP_TAG_SYMMETRIC_KEY, KMIP_TAG_KEY_BLOCK).value;
    assert_int_equal(NUMBER_AT(block, KMIP_TAG_CRYPTOGRAPHIC_LENGTH), 256);
    assert_int_equal(msg_count(block, KMIP_TAG_KEY_COMPRESSION_TYPE), 0);
    assert_int_equal(msg_count(AT(block, KMIP_TAG_KEY_VALUE).value, KMIP_TAG_ATTRIBUTE), 0);
    struct ttlv material = AT(block, KMIP_TAG_KEY_VALUE, KMIP_TAG_KEY_MATERIAL);
    assert_true(span_eq(material.value, reply.object.material));

    // ChaCha20 came with 1.4; what a 1.0 client cannot read is left out.
    ask(1, 0, VERB_GET);
    reply.object.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20;
    payload = AT(answer(&reply), KMIP_TAG_RESPONSE_PAYLOAD).value;
    block = AT(payload, KMIP_TAG_SYMMETRIC_KEY, KMIP_TAG_KEY_BLOCK).value;
    assert_int_equal(msg_count(block, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM), 0);
}

static void wrapped_material_keeps_its_form(void **state)
{
    (void)state;
    struct message wrapping;
    for (int option = 1; option <= 2; option++) {
        ask(1, 2, VERB_GET);
        msg_init(&wrapping);
        msg_enum(&wrapping, KMIP_TAG_WRAPPING_METHOD, 1);
        msg_enum(&wrapping, KMIP_TAG_ENCODING_OPTION, (uint32_t)option);
        struct reply reply = good();
        reply.object = (struct object_data){.type = 2,
                                            .key_format = 1,
                                            .material = span_str("wrapped!"),
                                            .wrapping = msg_span(&wrapping)};
        struct span payload = AT(answer(&reply), KMIP_TAG_RESPONSE_PAYLOAD).value;
        struct ttlv value =
            AT(payload, KMIP_TAG_SYMMETRIC_KEY, KMIP_TAG_KEY_BLOCK, KMIP_TAG_KEY_VALUE);
        // 1 is No Encoding: the material alone was wrapped.
        assert_int_equal(value.type, option == 1 ? TTLV_STRUCTURE : TTLV_BYTES);
        msg_done(&wrapping);
    }
}

static void add(struct attrs *attrs, struct attr attr)
{
    OK(attrs_add(attrs, arena, &attr));
}

static void attributes_are_those_of_the_version(void **state)
{
    (void)state;
    static const struct {
        int major;
        int minor;
        bool named;
        size_t expect;
    } cases[] = {{1, 0, false, 2}, {1, 0, true, 4}, {1, 2, false, 3}, {1, 4, false, 4}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ask(cases[i].major, cases[i].minor, VERB_GET_ATTRIBUTES);
        if (cases[i].named)
            msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "Extractable");
        struct reply reply = good();
        add(&reply.attrs,
            (struct attr){.tag = KMIP_TAG_STATE, .type = ATTR_ENUMERATION, .number = 1});
        add(&reply.attrs, (struct attr){.tag = KMIP_TAG_EXTRACTABLE, .type = ATTR_BOOLEAN});
        add(&reply.attrs,
            (struct attr){.tag = KMIP_TAG_ORIGINAL_CREATION_DATE, .type = ATTR_DATE_TIME});
        add(&reply.attrs,
            (struct attr){
                .name = span_str("x-a"), .index = 2, .type = ATTR_TEXT, .bytes = span_str("v")});
        struct span payload = AT(answer(&reply), KMIP_TAG_RESPONSE_PAYLOAD).value;
        assert_int_equal(msg_count(payload, KMIP_TAG_ATTRIBUTE), cases[i].expect);
    }
}

static void members_and_bits_are_those_of_the_version(void **state)
{
    (void)state;
    struct message value;
    ask(1, 0, VERB_GET_ATTRIBUTES);
    msg_init(&value);
    msg_enum(&value, KMIP_TAG_BLOCK_CIPHER_MODE, 1);
    OK(ttlv_put_boolean(&value.out, KMIP_TAG_RANDOM_IV, true)); // of 1.2
    struct reply reply = good();
    add(&reply.attrs, (struct attr){.tag = KMIP_TAG_CRYPTOGRAPHIC_PARAMETERS,
                                    .type = ATTR_STRUCTURE,
                                    .bytes = msg_span(&value)});
    add(&reply.attrs, (struct attr){.tag = KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM,
                                    .type = ATTR_ENUMERATION,
                                    .number = KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20}); // of 1.4
    struct span payload = AT(answer(&reply), KMIP_TAG_RESPONSE_PAYLOAD).value;
    assert_int_equal(msg_count(payload, KMIP_TAG_ATTRIBUTE), 1);
    struct span members = AT(payload, KMIP_TAG_ATTRIBUTE, KMIP_TAG_ATTRIBUTE_VALUE).value;
    assert_int_equal(msg_count(members, KMIP_TAG_BLOCK_CIPHER_MODE), 1);
    assert_int_equal(msg_count(members, KMIP_TAG_RANDOM_IV), 0);
    msg_done(&value);
}

static void vendor_attributes_of_2x_have_vendor_and_name(void **state)
{
    (void)state;
    static const struct {
        const char *inside;
        const char *vendor;
        const char *name;
    } cases[] = {{"x-ID", "x", "ID"}, {"acme..com.a.b", "acme.com", "a.b"}, {"y-s", "y", "s"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ask(2, 1, VERB_GET_ATTRIBUTES);
        struct reply reply = good();
        add(&reply.attrs, (struct attr){.name = span_str(cases[i].inside),
                                        .type = ATTR_TEXT,
                                        .bytes = span_str("v")});
        struct span payload = AT(answer(&reply), KMIP_TAG_RESPONSE_PAYLOAD).value;
        struct span one = AT(payload, KMIP_TAG_ATTRIBUTES, KMIP_TAG_ATTRIBUTE).value;
        assert_true(span_eq_str(AT(one, KMIP_TAG_VENDOR_IDENTIFICATION).value, cases[i].vendor));
        assert_true(span_eq_str(AT(one, KMIP_TAG_ATTRIBUTE_NAME).value, cases[i].name));
    }
}

static void attribute_lists_name_or_refer(void **state)
{
    (void)state;
    for (int major = 1; major <= 2; major++) {
        ask(major, 0, VERB_GET_ATTRIBUTE_LIST);
        struct reply reply = good();
        add(&reply.attrs, (struct attr){.tag = KMIP_TAG_STATE});
        add(&reply.attrs, (struct attr){.name = span_str("x-a")});
        struct span payload = AT(answer(&reply), KMIP_TAG_RESPONSE_PAYLOAD).value;
        assert_int_equal(msg_count(payload, KMIP_TAG_ATTRIBUTE_NAME), major == 1 ? 2 : 0);
        assert_int_equal(msg_count(payload, KMIP_TAG_ATTRIBUTE_REFERENCE), major == 1 ? 0 : 2);
    }
}

static void located_items_stand_only_where_known(void **state)
{
    (void)state;
    struct span uids[] = {span_str("a"), span_str("b")};
    for (int minor = 0; minor <= 4; minor += 4) {
        ask(1, minor, VERB_LOCATE);
        struct reply reply = {.uids = uids, .uid_count = 2, .located_items = 9};
        struct span payload = AT(answer(&reply), KMIP_TAG_RESPONSE_PAYLOAD).value;
        assert_int_equal(msg_count(payload, KMIP_TAG_UNIQUE_IDENTIFIER), 2);
        assert_int_equal(msg_count(payload, KMIP_TAG_LOCATED_ITEMS), minor == 0 ? 0 : 1);
    }
}

static void a_failed_item_names_operation_id_and_reason(void **state)
{
    (void)state;
    msg_header(&m, 1, 0, 1);
    msg_close(&m);
    msg_open(&m, KMIP_TAG_BATCH_ITEM);
    msg_enum(&m, KMIP_TAG_OPERATION, VERB_DESTROY);
    msg_bytes(&m, KMIP_TAG_UNIQUE_BATCH_ITEM_ID, "id");
    msg_open(&m, KMIP_TAG_REQUEST_PAYLOAD);
    struct reply reply = {.status = ERR_NOT_FOUND, .message = span_str("no such object")};
    struct span item = answer(&reply);
    assert_int_equal(NUMBER_AT(item, KMIP_TAG_OPERATION), VERB_DESTROY);
    assert_true(span_eq_str(AT(item, KMIP_TAG_UNIQUE_BATCH_ITEM_ID).value, "id"));
    assert_int_equal(NUMBER_AT(item, KMIP_TAG_RESULT_STATUS), 1);
    assert_int_equal(NUMBER_AT(item, KMIP_TAG_RESULT_REASON), 1);
    assert_true(span_eq_str(AT(item, KMIP_TAG_RESULT_MESSAGE).value, "no such object"));
    assert_int_equal(msg_count(item, KMIP_TAG_RESPONSE_PAYLOAD), 0);
}

static void reasons_are_those_of_the_version(void **state)
{
    (void)state;
    static const struct {
        uint16_t version;
        enum err code;
        uint32_t reason;
    } cases[] = {
        {0x0104, ERR_NOT_FOUND, KMIP_RESULT_REASON_ITEM_NOT_FOUND},
        {0x0201, ERR_NOT_FOUND, KMIP_RESULT_REASON_OBJECT_NOT_FOUND},
        {0x0104, ERR_WRONG_STATE, KMIP_RESULT_REASON_PERMISSION_DENIED},
        {0x0201, ERR_WRONG_STATE, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE},
        {0x0104, ERR_SENSITIVE, KMIP_RESULT_REASON_SENSITIVE},
        {0x0103, ERR_SENSITIVE, KMIP_RESULT_REASON_PERMISSION_DENIED},
        {0x0100, ERR_LOCKED, KMIP_RESULT_REASON_GENERAL_FAILURE},
        {0x0104, ERR_VERSION, KMIP_RESULT_REASON_INVALID_MESSAGE},
        {0x0201, ERR_VERSION, KMIP_RESULT_REASON_UNSUPPORTED_PROTOCOL_VERSION},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(kmip_result_reason(cases[i].version, cases[i].code), cases[i].reason);
    for (unsigned code = 1; code < ERR_COUNT; code++) {
        for (unsigned minor = 0; minor < 5; minor++)
            assert_true(kmip_result_reason((uint16_t)(0x0100 + minor), (enum err)code) != 0);
    }
}

static void put_three_gets(int count)
{
    again();
    msg_header(&m, 1, 2, count);
    msg_close(&m);
    for (int i = 0; i < count; i++) {
        msg_item(&m, VERB_GET);
        msg_item_end(&m);
    }
    OK(kmip_decode(msg_span(&m), arena, &call));
}

static void skipped_items_are_left_out_and_undone_ones_say_so(void **state)
{
    (void)state;
    put_three_gets(3);
    struct reply items[3] = {
        {.verb = VERB_GET, .undone = true},
        {.verb = VERB_GET, .status = ERR_NOT_FOUND},
        {.verb = VERB_GET, .skipped = true},
    };
    struct replies replies = {items, 3};
    OK(kmip_encode(&call, &replies, &out));
    struct span whole = AT(span_buf(&out), KMIP_TAG_RESPONSE_MESSAGE).value;
    assert_int_equal(NUMBER_AT(whole, KMIP_TAG_RESPONSE_HEADER, KMIP_TAG_BATCH_COUNT), 2);
    assert_int_equal(msg_count(whole, KMIP_TAG_BATCH_ITEM), 2);
    struct span first = AT(whole, KMIP_TAG_BATCH_ITEM).value;
    assert_int_equal(NUMBER_AT(first, KMIP_TAG_RESULT_STATUS), 3);
    assert_int_equal(msg_count(first, KMIP_TAG_RESPONSE_PAYLOAD), 0);
}

static void replies_must_match_the_call(void **state)
{
    (void)state;
    put_three_gets(2);
    struct reply one = {.verb = VERB_GET};
    struct replies replies = {&one, 1};
    FAILS(ERR_INTERNAL, kmip_encode(&call, &replies, &out));
    FAILS(ERR_INTERNAL, kmip_encode(&call, NULL, &out));
    assert_int_equal(out.len, 0);
}

static void an_answer_that_is_too_long_becomes_a_failure(void **state)
{
    (void)state;
    again();
    msg_header(&m, 1, 2, 1);
    msg_integer(&m, KMIP_TAG_MAXIMUM_RESPONSE_SIZE, 256);
    msg_close(&m);
    msg_item(&m, VERB_LOCATE);
    struct span uids[64];
    for (size_t i = 0; i < COUNT_OF(uids); i++)
        uids[i] = span_str("0123456789");
    struct reply reply = {.uids = uids, .uid_count = COUNT_OF(uids), .located_items = -1};
    struct span item = answer(&reply);
    assert_true(out.len <= 256);
    assert_int_equal(NUMBER_AT(item, KMIP_TAG_RESULT_REASON),
                     KMIP_RESULT_REASON_RESPONSE_TOO_LARGE);
}

static void a_change_that_was_made_is_never_called_too_large(void **state)
{
    (void)state;
    again();
    msg_header(&m, 1, 2, 1);
    msg_integer(&m, KMIP_TAG_MAXIMUM_RESPONSE_SIZE, 1024);
    msg_close(&m);
    msg_item(&m, VERB_DELETE_ATTRIBUTE);
    msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "Contact Information");
    struct reply reply = good();
    static const uint8_t large[2000] = {'a'};
    add(&reply.attrs, (struct attr){.tag = KMIP_TAG_CONTACT_INFORMATION,
                                    .type = ATTR_TEXT,
                                    .bytes = span_of(large, sizeof large)});
    struct span item = answer(&reply);
    assert_int_equal(NUMBER_AT(item, KMIP_TAG_RESULT_STATUS), 0);
    assert_true(out.len <= 1024);
}

static void query_tells_only_what_the_version_has(void **state)
{
    (void)state;
    for (int minor = 0; minor <= 4; minor += 4) {
        ask(1, minor, VERB_QUERY);
        for (uint32_t function = 1; function <= 12; function++)
            msg_enum(&m, KMIP_TAG_QUERY_FUNCTION, function);
        OK(kmip_decode(msg_span(&m), arena, &call));
        assert_false(kmip_needs_engine(&call));
        OK(kmip_encode(&call, NULL, &out));
        OK(ttlv_check(span_buf(&out)));
        struct span payload = AT(span_buf(&out), KMIP_TAG_RESPONSE_MESSAGE, KMIP_TAG_BATCH_ITEM,
                                 KMIP_TAG_RESPONSE_PAYLOAD)
                                  .value;
        assert_true(msg_count(payload, KMIP_TAG_OPERATION) >= 14);
        assert_int_equal(msg_count(payload, KMIP_TAG_VENDOR_IDENTIFICATION), 1);
        assert_int_equal(msg_count(payload, KMIP_TAG_CAPABILITY_INFORMATION), minor == 0 ? 0 : 1);
    }
}

static void items_without_an_engine_keep_the_error_option(void **state)
{
    (void)state;
    for (uint32_t option = ON_ERROR_CONTINUE; option <= ON_ERROR_STOP; option++) {
        again();
        msg_header(&m, 1, 2, 2);
        msg_enum(&m, KMIP_TAG_BATCH_ERROR_CONTINUATION_OPTION, option);
        msg_close(&m);
        msg_item(&m, KMIP_OPERATION_POLL);
        msg_item_end(&m);
        msg_item(&m, VERB_DISCOVER_VERSIONS);
        msg_item_end(&m);
        OK(kmip_decode(msg_span(&m), arena, &call));
        assert_false(kmip_needs_engine(&call));
        OK(kmip_encode(&call, NULL, &out));
        struct span whole = AT(span_buf(&out), KMIP_TAG_RESPONSE_MESSAGE).value;
        assert_int_equal(msg_count(whole, KMIP_TAG_BATCH_ITEM),
                         option == ON_ERROR_CONTINUE ? 2 : 1);
    }
}

static void a_refused_message_is_answered_with_one_item(void **state)
{
    (void)state;
    FAILS(ERR_MESSAGE, kmip_decode(span_str("nonsense"), arena, &call));
    OK(kmip_encode_failure(&call, ERR_MESSAGE, "not well formed", &out));
    OK(ttlv_check(span_buf(&out)));
    struct span item = AT(span_buf(&out), KMIP_TAG_RESPONSE_MESSAGE, KMIP_TAG_BATCH_ITEM).value;
    assert_int_equal(msg_count(item, KMIP_TAG_OPERATION), 0);
    assert_int_equal(NUMBER_AT(item, KMIP_TAG_RESULT_REASON), KMIP_RESULT_REASON_INVALID_MESSAGE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_has_the_version_asked),
        TEST(a_key_is_given_without_anything_else),
        TEST(wrapped_material_keeps_its_form),
        TEST(attributes_are_those_of_the_version),
        TEST(members_and_bits_are_those_of_the_version),
        TEST(vendor_attributes_of_2x_have_vendor_and_name),
        TEST(attribute_lists_name_or_refer),
        TEST(located_items_stand_only_where_known),
        TEST(a_failed_item_names_operation_id_and_reason),
        TEST(reasons_are_those_of_the_version),
        TEST(skipped_items_are_left_out_and_undone_ones_say_so),
        TEST(replies_must_match_the_call),
        TEST(an_answer_that_is_too_long_becomes_a_failure),
        TEST(a_change_that_was_made_is_never_called_too_large),
        TEST(query_tells_only_what_the_version_has),
        TEST(items_without_an_engine_keep_the_error_option),
        TEST(a_refused_message_is_answered_with_one_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
