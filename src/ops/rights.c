// SPDX-License-Identifier: Apache-2.0
//
// One table of words.
#include "ops/rights.h"

#include <stdio.h>

#include "ops/identity.h"

static const struct word {
    uint32_t right;
    const char *word, *title;
} words[] = {
    {RIGHT_SYSTEM, "system", "System Administrator"},
    {RIGHT_KEY, "key", "Key Administrator"},
    {RIGHT_AUDIT, "audit", "Audit Manager"},
    {RIGHT_MONITOR, "monitor", "Monitor"},
    {RIGHT_CREATE_ENDPOINT, "create-endpoint", "Create Endpoint"},
    {RIGHT_CREATE_GROUP, "create-endpoint-group", "Create Endpoint Group"},
};

// How somebody must stand to the thing.
static const struct word relations[] = {
    {API_BY_MANAGER, "manager", "whoever manages it"},
    {API_BY_OWNER, "owner", "its owner"},
    {API_BY_READER, "reader", "whoever may read it"},
    {API_BY_MODIFIER, "modifier", "whoever may modify it"},
    {API_BY_SELF, "self", "the user meant"},
};

enum {
    WORDS = sizeof words / sizeof *words,
    TITLES = WORDS + sizeof relations / sizeof *relations
};

static const struct word *title_at(size_t i)
{
    return i < WORDS ? &words[i] : &relations[i - WORDS];
}

static enum err find(const json_t *value, const char *field, uint32_t *ret)
{
    const char *text = json_string_value(value);
    for (size_t i = 0; text != NULL && i < WORDS; i++) {
        if (strcmp(words[i].word, text) == 0) {
            *ret = words[i].right;
            return ERR_OK;
        }
    }
    FAIL(ERR_INVALID,
         "\"%s\" holds what is no role or privilege: give system, key, audit, monitor, "
         "create-endpoint or create-endpoint-group",
         field);
}

enum err rights_take_role(const json_t *doc, const char *field, uint32_t *ret)
{
    const json_t *value = json_object_get(doc, field);
    uint32_t right = 0;
    if (value == NULL)
        FAIL(ERR_MISSING_DATA, "\"%s\" is missing", field);
    TRY(find(value, field, &right));
    if ((right & IDENTITY_ROLES) == 0)
        FAIL(ERR_INVALID, "\"%s\" is a privilege, no role: give system, key or audit", field);
    *ret = right;
    return ERR_OK;
}

enum err rights_take_list(const json_t *doc, const char *field, uint32_t usual, uint32_t *ret)
{
    const json_t *list = json_object_get(doc, field);
    size_t i;
    json_t *value;
    uint32_t rights = 0;
    *ret = usual;
    if (list == NULL || json_is_null(list))
        return ERR_OK;
    json_array_foreach(list, i, value)
    {
        uint32_t right = 0;
        TRY(find(value, field, &right));
        rights |= right;
    }
    *ret = rights;
    return ERR_OK;
}

void rights_text(uint32_t by, char out[RIGHTS_TEXT_MAX])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < TITLES && len < RIGHTS_TEXT_MAX; i++) {
        if ((by & title_at(i)->right) == 0)
            continue;
        by &= ~title_at(i)->right;
        bool last = true;
        for (size_t j = i + 1; j < TITLES; j++)
            last = last && (by & title_at(j)->right) == 0;
        len += (size_t)snprintf(out + len, RIGHTS_TEXT_MAX - len, "%s%s",
                                len == 0 ? "" : (last ? " or " : ", "), title_at(i)->title);
    }
}

uint32_t rights_within(uint32_t rights)
{
    return ((rights & RIGHT_SYSTEM) != 0 ? RIGHT_MONITOR | RIGHT_CREATE_ENDPOINT : 0) |
           ((rights & RIGHT_KEY) != 0 ? RIGHT_CREATE_GROUP : 0);
}

json_t *rights_words(uint32_t rights)
{
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < WORDS; i++) {
        if ((rights & words[i].right) != 0 &&
            json_array_append_new(list, json_string(words[i].word)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *rights_roles(uint32_t rights, uint32_t forward)
{
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < WORDS; i++) {
        if ((rights & words[i].right & IDENTITY_ROLES) == 0)
            continue;
        json_t *item = json_pack("{s:s, s:b}", "role", words[i].word, "forward",
                                 (forward & words[i].right) != 0);
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

const char *rights_word(uint32_t right)
{
    for (size_t i = 0; i < WORDS; i++) {
        if (words[i].right == right)
            return words[i].word;
    }
    return "";
}

const char *rights_title(uint32_t right)
{
    for (size_t i = 0; i < WORDS; i++) {
        if (words[i].right == right)
            return words[i].title;
    }
    return "no right";
}
