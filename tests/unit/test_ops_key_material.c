// SPDX-License-Identifier: Apache-2.0
//
// Import and export: what openssl and keytool have made is stored and can be used over KMIP, a file
// is stored as a whole or not at all, a value leaves only when it may and with a reason that is
// recorded.
#include <stdarg.h>

#include "base/base64.h"
#include "crypto/container.h"
#include "crypto/pkcs12.h"
#include "tests/unit/ops_rig.h"

static bool answers(const char *text)
{
    return memmem(rig.reply.doc.data, rig.reply.doc.len, text, strlen(text)) != NULL;
}

static bool says(const char *text)
{
    return memmem(rig.reply.message.data, rig.reply.message.len, text, strlen(text)) != NULL;
}

// In `doc` an apostrophe stands for a quotation mark. `material` NULL: none.
static enum err ask(enum verb verb, const char *doc, struct span material, const char *passphrase)
{
    struct principal who = {.kind = PRINCIPAL_LOCAL, .uid = 0};
    struct span text;
    OK(arena_copy(rig.arena, span_str(doc), &text));
    for (size_t i = 0; i < text.len; i++) {
        uint8_t *c = (uint8_t *)(uintptr_t)&text.data[i];
        *c = *c == '\'' ? '"' : *c;
    }
    struct request request = {.verb = verb, .doc = text};
    if (material.data != NULL)
        request.secrets[request.secret_count++] =
            (struct named_secret){span_str("material"), material};
    if (passphrase != NULL)
        request.secrets[request.secret_count++] =
            (struct named_secret){span_str("passphrase"), span_str(passphrase)};
    return run_as(who, &request);
}

static const struct span none = {NULL, 0};

static struct span load(const char *name)
{
    static uint8_t file[1 << 16];
    char path[512];
    struct span copy;
    (void)snprintf(path, sizeof path, FIXTURES "/container/%s", name);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    size_t len = fread(file, 1, sizeof file, in);
    (void)fclose(in);
    OK(arena_copy(rig.arena, span_of(file, len), &copy));
    return copy;
}

static struct span in_base64(struct span bytes)
{
    struct buf text CLEANUP(buf_done);
    struct span copy;
    buf_init(&text, 1 << 20, false);
    OK(base64_put(&text, bytes));
    OK(arena_copy(rig.arena, span_buf(&text), &copy));
    return copy;
}

static enum err import_file(const char *file, const char *members, const char *passphrase)
{
    char doc[512];
    bool pem = strncmp(file, "pem", 3) == 0;
    const char *format = pem ? "pem" : file[0] == 'j' ? "jks" : "pkcs12";
    (void)snprintf(doc, sizeof doc, "{'format':'%s'%s}", format, members);
    return ask(VERB_KEY_IMPORT, doc, pem ? load(file) : in_base64(load(file)), passphrase);
}

static int listed(const char *members)
{
    char doc[256];
    int count = 0;
    (void)snprintf(doc, sizeof doc, "{%s}", members);
    OK(ask(VERB_KEY_LIST, doc, none, NULL));
    struct span rest = rig.reply.doc;
    for (const uint8_t *at; (at = memmem(rest.data, rest.len, "\"id\":", 5)) != NULL; count++)
        rest = span_of(at + 5, rest.len - (size_t)(at - rest.data) - 5);
    return count;
}

static const char *id_of(const char *name)
{
    char members[128];
    struct span text;
    (void)snprintf(members, sizeof members, "'name':'%s'", name);
    assert_int_equal(listed(members), 1);
    OK(arena_copy(rig.arena, span_of(answer_text("id"), UUID_TEXT_LEN + 1), &text));
    return (const char *)text.data;
}

static enum err export_key(const char *id, const char *members, const char *passphrase)
{
    char doc[512];
    (void)snprintf(doc, sizeof doc, "{'id':'%s'%s}", id, members);
    return ask(VERB_KEY_EXPORT, doc, none, passphrase);
}

static void raw_bytes_are_what_an_endpoint_gets(void **state)
{
    (void)state;
    static const char hex[] = "000102030405060708090a0b0c0d0e0f";
    OK(ask(VERB_KEY_IMPORT,
           "{'format':'raw','encoding':'hex','name':'raw','owner':'client','usage':['Encrypt']}",
           span_str(hex), NULL));
    assert_true(answers("\"algorithm\":\"AES\",\"length\":128"));
    OK(simple(VERB_GET, span_str(id_of("raw"))));
    assert_int_equal(rig.reply.object.material.len, 16);
    assert_int_equal(rig.reply.object.material.data[15], 15);
    OK(ask(VERB_KEY_IMPORT, "{'format':'raw','type':'secret','name':'word','encoding':'text'}",
           span_str("open sesame"), NULL));
    assert_true(answers("Secret Data"));
    OK(ask(VERB_KEY_IMPORT, "{'format':'raw','type':'opaque','name':'blob'}", span_str("AAEC"),
           NULL));
    assert_true(answers("Opaque Object"));
    OK(ask(VERB_KEY_IMPORT, "{'format':'raw','algorithm':'HMAC-SHA256','name':'mac'}",
           span_str("AAECAwQFBgcICQoLDA0ODw=="), NULL));
    OK(export_key(id_of("word"), ",'reason':'test'", NULL));
    assert_true(answers("\"material\":\"b3BlbiBzZXNhbWU=\""));
}

static void files_become_keys_and_certificates_that_are_linked(void **state)
{
    (void)state;
    static const struct {
        const char *file, *members, *passphrase, *name;
        int objects;
    } cases[] = {
        {"p12-aes", ",'owner':'client'", "changeit", "Größe", 2},
        {"p12-3des", ",'name':'three'", "changeit", "three", 2},
        {"jks", "", "changeit", "demo", 2},
        {"pem-encrypted", ",'name':'locked'", "changeit", "locked", 2},
        {"pem-rsa", ",'name':'rsa'", NULL, "rsa", 1},
    };
    int before = 0;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (import_file(cases[i].file, cases[i].members, cases[i].passphrase) != ERR_OK)
            fail_msg("%s: %.*s", cases[i].file, (int)rig.reply.message.len,
                     (const char *)rig.reply.message.data);
        assert_int_equal(listed(""), before + cases[i].objects);
        before += cases[i].objects;
        char doc[128];
        (void)snprintf(doc, sizeof doc, "{'id':'%s'}", id_of(cases[i].name));
        OK(ask(VERB_KEY_SHOW, doc, none, NULL));
        assert_true(answers("\"type\":\"Private Key\""));
        if (cases[i].objects == 2)
            assert_true(answers("\"type\":\"Certificate Link\""));
    }
    assert_int_equal(listed("'name':'demo-certificate','type':'Certificate'"), 1);
    // The endpoint that owns it gets the key.
    OK(simple(VERB_GET, span_str(id_of("Größe"))));
    assert_int_equal(rig.reply.object_type, KMIP_OBJECT_TYPE_PRIVATE_KEY);
}

static void what_is_bad_is_named_and_nothing_is_stored(void **state)
{
    (void)state;
    static const struct {
        const char *doc, *material, *word;
        enum err err;
    } cases[] = {
        {"{'format':'raw'}", NULL, "material", ERR_MISSING_DATA},
        {"{}", "AA==", "format", ERR_MISSING_DATA},
        {"{'format':'zip'}", "AA==", "format", ERR_INVALID},
        {"{'format':'raw'}", "*", "base64", ERR_INVALID},
        {"{'format':'raw','encoding':'hex'}", "012", "hexadecimal", ERR_INVALID},
        {"{'format':'raw','encoding':'hex'}", "0x", "hexadecimal", ERR_INVALID},
        {"{'format':'raw'}", "AAAA", "24 bits", ERR_INVALID},
        {"{'format':'raw','type':'spoon'}", "AAAA", "type", ERR_INVALID},
        {"{'format':'raw','type':'opaque','algorithm':'AES'}", "AAAA", "algorithm", ERR_INVALID},
        {"{'format':'pem','type':'secret'}", "x", "format raw", ERR_INVALID},
        {"{'format':'pem'}", "no pem", "PEM", ERR_INVALID},
        {"{'format':'pkcs12'}", "AAAA", "DER", ERR_INVALID},
        {"{'format':'jks'}", "AAAA", "JKS", ERR_INVALID},
        {"{'format':'raw','owner':'nobody'}", "AAAA", "nobody", ERR_NOT_FOUND},
        {"{'format':'raw','wallet':'none'}", "AAAA", "none", ERR_NOT_FOUND},
        {"{'format':'pem','name':'x'}",
         "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "key", ERR_INVALID},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum err err = ask(VERB_KEY_IMPORT, cases[i].doc,
                           cases[i].material == NULL ? none : span_str(cases[i].material), NULL);
        if (err != cases[i].err || !says(cases[i].word))
            fail_msg("%s: %d %.*s", cases[i].doc, (int)err, (int)rig.reply.message.len,
                     (const char *)rig.reply.message.data);
    }
    FAILS(ERR_PASSPHRASE, import_file("p12-aes", "", "wrong"));
    FAILS(ERR_PASSPHRASE, import_file("p12-aes", "", NULL));
    FAILS(ERR_PASSPHRASE, import_file("jks", "", "wrong"));
    FAILS(ERR_FEATURE, import_file("p12-rc2", "", "changeit"));
    FAILS(ERR_TOO_LARGE, import_file("p12-iterations", "", "changeit"));
    assert_int_equal(listed(""), 0);
    // A name of the file that is taken: nothing of the file is stored.
    OK(ask(VERB_KEY_CREATE, "{'name':'demo'}", none, NULL));
    FAILS(ERR_CONFLICT, import_file("jks", "", "changeit"));
    assert_int_equal(listed(""), 1);
    OK(import_file("jks", ",'name':'other','dry_run':true", "changeit"));
    assert_int_equal(listed(""), 1);
}

static enum err take_one(void *arg, const struct container_item *item)
{
    (void)item;
    ++*(int *)arg;
    return ERR_OK;
}

static enum err take_bag(void *arg, const struct pkcs12_bag *bag)
{
    assert_int_equal(bag->value.len, 32);
    ++*(int *)arg;
    return ERR_OK;
}

static struct span exported(void)
{
    static uint8_t bytes[1 << 16];
    struct buf out CLEANUP(buf_done);
    buf_init(&out, sizeof bytes, true);
    OK(base64_take(span_str(answer_text("material")), &out));
    memcpy(bytes, out.data, out.len);
    return span_of(bytes, out.len);
}

static void a_value_is_exported_in_each_format(void **state)
{
    (void)state;
    int count = 0;
    OK(ask(VERB_KEY_CREATE, "{'name':'aes'}", none, NULL));
    OK(ask(VERB_KEY_CREATE, "{'name':'pair','algorithm':'EC'}", none, NULL));
    OK(export_key(id_of("aes"), ",'reason':'test'", NULL));
    assert_int_equal(exported().len, 32);
    OK(export_key(id_of("aes"), ",'reason':'test','format':'pkcs12'", "a passphrase"));
    OK(pkcs12_decode(exported(), span_str("a passphrase"), take_bag, &count));
    OK(export_key(id_of("pair"), ",'reason':'test','format':'pkcs12'", "a passphrase"));
    OK(container_pkcs12(exported(), span_str("a passphrase"), take_one, &count));
    assert_int_equal(count, 2);
    OK(export_key(id_of("pair"), ",'reason':'test','format':'pem'", NULL));
    assert_true(answers("-----BEGIN PRIVATE KEY-----\\n"));
    OK(export_key(id_of("pair-public"), ",'reason':'test','format':'pem'", NULL));
    assert_true(answers("-----BEGIN PUBLIC KEY-----\\n"));
    FAILS(ERR_KEY_FORMAT, export_key(id_of("aes"), ",'reason':'test','format':'pem'", NULL));
    FAILS(ERR_KEY_FORMAT, export_key(id_of("pair-public"), ",'reason':'x','format':'pkcs12'", "p"));
    FAILS(ERR_MISSING_DATA, export_key(id_of("aes"), ",'reason':'x','format':'pkcs12'", NULL));
}

static void a_value_leaves_only_when_it_may_and_for_a_reason(void **state)
{
    (void)state;
    OK(ask(VERB_KEY_CREATE, "{'name':'sensitive','sensitive':true}", none, NULL));
    OK(ask(VERB_KEY_CREATE, "{'name':'kept','extractable':false}", none, NULL));
    OK(ask(VERB_KEY_CREATE, "{'name':'open'}", none, NULL));
    const char *open_key = id_of("open");
    FAILS(ERR_SENSITIVE, export_key(id_of("sensitive"), ",'reason':'test'", NULL));
    FAILS(ERR_NOT_EXTRACTABLE, export_key(id_of("kept"), ",'reason':'test'", NULL));
    assert_true(says("extracted") && rig.reply.doc.len == 0);
    static const char *const formats[] = {"raw", "pem", "pkcs12"};
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        char members[64];
        (void)snprintf(members, sizeof members, ",'reason':'test','format':'%s'", formats[i]);
        FAILS(ERR_SENSITIVE, export_key(id_of("sensitive"), members, "passphrase"));
        FAILS(ERR_NOT_EXTRACTABLE, export_key(id_of("kept"), members, "passphrase"));
        assert_int_equal(rig.reply.doc.len, 0);
    }
    FAILS(ERR_MISSING_DATA, export_key(open_key, "", NULL));
    FAILS(ERR_MISSING_DATA, export_key(open_key, ",'reason':'   '", NULL));
    FAILS(ERR_INVALID, export_key(open_key, ",'reason':'test','format':'zip'", NULL));
    FAILS(ERR_NOT_FOUND, export_key("nonsense", ",'reason':'test'", NULL));
    OK(export_key(open_key, ",'reason':'the auditor wants to see it'", NULL));
    OK(ask(VERB_AUDIT_LIST, "{'limit':1000}", none, NULL));
    assert_true(answers("the auditor wants to see it"));
    char doc[256];
    (void)snprintf(doc, sizeof doc, "{'id':'%s','confirm':'open'}", open_key);
    OK(ask(VERB_KEY_DESTROY, doc, none, NULL));
    FAILS(ERR_DESTROYED, export_key(open_key, ",'reason':'test'", NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_serving, rig_down)
    static const struct CMUnitTest tests[] = {
        TEST(raw_bytes_are_what_an_endpoint_gets),
        TEST(files_become_keys_and_certificates_that_are_linked),
        TEST(what_is_bad_is_named_and_nothing_is_stored),
        TEST(a_value_is_exported_in_each_format),
        TEST(a_value_leaves_only_when_it_may_and_for_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
