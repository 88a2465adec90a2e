// SPDX-License-Identifier: Apache-2.0
//
// Moments in order of time. The dates are attributes of the object and known to whoever may see it;
// who did it, and what has no date (a fetch, an export), stands in the audit trail, which is looked
// at for those who may read that alone. A moment that both know is told once. Of fetches and of
// changes of attributes the last one of each asker is kept. A re-key is recorded under the new key:
// for the old one it is looked up there.
#include "ops/key_history.h"

#include "audit/audit_history.h"
#include "ops/account.h"
#include "ops/attributes.h"
#include "ops/authority.h"
#include "ops/endpoint.h"

enum { DATES_MAX = 10, TRAIL_MAX = 64, BEFORE_S = 1, BEHIND_S = 2 };

enum deed {
    NONE,
    CREATED,
    ACTIVATED,
    REVOKED,
    DESTROYED,
    REKEYED,
    FETCHED,
    EXPORTED,
    GIVEN,
    CHANGED
};

static const char *const deed_words[] = {
    [CREATED] = "created",     [ACTIVATED] = "activated", [REVOKED] = "revoked",
    [DESTROYED] = "destroyed", [REKEYED] = "re-keyed",    [FETCHED] = "fetched last",
    [EXPORTED] = "exported",   [GIVEN] = "given away",    [CHANGED] = "changed last",
};

static const struct {
    enum verb verb;
    enum deed deed;
} deeds[] = {
    {VERB_CREATE, CREATED},
    {VERB_CREATE_KEY_PAIR, CREATED},
    {VERB_REGISTER, CREATED},
    {VERB_KEY_CREATE, CREATED},
    {VERB_KEY_IMPORT, CREATED},
    {VERB_ACTIVATE, ACTIVATED},
    {VERB_KEY_ACTIVATE, ACTIVATED},
    {VERB_REVOKE, REVOKED},
    {VERB_KEY_REVOKE, REVOKED},
    {VERB_DESTROY, DESTROYED},
    {VERB_KEY_DESTROY, DESTROYED},
    {VERB_RE_KEY, REKEYED},
    {VERB_RE_KEY_KEY_PAIR, REKEYED},
    {VERB_KEY_RE_KEY, REKEYED},
    {VERB_GET, FETCHED},
    {VERB_KEY_EXPORT, EXPORTED},
    {VERB_KEY_GIVE, GIVEN},
    {VERB_ADD_ATTRIBUTE, CHANGED},
    {VERB_MODIFY_ATTRIBUTE, CHANGED},
    {VERB_DELETE_ATTRIBUTE, CHANGED},
    {VERB_KEY_ADD_ATTRIBUTE, CHANGED},
    {VERB_KEY_MODIFY_ATTRIBUTE, CHANGED},
    {VERB_KEY_DELETE_ATTRIBUTE, CHANGED},
    {VERB_KEY_SET_DATES, CHANGED},
};

struct asker {
    uint8_t kind; // enum principal_kind; PRINCIPAL_NOBODY: not known
    uint32_t uid;
    struct uuid id;
};

struct moment {
    int64_t time;
    int64_t order_ms; // within that second; its end where the trail does not know it
    const char *text;
    bool planned;
    struct asker by;
};

// What the trail tells.
struct act {
    int64_t time_ms;
    enum deed deed;
    struct asker by;
    bool told; // with a date
};

struct history {
    struct op *op;
    struct uuid object;
    struct moment moments[DATES_MAX + TRAIL_MAX];
    size_t count;
    struct act acts[TRAIL_MAX];
    size_t act_count;
};

static enum deed deed_of(struct span verb)
{
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        if (span_eq_str(verb, verb_name(deeds[i].verb)))
            return deeds[i].deed;
    }
    return NONE;
}

static bool is_same_asker(const struct asker *a, const struct asker *b)
{
    return a->kind == b->kind && a->uid == b->uid && memcmp(&a->id, &b->id, sizeof a->id) == 0;
}

// Where an act goes: over the last of its kind of the same asker, a new place, or over the oldest.
static struct act *place_of(struct history *history, const struct act *act)
{
    struct act *oldest = &history->acts[0];
    bool last_only = act->deed == FETCHED || act->deed == CHANGED;
    for (size_t i = 0; i < history->act_count; i++) {
        struct act *other = &history->acts[i];
        if (last_only && other->deed == act->deed && is_same_asker(&other->by, &act->by))
            return other;
        if (other->time_ms < oldest->time_ms)
            oldest = other;
    }
    if (history->act_count < TRAIL_MAX)
        return &history->acts[history->act_count++];
    return oldest;
}

static enum err take_act(void *context, const struct audit_history_event *event)
{
    struct history *history = context;
    struct act act = {.time_ms = event->time_ms,
                      .deed = deed_of(event->verb),
                      .by = {event->who_kind, event->uid, event->who}};
    bool own = memcmp(&event->object, &history->object, sizeof event->object) == 0;
    if (own && act.deed == REKEYED)
        act.deed = CREATED;
    if (act.deed == NONE || (!own && act.deed != REKEYED))
        return ERR_OK;
    struct act *place = place_of(history, &act);
    if (place->time_ms <= act.time_ms)
        *place = act;
    return ERR_OK;
}

// ---- the dates ----

struct date {
    int64_t time;
    const char *past, *planned;
    enum deed deed, other; // what it may have come of
};

static void insert(struct history *history, struct moment moment)
{
    size_t at = history->count++;
    for (; at > 0 && history->moments[at - 1].order_ms > moment.order_ms; at--)
        history->moments[at] = history->moments[at - 1];
    history->moments[at] = moment;
}

static bool fits(const struct date *date, const struct act *act)
{
    int64_t time = act->time_ms / 1000;
    bool near = time >= date->time - BEFORE_S && time <= date->time + BEHIND_S;
    return near && (act->deed == date->deed || act->deed == date->other);
}

static void put_date(struct history *history, const struct date *date)
{
    struct moment moment = {
        .time = date->time, .order_ms = date->time * 1000 + 999, .text = date->past};
    moment.planned = date->time > history->op->now;
    if (moment.planned)
        moment.text = date->planned;
    for (size_t i = 0; i < history->act_count && !moment.planned; i++) {
        struct act *act = &history->acts[i];
        if (!fits(date, act))
            continue;
        moment.by = act->by;
        // The record is written a moment after the date was set.
        if (act->time_ms < moment.order_ms)
            moment.order_ms = act->time_ms < date->time * 1000 ? date->time * 1000 : act->time_ms;
        act->told = act->told || act->deed == date->deed;
        break;
    }
    insert(history, moment);
}

static const struct date *dates_of(const struct object *object, struct date ret[DATES_MAX])
{
    const struct store_dates *dates = &object->row.dates;
    const struct date known[DATES_MAX] = {
        {dates->initial, "created here", "", CREATED, NONE},
        {dates->activation, "activated", "becomes active", ACTIVATED, CREATED},
        {dates->process_start, "processing began", "processing may begin", NONE, NONE},
        {dates->protect_stop, "protecting ended", "protecting ends", NONE, NONE},
        {dates->compromise_occurrence, "compromise occurred", "", NONE, NONE},
        {dates->deactivation, "deactivated", "is deactivated", REVOKED, NONE},
        {dates->compromise, "reported as compromised", "", REVOKED, NONE},
        {dates->archive, "archived", "", NONE, NONE},
        {dates->destroy, "destroyed", "", DESTROYED, NONE},
        {dates->last_change, "changed last", "", CHANGED, NONE},
    };
    memcpy(ret, known, sizeof known);
    return ret;
}

// ---- the trail ----

static size_t times_of(const struct date dates[DATES_MAX], int64_t now, int64_t ret[DATES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < DATES_MAX; i++) {
        if (dates[i].time == 0 || dates[i].time > now)
            continue;
        size_t at = count++;
        for (; at > 0 && ret[at - 1] > dates[i].time; at--)
            ret[at] = ret[at - 1];
        ret[at] = dates[i].time;
    }
    return count;
}

// For whoever may read the trail, in a reader: the writer, which makes this answer for a tag alone,
// has no time for it.
static enum err look_at_trail(struct history *history, const struct object *object,
                              const struct date dates[DATES_MAX], json_t *answer)
{
    struct op *op = history->op;
    int64_t times[DATES_MAX];
    int64_t since_ms = 0;
    struct span newer;
    if (!authority_has(op, RIGHT_AUDIT) || op->ops->set.role != OPS_READER)
        return doc_set(answer, "trail_since", json_null());
    struct audit_history_want want = {.root = op->ops->set.root,
                                      .store = op->ops->set.store,
                                      .object = object->row.id,
                                      .times = times,
                                      .time_count = times_of(dates, op->now, times)};
    if (attributes_find_link(&object->attrs, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK, &newer) &&
        uuid_parse(newer, &want.other) != ERR_OK)
        want.other = (struct uuid){{0}};
    TRY(audit_history(&want, take_act, history, &since_ms));
    return doc_set(answer, "trail_since", doc_time(since_ms / 1000));
}

// ---- the answer ----

static json_t *asker_name(struct op *op, const struct asker *by)
{
    char uid[32];
    switch (by->kind) {
    case PRINCIPAL_ENDPOINT:
        return endpoint_name(op, &by->id);
    case PRINCIPAL_USER:
        return account_name(op, &by->id);
    case PRINCIPAL_LOCAL:
        (void)snprintf(uid, sizeof uid, "uid %u", by->uid);
        return json_string(uid);
    default:
        return json_null();
    }
}

static json_t *asker_kind(const struct asker *by)
{
    switch (by->kind) {
    case PRINCIPAL_ENDPOINT:
        return json_string("endpoint");
    case PRINCIPAL_USER:
        return json_string("user");
    case PRINCIPAL_LOCAL:
        return json_string("local");
    default:
        return json_null();
    }
}

static enum err put_moments(struct history *history, json_t *list)
{
    for (size_t i = 0; i < history->count; i++) {
        const struct moment *moment = &history->moments[i];
        json_t *item =
            json_pack("{s:o, s:s, s:b, s:o, s:o}", "time", doc_time(moment->time), "event",
                      moment->text, "planned", moment->planned, "by",
                      asker_name(history->op, &moment->by), "by_kind", asker_kind(&moment->by));
        if (item == NULL || json_array_append_new(list, item) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    return ERR_OK;
}

enum err key_history_put(struct op *op, const struct object *object, json_t *answer)
{
    struct history history = {.op = op, .object = object->row.id};
    struct date dates[DATES_MAX];
    json_t *timeline = json_array();
    TRY(doc_set(answer, "timeline", timeline));
    TRY(look_at_trail(&history, object, dates_of(object, dates), answer));
    for (size_t i = 0; i < DATES_MAX; i++) {
        if (dates[i].time != 0)
            put_date(&history, &dates[i]);
    }
    for (size_t i = 0; i < history.act_count; i++) {
        const struct act *act = &history.acts[i];
        if (!act->told)
            insert(&history, (struct moment){.time = act->time_ms / 1000,
                                             .order_ms = act->time_ms,
                                             .text = deed_words[act->deed],
                                             .by = act->by});
    }
    return put_moments(&history, timeline);
}
