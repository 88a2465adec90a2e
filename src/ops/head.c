// SPDX-License-Identifier: Apache-2.0
//
// Invariants: the file is written after what it names was durable, so that neither a kill nor a
// power cut raises an alert; no failure about the file stops a server. What another process finds
// in the log of the store after a kill is seen and perhaps not yet on the disk: therefore nothing
// is kept before something was committed since the first look, which syncs the log.
#include "ops/head.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "ops/audit_view.h"
#include "ops/keys.h"

static const char setting[] = "audit_older";

enum { KEEP_MS = 5000 };

static enum err enter(struct ops *ops, const char *text)
{
    struct uuid id;
    const struct audit_record record = {.time_ms = clock_wall_ms(),
                                        .verb = VERB_OLDER_STORE_FOUND,
                                        .outcome = ERR_DAMAGED,
                                        .detail = span_str(text)};
    TRY(audit_append(ops->set.store, keys_newest(ops, "audit", &id), &record));
    return store_setting_put(ops->set.store, true, setting, span_str(text));
}

static enum err reason(const char *what)
{
    FAIL(ERR_DAMAGED, "%s", what);
}

static enum err tell(struct ops *ops, const char *what)
{
    char text[2 * AUDIT_HEAD_TEXT];
    (void)snprintf(
        text, sizeof text,
        "the store is older than, or another than, the one that this server last served: "
        "%s. Keys made since then are gone, and destroyed ones may be back",
        what);
    log_error("older_store_found", reason(what));
    TRY(store_begin(ops->set.store, STORE_WRITE));
    enum err err = enter(ops, text);
    if (err != ERR_OK) {
        store_rollback(ops->set.store);
        return err;
    }
    ops->turn++;
    ops->unsettled = true;
    ops->unsigned_records++;
    return store_commit(ops->set.store);
}

static enum err look(struct ops *ops)
{
    struct audit_keys keys;
    struct store_audit last;
    char what[AUDIT_HEAD_TEXT];
    bool fits = true;
    audit_view_keys(ops, &keys);
    TRY(store_audit_head(ops->set.store, &last));
    TRY(audit_head_check(ops->set.root, ops->set.store, keys.keys, keys.count, &fits, what));
    if (!fits)
        TRY(tell(ops, what));
    ops->head_kept = last.sequence;
    ops->head_looked = true;
    return ERR_OK;
}

static enum err keep(struct ops *ops)
{
    struct uuid id;
    struct store_audit last;
    TRY(store_audit_head(ops->set.store, &last));
    if (last.sequence == ops->head_kept)
        return ERR_OK;
    enum err err = audit_head_keep(ops->set.root, keys_newest(ops, "audit", &id), &last);
    if (err == ERR_OK)
        ops->head_kept = last.sequence;
    else
        log_error("end_of_trail_not_kept", err);
    return ERR_OK;
}

enum err head_idle(struct ops *ops, bool stopping)
{
    int64_t now = clock_mono_ms();
    if (!ops->open || (now < ops->next_head && !stopping))
        return ERR_OK;
    ops->next_head = now + KEEP_MS;
    if (!ops->head_looked)
        TRY(look(ops));
    return keep(ops);
}

enum err head_told(struct ops *ops, struct arena *arena, struct span *ret)
{
    struct span text;
    uint8_t *copy = NULL;
    *ret = span_of(NULL, 0);
    enum err err = store_setting_get(ops->set.store, true, setting, arena, &text);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && text.len == 0))
        return ERR_OK;
    TRY(err);
    TRY(arena_alloc(arena, text.len + 1, 1, &copy));
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    *ret = span_of(copy, text.len);
    return ERR_OK;
}

enum err head_forget(struct ops *ops)
{
    return store_setting_put(ops->set.store, true, setting, span_str(""));
}
