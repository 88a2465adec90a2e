// SPDX-License-Identifier: Apache-2.0
//
// Audit records of requests, and the two requests about the trail itself.
#include "ops/trail.h"

#include <stdio.h>

#include "base/clock.h"
#include "ops/doc.h"
#include "ops/keys.h"
#include "ops/verbs.h"

static enum err record(const struct op *op, enum err code, bool attempted)
{
    struct uuid id;
    struct ops *ops = op->ops;
    struct span key = keys_newest(ops, "audit", &id);
    struct audit_record row = {
        .time_ms = clock_wall_ms(),
        .verb = op->request->verb,
        .outcome = code,
        .attempted = attempted,
        .who = &op->who,
        .object = op->object,
        .object_type = op->object_type,
        .detail = op->detail,
    };
    if (row.detail.len > AUDIT_DETAIL_MAX)
        row.detail.len = AUDIT_DETAIL_MAX;
    if (ops->journal != NULL)
        return audit_journal_add(ops->journal, key, &row);
    if (ops->in_transaction)
        return audit_append(ops->set.store, key, &row);
    TRY(store_begin(ops->set.store, STORE_WRITE));
    enum err err = audit_append(ops->set.store, key, &row);
    if (err != ERR_OK) {
        store_rollback(ops->set.store);
        return err;
    }
    return store_commit(ops->set.store);
}

enum err trail_record(const struct op *op, enum err code)
{
    return record(op, code, false);
}

enum err trail_attempt(const struct op *op)
{
    return record(op, ERR_OK, true);
}

enum err trail_verify_run(struct op *op)
{
    struct audit_verdict verdict;
    CLEANUP(doc_freep) json_t *doc = NULL;
    TRY(doc_params(op, &doc));
    TRY(audit_verify(op->ops->set.root, op->ops->set.store, &verdict));
    verdict.what[sizeof verdict.what - 1] = '\0';
    return doc_answer(op, json_pack("{s:b, s:I, s:I, s:I, s:s}", "sound", verdict.sound, "records",
                                    (json_int_t)verdict.records, "read_records",
                                    (json_int_t)verdict.read_records, "bad_sequence",
                                    (json_int_t)verdict.bad_sequence, "what", verdict.what));
}

enum { LIST_DEFAULT = 100 };

// A record does not say which of the audit keys sealed it: the newest is tried first.
static enum err open_row(const struct ops *ops, const struct store_audit *row, struct buf *text,
                         json_t **ret)
{
    size_t nth = 0;
    for (;;) {
        struct span key = keys_nth(ops, "audit", nth++);
        buf_clear(text);
        TRY(audit_to_json(key, row, text));
        json_t *record = json_loadb((const char *)text->data, text->len, 0, NULL);
        if (record == NULL)
            FAIL(ERR_INTERNAL, "audit record %llu is no JSON object",
                 (unsigned long long)row->sequence);
        const char *telling = json_string_value(json_object_get(record, "telling"));
        bool sealed = telling != NULL && strcmp(telling, "sealed") == 0;
        if (!sealed || key.len == 0) {
            *ret = record;
            return ERR_OK;
        }
        json_decref(record);
    }
}

static enum err list_rows(struct op *op, const struct store_audit *rows, size_t count,
                          json_t *records)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 64 * 1024, false);
    for (size_t i = 0; i < count; i++) {
        json_t *record = NULL;
        TRY(open_row(op->ops, &rows[i], &text, &record));
        if (json_array_append_new(records, record) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    return ERR_OK;
}

// {"cursor": first sequence, "limit": 1 to 1000} → {"records": […], "next_cursor": text or null}
enum err trail_list_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct store_audit *rows = NULL;
    size_t count = 0;
    uint64_t from = 1;
    int64_t limit = LIST_DEFAULT;
    TRY(doc_params(op, &doc));
    TRY(doc_sequence(doc, &from));
    TRY(doc_integer(doc, "limit", 1, 1000, &limit));
    TRY(store_audit_list(op->ops->set.store, from, (uint32_t)limit, op->arena, &rows, &count));
    json_t *records = json_array();
    TRY(doc_set(answer, "records", records));
    TRY(list_rows(op, rows, count, records));
    char next[24] = "";
    if (count == (size_t)limit)
        (void)snprintf(next, sizeof next, "%llu", (unsigned long long)rows[count - 1].sequence + 1);
    TRY(doc_set(answer, "next_cursor", next[0] == '\0' ? json_null() : json_string(next)));
    return doc_answer(op, json_incref(answer));
}
