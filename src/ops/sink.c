// SPDX-License-Identifier: Apache-2.0
//
// Settings "syslog" (where to) and "syslog.state" (how far). Invariants: the cursor moves only when
// the courier has reported delivery, in the writer's transaction; a pull changes nothing; neither
// is recorded, since forwarding the record of a forwarding would never end.
#include "ops/sink.h"

#include <stdio.h>

#include "audit/audit_feed.h"
#include "base/clock.h"
#include "base/log.h"
#include "ops/alert.h"
#include "ops/audit_view.h"
#include "ops/setting.h"
#include "ops/verbs.h"

#define SETTING "syslog"
#define STATE   "syslog.state"

enum {
    LOOK_MS = 1000,
    SINK_ARENA = 4 * 1024 * 1024,
    HOST_MAX = 255,
    CA_MAX = 64 * 1024,
    AWAY_MIN_S = 10,
    AWAY_MAX_S = 30 * 24 * 3600,
    AWAY_DEFAULT_S = 3600
};

// ---- where the cursor is ----

static enum err load_place(const json_t *state, struct audit_extent *ret)
{
    *ret = (struct audit_extent){0};
    const char *place = setting_text(state, "place");
    return place[0] == '\0' ? ERR_OK : audit_view_place_read(span_str(place), ret);
}

static enum err place_json(const struct audit_extent *place, json_t **ret)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, AUDIT_PLACE_MAX + 1, false);
    TRY(audit_view_place_text(place, &text));
    *ret = json_stringn((const char *)text.data, text.len);
    return *ret == NULL ? ERR_MEMORY : ERR_OK;
}

// ---- pulling ----

struct pull {
    const json_t *config;
    const json_t *types; // of alerts
    struct audit_keys keys;
    json_t *records;
};

static bool same_place(const struct audit_extent *a, const struct audit_extent *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

// The feed that stands where the courier is; going there anew reads part of the journals.
static enum err feed_at(struct ops *ops, const struct audit_extent *place)
{
    struct audit_extent now;
    if (ops->feed != NULL) {
        audit_feed_place(ops->feed, &now);
        if (same_place(&now, place))
            return audit_feed_again(ops->feed);
        audit_feed_freep(&ops->feed);
    }
    const struct audit_feed_options options = {
        .root = ops->set.root, .store = ops->set.store, .after = *place};
    return audit_feed_new(&options, &ops->feed);
}

// Where alerts alone are forwarded, those of the types that are. Their detail begins with the type
// (ops/alert.c).
static bool is_wanted(const struct pull *pull, const json_t *record)
{
    char type[64] = "";
    const char *verb = setting_text(record, "verb");
    const char *detail = setting_text(record, "detail");
    size_t len = strcspn(detail, " ");
    if (strcmp(setting_text(pull->config, "what"), "alerts") != 0)
        return true;
    if (strcmp(verb, "alert raised") != 0 && strcmp(verb, "alert cleared") != 0)
        return false;
    if (len < sizeof type)
        memcpy(type, detail, len);
    return alert_is_told(pull->types, type, "syslog");
}

static enum err take_record(struct ops *ops, const struct pull *pull, const struct audit_item *item)
{
    json_t *record = NULL;
    TRY(audit_feed_json(ops->feed, &pull->keys, &record));
    int failed =
        json_object_set_new(record, "record_hash", audit_view_hex(item->hash, AUDIT_HASH_LEN));
    if (failed == 0 && is_wanted(pull, record))
        failed = json_array_append(pull->records, record);
    json_decref(record);
    if (failed != 0)
        FAIL(ERR_MEMORY, "no memory for records");
    return ERR_OK;
}

static enum err take_records(struct ops *ops, struct arena *arena, const json_t *config,
                             json_t *records)
{
    CLEANUP(doc_freep) json_t *types = NULL;
    struct pull pull = {.config = config, .records = records};
    TRY(alert_settings(ops, arena, &types));
    pull.types = types;
    audit_view_keys(ops, &pull.keys);
    for (int looked = 0; looked < SINK_RECORDS; looked++) {
        const struct audit_item *item = NULL;
        TRY(audit_feed_next(ops->feed, &item));
        if (item == NULL)
            return ERR_OK;
        TRY(take_record(ops, &pull, item));
    }
    return ERR_OK;
}

static bool is_enabled(const json_t *config)
{
    return config != NULL && json_is_true(json_object_get(config, "enabled"));
}

enum err sink_pull(struct ops *ops, struct arena *arena, const json_t *ask, json_t **ret)
{
    CLEANUP(doc_freep) json_t *config = NULL;
    CLEANUP(doc_freep) json_t *state = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct audit_extent place;
    json_t *records = json_array();
    json_t *text = NULL;
    TRY(doc_set(answer, "records", records));
    TRY(setting_load(ops, arena, SETTING, &config));
    // While the store is locked the names are sealed: they are waited for.
    bool wanted = is_enabled(config) && ops->open;
    TRY(doc_set(answer, "config", wanted ? json_incref(config) : json_null()));
    if (wanted) {
        const char *asked = setting_text(ask, "place");
        TRY(setting_load(ops, arena, STATE, &state));
        if (asked[0] != '\0')
            TRY(audit_view_place_read(span_str(asked), &place));
        else
            TRY(load_place(state, &place));
        TRY(feed_at(ops, &place));
        TRY(take_records(ops, arena, config, records));
        audit_feed_place(ops->feed, &place);
        TRY(place_json(&place, &text));
        TRY(doc_set(answer, "place", text));
    } else {
        audit_feed_freep(&ops->feed);
    }
    *ret = answer;
    answer = NULL;
    return ERR_OK;
}

// ---- reports ----

enum err sink_tell(struct ops *ops, struct arena *arena, const json_t *tell)
{
    struct audit_extent place;
    CLEANUP(doc_freep) json_t *state = NULL;
    TRY(setting_load(ops, arena, STATE, &state));
    if (state == NULL)
        state = json_object();
    const char *error = setting_text(tell, "error");
    json_t *text = json_object_get(tell, "place");
    if (json_is_string(text)) {
        TRY(audit_view_place_read(span_str(json_string_value(text)), &place));
        TRY(doc_set(state, "place", json_incref(text)));
        TRY(doc_set(state, "delivered", json_integer(clock_wall_s())));
    }
    TRY(setting_put_error(state, error));
    return setting_keep(ops, STATE, state);
}

// ---- waiting ----

// The chain alone tells: reads are entered into it by their anchors within a second.
static enum err first_waiting(struct ops *ops, struct arena *arena, const json_t *state,
                              int64_t *ret_ms)
{
    struct audit_extent place;
    struct store_audit *row = NULL;
    size_t count = 0;
    TRY(load_place(state, &place));
    TRY(store_audit_list(ops->set.store, place.chain + 1, 1, arena, &row, &count));
    *ret_ms = count == 0 ? 0 : row->time_ms;
    return ERR_OK;
}

enum err sink_waits(struct ops *ops, struct arena *arena, int64_t *ret_since_ms,
                    struct span *ret_error)
{
    CLEANUP(doc_freep) json_t *config = NULL;
    CLEANUP(doc_freep) json_t *state = NULL;
    *ret_since_ms = 0;
    *ret_error = span_str("");
    TRY(setting_load(ops, arena, SETTING, &config));
    if (!is_enabled(config))
        return ERR_OK;
    TRY(setting_load(ops, arena, STATE, &state));
    TRY(arena_copy(arena, span_str(setting_text(state, "error")), ret_error));
    int64_t since_ms = 0;
    TRY(first_waiting(ops, arena, state, &since_ms));
    // What was there before forwarding was set up waits only since then.
    int64_t set_ms = setting_number(config, "since");
    *ret_since_ms = since_ms != 0 && since_ms < set_ms ? set_ms : since_ms;
    return ERR_OK;
}

static enum err is_away(struct ops *ops, bool *ret)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    CLEANUP(doc_freep) json_t *config = NULL;
    struct span error;
    int64_t since_ms = 0;
    *ret = false;
    TRY(arena_new(SINK_ARENA, &arena));
    TRY(setting_load(ops, arena, SETTING, &config));
    if (!is_enabled(config) || strcmp(setting_text(config, "when_away"), "stop") != 0)
        return ERR_OK;
    TRY(sink_waits(ops, arena, &since_ms, &error));
    int64_t limit_ms = setting_number(config, "away_s") * 1000;
    *ret = since_ms != 0 && clock_wall_ms() - since_ms > limit_ms;
    return ERR_OK;
}

enum err sink_check(struct ops *ops)
{
    int64_t now = clock_mono_ms();
    if (now >= ops->next_sink_look) {
        bool away = false;
        ops->next_sink_look = now + LOOK_MS;
        TRY(is_away(ops, &away));
        if (away != ops->sink_away)
            log_event(away ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "audit_sink_%s",
                      away ? "away_too_long: endpoints are refused" : "back");
        ops->sink_away = away;
    }
    if (ops->sink_away)
        FAIL(ERR_UNAVAILABLE, "audit records cannot be forwarded, and this server is set to stop "
                              "then: see `keyward syslog show`");
    return ERR_OK;
}

// ---- administration ----

static bool is_this_host(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

static enum err check_host(const char *host)
{
    size_t len = strlen(host);
    size_t good = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:");
    if (len == 0 || len > HOST_MAX || good != len)
        FAIL(ERR_INVALID, "\"host\" is no name and no address");
    return ERR_OK;
}

static enum err take_config(const json_t *doc, json_t *config)
{
    struct span ca;
    int64_t port = 0;
    int64_t away = AWAY_DEFAULT_S;
    const char *host = setting_text(doc, "host");
    const char *transport = setting_text(doc, "transport");
    bool tls = strcmp(transport, "tcp") != 0;
    TRY(check_host(host));
    if (!tls && !is_this_host(host))
        FAIL(ERR_INVALID, "plain TCP goes to this host alone (127.0.0.1, ::1, localhost): give "
                          "another host TLS");
    TRY(doc_integer(doc, "port", 1, 65535, &port));
    TRY(doc_integer(doc, "away_s", AWAY_MIN_S, AWAY_MAX_S, &away));
    ca = span_str(setting_text(doc, "ca"));
    if (ca.len > CA_MAX ||
        (ca.len > 0 && strstr((const char *)ca.data, "BEGIN CERTIFICATE") == NULL))
        FAIL(ERR_INVALID, "\"ca\" holds certificates (PEM), at most 64 KiB");
    const char *what = setting_text(doc, "what");
    const char *when_away = setting_text(doc, "when_away");
    TRY(doc_set(config, "host", json_string(host)));
    TRY(doc_set(config, "port", json_integer(port != 0 ? port : tls ? 6514 : 601)));
    TRY(doc_set(config, "transport", json_string(tls ? "tls" : "tcp")));
    TRY(doc_set(config, "ca", json_string(ca.len > 0 ? (const char *)ca.data : "")));
    TRY(doc_set(config, "what", json_string(what[0] == '\0' ? "audit" : what)));
    TRY(doc_set(config, "when_away", json_string(when_away[0] == '\0' ? "continue" : when_away)));
    TRY(doc_set(config, "away_s", json_integer(away)));
    TRY(doc_set(config, "since", json_integer(clock_wall_ms())));
    return doc_set(config, "enabled", json_true());
}

// Forwarding begins with what is there, or with what comes from now on; where it was on before, it
// goes on where it stood.
static enum err begin_state(struct op *op, const char *from)
{
    CLEANUP(doc_freep) json_t *state = NULL;
    CLEANUP(audit_feed_freep) struct audit_feed *feed = NULL;
    struct audit_extent place = {0};
    json_t *text = NULL;
    TRY(setting_load(op->ops, op->arena, STATE, &state));
    if (from[0] == '\0' && state != NULL)
        return ERR_OK;
    if (strcmp(from, "start") != 0 && from[0] != '\0') {
        struct audit_feed_options options = {.root = op->ops->set.root,
                                             .store = op->ops->set.store};
        const struct audit_item *item = NULL;
        // From the last anchors on, else all journals would be read, within the writer's lock.
        TRY(audit_extent_now(options.root, options.store, &options.after));
        TRY(audit_feed_new(&options, &feed));
        do
            TRY(audit_feed_next(feed, &item));
        while (item != NULL);
        audit_feed_place(feed, &place);
    }
    json_decref(state);
    state = json_object();
    TRY(place_json(&place, &text));
    TRY(doc_set(state, "place", text));
    return setting_keep(op->ops, STATE, state);
}

enum err sink_set_run(struct op *op)
{
    char text[320];
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *config = json_object();
    TRY(doc_params(op, &doc));
    TRY(take_config(doc, config));
    TRY(begin_state(op, setting_text(doc, "from")));
    TRY(setting_keep(op->ops, SETTING, config));
    (void)snprintf(text, sizeof text, "to %s port %lld over %s", setting_text(config, "host"),
                   (long long)setting_number(config, "port"), setting_text(config, "transport"));
    TRY(arena_copy(op->arena, span_str(text), &op->detail));
    (void)json_object_del(config, "ca");
    (void)json_object_del(config, "since");
    return doc_answer(op, json_incref(config));
}

enum err sink_disable_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *config = NULL;
    TRY(doc_params(op, &doc));
    TRY(setting_load(op->ops, op->arena, SETTING, &config));
    if (!is_enabled(config))
        FAIL(ERR_WRONG_STATE, "forwarding is off already");
    TRY(doc_set(config, "enabled", json_false()));
    TRY(setting_keep(op->ops, SETTING, config));
    op->detail = span_str("audit records are not forwarded any more");
    return doc_answer(op, json_pack("{s:b}", "enabled", false));
}

// How it stands, in words.
static void describe(char *out, size_t room, const json_t *config, const json_t *state,
                     int64_t waiting, int64_t since_ms)
{
    const char *error = setting_text(state, "error");
    int64_t seconds = since_ms == 0 ? 0 : (clock_wall_ms() - since_ms) / 1000;
    if (!is_enabled(config))
        (void)snprintf(out, room, "off");
    else if (error[0] != '\0')
        (void)snprintf(out, room, "%lld records of changes wait, the oldest for %lld s: %s",
                       (long long)waiting, (long long)seconds, error);
    else if (waiting > 0)
        (void)snprintf(out, room, "%lld records of changes are on their way", (long long)waiting);
    else
        (void)snprintf(out, room, "everything is delivered");
}

enum err sink_show_run(struct op *op)
{
    char words[700];
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *config = NULL;
    CLEANUP(doc_freep) json_t *state = NULL;
    struct store_audit head;
    struct audit_extent place;
    int64_t since_ms = 0;
    struct span error;
    TRY(doc_params(op, &doc));
    TRY(setting_load(op->ops, op->arena, SETTING, &config));
    TRY(setting_load(op->ops, op->arena, STATE, &state));
    TRY(store_audit_head(op->ops->set.store, &head));
    TRY(load_place(state, &place));
    TRY(sink_waits(op->ops, op->arena, &since_ms, &error));
    bool enabled = is_enabled(config);
    int64_t waiting =
        enabled && head.sequence > place.chain ? (int64_t)(head.sequence - place.chain) : 0;
    describe(words, sizeof words, config, state, waiting, since_ms);
    json_t *answer =
        json_pack("{s:b, s:s, s:I, s:o, s:o, s:o, s:o}", "enabled", enabled, "state", words,
                  "waiting", (json_int_t)waiting, "waiting_since", doc_time(since_ms / 1000),
                  "delivered", doc_time(setting_number(state, "delivered")), "error",
                  error.len == 0 ? json_null() : doc_string(error), "error_since",
                  doc_time(setting_number(state, "error_since")));
    static const char *const told[] = {"host", "transport", "what", "when_away"};
    for (size_t i = 0; config != NULL && i < sizeof told / sizeof *told; i++)
        TRY(doc_set(answer, told[i], json_string(setting_text(config, told[i]))));
    if (config != NULL) {
        TRY(doc_set(answer, "port", json_integer(setting_number(config, "port"))));
        TRY(doc_set(answer, "away_s", json_integer(setting_number(config, "away_s"))));
    }
    return doc_answer(op, answer);
}
