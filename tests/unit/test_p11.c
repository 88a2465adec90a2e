// SPDX-License-Identifier: Apache-2.0
//
// The p11_*.c files on a library made up here, for what no software token does: flags of a PIN that
// is nearly locked, labels padded with NUL, attributes other than asked for, counts that lie.
#include <stdlib.h>

#include "base/log.h"
#include "hsm/p11.h"
#include "tests/unit/check.h"

enum { FAKE_OBJECTS = 600 };

struct fake_object {
    bool used;
    bool data;
    bool sensitive;
    uint32_t number; // id of a key, value of a number object
};

static struct {
    CK_SLOT_ID slots[4];
    CK_TOKEN_INFO tokens[4];
    CK_ULONG slot_count;
    CK_ULONG told_count; // by C_GetSlotList, 0: slot_count
    int logins;
    CK_RV login_rv;
    int sessions;
    struct fake_object objects[FAKE_OBJECTS];
    CK_OBJECT_HANDLE found[FAKE_OBJECTS];
    CK_ULONG found_count;
    CK_ULONG found_at;
    CK_ULONG lie; // C_FindObjects tells that many more
    int searches;
    int generated;
    int apart; // keys made under an id that is no number
    CK_RV set_rv;
    CK_RV generate_rv[4];
    bool not_sensitive; // keys come out so
    bool no_attributes;
    bool no_data;
    bool no_destroy;
} fake;

static CK_RV fake_C_GetSlotList(CK_BBOOL present, CK_SLOT_ID *out, CK_ULONG *count)
{
    assert_int_equal(present, CK_TRUE);
    if (out != NULL)
        memcpy(out, fake.slots, fake.slot_count * sizeof *out);
    *count = fake.told_count == 0 ? fake.slot_count : fake.told_count;
    return CKR_OK;
}

static CK_RV fake_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    *info = fake.tokens[slot];
    return CKR_OK;
}

static CK_RV fake_C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *arg, CK_NOTIFY notify,
                                CK_SESSION_HANDLE *ret)
{
    (void)slot;
    (void)arg;
    (void)notify;
    assert_int_equal(flags, CKF_SERIAL_SESSION | CKF_RW_SESSION);
    fake.sessions++;
    *ret = (CK_SESSION_HANDLE)fake.sessions;
    return CKR_OK;
}

static CK_RV fake_C_CloseSession(CK_SESSION_HANDLE session)
{
    (void)session;
    return CKR_OK;
}

static CK_RV fake_C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin,
                          CK_ULONG len)
{
    (void)session;
    assert_int_equal(user, CKU_USER);
    assert_int_equal(len, 4);
    assert_memory_equal(pin, "1234", 4);
    fake.logins++;
    return fake.login_rv;
}

static uint32_t number_of(const CK_ATTRIBUTE *attribute)
{
    const uint8_t *value = (const uint8_t *)attribute->pValue;
    assert_int_equal(attribute->ulValueLen, 4);
    return (uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 | (uint32_t)value[2] << 8 | value[3];
}

static const CK_ATTRIBUTE *pick(const CK_ATTRIBUTE *template, CK_ULONG count,
                                CK_ATTRIBUTE_TYPE type)
{
    for (CK_ULONG i = 0; i < count; i++) {
        if (template[i].type == type)
            return &template[i];
    }
    return NULL;
}

static CK_RV fake_C_FindObjectsInit(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template,
                                    CK_ULONG count)
{
    (void)session;
    bool data = *(CK_OBJECT_CLASS *)template[0].pValue == CKO_DATA;
    const CK_ATTRIBUTE *wanted = pick(template, count, data ? CKA_VALUE : CKA_ID);
    fake.searches++;
    fake.found_count = 0;
    fake.found_at = 0;
    for (CK_ULONG i = 0; i < FAKE_OBJECTS; i++) {
        const struct fake_object *object = &fake.objects[i];
        if (object->used && object->data == data &&
            (wanted == NULL || object->number == number_of(wanted)))
            fake.found[fake.found_count++] = i + 1;
    }
    return CKR_OK;
}

static CK_RV fake_C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *out, CK_ULONG max,
                                CK_ULONG *count)
{
    (void)session;
    CK_ULONG left = fake.found_count - fake.found_at;
    *count = left < max ? left : max;
    memcpy(out, fake.found + fake.found_at, *count * sizeof *out);
    fake.found_at += *count;
    *count += fake.lie;
    return CKR_OK;
}

static CK_RV fake_C_FindObjectsFinal(CK_SESSION_HANDLE session)
{
    (void)session;
    return CKR_OK;
}

static CK_OBJECT_HANDLE add(bool data, uint32_t number)
{
    for (CK_ULONG i = 0; i < FAKE_OBJECTS; i++) {
        if (fake.objects[i].used)
            continue;
        fake.objects[i] = (struct fake_object){true, data, !fake.not_sensitive, number};
        return i + 1;
    }
    fail_msg("no room for objects");
    return 0;
}

static CK_RV fake_C_CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count,
                                 CK_OBJECT_HANDLE *ret)
{
    (void)session;
    if (fake.no_data)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    *ret = add(true, number_of(pick(template, count, CKA_VALUE)));
    return CKR_OK;
}

static CK_RV fake_C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    (void)session;
    if (fake.no_destroy)
        return CKR_ACTION_PROHIBITED;
    assert_true(fake.objects[object - 1].used);
    fake.objects[object - 1].used = false;
    return CKR_OK;
}

static CK_RV fake_C_GenerateKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                                CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *ret)
{
    static const CK_ATTRIBUTE_TYPE never[] = {CKA_WRAP, CKA_UNWRAP, CKA_SIGN, CKA_VERIFY,
                                              CKA_DERIVE};
    (void)session;
    assert_int_equal(mechanism->mechanism, CKM_AES_KEY_GEN);
    for (size_t i = 0; i < COUNT_OF(never); i++)
        assert_null(pick(template, count, never[i]));
    assert_int_equal(*(CK_BBOOL *)pick(template, count, CKA_SENSITIVE)->pValue, CK_TRUE);
    assert_non_null(pick(template, count, CKA_EXTRACTABLE));
    assert_non_null(pick(template, count, CKA_VALUE_LEN));
    // What is given up, in order: PRIVATE, then CLASS and KEY_TYPE.
    assert_int_equal(pick(template, count, CKA_PRIVATE) != NULL, fake.generated == 0);
    assert_int_equal(pick(template, count, CKA_CLASS) != NULL, fake.generated < 2);
    CK_RV rv = fake.generate_rv[fake.generated++];
    const CK_ATTRIBUTE *id = pick(template, count, CKA_ID);
    if (rv == CKR_OK)
        *ret = add(false, id->ulValueLen == 4 ? number_of(id) : 0);
    fake.apart += rv == CKR_OK && id->ulValueLen == 16;
    return rv;
}

static CK_RV fake_C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                      CK_ATTRIBUTE *template, CK_ULONG count)
{
    (void)session;
    assert_int_equal(count, 1);
    assert_int_equal(template->type, CKA_ID);
    fake.generated = 0; // what is made next is a new key
    if (fake.set_rv == CKR_OK)
        fake.objects[object - 1].number = number_of(template);
    return fake.set_rv;
}

static CK_RV fake_C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                      CK_ATTRIBUTE *attribute, CK_ULONG count)
{
    (void)session;
    assert_int_equal(count, 1);
    const struct fake_object *it = &fake.objects[object - 1];
    if (fake.no_attributes)
        return CKR_FUNCTION_NOT_SUPPORTED;
    if (attribute->type == CKA_VALUE && it->data) {
        uint8_t value[4];
        p11_number_encode(it->number, value);
        memcpy(attribute->pValue, value, 4);
        attribute->ulValueLen = 4;
        return CKR_OK;
    }
    if (attribute->ulValueLen != sizeof(CK_BBOOL))
        return CKR_ATTRIBUTE_TYPE_INVALID;
    *(CK_BBOOL *)attribute->pValue =
        attribute->type == CKA_SENSITIVE ? it->sensitive : attribute->type == CKA_TOKEN;
    return CKR_OK;
}

static CK_FUNCTION_LIST functions = {
    .version = {2, 40},
    .C_GetSlotList = fake_C_GetSlotList,
    .C_GetTokenInfo = fake_C_GetTokenInfo,
    .C_OpenSession = fake_C_OpenSession,
    .C_CloseSession = fake_C_CloseSession,
    .C_Login = fake_C_Login,
    .C_FindObjectsInit = fake_C_FindObjectsInit,
    .C_FindObjects = fake_C_FindObjects,
    .C_FindObjectsFinal = fake_C_FindObjectsFinal,
    .C_CreateObject = fake_C_CreateObject,
    .C_DestroyObject = fake_C_DestroyObject,
    .C_GenerateKey = fake_C_GenerateKey,
    .C_GetAttributeValue = fake_C_GetAttributeValue,
    .C_SetAttributeValue = fake_C_SetAttributeValue,
};

static const CK_FLAGS usable =
    CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED;
static const struct hsm_settings labelled = {.use_label = true, .label = "tok"};

static void set_token(CK_SLOT_ID slot, const char *label, char padding, CK_FLAGS flags)
{
    CK_TOKEN_INFO *info = &fake.tokens[slot];
    memset(info->label, padding, sizeof info->label);
    memcpy(info->label, label, strlen(label));
    info->flags = flags;
}

// One good token "tok" in slot 0.
static int begin(void **state)
{
    memset(&fake, 0, sizeof fake);
    for (CK_SLOT_ID i = 0; i < COUNT_OF(fake.slots); i++)
        fake.slots[i] = i;
    fake.slot_count = 1;
    set_token(0, "tok", ' ', usable);
    struct p11 *p11 = calloc(1, sizeof *p11);
    assert_non_null(p11);
    p11->functions = &functions;
    *state = p11;
    return 0;
}

static int end(void **state)
{
    free(*state);
    return 0;
}

static bool says(const char *text)
{
    return strstr(err_detail(), text) != NULL;
}

static void a_label_padded_with_nul_matches(void **state)
{
    struct p11 *p11 = (struct p11 *)*state;
    set_token(0, "tok", '\0', usable);
    OK(p11_slot_find(p11, &labelled));
    assert_string_equal(p11->label, "tok");
}

static void a_token_that_cannot_be_used_does_not_count(void **state)
{
    static const struct {
        CK_FLAGS flags;
        const char *why;
    } rows[] = {
        {usable & ~CKF_TOKEN_INITIALIZED, "not initialized"},
        {usable & ~CKF_LOGIN_REQUIRED, "wants no login"},
        {usable & ~CKF_USER_PIN_INITIALIZED, "has no user PIN"},
        {usable | CKF_WRITE_PROTECTED, "write-protected"},
    };
    struct p11 *p11 = (struct p11 *)*state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        fake.slot_count = 1;
        set_token(0, "tok", ' ', rows[i].flags);
        FAILS(ERR_HSM_SLOT, p11_slot_find(p11, &labelled));
        assert_true(says(rows[i].why));
        fake.slot_count = 2;
        set_token(1, "tok", ' ', usable);
        OK(p11_slot_find(p11, &labelled));
        assert_int_equal(p11->slot, 1);
    }
}

static void a_slot_count_that_cannot_be_is_refused(void **state)
{
    struct p11 *p11 = (struct p11 *)*state;
    fake.told_count = 1UL << 40;
    FAILS(ERR_HSM_SLOT, p11_slot_find(p11, &labelled));
    assert_true(says("Could Not Get Slot for HSM"));
}

static void a_label_of_any_bytes_is_shown_as_text(void **state)
{
    (void)state;
    char out[HSM_LABEL_MAX + 1];
    p11_slot_text((const unsigned char *)"a\nb\xff  ", 6, out);
    assert_string_equal(out, "a?b?");
    p11_slot_text((const unsigned char *)"m\xc3\xbcnze\0\0", 8, out);
    assert_string_equal(out, "m\xc3\xbcnze");
    p11_slot_text((const unsigned char *)"    ", 4, out);
    assert_string_equal(out, "");
}

static void the_last_try_is_kept_for_a_person(void **state)
{
    static const struct {
        CK_FLAGS flags;
        bool attended;
        enum err code;
        int logins;
    } rows[] = {
        {0, false, ERR_OK, 1},
        {CKF_USER_PIN_COUNT_LOW, false, ERR_OK, 1},
        {CKF_USER_PIN_FINAL_TRY, false, ERR_HSM_PIN_LATCHED, 0},
        {CKF_USER_PIN_FINAL_TRY, true, ERR_OK, 1},
        {CKF_USER_PIN_LOCKED, false, ERR_HSM_PIN, 0},
        {CKF_USER_PIN_LOCKED, true, ERR_OK, 1},
    };
    struct p11 *p11 = (struct p11 *)*state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        fake.logins = 0;
        set_token(0, "tok", ' ', usable | rows[i].flags);
        assert_int_equal(p11_session_login(p11, span_str("1234"), rows[i].attended), rows[i].code);
        assert_int_equal(fake.logins, rows[i].logins);
    }
}

static void a_count_of_objects_that_lies_is_refused(void **state)
{
    struct p11 *p11 = (struct p11 *)*state;
    struct hsm_key key = {.number = 1, .id = {0, 0, 0, 1}, .id_len = 4, .label = "k"};
    CK_OBJECT_HANDLE found[P11_MATCHES_MAX];
    size_t count = 0;
    fake.lie = 1UL << 32;
    FAILS(ERR_HSM_FAILED, p11_key_find(p11, &key, found, &count));
    // As many as there are, up to the bound.
    fake.lie = 0;
    for (int i = 0; i < P11_MATCHES_MAX + 5; i++)
        (void)add(false, 1);
    OK(p11_key_find(p11, &key, found, &count));
    assert_int_equal(count, P11_MATCHES_MAX);
}

static uint32_t take(struct p11 *p11)
{
    uint32_t number = 0;
    OK(p11_number_take(p11, "n", "k", &number));
    return number;
}

static void numbers_are_found_without_reading_attributes(void **state)
{
    struct p11 *p11 = (struct p11 *)*state;
    fake.no_attributes = true;
    assert_int_equal(take(p11), 1);
    // The object says 1 although no key was made: it is searched by its value.
    assert_int_equal(take(p11), 2);
    for (uint32_t i = 1; i <= 300; i++) {
        if (i != 9 && i != 200)
            (void)add(false, i);
    }
    assert_int_equal(take(p11), 301);
}

static void few_searches_find_the_highest_key(void **state)
{
    struct p11 *p11 = (struct p11 *)*state;
    fake.no_data = true;
    for (uint32_t i = 1; i <= 500; i++)
        (void)add(false, i);
    assert_int_equal(take(p11), 501);
    assert_in_range(fake.searches, 1, 100);
}

static void of_two_number_objects_the_larger_counts_and_both_go(void **state)
{
    struct p11 *p11 = (struct p11 *)*state;
    (void)add(true, 7);
    (void)add(true, 4);
    assert_int_equal(take(p11), 8);
    int left = 0;
    for (size_t i = 0; i < FAKE_OBJECTS; i++)
        left += fake.objects[i].used && fake.objects[i].data;
    assert_int_equal(left, 1);
    // Where nothing can be destroyed they pile up, and the number rises all the same.
    fake.no_destroy = true;
    assert_int_equal(take(p11), 9);
    assert_int_equal(take(p11), 10);
}

static void the_last_number_is_not_passed(void **state)
{
    struct p11 *p11 = (struct p11 *)*state;
    uint32_t number = 0;
    (void)add(true, 0x7fffffff);
    FAILS(ERR_HSM_FAILED, p11_number_take(p11, "n", "k", &number));
    assert_true(says("no free key number"));
}

static struct hsm_key one(void)
{
    return (struct hsm_key){.number = 1, .id = {0, 0, 0, 1}, .id_len = 4, .label = "k"};
}

static void the_template_shrinks_step_by_step(void **state)
{
    struct p11 *p11 = (struct p11 *)*state;
    struct hsm_key key = one();
    fake.generate_rv[0] = CKR_ATTRIBUTE_TYPE_INVALID;
    fake.generate_rv[1] = CKR_TEMPLATE_INCONSISTENT;
    OK(p11_key_create(p11, &key, false));
    assert_int_equal(fake.generated, 3);
    fake.generated = 0;
    fake.generate_rv[2] = CKR_TEMPLATE_INCONSISTENT;
    FAILS(ERR_HSM_FAILED, p11_key_create(p11, &key, false));
    assert_int_equal(fake.generated, 3);
    assert_true(says("CKR_TEMPLATE_INCONSISTENT"));
}

static int keys_of_number(uint32_t number)
{
    int count = 0;
    for (size_t i = 0; i < FAKE_OBJECTS; i++)
        count += fake.objects[i].used && !fake.objects[i].data && fake.objects[i].number == number;
    return count;
}

static void without_data_objects_a_key_gets_its_number_afterwards(void **state)
{
    struct p11 *p11 = (struct p11 *)*state;
    struct hsm_key key = one();
    OK(p11_key_create(p11, &key, false));
    assert_int_equal(fake.apart, 0);
    fake.objects[0].used = false;
    fake.no_data = true;
    fake.generated = 0;
    assert_int_equal(take(p11), 1);
    (void)add(false, 1); // another server, meanwhile
    OK(p11_key_create(p11, &key, false));
    assert_int_equal(fake.apart, 1);
    assert_int_equal(keys_of_number(1), 2);
    // A token that changes no id: nothing is left of the try.
    fake.set_rv = CKR_ATTRIBUTE_READ_ONLY;
    fake.generated = 0;
    OK(p11_key_create(p11, &key, false));
    assert_int_equal(fake.apart, 2);
    assert_int_equal(keys_of_number(1), 3);
    assert_int_equal(keys_of_number(0), 0);
}

static void a_key_that_came_out_otherwise_is_withdrawn(void **state)
{
    struct p11 *p11 = (struct p11 *)*state;
    struct hsm_key key = one();
    CK_OBJECT_HANDLE handle = 0;
    fake.not_sensitive = true;
    FAILS(ERR_HSM_FAILED, p11_key_create(p11, &key, false));
    assert_true(says("CKA_SENSITIVE"));
    assert_false(fake.objects[0].used);
    assert_false(p11_key_created(p11, &key, &handle));
    // This token makes no extractable keys, whatever is asked.
    fake.not_sensitive = false;
    fake.generated = 0;
    FAILS(ERR_HSM_FAILED, p11_key_create(p11, &key, true));
    assert_true(says("CKA_EXTRACTABLE false although true was asked for"));
    // Where attributes are not told the key is taken as it is.
    fake.no_attributes = true;
    fake.generated = 0;
    OK(p11_key_create(p11, &key, true));
    assert_true(p11_key_created(p11, &key, &handle));
}

static void one_process_makes_a_bounded_number_of_keys(void **state)
{
    struct p11 *p11 = (struct p11 *)*state;
    struct hsm_key key = one();
    for (int i = 0; i < P11_CREATED_MAX; i++) {
        fake.generated = 0;
        OK(p11_key_create(p11, &key, false));
    }
    fake.generated = 0;
    FAILS(ERR_TOO_LARGE, p11_key_create(p11, &key, false));
}

static void codes_have_names(void **state)
{
    static const struct {
        CK_RV rv;
        const char *text;
    } rows[] = {
        {CKR_OK, "CKR_OK (0x0)"},
        {CKR_PIN_LOCKED, "CKR_PIN_LOCKED (0xa4)"},
        {0x81000071, "the vendor's code 0x81000071"},
        {0xffffffffffffffff, "the unknown code 0xffffffffffffffff"},
        {0x7654, "the unknown code 0x7654"},
    };
    (void)state;
    char text[P11_RV_TEXT];
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(p11_rv_text(rows[i].rv, text), rows[i].text);
}

#define ON_FAKE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    log_setup("test", LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        ON_FAKE(a_label_padded_with_nul_matches),
        ON_FAKE(a_token_that_cannot_be_used_does_not_count),
        ON_FAKE(a_slot_count_that_cannot_be_is_refused),
        ON_FAKE(a_label_of_any_bytes_is_shown_as_text),
        ON_FAKE(the_last_try_is_kept_for_a_person),
        ON_FAKE(a_count_of_objects_that_lies_is_refused),
        ON_FAKE(numbers_are_found_without_reading_attributes),
        ON_FAKE(few_searches_find_the_highest_key),
        ON_FAKE(of_two_number_objects_the_larger_counts_and_both_go),
        ON_FAKE(the_last_number_is_not_passed),
        ON_FAKE(the_template_shrinks_step_by_step),
        ON_FAKE(without_data_objects_a_key_gets_its_number_afterwards),
        ON_FAKE(a_key_that_came_out_otherwise_is_withdrawn),
        ON_FAKE(one_process_makes_a_bounded_number_of_keys),
        ON_FAKE(codes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
