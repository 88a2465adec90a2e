// SPDX-License-Identifier: Apache-2.0
//
// TTLV: what passes the check can be walked to its end, and written back gives the same bytes.
#include "tests/fuzz/fuzz.h"
#include "wire/limits.h"
#include "wire/ttlv.h"

static void rewrite(struct buf *out, struct span members, int depth)
{
    struct cursor in = cursor_of(members);
    struct ttlv item;
    bool found;
    PROMISE(depth <= LIMIT_DEPTH);
    for (;;) {
        PROMISE(ttlv_next(&in, &item, &found) == ERR_OK);
        if (!found)
            return;
        int64_t number = 0;
        if (item.type == TTLV_STRUCTURE) {
            size_t at;
            PROMISE(ttlv_begin(out, item.tag, &at) == ERR_OK);
            rewrite(out, item.value, depth + 1);
            ttlv_end(out, at);
            continue;
        }
        if (ttlv_type_is_number(item.type))
            PROMISE(ttlv_number(&item, &number) == ERR_OK);
        PROMISE(ttlv_put_value(out, item.tag, item.type, number, item.value) == ERR_OK);
    }
}

// The walk is safe on anything.
static void walk(struct span members, int depth)
{
    struct cursor in = cursor_of(members);
    struct ttlv item;
    bool found = true;
    while (depth < LIMIT_DEPTH && ttlv_next(&in, &item, &found) == ERR_OK && found) {
        int64_t number;
        (void)!ttlv_number(&item, &number);
        if (item.type == TTLV_STRUCTURE)
            walk(item.value, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span bytes = span_of(data, len);
    size_t size;
    if (len >= TTLV_HEADER && ttlv_message_size(data, 0x420078, LIMIT_MESSAGE, &size) == ERR_OK)
        PROMISE(size <= LIMIT_MESSAGE);
    walk(bytes, 0);
    if (ttlv_check(bytes) != ERR_OK)
        return 0;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, len + 64, false);
    rewrite(&out, bytes, 0);
    PROMISE(span_eq(span_buf(&out), bytes));
    return 0;
}
