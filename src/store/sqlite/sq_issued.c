// SPDX-License-Identifier: Apache-2.0
//
// Certificates that were issued.
#include "store/sqlite/sq_issued.h"

#include "store/sqlite/sq_rows.h"

enum err sq_issued_put(void *self, const struct store_issued *issued)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_ISSUED_PUT, &call));
    sq_call_blob(&call, span_of(issued->fingerprint, sizeof issued->fingerprint));
    sq_call_blob(&call, span_of(issued->serial, sizeof issued->serial));
    sq_call_uuid(&call, &issued->authority);
    sq_call_uuid(&call, &issued->holder);
    sq_call_int(&call, issued->issued);
    sq_call_int(&call, issued->expires);
    sq_call_int(&call, issued->ended);
    sq_call_int(&call, issued->reason);
    return sq_call_run(&call, NULL);
}

static enum err take(struct sq_call *call, struct arena *arena, void *item)
{
    struct store_issued *ret = item;
    (void)arena;
    TRY(sq_call_get_fixed(call, ret->fingerprint, sizeof ret->fingerprint));
    TRY(sq_call_get_fixed(call, ret->serial, sizeof ret->serial));
    TRY(sq_call_get_fixed(call, ret->authority.bytes, UUID_LEN));
    TRY(sq_call_get_fixed(call, ret->holder.bytes, UUID_LEN));
    ret->issued = sq_call_get_int(call);
    ret->expires = sq_call_get_int(call);
    ret->ended = sq_call_get_int(call);
    ret->reason = (uint32_t)sq_call_get_int(call);
    return ERR_OK;
}

enum err sq_issued_get(void *self, const uint8_t fingerprint[32], struct store_issued *ret)
{
    bool row = false;
    struct store_issued issued = {0};
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_ISSUED_GET, &call));
    sq_call_blob(&call, span_of(fingerprint, sizeof issued.fingerprint));
    TRY(sq_call_step(&call, &row));
    if (!row)
        FAIL(ERR_NOT_FOUND, "no such certificate was issued");
    TRY(take(&call, NULL, &issued));
    *ret = issued;
    return ERR_OK;
}

enum err sq_issued_end(void *self, const struct uuid *holder, const uint8_t *fingerprint,
                       int64_t when_s, uint32_t reason)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_ISSUED_END, &call));
    sq_call_int(&call, when_s);
    sq_call_int(&call, reason);
    sq_call_uuid(&call, holder);
    if (fingerprint == NULL)
        sq_call_null(&call);
    else
        sq_call_blob(&call, span_of(fingerprint, 32));
    return sq_call_run(&call, NULL);
}

static void bind_uuid_or_any(struct sq_call *call, const struct uuid *id)
{
    if (uuid_is_zero(id))
        sq_call_null(call);
    else
        sq_call_uuid(call, id);
}

static void bind_query(struct sq_call *call, const struct store_issued_query *query)
{
    bind_uuid_or_any(call, &query->authority);
    bind_uuid_or_any(call, &query->holder);
    sq_call_int(call, query->filter);
    sq_call_int(call, query->at);
    sq_call_int(call, query->expires_before);
}

enum err sq_issued_list(void *self, const struct store_issued_query *query, struct arena *arena,
                        struct store_issued **ret, size_t *ret_count)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_ISSUED_LIST, &call));
    bind_query(&call, query);
    sq_call_blob(&call, span_of(query->after, sizeof query->after));
    sq_call_int(&call, query->limit);
    return sq_rows_all(&call, sizeof **ret, take, arena, ret, ret_count);
}

enum err sq_issued_count(void *self, const struct store_issued_query *query, uint64_t *ret)
{
    bool row = false;
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_ISSUED_COUNT, &call));
    bind_query(&call, query);
    TRY(sq_call_step(&call, &row));
    *ret = row ? (uint64_t)sq_call_get_int(&call) : 0;
    return ERR_OK;
}

enum err sq_issued_forget(void *self, int64_t before_s)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    TRY(sq_call_start(self, SQ_ISSUED_FORGET, &call));
    sq_call_int(&call, before_s);
    return sq_call_run(&call, NULL);
}
