// SPDX-License-Identifier: Apache-2.0
//
// Raising and clearing. Invariants: an alert changes with its audit record, in one transaction; an
// alert is known by its type and its subject, and is one as long as its condition holds; a look
// that cannot tell leaves what there is.
#include "ops/alert.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "ops/account.h"
#include "ops/doc.h"
#include "ops/head.h"
#include "ops/keys.h"
#include "ops/mail.h"
#include "ops/peer.h"
#include "ops/setting.h"
#include "ops/verbs.h"

#define SETTING  "alerts"
#define HISTORY  "alert.history"
#define SETTINGS "alert.settings"

enum {
    ALERT_ARENA = 16 * 1024 * 1024,
    HISTORY_MAX = 200,
    SILENT_MAX_S = 366 * 24 * 3600,
    FIRST_LONG_MS = 10 * 60 * 1000
};

const struct alert_type *alert_type_find(const char *name)
{
    for (size_t i = 0; i < alert_type_count; i++) {
        if (strcmp(alert_types[i].name, name) == 0)
            return &alert_types[i];
    }
    return NULL;
}

bool alert_is_on(const json_t *settings, const struct alert_type *type, int64_t *ret_threshold)
{
    const json_t *own = json_object_get(settings, type->name);
    const json_t *threshold = json_object_get(own, "threshold");
    const json_t *enabled = json_object_get(own, "enabled");
    *ret_threshold = json_is_integer(threshold) ? json_integer_value(threshold) : type->threshold;
    return enabled == NULL ? type->on : json_is_true(enabled);
}

bool alert_is_told(const json_t *settings, const char *type, const char *way)
{
    const json_t *told = json_object_get(json_object_get(settings, type), way);
    return told == NULL || json_is_true(told);
}

enum err alert_settings(struct ops *ops, struct arena *arena, json_t **ret)
{
    return setting_load(ops, arena, SETTINGS, ret);
}

static enum err load_list(struct ops *ops, struct arena *arena, const char *name, json_t **ret)
{
    TRY(setting_load(ops, arena, name, ret));
    if (*ret == NULL)
        *ret = json_array();
    if (!json_is_array(*ret))
        FAIL(ERR_DAMAGED, "the setting \"%s\" of the store is damaged", name);
    return ERR_OK;
}

// ---- conditions ----

enum err alert_found(struct alert_watch *watch, const struct uuid *subject, const char *severity,
                     const char *problem, const char *message)
{
    char id[UUID_TEXT_LEN + 1] = "";
    if (watch->count++ >= ALERT_PER_TYPE)
        return ERR_OK;
    if (subject != NULL)
        uuid_text(subject, id);
    json_t *alert = json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", watch->type->name, "severity",
                              severity == NULL ? watch->type->severity : severity, "problem",
                              problem, "subject", id, "message", doc_string(span_str(message)));
    if (alert == NULL || json_array_append_new(watch->found, alert) != 0)
        FAIL(ERR_MEMORY, "no memory for an alert");
    return ERR_OK;
}

static bool same_text(const json_t *a, const json_t *b, const char *name)
{
    return strcmp(setting_text(a, name), setting_text(b, name)) == 0;
}

static json_t *find_same(const json_t *list, const json_t *alert)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (same_text(one, alert, "type") && same_text(one, alert, "subject"))
            return one;
    }
    return NULL;
}

static bool is_as_found(const json_t *known, const json_t *found)
{
    return known != NULL && same_text(known, found, "problem") &&
           same_text(known, found, "severity");
}

static bool is_of(const json_t *alert, const struct alert_type *type)
{
    return strcmp(setting_text(alert, "type"), type->name) == 0;
}

// Does what was found of this type differ from what is in force?
static bool differs(const json_t *list, const struct alert_watch *watch)
{
    size_t i;
    json_t *one;
    json_array_foreach(watch->found, i, one)
    {
        if (!is_as_found(find_same(list, one), one))
            return true;
    }
    json_array_foreach(list, i, one)
    {
        if (is_of(one, watch->type) && find_same(watch->found, one) == NULL)
            return true;
    }
    return false;
}

// ---- raising and clearing ----

static enum err record(struct ops *ops, const json_t *alert, bool raised)
{
    char text[AUDIT_DETAIL_MAX];
    struct uuid id;
    const char *subject = setting_text(alert, "subject");
    struct audit_record row = {
        .time_ms = clock_wall_ms(),
        .verb = raised ? VERB_ALERT_RAISED : VERB_ALERT_CLEARED,
        .outcome = ERR_OK,
    };
    (void)snprintf(text, sizeof text, "%s (%s): %s", setting_text(alert, "type"),
                   setting_text(alert, "severity"),
                   raised ? setting_text(alert, "message") : "this is over");
    row.detail = span_str(text);
    if (subject[0] != '\0')
        TRY(uuid_parse(span_str(subject), &row.object));
    log_event(raised ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "alert_%s type=%s problem=%s subject=%s",
              raised ? "raised" : "cleared", setting_text(alert, "type"),
              raised ? setting_text(alert, "problem") : "none", subject[0] == '\0' ? "-" : subject);
    return audit_append(ops->set.store, keys_newest(ops, "audit", &id), &row);
}

static int rank(const char *severity)
{
    static const char *const all[] = {"low", "medium", "high", "critical"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(all[i], severity) == 0)
            return i;
    }
    return 0;
}

// A known one has another problem, or has become worse: then it is told again.
static enum err change_known(struct ops *ops, json_t *known, const json_t *found)
{
    static const char *const taken[] = {"problem", "severity", "message"};
    bool worse = rank(setting_text(found, "severity")) > rank(setting_text(known, "severity"));
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        TRY(doc_set(known, taken[i], json_string(setting_text(found, taken[i]))));
    if (worse) {
        (void)json_object_del(known, "mailed");
        (void)json_object_del(known, "acknowledged");
    }
    return record(ops, known, true);
}

static enum err raise_new(struct ops *ops, json_t *list, const json_t *found)
{
    char id[UUID_TEXT_LEN + 1];
    struct uuid uuid = uuid_ordered(clock_wall_ms());
    json_t *alert = json_copy((json_t *)(uintptr_t)found);
    uuid_text(&uuid, id);
    if (alert == NULL || json_array_append_new(list, alert) != 0)
        FAIL(ERR_MEMORY, "no memory for an alert");
    TRY(doc_set(alert, "id", json_string(id)));
    TRY(doc_set(alert, "since", json_integer(clock_wall_s())));
    return record(ops, alert, true);
}

static enum err clear_one(struct ops *ops, json_t *list, size_t at, json_t *history)
{
    json_t *alert = json_incref(json_array_get(list, at));
    int failed = json_array_remove(list, at);
    if (failed == 0)
        failed = json_object_set_new(alert, "cleared", json_integer(clock_wall_s()));
    if (failed == 0)
        failed = json_array_insert(history, 0, alert);
    while (json_array_size(history) > HISTORY_MAX)
        (void)json_array_remove(history, HISTORY_MAX);
    enum err err = failed == 0 ? record(ops, alert, false) : ERR_MEMORY;
    json_decref(alert);
    return err;
}

static enum err merge(const struct alert_watch *watch, json_t *list, json_t *history)
{
    size_t i;
    json_t *one;
    json_array_foreach(watch->found, i, one)
    {
        json_t *known = find_same(list, one);
        if (known == NULL)
            TRY(raise_new(watch->ops, list, one));
        else if (!is_as_found(known, one))
            TRY(change_known(watch->ops, known, one));
    }
    for (i = json_array_size(list); i-- > 0;) {
        one = json_array_get(list, i);
        if (is_of(one, watch->type) && find_same(watch->found, one) == NULL)
            TRY(clear_one(watch->ops, list, i, history));
    }
    return ERR_OK;
}

static enum err change(const struct alert_watch *watch)
{
    CLEANUP(doc_freep) json_t *list = NULL;
    CLEANUP(doc_freep) json_t *history = NULL;
    TRY(load_list(watch->ops, watch->arena, SETTING, &list));
    TRY(load_list(watch->ops, watch->arena, HISTORY, &history));
    TRY(merge(watch, list, history));
    TRY(setting_keep(watch->ops, SETTING, list));
    return setting_keep(watch->ops, HISTORY, history);
}

static enum err change_in_transaction(const struct alert_watch *watch)
{
    struct store *store = watch->ops->set.store;
    TRY(store_begin(store, STORE_WRITE));
    enum err err = change(watch);
    if (err != ERR_OK) {
        store_rollback(store);
        return err;
    }
    return store_commit(store);
}

static enum err look(struct ops *ops, struct arena *arena, const json_t *settings,
                     const struct alert_type *type)
{
    CLEANUP(doc_freep) json_t *found = json_array();
    CLEANUP(doc_freep) json_t *list = NULL;
    struct alert_watch watch = {
        .ops = ops, .arena = arena, .type = type, .now = clock_wall_s(), .found = found};
    watch.configured = json_object_get(json_object_get(settings, type->name), "threshold") != NULL;
    if (alert_is_on(settings, type, &watch.threshold)) {
        enum err err = type->check(&watch);
        if (err == (enum err)ALERT_UNKNOWN)
            return ERR_OK;
        TRY(err);
    }
    TRY(load_list(ops, arena, SETTING, &list));
    return differs(list, &watch) ? change_in_transaction(&watch) : ERR_OK;
}

// Whoever changes a setting is answered by the next look, not by the next round. A look that takes
// long waits until the server has started, and for its time.
static bool is_time(struct ops *ops, size_t type, int64_t now, bool changed)
{
    bool takes_long = alert_types[type].every_ms >= ALERT_SELDOM_MS;
    if (takes_long && ops->next_alert[type] == 0)
        ops->next_alert[type] = now + FIRST_LONG_MS;
    return now >= ops->next_alert[type] || (changed && !takes_long);
}

static enum err look_round(struct ops *ops, struct arena *arena, const json_t *settings,
                           int64_t now)
{
    bool changed = setting_number(settings, "changed") != ops->alerts_set;
    ops->alerts_set = setting_number(settings, "changed");
    for (size_t i = 0; i < alert_type_count; i++) {
        if (!is_time(ops, i, now, changed))
            continue;
        ops->next_alert[i] = now + alert_types[i].every_ms;
        enum err err = look(ops, arena, settings, &alert_types[i]);
        if (err != ERR_OK)
            log_error("alert_not_looked_at", err);
        if (err == ERR_NO_SPACE || err == ERR_IO)
            return err;
    }
    return ERR_OK;
}

enum err alert_idle(struct ops *ops, int *wait_ms)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    CLEANUP(doc_freep) json_t *settings = NULL;
    int64_t now = clock_mono_ms();
    if (now >= ops->next_watch) {
        ops->next_watch = now + ALERT_WATCH_MS;
        TRY(arena_new(ALERT_ARENA, &arena));
        TRY(setting_load(ops, arena, SETTINGS, &settings));
        TRY(look_round(ops, arena, settings, now));
    }
    int left = (int)(ops->next_watch - now);
    *wait_ms = *wait_ms < 0 || left < *wait_ms ? left : *wait_ms;
    return ERR_OK;
}

// ---- telling ----

// What the subject is called: an endpoint or a user by name, an object by its identifier.
struct subject {
    const char *kind;
    struct span name; // "" for what has none, or cannot be opened now
};

static enum err find_subject(struct ops *ops, struct arena *arena, const char *text,
                             struct subject *ret)
{
    struct uuid id;
    struct store_endpoint row;
    struct peer_record peer;
    struct account account;
    struct op op = {.ops = ops, .arena = arena, .now = clock_wall_s()};
    *ret = (struct subject){"object", span_str("")};
    if (text[0] == '\0' || !ops->open || uuid_parse(span_str(text), &id) != ERR_OK)
        return ERR_OK;
    enum err err = store_endpoint_get(ops->set.store, &id, arena, &row);
    if (err == ERR_OK) {
        TRY(peer_open(ops, arena, &row, &peer));
        *ret = (struct subject){"endpoint", peer.name};
        return ERR_OK;
    }
    if (err == ERR_NOT_FOUND)
        err = account_get(&op, &id, &account);
    if (err == ERR_OK)
        *ret = (struct subject){"user", account.name};
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err alert_describe(struct ops *ops, struct arena *arena, const json_t *alert, json_t **ret)
{
    static const char *const times[] = {"since", "acknowledged", "silenced_until", "cleared"};
    struct subject found;
    const char *subject = setting_text(alert, "subject");
    struct buf text CLEANUP(buf_done);
    CLEANUP(doc_freep) json_t *told = json_copy((json_t *)(uintptr_t)alert);
    buf_init(&text, 2 * ALERT_MESSAGE_MAX, false);
    TRY(find_subject(ops, arena, subject, &found));
    if (found.name.len > 0)
        TRY(buf_printf(&text, "%s \"%.*s\" ", found.kind, (int)found.name.len,
                       (const char *)found.name.data));
    else if (subject[0] != '\0')
        TRY(buf_printf(&text, "object %s ", subject));
    TRY(buf_put_str(&text, setting_text(alert, "message")));
    TRY(doc_set(told, "message", doc_string(span_buf(&text))));
    const struct alert_type *type = alert_type_find(setting_text(alert, "type"));
    TRY(doc_set(told, "fix", json_string(type == NULL ? "" : type->fix)));
    TRY(doc_set(told, "subject", subject[0] == '\0' ? json_null() : json_string(subject)));
    TRY(doc_set(told, "name", found.name.len == 0 ? json_null() : doc_string(found.name)));
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        TRY(doc_set(told, times[i], doc_time(setting_number(alert, times[i]))));
    TRY(doc_set(told, "mailed", json_boolean(json_is_true(json_object_get(alert, "mailed")))));
    *ret = told;
    told = NULL;
    return ERR_OK;
}

// Whom or what an alert is about is told to those who look after such things.
static bool may_see(const struct op *op, const json_t *alert)
{
    const uint32_t all = RIGHT_SYSTEM | RIGHT_KEY | RIGHT_AUDIT | RIGHT_MONITOR;
    return op->who.kind != PRINCIPAL_USER || (op->who.rights & all) != 0 ||
           setting_text(alert, "subject")[0] == '\0';
}

static enum err describe_all(struct op *op, const json_t *from, json_t *into)
{
    size_t i;
    json_t *one;
    json_array_foreach(from, i, one)
    {
        json_t *told = NULL;
        if (!may_see(op, one))
            continue;
        TRY(alert_describe(op->ops, op->arena, one, &told));
        if (json_array_append_new(into, told) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    return ERR_OK;
}

static enum err answer_list(struct op *op, const char *setting)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *list = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    json_t *told = json_array();
    TRY(doc_set(answer, "alerts", told));
    TRY(doc_params(op, &doc));
    TRY(load_list(op->ops, op->arena, setting, &list));
    TRY(describe_all(op, list, told));
    return doc_answer(op, json_incref(answer));
}

enum err alert_list_run(struct op *op)
{
    return answer_list(op, SETTING);
}

enum err alert_history_run(struct op *op)
{
    return answer_list(op, HISTORY);
}

// ---- acknowledging and silencing ----

static json_t *find_id(const json_t *list, const char *id)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (strcmp(setting_text(one, "id"), id) == 0)
            return one;
    }
    return NULL;
}

static enum err mark(struct op *op, const json_t *doc, const char *what, int64_t value)
{
    CLEANUP(doc_freep) json_t *list = NULL;
    const char *id = setting_text(doc, "id");
    TRY(load_list(op->ops, op->arena, SETTING, &list));
    json_t *alert = find_id(list, id);
    if (alert == NULL)
        FAIL(ERR_NOT_FOUND, "there is no alert \"%.40s\" in force: see `keyward alert list`", id);
    TRY(doc_set(alert, what, json_integer(value)));
    TRY(setting_keep(op->ops, SETTING, list));
    TRY(arena_copy(op->arena, span_str(setting_text(alert, "type")), &op->detail));
    json_t *told = NULL;
    TRY(alert_describe(op->ops, op->arena, alert, &told));
    return doc_answer(op, told);
}

enum err alert_acknowledge_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    TRY(doc_params(op, &doc));
    TRY(mark(op, doc, "acknowledged", op->now));
    // What has happened does not end by itself.
    return span_eq(op->detail, span_str(HEAD_ALERT)) ? head_forget(op->ops) : ERR_OK;
}

enum err alert_silence_run(struct op *op)
{
    int64_t until_ms = 0;
    CLEANUP(doc_freep) json_t *doc = NULL;
    TRY(doc_params(op, &doc));
    if (!clock_parse(setting_text(doc, "until"), &until_ms))
        FAIL(ERR_INVALID, "\"until\" is no time: give it as 2026-01-31T12:00:00Z or as a day");
    if (until_ms / 1000 > op->now + SILENT_MAX_S)
        FAIL(ERR_INVALID, "an alert is silenced for a year at most; switch its type off instead");
    return mark(op, doc, "silenced_until", until_ms / 1000);
}

// ---- configuration ----

static enum err describe_type(const json_t *settings, const struct alert_type *type, json_t **ret)
{
    int64_t threshold = 0;
    bool on = alert_is_on(settings, type, &threshold);
    bool mail = alert_is_told(settings, type->name, "mail");
    bool log = alert_is_told(settings, type->name, "syslog");
    *ret = json_pack("{s:s, s:s, s:b, s:I, s:s, s:b, s:b, s:s}", "name", type->name, "severity",
                     type->severity, "enabled", on, "threshold", (json_int_t)threshold, "unit",
                     type->unit, "mail", mail, "syslog", log, "summary", type->summary);
    return *ret == NULL ? ERR_MEMORY : ERR_OK;
}

enum err alert_types_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *settings = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    json_t *list = json_array();
    TRY(doc_set(answer, "types", list));
    TRY(doc_params(op, &doc));
    TRY(setting_load(op->ops, op->arena, SETTINGS, &settings));
    for (size_t i = 0; i < alert_type_count; i++) {
        json_t *type = NULL;
        TRY(describe_type(settings, &alert_types[i], &type));
        if (json_array_append_new(list, type) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    return doc_answer(op, json_incref(answer));
}

static enum err take_type(const json_t *doc, const struct alert_type *type, json_t *own)
{
    static const char *const switches[] = {"enabled", "mail", "syslog"};
    int64_t threshold = INT64_MIN;
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        json_t *value = json_object_get(doc, switches[i]);
        if (value != NULL)
            TRY(doc_set(own, switches[i], json_incref(value)));
    }
    if (json_object_get(doc, "threshold") != NULL && type->unit[0] == '\0')
        FAIL(ERR_INVALID, "an alert of type \"%s\" has no threshold", type->name);
    TRY(doc_integer(doc, "threshold", type->least, type->most, &threshold));
    return threshold == INT64_MIN ? ERR_OK : doc_set(own, "threshold", json_integer(threshold));
}

enum err alert_configure_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *settings = NULL;
    json_t *told = NULL;
    TRY(doc_params(op, &doc));
    const struct alert_type *type = alert_type_find(setting_text(doc, "name"));
    if (type == NULL)
        FAIL(ERR_NOT_FOUND, "there is no type of alert \"%.40s\": see `keyward alert types`",
             setting_text(doc, "name"));
    TRY(setting_load(op->ops, op->arena, SETTINGS, &settings));
    if (settings == NULL)
        settings = json_object();
    json_t *own = json_object_get(settings, type->name);
    if (own == NULL) {
        own = json_object();
        TRY(doc_set(settings, type->name, own));
    }
    TRY(take_type(doc, type, own));
    if (json_object_get(doc, "to") != NULL)
        TRY(mail_recipients(op, type->name, json_object_get(doc, "to")));
    TRY(doc_set(settings, "changed", json_integer(setting_number(settings, "changed") + 1)));
    TRY(setting_keep(op->ops, SETTINGS, settings));
    TRY(arena_copy(op->arena, span_str(type->name), &op->detail));
    TRY(describe_type(settings, type, &told));
    return doc_answer(op, told);
}

// ---- mail ----

static bool is_due(const json_t *settings, const json_t *alert, int64_t now)
{
    return !json_is_true(json_object_get(alert, "mailed")) &&
           setting_number(alert, "silenced_until") <= now &&
           alert_is_told(settings, setting_text(alert, "type"), "mail");
}

static enum err add_mail(struct ops *ops, struct arena *arena, const json_t *alert, json_t *mails)
{
    CLEANUP(doc_freep) json_t *told = NULL;
    TRY(alert_describe(ops, arena, alert, &told));
    json_t *mail =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", setting_text(alert, "id"), "type",
                  setting_text(alert, "type"), "severity", setting_text(alert, "severity"), "since",
                  setting_text(told, "since"), "text", setting_text(told, "message"));
    if (mail == NULL || json_array_append_new(mails, mail) != 0)
        FAIL(ERR_MEMORY, "no memory for a mail");
    return ERR_OK;
}

enum err alert_mails(struct ops *ops, struct arena *arena, json_t *mails)
{
    size_t i;
    json_t *one;
    CLEANUP(doc_freep) json_t *list = NULL;
    CLEANUP(doc_freep) json_t *settings = NULL;
    TRY(load_list(ops, arena, SETTING, &list));
    TRY(setting_load(ops, arena, SETTINGS, &settings));
    json_array_foreach(list, i, one)
    {
        if (is_due(settings, one, clock_wall_s()))
            TRY(add_mail(ops, arena, one, mails));
    }
    return ERR_OK;
}

enum err alert_mailed(struct ops *ops, struct arena *arena, const json_t *ids)
{
    size_t i;
    json_t *id;
    CLEANUP(doc_freep) json_t *list = NULL;
    TRY(load_list(ops, arena, SETTING, &list));
    json_array_foreach(ids, i, id)
    {
        const char *text = json_string_value(id);
        json_t *alert = text == NULL ? NULL : find_id(list, text);
        if (alert != NULL)
            TRY(doc_set(alert, "mailed", json_true()));
    }
    return setting_keep(ops, SETTING, list);
}
