// SPDX-License-Identifier: Apache-2.0
//
// The flat encodings, as they come from another process or out of a sealed record. The first byte
// chooses which. What is read can be written, and read again it is the same bytes.
#include "model/model.h"
#include "tests/fuzz/fuzz.h"

static void check_batch(struct span in, struct arena *arena, struct buf *out, struct buf *twice)
{
    struct batch batch;
    if (model_get_batch(in, arena, &batch) != ERR_OK)
        return;
    PROMISE(model_put_batch(out, &batch) == ERR_OK);
    PROMISE(model_get_batch(span_buf(out), arena, &batch) == ERR_OK);
    PROMISE(model_put_batch(twice, &batch) == ERR_OK);
}

static void check_replies(struct span in, struct arena *arena, struct buf *out, struct buf *twice)
{
    struct replies replies;
    if (model_get_replies(in, arena, &replies) != ERR_OK)
        return;
    PROMISE(model_put_replies(out, &replies) == ERR_OK);
    PROMISE(model_get_replies(span_buf(out), arena, &replies) == ERR_OK);
    PROMISE(model_put_replies(twice, &replies) == ERR_OK);
}

static void check_attrs(struct span in, struct arena *arena, struct buf *out, struct buf *twice)
{
    struct attrs attrs;
    struct cursor cursor = cursor_of(in);
    if (model_get_attrs(&cursor, arena, &attrs) != ERR_OK)
        return;
    PROMISE(model_put_attrs(out, &attrs) == ERR_OK);
    cursor = cursor_of(span_buf(out));
    PROMISE(model_get_attrs(&cursor, arena, &attrs) == ERR_OK);
    PROMISE(model_put_attrs(twice, &attrs) == ERR_OK);
}

static void check_object(struct span in, struct arena *arena, struct buf *out, struct buf *twice)
{
    struct object_data object;
    struct cursor cursor = cursor_of(in);
    if (model_get_object(&cursor, arena, &object) != ERR_OK)
        return;
    PROMISE(model_put_object(out, &object) == ERR_OK);
    cursor = cursor_of(span_buf(out));
    PROMISE(model_get_object(&cursor, arena, &object) == ERR_OK);
    PROMISE(model_put_object(twice, &object) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const checks[])(struct span, struct arena *, struct buf *, struct buf *) = {
        check_batch, check_replies, check_attrs, check_object};
    if (len == 0)
        return 0;
    struct buf out CLEANUP(buf_done);
    struct buf twice CLEANUP(buf_done);
    buf_init(&out, len * 2 + 4096, true);
    buf_init(&twice, len * 2 + 4096, true);
    checks[data[0] % 4](span_of(data + 1, len - 1), fuzz_arena(), &out, &twice);
    PROMISE(span_eq(span_buf(&out), span_buf(&twice)));
    return 0;
}
