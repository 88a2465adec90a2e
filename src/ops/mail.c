// SPDX-License-Identifier: Apache-2.0
//
// Settings "mail" and "mail.password" (sealed: 16 bytes id of the data key, then the sealed bytes)
// and "mail.state" (clear: errors, and a test that is asked for). Invariant: a mail counts as sent
// when the courier has said that a server took it; a kill in between sends it twice, never not.
#include "ops/mail.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "ops/alert.h"
#include "ops/doc.h"
#include "ops/keys.h"
#include "ops/seal.h"
#include "ops/setting.h"
#include "ops/verbs.h"

#define SETTING  "mail"
#define PASSWORD "mail.password"
#define STATE    "mail.state"

enum {
    HOST_MAX = 255,
    ADDRESS_MAX = 254,
    RECIPIENTS_MAX = 20,
    CA_MAX = 64 * 1024,
    SEALED_MAX = 256 * 1024,
    PASSWORD_MAX = 512
};

static const struct seal_bound config_bound = {.part = "mail"};
static const struct seal_bound password_bound = {.part = "mail password"};

// ---- sealed settings ----

static enum err open_setting(struct ops *ops, struct arena *arena, const char *name,
                             const struct seal_bound *bound, struct uuid *ret_key, struct span *ret)
{
    struct span stored;
    struct span id;
    *ret = span_of(NULL, 0);
    enum err err = store_setting_get(ops->set.store, true, name, arena, &stored);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && stored.len == 0))
        return ERR_OK;
    TRY(err);
    struct cursor in = cursor_of(stored);
    TRY(cursor_bytes(&in, UUID_LEN, &id));
    memcpy(ret_key->bytes, id.data, UUID_LEN);
    return seal_open(ops, arena, bound, ret_key, in.rest, ret);
}

static enum err seal_setting(struct ops *ops, struct arena *arena, const char *name,
                             const struct seal_bound *bound, struct span plain)
{
    struct uuid key_id;
    struct span sealed;
    struct buf value CLEANUP(buf_done);
    buf_init(&value, SEALED_MAX, false);
    if (plain.len > 0) {
        TRY(seal_close(ops, arena, bound, plain, &sealed, &key_id));
        TRY(buf_put(&value, span_of(key_id.bytes, UUID_LEN)));
        TRY(buf_put(&value, sealed));
    }
    return store_setting_put(ops->set.store, true, name, span_buf(&value));
}

static enum err load(struct ops *ops, struct arena *arena, json_t **ret)
{
    struct uuid key;
    struct span text;
    *ret = NULL;
    TRY(open_setting(ops, arena, SETTING, &config_bound, &key, &text));
    if (text.len == 0)
        return ERR_OK;
    *ret = json_loadb((const char *)text.data, text.len, 0, NULL);
    if (*ret == NULL)
        FAIL(ERR_DAMAGED, "the setting \"" SETTING "\" of the store is damaged");
    return ERR_OK;
}

static enum err keep(struct ops *ops, struct arena *arena, const json_t *config)
{
    char *text = json_dumps(config, JSON_COMPACT);
    if (text == NULL)
        FAIL(ERR_MEMORY, "no memory for a setting");
    enum err err = seal_setting(ops, arena, SETTING, &config_bound, span_str(text));
    free(text);
    return err;
}

static enum err reseal_one(struct op *op, const char *name, const struct seal_bound *bound,
                           bool *moved)
{
    struct uuid key = {{0}};
    struct uuid newest;
    struct span plain;
    TRY(open_setting(op->ops, op->arena, name, bound, &key, &plain));
    bool known = keys_newest(op->ops, "objects", &newest).len > 0;
    if (plain.len == 0 || (known && memcmp(&key, &newest, sizeof newest) == 0))
        return ERR_OK;
    *moved = true;
    return seal_setting(op->ops, op->arena, name, bound, plain);
}

enum err mail_reseal(struct op *op, bool *ret_moved)
{
    *ret_moved = false;
    TRY(reseal_one(op, SETTING, &config_bound, ret_moved));
    return reseal_one(op, PASSWORD, &password_bound, ret_moved);
}

// ---- the courier ----

static bool is_enabled(const json_t *config)
{
    return config != NULL && json_is_true(json_object_get(config, "enabled"));
}

// Those of the type, else everybody's.
static enum err set_recipients(const json_t *config, json_t *mail)
{
    json_t *own =
        json_object_get(json_object_get(config, "to_by_type"), setting_text(mail, "type"));
    json_t *all = json_object_get(config, "to");
    return doc_set(mail, "to", json_incref(json_array_size(own) > 0 ? own : all));
}

static enum err add_test(const json_t *state, json_t *mails)
{
    const json_t *test = json_object_get(state, "test");
    if (test == NULL)
        return ERR_OK;
    json_t *mail = json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", setting_text(test, "id"), "type",
                             "test", "severity", "low", "since", setting_text(test, "asked"),
                             "text", "This is a test: mail about alerts arrives.");
    if (mail == NULL || json_array_append_new(mails, mail) != 0)
        FAIL(ERR_MEMORY, "no memory for a mail");
    return ERR_OK;
}

enum err mail_pull(struct ops *ops, struct arena *arena, json_t **ret, struct span *ret_password)
{
    size_t i;
    json_t *mail;
    struct uuid key;
    CLEANUP(doc_freep) json_t *config = NULL;
    CLEANUP(doc_freep) json_t *state = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    json_t *mails = json_array();
    TRY(doc_set(answer, "mails", mails));
    if (ops->open)
        TRY(load(ops, arena, &config));
    bool enabled = is_enabled(config);
    if (enabled) {
        TRY(setting_load(ops, arena, STATE, &state));
        TRY(alert_mails(ops, arena, mails));
        TRY(add_test(state, mails));
        json_array_foreach(mails, i, mail)
        {
            TRY(set_recipients(config, mail));
        }
        TRY(open_setting(ops, arena, PASSWORD, &password_bound, &key, ret_password));
    }
    TRY(doc_set(answer, "config", enabled ? json_incref(config) : json_null()));
    *ret = answer;
    answer = NULL;
    return ERR_OK;
}

static void forget_test(json_t *state, const json_t *sent)
{
    size_t i;
    json_t *id;
    const char *test = setting_text(json_object_get(state, "test"), "id");
    json_array_foreach(sent, i, id)
    {
        const char *text = json_string_value(id);
        if (text != NULL && strcmp(text, test) == 0) {
            (void)json_object_del(state, "test");
            return;
        }
    }
}

enum err mail_tell(struct ops *ops, struct arena *arena, const json_t *tell)
{
    CLEANUP(doc_freep) json_t *state = NULL;
    const json_t *sent = json_object_get(tell, "sent");
    const char *error = setting_text(tell, "error");
    TRY(setting_load(ops, arena, STATE, &state));
    if (state == NULL)
        state = json_object();
    if (json_array_size(sent) > 0) {
        TRY(alert_mailed(ops, arena, sent));
        forget_test(state, sent);
        TRY(doc_set(state, "sent", json_integer(clock_wall_s())));
    }
    TRY(setting_put_error(state, error));
    return setting_keep(ops, STATE, state);
}

enum err mail_fails(struct ops *ops, struct arena *arena, int64_t *ret_since,
                    struct span *ret_error)
{
    CLEANUP(doc_freep) json_t *state = NULL;
    TRY(setting_load(ops, arena, STATE, &state));
    *ret_since = setting_number(state, "error_since");
    return arena_copy(arena, span_str(setting_text(state, "error")), ret_error);
}

// ---- administration ----

static bool is_address(const char *text)
{
    size_t len = strlen(text);
    const char *at = strchr(text, '@');
    if (len < 3 || len > ADDRESS_MAX || at == NULL || at == text || at[1] == '\0')
        return false;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7f || strchr("<>()[],;:\\\"", *p) != NULL)
            return false;
    }
    return true;
}

static enum err check_addresses(const json_t *list, size_t least)
{
    size_t i;
    json_t *one;
    if (json_array_size(list) < least || json_array_size(list) > RECIPIENTS_MAX)
        FAIL(ERR_INVALID, "\"to\" has %zu to %d addresses", least, RECIPIENTS_MAX);
    json_array_foreach(list, i, one)
    {
        const char *text = json_string_value(one);
        if (text == NULL || !is_address(text))
            FAIL(ERR_INVALID, "\"%.80s\" is no mail address", text == NULL ? "" : text);
    }
    return ERR_OK;
}

static bool is_this_host(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

static enum err check_server(const json_t *doc)
{
    const char *host = setting_text(doc, "host");
    const char *ca = setting_text(doc, "ca");
    size_t len = strlen(host);
    if (len == 0 || len > HOST_MAX ||
        strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:") != len)
        FAIL(ERR_INVALID, "\"host\" is no name and no address");
    if (strcmp(setting_text(doc, "security"), "none") == 0 && !is_this_host(host))
        FAIL(ERR_INVALID, "mail goes without TLS to this host alone (127.0.0.1, ::1, localhost): "
                          "give another host \"starttls\" or \"tls\"");
    if (strlen(ca) > CA_MAX || (ca[0] != '\0' && strstr(ca, "BEGIN CERTIFICATE") == NULL))
        FAIL(ERR_INVALID, "\"ca\" holds certificates (PEM), at most 64 KiB");
    if (!is_address(setting_text(doc, "from")))
        FAIL(ERR_INVALID, "\"from\" is no mail address");
    return check_addresses(json_object_get(doc, "to"), 1);
}

static enum err take_config(const json_t *doc, const json_t *old, json_t *config)
{
    static const char *const texts[] = {"host", "ca", "user", "from"};
    int64_t port = 0;
    const char *security = setting_text(doc, "security");
    bool tls = strcmp(security, "tls") == 0;
    TRY(check_server(doc));
    TRY(doc_integer(doc, "port", 1, 65535, &port));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        TRY(doc_set(config, texts[i], json_string(setting_text(doc, texts[i]))));
    TRY(doc_set(config, "security", json_string(security[0] == '\0' ? "starttls" : security)));
    TRY(doc_set(config, "port", json_integer(port != 0 ? port : tls ? 465 : 587)));
    TRY(doc_set(config, "to", json_incref(json_object_get(doc, "to"))));
    json_t *by_type = json_object_get(old, "to_by_type");
    if (by_type != NULL)
        TRY(doc_set(config, "to_by_type", json_incref(by_type)));
    TRY(doc_set(config, "since", json_integer(clock_wall_ms())));
    return doc_set(config, "enabled", json_true());
}

static enum err tell(struct op *op, const json_t *config)
{
    char text[400];
    (void)snprintf(text, sizeof text, "by \"%s\" port %lld (%s)", setting_text(config, "host"),
                   (long long)setting_number(config, "port"), setting_text(config, "security"));
    return arena_copy(op->arena, span_str(text), &op->detail);
}

enum err mail_set_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *old = NULL;
    CLEANUP(doc_freep) json_t *config = json_object();
    struct span password = doc_secret(op, "mail_password");
    TRY(doc_params(op, &doc));
    if (password.len > PASSWORD_MAX)
        FAIL(ERR_INVALID, "the password has more than %d bytes", PASSWORD_MAX);
    if ((setting_text(doc, "user")[0] == '\0') != (password.len == 0))
        FAIL(ERR_INVALID, "give user and password, or neither");
    TRY(load(op->ops, op->arena, &old));
    TRY(take_config(doc, old, config));
    TRY(keep(op->ops, op->arena, config));
    TRY(seal_setting(op->ops, op->arena, PASSWORD, &password_bound, password));
    TRY(tell(op, config));
    (void)json_object_del(config, "ca");
    return doc_answer(op, json_incref(config));
}

enum err mail_disable_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *config = NULL;
    TRY(doc_params(op, &doc));
    TRY(load(op->ops, op->arena, &config));
    if (!is_enabled(config))
        FAIL(ERR_WRONG_STATE, "mail is off already");
    TRY(doc_set(config, "enabled", json_false()));
    TRY(keep(op->ops, op->arena, config));
    TRY(seal_setting(op->ops, op->arena, PASSWORD, &password_bound, span_of(NULL, 0)));
    op->detail = span_str("no mail is sent any more");
    return doc_answer(op, json_pack("{s:b}", "enabled", false));
}

enum err mail_test_run(struct op *op)
{
    char id[UUID_TEXT_LEN + 1];
    struct uuid uuid = uuid_random();
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *config = NULL;
    CLEANUP(doc_freep) json_t *state = NULL;
    TRY(doc_params(op, &doc));
    TRY(load(op->ops, op->arena, &config));
    if (!is_enabled(config))
        FAIL(ERR_WRONG_STATE, "no mail server is set: see `keyward mail set`");
    TRY(setting_load(op->ops, op->arena, STATE, &state));
    if (state == NULL)
        state = json_object();
    uuid_text(&uuid, id);
    TRY(doc_set(state, "test",
                json_pack("{s:s, s:o}", "id", id, "asked", doc_time(clock_wall_s()))));
    TRY(setting_keep(op->ops, STATE, state));
    return doc_answer(op, json_pack("{s:s}", "id", id));
}

enum err mail_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *config = NULL;
    CLEANUP(doc_freep) json_t *state = NULL;
    TRY(doc_params(op, &doc));
    TRY(load(op->ops, op->arena, &config));
    TRY(setting_load(op->ops, op->arena, STATE, &state));
    bool enabled = is_enabled(config);
    CLEANUP(doc_freep) json_t *answer = config == NULL ? json_object() : json_incref(config);
    const char *error = setting_text(state, "error");
    (void)json_object_del(answer, "ca");
    (void)json_object_del(answer, "since");
    TRY(doc_set(answer, "enabled", json_boolean(enabled)));
    TRY(doc_set(answer, "last_sent", doc_time(setting_number(state, "sent"))));
    TRY(doc_set(answer, "error", error[0] == '\0' ? json_null() : json_string(error)));
    TRY(doc_set(answer, "error_since", doc_time(setting_number(state, "error_since"))));
    TRY(doc_set(answer, "test_waits", json_boolean(json_object_get(state, "test") != NULL)));
    return doc_answer(op, json_incref(answer));
}

enum err mail_recipients(struct op *op, const char *type, const json_t *to)
{
    CLEANUP(doc_freep) json_t *config = NULL;
    TRY(check_addresses(to, 0));
    TRY(load(op->ops, op->arena, &config));
    if (config == NULL)
        FAIL(ERR_WRONG_STATE, "no mail server is set: see `keyward mail set`");
    json_t *by_type = json_object_get(config, "to_by_type");
    if (by_type == NULL) {
        by_type = json_object();
        TRY(doc_set(config, "to_by_type", by_type));
    }
    TRY(doc_set(by_type, type, json_deep_copy(to)));
    return keep(op->ops, op->arena, config);
}
