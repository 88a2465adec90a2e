// SPDX-License-Identifier: Apache-2.0
//
// The HSM's alert (contract B10). Invariants: an alert changes with its audit record, in one
// transaction; while the keeper has nothing to say the alert stays as it is.
#include "ops/alert.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "keyring/keyring.h"
#include "ops/doc.h"
#include "ops/keys.h"
#include "ops/verbs.h"

#define SETTING "alerts"

enum { ALERT_ARENA = 256 * 1024 };

static enum err load(struct ops *ops, struct arena *arena, json_t **ret)
{
    struct span text;
    enum err err = store_setting_get(ops->set.store, true, SETTING, arena, &text);
    if (err == ERR_NOT_FOUND)
        text = span_str("[]");
    else
        TRY(err);
    *ret = json_loadb((const char *)text.data, text.len, 0, NULL);
    if (!json_is_array(*ret))
        FAIL(ERR_DAMAGED, "the setting \"" SETTING "\" of the store is damaged");
    return ERR_OK;
}

// What a restart has left in force.
static enum err recall(struct ops *ops)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    CLEANUP(doc_freep) json_t *list = NULL;
    TRY(arena_new(ALERT_ARENA, &arena));
    TRY(load(ops, arena, &list));
    const json_t *first = json_array_get(list, 0);
    const char *problem = json_string_value(json_object_get(first, "problem"));
    ops->alert.raised = first != NULL;
    (void)snprintf(ops->alert.problem, sizeof ops->alert.problem, "%s",
                   problem == NULL ? "" : problem);
    ops->alert.known = true;
    return ERR_OK;
}

static enum err put(struct ops *ops, const struct keyring_health *health, bool raised)
{
    CLEANUP(doc_freep) json_t *list = json_array();
    char text[4096];
    if (raised) {
        json_t *message = doc_string(span_str(health->message));
        json_t *alert =
            json_pack("{s:s, s:s, s:s, s:o, s:o}", "type", "hsm", "severity", "critical", "problem",
                      health->problem, "since", doc_time(clock_wall_s()), "message", message);
        if (alert == NULL || json_array_append_new(list, alert) != 0)
            FAIL(ERR_MEMORY, "no memory for an alert");
    }
    size_t len = json_dumpb(list, text, sizeof text, JSON_COMPACT);
    if (len == 0 || len > sizeof text)
        FAIL(ERR_TOO_LARGE, "an alert has %zu bytes", len);
    return store_setting_put(ops->set.store, true, SETTING, span_of(text, len));
}

static enum err record(struct ops *ops, const struct keyring_health *health, bool raised)
{
    struct uuid id;
    const char *detail = raised ? health->message : "the HSM opens the store again";
    if (!raised && !health->hsm_enabled)
        detail = "the server is not HSM-enabled any more";
    const struct audit_record row = {
        .time_ms = clock_wall_ms(),
        .verb = raised ? VERB_ALERT_RAISED : VERB_ALERT_CLEARED,
        .outcome = ERR_OK,
        .detail = span_str(detail),
    };
    return audit_append(ops->set.store, keys_newest(ops, "audit", &id), &row);
}

static enum err change(struct ops *ops, const struct keyring_health *health, bool raised)
{
    struct store *store = ops->set.store;
    TRY(store_begin(store, STORE_WRITE));
    enum err err = put(ops, health, raised);
    if (err == ERR_OK)
        err = record(ops, health, raised);
    if (err != ERR_OK) {
        store_rollback(store);
        return err;
    }
    TRY(store_commit(store));
    ops->alert.raised = raised;
    memcpy(ops->alert.problem, health->problem, sizeof ops->alert.problem);
    log_event(raised ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "alert_%s type=hsm problem=%s",
              raised ? "raised" : "cleared", raised ? health->problem : "none");
    return ERR_OK;
}

static enum err watch(struct ops *ops)
{
    struct keyring_health health;
    if (!ops->alert.known)
        TRY(recall(ops));
    if (ops->keeper == NULL || keyring_health(ops->keeper, &health) != ERR_OK)
        return ERR_OK;
    if (health.master != 0 && health.master != ops->wrapped_under)
        TRY(keys_follow(ops));
    if (health.hsm_enabled && !health.known)
        return ERR_OK;
    bool raised = health.hsm_enabled && !health.up;
    bool same =
        raised == ops->alert.raised && (!raised || strcmp(health.problem, ops->alert.problem) == 0);
    return same ? ERR_OK : change(ops, &health, raised);
}

enum err alert_idle(struct ops *ops, int *wait_ms)
{
    int64_t now = clock_mono_ms();
    if (now >= ops->next_watch) {
        ops->next_watch = now + ALERT_WATCH_MS;
        TRY(watch(ops));
    }
    int left = (int)(ops->next_watch - now);
    *wait_ms = *wait_ms < 0 || left < *wait_ms ? left : *wait_ms;
    return ERR_OK;
}

// {} → {"alerts": [{"type", "severity", "problem", "since", "message"}]}
enum err alert_list_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    json_t *list = NULL;
    TRY(doc_params(op, &doc));
    enum err err = load(op->ops, op->arena, &list);
    if (err != ERR_OK) {
        json_decref(list);
        return err;
    }
    return doc_answer(op, json_pack("{s:o}", "alerts", list));
}
