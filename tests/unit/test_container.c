// SPDX-License-Identifier: Apache-2.0
//
// crypto/container.h, base/base64.h: files that openssl and keytool have made are read, and each
// kind of bad one is refused by name before anything of it is handed out.
#include "crypto/container.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "crypto/keypair.h"
#include "crypto/pki.h"
#include "tests/unit/check.h"

static uint8_t file[1 << 16];
static struct {
    int keys, published, certificates;
    char name[CONTAINER_NAME_MAX + 1];
} got;

static struct span load(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, FIXTURES "/container/%s", name);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    size_t len = fread(file, 1, sizeof file, in);
    (void)fclose(in);
    return span_of(file, len);
}

static enum err take(void *arg, const struct container_item *item)
{
    struct keypair_info info;
    (void)arg;
    if (item->name.len > 0)
        memcpy(got.name, item->name.data, item->name.len);
    got.name[item->name.len] = '\0';
    if (item->kind == CONTAINER_CERTIFICATE) {
        OK(pki_check_der(item->der));
        got.certificates++;
        return ERR_OK;
    }
    bool is_private = item->kind == CONTAINER_PRIVATE;
    OK(keypair_describe(item->der, is_private ? KEYPAIR_PKCS8 : KEYPAIR_SPKI, is_private, &info));
    is_private ? got.keys++ : got.published++;
    return ERR_OK;
}

static enum err read_file(const char *name, const char *passphrase)
{
    enum err (*reader)(struct span, struct span, container_each *, void *) = container_pkcs12;
    if (strncmp(name, "pem", 3) == 0)
        reader = container_pem;
    else if (name[0] == 'j')
        reader = container_jks;
    memset(&got, 0, sizeof got);
    return reader(load(name), span_str(passphrase), take, NULL);
}

static void what_openssl_and_keytool_make_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *name, *passphrase;
        int keys, published, certificates;
        const char *alias;
    } cases[] = {
        {"p12-aes", "changeit", 1, 0, 1, "Größe"},
        {"p12-3des", "changeit", 1, 0, 1, "old"},
        {"p12-empty", "", 1, 0, 1, ""},
        {"jks", "changeit", 1, 0, 1, "demo"},
        {"pem-encrypted", "changeit", 1, 0, 1, ""},
        {"pem-plain", "", 1, 1, 0, ""},
        {"pem-rsa", "", 1, 0, 0, ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (read_file(cases[i].name, cases[i].passphrase) != ERR_OK)
            fail_msg("%s: %s", cases[i].name, err_detail());
        assert_int_equal(got.keys, cases[i].keys);
        assert_int_equal(got.published, cases[i].published);
        assert_int_equal(got.certificates, cases[i].certificates);
        assert_string_equal(got.name, cases[i].alias);
    }
}

static void bad_files_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *passphrase;
        enum err err;
        const char *word;
    } cases[] = {
        {"p12-aes", "wrong", ERR_PASSPHRASE, "passphrase"},
        {"p12-3des", "", ERR_PASSPHRASE, "passphrase"},
        {"p12-rc2", "changeit", ERR_FEATURE, "RC2"},
        {"p12-nomac", "changeit", ERR_INVALID, "no MAC"},
        {"p12-iterations", "changeit", ERR_TOO_LARGE, "iterations"},
        {"jks", "wrong", ERR_PASSPHRASE, "passphrase"},
        {"jceks", "changeit", ERR_FEATURE, "JCEKS"},
        {"pem-encrypted", "wrong", ERR_PASSPHRASE, "passphrase"},
        {"pem-old", "changeit", ERR_FEATURE, "topk8"},
        {"p12-aes", "\xff\xfe", ERR_INVALID, "UTF-8"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        FAILS(cases[i].err, read_file(cases[i].name, cases[i].passphrase));
        if (strstr(err_detail(), cases[i].word) == NULL)
            fail_msg("%s: %s", cases[i].name, err_detail());
        if (got.keys + got.certificates != 0)
            fail_msg("%s: something was handed out", cases[i].name);
    }
}

// Any changed byte is found by MAC or hash before a key is handed out, or the file is no such file.
static void a_changed_byte_hands_nothing_out(void **state)
{
    (void)state;
    static const char *const names[] = {"p12-aes", "jks"};
    for (size_t n = 0; n < COUNT_OF(names); n++) {
        size_t len = load(names[n]).len;
        for (size_t at = 0; at < len; at += 7) {
            struct span bytes = load(names[n]);
            file[at] ^= 0x41;
            memset(&got, 0, sizeof got);
            enum err err = n == 0 ? container_pkcs12(bytes, span_str("changeit"), take, NULL)
                                  : container_jks(bytes, span_str("changeit"), take, NULL);
            assert_int_not_equal(err, ERR_OK);
            assert_int_equal(got.keys + got.certificates, 0);
        }
    }
}

static void pem_texts_that_are_none_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err err;
    } cases[] = {
        {"", ERR_INVALID},
        {"no pem at all", ERR_INVALID},
        {"-----BEGIN PRIVATE KEY-----\nAAAA\n", ERR_INVALID},
        {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", ERR_INVALID},
        {"-----BEGIN SPOON-----\nAAAA\n-----END SPOON-----\n", ERR_FEATURE},
        {"-----BEGIN PUBLIC KEY-----\nA*AA\n-----END PUBLIC KEY-----\n", ERR_INVALID},
        {"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", ERR_INVALID},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        FAILS(cases[i].err, container_pem(span_str(cases[i].text), span_str(""), take, NULL));
    size_t len = CONTAINER_FILE_MAX + 1;
    uint8_t *much = calloc(len, 1);
    assert_non_null(much);
    FAILS(ERR_TOO_LARGE, container_pem(span_of(much, len), span_str(""), take, NULL));
    FAILS(ERR_TOO_LARGE, container_pkcs12(span_of(much, len), span_str(""), take, NULL));
    FAILS(ERR_TOO_LARGE, container_jks(span_of(much, len), span_str(""), take, NULL));
    free(much);
}

static void base64_goes_both_ways_and_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } good[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"\xff\xfe", "//4="}};
    static const char *const bad[] = {"Z", "Zg=a", "Zm9v=", "Zh==", "Zm9=", "Z\xc3", "=", "Zg==="};
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 64, false);
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        buf_clear(&out);
        OK(base64_put(&out, span_str(good[i].bytes)));
        assert_true(span_eq_str(span_buf(&out), good[i].text));
        buf_clear(&out);
        OK(base64_take(span_str(good[i].text), &out));
        assert_true(span_eq_str(span_buf(&out), good[i].bytes));
    }
    buf_clear(&out);
    OK(base64_take(span_str(" Zm 9v\r\nYg"), &out));
    assert_true(span_eq_str(span_buf(&out), "foob"));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        FAILS(ERR_INVALID, base64_take(span_str(bad[i]), &out));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_openssl_and_keytool_make_is_read),
        cmocka_unit_test(bad_files_are_refused_by_name),
        cmocka_unit_test(a_changed_byte_hands_nothing_out),
        cmocka_unit_test(pem_texts_that_are_none_are_refused),
        cmocka_unit_test(base64_goes_both_ways_and_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
