// SPDX-License-Identifier: Apache-2.0
//
// What Keyward has on the token, for a person: root keys and number objects of every release. This
// alone needs C_GetAttributeValue; without it the list is empty and the trace says so. An object
// that cannot be read (a half-written one) is passed over and traced.
#include <jansson.h>
#include <stdlib.h>

#include "base/hex.h"
#include "base/log.h"
#include "hsm/p11.h"

enum { LABEL_ROOM = 128, VALUE_ROOM = 64 };

static bool is_ours(const char *label, size_t len, const char *end)
{
    size_t end_len = strlen(end);
    return len > 4 + end_len && memcmp(label, "OKV ", 4) == 0 &&
           memcmp(label + len - end_len, end, end_len) == 0;
}

static enum err list_object(struct p11 *p11, CK_OBJECT_HANDLE object, bool key, json_t *array)
{
    char label[LABEL_ROOM + 1];
    size_t len = 0;
    if (!p11_session_attribute(p11, object, CKA_LABEL, label, LABEL_ROOM, &len)) {
        log_event(LOG_LEVEL_WARN, "object_unreadable handle=%lu", object);
        return ERR_OK;
    }
    label[len] = '\0';
    if (!is_ours(label, len, key ? " HSM Root Key" : " HSM Key Number") ||
        !span_is_utf8(span_of(label, len)))
        return ERR_OK;
    uint8_t value[VALUE_ROOM];
    size_t value_len = 0;
    char id[2 * VALUE_ROOM + 1] = "";
    json_int_t number = 0;
    if (!p11_session_attribute(p11, object, key ? CKA_ID : CKA_VALUE, value, sizeof value,
                               &value_len))
        log_event(LOG_LEVEL_WARN, "object_unreadable handle=%lu label=\"%s\"", object, label);
    hex_text(span_of(value, value_len), id);
    for (size_t i = 0; i < value_len; i++)
        number = number > INT32_MAX ? number : number << 8 | value[i];
    json_t *entry = json_pack("{s:s, s:s, s:s, s:I}", "class", key ? "secret key" : "data", "label",
                              label, key ? "id" : "value", id, "number", number);
    if (entry == NULL || json_array_append_new(array, entry) != 0)
        FAIL(ERR_MEMORY, "no memory for the list of root keys");
    return ERR_OK;
}

static enum err list_class(struct p11 *p11, CK_OBJECT_CLASS class, json_t *array)
{
    CK_ATTRIBUTE template = {CKA_CLASS, &class, sizeof class};
    CK_OBJECT_HANDLE *objects = calloc(P11_OBJECTS_MAX, sizeof *objects);
    if (objects == NULL)
        FAIL(ERR_MEMORY, "no memory for the list of root keys");
    size_t count = 0;
    enum err err = p11_session_find(p11, &template, 1, objects, P11_OBJECTS_MAX, &count);
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = list_object(p11, objects[i], class == CKO_SECRET_KEY, array);
    free(objects);
    return err;
}

static enum err dump(json_t *array, struct buf *out)
{
    char *text = json_dumps(array, JSON_COMPACT);
    if (text == NULL)
        FAIL(ERR_MEMORY, "no memory for the list of root keys");
    enum err err = buf_put_str(out, text);
    free(text);
    return err;
}

enum err p11_list(struct p11 *p11, struct buf *ret_json)
{
    json_t *array = json_array();
    if (array == NULL)
        FAIL(ERR_MEMORY, "no memory for the list of root keys");
    enum err err = list_class(p11, CKO_DATA, array);
    if (err == ERR_OK)
        err = list_class(p11, CKO_SECRET_KEY, array);
    if (err == ERR_OK)
        err = dump(array, ret_json);
    json_decref(array);
    return err;
}
