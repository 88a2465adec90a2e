// SPDX-License-Identifier: Apache-2.0
//
// Re-key and Re-key Key Pair: what the new key takes over, what stays with the old one, dates with
// and without Offset, wallets and who may, and what is refused; the administrator's verb, too.
#include <stdarg.h>
#include <time.h>

#include "tests/unit/ops_rig.h"

enum { OLD_ACTIVATION = 1000000000, YEAR = 31536000 };

static bool says(const char *text)
{
    return memmem(rig.reply.message.data, rig.reply.message.len, text, strlen(text)) != NULL;
}

static bool answers(const char *text)
{
    return memmem(rig.reply.doc.data, rig.reply.doc.len, text, strlen(text)) != NULL;
}

// In `doc` an apostrophe stands for a quotation mark.
__attribute__((format(printf, 2, 3))) static enum err ask(enum verb verb, const char *doc, ...)
{
    static char text[1024];
    va_list args;
    va_start(args, doc);
    (void)vsnprintf(text, sizeof text, doc, args);
    va_end(args);
    for (char *p = text; *p != '\0'; p++)
        *p = *p == '\'' ? '"' : *p;
    return admin(verb, text, NULL, NULL);
}

static struct span kept(struct span uid)
{
    struct span copy;
    OK(arena_copy(rig.arena, uid, &copy));
    return copy;
}

static enum err rekey(struct span uid, bool has_offset, uint32_t offset)
{
    struct request request = {
        .verb = VERB_RE_KEY, .uid = uid, .has_offset = has_offset, .offset = offset};
    return run(&request);
}

static struct span material_of(struct span uid)
{
    OK(simple(VERB_GET, uid));
    return kept(rig.reply.object.material);
}

// How many instances of an attribute an object has.
static int instances(struct span uid, uint32_t tag)
{
    int count = 0;
    OK(simple(VERB_GET_ATTRIBUTES, uid));
    for (size_t i = 0; i < rig.reply.attrs.count; i++)
        count += rig.reply.attrs.items[i].tag == tag;
    return count;
}

static struct span dated_key(const char *name)
{
    struct request request = create_request(name);
    struct attr note = text_attr("x-note", "kept");
    put_attr(&request.attrs, KMIP_TAG_ACTIVATION_DATE, ATTR_DATE_TIME, OLD_ACTIVATION);
    put_attr(&request.attrs, KMIP_TAG_DEACTIVATION_DATE, ATTR_DATE_TIME,
             OLD_ACTIVATION + 90LL * YEAR);
    OK(attrs_add(&request.attrs, rig.arena, &note));
    OK(run(&request));
    return kept(rig.reply.uid);
}

static void the_new_key_takes_over_name_and_attributes(void **state)
{
    (void)state;
    struct span old = dated_key("rolling");
    struct span before = material_of(old);
    OK(rekey(old, false, 0));
    struct span fresh = kept(rig.reply.uid);
    assert_false(span_eq(old, fresh));
    assert_int_equal(instances(old, KMIP_TAG_NAME), 0);
    assert_int_equal(instances(fresh, KMIP_TAG_NAME), 1);
    assert_int_equal(instances(old, KMIP_TAG_LINK), 1);
    assert_int_equal(instances(fresh, KMIP_TAG_LINK), 1);
    assert_int_equal(instances(fresh, ATTR_CUSTOM), 1);
    assert_int_equal(instances(fresh, KMIP_TAG_DIGEST), 1);
    assert_int_equal(attr_number(fresh, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK), 12);
    assert_int_equal(attr_number(fresh, KMIP_TAG_CRYPTOGRAPHIC_LENGTH), 256);
    assert_int_equal(attr_number(fresh, KMIP_TAG_ACTIVATION_DATE), OLD_ACTIVATION);
    assert_int_equal(attr_number(fresh, KMIP_TAG_DEACTIVATION_DATE), OLD_ACTIVATION + 90LL * YEAR);
    struct span after = material_of(fresh);
    assert_int_equal(after.len, before.len);
    assert_false(span_eq(before, after));
    assert_true(span_eq(material_of(old), before));
    assert_int_equal(state_of(old), KMIP_STATE_ACTIVE);
    // Located by its name it is the new one alone.
    struct request locate = {.verb = VERB_LOCATE};
    struct attr name = name_attr(span_str("rolling"));
    OK(attrs_add(&locate.attrs, rig.arena, &name));
    OK(run(&locate));
    assert_int_equal(rig.reply.uid_count, 1);
    assert_true(span_eq(rig.reply.uids[0], fresh));
    FAILS(ERR_WRONG_STATE, rekey(old, false, 0));
    assert_true(says("re-key that one"));
    OK(rekey(fresh, false, 0));
}

static void an_offset_moves_the_dates(void **state)
{
    (void)state;
    struct span old = dated_key("moving");
    int64_t now = (int64_t)time(NULL);
    OK(rekey(old, true, 3600));
    struct span fresh = kept(rig.reply.uid);
    int64_t activation = attr_number(fresh, KMIP_TAG_ACTIVATION_DATE);
    assert_true(activation >= now + 3600 && activation < now + 3600 + 300);
    assert_int_equal(attr_number(fresh, KMIP_TAG_DEACTIVATION_DATE) - activation, 90LL * YEAR);
    assert_int_equal(state_of(fresh), KMIP_STATE_PRE_ACTIVE);
    struct span plain = kept(make_key("plain"));
    OK(rekey(plain, true, 0));
    assert_int_equal(state_of(kept(rig.reply.uid)), KMIP_STATE_ACTIVE);
}

static void attributes_of_the_request_count(void **state)
{
    (void)state;
    struct span old = dated_key("given");
    struct request request = {.verb = VERB_RE_KEY, .uid = old};
    put_attr(&request.attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, ATTR_INTEGER, 4);
    put_attr(&request.attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, ATTR_INTEGER, 256);
    OK(run(&request));
    struct span fresh = kept(rig.reply.uid);
    assert_int_equal(attr_number(fresh, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK), 4);
    struct request longer = {.verb = VERB_RE_KEY, .uid = fresh};
    put_attr(&longer.attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, ATTR_INTEGER, 128);
    FAILS(ERR_INVALID, run(&longer));
    struct request state_given = {.verb = VERB_RE_KEY, .uid = fresh};
    put_attr(&state_given.attrs, KMIP_TAG_STATE, ATTR_ENUMERATION, 2);
    FAILS(ERR_READ_ONLY, run(&state_given));
    assert_int_equal(instances(fresh, KMIP_TAG_NAME), 1); // nothing of it is left
}

static struct request pair_request(uint32_t algorithm, int64_t bits)
{
    struct request request = {.verb = VERB_CREATE_KEY_PAIR};
    struct attr private_name = name_attr(span_str("private"));
    struct attr public_name = name_attr(span_str("public"));
    put_attr(&request.attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, ATTR_ENUMERATION, algorithm);
    put_attr(&request.attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, ATTR_INTEGER, bits);
    put_attr(&request.private_attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, ATTR_INTEGER, 1);
    put_attr(&request.public_attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, ATTR_INTEGER, 2);
    OK(attrs_add(&request.private_attrs, rig.arena, &private_name));
    OK(attrs_add(&request.public_attrs, rig.arena, &public_name));
    return request;
}

static void a_pair_is_rekeyed_as_a_pair(void **state)
{
    (void)state;
    static const struct {
        uint32_t algorithm;
        int64_t bits;
    } kinds[] = {{KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 384}, {KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, 2048}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct request pair = pair_request(kinds[i].algorithm, kinds[i].bits);
        OK(run(&pair));
        struct span old_private = kept(rig.reply.uid);
        struct span old_public = kept(rig.reply.public_uid);
        FAILS(ERR_INVALID, rekey(old_private, false, 0));
        struct request request = {.verb = VERB_RE_KEY_KEY_PAIR, .uid = old_public};
        FAILS(ERR_INVALID, run(&request));
        request.uid = old_private;
        OK(run(&request));
        struct span fresh_private = kept(rig.reply.uid);
        struct span fresh_public = kept(rig.reply.public_uid);
        assert_int_equal(instances(fresh_private, KMIP_TAG_LINK), 2);
        assert_int_equal(instances(fresh_public, KMIP_TAG_LINK), 2);
        assert_int_equal(instances(old_public, KMIP_TAG_NAME), 0);
        assert_int_equal(instances(fresh_public, KMIP_TAG_NAME), 1);
        assert_int_equal(attr_number(fresh_private, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK), 1);
        assert_int_equal(attr_number(fresh_public, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK), 2);
        assert_false(span_eq(material_of(old_public), material_of(fresh_public)));
        FAILS(ERR_WRONG_STATE, run(&request));
        OK(ask(VERB_KEY_DESTROY, "{'id':'%.*s','confirm':'private'}", (int)fresh_private.len,
               (const char *)fresh_private.data));
        OK(ask(VERB_KEY_DESTROY, "{'id':'%.*s','confirm':'public'}", (int)fresh_public.len,
               (const char *)fresh_public.data));
    }
}

static void what_cannot_be_rekeyed_is_refused(void **state)
{
    (void)state;
    struct span old = dated_key("gone");
    OK(revoke_key(old, KMIP_REVOCATION_REASON_CODE_SUPERSEDED));
    OK(simple(VERB_DESTROY, old));
    FAILS(ERR_DESTROYED, rekey(old, false, 0));
    FAILS(ERR_NOT_FOUND, rekey(span_str("nonsense"), false, 0));
    FAILS(ERR_NOT_FOUND, rekey(span_of(NULL, 0), false, 0));
    struct span compromised = dated_key("compromised");
    OK(revoke_key(compromised, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE));
    OK(rekey(compromised, true, 0));
    struct span fresh = kept(rig.reply.uid);
    assert_int_equal(state_of(fresh), KMIP_STATE_ACTIVE);
    assert_int_equal(instances(fresh, KMIP_TAG_REVOCATION_REASON), 0);
}

static void a_wallet_lets_who_may_modify_rekey_and_holds_both(void **state)
{
    (void)state;
    struct span old = dated_key("shared");
    struct request request = {.verb = VERB_RE_KEY, .uid = old};
    OK(ask(VERB_WALLET_CREATE, "{'name':'purse'}"));
    OK(ask(VERB_WALLET_ADD, "{'name':'purse','object':'%.*s'}", (int)old.len,
           (const char *)old.data));
    FAILS(ERR_NOT_FOUND, run_other(&request));
    OK(ask(VERB_WALLET_GRANT, "{'name':'purse','endpoint':'other','access':'read-only'}"));
    FAILS(ERR_NOT_FOUND, run_other(&request));
    OK(ask(VERB_WALLET_GRANT, "{'name':'purse','endpoint':'other','access':'read-modify'}"));
    OK(run_other(&request));
    struct span fresh = kept(rig.reply.uid);
    struct request get = {.verb = VERB_GET, .uid = fresh};
    OK(run_other(&get));
    OK(simple(VERB_GET, fresh)); // the owner is still the owner
    OK(ask(VERB_KEY_SHOW, "{'id':'%.*s'}", (int)fresh.len, (const char *)fresh.data));
    assert_true(answers("\"owner\":\"client\"") && answers("\"purse\""));
}

static void an_administrator_rekeys_and_the_new_key_is_active_at_once(void **state)
{
    (void)state;
    struct span old = dated_key("by hand");
    const char *id = (const char *)old.data;
    OK(ask(VERB_KEY_RE_KEY, "{'id':'%.36s','dry_run':true}", id));
    assert_int_equal(instances(old, KMIP_TAG_NAME), 1);
    OK(ask(VERB_KEY_RE_KEY, "{'id':'%.36s'}", id));
    assert_true(answers("\"name\":\"by hand\"") && answers("\"state\":\"active\""));
    assert_false(answers("2001-09-09")); // it was made now
    FAILS(ERR_WRONG_STATE, ask(VERB_KEY_RE_KEY, "{'id':'%.36s'}", id));
    FAILS(ERR_INVALID, ask(VERB_KEY_RE_KEY, "{'id':'%.36s','offset':-1}", id));
    FAILS(ERR_NOT_FOUND, ask(VERB_KEY_RE_KEY, "{'id':'none'}"));
    OK(ask(VERB_KEY_CREATE, "{'name':'pair','algorithm':'EC'}"));
    OK(ask(VERB_KEY_RE_KEY, "{'id':'%s'}", answer_text("id")));
    assert_true(answers("\"type\":\"Private Key\""));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_serving, rig_down)
    static const struct CMUnitTest tests[] = {
        TEST(the_new_key_takes_over_name_and_attributes),
        TEST(an_offset_moves_the_dates),
        TEST(attributes_of_the_request_count),
        TEST(a_pair_is_rekeyed_as_a_pair),
        TEST(what_cannot_be_rekeyed_is_refused),
        TEST(a_wallet_lets_who_may_modify_rekey_and_holds_both),
        TEST(an_administrator_rekeys_and_the_new_key_is_active_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
