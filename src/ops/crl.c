// SPDX-License-Identifier: Apache-2.0
//
// Revocation lists, for whoever checks certificates of this server's authority elsewhere; the
// server itself looks each certificate up with each request. A list is made when it is asked for,
// numbered by the second, and valid for a week; what has expired stays in it a day longer (RFC 5280
// section 3.3) and goes when the next certificate is issued.
#include "ops/ca.h"
#include "ops/doc.h"
#include "ops/verbs.h"

enum { VALID_S = 7 * 86400, PEM_MAX = 32 * 1024 * 1024, ENTRIES_MAX = 200000, ID_MAX = 256 };

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

struct made {
    struct ca ca;
    struct pki_crl crl;
};

// Appends the list (PEM). ERR_NOT_FOUND when there is no authority in this place.
static enum err make(struct op *op, enum ca_slot slot, struct made *ret, struct buf *pem)
{
    struct gathered all = {0};
    TRY(ca_get(op, slot, &ret->ca));
    TRY(gather(op, &ret->ca, &all));
    ret->crl = (struct pki_crl){.list = all.list,
                                .count = all.count,
                                .number = (uint64_t)op->now,
                                .now = op->now,
                                .next = op->now + VALID_S};
    return pki_make_crl(ret->ca.key, ret->ca.chain, &ret->crl, pem);
}

static enum err list(struct op *op, enum ca_slot slot, json_t *list)
{
    struct made made;
    struct buf pem CLEANUP(buf_done);
    buf_init(&pem, PEM_MAX, false);
    TRY(make(op, slot, &made, &pem));
    json_t *item =
        json_pack("{s:o, s:I, s:o, s:o, s:I, s:o}", "id", doc_uuid(&made.ca.id), "number",
                  (json_int_t)made.crl.number, "this_update", doc_time(made.crl.now), "next_update",
                  doc_time(made.crl.next), "entries", (json_int_t)made.crl.count, "crl",
                  doc_string(span_buf(&pem)));
    if (item == NULL || json_array_append_new(list, item) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

// {} → {"crls": one for each authority, the current one first}
enum err crl_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    json_t *crls = json_array();
    TRY(doc_params(op, &doc));
    TRY(doc_set(answer, "crls", crls));
    TRY(list(op, CA_CURRENT, crls));
    enum err err = list(op, CA_OLD, crls);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    return doc_answer(op, json_incref(answer));
}

// ---- as bytes, for whoever checks certificates ----

// {} → all lists in PEM
enum err crl_pem_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct made made;
    struct buf pem CLEANUP(buf_done);
    buf_init(&pem, PEM_MAX, false);
    TRY(doc_params(op, &doc));
    TRY(make(op, CA_CURRENT, &made, &pem));
    enum err err = make(op, CA_OLD, &made, &pem);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    return arena_copy(op->arena, span_buf(&pem), &op->reply->doc);
}

static enum err answer_der(struct op *op, struct span pem)
{
    struct buf der CLEANUP(buf_done);
    buf_init(&der, PEM_MAX, false);
    TRY(pki_der(pem, &der));
    return arena_copy(op->arena, span_buf(&der), &op->reply->doc);
}

static enum err answer_list(struct op *op, enum ca_slot slot)
{
    struct made made;
    struct buf pem CLEANUP(buf_done);
    buf_init(&pem, PEM_MAX, false);
    TRY(make(op, slot, &made, &pem));
    return answer_der(op, span_buf(&pem));
}

// {} → the current authority's list in DER
enum err crl_der_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    TRY(doc_params(op, &doc));
    return answer_list(op, CA_CURRENT);
}

// The authority that a document's "authority" means.
static enum err find(struct op *op, struct ca *ret, enum ca_slot *ret_slot)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct span text;
    struct uuid id;
    TRY(doc_params(op, &doc));
    TRY(doc_text(doc, "authority", ID_MAX, true, &text));
    bool given = uuid_parse(text, &id) == ERR_OK;
    for (int slot = CA_CURRENT; given && slot <= CA_OLD; slot++) {
        enum err err = ca_public(op->ops, op->arena, (enum ca_slot)slot, ret);
        if (err != ERR_OK && err != ERR_NOT_FOUND)
            return err;
        *ret_slot = (enum ca_slot)slot;
        if (err == ERR_OK && memcmp(&ret->id, &id, sizeof id) == 0)
            return ERR_OK;
    }
    FAIL(ERR_NOT_FOUND, "there is no such authority, or it is not trusted any more");
}

// {"authority"} → its list in DER
enum err crl_of_run(struct op *op)
{
    struct ca ca;
    enum ca_slot slot;
    TRY(find(op, &ca, &slot));
    return answer_list(op, slot);
}

// {"authority"} → its certificate in DER
enum err crl_authority_run(struct op *op)
{
    struct ca ca;
    enum ca_slot slot;
    TRY(find(op, &ca, &slot));
    return answer_der(op, ca.chain);
}
