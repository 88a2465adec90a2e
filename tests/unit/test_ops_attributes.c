// SPDX-License-Identifier: Apache-2.0
//
// Attributes: what a client may set, add, modify and delete, for every attribute of the table;
// indices of multi-valued ones; flags that only get stricter; what the server makes by itself.
#include "ops/object.h"

#include "tests/unit/ops_rig.h"

static enum err change(enum verb verb, struct span uid, struct attr attr)
{
    struct request request = {.verb = verb, .uid = uid};
    OK(attrs_add(&request.attrs, rig.arena, &attr));
    return run(&request);
}

static struct attr number_attr(uint32_t tag, uint8_t type, int64_t number)
{
    return (struct attr){.tag = tag, .index = ATTR_NO_INDEX, .type = type, .number = number};
}

static const struct attr *find_custom(const char *name, int32_t index)
{
    for (size_t i = 0; i < rig.reply.attrs.count; i++) {
        const struct attr *attr = &rig.reply.attrs.items[i];
        if (attr->tag == ATTR_CUSTOM && span_eq_str(attr->name, name) && attr->index == index)
            return attr;
    }
    return NULL;
}

static void the_server_makes_what_every_object_has(void **state)
{
    (void)state;
    static const uint32_t tags[] = {
        KMIP_TAG_UNIQUE_IDENTIFIER,
        KMIP_TAG_OBJECT_TYPE,
        KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM,
        KMIP_TAG_DIGEST,
        KMIP_TAG_INITIAL_DATE,
        KMIP_TAG_CRYPTOGRAPHIC_LENGTH,
        KMIP_TAG_STATE,
        KMIP_TAG_LAST_CHANGE_DATE,
        KMIP_TAG_ORIGINAL_CREATION_DATE,
        KMIP_TAG_LEASE_TIME,
        KMIP_TAG_FRESH,
        KMIP_TAG_SENSITIVE,
        KMIP_TAG_ALWAYS_SENSITIVE,
        KMIP_TAG_EXTRACTABLE,
        KMIP_TAG_NEVER_EXTRACTABLE,
        KMIP_TAG_KEY_FORMAT_TYPE,
        KMIP_TAG_NAME,
        KMIP_TAG_RANDOM_NUMBER_GENERATOR,
    };
    struct span uid = make_key("whole");
    OK(simple(VERB_GET_ATTRIBUTES, uid));
    for (size_t i = 0; i < COUNT_OF(tags); i++)
        assert_non_null(attrs_find(&rig.reply.attrs, tags[i]));
    assert_null(attrs_find(&rig.reply.attrs, KMIP_TAG_DESTROY_DATE));
    OK(simple(VERB_GET_ATTRIBUTE_LIST, uid));
    for (size_t i = 0; i < COUNT_OF(tags); i++)
        assert_non_null(attrs_find(&rig.reply.attrs, tags[i]));
}

static void the_digest_is_that_of_the_key(void **state)
{
    (void)state;
    uint8_t hash[CRYPTO_HASH_LEN];
    struct ttlv item;
    struct span uid = make_key(NULL);
    OK(simple(VERB_GET, uid));
    crypto_sha256(rig.reply.object.material, hash);
    OK(simple(VERB_GET_ATTRIBUTES, uid));
    const struct attr *digest = attrs_find(&rig.reply.attrs, KMIP_TAG_DIGEST);
    assert_true(ttlv_find(digest->bytes, KMIP_TAG_DIGEST_VALUE, &item));
    assert_true(span_eq(item.value, span_of(hash, sizeof hash)));
}

static void only_named_attributes_are_given(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    struct request request = {.verb = VERB_GET_ATTRIBUTES, .uid = uid};
    put_attr(&request.attrs, KMIP_TAG_STATE, 0, 0);
    put_attr(&request.attrs, KMIP_TAG_DESTROY_DATE, 0, 0);
    OK(run(&request));
    assert_int_equal(rig.reply.attrs.count, 1);
    assert_int_equal(rig.reply.attrs.items[0].tag, KMIP_TAG_STATE);
}

// Every attribute of the table by every verb: those that are not open are refused and leave the
// object as it was.
static void what_is_the_servers_alone_cannot_be_changed(void **state)
{
    (void)state;
    static const struct {
        enum verb verb;
        unsigned flag;
    } verbs[] = {{VERB_ADD_ATTRIBUTE, KMIP_ATTR_ADD},
                 {VERB_MODIFY_ATTRIBUTE, KMIP_ATTR_MODIFY},
                 {VERB_DELETE_ATTRIBUTE, KMIP_ATTR_DELETE}};
    struct span uid = make_key(NULL);
    int64_t changed = attr_number(uid, KMIP_TAG_LAST_CHANGE_DATE);
    size_t count = rig.reply.attrs.count;
    for (size_t v = 0; v < COUNT_OF(verbs); v++) {
        for (size_t i = 0; i < KMIP_ATTR_TABLE_COUNT; i++) {
            const struct kmip_attr_info *info = &kmip_attr_table[i];
            bool is_flag = info->tag == KMIP_TAG_SENSITIVE || info->tag == KMIP_TAG_EXTRACTABLE;
            if ((info->flags & verbs[v].flag) != 0 || is_flag)
                continue;
            FAILS(ERR_READ_ONLY, change(verbs[v].verb, uid, number_attr(info->tag, 2, 1)));
        }
    }
    assert_int_equal(attr_number(uid, KMIP_TAG_LAST_CHANGE_DATE), changed);
    assert_int_equal(rig.reply.attrs.count, count);
}

static void what_is_the_servers_alone_cannot_be_given_at_creation(void **state)
{
    (void)state;
    for (size_t i = 0; i < KMIP_ATTR_TABLE_COUNT; i++) {
        const struct kmip_attr_info *info = &kmip_attr_table[i];
        struct request request = create_request(NULL);
        if ((info->flags & KMIP_ATTR_SET) != 0 || info->tag == KMIP_TAG_OBJECT_TYPE)
            continue;
        put_attr(&request.attrs, info->tag, ATTR_INTEGER, 1);
        FAILS(ERR_READ_ONLY, run(&request));
    }
    struct request request = create_request(NULL);
    put_attr(&request.attrs, 0x42ffff, ATTR_INTEGER, 1);
    FAILS(ERR_READ_ONLY, run(&request));
}

static void instances_keep_their_indices(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    for (int i = 0; i < 3; i++) {
        static const char *const values[] = {"a", "b", "c"};
        OK(change(VERB_ADD_ATTRIBUTE, uid, text_attr("x-list", values[i])));
        assert_int_equal(rig.reply.attrs.count, 1);
        assert_int_equal(rig.reply.attrs.items[0].index, i);
    }
    struct attr second = text_attr("x-list", "");
    second.index = 1;
    OK(change(VERB_DELETE_ATTRIBUTE, uid, second));
    assert_true(span_eq_str(rig.reply.attrs.items[0].bytes, "b"));
    OK(simple(VERB_GET_ATTRIBUTES, uid));
    assert_non_null(find_custom("x-list", 0));
    assert_null(find_custom("x-list", 1));
    assert_true(span_eq_str(find_custom("x-list", 2)->bytes, "c"));
    FAILS(ERR_NO_ATTRIBUTE, change(VERB_DELETE_ATTRIBUTE, uid, second));
    FAILS(ERR_NO_ATTRIBUTE, change(VERB_MODIFY_ATTRIBUTE, uid, second));
    struct attr third = text_attr("x-list", "d");
    third.index = 2;
    OK(change(VERB_MODIFY_ATTRIBUTE, uid, third));
    OK(simple(VERB_GET_ATTRIBUTES, uid));
    assert_true(span_eq_str(find_custom("x-list", 2)->bytes, "d"));
}

static void in_2_x_the_instance_is_named_by_its_value(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    rig.version = 2 << 8 | 1;
    OK(change(VERB_ADD_ATTRIBUTE, uid, text_attr("v.list", "a")));
    OK(change(VERB_ADD_ATTRIBUTE, uid, text_attr("v.list", "b")));
    struct request request = {.verb = VERB_MODIFY_ATTRIBUTE,
                              .uid = uid,
                              .current = text_attr("v.list", "b"),
                              .has_current = true};
    struct attr attr = text_attr("v.list", "c");
    OK(attrs_add(&request.attrs, rig.arena, &attr));
    OK(run(&request));
    FAILS(ERR_NO_ATTRIBUTE, run(&request));
    request = (struct request){.verb = VERB_DELETE_ATTRIBUTE,
                               .uid = uid,
                               .current = text_attr("v.list", "a"),
                               .has_current = true};
    OK(run(&request));
    OK(simple(VERB_GET_ATTRIBUTES, uid));
    assert_null(find_custom("v.list", 0));
    assert_true(span_eq_str(find_custom("v.list", 1)->bytes, "c"));
    OK(change(VERB_ADD_ATTRIBUTE, uid, text_attr("v.list", "d")));
    OK(change(VERB_DELETE_ATTRIBUTE, uid, text_attr("v.list", "")));
    OK(simple(VERB_GET_ATTRIBUTES, uid));
    assert_null(find_custom("v.list", 1));
    assert_null(find_custom("v.list", 2));
    rig.version = 1 << 8 | 4;
}

static void a_single_valued_attribute_is_added_once(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    struct attr attr = {.tag = KMIP_TAG_DESCRIPTION,
                        .index = ATTR_NO_INDEX,
                        .type = ATTR_TEXT,
                        .bytes = span_str("one")};
    OK(change(VERB_ADD_ATTRIBUTE, uid, attr));
    attr.bytes = span_str("two");
    FAILS(ERR_SINGLE_VALUED, change(VERB_ADD_ATTRIBUTE, uid, attr));
    OK(change(VERB_MODIFY_ATTRIBUTE, uid, attr));
    OK(change(VERB_DELETE_ATTRIBUTE, uid, attr));
    FAILS(ERR_NO_ATTRIBUTE, change(VERB_MODIFY_ATTRIBUTE, uid, attr));
}

static void a_value_twice_is_refused(void **state)
{
    (void)state;
    struct span uid = make_key("twice");
    FAILS(ERR_CONFLICT, change(VERB_ADD_ATTRIBUTE, uid, name_attr(span_str("twice"))));
    OK(change(VERB_ADD_ATTRIBUTE, uid, name_attr(span_str("twice more"))));
}

static void names_are_unique_among_ones_own_living_objects(void **state)
{
    (void)state;
    struct span first = make_key("unique");
    struct request again = create_request("unique");
    FAILS(ERR_CONFLICT, run(&again));
    assert_non_null(memmem(rig.reply.message.data, rig.reply.message.len, "unique", 6));
    struct request others = create_request("unique");
    OK(run_other(&others));
    struct span second = make_key("unique two");
    struct attr taken = name_attr(span_str("unique"));
    FAILS(ERR_CONFLICT, change(VERB_MODIFY_ATTRIBUTE, second, taken));
    OK(simple(VERB_DESTROY, first));
    OK(change(VERB_MODIFY_ATTRIBUTE, second, taken));
}

static void names_are_plain_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {{"", 0},       {"a\0b", 3},         {"\xc0\x80", 2}, {"\xed\xa0\x80", 3},
               {"a\r\nb", 4}, {"\x1b]0;x\x07", 6}, {"\x7f", 1}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct request request = create_request(NULL);
        struct attr attr = name_attr(span_of(bad[i].bytes, bad[i].len));
        OK(attrs_add(&request.attrs, rig.arena, &attr));
        FAILS(ERR_INVALID, run(&request));
    }
    struct span uid = make_key("Schl\xc3\xbcssel \xe9\x8d\xb5");
    assert_int_equal(state_of(uid), KMIP_STATE_PRE_ACTIVE);
    FAILS(ERR_INVALID, change(VERB_ADD_ATTRIBUTE, uid, text_attr("", "x")));
    FAILS(ERR_INVALID, change(VERB_ADD_ATTRIBUTE, uid, text_attr("x-\x01", "x")));
    FAILS(ERR_INVALID, change(VERB_ADD_ATTRIBUTE, uid, text_attr("x-a", "\xc0\x80")));
}

static void sensitive_and_extractable_only_get_stricter(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    OK(simple(VERB_GET, uid));
    OK(change(VERB_MODIFY_ATTRIBUTE, uid, number_attr(KMIP_TAG_SENSITIVE, ATTR_BOOLEAN, 1)));
    FAILS(ERR_SENSITIVE, simple(VERB_GET, uid));
    FAILS(ERR_NOT_PERMITTED,
          change(VERB_MODIFY_ATTRIBUTE, uid, number_attr(KMIP_TAG_SENSITIVE, ATTR_BOOLEAN, 0)));
    assert_int_equal(attr_number(uid, KMIP_TAG_ALWAYS_SENSITIVE), 0);
    uid = make_key(NULL);
    OK(change(VERB_MODIFY_ATTRIBUTE, uid, number_attr(KMIP_TAG_EXTRACTABLE, ATTR_BOOLEAN, 0)));
    FAILS(ERR_NOT_EXTRACTABLE, simple(VERB_GET, uid));
    FAILS(ERR_NOT_PERMITTED,
          change(VERB_MODIFY_ATTRIBUTE, uid, number_attr(KMIP_TAG_EXTRACTABLE, ATTR_BOOLEAN, 1)));
    assert_int_equal(attr_number(uid, KMIP_TAG_NEVER_EXTRACTABLE), 0);
    assert_int_equal(attr_number(uid, KMIP_TAG_EXTRACTABLE), 0);
}

static void flags_given_at_creation_are_remembered(void **state)
{
    (void)state;
    struct request request = create_request(NULL);
    put_attr(&request.attrs, KMIP_TAG_SENSITIVE, ATTR_BOOLEAN, 1);
    put_attr(&request.attrs, KMIP_TAG_EXTRACTABLE, ATTR_BOOLEAN, 0);
    OK(run(&request));
    struct span uid = rig.reply.uid;
    assert_int_equal(attr_number(uid, KMIP_TAG_ALWAYS_SENSITIVE), 1);
    assert_int_equal(attr_number(uid, KMIP_TAG_NEVER_EXTRACTABLE), 1);
    FAILS(ERR_SENSITIVE, simple(VERB_GET, uid));
}

static void dates_move_until_they_are_reached(void **state)
{
    (void)state;
    const int64_t future = 4000000000;
    struct span uid = make_key(NULL);
    struct attr activation = number_attr(KMIP_TAG_ACTIVATION_DATE, ATTR_DATE_TIME, future);
    FAILS(ERR_NO_ATTRIBUTE, change(VERB_MODIFY_ATTRIBUTE, uid, activation));
    OK(change(VERB_ADD_ATTRIBUTE, uid, activation));
    FAILS(ERR_SINGLE_VALUED, change(VERB_ADD_ATTRIBUTE, uid, activation));
    assert_int_equal(state_of(uid), KMIP_STATE_PRE_ACTIVE);
    FAILS(ERR_INVALID, change(VERB_ADD_ATTRIBUTE, uid,
                              number_attr(KMIP_TAG_DEACTIVATION_DATE, ATTR_DATE_TIME, 5)));
    activation.number = 1000;
    OK(change(VERB_MODIFY_ATTRIBUTE, uid, activation));
    assert_int_equal(state_of(uid), KMIP_STATE_ACTIVE);
    FAILS(ERR_WRONG_STATE, change(VERB_MODIFY_ATTRIBUTE, uid, activation));
    struct attr deactivation = number_attr(KMIP_TAG_DEACTIVATION_DATE, ATTR_DATE_TIME, future);
    OK(change(VERB_ADD_ATTRIBUTE, uid, deactivation));
    deactivation.number = 2000;
    OK(change(VERB_MODIFY_ATTRIBUTE, uid, deactivation));
    assert_int_equal(state_of(uid), KMIP_STATE_DEACTIVATED);
    FAILS(ERR_WRONG_STATE, change(VERB_MODIFY_ATTRIBUTE, uid, deactivation));
}

static void a_destroyed_object_stands_as_it_is(void **state)
{
    (void)state;
    struct span uid = make_key(NULL);
    OK(change(VERB_ADD_ATTRIBUTE, uid, text_attr("x-a", "b")));
    OK(simple(VERB_DESTROY, uid));
    FAILS(ERR_DESTROYED, change(VERB_ADD_ATTRIBUTE, uid, text_attr("x-b", "b")));
    FAILS(ERR_DESTROYED, change(VERB_MODIFY_ATTRIBUTE, uid, text_attr("x-a", "c")));
    FAILS(ERR_DESTROYED, change(VERB_DELETE_ATTRIBUTE, uid, text_attr("x-a", "b")));
    OK(simple(VERB_GET_ATTRIBUTES, uid));
    assert_non_null(find_custom("x-a", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_makes_what_every_object_has),
        cmocka_unit_test(the_digest_is_that_of_the_key),
        cmocka_unit_test(only_named_attributes_are_given),
        cmocka_unit_test(what_is_the_servers_alone_cannot_be_changed),
        cmocka_unit_test(what_is_the_servers_alone_cannot_be_given_at_creation),
        cmocka_unit_test(instances_keep_their_indices),
        cmocka_unit_test(in_2_x_the_instance_is_named_by_its_value),
        cmocka_unit_test(a_single_valued_attribute_is_added_once),
        cmocka_unit_test(a_value_twice_is_refused),
        cmocka_unit_test(names_are_unique_among_ones_own_living_objects),
        cmocka_unit_test(names_are_plain_utf8),
        cmocka_unit_test(sensitive_and_extractable_only_get_stricter),
        cmocka_unit_test(flags_given_at_creation_are_remembered),
        cmocka_unit_test(dates_move_until_they_are_reached),
        cmocka_unit_test(a_destroyed_object_stands_as_it_is),
    };
    return cmocka_run_group_tests(tests, rig_serving, rig_down);
}
