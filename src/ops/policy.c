// SPDX-License-Identifier: Apache-2.0
//
// A password is taken for a common one when one of these is left of it in lower case: all of it,
// what lies between the digits and signs at its ends, or the part of which it is a repetition.
#include "ops/policy.h"

#include <ctype.h>

#include "base/pwhash.h"
#include "ops/verbs.h"

#define SETTING "people"

enum { VARIED_MIN = 5 };

struct field {
    const char *name;
    size_t offset;
    int64_t least, most, usual;
};

#define FIELD(name, least, most, usual)                                                            \
    {                                                                                              \
#name, offsetof(struct policy, name), least, most, usual                                   \
    }

static const struct field table[] = {
    FIELD(password_min, 12, 64, 12),     FIELD(password_days, 0, 3650, 0),
    FIELD(password_kept, 0, 24, 0),      FIELD(tries, 1, 20, 5),
    FIELD(lock_s, 60, 86400, 900),       FIELD(idle_s, 120, 86400, 900),
    FIELD(session_s, 300, 86400, 28800), FIELD(token_days, 1, 3650, 365),
};

enum { FIELDS = sizeof table / sizeof *table };

static int64_t *value_of(struct policy *policy, const struct field *field)
{
    return (int64_t *)(void *)((char *)policy + field->offset);
}

static enum err take(const json_t *doc, struct policy *policy)
{
    for (size_t i = 0; i < FIELDS; i++)
        TRY(doc_integer(doc, table[i].name, table[i].least, table[i].most,
                        value_of(policy, &table[i])));
    return ERR_OK;
}

enum err policy_load(struct op *op, struct policy *ret)
{
    struct span text;
    for (size_t i = 0; i < FIELDS; i++)
        *value_of(ret, &table[i]) = table[i].usual;
    enum err err = store_setting_get(op->ops->set.store, false, SETTING, op->arena, &text);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    CLEANUP(doc_freep) json_t *doc = json_loadb((const char *)text.data, text.len, 0, NULL);
    if (doc == NULL || take(doc, ret) != ERR_OK)
        FAIL(ERR_DAMAGED, "the setting \"" SETTING "\" of the store is damaged");
    return ERR_OK;
}

static json_t *to_json(const struct policy *policy)
{
    struct policy copy = *policy;
    json_t *doc = json_object();
    for (size_t i = 0; doc != NULL && i < FIELDS; i++) {
        if (json_object_set_new(doc, table[i].name, json_integer(*value_of(&copy, &table[i]))) == 0)
            continue;
        json_decref(doc);
        return NULL;
    }
    return doc;
}

static enum err change(struct op *op, const json_t *doc, struct policy *policy)
{
    char text[512];
    TRY(take(doc, policy));
    CLEANUP(doc_freep) json_t *all = to_json(policy);
    size_t len = all == NULL ? 0 : json_dumpb(all, text, sizeof text, JSON_COMPACT);
    if (len == 0 || len > sizeof text)
        FAIL(ERR_MEMORY, "no memory for the setting \"" SETTING "\"");
    return store_setting_put(op->ops->set.store, false, SETTING, span_of(text, len));
}

// ---- passwords ----

static size_t count_chars(struct span text)
{
    size_t chars = 0;
    for (size_t i = 0; i < text.len; i++)
        chars += (text.data[i] & 0xc0) != 0x80;
    return chars;
}

static bool is_varied(struct span text)
{
    bool seen[256] = {false};
    unsigned different = 0;
    for (size_t i = 0; i < text.len; i++) {
        different += !seen[text.data[i]];
        seen[text.data[i]] = true;
    }
    return different >= VARIED_MIN;
}

static bool is_word(struct span text)
{
    for (size_t i = 0; policy_words[i] != NULL; i++) {
        if (span_eq_str(text, policy_words[i]))
            return true;
    }
    return false;
}

// Without digits and signs at both ends.
static struct span core_of(struct span text)
{
    while (text.len > 0 && text.data[0] < 0x80 && !isalpha(text.data[0]))
        text = span_of(text.data + 1, text.len - 1);
    while (text.len > 0 && text.data[text.len - 1] < 0x80 && !isalpha(text.data[text.len - 1]))
        text.len--;
    return text;
}

// The shortest part that the text is a repetition of; the text itself when it is none.
static struct span part_of(struct span text)
{
    for (size_t len = 1; len <= text.len / 2; len++) {
        if (text.len % len == 0 && memcmp(text.data, text.data + len, text.len - len) == 0)
            return span_of(text.data, len);
    }
    return text;
}

static bool is_common(struct span lower)
{
    struct span core = core_of(lower);
    return is_word(lower) || is_word(core) || is_word(part_of(lower)) || is_word(part_of(core));
}

static bool is_name(struct span lower, struct span name)
{
    return name.len > 0 && (span_eq(lower, name) || span_eq(core_of(lower), core_of(name)) ||
                            span_eq(part_of(lower), name));
}

enum err policy_check(const struct policy *policy, struct span password, struct span name)
{
    uint8_t lower[PWHASH_PASSWORD_MAX];
    if (password.len > sizeof lower || !span_is_utf8(password))
        FAIL(ERR_INVALID, "the new password must be UTF-8 of at most %d bytes",
             PWHASH_PASSWORD_MAX);
    if (count_chars(password) < (size_t)policy->password_min)
        FAIL(ERR_INVALID, "the new password must have at least %lld characters",
             (long long)policy->password_min);
    for (size_t i = 0; i < password.len; i++)
        lower[i] = password.data[i] < 0x80 ? (uint8_t)tolower(password.data[i]) : password.data[i];
    struct span text = span_of(lower, password.len);
    bool easy = !is_varied(text) || is_common(text);
    bool own = is_name(text, name);
    explicit_bzero(lower, sizeof lower);
    if (easy)
        FAIL(ERR_INVALID,
             "the new password is one that many people have, or repeats itself: choose "
             "one that nobody guesses");
    if (own)
        FAIL(ERR_INVALID, "the new password must not be the user's name");
    return ERR_OK;
}

// → the rules
enum err policy_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct policy policy;
    TRY(doc_params(op, &doc));
    TRY(policy_load(op, &policy));
    return doc_answer(op, to_json(&policy));
}

// Any of the rules → all of them
enum err policy_set_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct policy policy;
    TRY(doc_params(op, &doc));
    TRY(policy_load(op, &policy));
    TRY(change(op, doc, &policy));
    return doc_answer(op, to_json(&policy));
}
