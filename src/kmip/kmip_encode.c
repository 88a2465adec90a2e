// SPDX-License-Identifier: Apache-2.0
//
// Response messages. A failed item names its operation, its id and why; an item that was not run,
// since an earlier one failed, is left out; so the batch count is counted first.
#include "base/clock.h"
#include "kmip/kmip.h"
#include "kmip/kmip_payload.h"
#include "kmip/kmip_query.h"
#include "kmip/kmip_result.h"
#include "wire/limits.h"

// What became of one item.
struct outcome {
    enum err status;
    struct span message;
    bool skipped;
    bool undone;
};

static enum err put_header(struct buf *out, const struct kmip_call *call, size_t count)
{
    size_t at;
    TRY(ttlv_begin(out, KMIP_TAG_RESPONSE_HEADER, &at));
    TRY(kmip_put_version(out, call->version));
    TRY(ttlv_put_date_time(out, KMIP_TAG_TIME_STAMP, clock_wall_s()));
    TRY(ttlv_put_integer(out, KMIP_TAG_BATCH_COUNT, (int32_t)count));
    ttlv_end(out, at);
    return ERR_OK;
}

// The fields up to and including Result Message.
static enum err put_result(struct buf *out, uint16_t version, const struct kmip_item *item,
                           const struct outcome *outcome)
{
    bool failed = outcome->status != ERR_OK;
    uint32_t status = failed            ? KMIP_RESULT_STATUS_OPERATION_FAILED
                      : outcome->undone ? KMIP_RESULT_STATUS_OPERATION_UNDONE
                                        : KMIP_RESULT_STATUS_SUCCESS;
    if (item != NULL && item->operation != 0)
        TRY(ttlv_put_enumeration(out, KMIP_TAG_OPERATION, item->operation));
    if (item != NULL && item->has_id)
        TRY(ttlv_put_bytes(out, KMIP_TAG_UNIQUE_BATCH_ITEM_ID, item->id));
    TRY(ttlv_put_enumeration(out, KMIP_TAG_RESULT_STATUS, status));
    if (!failed)
        return ERR_OK;
    TRY(ttlv_put_enumeration(out, KMIP_TAG_RESULT_REASON,
                             kmip_result_reason(version, outcome->status)));
    if (outcome->message.len == 0)
        return ERR_OK;
    return ttlv_put_text(out, KMIP_TAG_RESULT_MESSAGE, outcome->message);
}

static enum err put_failed_item(struct buf *out, uint16_t version, const struct kmip_item *item,
                                enum err code, const char *message)
{
    struct outcome outcome = {.status = code, .message = span_str(message)};
    size_t at;
    TRY(ttlv_begin(out, KMIP_TAG_BATCH_ITEM, &at));
    TRY(put_result(out, version, item, &outcome));
    ttlv_end(out, at);
    return ERR_OK;
}

static enum err put_item(struct buf *out, const struct kmip_call *call, size_t i,
                         const struct outcome *outcome, const struct reply *reply, bool terse)
{
    size_t at;
    size_t payload;
    TRY(ttlv_begin(out, KMIP_TAG_BATCH_ITEM, &at));
    TRY(put_result(out, call->version, &call->items[i], outcome));
    if (outcome->status == ERR_OK && !outcome->undone) {
        TRY(ttlv_begin(out, KMIP_TAG_RESPONSE_PAYLOAD, &payload));
        TRY(kmip_put_payload(out, call->version, &call->items[i], reply, terse));
        ttlv_end(out, payload);
    }
    ttlv_end(out, at);
    return ERR_OK;
}

// Without an engine the batch error continuation option is ours to keep.
static struct outcome outcome_of(const struct kmip_call *call, const struct replies *replies,
                                 size_t i, bool *stopped)
{
    const struct kmip_item *item = &call->items[i];
    struct outcome outcome = {.status = item->status, .message = item->message};
    if (replies != NULL) {
        const struct reply *reply = &replies->items[i];
        outcome.skipped = reply->skipped;
        outcome.undone = reply->undone;
        if (item->status == ERR_OK) {
            outcome.status = reply->status;
            outcome.message = reply->message;
        }
        return outcome;
    }
    outcome.skipped = *stopped;
    *stopped = *stopped || (outcome.status != ERR_OK && call->batch.on_error != ON_ERROR_CONTINUE);
    return outcome;
}

static size_t count_answers(const struct kmip_call *call, const struct replies *replies)
{
    size_t count = 0;
    bool stopped = false;
    for (size_t i = 0; i < call->batch.count; i++)
        count += outcome_of(call, replies, i, &stopped).skipped ? 0 : 1;
    return count;
}

static enum err put_message(struct buf *out, const struct kmip_call *call,
                            const struct replies *replies, bool terse)
{
    static const struct reply none = {.status = ERR_OK, .located_items = -1};
    bool stopped = false;
    size_t at;
    TRY(ttlv_begin(out, KMIP_TAG_RESPONSE_MESSAGE, &at));
    TRY(put_header(out, call, count_answers(call, replies)));
    for (size_t i = 0; i < call->batch.count; i++) {
        struct outcome outcome = outcome_of(call, replies, i, &stopped);
        const struct reply *reply = replies == NULL ? &none : &replies->items[i];
        if (!outcome.skipped)
            TRY(put_item(out, call, i, &outcome, reply, terse));
    }
    ttlv_end(out, at);
    return ERR_OK;
}

static enum err put_bounded(struct buf *out, const struct kmip_call *call,
                            const struct replies *replies, bool terse)
{
    size_t start = out->len;
    size_t limit = LIMIT_ANSWER;
    if (call->maximum >= 0 && (uint64_t)call->maximum < limit)
        limit = (size_t)call->maximum;
    enum err code = put_message(out, call, replies, terse);
    if (code == ERR_OK && out->len - start <= limit)
        return ERR_OK;
    size_t len = out->len - start;
    buf_cut(out, start);
    if (code != ERR_OK)
        return code;
    FAIL(ERR_TOO_LARGE, "the answer of %zu bytes is larger than %zu bytes", len, limit);
}

enum err kmip_encode(const struct kmip_call *call, const struct replies *replies, struct buf *out)
{
    bool writes = kmip_writes(call);
    if (replies != NULL && replies->count != call->batch.count)
        FAIL(ERR_INTERNAL, "an engine answered %zu items of %zu", replies->count,
             call->batch.count);
    if (replies == NULL && kmip_needs_engine(call))
        FAIL(ERR_INTERNAL, "an engine's answer is missing");
    enum err code = put_bounded(out, call, replies, false);
    if (code == ERR_TOO_LARGE && writes)
        code = put_bounded(out, call, replies, true);
    // A change that was made is never called failed: it was refused before if there was no room.
    if (code == ERR_TOO_LARGE && !writes)
        return kmip_encode_failure(call, ERR_TOO_LARGE, err_message(ERR_TOO_LARGE), out);
    return code;
}

static enum err put_failure(struct buf *out, const struct kmip_call *call, size_t count,
                            enum err code, const char *message)
{
    size_t at;
    TRY(ttlv_begin(out, KMIP_TAG_RESPONSE_MESSAGE, &at));
    TRY(put_header(out, call, count));
    for (size_t i = 0; i < count; i++)
        TRY(put_failed_item(out, call->version, call->items == NULL ? NULL : &call->items[i], code,
                            message));
    ttlv_end(out, at);
    return ERR_OK;
}

enum err kmip_encode_failure(const struct kmip_call *call, enum err code, const char *message,
                             struct buf *out)
{
    size_t all = call->items == NULL ? 1 : call->batch.count;
    const struct {
        size_t count;
        const char *message;
    } forms[] = {{all, message}, {all, ""}, {1, ""}};
    size_t start = out->len;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        enum err failed = put_failure(out, call, forms[i].count, code, forms[i].message);
        bool last = i + 1 == sizeof forms / sizeof *forms;
        bool fits = call->maximum < 0 || (int64_t)(out->len - start) <= call->maximum;
        if (failed == ERR_OK && (fits || last))
            return ERR_OK;
        buf_cut(out, start);
        if (failed != ERR_OK)
            return failed;
    }
    return ERR_OK;
}
