// SPDX-License-Identifier: Apache-2.0
//
// What kmip/kmip.h promises of requests: what clients send is understood, what must not be ignored
// is refused, and a refusal is always answerable.
#include "kmip/kmip.h"

#include "wire/limits.h"

#include "tests/unit/message.h"

static struct arena *arena;
static struct message m;
static struct kmip_call call;

static int set_up(void **state)
{
    (void)state;
    msg_init(&m);
    return arena_new(LIMIT_ARENA, &arena) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    msg_done(&m);
    arena_freep(&arena);
    return 0;
}

static enum err decode(void)
{
    return kmip_decode(msg_span(&m), arena, &call);
}

// The status of the only item.
static enum err decode_item(void)
{
    OK(decode());
    assert_int_equal(call.batch.count, 1);
    if (call.items[0].status != ERR_OK)
        assert_int_equal(call.batch.items[0].verb, VERB_NONE);
    return call.items[0].status;
}

static const struct request *only(void)
{
    return &call.batch.items[0];
}

// ---- header ----

static void a_header_of_a_newer_client_is_read(void **state)
{
    (void)state;
    msg_header(&m, 1, 0, 1);
    msg_integer(&m, KMIP_TAG_MAXIMUM_RESPONSE_SIZE, 280000);
    msg_text(&m, KMIP_TAG_CLIENT_CORRELATION_VALUE, "c-1");
    OK(ttlv_put_date_time(&m.out, KMIP_TAG_TIME_STAMP, 1));
    OK(ttlv_put_boolean(&m.out, KMIP_TAG_BATCH_ORDER_OPTION, true));
    msg_enum(&m, KMIP_TAG_BATCH_ERROR_CONTINUATION_OPTION, 3);
    msg_text(&m, 0x540001, "a vendor's own");
    msg_open(&m, KMIP_TAG_AUTHENTICATION);
    msg_open(&m, KMIP_TAG_CREDENTIAL);
    msg_enum(&m, KMIP_TAG_CREDENTIAL_TYPE, 1);
    msg_open(&m, KMIP_TAG_CREDENTIAL_VALUE);
    msg_text(&m, KMIP_TAG_USERNAME, "");
    msg_close(&m);
    msg_close(&m);
    msg_close(&m);
    msg_close(&m);
    msg_item(&m, VERB_GET);
    msg_text(&m, KMIP_TAG_UNIQUE_IDENTIFIER, "u");
    FAILS(ERR_OK, decode_item());
    assert_int_equal(call.version, 0x0100);
    assert_int_equal(call.maximum, 280000);
    assert_int_equal(call.batch.on_error, ON_ERROR_UNDO);
    assert_true(call.batch.ordered);
    assert_int_equal(only()->verb, VERB_GET);
    assert_true(span_eq_str(only()->uid, "u"));
    assert_true(kmip_needs_engine(&call));
    assert_false(kmip_writes(&call));
}

static void asynchronous_operation_is_refused(void **state)
{
    (void)state;
    msg_header(&m, 1, 2, 1);
    OK(ttlv_put_boolean(&m.out, KMIP_TAG_ASYNCHRONOUS_INDICATOR, true));
    msg_close(&m);
    msg_item(&m, VERB_GET);
    FAILS(ERR_FEATURE, decode());
    assert_int_equal(call.version, 0x0102);
    assert_null(call.items);
}

static void batch_counts_must_be_true(void **state)
{
    (void)state;
    static const struct {
        int says;
        int has;
        enum err expect;
    } cases[] = {{1, 1, ERR_OK},      {2, 1, ERR_MESSAGE},       {1, 2, ERR_MESSAGE},
                 {0, 0, ERR_MESSAGE}, {-1, 1, ERR_MESSAGE},      {1, 0, ERR_MESSAGE},
                 {256, 256, ERR_OK},  {257, 257, ERR_TOO_LARGE}, {INT32_MAX, 1, ERR_TOO_LARGE}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        msg_done(&m);
        msg_init(&m);
        msg_header(&m, 1, 4, cases[i].says);
        msg_close(&m);
        for (int k = 0; k < cases[i].has; k++) {
            msg_item(&m, VERB_GET);
            msg_item_end(&m);
        }
        FAILS(cases[i].expect, decode());
    }
}

static void unknown_versions_are_answered_in_one_that_can_be_read(void **state)
{
    (void)state;
    static const struct {
        int major;
        int minor;
        uint16_t answer;
    } cases[] = {{9, 9, 0x0201}, {0, 0, 0x0100}, {1, -1, 0x0104},       {1, 5, 0x0104},
                 {3, 0, 0x0201}, {0, 9, 0x0100}, {INT32_MAX, 0, 0x0201}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        msg_done(&m);
        msg_init(&m);
        msg_request(&m, cases[i].major, cases[i].minor, VERB_GET);
        FAILS(ERR_VERSION, decode());
        assert_int_equal(call.version, cases[i].answer);
        assert_non_null(strstr(err_detail(), "1.4, 1.3, 1.2, 1.1, 1.0"));
    }
}

static void discover_versions_is_answered_in_any_version(void **state)
{
    (void)state;
    msg_request(&m, 9, 9, VERB_DISCOVER_VERSIONS);
    FAILS(ERR_OK, decode_item());
    assert_false(kmip_needs_engine(&call));
    msg_done(&m);
    msg_init(&m);
    msg_request(&m, 1, 0, VERB_DISCOVER_VERSIONS);
    msg_version(&m, 1, 2);
    msg_version(&m, 77777, -4);
    FAILS(ERR_OK, decode_item());
    assert_int_equal(call.items[0].version_count, 2);
    assert_int_equal(call.items[0].versions[0], 0x0102);
}

static void what_is_no_message_is_refused(void **state)
{
    (void)state;
    FAILS(ERR_MESSAGE, kmip_decode(span_str(""), arena, &call));
    FAILS(ERR_MESSAGE, kmip_decode(span_str("GET / HTTP/1.1\r\n"), arena, &call));
    msg_request(&m, 1, 3, VERB_GET);
    struct span whole = msg_span(&m);
    for (size_t len = 0; len < whole.len; len++)
        FAILS(ERR_MESSAGE, kmip_decode(span_of(whole.data, len), arena, &call));
    OK(buf_put_u64(&m.out, 0));
    FAILS(ERR_MESSAGE, decode());
    // The header is read before the rest is checked, so that the refusal has the right version.
    assert_int_equal(call.version, 0x0103);
}

static void a_request_without_version_or_count_is_refused(void **state)
{
    (void)state;
    msg_open(&m, KMIP_TAG_REQUEST_MESSAGE);
    msg_open(&m, KMIP_TAG_REQUEST_HEADER);
    msg_integer(&m, KMIP_TAG_BATCH_COUNT, 1);
    msg_close(&m);
    msg_item(&m, VERB_GET);
    FAILS(ERR_MESSAGE, decode());
    msg_done(&m);
    msg_init(&m);
    msg_open(&m, KMIP_TAG_REQUEST_MESSAGE);
    msg_open(&m, KMIP_TAG_REQUEST_HEADER);
    msg_version(&m, 1, 1);
    msg_close(&m);
    msg_item(&m, VERB_GET);
    FAILS(ERR_MESSAGE, decode());
}

static void a_change_whose_answer_cannot_fit_is_refused_before(void **state)
{
    (void)state;
    static const int sizes[] = {0, 1, -1, 255};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        msg_done(&m);
        msg_init(&m);
        msg_header(&m, 1, 4, 1);
        msg_integer(&m, KMIP_TAG_MAXIMUM_RESPONSE_SIZE, sizes[i]);
        msg_close(&m);
        msg_item(&m, VERB_DESTROY);
        FAILS(ERR_TOO_LARGE, decode());
        assert_non_null(call.items);
    }
}

// ---- items ----

static void operations_are_those_of_the_version(void **state)
{
    (void)state;
    static const struct {
        int major;
        int minor;
        uint32_t operation;
        enum err expect;
    } cases[] = {
        {1, 4, KMIP_OPERATION_SET_ATTRIBUTE, ERR_OPERATION}, // of 2.0
        {1, 0, KMIP_OPERATION_RE_KEY_KEY_PAIR, ERR_OPERATION},
        {1, 4, KMIP_OPERATION_POLL, ERR_OPERATION},
        {1, 4, KMIP_OPERATION_PUT, ERR_OPERATION}, // only servers send it
        {1, 4, 0x99, ERR_OPERATION},
        {1, 4, 0x80000001, ERR_OPERATION},
        {1, 0, VERB_GET, ERR_OK},
        {2, 1, VERB_GET, ERR_OK},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        msg_done(&m);
        msg_init(&m);
        msg_request(&m, cases[i].major, cases[i].minor, cases[i].operation);
        FAILS(cases[i].expect, decode_item());
        assert_int_equal(call.items[0].operation, cases[i].operation);
    }
}

static void one_bad_item_does_not_spoil_the_others(void **state)
{
    (void)state;
    msg_header(&m, 1, 2, 3);
    msg_close(&m);
    msg_item(&m, VERB_GET);
    msg_item_end(&m);
    msg_item(&m, KMIP_OPERATION_ENCRYPT);
    msg_item_end(&m);
    msg_item(&m, VERB_DESTROY);
    msg_item_end(&m);
    OK(decode());
    assert_int_equal(call.items[0].status, ERR_OK);
    assert_int_equal(call.items[1].status, ERR_OPERATION);
    assert_true(call.items[1].message.len > 0);
    assert_int_equal(call.batch.items[1].verb, VERB_NONE);
    assert_int_equal(call.batch.items[2].verb, VERB_DESTROY);
    assert_true(kmip_writes(&call));
}

static void put_extension(bool critical)
{
    msg_header(&m, 1, 2, 1);
    msg_close(&m);
    msg_open(&m, KMIP_TAG_BATCH_ITEM);
    msg_enum(&m, KMIP_TAG_OPERATION, VERB_GET);
    msg_open(&m, KMIP_TAG_REQUEST_PAYLOAD);
    msg_close(&m);
    msg_open(&m, KMIP_TAG_MESSAGE_EXTENSION);
    msg_text(&m, KMIP_TAG_VENDOR_IDENTIFICATION, "Acme");
    OK(ttlv_put_boolean(&m.out, KMIP_TAG_CRITICALITY_INDICATOR, critical));
    msg_open(&m, KMIP_TAG_VENDOR_EXTENSION);
    msg_text(&m, 0x540001, "?");
}

static void only_critical_extensions_are_refused(void **state)
{
    (void)state;
    put_extension(true);
    FAILS(ERR_FEATURE, decode_item());
    msg_done(&m);
    msg_init(&m);
    put_extension(false);
    FAILS(ERR_OK, decode_item());
}

static void an_item_lacks_operation_or_payload(void **state)
{
    (void)state;
    msg_header(&m, 1, 2, 2);
    msg_close(&m);
    msg_open(&m, KMIP_TAG_BATCH_ITEM);
    msg_open(&m, KMIP_TAG_REQUEST_PAYLOAD);
    msg_close(&m);
    msg_close(&m);
    msg_open(&m, KMIP_TAG_BATCH_ITEM);
    msg_bytes(&m, KMIP_TAG_UNIQUE_BATCH_ITEM_ID, "7");
    msg_enum(&m, KMIP_TAG_OPERATION, VERB_GET);
    msg_close(&m);
    OK(decode());
    assert_int_equal(call.items[0].status, ERR_MESSAGE);
    assert_int_equal(call.items[1].status, ERR_MESSAGE);
    assert_true(span_eq_str(call.items[1].id, "7"));
}

// ---- payloads ----

static void create_of_1x_is_read(void **state)
{
    (void)state;
    msg_request(&m, 1, 1, VERB_CREATE);
    msg_enum(&m, KMIP_TAG_OBJECT_TYPE, 2);
    msg_open(&m, KMIP_TAG_TEMPLATE_ATTRIBUTE);
    msg_attr_enum(&m, "Cryptographic Algorithm", 3);
    msg_open(&m, KMIP_TAG_ATTRIBUTE);
    msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "Cryptographic Length");
    msg_integer(&m, KMIP_TAG_ATTRIBUTE_INDEX, 0);
    msg_integer(&m, KMIP_TAG_ATTRIBUTE_VALUE, 256);
    msg_close(&m);
    msg_attr_text(&m, "x-NETAPP-Volume", "v1");
    // Index after the value, and the Name's members the wrong way round.
    msg_open(&m, KMIP_TAG_ATTRIBUTE);
    msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "Name");
    msg_open(&m, KMIP_TAG_ATTRIBUTE_VALUE);
    msg_enum(&m, KMIP_TAG_NAME_TYPE, 1);
    msg_text(&m, KMIP_TAG_NAME_VALUE, "k");
    msg_close(&m);
    msg_integer(&m, KMIP_TAG_ATTRIBUTE_INDEX, 3);
    msg_close(&m);
    // From 1.4, in a request of 1.1.
    msg_open(&m, KMIP_TAG_ATTRIBUTE);
    msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "Extractable");
    OK(ttlv_put_boolean(&m.out, KMIP_TAG_ATTRIBUTE_VALUE, false));
    FAILS(ERR_OK, decode_item());
    const struct attrs *attrs = &only()->attrs;
    assert_int_equal(only()->object_type, 2);
    assert_int_equal(attrs->count, 5);
    assert_int_equal(attrs->items[0].tag, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM);
    assert_int_equal(attrs->items[0].number, 3);
    assert_int_equal(attrs->items[0].index, ATTR_NO_INDEX);
    assert_int_equal(attrs->items[1].index, 0);
    assert_int_equal(attrs->items[2].tag, ATTR_CUSTOM);
    assert_true(span_eq_str(attrs->items[2].name, "x-NETAPP-Volume"));
    assert_int_equal(attrs->items[3].index, 3);
    struct ttlv first;
    bool found;
    struct cursor in = cursor_of(attrs->items[3].bytes);
    OK(ttlv_next(&in, &first, &found));
    assert_int_equal(first.tag, KMIP_TAG_NAME_VALUE);
    assert_int_equal(attrs->items[4].tag, KMIP_TAG_EXTRACTABLE);
}

static void create_of_2x_is_read(void **state)
{
    (void)state;
    msg_request(&m, 2, 1, VERB_CREATE);
    msg_enum(&m, KMIP_TAG_OBJECT_TYPE, 2);
    msg_open(&m, KMIP_TAG_ATTRIBUTES);
    msg_enum(&m, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, 3);
    msg_open(&m, KMIP_TAG_ATTRIBUTE);
    msg_text(&m, KMIP_TAG_VENDOR_IDENTIFICATION, "x");
    msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "ID");
    msg_text(&m, KMIP_TAG_ATTRIBUTE_VALUE, "one");
    msg_close(&m);
    msg_open(&m, KMIP_TAG_ATTRIBUTE);
    msg_text(&m, KMIP_TAG_VENDOR_IDENTIFICATION, "acme.com");
    msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "a.b");
    msg_text(&m, KMIP_TAG_ATTRIBUTE_VALUE, "two");
    FAILS(ERR_OK, decode_item());
    assert_int_equal(only()->attrs.count, 3);
    assert_int_equal(only()->attrs.items[0].number, 3);
    assert_true(span_eq_str(only()->attrs.items[1].name, "x-ID"));
    assert_true(span_eq_str(only()->attrs.items[2].name, "acme..com.a.b"));
}

static void put_create_1x(void)
{
    msg_request(&m, 1, 4, VERB_CREATE);
    msg_enum(&m, KMIP_TAG_OBJECT_TYPE, 2);
    msg_open(&m, KMIP_TAG_TEMPLATE_ATTRIBUTE);
}

static void bad_attributes_are_refused(void **state)
{
    (void)state;
    put_create_1x();
    msg_attr_text(&m, "Cryptographic Algorithm", "AES");
    FAILS(ERR_INVALID, decode_item());

    tear_down(NULL), set_up(NULL);
    put_create_1x();
    msg_attr_enum(&m, "Cryptographic Algorithm", 0x7777);
    FAILS(ERR_INVALID, decode_item());

    tear_down(NULL), set_up(NULL);
    put_create_1x();
    msg_attr_enum(&m, "Cryptographic Algorithm", 0x80000001); // an extension: the engine decides
    FAILS(ERR_OK, decode_item());

    tear_down(NULL), set_up(NULL);
    put_create_1x();
    msg_open(&m, KMIP_TAG_ATTRIBUTE);
    msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "Name");
    FAILS(ERR_MISSING_DATA, decode_item());

    tear_down(NULL), set_up(NULL);
    put_create_1x();
    msg_open(&m, KMIP_TAG_ATTRIBUTE);
    msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "Name");
    msg_open(&m, KMIP_TAG_ATTRIBUTE_VALUE);
    msg_enum(&m, KMIP_TAG_NAME_TYPE, 1);
    FAILS(ERR_MISSING_DATA, decode_item());

    tear_down(NULL), set_up(NULL);
    put_create_1x();
    msg_open(&m, KMIP_TAG_NAME); // a template by its name
    FAILS(ERR_FEATURE, decode_item());

    tear_down(NULL), set_up(NULL);
    put_create_1x();
    msg_open(&m, KMIP_TAG_ATTRIBUTE);
    msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "x-a");
    msg_integer(&m, KMIP_TAG_ATTRIBUTE_INDEX, -1);
    msg_text(&m, KMIP_TAG_ATTRIBUTE_VALUE, "v");
    FAILS(ERR_INVALID, decode_item());
}

static void a_text_that_is_too_long_is_refused(void **state)
{
    (void)state;
    uint8_t *text = NULL;
    OK(arena_alloc(arena, LIMIT_TEXT + 1, 1, &text));
    memset(text, 'a', LIMIT_TEXT + 1);
    put_create_1x();
    msg_open(&m, KMIP_TAG_ATTRIBUTE);
    msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "Contact Information");
    OK(ttlv_put_text(&m.out, KMIP_TAG_ATTRIBUTE_VALUE, span_of(text, LIMIT_TEXT + 1)));
    FAILS(ERR_INVALID, decode_item());
}

static void put_register(uint32_t type, const char *material, int length)
{
    msg_request(&m, 1, 0, VERB_REGISTER);
    msg_enum(&m, KMIP_TAG_OBJECT_TYPE, type);
    msg_open(&m, KMIP_TAG_TEMPLATE_ATTRIBUTE);
    msg_close(&m);
    msg_open(&m, KMIP_TAG_SYMMETRIC_KEY);
    msg_open(&m, KMIP_TAG_KEY_BLOCK);
    msg_enum(&m, KMIP_TAG_KEY_FORMAT_TYPE, 1);
    msg_open(&m, KMIP_TAG_KEY_VALUE);
    msg_bytes(&m, KMIP_TAG_KEY_MATERIAL, material);
    msg_close(&m);
    msg_enum(&m, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, 3);
    msg_integer(&m, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, length);
}

static void register_reads_the_object(void **state)
{
    (void)state;
    put_register(2, "0123456789abcdef", 128);
    FAILS(ERR_OK, decode_item());
    const struct object_data *object = &only()->object;
    assert_int_equal(object->type, 2);
    assert_int_equal(object->algorithm, 3);
    assert_int_equal(object->length, 128);
    assert_false(object->structured);
    assert_true(span_eq_str(object->material, "0123456789abcdef"));
}

static void bad_objects_are_refused(void **state)
{
    (void)state;
    put_register(2, "", 128);
    FAILS(ERR_INVALID, decode_item());
    tear_down(NULL), set_up(NULL);
    put_register(2, "0123456789abcdef", -8);
    FAILS(ERR_INVALID, decode_item());
    tear_down(NULL), set_up(NULL);
    put_register(7, "0123456789abcdef", 128);
    FAILS(ERR_INVALID, decode_item());
    tear_down(NULL), set_up(NULL);
    put_register(99, "0123456789abcdef", 128);
    FAILS(ERR_INVALID, decode_item());
    tear_down(NULL), set_up(NULL);
    msg_request(&m, 1, 0, VERB_REGISTER);
    msg_enum(&m, KMIP_TAG_OBJECT_TYPE, 8);
    msg_open(&m, KMIP_TAG_TEMPLATE_ATTRIBUTE);
    msg_close(&m);
    msg_open(&m, KMIP_TAG_OPAQUE_OBJECT);
    msg_enum(&m, KMIP_TAG_OPAQUE_DATA_TYPE, 0x80000000);
    FAILS(ERR_MISSING_DATA, decode_item());
}

static void locate_never_ignores_a_filter(void **state)
{
    (void)state;
    msg_request(&m, 1, 0, VERB_LOCATE);
    msg_integer(&m, KMIP_TAG_MAXIMUM_ITEMS, 1);
    msg_integer(&m, KMIP_TAG_OFFSET_ITEMS, 2); // of 1.3
    msg_attr_text(&m, "No Such Attribute", "v");
    FAILS(ERR_OK, decode_item());
    assert_int_equal(only()->maximum_items, 1);
    assert_int_equal(only()->offset_items, 2);
    assert_int_equal(only()->attrs.items[0].tag, ATTR_CUSTOM);
    assert_true(span_eq_str(only()->attrs.items[0].name, "No Such Attribute"));

    tear_down(NULL), set_up(NULL);
    msg_request(&m, 1, 2, VERB_LOCATE);
    msg_text(&m, 0x540001, "?");
    FAILS(ERR_INVALID, decode_item());

    tear_down(NULL), set_up(NULL);
    msg_request(&m, 1, 2, VERB_LOCATE);
    msg_enum(&m, KMIP_TAG_OBJECT_GROUP_MEMBER, 1);
    FAILS(ERR_FEATURE, decode_item());

    tear_down(NULL), set_up(NULL);
    msg_request(&m, 1, 2, VERB_LOCATE);
    msg_integer(&m, KMIP_TAG_MAXIMUM_ITEMS, -1);
    FAILS(ERR_INVALID, decode_item());

    tear_down(NULL), set_up(NULL);
    msg_request(&m, 2, 0, VERB_LOCATE);
    msg_open(&m, KMIP_TAG_ATTRIBUTES);
    msg_text(&m, 0x42ffff, "?");
    FAILS(ERR_INVALID, decode_item());
}

static void locate_without_limits_says_so(void **state)
{
    (void)state;
    msg_request(&m, 1, 2, VERB_LOCATE);
    FAILS(ERR_OK, decode_item());
    assert_int_equal(only()->maximum_items, -1);
}

static void identifiers_are_text_or_the_placeholder(void **state)
{
    (void)state;
    msg_request(&m, 1, 4, VERB_GET);
    msg_text(&m, KMIP_TAG_UNIQUE_IDENTIFIER, "");
    FAILS(ERR_NOT_FOUND, decode_item());
    tear_down(NULL), set_up(NULL);
    msg_request(&m, 2, 0, VERB_GET);
    msg_enum(&m, KMIP_TAG_UNIQUE_IDENTIFIER, 1);
    FAILS(ERR_OK, decode_item());
    assert_int_equal(only()->uid.len, 0);
    tear_down(NULL), set_up(NULL);
    msg_request(&m, 2, 0, VERB_GET);
    msg_integer(&m, KMIP_TAG_UNIQUE_IDENTIFIER, 0);
    FAILS(ERR_FEATURE, decode_item());
    tear_down(NULL), set_up(NULL);
    msg_request(&m, 1, 4, VERB_GET);
    msg_enum(&m, KMIP_TAG_UNIQUE_IDENTIFIER, 1);
    FAILS(ERR_INVALID, decode_item());
    tear_down(NULL), set_up(NULL);
    msg_request(&m, 1, 4, VERB_GET);
    msg_text(&m, KMIP_TAG_UNIQUE_IDENTIFIER, "a");
    msg_text(&m, KMIP_TAG_UNIQUE_IDENTIFIER, "b");
    FAILS(ERR_INVALID, decode_item());
}

static void wrapping_is_never_overlooked(void **state)
{
    (void)state;
    msg_request(&m, 1, 0, VERB_GET);
    msg_open(&m, KMIP_TAG_KEY_WRAPPING_SPECIFICATION);
    FAILS(ERR_OK, decode_item());
    assert_true(only()->has_wrapping);
}

static void attribute_operations_are_read_in_both_forms(void **state)
{
    (void)state;
    msg_request(&m, 1, 2, VERB_DELETE_ATTRIBUTE);
    msg_integer(&m, KMIP_TAG_ATTRIBUTE_INDEX, 2);
    msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "Name");
    FAILS(ERR_OK, decode_item());
    assert_int_equal(only()->attrs.items[0].tag, KMIP_TAG_NAME);
    assert_int_equal(only()->attrs.items[0].index, 2);

    tear_down(NULL), set_up(NULL);
    msg_request(&m, 2, 1, VERB_MODIFY_ATTRIBUTE);
    msg_open(&m, KMIP_TAG_CURRENT_ATTRIBUTE);
    msg_text(&m, KMIP_TAG_OBJECT_GROUP, "old");
    msg_close(&m);
    msg_open(&m, KMIP_TAG_NEW_ATTRIBUTE);
    msg_text(&m, KMIP_TAG_OBJECT_GROUP, "new");
    FAILS(ERR_OK, decode_item());
    assert_true(only()->has_current);
    assert_true(span_eq_str(only()->current.bytes, "old"));
    assert_true(span_eq_str(only()->attrs.items[0].bytes, "new"));

    tear_down(NULL), set_up(NULL);
    msg_request(&m, 2, 1, VERB_GET_ATTRIBUTES);
    msg_enum(&m, KMIP_TAG_ATTRIBUTE_REFERENCE, KMIP_TAG_STATE);
    msg_open(&m, KMIP_TAG_ATTRIBUTE_REFERENCE);
    msg_text(&m, KMIP_TAG_VENDOR_IDENTIFICATION, "x");
    msg_text(&m, KMIP_TAG_ATTRIBUTE_NAME, "ID");
    FAILS(ERR_OK, decode_item());
    assert_true(call.items[0].named);
    assert_int_equal(only()->attrs.items[0].tag, KMIP_TAG_STATE);
    assert_true(span_eq_str(only()->attrs.items[1].name, "x-ID"));

    tear_down(NULL), set_up(NULL);
    msg_request(&m, 2, 1, VERB_DELETE_ATTRIBUTE);
    FAILS(ERR_MISSING_DATA, decode_item());

    tear_down(NULL), set_up(NULL);
    msg_request(&m, 1, 4, VERB_ADD_ATTRIBUTE);
    FAILS(ERR_MISSING_DATA, decode_item());
}

static void revoke_is_read(void **state)
{
    (void)state;
    msg_request(&m, 1, 0, VERB_REVOKE);
    msg_text(&m, KMIP_TAG_UNIQUE_IDENTIFIER, "u");
    msg_open(&m, KMIP_TAG_REVOCATION_REASON);
    msg_enum(&m, KMIP_TAG_REVOCATION_REASON_CODE, 2);
    msg_text(&m, KMIP_TAG_REVOCATION_MESSAGE, "lost");
    msg_close(&m);
    OK(ttlv_put_date_time(&m.out, KMIP_TAG_COMPROMISE_OCCURRENCE_DATE, 99));
    FAILS(ERR_OK, decode_item());
    assert_int_equal(only()->reason, 2);
    assert_true(span_eq_str(only()->reason_text, "lost"));
    assert_int_equal(only()->compromise_date, 99);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_header_of_a_newer_client_is_read),
        TEST(asynchronous_operation_is_refused),
        TEST(batch_counts_must_be_true),
        TEST(unknown_versions_are_answered_in_one_that_can_be_read),
        TEST(discover_versions_is_answered_in_any_version),
        TEST(what_is_no_message_is_refused),
        TEST(a_request_without_version_or_count_is_refused),
        TEST(a_change_whose_answer_cannot_fit_is_refused_before),
        TEST(operations_are_those_of_the_version),
        TEST(one_bad_item_does_not_spoil_the_others),
        TEST(only_critical_extensions_are_refused),
        TEST(an_item_lacks_operation_or_payload),
        TEST(create_of_1x_is_read),
        TEST(create_of_2x_is_read),
        TEST(bad_attributes_are_refused),
        TEST(a_text_that_is_too_long_is_refused),
        TEST(register_reads_the_object),
        TEST(bad_objects_are_refused),
        TEST(locate_never_ignores_a_filter),
        TEST(locate_without_limits_says_so),
        TEST(identifiers_are_text_or_the_placeholder),
        TEST(wrapping_is_never_overlooked),
        TEST(attribute_operations_are_read_in_both_forms),
        TEST(revoke_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
