// SPDX-License-Identifier: Apache-2.0
//
// What hsm.h promises, on SoftHSM behind the shim. Built once for each driver.
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rand.h"
#include "tests/contract/hsm/rig.h"

static const uint8_t dek_bytes[HSM_DEK_LEN] = "a random key of thirty-two byte";

static struct span dek(void)
{
    return span_of(dek_bytes, sizeof dek_bytes);
}

static void create(struct rig *rig, struct hsm_key *ret)
{
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    OK(hsm_key_create(hsm, RIG_RELEASE, ret));
}

static uint32_t count(struct rig *rig, const struct hsm_key *key)
{
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    struct hsm_key_state found = {.count = 99};
    OK(rig_open(rig, &hsm));
    OK(hsm_key_look(hsm, key, &found));
    return found.count;
}

static void expect_numbers(struct rig *rig)
{
    struct hsm_key keys[3];
    for (uint32_t i = 0; i < 3; i++) {
        create(rig, &keys[i]);
        const uint8_t id[] = {0, 0, 0, (uint8_t)(i + 1)};
        assert_int_equal(keys[i].number, i + 1);
        assert_int_equal(keys[i].id_len, 4);
        assert_memory_equal(keys[i].id, id, 4);
        assert_string_equal(keys[i].label, "OKV 1.0 HSM Root Key");
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(count(rig, &keys[i]), 1);
}

static void keys_are_numbered_1_2_3_while_earlier_ones_remain(void **state)
{
    expect_numbers((struct rig *)*state);
}

static void a_library_with_the_17_functions_is_enough(void **state)
{
    struct rig *rig = (struct rig *)*state;
    static const char *const modes[] = {"only17=null", "only17=nosup"};
    struct hsm_key key;
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        rig_shim(rig, modes[i]);
        if (i == 0)
            expect_numbers(rig);
        create(rig, &key);
        assert_int_equal(key.number, 4 + i);
        char mechanism[32] = "auto";
        struct buf sealed CLEANUP(buf_done);
        buf_init(&sealed, HSM_SEALED_MAX, false);
        CLEANUP(hsm_closep) struct hsm *hsm = NULL;
        CLEANUP(secret_freep) struct secret *back = NULL;
        OK(rig_open(rig, &hsm));
        OK(hsm_seal(hsm, &key, mechanism, dek(), &sealed));
        OK(hsm_unseal(hsm, &key, 0, mechanism, span_buf(&sealed), &back));
        assert_true(secret_equal(secret_span(back), dek()));
    }
}

static void a_token_without_data_objects_numbers_by_its_keys(void **state)
{
    struct rig *rig = (struct rig *)*state;
    rig_shim(rig, "nodata");
    expect_numbers(rig);
    rig_shim(rig, "nodata uniqueid");
    struct hsm_key key;
    create(rig, &key);
    assert_int_equal(key.number, 4);
}

static void list(struct rig *rig, struct buf *out)
{
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    OK(hsm_list(hsm, out));
    OK(buf_put_u8(out, 0));
}

static void one_number_object_remains_and_is_listed(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_key key;
    create(rig, &key);
    create(rig, &key);
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 65536, false);
    list(rig, &text);
    const char *json = (const char *)text.data;
    const char *number = "{\"class\":\"data\",\"label\":\"OKV 1.0 HSM Key Number\",\"value\":"
                         "\"00000002\",\"number\":2}";
    assert_non_null(strstr(json, number));
    assert_null(strstr(json, "\"value\":\"00000001\""));
    assert_non_null(strstr(json, "\"label\":\"OKV 1.0 HSM Root Key\",\"id\":\"00000001\""));
    assert_non_null(strstr(json, "\"label\":\"OKV 1.0 HSM Root Key\",\"id\":\"00000002\""));
}

static void a_number_in_use_is_passed_over(void **state)
{
    struct rig *rig = (struct rig *)*state;
    const char *const keygen[] = {
        "--keygen", "--key-type", "AES:32", "--label", "OKV 1.0 HSM Root Key",
        "--id",     "00000001",   NULL};
    rig_tool(rig, keygen);
    struct hsm_key key;
    create(rig, &key);
    assert_int_equal(key.number, 2);
}

// The shim destroys a key whose CKA_ID is asked for again, as NSS does.
static void a_key_of_another_label_keeps_its_id(void **state)
{
    struct rig *rig = (struct rig *)*state;
    const char *const keygen[] = {"--keygen", "--key-type", "AES:32",   "--label",
                                  "Payroll",  "--id",       "00000001", NULL};
    rig_tool(rig, keygen);
    const struct hsm_key payroll = {
        .number = 1, .id = {0, 0, 0, 1}, .id_len = 4, .label = "Payroll"};
    struct hsm_key key;
    rig_shim(rig, "replaceid");
    create(rig, &key);
    assert_int_equal(key.number, 2);
    rig_shim(rig, "replaceid nodata");
    create(rig, &key);
    assert_int_equal(key.number, 3);
    assert_int_equal(count(rig, &payroll), 1);
}

static void a_number_object_of_another_length_is_read(void **state)
{
    struct rig *rig = (struct rig *)*state;
    rig_file(rig, "number", "\x07", 0600);
    char path[RIG_PATH_MAX];
    rig_path(rig, "number", path);
    const char *const write[] = {
        "--write-object",         path, "--type", "data", "--private", "--label",
        "OKV 1.0 HSM Key Number", NULL};
    rig_tool(rig, write);
    struct hsm_key key;
    create(rig, &key);
    assert_int_equal(key.number, 8);
}

static void a_new_release_passes_over_the_numbers_of_the_old(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_key old;
    create(rig, &old);
    rig_shim(rig, "replaceid");
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    struct hsm_key key;
    OK(rig_open(rig, &hsm));
    OK(hsm_key_create(hsm, "2.0", &key));
    assert_int_equal(key.number, 2);
    assert_string_equal(key.label, "OKV 2.0 HSM Root Key");
    struct hsm_key_state found;
    OK(hsm_key_look(hsm, &old, &found));
    assert_int_equal(found.count, 1);
}

static void a_missing_key_counts_0_and_opens_nothing(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_key key;
    create(rig, &key);
    key.number = 7;
    key.id[3] = 7;
    assert_int_equal(count(rig, &key), 0);
    char mechanism[32] = "auto";
    struct buf sealed CLEANUP(buf_done);
    buf_init(&sealed, HSM_SEALED_MAX, false);
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    CLEANUP(secret_freep) struct secret *back = NULL;
    OK(rig_open(rig, &hsm));
    FAILS(ERR_HSM_KEY, hsm_seal(hsm, &key, mechanism, dek(), &sealed));
    FAILS(ERR_HSM_KEY, hsm_unseal(hsm, &key, 0, "AES_CBC", span_of("\1\1\0abc", 6), &back));
    assert_true(rig_says("number 7"));
}

static void of_two_keys_with_one_id_the_nth_is_tried(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_key key;
    char mechanism[32] = "auto";
    struct buf sealed CLEANUP(buf_done);
    buf_init(&sealed, HSM_SEALED_MAX, false);
    CLEANUP(hsm_closep) struct hsm *maker = NULL;
    OK(rig_open(rig, &maker));
    OK(hsm_key_create(maker, RIG_RELEASE, &key));
    const char *const keygen[] = {
        "--keygen", "--key-type", "AES:32", "--label", "OKV 1.0 HSM Root Key",
        "--id",     "00000001",   NULL};
    rig_tool(rig, keygen);
    // Whoever made the key knows which it is, nobody else does.
    OK(hsm_seal(maker, &key, mechanism, dek(), &sealed));
    hsm_closep(&maker);
    assert_int_equal(count(rig, &key), 2);
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    struct buf other CLEANUP(buf_done);
    buf_init(&other, HSM_SEALED_MAX, false);
    FAILS(ERR_HSM_KEY, hsm_seal(hsm, &key, mechanism, dek(), &other));
    int right = 0;
    for (uint32_t nth = 0; nth < 2; nth++) {
        CLEANUP(secret_freep) struct secret *back = NULL;
        if (hsm_unseal(hsm, &key, nth, mechanism, span_buf(&sealed), &back) == ERR_OK)
            right += secret_equal(secret_span(back), dek());
    }
    assert_int_equal(right, 1);
    CLEANUP(secret_freep) struct secret *back = NULL;
    FAILS(ERR_HSM_KEY, hsm_unseal(hsm, &key, 2, mechanism, span_buf(&sealed), &back));
}

static void only_a_key_of_this_process_is_destroyed(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_key first;
    struct hsm_key second;
    create(rig, &first);
    {
        CLEANUP(hsm_closep) struct hsm *hsm = NULL;
        OK(rig_open(rig, &hsm));
        FAILS(ERR_HSM_KEY, hsm_key_destroy(hsm, &first));
        OK(hsm_key_create(hsm, RIG_RELEASE, &second));
        OK(hsm_key_destroy(hsm, &second));
        FAILS(ERR_HSM_KEY, hsm_key_destroy(hsm, &second));
    }
    assert_int_equal(count(rig, &first), 1);
    assert_int_equal(count(rig, &second), 0);
    create(rig, &second);
    assert_int_equal(second.number, 3);
}

struct sealing {
    const char *shim;
    const char *asked;
    const char *chosen; // NULL: ERR_HSM_FAILED
};

static void check_sealing(struct rig *rig, const struct hsm_key *key, const struct sealing *row)
{
    char mechanism[32] = "";
    memcpy(mechanism, row->asked, strlen(row->asked));
    struct buf sealed CLEANUP(buf_done);
    buf_init(&sealed, HSM_SEALED_MAX, false);
    rig_shim(rig, row->shim);
    {
        CLEANUP(hsm_closep) struct hsm *hsm = NULL;
        OK(rig_open(rig, &hsm));
        if (row->chosen == NULL) {
            FAILS(ERR_HSM_FAILED, hsm_seal(hsm, key, mechanism, dek(), &sealed));
            assert_true(rig_says("HSM_MECHANISM"));
            assert_int_equal(sealed.len, 0);
            return;
        }
        OK(hsm_seal(hsm, key, mechanism, dek(), &sealed));
    }
    assert_string_equal(mechanism, row->chosen);
    assert_null(memmem(sealed.data, sealed.len, dek_bytes, 16));
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    CLEANUP(secret_freep) struct secret *back = NULL;
    OK(rig_open(rig, &hsm));
    OK(hsm_unseal(hsm, key, 0, mechanism, span_buf(&sealed), &back));
    assert_true(secret_equal(secret_span(back), dek()));
}

static void the_mechanism_is_the_first_whose_round_trip_works(void **state)
{
    static const struct sealing rows[] = {
        {"", "auto", "AES_CBC"},
        {"nocbc", "auto", "AES_CBC_PAD"},
        {"nocbc nocbcpad", "auto", "AES_GCM"},
        {"nocbc nocbcpad gcm=luna", "auto", "AES_GCM"},
        {"nocbc nocbcpad gcm=cloudhsm", "auto", "AES_GCM"},
        {"nocbc nocbcpad nogcm", "auto", "AES_ECB"},
        {"nocbc nocbcpad nogcm noecb", "auto", NULL},
        {"", "AES_CBC", "AES_CBC"},
        {"", "AES_CBC_PAD", "AES_CBC_PAD"},
        {"", "AES_GCM", "AES_GCM"},
        {"", "AES_ECB", "AES_ECB"},
        {"nogcm", "AES_GCM", NULL},
        {"garbage=C_Encrypt:1", "auto", NULL},
        {"garbage=C_Encrypt:1-", "auto", "AES_CBC_PAD"},
        {"garbage=C_Decrypt:1-", "auto", "AES_CBC_PAD"},
        {"length=C_Encrypt:0:1-", "auto", "AES_CBC_PAD"},
        {"length=C_Encrypt:ffffffff:1-", "auto", "AES_CBC_PAD"},
        {"length=C_Decrypt:1:1-", "auto", "AES_CBC_PAD"},
        {"rv=C_Encrypt:81000071:1-", "auto", "AES_CBC_PAD"},
    };
    struct rig *rig = (struct rig *)*state;
    struct hsm_key key;
    create(rig, &key);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_sealing(rig, &key, &rows[i]);
}

static void damaged_sealed_bytes_give_no_key(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_key key;
    create(rig, &key);
    char mechanism[32] = "auto";
    struct buf sealed CLEANUP(buf_done);
    buf_init(&sealed, HSM_SEALED_MAX, false);
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    OK(hsm_seal(hsm, &key, mechanism, dek(), &sealed));
    CLEANUP(secret_freep) struct secret *back = NULL;
    FAILS(ERR_DAMAGED, hsm_unseal(hsm, &key, 0, "AES_GCM", span_buf(&sealed), &back));
    for (size_t len = 0; len < 5; len++)
        assert_int_not_equal(hsm_unseal(hsm, &key, 0, mechanism, span_of(sealed.data, len), &back),
                             ERR_OK);
    for (size_t i = 0; i < sealed.len; i++) {
        sealed.data[i] ^= 0x80;
        CLEANUP(secret_freep) struct secret *wrong = NULL;
        if (hsm_unseal(hsm, &key, 0, mechanism, span_buf(&sealed), &wrong) == ERR_OK)
            assert_false(secret_equal(secret_span(wrong), dek()));
        sealed.data[i] ^= 0x80;
    }
    OK(hsm_unseal(hsm, &key, 0, mechanism, span_buf(&sealed), &back));
}

static void extractable_is_as_set(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_key key;
    rig->settings.key_extractable = true;
    create(rig, &key);
    create(rig, &key);
    assert_int_equal(key.number, 2);
}

static void an_hsm_that_refuses_the_full_template_gets_a_smaller_one(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_key key;
    rig_shim(rig, "rv=C_GenerateKey:d1:1-");
    create(rig, &key);
    assert_int_equal(rig_calls(rig, "C_GenerateKey"), 2);
    // Any other refusal is final: the key may have been made.
    rig_shim(rig, "rv=C_GenerateKey:30:1-");
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    FAILS(ERR_HSM_FAILED, hsm_key_create(hsm, RIG_RELEASE, &key));
    assert_true(rig_says("CKR_DEVICE_ERROR (0x30)"));
    assert_int_equal(rig_calls(rig, "C_GenerateKey"), 1);
}

static void a_key_that_may_be_left_on_the_token_is_owned_up_to(void **state)
{
    static const struct {
        const char *words;
        enum err err;
        bool left;
    } rows[] = {
        {"", ERR_OK, false},
        {"rv=C_FindObjectsInit:30:1", ERR_HSM_FAILED, false}, // before a key is made
        {"rv=C_GenerateKey:d1:1", ERR_HSM_FAILED, false},     // CKR_TEMPLATE_INCONSISTENT
        {"rv=C_GenerateKey:54:1", ERR_HSM_FAILED, false},     // CKR_FUNCTION_NOT_SUPPORTED
        {"rv=C_GenerateKey:101:1", ERR_HSM_FAILED, false},    // CKR_USER_NOT_LOGGED_IN
        {"rv=C_GenerateKey:30:1", ERR_HSM_FAILED, true},      // CKR_DEVICE_ERROR
        {"rv=C_GenerateKey:6:1", ERR_HSM_FAILED, true},       // CKR_FUNCTION_FAILED
        {"rv=C_GenerateKey:81000071:1", ERR_HSM_FAILED, true},
        {"lie=insensitive", ERR_HSM_FAILED, false}, // destroyed again
        {"lie=insensitive rv=C_DestroyObject:30:1", ERR_HSM_FAILED, true},
        // A key under a random id, which then gets no other.
        {"nodata rv=C_SetAttributeValue:10:1", ERR_OK, false},
        {"nodata rv=C_SetAttributeValue:10:1 rv=C_DestroyObject:30:1", ERR_OK, true},
        {"", ERR_OK, false},
    };
    struct rig *rig = (struct rig *)*state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct hsm_key key;
        CLEANUP(hsm_closep) struct hsm *hsm = NULL;
        OK(rig_open(rig, &hsm));
        rig_shim(rig, rows[i].words);
        assert_int_equal(hsm_key_create(hsm, RIG_RELEASE, &key), rows[i].err);
        if (hsm_key_left(hsm) != rows[i].left)
            fail_msg("\"%s\": left is not %d", rows[i].words, rows[i].left);
        rig_shim(rig, "");
    }
}

static void a_key_that_cannot_be_counted_is_given_back(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_key key;
    struct hsm_key_state keys = {0};
    char words[64];
    create(rig, &key); // so that both of the next find a number object
    create(rig, &key);
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    rig_shim(rig, "");
    OK(hsm_key_create(hsm, RIG_RELEASE, &key));
    assert_true(snprintf(words, sizeof words, "rv=C_FindObjectsInit:30:%zu-",
                         rig_calls(rig, "C_FindObjectsInit")) > 0);
    rig_shim(rig, words); // the last search
    OK(hsm_key_create(hsm, RIG_RELEASE, &key));
    assert_int_equal(key.number, 4);
    assert_false(hsm_key_left(hsm));
    OK(hsm_key_look(hsm, &key, &keys));
    assert_int_equal(keys.count, 1);
}

static void the_token_in_use_is_described(void **state)
{
    struct rig *rig = (struct rig *)*state;
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    struct hsm_token token;
    OK(rig_open(rig, &hsm));
    OK(hsm_token_info(hsm, &token));
    assert_string_equal(token.label, RIG_LABEL);
    assert_string_equal(token.manufacturer, "SoftHSM project");
    assert_string_equal(token.firmware, "2.6");
}

static void expect_open(struct rig *rig, bool use_label, const char *label)
{
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    OK(hsm_settings_choose(rig->root, NULL, use_label, label, &rig->settings));
    OK(rig_open(rig, &hsm));
}

static void expect_no_slot(struct rig *rig, bool use_label, const char *label, const char *says)
{
    struct hsm *hsm = NULL;
    rig->settings.use_label = use_label;
    memset(rig->settings.label, 0, sizeof rig->settings.label);
    memcpy(rig->settings.label, label, strlen(label));
    rig_shim(rig, "");
    FAILS(ERR_HSM_SLOT, rig_open(rig, &hsm));
    assert_true(rig_says("Could Not Get Slot for HSM"));
    assert_true(rig_says(says));
    assert_int_equal(rig_calls(rig, "C_Login"), 0);
}

static void one_token_needs_no_label(void **state)
{
    struct rig *rig = (struct rig *)*state;
    expect_open(rig, false, NULL);
    expect_open(rig, true, RIG_LABEL);
    expect_open(rig, true, RIG_LABEL "  "); // the padding is no part of the label
    expect_no_slot(rig, true, "other", "\"okv-root\"");
    expect_no_slot(rig, true, "OKV-ROOT", "has the label \"OKV-ROOT\"");
    expect_no_slot(rig, true, "okv", "has the label \"okv\"");
    expect_no_slot(rig, true, " okv-root", "begins with a blank");
    expect_no_slot(rig, true, "", "empty");
}

static void of_several_tokens_the_label_decides(void **state)
{
    static const char long_label[] = "12345678901234567890123456789012";
    struct rig *rig = (struct rig *)*state;
    rig_token(rig, "twin");
    expect_open(rig, true, "twin");
    rig_token(rig, "twin");
    rig_token(rig, long_label);
    rig_token(rig, " leading");
    rig_token(rig, "m\xc3\xbcnze");
    expect_open(rig, true, long_label);
    expect_open(rig, true, "m\xc3\xbcnze");
    expect_open(rig, true, RIG_LABEL);
    expect_no_slot(rig, true, "twin", "2 tokens have the label \"twin\"");
    expect_no_slot(rig, true, "leading", "\" leading\"");
    expect_no_slot(rig, false, "", "set the token label");
    expect_no_slot(rig, false, "", "\"okv-root\"");
}

static void a_wrong_pin_is_tried_once(void **state)
{
    struct rig *rig = (struct rig *)*state;
    static const char wrong[] = "Wr0ng-PIN-of-somebody";
    struct hsm *hsm = NULL;
    rig_shim(rig, "");
    FAILS(ERR_HSM_PIN, hsm_open(rig->root, &rig->settings, span_str(wrong), "initialize", &hsm));
    assert_true(rig_says("\"okv-root\": C_Login gave CKR_PIN_INCORRECT (0xa0)"));
    assert_null(strstr(err_detail(), wrong));
    assert_int_equal(rig_calls(rig, "C_Login"), 1);
}

static void every_pin_error_is_final(void **state)
{
    static const char *const codes[] = {"a0", "a1", "a2", "a3", "a4"};
    struct rig *rig = (struct rig *)*state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        char words[64];
        struct hsm *hsm = NULL;
        assert_true(snprintf(words, sizeof words, "rv=C_Login:%s:1", codes[i]) > 0);
        rig_shim(rig, words);
        FAILS(ERR_HSM_PIN, rig_open(rig, &hsm));
        assert_int_equal(rig_calls(rig, "C_Login"), 1);
    }
    // Not about the PIN, but the credential may have been spent: once, too.
    struct hsm *hsm = NULL;
    rig_shim(rig, "rv=C_Login:30:1");
    FAILS(ERR_HSM_FAILED, rig_open(rig, &hsm));
    assert_int_equal(rig_calls(rig, "C_Login"), 1);
    rig_shim(rig, "rv=C_Login:100:1"); // already logged in
    OK(rig_open(rig, &hsm));
    hsm_closep(&hsm);
}

static void a_credential_has_1_to_79_bytes(void **state)
{
    struct rig *rig = (struct rig *)*state;
    char credential[HSM_CREDENTIAL_MAX + 1];
    struct hsm *hsm = NULL;
    memset(credential, 'x', sizeof credential);
    rig_shim(rig, "");
    FAILS(ERR_INVALID, hsm_open(rig->root, &rig->settings, span_of("", 0), "test", &hsm));
    FAILS(ERR_INVALID, hsm_open(rig->root, &rig->settings, span_of(credential, sizeof credential),
                                "test", &hsm));
    assert_int_equal(rig_calls(rig, "C_Login"), 0);
    FAILS(ERR_HSM_PIN, hsm_open(rig->root, &rig->settings, span_of(credential, HSM_CREDENTIAL_MAX),
                                "test", &hsm));
    assert_int_equal(rig_calls(rig, "C_Login"), 1);
}

static void a_library_that_takes_no_locking_arguments_is_asked_without(void **state)
{
    struct rig *rig = (struct rig *)*state;
    static const char *const refusals[] = {"rv=C_Initialize:a:1-", "rv=C_Initialize:7:1-",
                                           "rv=C_Initialize:9:1-"};
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        rig_shim(rig, refusals[i]);
        CLEANUP(hsm_closep) struct hsm *hsm = NULL;
        OK(rig_open(rig, &hsm));
        assert_int_equal(rig_calls(rig, "C_Initialize"), 2);
    }
    struct hsm *hsm = NULL;
    rig_shim(rig, "rv=C_Initialize:2:1");
    FAILS(ERR_HSM_LIBRARY, rig_open(rig, &hsm));
    assert_true(rig_says("C_Initialize gave CKR_HOST_MEMORY (0x2)"));
}

static void expect_bad_library(struct rig *rig, const char *path, const char *says)
{
    struct hsm *hsm = NULL;
    assert_true(strlen(path) <= HSM_LIBRARY_MAX);
    memcpy(rig->settings.library, path, strlen(path) + 1);
    FAILS(ERR_HSM_LIBRARY, rig_open(rig, &hsm));
    assert_true(rig_says("Could Not Load PKCS#11 Library"));
    assert_true(rig_says(says));
    assert_true(path[0] == '\0' || rig_says(path));
}

static void a_library_that_is_none_is_named_with_the_reason(void **state)
{
    struct rig *rig = (struct rig *)*state;
    char path[RIG_PATH_MAX];
    expect_bad_library(rig, "", "no library is configured");
    expect_bad_library(rig, "lib/libp11.so", "not absolute");
    expect_bad_library(rig, "/nonexistent/libp11.so", "No such file");
    expect_bad_library(rig, "/usr/lib/x86_64-linux-gnu", "not a regular file");
    expect_bad_library(rig, "/usr/lib/x86_64-linux-gnu/libcrypt.so.1", "C_GetFunctionList");
    expect_bad_library(rig, "/bin/true", "position-independent");
    rig_file(rig, "text.so", "this is no library, whatever its name says, and it is long enough",
             0755);
    rig_path(rig, "text.so", path);
    expect_bad_library(rig, path, "no ELF header");
    rig_file(rig, "elf32.so",
             "\x7f"
             "ELF\1\1\1",
             0755);
    rig_path(rig, "elf32.so", path);
    expect_bad_library(rig, path, "64-bit");
    rig_path(rig, "fifo", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_bad_library(rig, path, "not a regular file");
    rig_built("keyward-test-bad-no-symbol.so", path);
    expect_bad_library(rig, path, "C_GetFunctionList");
    rig_built("keyward-test-bad-no-list.so", path);
    expect_bad_library(rig, path, "no list");
}

static void copy_shim(struct rig *rig, const char *path, mode_t mode)
{
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, 16 * 1024 * 1024, false);
    char shim[RIG_PATH_MAX];
    rig_built("keyward-test-shim.so", shim);
    OK(file_read(rig->root, shim, 16 * 1024 * 1024, &bytes));
    OK(file_mkdirs(rig->root, "opt/vendor"));
    OK(file_write(rig->root, path, span_buf(&bytes)));
    assert_int_equal(fchmodat(rig->root, path, mode, 0), 0);
}

static void a_library_below_the_root_prefix_comes_first(void **state)
{
    struct rig *rig = (struct rig *)*state;
    copy_shim(rig, "opt/vendor/libp11.so", 0755);
    memcpy(rig->settings.library, "/opt/vendor/libp11.so", 22);
    struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    hsm_closep(&hsm);
    // A directory that anybody may write to is told in the trace; a file is refused.
    assert_int_equal(fchmodat(rig->root, "opt/vendor", 0777, 0), 0);
    OK(rig_open(rig, &hsm));
    hsm_closep(&hsm);
    assert_int_equal(fchmodat(rig->root, "opt/vendor/libp11.so", 0777, 0), 0);
    FAILS(ERR_HSM_LIBRARY, rig_open(rig, &hsm));
    assert_true(rig_says("anybody may write to it"));
    assert_true(rig_says("/opt/vendor/libp11.so"));
}

static void errors_of_the_token_are_told_by_name(void **state)
{
    static const struct {
        const char *words;
        enum err code;
        const char *says;
    } rows[] = {
        {"rv=C_GetSlotList:30:1", ERR_HSM_SLOT, "C_GetSlotList gave CKR_DEVICE_ERROR (0x30)"},
        {"rv=C_GetTokenInfo:e0:1", ERR_HSM_SLOT, "tokens seen: none"},
        {"rv=C_OpenSession:b1:1", ERR_HSM_FAILED, "C_OpenSession gave CKR_SESSION_COUNT (0xb1)"},
        {"rv=C_OpenSession:81000071:1", ERR_HSM_FAILED, "the vendor's code 0x81000071"},
        {"rv=C_OpenSession:ffffffffffffffff:1", ERR_HSM_FAILED,
         "the unknown code 0xffffffffffffffff"},
    };
    struct rig *rig = (struct rig *)*state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct hsm *hsm = NULL;
        rig_shim(rig, rows[i].words);
        FAILS(rows[i].code, rig_open(rig, &hsm));
        assert_true(rig_says(rows[i].says));
        assert_int_equal(rig_calls(rig, "C_Login"), 0);
    }
}

#define ON_TOKEN(test) cmocka_unit_test_setup_teardown(test, rig_up, rig_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_TOKEN(keys_are_numbered_1_2_3_while_earlier_ones_remain),
        ON_TOKEN(a_library_with_the_17_functions_is_enough),
        ON_TOKEN(a_token_without_data_objects_numbers_by_its_keys),
        ON_TOKEN(one_number_object_remains_and_is_listed),
        ON_TOKEN(a_number_in_use_is_passed_over),
        ON_TOKEN(a_number_object_of_another_length_is_read),
        ON_TOKEN(a_key_of_another_label_keeps_its_id),
        ON_TOKEN(a_new_release_passes_over_the_numbers_of_the_old),
        ON_TOKEN(a_missing_key_counts_0_and_opens_nothing),
        ON_TOKEN(of_two_keys_with_one_id_the_nth_is_tried),
        ON_TOKEN(only_a_key_of_this_process_is_destroyed),
        ON_TOKEN(the_mechanism_is_the_first_whose_round_trip_works),
        ON_TOKEN(damaged_sealed_bytes_give_no_key),
        ON_TOKEN(extractable_is_as_set),
        ON_TOKEN(an_hsm_that_refuses_the_full_template_gets_a_smaller_one),
        ON_TOKEN(a_key_that_may_be_left_on_the_token_is_owned_up_to),
        ON_TOKEN(a_key_that_cannot_be_counted_is_given_back),
        ON_TOKEN(the_token_in_use_is_described),
        ON_TOKEN(one_token_needs_no_label),
        ON_TOKEN(of_several_tokens_the_label_decides),
        ON_TOKEN(a_wrong_pin_is_tried_once),
        ON_TOKEN(every_pin_error_is_final),
        ON_TOKEN(a_credential_has_1_to_79_bytes),
        ON_TOKEN(a_library_that_takes_no_locking_arguments_is_asked_without),
        ON_TOKEN(a_library_that_is_none_is_named_with_the_reason),
        ON_TOKEN(a_library_below_the_root_prefix_comes_first),
        ON_TOKEN(errors_of_the_token_are_told_by_name),
    };
    int failed = cmocka_run_group_tests(tests, rig_driver_up, rig_driver_down);
    return failed + rig_driver_tests();
}
