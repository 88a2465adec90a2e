// SPDX-License-Identifier: Apache-2.0
//
// Wallets: what a grant opens and what it does not, for every KMIP operation on an object; groups;
// default wallets; Locate over what can be reached; who reaches what.
#include <stdarg.h>

#include "tests/unit/ops_rig.h"

static bool answers(const char *text)
{
    return memmem(rig.reply.doc.data, rig.reply.doc.len, text, strlen(text)) != NULL;
}

static bool says(const char *text)
{
    return memmem(rig.reply.message.data, rig.reply.message.len, text, strlen(text)) != NULL;
}

// In `doc` an apostrophe stands for a quotation mark.
__attribute__((format(printf, 2, 3))) static enum err ask(enum verb verb, const char *doc, ...)
{
    char text[1024];
    va_list args;
    va_start(args, doc);
    (void)vsnprintf(text, sizeof text, doc, args);
    va_end(args);
    for (char *p = text; *p != '\0'; p++)
        *p = *p == '\'' ? '"' : *p;
    return admin(verb, text, NULL, NULL);
}

static enum err put_in(const char *wallet, struct span uid)
{
    return ask(VERB_WALLET_ADD, "{'name':'%s','object':'%.*s'}", wallet, (int)uid.len,
               (const char *)uid.data);
}

static enum err take_out(const char *wallet, struct span uid)
{
    return ask(VERB_WALLET_REMOVE, "{'name':'%s','object':'%.*s'}", wallet, (int)uid.len,
               (const char *)uid.data);
}

static enum err grant(const char *wallet, const char *endpoint, const char *access)
{
    return ask(VERB_WALLET_GRANT, "{'name':'%s','endpoint':'%s','access':'%s'}", wallet, endpoint,
               access);
}

static enum err ungrant(const char *wallet, const char *endpoint)
{
    return ask(VERB_WALLET_REVOKE, "{'name':'%s','endpoint':'%s'}", wallet, endpoint);
}

static const struct {
    enum verb verb;
    bool changes;
} on_objects[] = {
    {VERB_GET, false},          {VERB_GET_ATTRIBUTES, false},  {VERB_GET_ATTRIBUTE_LIST, false},
    {VERB_ADD_ATTRIBUTE, true}, {VERB_MODIFY_ATTRIBUTE, true}, {VERB_DELETE_ATTRIBUTE, true},
    {VERB_ACTIVATE, true},      {VERB_REVOKE, true},           {VERB_DESTROY, true},
};

// One operation on an object as "other", such as its owner would succeed with.
static enum err as_other(enum verb verb, struct span uid)
{
    struct request request = {.verb = verb, .uid = uid, .reason = 1};
    struct attr attr = text_attr("x-note", verb == VERB_MODIFY_ATTRIBUTE ? "two" : "one");
    if (verb == VERB_DELETE_ATTRIBUTE)
        attr.bytes = span_of(NULL, 0);
    if (verb == VERB_ADD_ATTRIBUTE || verb == VERB_MODIFY_ATTRIBUTE ||
        verb == VERB_DELETE_ATTRIBUTE)
        OK(attrs_add(&request.attrs, rig.arena, &attr));
    return run_other(&request);
}

static size_t located(const uint8_t fingerprint[32], struct request *request)
{
    OK(run_as(endpoint(fingerprint), request));
    return rig.reply.uid_count;
}

static size_t located_by_name(const uint8_t fingerprint[32], const char *name)
{
    struct request request = {.verb = VERB_LOCATE};
    struct attr attr = name_attr(span_str(name));
    OK(attrs_add(&request.attrs, rig.arena, &attr));
    return located(fingerprint, &request);
}

static void every_operation_of_a_stranger_ends_in_not_found(void **state)
{
    (void)state;
    struct span uid = make_key("secret");
    char missing[256];
    struct span none = span_str("00000000-0000-7000-8000-000000000000");
    for (size_t i = 0; i < COUNT_OF(on_objects); i++) {
        FAILS(ERR_NOT_FOUND, as_other(on_objects[i].verb, none));
        (void)snprintf(missing, sizeof missing, "%.*s", (int)rig.reply.message.len,
                       (const char *)rig.reply.message.data);
        FAILS(ERR_NOT_FOUND, as_other(on_objects[i].verb, uid));
        assert_true(span_eq_str(rig.reply.message, missing));
    }
    assert_int_equal(located_by_name(rig.other, "secret"), 0);
    assert_int_equal(located_by_name(rig.client, "secret"), 1);
}

static void read_only_reads_and_changes_nothing(void **state)
{
    (void)state;
    struct span uid = make_key("read");
    OK(ask(VERB_WALLET_CREATE, "{'name':'readers','description':'to be read'}"));
    OK(put_in("readers", uid));
    FAILS(ERR_CONFLICT, put_in("readers", uid));
    FAILS(ERR_NOT_FOUND, as_other(VERB_GET, uid));
    OK(grant("readers", "other", "read-only"));
    for (size_t i = 0; i < COUNT_OF(on_objects); i++) {
        if (on_objects[i].changes)
            FAILS(ERR_NOT_FOUND, as_other(on_objects[i].verb, uid));
        else
            OK(as_other(on_objects[i].verb, uid));
    }
    // Managing the wallet opens no more of its objects.
    OK(ask(VERB_WALLET_GRANT,
           "{'name':'readers','endpoint':'other','access':'read-only','manage':true}"));
    assert_true(answers("\"manage\":true"));
    FAILS(ERR_NOT_FOUND, as_other(VERB_DESTROY, uid));
    OK(ungrant("readers", "other"));
    FAILS(ERR_NOT_FOUND, as_other(VERB_GET, uid));
    FAILS(ERR_NOT_FOUND, ungrant("readers", "other"));
    OK(simple(VERB_GET, uid));
}

static void read_and_modify_opens_every_operation(void **state)
{
    (void)state;
    struct span uid = make_key("modify");
    OK(ask(VERB_WALLET_CREATE, "{'name':'writers'}"));
    OK(put_in("writers", uid));
    OK(grant("writers", "other", "read-modify"));
    for (size_t i = 0; i < COUNT_OF(on_objects); i++)
        OK(as_other(on_objects[i].verb, uid));
    OK(take_out("writers", uid));
    FAILS(ERR_NOT_FOUND, as_other(VERB_GET_ATTRIBUTES, uid));
    FAILS(ERR_NOT_FOUND, take_out("writers", uid));
}

static void a_group_passes_its_grants_on_to_its_members(void **state)
{
    (void)state;
    struct span uid = make_key("grouped");
    OK(ask(VERB_WALLET_CREATE, "{'name':'for groups'}"));
    OK(put_in("for groups", uid));
    OK(ask(VERB_ENDPOINT_GROUP_CREATE, "{'name':'rac'}"));
    OK(ask(VERB_WALLET_GRANT, "{'name':'for groups','endpoint_group':'rac','access':'read-only'}"));
    FAILS(ERR_NOT_FOUND, as_other(VERB_GET, uid));
    OK(ask(VERB_ENDPOINT_GROUP_ADD, "{'name':'rac','endpoint':'other'}"));
    assert_true(answers("\"members\":[\"other\"]"));
    FAILS(ERR_CONFLICT, ask(VERB_ENDPOINT_GROUP_ADD, "{'name':'rac','endpoint':'other'}"));
    OK(as_other(VERB_GET, uid));
    assert_int_equal(located_by_name(rig.other, "grouped"), 1);
    OK(ask(VERB_KEY_ACCESS, "{'id':'%.*s'}", (int)uid.len, (const char *)uid.data));
    assert_true(answers("\"kind\":\"endpoint\",\"name\":\"client\",\"access\":\"owner\""));
    assert_true(answers("\"name\":\"other\",\"access\":\"read-only\",\"wallet\":\"for "
                        "groups\",\"group\":\"rac\""));
    OK(ask(VERB_ENDPOINT_ACCESS, "{'name':'other'}"));
    assert_true(answers("\"wallet\":\"for groups\",\"access\":\"read-only\",\"manage\":false,"
                        "\"group\":\"rac\",\"objects\":1"));
    OK(ask(VERB_ENDPOINT_GROUP_REMOVE, "{'name':'rac','endpoint':'other'}"));
    FAILS(ERR_NOT_FOUND, as_other(VERB_GET, uid));
    FAILS(ERR_NOT_FOUND, ask(VERB_ENDPOINT_GROUP_REMOVE, "{'name':'rac','endpoint':'other'}"));
    OK(ask(VERB_ENDPOINT_GROUP_ADD, "{'name':'rac','endpoint':'other'}"));
    OK(ask(VERB_ENDPOINT_GROUP_DELETE, "{'name':'rac'}"));
    FAILS(ERR_NOT_FOUND, as_other(VERB_GET, uid));
}

static void what_an_endpoint_creates_goes_into_its_default_wallet(void **state)
{
    (void)state;
    OK(ask(VERB_WALLET_CREATE, "{'name':'default'}"));
    OK(ask(VERB_ENDPOINT_UPDATE, "{'name':'client','default_wallet':'default'}"));
    assert_true(answers("\"default_wallet\":\"default\""));
    OK(grant("default", "other", "read-only"));
    struct span uid = make_key("by default");
    OK(as_other(VERB_GET, uid));
    FAILS(ERR_NOT_FOUND, ask(VERB_ENDPOINT_UPDATE, "{'name':'client','default_wallet':'no such'}"));
    OK(ask(VERB_ENDPOINT_UPDATE, "{'name':'client','default_wallet':''}"));
    FAILS(ERR_NOT_FOUND, as_other(VERB_GET, make_key("not any more")));
    // A wallet that is deleted is nobody's default, and its objects stay with their owner.
    OK(ask(VERB_ENDPOINT_UPDATE, "{'name':'client','default_wallet':'default'}"));
    OK(ask(VERB_WALLET_DELETE, "{'name':'default'}"));
    FAILS(ERR_NOT_FOUND, as_other(VERB_GET, uid));
    OK(simple(VERB_GET, uid));
    OK(ask(VERB_ENDPOINT_SHOW, "{'name':'client'}"));
    assert_true(answers("\"default_wallet\":null"));
    OK(simple(VERB_GET, make_key("without")));
}

// Within one millisecond identifiers come in no order.
static int by_text(const void *a, const void *b)
{
    return memcmp(((const struct span *)a)->data, ((const struct span *)b)->data, UUID_TEXT_LEN);
}

static void locate_merges_what_can_be_reached_in_stable_pages(void **state)
{
    (void)state;
    struct span uids[30];
    OK(ask(VERB_WALLET_CREATE, "{'name':'page one'}"));
    OK(ask(VERB_WALLET_CREATE, "{'name':'page two'}"));
    OK(grant("page one", "other", "read-only"));
    OK(grant("page two", "other", "read-only"));
    struct request all = {.verb = VERB_LOCATE};
    size_t before = located(rig.other, &all);
    for (size_t i = 0; i < COUNT_OF(uids); i++) {
        struct request create = create_request(NULL);
        struct attr attr = text_attr("x-page", "yes");
        OK(attrs_add(&create.attrs, rig.arena, &attr));
        OK(i % 3 == 0 ? run_other(&create) : run(&create));
        uids[i] = rig.reply.uid;
        if (i % 3 != 0)
            OK(put_in("page one", uids[i]));
        if (i % 2 == 0) // some are in both wallets, some are in one and its own
            OK(put_in("page two", uids[i]));
    }
    qsort(uids, COUNT_OF(uids), sizeof *uids, by_text);
    assert_int_equal(located(rig.other, &all), before + COUNT_OF(uids));
    for (int by_value = 0; by_value < 2; by_value++) {
        size_t seen = 0;
        struct request page = {.verb = VERB_LOCATE, .maximum_items = 7};
        struct attr attr = text_attr("x-page", "yes");
        OK(attrs_add(&page.attrs, rig.arena, &attr));
        if (by_value == 0)
            put_attr(&page.attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, ATTR_INTEGER, 256);
        for (page.offset_items = 0; seen < COUNT_OF(uids); page.offset_items += 7) {
            size_t count = located(rig.other, &page);
            assert_int_equal(rig.reply.located_items, COUNT_OF(uids));
            assert_true(count > 0);
            for (size_t i = 0; i < count; i++, seen++)
                assert_memory_equal(rig.reply.uids[i].data, uids[seen].data, UUID_TEXT_LEN);
        }
        assert_int_equal(located(rig.other, &page), 0);
    }
    // The administrator sees the same.
    OK(ask(VERB_ENDPOINT_OBJECTS, "{'name':'other','limit':1000}"));
    for (size_t i = 0; i < COUNT_OF(uids); i++)
        assert_non_null(memmem(rig.reply.doc.data, rig.reply.doc.len, uids[i].data, UUID_TEXT_LEN));
    OK(ask(VERB_ENDPOINT_OBJECTS, "{'name':'other','limit':2}"));
    assert_false(answers("\"next_cursor\":null"));
    OK(ask(VERB_WALLET_OBJECTS, "{'name':'page two','limit':15}"));
    assert_true(answers("\"next_cursor\":\""));
    OK(ask(VERB_WALLET_OBJECTS, "{'name':'page two','cursor':'%s'}", answer_text("next_cursor")));
    assert_true(answers("\"keys\":[]"));
    OK(ungrant("page one", "other"));
    OK(ungrant("page two", "other"));
}

static void locate_by_identifier_obeys_too(void **state)
{
    (void)state;
    struct span uid = make_key("by id");
    struct request request = {.verb = VERB_LOCATE};
    struct attr attr = {
        .tag = KMIP_TAG_UNIQUE_IDENTIFIER, .index = ATTR_NO_INDEX, .type = ATTR_TEXT, .bytes = uid};
    OK(attrs_add(&request.attrs, rig.arena, &attr));
    assert_int_equal(located(rig.other, &request), 0);
    assert_int_equal(located(rig.client, &request), 1);
    OK(ask(VERB_WALLET_CREATE, "{'name':'one'}"));
    OK(put_in("one", uid));
    OK(grant("one", "other", "read-only"));
    assert_int_equal(located(rig.other, &request), 1);
    put_attr(&request.attrs, KMIP_TAG_OBJECT_TYPE, ATTR_ENUMERATION, KMIP_OBJECT_TYPE_CERTIFICATE);
    assert_int_equal(located(rig.other, &request), 0);
}

static void wallets_and_groups_are_named_and_listed(void **state)
{
    (void)state;
    OK(ask(VERB_WALLET_CREATE, "{'name':'named','description':'first'}"));
    FAILS(ERR_CONFLICT, ask(VERB_WALLET_CREATE, "{'name':'named'}"));
    assert_true(says("wallet \"named\" exists already"));
    OK(ask(VERB_ENDPOINT_GROUP_CREATE, "{'name':'named'}"));
    OK(ask(VERB_WALLET_UPDATE, "{'name':'named','new_name':'renamed'}"));
    FAILS(ERR_NOT_FOUND, ask(VERB_WALLET_SHOW, "{'name':'named'}"));
    OK(ask(VERB_WALLET_SHOW, "{'name':'renamed'}"));
    assert_true(answers("\"description\":\"first\""));
    assert_true(answers("\"grants\":[]"));
    OK(ask(VERB_ENDPOINT_GROUP_SHOW, "{'name':'named'}"));
    assert_true(answers("\"members\":[]"));
    OK(ask(VERB_ENDPOINT_GROUP_UPDATE, "{'name':'named','description':'second'}"));
    assert_true(answers("\"description\":\"second\""));
    OK(ask(VERB_ENDPOINT_GROUP_CREATE, "{'name':'taken'}"));
    FAILS(ERR_CONFLICT, ask(VERB_ENDPOINT_GROUP_UPDATE, "{'name':'named','new_name':'taken'}"));
    OK(ask(VERB_WALLET_LIST, "{'limit':1}"));
    assert_true(answers("\"next_cursor\":\""));
    OK(ask(VERB_WALLET_LIST, "{'limit':1,'cursor':'%s'}", answer_text("next_cursor")));
    OK(ask(VERB_ENDPOINT_GROUP_LIST, "{}"));
    assert_true(answers("\"endpoint_groups\":[{"));
    OK(ask(VERB_WALLET_DELETE, "{'name':'renamed'}"));
    FAILS(ERR_NOT_FOUND, ask(VERB_WALLET_DELETE, "{'name':'renamed'}"));
}

static void what_is_wrong_is_refused_by_name(void **state)
{
    (void)state;
    OK(ask(VERB_WALLET_CREATE, "{'name':'strict'}"));
    static const struct {
        enum verb verb;
        const char *doc;
        enum err err;
    } cases[] = {
        {VERB_WALLET_CREATE, "{'name':'a/b'}", ERR_INVALID},
        {VERB_WALLET_CREATE, "{'name':''}", ERR_INVALID},
        {VERB_WALLET_CREATE, "{}", ERR_MISSING_DATA},
        {VERB_WALLET_CREATE, "{'name':'x','owner':'y'}", ERR_INVALID},
        {VERB_WALLET_SHOW, "{'name':'none'}", ERR_NOT_FOUND},
        {VERB_WALLET_ADD, "{'name':'strict','object':'no identifier'}", ERR_NOT_FOUND},
        {VERB_WALLET_ADD, "{'name':'strict'}", ERR_MISSING_DATA},
        {VERB_WALLET_GRANT, "{'name':'strict','endpoint':'other'}", ERR_MISSING_DATA},
        {VERB_WALLET_GRANT, "{'name':'strict','access':'read-only'}", ERR_INVALID},
        {VERB_WALLET_GRANT, "{'name':'strict','endpoint':'other','access':'all'}", ERR_INVALID},
        {VERB_WALLET_GRANT,
         "{'name':'strict','endpoint':'other','endpoint_group':'g','access':'read-only'}",
         ERR_INVALID},
        {VERB_WALLET_GRANT, "{'name':'strict','endpoint':'nobody','access':'read-only'}",
         ERR_NOT_FOUND},
        {VERB_WALLET_GRANT, "{'name':'strict','endpoint_group':'none','access':'read-only'}",
         ERR_NOT_FOUND},
        {VERB_WALLET_GRANT, "{'name':'strict','endpoint':'other','access':'read-only','manage':1}",
         ERR_INVALID},
        {VERB_ENDPOINT_GROUP_ADD, "{'name':'none','endpoint':'other'}", ERR_NOT_FOUND},
        {VERB_KEY_ACCESS, "{'id':'no identifier'}", ERR_NOT_FOUND},
        {VERB_ENDPOINT_ACCESS, "{'name':'nobody'}", ERR_NOT_FOUND},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum err err = ask(cases[i].verb, "%s", cases[i].doc);
        if (err != cases[i].err)
            fail_msg("%s: %d", cases[i].doc, (int)err);
    }
}

static void an_endpoint_administers_no_wallet(void **state)
{
    (void)state;
    for (int verb = VERB_ENDPOINT_SUSPEND; verb <= VERB_ENDPOINT_GROUP_REMOVE; verb++) {
        struct request request = {.verb = (enum verb)verb, .doc = span_str("{\"name\":\"x\"}")};
        FAILS(ERR_NOT_PERMITTED, run(&request));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_of_a_stranger_ends_in_not_found),
        cmocka_unit_test(read_only_reads_and_changes_nothing),
        cmocka_unit_test(read_and_modify_opens_every_operation),
        cmocka_unit_test(a_group_passes_its_grants_on_to_its_members),
        cmocka_unit_test(what_an_endpoint_creates_goes_into_its_default_wallet),
        cmocka_unit_test(locate_merges_what_can_be_reached_in_stable_pages),
        cmocka_unit_test(locate_by_identifier_obeys_too),
        cmocka_unit_test(wallets_and_groups_are_named_and_listed),
        cmocka_unit_test(what_is_wrong_is_refused_by_name),
        cmocka_unit_test(an_endpoint_administers_no_wallet),
    };
    return cmocka_run_group_tests(tests, rig_serving, rig_down);
}
