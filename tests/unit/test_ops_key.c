// SPDX-License-Identifier: Apache-2.0
//
// Keys from the administrator's side: the list and its filters, one key in detail, its life, its
// attributes, its owner; each refusal, and that what is refused or tried dry changes nothing.
#include <stdarg.h>

#include "ops/lifecycle.h"
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
    static char text[16384];
    va_list args;
    va_start(args, doc);
    (void)vsnprintf(text, sizeof text, doc, args);
    va_end(args);
    for (char *p = text; *p != '\0'; p++)
        *p = *p == '\'' ? '"' : *p;
    return admin(verb, text, NULL, NULL);
}

// The identifier in the last answer, kept for the test.
static const char *made(void)
{
    struct span text;
    OK(arena_copy(rig.arena, span_of(answer_text("id"), UUID_TEXT_LEN + 1), &text));
    return (const char *)text.data;
}

static const char *new_key(const char *name)
{
    OK(ask(VERB_KEY_CREATE, "{'name':'%s','owner':'client'}", name));
    return made();
}

// How often the text stands in the last answer.
static int times(const char *text)
{
    int count = 0;
    struct span rest = rig.reply.doc;
    for (;;) {
        const uint8_t *at = memmem(rest.data, rest.len, text, strlen(text));
        if (at == NULL)
            return count;
        count++;
        size_t used = (size_t)(at - rest.data) + strlen(text);
        rest = span_of(rest.data + used, rest.len - used);
    }
}

// How many keys a list with these members shows.
static int listed(const char *members)
{
    OK(ask(VERB_KEY_LIST, "{%s}", members));
    return times("\"id\":");
}

static void the_list_is_filtered_on_the_server(void **state)
{
    (void)state;
    OK(ask(VERB_WALLET_CREATE, "{'name':'purse'}"));
    OK(ask(VERB_KEY_CREATE, "{'name':'Alpha one','owner':'client','wallet':'purse'}"));
    OK(ask(VERB_KEY_CREATE, "{'name':'alpha two','length':128,'activation_date':'now',"
                            "'deactivation_date':'2999-01-01'}"));
    OK(ask(VERB_KEY_ADD_ATTRIBUTE, "{'id':'%s','attribute':'x-project','value':'blue'}", made()));
    OK(ask(VERB_KEY_CREATE, "{'name':'beta','algorithm':'EC','owner':'other'}"));
    static const struct {
        const char *members;
        int count;
    } cases[] = {
        {"", 4},
        {"'name':'beta'", 1},
        {"'name':'Beta'", 0},
        {"'search':'ALPHA'", 2},
        {"'search':'a'", 4},
        {"'search':'nothing of this'", 0},
        {"'type':'symmetric key'", 2},
        {"'type':'Public Key'", 1},
        {"'state':'active'", 1},
        {"'state':'pre-active'", 3},
        {"'state':'destroyed'", 0},
        {"'algorithm':'aes'", 2},
        {"'length':128", 1},
        {"'algorithm':'EC','length':256", 2},
        {"'owner':'client'", 1},
        {"'owner':'other','type':'Private Key'", 1},
        {"'wallet':'purse'", 1},
        {"'wallet':'purse','owner':'other'", 0},
        {"'attribute':'x-project'", 1},
        {"'attribute':'x-project','value':'blue'", 1},
        {"'attribute':'x-project','value':'green'", 0},
        {"'attribute':'x-other'", 0},
        {"'created_from':'2020-01-01'", 4},
        {"'created_to':'2020-01-01T12:00:00Z'", 0},
        {"'activation_to':'now'", 1},
        {"'deactivation_from':'2998-12-31','deactivation_to':'2999-01-02'", 1},
        {"'expiring_days':30", 0},
        {"'expiring_days':36500,'state':'active'", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (listed(cases[i].members) != cases[i].count)
            fail_msg("{%s}: %d", cases[i].members, times("\"id\":"));
        assert_true(answers("\"next_cursor\":null"));
    }
}

static void a_filter_that_cannot_be_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *members, *word;
        enum err err;
    } cases[] = {
        {"'state':'alive'", "state", ERR_INVALID},
        {"'type':'Spoon'", "Spoon", ERR_INVALID},
        {"'algorithm':'rot13'", "rot13", ERR_INVALID},
        {"'length':0", "length", ERR_INVALID},
        {"'owner':'nobody'", "nobody", ERR_NOT_FOUND},
        {"'wallet':'none'", "none", ERR_NOT_FOUND},
        {"'value':'x'", "attribute", ERR_MISSING_DATA},
        {"'created_from':'yesterday'", "created_from", ERR_INVALID},
        {"'created_from':'2026-02-01','created_to':'2026-01-01'", "created_to", ERR_INVALID},
        {"'expiring_days':-1", "expiring_days", ERR_INVALID},
        {"'expiring_days':1,'deactivation_to':'2026-01-01'", "expiring_days", ERR_INVALID},
        {"'sort':'name'", "sort", ERR_INVALID},
        {"'colour':'red'", "colour", ERR_INVALID},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        FAILS(cases[i].err, ask(VERB_KEY_LIST, "{%s}", cases[i].members));
        assert_true(says(cases[i].word));
    }
}

// All identifiers that the pages of a list give, in their order.
static size_t walk(const char *sort, char ids[8][UUID_TEXT_LEN + 1])
{
    char cursor[96] = "";
    size_t count = 0;
    do {
        OK(ask(VERB_KEY_LIST, "{'limit':3,'with_count':true,'search':'page','sort':'%s'%s}", sort,
               cursor));
        assert_true(answers("\"count\":7,\"count_is_exact\":true"));
        const uint8_t *at = rig.reply.doc.data;
        for (int n = times("\"id\":\""); n > 0; n--) {
            size_t left = rig.reply.doc.len - (size_t)(at - rig.reply.doc.data);
            at = (const uint8_t *)memmem(at, left, "\"id\":\"", 6) + 6;
            assert_true(count < 8);
            memcpy(ids[count], at, UUID_TEXT_LEN);
            ids[count++][UUID_TEXT_LEN] = '\0';
        }
        if (!answers("\"next_cursor\":null"))
            (void)snprintf(cursor, sizeof cursor, ",'cursor':'%s'", answer_text("next_cursor"));
    } while (!answers("\"next_cursor\":null"));
    return count;
}

static void pages_follow_each_other_in_both_orders(void **state)
{
    (void)state;
    char oldest[8][UUID_TEXT_LEN + 1];
    char newest[8][UUID_TEXT_LEN + 1];
    for (int i = 0; i < 7; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "page %d", i);
        (void)new_key(name);
    }
    assert_int_equal(walk("oldest", oldest), 7);
    assert_int_equal(walk("newest", newest), 7);
    for (int i = 0; i < 7; i++) {
        assert_string_equal(oldest[i], newest[6 - i]);
        assert_true(i == 0 || strcmp(oldest[i - 1], oldest[i]) < 0);
    }
}

// What a page looks at is bounded: it ends with a cursor, and the next one goes on.
static void a_page_that_finds_nothing_ends_all_the_same(void **state)
{
    (void)state;
    char cursor[96] = "";
    int pages = 0;
    int found = 0;
    for (int i = 0; i < 5100; i++)
        OK(ask(VERB_KEY_CREATE, "{}"));
    (void)new_key("the last one");
    do {
        OK(ask(VERB_KEY_LIST, "{'search':'last'%s}", cursor));
        found += times("\"id\":");
        pages++;
        if (!answers("\"next_cursor\":null"))
            (void)snprintf(cursor, sizeof cursor, ",'cursor':'%s'", answer_text("next_cursor"));
    } while (!answers("\"next_cursor\":null"));
    assert_int_equal(found, 1);
    assert_int_equal(pages, 2);
}

static void one_key_is_shown_in_words(void **state)
{
    (void)state;
    OK(ask(VERB_WALLET_CREATE, "{'name':'purse'}"));
    OK(ask(VERB_KEY_CREATE, "{'name':'pair','algorithm':'EC','length':384,'wallet':'purse',"
                            "'owner':'client','deactivation_date':'2999-01-01'}"));
    const char *id = made();
    char public_id[64];
    (void)snprintf(public_id, sizeof public_id, "%s", answer_text("public_key_id"));
    OK(ask(VERB_KEY_SHOW, "{'id':'%s'}", id));
    assert_true(answers("\"wallets\":[\"purse\"]"));
    assert_true(answers("\"type\":\"Public Key Link\""));
    assert_true(answers(public_id));
    assert_true(
        answers("{\"name\":\"Cryptographic Usage Mask\",\"index\":0,\"value\":[\"Sign\"]}"));
    assert_true(answers("\"event\":\"created here\",\"planned\":false"));
    assert_true(answers("\"event\":\"is deactivated\",\"planned\":true"));
    assert_true(answers("\"extractable\":true"));
    OK(ask(VERB_KEY_SHOW, "{'id':'%s'}", public_id));
    assert_true(answers("pair-public"));
    FAILS(ERR_NOT_FOUND, ask(VERB_KEY_SHOW, "{'id':'nonsense'}"));
}

static void a_key_lives_and_is_destroyed_when_it_is_named_again(void **state)
{
    (void)state;
    const char *id = new_key("doomed");
    OK(ask(VERB_KEY_ACTIVATE, "{'id':'%s','dry_run':true}", id));
    assert_true(answers("\"dry_run\":true"));
    assert_int_equal(state_of(span_str(id)), KMIP_STATE_PRE_ACTIVE);
    OK(ask(VERB_KEY_ACTIVATE, "{'id':'%s'}", id));
    assert_true(answers("\"state\":\"active\""));
    FAILS(ERR_WRONG_STATE, ask(VERB_KEY_ACTIVATE, "{'id':'%s'}", id));
    FAILS(ERR_WRONG_STATE, ask(VERB_KEY_DESTROY, "{'id':'%s','confirm':'doomed'}", id));
    assert_true(says("revoke it before"));
    FAILS(ERR_INVALID, ask(VERB_KEY_REVOKE, "{'id':'%s','reason':'boredom'}", id));
    FAILS(ERR_MISSING_DATA, ask(VERB_KEY_REVOKE, "{'id':'%s'}", id));
    FAILS(ERR_INVALID, ask(VERB_KEY_REVOKE,
                           "{'id':'%s','reason':'superseded','compromise_date':'2020-01-01'}", id));
    OK(ask(VERB_KEY_REVOKE, "{'id':'%s','reason':'superseded','message':'there is a newer one'}",
           id));
    OK(ask(VERB_KEY_SHOW, "{'id':'%s'}", id));
    assert_true(answers("there is a newer one"));
    FAILS(ERR_INVALID, ask(VERB_KEY_DESTROY, "{'id':'%s','confirm':'Doomed'}", id));
    assert_true(says("nothing was destroyed"));
    FAILS(ERR_MISSING_DATA, ask(VERB_KEY_DESTROY, "{'id':'%s'}", id));
    assert_int_equal(state_of(span_str(id)), KMIP_STATE_DEACTIVATED);
    OK(ask(VERB_KEY_DESTROY, "{'id':'%s','confirm':'doomed','dry_run':true}", id));
    assert_int_equal(state_of(span_str(id)), KMIP_STATE_DEACTIVATED);
    OK(ask(VERB_KEY_DESTROY, "{'id':'%s','confirm':'%s'}", id, id));
    assert_true(answers("\"state\":\"destroyed\""));
    FAILS(ERR_DESTROYED, ask(VERB_KEY_DESTROY, "{'id':'%s','confirm':'%s'}", id, id));
    FAILS(ERR_DESTROYED, simple(VERB_GET, span_str(id)));
    OK(ask(VERB_KEY_REVOKE, "{'id':'%s','reason':'key-compromise','compromise_date':'2024-05-06'}",
           id));
    assert_true(answers("destroyed-compromised"));
    FAILS(ERR_NOT_FOUND, ask(VERB_KEY_REVOKE, "{'id':'none','reason':'superseded'}"));
}

static void dates_are_set_while_they_lie_ahead(void **state)
{
    (void)state;
    const char *id = new_key("dated");
    FAILS(ERR_MISSING_DATA, ask(VERB_KEY_SET_DATES, "{'id':'%s'}", id));
    OK(ask(VERB_KEY_SET_DATES,
           "{'id':'%s','activation_date':'2900-01-01','deactivation_date':'2900-06-01'}", id));
    // Everything moves to later, and back.
    OK(ask(VERB_KEY_SET_DATES,
           "{'id':'%s','activation_date':'2901-01-01','deactivation_date':'2901-06-01'}", id));
    OK(ask(VERB_KEY_SET_DATES,
           "{'id':'%s','activation_date':'2900-01-01','deactivation_date':'2900-06-01'}", id));
    FAILS(ERR_INVALID, ask(VERB_KEY_SET_DATES, "{'id':'%s','activation_date':'2950-01-01'}", id));
    FAILS(ERR_INVALID, ask(VERB_KEY_SET_DATES, "{'id':'%s','activation_date':'soon'}", id));
    OK(ask(VERB_KEY_SET_DATES, "{'id':'%s','activation_date':'now'}", id));
    assert_true(answers("\"state\":\"active\""));
    FAILS(ERR_WRONG_STATE,
          ask(VERB_KEY_SET_DATES, "{'id':'%s','activation_date':'2900-02-01'}", id));
}

static void attributes_change_by_the_rules_of_kmip(void **state)
{
    (void)state;
    const char *id = new_key("noted");
    static const struct {
        const char *name, *value;
    } good[] = {
        {"x-text", "'words'"},
        {"x-number", "7"},
        {"x-big", "70000000000"},
        {"x-flag", "true"},
        {"Name", "'second name'"},
        {"Object Group", "'blue'"},
        {"contact information", "'me'"},
        {"Application Specific Information",
         "{'Application Namespace':'ns','Application Data':'d'}"},
        {"Cryptographic Parameters", "{'Block Cipher Mode':'GCM','IV Length':'12'}"},
        {"Usage Limits", "{'Usage Limits Total':10,'Usage Limits Count':10,"
                         "'Usage Limits Unit':'Object'}"},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        if (ask(VERB_KEY_ADD_ATTRIBUTE, "{'id':'%s','attribute':'%s','value':%s}", id, good[i].name,
                good[i].value) != ERR_OK)
            fail_msg("%s: %.*s", good[i].name, (int)rig.reply.message.len,
                     (const char *)rig.reply.message.data);
    }
    static const struct {
        const char *name, *value;
        enum err err;
    } bad[] = {
        {"Colour", "'blue'", ERR_INVALID},
        {"x-", "'blue'", ERR_INVALID},
        {"x-list", "[1]", ERR_INVALID},
        {"x-real", "1.5", ERR_INVALID},
        {"x-null", "null", ERR_MISSING_DATA},
        {"State", "'Active'", ERR_READ_ONLY},
        {"Unique Identifier", "'x'", ERR_READ_ONLY},
        {"Description", "7", ERR_INVALID},
        {"Cryptographic Parameters", "'GCM'", ERR_INVALID},
        {"Cryptographic Parameters", "{'Block Cipher Mode':'XYZ'}", ERR_INVALID},
        {"Cryptographic Parameters", "{'Colour':1}", ERR_INVALID},
        {"Application Specific Information", "{'Application Data':'d'}", ERR_INVALID},
        {"Contact Information", "'you'", ERR_SINGLE_VALUED},
        {"Name", "'noted'", ERR_CONFLICT},
        {"Name", "''", ERR_INVALID},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (ask(VERB_KEY_ADD_ATTRIBUTE, "{'id':'%s','attribute':'%s','value':%s}", id, bad[i].name,
                bad[i].value) != bad[i].err)
            fail_msg("%s %s: %d", bad[i].name, bad[i].value, (int)rig.reply.status);
    }
    OK(ask(VERB_KEY_MODIFY_ATTRIBUTE, "{'id':'%s','attribute':'x-text','value':'others'}", id));
    OK(ask(VERB_KEY_MODIFY_ATTRIBUTE, "{'id':'%s','attribute':'Name','index':1,'value':'2nd'}",
           id));
    OK(ask(VERB_KEY_MODIFY_ATTRIBUTE, "{'id':'%s','attribute':'Sensitive','value':true}", id));
    FAILS(ERR_NOT_PERMITTED,
          ask(VERB_KEY_MODIFY_ATTRIBUTE, "{'id':'%s','attribute':'Sensitive','value':false}", id));
    FAILS(ERR_NO_ATTRIBUTE,
          ask(VERB_KEY_MODIFY_ATTRIBUTE, "{'id':'%s','attribute':'x-none','value':'x'}", id));
    OK(ask(VERB_KEY_SHOW, "{'id':'%s'}", id));
    assert_true(answers("\"others\"") && answers("\"2nd\"") && answers("\"sensitive\":true"));
    OK(ask(VERB_KEY_DELETE_ATTRIBUTE, "{'id':'%s','attribute':'x-text','dry_run':true}", id));
    OK(ask(VERB_KEY_DELETE_ATTRIBUTE, "{'id':'%s','attribute':'x-text'}", id));
    FAILS(ERR_NO_ATTRIBUTE, ask(VERB_KEY_DELETE_ATTRIBUTE, "{'id':'%s','attribute':'x-text'}", id));
    FAILS(ERR_READ_ONLY, ask(VERB_KEY_DELETE_ATTRIBUTE, "{'id':'%s','attribute':'State'}", id));
    // The endpoint sees them as its own.
    OK(simple(VERB_GET_ATTRIBUTES, span_str(id)));
    struct attr note = text_attr("x-flag", "");
    bool found = false;
    for (size_t i = 0; i < rig.reply.attrs.count; i++)
        found = found || attr_same(&rig.reply.attrs.items[i], &note);
    assert_true(found);
}

static void a_key_is_given_to_another_owner(void **state)
{
    (void)state;
    const char *id = new_key("handed over");
    OK(ask(VERB_KEY_GIVE, "{'id':'%s','owner':'other'}", id));
    assert_true(answers("\"owner\":\"other\""));
    FAILS(ERR_NOT_FOUND, simple(VERB_GET, span_str(id)));
    struct request get = {.verb = VERB_GET, .uid = span_str(id)};
    OK(run_other(&get));
    assert_int_equal(listed("'name':'handed over','owner':'other'"), 1);
    assert_int_equal(listed("'name':'handed over','owner':'client'"), 0);
    FAILS(ERR_CONFLICT, ask(VERB_KEY_GIVE, "{'id':'%s','owner':'other'}", id));
    FAILS(ERR_NOT_FOUND, ask(VERB_KEY_GIVE, "{'id':'%s','owner':'nobody'}", id));
    // A name is unique among one owner's.
    const char *twin = new_key("handed over");
    FAILS(ERR_CONFLICT, ask(VERB_KEY_GIVE, "{'id':'%s','owner':'other'}", twin));
    OK(simple(VERB_GET, span_str(twin)));
}

static void keys_are_made_as_they_are_wanted(void **state)
{
    (void)state;
    static const struct {
        const char *members, *expected;
    } good[] = {
        {"'algorithm':'3DES','length':168", "\"length\":168"},
        {"'algorithm':'HMAC-SHA256','length':512", "\"algorithm\":\"HMAC-SHA256\""},
        {"'algorithm':'RSA','length':2048", "\"type\":\"Private Key\""},
        {"'usage':['Wrap Key','Unwrap Key']", "\"length\":256"},
        {"'sensitive':true,'extractable':false", "\"state\":\"pre-active\""},
        {"'activation_date':'now'", "\"state\":\"active\""},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        OK(ask(VERB_KEY_CREATE, "{%s}", good[i].members));
        assert_true(answers(good[i].expected));
    }
    static const char *const bad[] = {
        "'algorithm':'AES','length':129",
        "'algorithm':'RSA','length':1000",
        "'algorithm':'EC','length':100",
        "'usage':['Fly']",
        "'usage':'Encrypt'",
        "'activation_date':'never'",
        "'sensitive':'yes'",
        "'algorithm':'DSA','length':2048",
        "'activation_date':'2900-01-01','deactivation_date':'2800-01-01'",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        FAILS(ERR_INVALID, ask(VERB_KEY_CREATE, "{%s}", bad[i]));
    FAILS(ERR_NOT_FOUND, ask(VERB_KEY_CREATE, "{'wallet':'none'}"));
    OK(ask(VERB_KEY_CREATE, "{'name':'twice','algorithm':'EC','dry_run':true}"));
    OK(ask(VERB_KEY_CREATE, "{'name':'twice','algorithm':'EC'}"));
    FAILS(ERR_CONFLICT, ask(VERB_KEY_CREATE, "{'name':'twice-public'}"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_serving, rig_down)
    static const struct CMUnitTest tests[] = {
        TEST(the_list_is_filtered_on_the_server),
        TEST(a_filter_that_cannot_be_is_refused_by_name),
        TEST(pages_follow_each_other_in_both_orders),
        TEST(a_page_that_finds_nothing_ends_all_the_same),
        TEST(one_key_is_shown_in_words),
        TEST(a_key_lives_and_is_destroyed_when_it_is_named_again),
        TEST(dates_are_set_while_they_lie_ahead),
        TEST(attributes_change_by_the_rules_of_kmip),
        TEST(a_key_is_given_to_another_owner),
        TEST(keys_are_made_as_they_are_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
