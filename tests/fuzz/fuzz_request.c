// SPDX-License-Identifier: Apache-2.0
//
// A whole request, as the front has it: decode, carry to the engine, answer. Whatever comes in, an
// answer goes out that is well formed and no longer than the client takes (where that is possible
// at all), and a batch survives its way to the engine.
#include "kmip/kmip.h"
#include "tests/fuzz/fuzz.h"
#include "wire/limits.h"
#include "wire/ttlv.h"

enum { LEAST_ANSWER = 512 };

// An engine that finds everything, and gives back what it was given.
static enum err make_replies(const struct batch *batch, struct arena *arena, struct replies *ret)
{
    struct reply *items = NULL;
    TRY(arena_alloc(arena, batch->count, sizeof *items, &items));
    for (size_t i = 0; i < batch->count; i++) {
        const struct request *request = &batch->items[i];
        items[i] = (struct reply){
            .verb = request->verb,
            .uid = request->uid,
            .public_uid = request->uid,
            .object_type = request->object_type,
            .attrs = request->attrs,
            .object = request->object,
            .located_items = -1,
        };
        // Names alone are no values to give back.
        if (request->attrs.count > 0 && request->attrs.items[0].type == 0)
            items[i].attrs.count = 0;
        if (request->verb == VERB_NONE)
            items[i].status = ERR_OPERATION;
        // A Get has no object to give back: it gives a key.
        if (items[i].object.type == 0)
            items[i].object = (struct object_data){
                .type = 2, .key_format = 1, .material = span_str("0123456789abcdef")};
    }
    *ret = (struct replies){items, batch->count};
    return ERR_OK;
}

static void carry(const struct kmip_call *call, struct arena *arena, struct batch *ret)
{
    static struct buf frame;
    buf_done(&frame);
    buf_init(&frame, (size_t)LIMIT_MESSAGE * 4, true);
    PROMISE(model_put_batch(&frame, &call->batch) == ERR_OK);
    PROMISE(model_get_batch(span_buf(&frame), arena, ret) == ERR_OK);
    PROMISE(ret->count == call->batch.count);
    for (size_t i = 0; i < ret->count; i++) {
        PROMISE(ret->items[i].verb == call->batch.items[i].verb);
        PROMISE(span_eq(ret->items[i].uid, call->batch.items[i].uid));
        PROMISE(ret->items[i].attrs.count == call->batch.items[i].attrs.count);
        PROMISE(ret->items[i].has_wrapping == call->batch.items[i].has_wrapping);
    }
}

static void check_answer(const struct kmip_call *call, const struct buf *out)
{
    size_t size;
    PROMISE(out->len >= TTLV_HEADER);
    PROMISE(ttlv_message_size(out->data, 0x42007b, LIMIT_ANSWER * 2, &size) == ERR_OK);
    PROMISE(size == out->len);
    // An answer may have more items than a request may.
    if (out->len < LIMIT_ITEMS * 8)
        PROMISE(ttlv_check(span_buf(out)) == ERR_OK);
    if (call->maximum >= LEAST_ANSWER)
        PROMISE((int64_t)out->len <= call->maximum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena *arena = fuzz_arena();
    struct kmip_call call;
    struct batch batch;
    struct replies replies;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, (size_t)LIMIT_ANSWER * 2, true);
    enum err code = kmip_decode(span_of(data, len), arena, &call);
    if (code != ERR_OK) {
        PROMISE(kmip_encode_failure(&call, code, err_message(code), &out) == ERR_OK);
        check_answer(&call, &out);
        return 0;
    }
    carry(&call, arena, &batch);
    if (make_replies(&batch, arena, &replies) != ERR_OK)
        return 0;
    PROMISE(kmip_encode(&call, kmip_needs_engine(&call) ? &replies : NULL, &out) == ERR_OK);
    check_answer(&call, &out);
    return 0;
}
