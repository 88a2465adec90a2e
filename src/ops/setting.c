// SPDX-License-Identifier: Apache-2.0
//
// JSON in settings.
#include "ops/setting.h"

#include <stdlib.h>

#include "base/clock.h"
#include "ops/doc.h"

enum err setting_load(struct ops *ops, struct arena *arena, const char *name, json_t **ret)
{
    struct span text;
    *ret = NULL;
    enum err err = store_setting_get(ops->set.store, true, name, arena, &text);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    *ret = json_loadb((const char *)text.data, text.len, 0, NULL);
    if (*ret == NULL)
        FAIL(ERR_DAMAGED, "the setting \"%s\" of the store is damaged", name);
    return ERR_OK;
}

enum err setting_keep(struct ops *ops, const char *name, const json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT);
    if (text == NULL)
        FAIL(ERR_MEMORY, "no memory for a setting");
    enum err err = store_setting_put(ops->set.store, true, name, span_str(text));
    free(text);
    return err;
}

const char *setting_text(const json_t *doc, const char *name)
{
    const char *text = json_string_value(json_object_get(doc, name));
    return text == NULL ? "" : text;
}

int64_t setting_number(const json_t *doc, const char *name)
{
    return json_integer_value(json_object_get(doc, name));
}

enum err setting_put_error(json_t *state, const char *error)
{
    if (error[0] == '\0') {
        (void)json_object_del(state, "error");
        (void)json_object_del(state, "error_since");
        return ERR_OK;
    }
    TRY(doc_set(state, "error", doc_string(span_str(error))));
    if (setting_number(state, "error_since") == 0)
        TRY(doc_set(state, "error_since", json_integer(clock_wall_s())));
    return ERR_OK;
}
