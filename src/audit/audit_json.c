// SPDX-License-Identifier: Apache-2.0
//
// Records as JSON, one object each. A record says in "telling" what became of its sealed part:
// "opened", "sealed" (no key, or not this one), "left out" (the store was locked) or "none".
#include "audit/audit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "audit/audit_walk.h"
#include "base/clock.h"

enum { PLAIN_MAX = 4096, JSON_MAX = 64 * 1024 };

static void json_freep(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

static void text_freep(char **text)
{
    free(*text);
    *text = NULL;
}

// Bytes that are not UTF-8 are shown in hexadecimal.
static json_t *text_of(struct span text)
{
    if (span_is_utf8(text))
        return json_stringn(text.len == 0 ? "" : (const char *)text.data, text.len);
    char hex[2 * AUDIT_DETAIL_MAX + 3] = "0x";
    size_t len = text.len > AUDIT_DETAIL_MAX ? AUDIT_DETAIL_MAX : text.len;
    for (size_t i = 0; i < len; i++)
        (void)snprintf(hex + 2 + 2 * i, 3, "%02x", text.data[i]);
    return json_string(hex);
}

static json_t *uuid_of(const struct uuid *uuid)
{
    char text[UUID_TEXT_LEN + 1];
    if (uuid_is_zero(uuid))
        return json_null();
    uuid_text(uuid, text);
    return json_string(text);
}

// Keeps `failed` when one of many could not be set.
static void set(json_t *object, const char *key, json_t *value, bool *failed)
{
    if (json_object_set_new(object, key, value) != 0)
        *failed = true;
}

static const char *kind_of(uint8_t who_kind)
{
    switch (who_kind) {
    case PRINCIPAL_ENDPOINT:
        return "endpoint";
    case PRINCIPAL_LOCAL:
        return "local";
    default:
        return "nobody";
    }
}

// Name and address come from the context where there is one.
struct told {
    const char *how;
    struct audit_telling telling;
};

static json_t *principal_of(const struct audit_entry *entry, const struct told *told, bool *failed)
{
    json_t *who = json_object();
    set(who, "kind", json_string(kind_of(entry->who_kind)), failed);
    set(who, "id", uuid_of(&entry->who), failed);
    if (entry->who_kind == PRINCIPAL_LOCAL)
        set(who, "uid", json_integer(entry->uid), failed);
    if (told->telling.name.len > 0)
        set(who, "name", text_of(told->telling.name), failed);
    if (told->telling.address.len > 0)
        set(who, "address", text_of(told->telling.address), failed);
    return who;
}

static void set_request(json_t *object, const struct audit_entry *entry, const struct told *told,
                        bool *failed)
{
    set(object, "verb", text_of(entry->verb), failed);
    bool attempted = (entry->flags & AUDIT_ATTEMPTED) != 0;
    // What is about to be done has no outcome yet; the next record of it has.
    bool open = attempted && span_eq_str(entry->outcome, err_info(ERR_OK)->name);
    set(object, "outcome", open ? json_string("attempted") : text_of(entry->outcome), failed);
    set(object, "attempted", json_boolean(attempted), failed);
    set(object, "principal", principal_of(entry, told, failed), failed);
    set(object, "object", uuid_of(&entry->object), failed);
    set(object, "object_type", json_integer(entry->object_type), failed);
    if (told->telling.detail.len > 0)
        set(object, "detail", text_of(told->telling.detail), failed);
    set(object, "telling", json_string(told->how), failed);
}

static void set_anchor(json_t *object, const struct audit_anchored *anchor, bool *failed)
{
    char hash[2 * AUDIT_HASH_LEN + 1];
    for (size_t i = 0; i < AUDIT_HASH_LEN; i++)
        (void)snprintf(hash + 2 * i, 3, "%02x", anchor->hash[i]);
    set(object, "verb", json_string("anchor"), failed);
    set(object, "reader", json_integer(anchor->index), failed);
    set(object, "segment", json_integer(anchor->segment), failed);
    set(object, "length", json_integer((json_int_t)anchor->length), failed);
    set(object, "records", json_integer((json_int_t)anchor->count), failed);
    set(object, "hash", json_string(hash), failed);
}

static enum err put_json(const struct audit_entry *entry, const struct told *told, struct buf *out)
{
    bool failed = false;
    char time[CLOCK_TEXT_LEN + 1];
    CLEANUP(json_freep) json_t *object = json_object();
    clock_text(entry->time_ms, time);
    set(object, "sequence", json_integer((json_int_t)entry->sequence), &failed);
    if (entry->chain != AUDIT_CHAIN_NODE)
        set(object, "journal", json_integer((json_int_t)entry->chain - 1), &failed);
    set(object, "time", json_string(time), &failed);
    if (entry->kind == AUDIT_ANCHOR)
        set_anchor(object, &entry->anchor, &failed);
    else
        set_request(object, entry, told, &failed);
    CLEANUP(text_freep) char *text = failed ? NULL : json_dumps(object, JSON_COMPACT);
    if (text == NULL)
        FAIL(ERR_MEMORY, "no memory for a record's text");
    return buf_put_str(out, text);
}

// Opens what a record tells itself; `told` may have name and address from the context already.
static void open_own(struct span seal_key, const struct audit_entry *entry, struct buf *plain,
                     struct told *told)
{
    struct audit_telling own;
    if ((entry->flags & AUDIT_LOCKED) != 0)
        told->how = "left out";
    if ((entry->flags & AUDIT_SEALED) == 0)
        return;
    if (seal_key.len == 0 || audit_record_open(seal_key, entry, plain, &own) != ERR_OK) {
        told->how = "sealed";
        return;
    }
    told->how = "opened";
    told->telling.detail = own.detail;
    if (entry->context == 0)
        told->telling = own;
}

enum err audit_to_json(struct span seal_key, const struct store_audit *row, struct buf *out)
{
    struct audit_entry entry;
    struct told told = {.how = "none"};
    struct buf plain CLEANUP(buf_done);
    buf_init(&plain, PLAIN_MAX, true);
    TRY(audit_record_read(row->record, &entry));
    open_own(seal_key, &entry, &plain, &told);
    return put_json(&entry, &told, out);
}

// ---- journals ----

// One context that was opened last; records in a row mostly share it.
struct recalled {
    uint64_t sequence;
    struct buf plain;
    struct audit_telling telling;
};

struct list {
    struct span seal_key;
    uint64_t from;
    uint32_t limit, count;
    struct buf contexts; // frames' records of this segment: sequence, length, bytes
    struct recalled last;
    struct buf *out;
};

static void list_done(struct list *list)
{
    buf_done(&list->contexts);
    buf_done(&list->last.plain);
}

static enum err keep_context(struct list *list, const struct audit_entry *entry)
{
    TRY(buf_put_u64(&list->contexts, entry->sequence));
    TRY(buf_put_var(&list->contexts, entry->clear));
    return buf_put_var(&list->contexts, entry->sealed);
}

static bool find_context(const struct list *list, uint64_t sequence, struct audit_entry *ret)
{
    struct cursor in = cursor_of(span_buf(&list->contexts));
    for (uint64_t at = 0; cursor_u64(&in, &at) == ERR_OK;) {
        if (cursor_var(&in, &ret->clear) != ERR_OK || cursor_var(&in, &ret->sealed) != ERR_OK)
            return false;
        if (at == sequence)
            return true;
    }
    return false;
}

static bool recall(struct list *list, uint64_t sequence, struct audit_telling *ret)
{
    struct audit_entry context = {0};
    if (list->last.sequence != sequence) {
        buf_clear(&list->last.plain);
        list->last.sequence = 0;
        if (list->seal_key.len == 0 || !find_context(list, sequence, &context) ||
            audit_record_open(list->seal_key, &context, &list->last.plain, &list->last.telling) !=
                ERR_OK)
            return false;
        list->last.sequence = sequence;
    }
    *ret = list->last.telling;
    return true;
}

static enum err list_request(struct list *list, const struct audit_entry *entry)
{
    struct told told = {.how = "none"};
    struct buf plain CLEANUP(buf_done);
    buf_init(&plain, PLAIN_MAX, true);
    if (entry->context != 0)
        told.how = recall(list, entry->context, &told.telling) ? "opened" : "sealed";
    open_own(list->seal_key, entry, &plain, &told);
    TRY(put_json(entry, &told, list->out));
    list->count++;
    return buf_put_u8(list->out, '\n');
}

static enum err list_entry(struct list *list, const struct audit_entry *entry)
{
    if (entry->kind == AUDIT_SEGMENT) {
        buf_clear(&list->contexts);
        list->last.sequence = 0;
    }
    if (entry->kind == AUDIT_CONTEXT)
        return keep_context(list, entry);
    if (entry->kind == AUDIT_REQUEST && entry->sequence >= list->from)
        return list_request(list, entry);
    return ERR_OK;
}

// The segment to begin with: the last one whose first record is not after `from`.
static enum err find_segment(struct audit_walk *walk, uint32_t last, uint64_t from)
{
    for (uint32_t segment = last; segment > 0; segment--) {
        enum audit_step step;
        TRY(audit_walk_segment(walk, segment, &step));
        if (step == AUDIT_STEP_RECORD && (walk->count < from || segment == 1))
            return ERR_OK;
    }
    return ERR_OK;
}

enum err audit_read_list(int root, uint32_t index, struct span seal_key, uint64_t from,
                         uint32_t limit, struct buf *out, uint64_t *ret_next)
{
    struct audit_journals journals;
    struct audit_walk walk CLEANUP(audit_walk_done) = {.fd = -1};
    struct list list CLEANUP(list_done) = {
        .seal_key = seal_key, .from = from, .limit = limit, .out = out};
    struct audit_entry entry;
    enum audit_step step = AUDIT_STEP_RECORD;
    buf_init(&list.contexts, (size_t)64 << 20, false);
    buf_init(&list.last.plain, PLAIN_MAX, true);
    TRY(audit_walk_list(root, &journals));
    TRY(audit_walk_init(&walk, root, index));
    for (size_t i = 0; i < journals.count; i++) {
        if (journals.index[i] == index)
            TRY(find_segment(&walk, journals.last[i], from));
    }
    while (list.count < limit && step == AUDIT_STEP_RECORD) {
        TRY(audit_walk_next(&walk, &step, &entry));
        if (step == AUDIT_STEP_RECORD)
            TRY(list_entry(&list, &entry));
    }
    *ret_next = walk.count + 1;
    return ERR_OK;
}
