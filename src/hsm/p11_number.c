// SPDX-License-Identifier: Apache-2.0
//
// Key numbers. The number object (CKO_DATA, "OKV <release> HSM Key Number") is bookkeeping for the
// HSM's administrator: raised by making the next one and then destroying the old, so that a crash
// leaves two and the larger counts. Where a token has no data objects, or does not tell their
// value, the keys' own ids say which numbers are taken. In every case a number that is any secret
// key's CKA_ID, ours or not, is passed over.
//
// PKCS#11 cannot make this atomic between servers: after its key is made, hsm_direct.c counts, and
// the keeper counts again in a fresh process.
#include "base/log.h"
#include "hsm/p11.h"

enum {
    NUMBER_LEN = 4,
    HOLE = 64,          // numbers looked at beyond the highest that was found
    PASS_LIMIT = 10000, // numbers passed over before giving up
    VALUE_MAX = 64,
};
static const uint32_t number_max = 0x7fffffff;

void p11_number_encode(uint32_t number, uint8_t out[NUMBER_LEN])
{
    for (int i = 0; i < NUMBER_LEN; i++)
        out[i] = (uint8_t)(number >> (8 * (NUMBER_LEN - 1 - i)));
}

// Any length is read; leading zeros count for nothing.
static bool decode(const uint8_t *value, size_t len, uint32_t *ret)
{
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++) {
        number = number << 8 | value[i];
        if (number > number_max)
            return false;
    }
    *ret = (uint32_t)number;
    return len > 0;
}

// Whatever the key's label: some HSMs refuse a second key with one CKA_ID, NSS destroys the first.
static enum err is_taken(struct p11 *p11, uint32_t number, bool *ret)
{
    struct hsm_key key = {.number = number, .id_len = NUMBER_LEN};
    p11_number_encode(number, key.id);
    return p11_key_has_id(p11, &key, ret);
}

// The highest number from `from` on that a key has, with holes of up to HOLE numbers.
static enum err scan_keys(struct p11 *p11, uint32_t from, uint32_t *highest)
{
    for (uint32_t number = from; number <= *highest + HOLE && number < number_max; number++) {
        bool exists = false;
        TRY(is_taken(p11, number, &exists));
        if (exists)
            *highest = number;
    }
    return ERR_OK;
}

// Doubling to the first miss, then halving, then a look beyond: about 2 log n searches.
static enum err highest_key(struct p11 *p11, uint32_t *ret)
{
    uint32_t low = 0;
    uint32_t high = 1;
    bool exists = true;
    while (exists && high < number_max / 2) {
        TRY(is_taken(p11, high, &exists));
        if (exists) {
            low = high;
            high *= 2;
        }
    }
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        TRY(is_taken(p11, middle, &exists));
        if (exists)
            low = middle;
        else
            high = middle;
    }
    *ret = low;
    return scan_keys(p11, low + 1, ret);
}

static enum err find_objects(struct p11 *p11, const char *label, const uint8_t *value,
                             CK_OBJECT_HANDLE out[P11_MATCHES_MAX], size_t *ret_count)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)},
        {CKA_VALUE, (void *)(uintptr_t)value, NUMBER_LEN},
    };
    return p11_session_find(p11, template, value == NULL ? 2 : 3, out, P11_MATCHES_MAX, ret_count);
}

// The largest value among the objects; *ret_known false when none could be read.
static void read_objects(struct p11 *p11, const CK_OBJECT_HANDLE *objects, size_t count,
                         uint32_t *ret, bool *ret_known)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t value[VALUE_MAX];
        size_t len = 0;
        uint32_t number = 0;
        if (!p11_session_attribute(p11, objects[i], CKA_VALUE, value, sizeof value, &len))
            continue;
        if (!decode(value, len, &number)) {
            log_event(LOG_LEVEL_WARN, "key_number_object_unreadable length=%zu", len);
            continue;
        }
        *ret_known = true;
        if (number > *ret)
            *ret = number;
    }
}

// Where values cannot be read they can be searched for.
static enum err search_objects(struct p11 *p11, const char *label, uint32_t *number)
{
    for (uint32_t value = *number + 1; value <= *number + HOLE && value < number_max; value++) {
        uint8_t encoded[NUMBER_LEN];
        p11_number_encode(value, encoded);
        CK_OBJECT_HANDLE found[P11_MATCHES_MAX];
        size_t count = 0;
        TRY(find_objects(p11, label, encoded, found, &count));
        if (count > 0)
            *number = value;
    }
    return ERR_OK;
}

static bool create_object(struct p11 *p11, const char *label, uint32_t number)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_BBOOL yes = CK_TRUE;
    uint8_t value[NUMBER_LEN];
    p11_number_encode(number, value);
    CK_ATTRIBUTE template[] = {
        {CKA_PRIVATE, &yes, sizeof yes}, // first: some tokens do without it
        {CKA_CLASS, &class, sizeof class},
        {CKA_TOKEN, &yes, sizeof yes},
        {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)},
        {CKA_VALUE, value, sizeof value},
    };
    CK_ULONG count = sizeof template / sizeof *template;
    CK_OBJECT_HANDLE object = 0;
    CK_RV rv = P11_CALL(p11, C_CreateObject, p11->session, template, count, &object);
    if (rv != CKR_OK)
        rv = P11_CALL(p11, C_CreateObject, p11->session, template + 1, count - 1, &object);
    char text[P11_RV_TEXT];
    p11->no_data_objects = rv != CKR_OK && rv != CKR_FUNCTION_NOT_SUPPORTED;
    if (rv != CKR_OK)
        log_event(LOG_LEVEL_WARN, "key_number_object_not_kept number=%u rv=\"%s\"", number,
                  p11_rv_text(rv, text));
    return rv == CKR_OK;
}

static void destroy_objects(struct p11 *p11, const CK_OBJECT_HANDLE *objects, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CK_RV rv = P11_CALL(p11, C_DestroyObject, p11->session, objects[i]);
        char text[P11_RV_TEXT];
        if (rv != CKR_OK)
            log_event(LOG_LEVEL_WARN, "key_number_object_left rv=\"%s\"", p11_rv_text(rv, text));
    }
}

enum err p11_number_take(struct p11 *p11, const char *number_label, const char *key_label,
                         uint32_t *ret)
{
    CK_OBJECT_HANDLE old[P11_MATCHES_MAX];
    size_t old_count = 0;
    TRY(find_objects(p11, number_label, NULL, old, &old_count));
    uint32_t number = 0;
    bool known = false;
    read_objects(p11, old, old_count, &number, &known);
    if (!known)
        TRY(highest_key(p11, &number));
    if (!known && old_count > 0)
        TRY(search_objects(p11, number_label, &number));
    bool taken = true;
    for (uint32_t passed = 0; taken; passed++) {
        if (number >= number_max || passed > PASS_LIMIT)
            FAIL(ERR_HSM_FAILED, "there is no free key number after %u for \"%s\"", number,
                 key_label);
        number++;
        TRY(is_taken(p11, number, &taken));
    }
    if (create_object(p11, number_label, number))
        destroy_objects(p11, old, old_count);
    *ret = number;
    return ERR_OK;
}
