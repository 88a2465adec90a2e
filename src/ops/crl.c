// SPDX-License-Identifier: Apache-2.0
//
// Revocation lists, for whoever checks certificates of this server's authority elsewhere; the
// server itself looks each certificate up with each request. A list is made when it is asked for,
// numbered by the second, and valid for a week; what has expired stays in it a day longer (RFC 5280
// section 3.3) and goes when the next certificate is issued.
#include "ops/ca.h"
#include "ops/doc.h"
#include "ops/verbs.h"

enum { VALID_S = 7 * 86400, PEM_MAX = 32 * 1024 * 1024, ENTRIES_MAX = 200000 };

// What a list is gathered in: entries, and the rows that their serial numbers lie in.
struct gathered {
    struct pki_revoked *list;
    size_t count, cap;
};

static enum err add(struct op *op, struct gathered *all, const struct store_issued *row)
{
    if (all->count == all->cap) {
        struct pki_revoked *more = NULL;
        size_t cap = all->cap == 0 ? 256 : all->cap * 2;
        if (cap > ENTRIES_MAX * 2)
            FAIL(ERR_TOO_LARGE, "there are more than %d revoked certificates", ENTRIES_MAX);
        TRY(arena_alloc(op->arena, cap, sizeof *more, &more));
        if (all->count > 0)
            memcpy(more, all->list, all->count * sizeof *more);
        all->list = more;
        all->cap = cap;
    }
    all->list[all->count++] = (struct pki_revoked){.serial = row->serial,
                                                   .serial_len = sizeof row->serial,
                                                   .when = row->ended,
                                                   .reason = row->reason};
    return ERR_OK;
}

static enum err gather(struct op *op, const struct ca *ca, struct gathered *ret)
{
    size_t found = STORE_FIND_MAX;
    struct store_issued_query query = {
        .authority = ca->id, .filter = ISSUED_ENDED, .at = op->now, .limit = STORE_FIND_MAX};
    while (found == STORE_FIND_MAX) {
        struct store_issued *rows = NULL;
        TRY(store_issued_list(op->ops->set.store, &query, op->arena, &rows, &found));
        for (size_t i = 0; i < found; i++) {
            TRY(add(op, ret, &rows[i]));
            memcpy(query.after, rows[i].fingerprint, sizeof query.after);
        }
    }
    return ERR_OK;
}

static enum err make(struct op *op, enum ca_slot slot, json_t *list)
{
    struct ca ca;
    struct gathered all = {0};
    struct buf pem CLEANUP(buf_done);
    buf_init(&pem, PEM_MAX, false);
    TRY(ca_get(op, slot, &ca));
    TRY(gather(op, &ca, &all));
    const struct pki_crl want = {.list = all.list,
                                 .count = all.count,
                                 .number = (uint64_t)op->now,
                                 .now = op->now,
                                 .next = op->now + VALID_S};
    TRY(pki_make_crl(ca.key, ca.chain, &want, &pem));
    json_t *item = json_pack("{s:o, s:I, s:o, s:o, s:I, s:o}", "id", doc_uuid(&ca.id), "number",
                             (json_int_t)want.number, "this_update", doc_time(want.now),
                             "next_update", doc_time(want.next), "entries", (json_int_t)all.count,
                             "crl", doc_string(span_buf(&pem)));
    if (item == NULL || json_array_append_new(list, item) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

// {} → {"crls": one for each authority, the current one first}
enum err crl_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    json_t *list = json_array();
    TRY(doc_params(op, &doc));
    TRY(doc_set(answer, "crls", list));
    TRY(make(op, CA_CURRENT, list));
    enum err err = make(op, CA_OLD, list);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    return doc_answer(op, json_incref(answer));
}
