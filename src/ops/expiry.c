// SPDX-License-Identifier: Apache-2.0
//
// The server's own certificates are read from settings; those of endpoints are rows of
// store/issued.h that have no end.
#include "ops/expiry.h"

#include "base/hex.h"
#include "ops/ca.h"
#include "ops/certdoc.h"
#include "ops/endpoint.h"
#include "ops/tlsfile.h"
#include "ops/verbs.h"

enum { OWN_MAX = 4, WITHIN_MAX = 36500 };

const char *expiry_kind_name(enum expiry_kind kind)
{
    static const char *const names[] = {"authority", "old-authority", "server", "console",
                                        "endpoint"};
    return names[kind];
}

static enum err chain_of(struct ops *ops, struct arena *arena, enum expiry_kind kind,
                         struct span *ret)
{
    struct ca ca = {0};
    if (kind == EXPIRY_SERVER || kind == EXPIRY_CONSOLE)
        return tlsfile_chain(ops, arena, kind == EXPIRY_SERVER ? TLSFILE_SERVER : TLSFILE_CONSOLE,
                             ret);
    enum err err = ca_public(ops, arena, kind == EXPIRY_AUTHORITY ? CA_CURRENT : CA_OLD, &ca);
    *ret = ca.chain;
    return err;
}

enum err expiry_own(struct ops *ops, struct arena *arena, struct expiry **ret, size_t *ret_count)
{
    struct expiry *list = NULL;
    size_t count = 0;
    TRY(arena_alloc(arena, OWN_MAX, sizeof *list, &list));
    for (enum expiry_kind kind = EXPIRY_AUTHORITY; kind < EXPIRY_ENDPOINT; kind++) {
        struct span chain;
        struct pki_info info;
        enum err err = chain_of(ops, arena, kind, &chain);
        if (err == ERR_NOT_FOUND)
            continue;
        TRY(err);
        TRY(pki_describe(chain, &info));
        list[count] = (struct expiry){.kind = kind, .not_after = info.not_after};
        memcpy(list[count++].fingerprint, info.fingerprint, sizeof info.fingerprint);
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

enum err expiry_endpoints(struct ops *ops, struct arena *arena, int64_t before_s,
                          const uint8_t after[32], uint32_t limit, struct expiry **ret,
                          size_t *ret_count)
{
    struct store_issued *rows = NULL;
    struct expiry *list = NULL;
    size_t count = 0;
    size_t found = limit;
    // At 1970 nothing has expired yet: whatever has no end is listed.
    struct store_issued_query query = {
        .filter = ISSUED_STANDING, .expires_before = before_s, .limit = limit};
    memcpy(query.after, after, sizeof query.after);
    TRY(arena_alloc(arena, limit, sizeof *list, &list));
    while (found == limit && count < limit) {
        TRY(store_issued_list(ops->set.store, &query, arena, &rows, &found));
        for (size_t i = 0; i < found && count < limit; i++) {
            memcpy(query.after, rows[i].fingerprint, sizeof query.after);
            if (tlsfile_is_holder(&rows[i].holder))
                continue;
            list[count] = (struct expiry){
                .kind = EXPIRY_ENDPOINT, .holder = rows[i].holder, .not_after = rows[i].expires};
            memcpy(list[count++].fingerprint, rows[i].fingerprint, sizeof query.after);
        }
    }
    *ret = list;
    *ret_count = count;
    return ERR_OK;
}

// ---- certificate list ----

static enum err append(struct op *op, const struct expiry *row, json_t *list)
{
    char fingerprint[2 * sizeof row->fingerprint + 1];
    const char *kind = expiry_kind_name(row->kind);
    hex_text(span_of(row->fingerprint, sizeof row->fingerprint), fingerprint);
    json_t *name = row->kind == EXPIRY_ENDPOINT ? endpoint_name(op, &row->holder) : json_null();
    json_t *item = json_pack("{s:s, s:o, s:s, s:o, s:I}", "kind", kind, "name", name, "fingerprint",
                             fingerprint, "not_after", doc_time(row->not_after), "days_left",
                             certdoc_days_left(row->not_after, op->now));
    if (item == NULL || json_array_append_new(list, item) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

static enum err append_own(struct op *op, int64_t before_s, json_t *list)
{
    struct expiry *rows = NULL;
    size_t count = 0;
    TRY(expiry_own(op->ops, op->arena, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        if (before_s == 0 || rows[i].not_after < before_s)
            TRY(append(op, &rows[i], list));
    }
    return ERR_OK;
}

// {"within_days", "cursor", "limit"} → {"certificates", "next_cursor"}
enum err expiry_list_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    json_t *list = json_array();
    char cursor[65] = "";
    struct store_issued_query page = {0};
    struct expiry *rows = NULL;
    size_t count = 0;
    int64_t within = -1;
    TRY(doc_params(op, &doc));
    TRY(doc_set(answer, "certificates", list));
    TRY(certdoc_page(doc, &page));
    TRY(doc_integer(doc, "within_days", 0, WITHIN_MAX, &within));
    int64_t before = within < 0 ? 0 : op->now + within * CERTDOC_DAY_S;
    if (json_object_get(doc, "cursor") == NULL)
        TRY(append_own(op, before, list));
    TRY(expiry_endpoints(op->ops, op->arena, before, page.after, page.limit, &rows, &count));
    for (size_t i = 0; i < count; i++)
        TRY(append(op, &rows[i], list));
    if (count == page.limit)
        hex_text(span_of(rows[count - 1].fingerprint, sizeof page.after), cursor);
    TRY(doc_set(answer, "next_cursor", cursor[0] != '\0' ? json_string(cursor) : json_null()));
    return doc_answer(op, json_incref(answer));
}
