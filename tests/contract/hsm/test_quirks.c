// SPDX-License-Identifier: Apache-2.0
//
// What vendors' PKCS#11 libraries do that the standard, or a software token, would not. Each quirk
// has a test of its name; the shim (tests/lib/shim_control.h) plays the vendor, a real keyward-hsmd
// meets it. "system" is tests/system/test_quirks.py, for what needs a whole server.
//
// clang-format off
//  #  quirk                                           test
//  1  only a new process gets a lost device back      a_device_lost_to_a_process_is_back_in_the_next
//  2  C_Initialize and C_Finalize fail; vendor codes  a_library_that_fails_to_begin_or_end…, vendor_codes_and_garbage…
//  3  calls block for minutes or for ever             any_function_may_hang
//  4  idle sessions are dropped                       a_dropped_session_ends_nothing; system: no session is kept
//  5  "all is well" while the device is dead          a_token_that_says_all_is_well_is_not_believed
//  6  the HSM makes the IV of GCM                     gcm_whose_iv_the_hsm_makes
//  7  layouts of CK_GCM_PARAMS                        gcm_parameters_of_each_layout
//  8  CBC_PAD is unreliable                           cbc_pad_is_passed_over_when_its_round_trip_fails
//  9  lists of mechanisms lie                         mechanism_lists_are_never_asked
// 10  functions are missing or NULL                   functions_beside_the_17…, a_library_without_C_GenerateKey…,
//                                                     a_key_is_adopted…, of_adopted_keys…; system: adoption
// 11  no data objects, or their value is fixed        a_number_object_is_never_changed_in_place
// 12  a CKA_ID twice: allowed, refused, replaced      ids_that_are_unique, ids_that_replace, an_id_refused_meanwhile…,
//                                                     a_number_taken_meanwhile…
// 13  objects of other processes are invisible        an_object_made_elsewhere…, two_servers_with_an_old_view…
// 14  templates refused, attributes told wrong        a_policy_gets_a_template…, a_key_that_comes_out_otherwise…
// 15  HMAC wants vendors' mechanisms                  no_function_but_those_documented_is_called
// 16  PINs: form, lock-out                            a_credential_goes_as_typed, the_last_try_is_a_person_s
// 17  a login is the process's                        somebody_logged_in_already_is_fine, no_function_but… (C_Logout)
// 18  fork and environment                            hsmd_has_one_thread_no_child_and_the_given_environment
// 19  slots: numbers change, pseudo-slots             slot_numbers_differ…, a_pseudo_slot_is_no_token
// 20  threads, locking, read-only sessions, RNG,      sessions_are_read_write, pReserved_is_what_is_configured,
//     pReserved                                       no_function_but… (C_GenerateRandom); system: NSS itself
//
// And any_function_may_fail_in_any_way: dies, any code, from any call on.
// clang-format on
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/paths.h"
#include "tests/contract/hsm/rig.h"

static const uint8_t dek_bytes[HSM_DEK_LEN] = "thirty-two bytes of no meaning..";

static struct span dek(void)
{
    return span_of(dek_bytes, sizeof dek_bytes);
}

struct blob {
    struct hsm_key key;
    char mechanism[32];
    struct buf sealed;
};

static void blob_init(struct blob *blob, const char *mechanism)
{
    memset(blob, 0, sizeof *blob);
    memcpy(blob->mechanism, mechanism, strlen(mechanism));
    buf_init(&blob->sealed, HSM_SEALED_MAX, false);
}

static void blob_done(struct blob *blob)
{
    buf_done(&blob->sealed);
}

// What Initialize does with the HSM: a key in one process, looked at and tried in the next.
static enum err make(struct rig *rig, struct blob *blob)
{
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    TRY(rig_open(rig, &hsm));
    TRY(hsm_key_create(hsm, RIG_RELEASE, &blob->key));
    return hsm_seal(hsm, &blob->key, blob->mechanism, dek(), &blob->sealed);
}

static enum err make_again(struct rig *rig, void *blob)
{
    buf_clear(&((struct blob *)blob)->sealed);
    return make(rig, (struct blob *)blob);
}

static enum err open_blob(struct rig *rig, const struct blob *blob)
{
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    CLEANUP(secret_freep) struct secret *back = NULL;
    struct hsm_key_state keys;
    TRY(rig_open(rig, &hsm));
    TRY(hsm_key_look(hsm, &blob->key, &keys));
    if (keys.count != 1)
        FAIL(ERR_HSM_KEY, "%u keys answer", keys.count);
    TRY(hsm_unseal(hsm, &blob->key, 0, blob->mechanism, span_buf(&blob->sealed), &back));
    if (!secret_equal(secret_span(back), dek()))
        FAIL(ERR_DAMAGED, "other bytes came back");
    return ERR_OK;
}

static void whole(struct rig *rig, const char *words, const char *mechanism)
{
    CLEANUP(blob_done) struct blob blob;
    blob_init(&blob, mechanism);
    rig_shim(rig, words);
    OK(make(rig, &blob));
    OK(open_blob(rig, &blob));
}

static uint32_t count(struct rig *rig, const struct hsm_key *key)
{
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    struct hsm_key_state found = {.count = 99};
    OK(rig_open(rig, &hsm));
    OK(hsm_key_look(hsm, key, &found));
    return found.count;
}

// -- 1, 4, 5: devices and sessions that go away --
static void a_device_lost_to_a_process_is_back_in_the_next(void **state)
{
    static const char *const calls[] = {"C_Decrypt", "C_DecryptInit", "C_FindObjects"};
    struct rig *rig = (struct rig *)*state;
    CLEANUP(blob_done) struct blob blob;
    blob_init(&blob, "auto");
    OK(make(rig, &blob));
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        char words[64];
        assert_true(snprintf(words, sizeof words, "lost=%s:1-", calls[i]) > 0);
        rig_shim(rig, words);
        OK(open_blob(rig, &blob));
        assert_int_equal(rig_calls(rig, "C_Initialize"), 2);
    }
    rig_shim(rig, "lost=C_Decrypt:1"); // gone for good: an error, and an end
    FAILS(ERR_HSM_FAILED, open_blob(rig, &blob));
    assert_true(rig_says("CKR_DEVICE_ERROR (0x30)"));
}

static void a_dropped_session_ends_nothing(void **state)
{
    struct rig *rig = (struct rig *)*state;
    CLEANUP(blob_done) struct blob blob;
    blob_init(&blob, "auto");
    OK(make(rig, &blob));
    rig_shim(rig, "rv=C_DecryptInit:b3:1-"); // CKR_SESSION_HANDLE_INVALID
    OK(open_blob(rig, &blob));
    rig_shim(rig, "rv=C_FindObjectsInit:b0:1-"); // CKR_SESSION_CLOSED
    OK(open_blob(rig, &blob));
}

static void a_token_that_says_all_is_well_is_not_believed(void **state)
{
    struct rig *rig = (struct rig *)*state;
    CLEANUP(blob_done) struct blob blob;
    blob_init(&blob, "auto");
    OK(make(rig, &blob));
    rig_shim(rig, "");
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    CLEANUP(secret_freep) struct secret *back = NULL;
    struct hsm_token token;
    OK(rig_open(rig, &hsm));
    rig_shim(rig, "lost=C_Decrypt:1");
    FAILS(ERR_HSM_FAILED,
          hsm_unseal(hsm, &blob.key, 0, blob.mechanism, span_buf(&blob.sealed), &back));
    OK(hsm_token_info(hsm, &token)); // and yet
    assert_int_equal(rig_calls(rig, "C_GetSessionInfo"), 0);
}

// -- 2: codes --
static void a_library_that_fails_to_begin_or_end_is_tried_again_or_let_go(void **state)
{
    struct rig *rig = (struct rig *)*state;
    whole(rig, "rv=C_Finalize:81000071:1", "auto");
    whole(rig, "rv=C_CloseSession:81000071:1", "auto");
    whole(rig, "rv=C_Initialize:81000071:1-", "auto");
    struct hsm *hsm = NULL;
    rig_shim(rig, "rv=C_Initialize:81000071:1");
    FAILS(ERR_HSM_LIBRARY, rig_open(rig, &hsm));
    assert_true(rig_says("C_Initialize gave the vendor's code 0x81000071"));
}

static void vendor_codes_and_garbage_are_shown_as_they_are(void **state)
{
    static const struct {
        const char *code;
        const char *says;
    } rows[] = {{"80000000", "the vendor's code 0x80000000"},
                {"ce534351", "the vendor's code 0xce534351"},
                {"7fffffff", "the unknown code 0x7fffffff"},
                {"ffffffffffffffff", "the unknown code 0xffffffffffffffff"}};
    struct rig *rig = (struct rig *)*state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char words[64];
        CLEANUP(blob_done) struct blob blob;
        blob_init(&blob, "auto");
        assert_true(snprintf(words, sizeof words, "rv=C_GenerateKey:%s:1", rows[i].code) > 0);
        rig_shim(rig, words);
        FAILS(ERR_HSM_FAILED, make(rig, &blob));
        assert_true(rig_says(rows[i].says));
        assert_int_equal(rig_calls(rig, "C_GenerateKey"), 1);
    }
}

// -- 3: blocking --
static void any_function_may_hang(void **state)
{
    static const char *const calls[] = {"C_GenerateKey", "C_Encrypt", "C_DecryptInit",
                                        "C_FindObjectsFinal", "C_DestroyObject"};
    struct rig *rig = (struct rig *)*state;
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        CLEANUP(blob_done) struct blob blob;
        blob_init(&blob, "auto");
        rig_shim(rig, "");
        OK(make(rig, &blob)); // so that there is a number object to replace
        rig->settings.timeout_s = 1;
        int64_t begun = clock_mono_ms();
        rig_hang(rig, calls[i], make_again, &blob);
        assert_true(clock_mono_ms() - begun >= 900);
        rig->settings.timeout_s = HSM_TIMEOUT_S;
    }
    // At the end it is nobody's loss.
    whole(rig, "hang=C_Finalize:1-", "auto");
}

// -- 6, 7, 8: ciphers --
static void gcm_whose_iv_the_hsm_makes(void **state)
{
    struct rig *rig = (struct rig *)*state;
    whole(rig, "gcm=luna", "AES_GCM");
    whole(rig, "gcm=fips", "AES_GCM");
    whole(rig, "gcm=cloudhsm", "AES_GCM");
    whole(rig, "gcm=luna nocbc nocbcpad noecb", "auto");
}

static void gcm_parameters_of_each_layout(void **state)
{
    struct rig *rig = (struct rig *)*state;
    whole(rig, "gcm=strict", "AES_GCM");
    whole(rig, "gcm=short", "AES_GCM");
    whole(rig, "gcm=short nocbc nocbcpad noecb", "auto");
}

static void cbc_pad_is_passed_over_when_its_round_trip_fails(void **state)
{
    struct rig *rig = (struct rig *)*state;
    CLEANUP(blob_done) struct blob blob;
    blob_init(&blob, "auto");
    rig_shim(rig, "nocbc rv=C_Decrypt:5:1-"); // as tpm2-pkcs11 does for 32 bytes
    OK(make(rig, &blob));
    assert_string_equal(blob.mechanism, "AES_GCM");
    OK(open_blob(rig, &blob));
    CLEANUP(blob_done) struct blob other;
    blob_init(&other, "auto");
    rig_shim(rig, "nocbc garbage=C_Decrypt:1-"); // bad padding, CKR_OK
    OK(make(rig, &other));
    assert_string_equal(other.mechanism, "AES_GCM");
}

// -- 9, 10, 15: what is called --
static void mechanism_lists_are_never_asked(void **state)
{
    struct rig *rig = (struct rig *)*state;
    whole(rig, "rv=C_GetMechanismInfo:70:1 rv=C_GetMechanismList:70:1", "auto");
    assert_int_equal(rig_calls(rig, "C_GetMechanismInfo"), 0);
    assert_int_equal(rig_calls(rig, "C_GetMechanismList"), 0);
}

static void no_function_but_those_documented_is_called(void **state)
{
    static const char *const used[] = {
        "C_CloseSession",      "C_Decrypt",      "C_DecryptInit",  "C_Encrypt",
        "C_EncryptInit",       "C_Finalize",     "C_FindObjects",  "C_FindObjectsFinal",
        "C_FindObjectsInit",   "C_GenerateKey",  "C_GetSlotList",  "C_GetTokenInfo",
        "C_GetFunctionList",   "C_Initialize",   "C_Login",        "C_OpenSession",
        "C_GetAttributeValue", "C_CreateObject", "C_DestroyObject"};
    struct rig *rig = (struct rig *)*state;
    whole(rig, "", "auto");
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 1024 * 1024, false);
    OK(file_read(rig->root, "shim/trace", 1024 * 1024, &text));
    OK(buf_put_u8(&text, 0));
    char *rest = (char *)text.data;
    for (char *line = strsep(&rest, "\n"); line != NULL && *line != '\0';
         line = strsep(&rest, "\n")) {
        bool known = false;
        for (size_t i = 0; i < COUNT_OF(used); i++)
            known = known || strcmp(line, used[i]) == 0;
        if (!known)
            fail_msg("%s was called", line); // C_Logout, C_SignInit, C_GenerateRandom …
    }
}

static void functions_beside_the_17_may_be_missing(void **state)
{
    struct rig *rig = (struct rig *)*state;
    whole(rig, "only17=null", "auto");
    whole(rig, "only17=nosup", "auto");
    whole(rig, "null=C_SetAttributeValue null=C_CopyObject nodata uniqueid noro gcm=cloudhsm",
          "auto"); // CloudHSM in one
    whole(rig, "null=C_DestroyObject", "auto");
    whole(rig, "null=C_GenerateRandom null=C_GetAttributeValue", "auto");
}

static void a_library_without_C_GenerateKey_names_the_way_out(void **state)
{
    static const char *const words[] = {"null=C_GenerateKey", "rv=C_GenerateKey:54:1"};
    struct rig *rig = (struct rig *)*state;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        CLEANUP(blob_done) struct blob blob;
        blob_init(&blob, "auto");
        rig_shim(rig, words[i]);
        FAILS(ERR_HSM_FAILED, make(rig, &blob));
        assert_true(rig_says("HSM_ADOPT_KEY_LABEL"));
    }
}

static void administrator_makes(struct rig *rig, const char *label, const char *id)
{
    const char *const keygen[] = {"--keygen", "--key-type", "AES:32", "--label",
                                  label,      "--id",       id,       NULL};
    rig_tool(rig, keygen);
}

static void adopt(struct rig *rig, const char *label, const char *conf)
{
    char text[256];
    char vendor[HSM_LIBRARY_MAX + 1];
    memcpy(vendor, rig->settings.library, sizeof vendor);
    assert_true(snprintf(text, sizeof text, "HSM_ADOPT_KEY_LABEL=\"%s\"\n%s", label, conf) > 0);
    rig_file(rig, PATH_SECURITY_CONF, text, 0600);
    OK(hsm_settings_load(rig->root, &rig->settings));
    OK(hsm_settings_choose(rig->root, NULL, true, RIG_LABEL, &rig->settings));
    memcpy(rig->settings.library, vendor, sizeof vendor);
}

static void a_key_is_adopted_where_the_library_makes_none(void **state)
{
    struct rig *rig = (struct rig *)*state;
    adopt(rig, "Premade", "");
    administrator_makes(rig, "Premade", "cafe0001");
    whole(rig, "null=C_GenerateKey", "auto");
    whole(rig, "only17=null", "auto");
    assert_int_equal(rig_calls(rig, "C_GenerateKey"), 0);
    assert_int_equal(rig_calls(rig, "C_CreateObject"), 0);
    CLEANUP(blob_done) struct blob blob;
    blob_init(&blob, "auto");
    OK(make(rig, &blob));
    assert_int_equal(blob.key.number, 0);
    assert_string_equal(blob.key.label, "Premade");
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    FAILS(ERR_HSM_KEY, hsm_key_destroy(hsm, &blob.key)); // it is not ours
}

static void of_adopted_keys_there_is_exactly_one(void **state)
{
    struct rig *rig = (struct rig *)*state;
    CLEANUP(blob_done) struct blob blob;
    blob_init(&blob, "auto");
    adopt(rig, "Premade", "");
    FAILS(ERR_HSM_KEY, make(rig, &blob));
    assert_true(rig_says("\"Premade\""));
    administrator_makes(rig, "Premade", "cafe0001");
    administrator_makes(rig, "Premade", "cafe0002");
    FAILS(ERR_HSM_KEY, make(rig, &blob));
    assert_true(rig_says("2 AES keys") && rig_says("HSM_ADOPT_KEY_ID"));
    adopt(rig, "Premade", "HSM_ADOPT_KEY_ID=\"CAFE0002\"\n");
    OK(make(rig, &blob));
    OK(open_blob(rig, &blob));
    assert_int_equal(blob.key.id_len, 4);
    // A key that may not decrypt is not adopted.
    rig_shim(rig, "rv=C_DecryptInit:68:1"); // CKR_KEY_FUNCTION_NOT_PERMITTED
    CLEANUP(blob_done) struct blob none;
    blob_init(&none, "auto");
    FAILS(ERR_HSM_FAILED, make(rig, &none));
}

// -- 11, 12, 13: objects --
static void a_number_object_is_never_changed_in_place(void **state)
{
    struct rig *rig = (struct rig *)*state;
    whole(rig, "rv=C_SetAttributeValue:10:1", "auto");
    whole(rig, "rv=C_DestroyObject:54:1", "auto"); // two number objects stay: the larger counts
    whole(rig, "rv=C_CreateObject:13:1", "auto");
    rig_shim(rig, "");
    CLEANUP(blob_done) struct blob blob;
    blob_init(&blob, "auto");
    OK(make(rig, &blob));
    assert_int_equal(blob.key.number, 4);
    assert_int_equal(rig_calls(rig, "C_SetAttributeValue"), 0);
    assert_int_equal(rig_calls(rig, "C_CopyObject"), 0);
}

static void ids_that_are_unique(void **state)
{
    struct rig *rig = (struct rig *)*state;
    administrator_makes(rig, "somebody's", "00000001");
    CLEANUP(blob_done) struct blob blob;
    blob_init(&blob, "auto");
    rig_shim(rig, "uniqueid nodata");
    OK(make(rig, &blob));
    assert_int_equal(blob.key.number, 2);
    OK(open_blob(rig, &blob));
}

// A number object that says 48, a key with the id 49, and a search for it that finds nothing: as if
// the key were made right after.
static void next_is_49_and_taken(struct rig *rig, const char *label, const char *words)
{
    char path[RIG_PATH_MAX];
    char control[128];
    rig_file(rig, "number", "\x30", 0600);
    rig_path(rig, "number", path);
    const char *const write[] = {
        "--write-object",         path, "--type", "data", "--private", "--label",
        "OKV 1.0 HSM Key Number", NULL};
    rig_tool(rig, write);
    administrator_makes(rig, label, "00000031");
    assert_true(snprintf(control, sizeof control, "%s length=C_FindObjects:0:3-", words) > 0);
    rig_shim(rig, control);
}

// The id is taken between the search and the creation: another server was faster.
static void an_id_refused_meanwhile_is_given_up_for_the_next(void **state)
{
    struct rig *rig = (struct rig *)*state;
    CLEANUP(blob_done) struct blob blob;
    blob_init(&blob, "auto");
    next_is_49_and_taken(rig, "somebody's", "uniqueid");
    OK(make(rig, &blob));
    assert_int_equal(blob.key.number, 50);
    OK(open_blob(rig, &blob));
    assert_int_equal(rig_calls(rig, "C_GenerateKey"), 2);
}

static void ids_that_replace(void **state)
{
    struct rig *rig = (struct rig *)*state;
    CLEANUP(blob_done) struct blob first;
    CLEANUP(blob_done) struct blob second;
    blob_init(&first, "auto");
    blob_init(&second, "auto");
    rig_shim(rig, "replaceid nodata");
    OK(make(rig, &first));
    OK(make(rig, &second));
    assert_int_equal(second.key.number, first.key.number + 1);
    OK(open_blob(rig, &first));
    OK(open_blob(rig, &second));
}

static void an_object_made_elsewhere_is_seen_by_the_next_process(void **state)
{
    struct rig *rig = (struct rig *)*state;
    const struct hsm_key key = {
        .number = 1, .id = {0, 0, 0, 1}, .id_len = 4, .label = "OKV 1.0 HSM Root Key"};
    struct hsm_key_state found = {.count = 99};
    rig_shim(rig, "stale");
    CLEANUP(hsm_closep) struct hsm *early = NULL;
    OK(rig_open(rig, &early));
    administrator_makes(rig, key.label, "00000001");
    OK(hsm_key_look(early, &key, &found));
    assert_int_equal(found.count, 0); // which nobody may believe for longer than one operation
    hsm_closep(&early);
    assert_int_equal(count(rig, &key), 1);
    whole(rig, "stale", "auto");
}

// Two servers whose view is from before the other's key both take number 1, and see only in the
// next process that they are two.
static void two_servers_with_an_old_view_find_out_in_the_next_process(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_key key;
    rig_shim(rig, "stale");
    CLEANUP(hsm_closep) struct hsm *early = NULL;
    OK(rig_open(rig, &early));
    administrator_makes(rig, "OKV 1.0 HSM Root Key", "00000001");
    OK(hsm_key_create(early, RIG_RELEASE, &key));
    assert_int_equal(key.number, 1);
    hsm_closep(&early);
    assert_int_equal(count(rig, &key), 2);
}

// Without an old view the later one sees both at once and takes its own away.
static void a_number_taken_meanwhile_is_given_up_for_the_next(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_key key;
    next_is_49_and_taken(rig, "OKV 1.0 HSM Root Key", "");
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    OK(hsm_key_create(hsm, RIG_RELEASE, &key));
    assert_int_equal(key.number, 50);
    assert_int_equal(rig_calls(rig, "C_GenerateKey"), 2);
    hsm_closep(&hsm);
    const struct hsm_key other = {
        .number = 49, .id = {0, 0, 0, 49}, .id_len = 4, .label = "OKV 1.0 HSM Root Key"};
    assert_int_equal(count(rig, &other), 1);
}

// -- 14: attributes --
static void a_policy_gets_a_template_it_can_take(void **state)
{
    struct rig *rig = (struct rig *)*state;
    whole(rig, "policy=nshield", "auto");
    assert_int_equal(rig_calls(rig, "C_GenerateKey"), 1);
    whole(rig, "policy=noextract", "auto");
    rig->settings.key_extractable = true;
    whole(rig, "policy=nshield", "auto");
    CLEANUP(blob_done) struct blob blob;
    blob_init(&blob, "auto");
    rig_shim(rig, "policy=noextract");
    FAILS(ERR_HSM_FAILED, make(rig, &blob));
    assert_true(rig_says("CKR_TEMPLATE_INCONSISTENT") && rig_says("HSM_KEY_EXTRACTABLE"));
}

static void a_key_that_comes_out_otherwise_is_refused(void **state)
{
    static const struct {
        const char *words;
        const char *says;
    } rows[] = {{"lie=extractable", "CKA_EXTRACTABLE true although false was asked for"},
                {"lie=insensitive", "CKA_SENSITIVE false although true was asked for"}};
    struct rig *rig = (struct rig *)*state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(blob_done) struct blob blob;
        blob_init(&blob, "auto");
        rig_shim(rig, rows[i].words);
        FAILS(ERR_HSM_FAILED, make(rig, &blob));
        assert_true(rig_says(rows[i].says));
        struct hsm_key key = {.number = (uint32_t)i + 1,
                              .id = {0, 0, 0, (uint8_t)(i + 1)},
                              .id_len = 4,
                              .label = "OKV 1.0 HSM Root Key"};
        rig_shim(rig, "");
        assert_int_equal(count(rig, &key), 0); // and is gone
    }
    whole(rig, "length=C_GetAttributeValue:ffffffffffffffff:1", "auto");
    whole(rig, "length=C_GetAttributeValue:3:1", "auto");
}

// -- 16, 17: logging in --
static void a_credential_goes_as_typed(void **state)
{
    static const char *const pins[] = {"crypto_user: p\xc3\xa4ss:word ", " 4321 "};
    struct rig *rig = (struct rig *)*state;
    for (size_t i = 0; i < COUNT_OF(pins); i++) {
        const char *const label = i == 0 ? "cloud" : "blanks";
        const char *const words[] = {
            "softhsm2-util", "--init-token", "--free",   "--label",   label,
            "--pin",         pins[i],        "--so-pin", "sopin5678", NULL};
        rig_run(words);
        OK(hsm_settings_choose(rig->root, NULL, true, label, &rig->settings));
        CLEANUP(hsm_closep) struct hsm *hsm = NULL;
        OK(hsm_open(rig->root, &rig->settings, span_str(pins[i]), "test", &hsm));
        struct hsm *none = NULL;
        FAILS(ERR_HSM_PIN, hsm_open(rig->root, &rig->settings,
                                    span_of(pins[i], strlen(pins[i]) - 1), "test", &none));
    }
}

static void the_last_try_is_a_person_s(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm *none = NULL;
    rig_shim(rig, "flags=C_GetTokenInfo:20000"); // CKF_USER_PIN_FINAL_TRY
    FAILS(ERR_HSM_PIN_LATCHED, rig_open(rig, &none));
    assert_int_equal(rig_calls(rig, "C_Login"), 0);
    rig_shim(rig, "flags=C_GetTokenInfo:40000"); // CKF_USER_PIN_LOCKED
    FAILS(ERR_HSM_PIN, rig_open(rig, &none));
    assert_int_equal(rig_calls(rig, "C_Login"), 0);
    rig->settings.attended = true;
    rig_shim(rig, "flags=C_GetTokenInfo:20000");
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    assert_int_equal(rig_calls(rig, "C_Login"), 1);
}

static void somebody_logged_in_already_is_fine(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm *hsm = NULL;
    rig_shim(rig, "rv=C_Login:100:1");
    OK(rig_open(rig, &hsm));
    hsm_closep(&hsm);
    assert_int_equal(rig_calls(rig, "C_Login"), 1);
    assert_int_equal(rig_calls(rig, "C_Logout"), 0);
}

// -- 18: the process --
static bool read_proc(int pid, const char *name, struct buf *out)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    buf_clear(out);
    for (int c = fgetc(file); c != EOF; c = fgetc(file))
        OK(buf_put_u8(out, c == 0 ? '\n' : (uint8_t)c));
    OK(buf_put_u8(out, 0));
    (void)fclose(file);
    return true;
}

static int hsmd_pid(const struct rig *rig)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 65536, false);
    DIR *dir = opendir("/proc");
    assert_non_null(dir);
    int found = 0;
    for (struct dirent *at = readdir(dir); at != NULL; at = readdir(dir)) {
        int pid = atoi(at->d_name);
        if (pid > 0 && read_proc(pid, "cmdline", &text) &&
            strstr((char *)text.data, "keyward-hsmd") != NULL &&
            strstr((char *)text.data, rig->dir) != NULL)
            found = pid;
    }
    closedir(dir);
    return found;
}

static void hsmd_has_one_thread_no_child_and_the_given_environment(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct buf text CLEANUP(buf_done);
    struct buf wanted CLEANUP(buf_done);
    buf_init(&text, 65536, false);
    buf_init(&wanted, 65536, false);
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    int pid = hsmd_pid(rig);
    assert_true(pid > 0);
    char children[64];
    assert_true(snprintf(children, sizeof children, "task/%d/children", pid) > 0);
    assert_true(read_proc(pid, children, &text));
    assert_string_equal((char *)text.data, "");
    assert_true(read_proc(pid, "status", &text));
    assert_non_null(strstr((char *)text.data, "Threads:\t1\n"));
    assert_true(read_proc(pid, "environ", &text));
    OK(file_read(rig->root, PATH_HSM_ENV, 65536, &wanted));
    OK(buf_put_u8(&wanted, 0));
    char *rest = (char *)text.data;
    size_t names = 0;
    for (char *line = strsep(&rest, "\n"); line != NULL && *line != '\0';
         line = strsep(&rest, "\n")) {
        *strchr(line, '=') = '\0';
        assert_non_null(strstr((char *)wanted.data, line));
        names++;
    }
    assert_int_equal(names, 4); // SoftHSM's and the shim's: not PATH, not HOME
}

// -- 19, 20: slots and starting --
static void slot_numbers_differ_from_process_to_process(void **state)
{
    struct rig *rig = (struct rig *)*state;
    whole(rig, "renumber", "auto");
    rig_token(rig, "another");
    whole(rig, "renumber accelerator", "auto");
}

static void a_pseudo_slot_is_no_token(void **state)
{
    struct rig *rig = (struct rig *)*state;
    OK(hsm_settings_choose(rig->root, NULL, false, NULL, &rig->settings));
    whole(rig, "accelerator", "auto"); // the only one that can be used, without a label
    OK(hsm_settings_choose(rig->root, NULL, true, "accelerator", &rig->settings));
    struct hsm *hsm = NULL;
    rig_shim(rig, "accelerator");
    FAILS(ERR_HSM_SLOT, rig_open(rig, &hsm));
    assert_true(rig_says("\"accelerator\" (wants no login)"));
    OK(hsm_settings_choose(rig->root, NULL, true, RIG_LABEL, &rig->settings));
    rig_shim(rig, "length=C_GetSlotList:ffffffff:1");
    FAILS(ERR_HSM_SLOT, rig_open(rig, &hsm));
    assert_true(rig_says("4294967295 slots"));
}

static void sessions_are_read_write(void **state)
{
    whole((struct rig *)*state, "noro rv=C_GenerateRandom:101:1", "auto");
}

static void pReserved_is_what_is_configured(void **state)
{
    static const char text[] = "configdir='sql:/etc/pki' flags=readOnly";
    struct rig *rig = (struct rig *)*state;
    rig_export(rig, "KWSHIM_RESERVED", text);
    struct hsm *hsm = NULL;
    rig_shim(rig, "reserved");
    FAILS(ERR_HSM_LIBRARY, rig_open(rig, &hsm));
    assert_true(rig_says("CKR_ARGUMENTS_BAD") && rig_says("HSM_INIT_RESERVED"));
    memcpy(rig->settings.init_reserved, text, sizeof text);
    whole(rig, "reserved", "auto");
    whole(rig, "reserved rv=C_Initialize:a:1-", "auto"); // CKR_CANT_LOCK: asked again with it
}

// -- all --
// Whatever one call of any function does, the whole either succeeds or fails, and works afterwards.
static void fail_once(struct rig *rig, const char *how, const char *function, const char *rest)
{
    char words[96];
    CLEANUP(blob_done) struct blob blob;
    blob_init(&blob, "auto");
    assert_true(snprintf(words, sizeof words, "%s=%s%s", how, function, rest) > 0);
    rig_shim(rig, words);
    if (make(rig, &blob) != ERR_OK)
        return;
    assert_int_not_equal(open_blob(rig, &blob), ERR_INTERNAL);
    rig_shim(rig, "");
    OK(open_blob(rig, &blob)); // what was made in spite of the fault, or before it, is whole
}

static void any_function_may_fail_in_any_way(void **state)
{
    static const char *const functions[] = {"C_CloseSession",    "C_Decrypt",
                                            "C_DecryptInit",     "C_Encrypt",
                                            "C_EncryptInit",     "C_Finalize",
                                            "C_FindObjects",     "C_FindObjectsFinal",
                                            "C_FindObjectsInit", "C_GenerateKey",
                                            "C_GetSlotList",     "C_GetTokenInfo",
                                            "C_Initialize",      "C_Login",
                                            "C_OpenSession",     "C_CreateObject",
                                            "C_DestroyObject",   "C_GetAttributeValue"};
    static const struct {
        const char *how;
        const char *rest;
    } ways[] = {{"kill", ":1"}, {"rv", ":82000001:2"}, {"rv", ":ffffffffffffffff:1-"}};
    struct rig *rig = (struct rig *)*state;
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        for (size_t way = 0; way < COUNT_OF(ways); way++)
            fail_once(rig, ways[way].how, functions[i], ways[way].rest);
    }
    whole(rig, "", "auto");
}

#define ON_TOKEN(test) cmocka_unit_test_setup_teardown(test, rig_up, rig_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_TOKEN(a_device_lost_to_a_process_is_back_in_the_next),
        ON_TOKEN(a_dropped_session_ends_nothing),
        ON_TOKEN(a_token_that_says_all_is_well_is_not_believed),
        ON_TOKEN(a_library_that_fails_to_begin_or_end_is_tried_again_or_let_go),
        ON_TOKEN(vendor_codes_and_garbage_are_shown_as_they_are),
        ON_TOKEN(any_function_may_hang),
        ON_TOKEN(gcm_whose_iv_the_hsm_makes),
        ON_TOKEN(gcm_parameters_of_each_layout),
        ON_TOKEN(cbc_pad_is_passed_over_when_its_round_trip_fails),
        ON_TOKEN(mechanism_lists_are_never_asked),
        ON_TOKEN(no_function_but_those_documented_is_called),
        ON_TOKEN(functions_beside_the_17_may_be_missing),
        ON_TOKEN(a_library_without_C_GenerateKey_names_the_way_out),
        ON_TOKEN(a_key_is_adopted_where_the_library_makes_none),
        ON_TOKEN(of_adopted_keys_there_is_exactly_one),
        ON_TOKEN(a_number_object_is_never_changed_in_place),
        ON_TOKEN(ids_that_are_unique),
        ON_TOKEN(an_id_refused_meanwhile_is_given_up_for_the_next),
        ON_TOKEN(ids_that_replace),
        ON_TOKEN(an_object_made_elsewhere_is_seen_by_the_next_process),
        ON_TOKEN(two_servers_with_an_old_view_find_out_in_the_next_process),
        ON_TOKEN(a_number_taken_meanwhile_is_given_up_for_the_next),
        ON_TOKEN(a_policy_gets_a_template_it_can_take),
        ON_TOKEN(a_key_that_comes_out_otherwise_is_refused),
        ON_TOKEN(a_credential_goes_as_typed),
        ON_TOKEN(the_last_try_is_a_person_s),
        ON_TOKEN(somebody_logged_in_already_is_fine),
        ON_TOKEN(hsmd_has_one_thread_no_child_and_the_given_environment),
        ON_TOKEN(slot_numbers_differ_from_process_to_process),
        ON_TOKEN(a_pseudo_slot_is_no_token),
        ON_TOKEN(sessions_are_read_write),
        ON_TOKEN(pReserved_is_what_is_configured),
        ON_TOKEN(any_function_may_fail_in_any_way),
    };
    return cmocka_run_group_tests(tests, rig_driver_up, rig_driver_down);
}
