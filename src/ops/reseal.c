// SPDX-License-Identifier: Apache-2.0
//
// The passes. Invariants: an older key goes only after a whole pass in which nothing was found
// under one, in the transaction that says so; what cannot be opened is left as it is, is counted,
// and keeps its key; the writer alone seals under keys for objects, so nothing comes behind the
// cursor.
#include "ops/reseal.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "ops/ca.h"
#include "ops/credential.h"
#include "ops/doc.h"
#include "ops/keys.h"
#include "ops/mail.h"
#include "ops/object.h"
#include "ops/peer.h"
#include "ops/seal.h"
#include "ops/signer.h"

#define SETTING "rotation"

enum { RESEAL_ARENA = 64 * 1024 * 1024, PAUSE_MIN_MS = 2 };

static const char *const states[] = {"never", "running", "done", "incomplete"};
static const char *const phases[RESEAL_PHASES] = {"settings", "endpoints",   "named",
                                                  "users",    "credentials", "objects"};

static int index_of(const json_t *doc, const char *name, const char *const *words, int count)
{
    const char *text = json_string_value(json_object_get(doc, name));
    for (int i = 0; text != NULL && i < count; i++) {
        if (strcmp(words[i], text) == 0)
            return i;
    }
    return -1;
}

static int64_t number_of(const json_t *doc, const char *name)
{
    return json_integer_value(json_object_get(doc, name));
}

static enum err parse(const json_t *doc, struct reseal *ret)
{
    const char *cursor = json_string_value(json_object_get(doc, "cursor"));
    int state = index_of(doc, "state", states, 4);
    int phase = index_of(doc, "phase", phases, RESEAL_PHASES);
    if (state < 0 || phase < 0 || cursor == NULL ||
        uuid_parse(span_str(cursor), &ret->cursor) != ERR_OK)
        FAIL(ERR_DAMAGED, "the setting \"" SETTING "\" of the store is damaged");
    ret->state = (enum reseal_state)state;
    ret->phase = (enum reseal_phase)phase;
    ret->pass = number_of(doc, "pass");
    ret->total = number_of(doc, "total");
    ret->seen = number_of(doc, "seen");
    ret->moved = number_of(doc, "moved");
    ret->moved_before = number_of(doc, "moved_before");
    ret->unreadable = number_of(doc, "unreadable");
    ret->started = number_of(doc, "started");
    ret->finished = number_of(doc, "finished");
    return ERR_OK;
}

enum err reseal_load(struct ops *ops, struct arena *arena, struct reseal *ret)
{
    struct span text;
    *ret = (struct reseal){.state = RESEAL_NEVER};
    enum err err = store_setting_get(ops->set.store, false, SETTING, arena, &text);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    CLEANUP(doc_freep) json_t *doc = json_loadb((const char *)text.data, text.len, 0, NULL);
    return parse(doc, ret);
}

static enum err save(struct ops *ops, const struct reseal *r)
{
    char text[512];
    char cursor[UUID_TEXT_LEN + 1];
    uuid_text(&r->cursor, cursor);
    int len = snprintf(text, sizeof text,
                       "{\"state\":\"%s\",\"phase\":\"%s\",\"pass\":%lld,\"cursor\":\"%s\","
                       "\"total\":%lld,\"seen\":%lld,\"moved\":%lld,\"moved_before\":%lld,"
                       "\"unreadable\":%lld,\"started\":%lld,\"finished\":%lld}",
                       states[r->state], phases[r->phase], (long long)r->pass, cursor,
                       (long long)r->total, (long long)r->seen, (long long)r->moved,
                       (long long)r->moved_before, (long long)r->unreadable, (long long)r->started,
                       (long long)r->finished);
    if (len < 0 || (size_t)len >= sizeof text)
        FAIL(ERR_INTERNAL, "the state of a rotation is too long");
    return store_setting_put(ops->set.store, false, SETTING, span_str(text));
}

json_t *reseal_json(const struct reseal *r)
{
    if (r->state == RESEAL_NEVER)
        return json_pack("{s:s}", "state", states[r->state]);
    int64_t done = r->state == RESEAL_RUNNING ? r->seen : r->total;
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "state", states[r->state], "pass",
                     (json_int_t)r->pass, "objects_total", (json_int_t)r->total, "objects_done",
                     (json_int_t)done, "sealed_again", (json_int_t)r->moved, "unreadable",
                     (json_int_t)r->unreadable, "started", doc_time(r->started), "finished",
                     doc_time(r->finished));
}

enum err reseal_start(struct op *op, struct reseal *ret)
{
    uint64_t total = 0;
    const struct store_query all = {.any_owner = true, .limit = 1};
    struct reseal r = {0};
    TRY(reseal_load(op->ops, op->arena, &r));
    if (r.state == RESEAL_RUNNING)
        FAIL(ERR_BUSY, "the data keys are being rotated already: %lld of %lld objects are done",
             (long long)r.seen, (long long)r.total);
    TRY(store_object_count(op->ops->set.store, &all, &total));
    TRY(keys_rotate(op->ops, "objects"));
    TRY(keys_rotate(op->ops, "audit"));
    *ret = (struct reseal){
        .state = RESEAL_RUNNING, .pass = 1, .total = (int64_t)total, .started = op->now};
    TRY(save(op->ops, ret));
    op->ops->no_rotation = false;
    op->ops->next_reseal = 0;
    return ERR_OK;
}

// One batch.
struct batch_of {
    struct op op;
    struct reseal *r;
    struct uuid newest; // key
    int64_t until;      // monotonic ms
    int64_t moved_at_begin;
    size_t bytes;
};

static bool is_newest(const struct batch_of *b, const struct uuid *key_id)
{
    return memcmp(&b->newest, key_id, sizeof *key_id) == 0;
}

static bool is_full(const struct batch_of *b)
{
    return b->r->moved - b->moved_at_begin >= RESEAL_ROWS || b->bytes > RESEAL_BYTES ||
           clock_mono_ms() > b->until;
}

// What cannot be opened stays; every other error ends the batch.
static enum err count(struct batch_of *b, enum err err, const char *what, const struct uuid *id)
{
    char text[UUID_TEXT_LEN + 1];
    if (err == ERR_OK) {
        b->r->moved++;
        return ERR_OK;
    }
    if (err != ERR_DAMAGED && err != ERR_MESSAGE)
        return err;
    b->r->unreadable++;
    uuid_text(id, text);
    log_event(LOG_LEVEL_ERROR, "not_sealed_again %s=%s error=%s", what, text, err_info(err)->name);
    return ERR_OK;
}

static void next_phase(struct batch_of *b, enum reseal_phase phase)
{
    b->r->phase = phase;
    b->r->cursor = (struct uuid){{0}};
}

static enum err do_settings(struct batch_of *b)
{
    bool moved = false;
    static const struct uuid none;
    enum err err = ca_reseal(&b->op, &moved);
    if (err != ERR_OK || moved)
        TRY(count(b, err, "setting", &none));
    err = signer_reseal(&b->op, &moved);
    if (err != ERR_OK || moved)
        TRY(count(b, err, "setting", &none));
    err = mail_reseal(&b->op, &moved);
    if (err != ERR_OK || moved)
        TRY(count(b, err, "setting", &none));
    next_phase(b, RESEAL_ENDPOINTS);
    return ERR_OK;
}

static enum err reseal_endpoint(struct batch_of *b, struct store_endpoint *row)
{
    struct peer_record record = {0};
    TRY(peer_open(b->op.ops, b->op.arena, row, &record));
    TRY(peer_seal(b->op.ops, b->op.arena, &record, row));
    return store_endpoint_update(b->op.ops->set.store, row);
}

static enum err do_endpoints(struct batch_of *b)
{
    struct store_endpoint *rows = NULL;
    size_t found = 0;
    TRY(store_endpoint_list(b->op.ops->set.store, &b->r->cursor, RESEAL_ROWS, b->op.arena, &rows,
                            &found));
    for (size_t i = 0; i < found; i++) {
        if (!is_newest(b, &rows[i].key_id))
            TRY(count(b, reseal_endpoint(b, &rows[i]), "endpoint", &rows[i].id));
        b->r->cursor = rows[i].id;
    }
    if (found < RESEAL_ROWS)
        next_phase(b, RESEAL_NAMED);
    return ERR_OK;
}

static enum err reseal_named(struct batch_of *b, struct store_named *row)
{
    struct span plain;
    const struct seal_bound bound = {.part = SEAL_NAMED, .id = row->id, .type = row->kind};
    TRY(seal_open(b->op.ops, b->op.arena, &bound, &row->key_id, row->sealed, &plain));
    TRY(seal_close(b->op.ops, b->op.arena, &bound, plain, &row->sealed, &row->key_id));
    return store_named_update(b->op.ops->set.store, row);
}

// All in one batch: there are few, and each is small.
static enum err do_named(struct batch_of *b)
{
    struct store *store = b->op.ops->set.store;
    for (uint32_t kind = NAMED_WALLET; kind <= NAMED_USER_GROUP; kind++) {
        struct uuid after = {{0}};
        size_t found = RESEAL_ROWS;
        while (found == RESEAL_ROWS) {
            struct store_named *rows = NULL;
            TRY(store_named_list(store, kind, &after, RESEAL_ROWS, b->op.arena, &rows, &found));
            for (size_t i = 0; i < found; i++) {
                if (!is_newest(b, &rows[i].key_id))
                    TRY(count(b, reseal_named(b, &rows[i]), "named", &rows[i].id));
                after = rows[i].id;
            }
        }
    }
    next_phase(b, RESEAL_USERS);
    return ERR_OK;
}

static enum err reseal_user(struct batch_of *b, const struct store_user *row)
{
    struct account account;
    TRY(account_open(&b->op, row, &account));
    return account_update(&b->op, &account);
}

static enum err do_users(struct batch_of *b)
{
    struct store_user *rows = NULL;
    size_t found = 0;
    TRY(store_user_list(b->op.ops->set.store, 0, &b->r->cursor, RESEAL_ROWS, b->op.arena, &rows,
                        &found));
    for (size_t i = 0; i < found; i++) {
        if (!is_newest(b, &rows[i].key_id))
            TRY(count(b, reseal_user(b, &rows[i]), "user", &rows[i].id));
        b->r->cursor = rows[i].id;
    }
    if (found < RESEAL_ROWS)
        next_phase(b, RESEAL_CREDENTIALS);
    return ERR_OK;
}

static enum err do_credentials(struct batch_of *b)
{
    struct store_credential *rows = NULL;
    size_t found = 0;
    TRY(store_credential_list(b->op.ops->set.store, NULL, &b->r->cursor, RESEAL_ROWS, b->op.arena,
                              &rows, &found));
    for (size_t i = 0; i < found; i++) {
        if (!is_newest(b, &rows[i].key_id))
            TRY(count(b, credential_reseal(&b->op, &rows[i]), "credential", &rows[i].id));
        b->r->cursor = rows[i].id;
    }
    if (found < RESEAL_ROWS)
        next_phase(b, RESEAL_OBJECTS);
    return ERR_OK;
}

static enum err reseal_object(struct batch_of *b, const struct uuid *id)
{
    struct store_object row;
    TRY(store_object_get(b->op.ops->set.store, id, b->op.arena, &row));
    b->bytes += row.material.len + row.attributes.len;
    return object_reseal(&b->op, &row);
}

// A pass has ended: another one, or the older keys go.
static enum err end_pass(struct batch_of *b)
{
    struct reseal *r = b->r;
    struct ops *ops = b->op.ops;
    if (r->moved > r->moved_before) {
        r->pass++;
        r->moved_before = r->moved;
        r->seen = r->unreadable = 0;
        next_phase(b, RESEAL_SETTINGS);
        return ERR_OK;
    }
    r->finished = clock_wall_s();
    r->state = r->unreadable == 0 ? RESEAL_DONE : RESEAL_INCOMPLETE;
    if (r->unreadable == 0)
        TRY(keys_retire(ops, "objects"));
    struct uuid id;
    const char *detail = r->unreadable == 0 ? "everything is sealed under the new data key; the "
                                              "older ones are removed"
                                            : "not everything could be opened; the older data keys "
                                              "are kept";
    const struct audit_record record = {.time_ms = clock_wall_ms(),
                                        .verb = VERB_DATA_KEYS_ROTATED,
                                        .outcome = r->unreadable == 0 ? ERR_OK : ERR_DAMAGED,
                                        .detail = span_str(detail)};
    return audit_append(ops->set.store, keys_newest(ops, "audit", &id), &record);
}

static enum err do_objects(struct batch_of *b)
{
    struct store_object *rows = NULL;
    size_t found = 0;
    size_t i = 0;
    const struct store_query page = {
        .any_owner = true, .after = b->r->cursor, .limit = RESEAL_SCAN};
    TRY(store_object_find(b->op.ops->set.store, &page, b->op.arena, &rows, &found));
    for (; i < found && !is_full(b); i++) {
        if (!is_newest(b, &rows[i].key_id))
            TRY(count(b, reseal_object(b, &rows[i].id), "object", &rows[i].id));
        b->r->cursor = rows[i].id;
        b->r->seen++;
    }
    return i == found && found < RESEAL_SCAN ? end_pass(b) : ERR_OK;
}

static enum err (*const steps[RESEAL_PHASES])(struct batch_of *b) = {
    [RESEAL_SETTINGS] = do_settings,
    [RESEAL_ENDPOINTS] = do_endpoints,
    [RESEAL_NAMED] = do_named,
    [RESEAL_USERS] = do_users,
    [RESEAL_CREDENTIALS] = do_credentials,
    [RESEAL_OBJECTS] = do_objects,
};

static enum err run_batch(struct ops *ops, struct arena *arena, bool *ret_running)
{
    struct reseal r;
    TRY(reseal_load(ops, arena, &r));
    *ret_running = r.state == RESEAL_RUNNING;
    if (!*ret_running)
        return ERR_OK;
    struct batch_of b = {.op = {.ops = ops, .arena = arena, .now = clock_wall_s()},
                         .r = &r,
                         .until = clock_mono_ms() + RESEAL_MS,
                         .moved_at_begin = r.moved};
    if (keys_newest(ops, "objects", &b.newest).len == 0)
        FAIL(ERR_LOCKED, "%s", ops->locked);
    TRY(steps[r.phase](&b));
    return save(ops, &r);
}

// In a transaction of its own. After a failed commit the keys are read again.
static enum err step(struct ops *ops, bool *ret_running)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct store *store = ops->set.store;
    TRY(arena_new(RESEAL_ARENA, &arena));
    TRY(store_begin(store, STORE_WRITE));
    enum err err = run_batch(ops, arena, ret_running);
    if (err != ERR_OK || !*ret_running) {
        store_rollback(store);
        if (err != ERR_OK)
            keys_forget(ops);
        return err;
    }
    ops->turn++;
    ops->unsettled = true;
    err = store_commit(store);
    if (err != ERR_OK)
        keys_forget(ops);
    return err;
}

enum err reseal_idle(struct ops *ops, int *wait_ms)
{
    int64_t now = clock_mono_ms();
    bool running = false;
    if (ops->no_rotation || !ops->open)
        return ERR_OK;
    if (now >= ops->next_reseal) {
        TRY(step(ops, &running));
        ops->no_rotation = !running;
        if (!running)
            return ERR_OK;
        // As much time for others as this has taken.
        int64_t end = clock_mono_ms();
        ops->next_reseal = end + (end - now > PAUSE_MIN_MS ? end - now : PAUSE_MIN_MS);
        now = end;
    }
    int left = (int)(ops->next_reseal - now);
    *wait_ms = *wait_ms < 0 || left < *wait_ms ? left : *wait_ms;
    return ERR_OK;
}
