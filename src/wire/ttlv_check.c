// SPDX-License-Identifier: Apache-2.0
//
// One pass over a message that refuses whatever is not well-formed TTLV. No recursion: the ends of
// the structures that are open stand on a stack of LIMIT_DEPTH entries. Invariant: each open
// structure ends within the one that holds it, so that the innermost end is the next to come.
#include "wire/limits.h"
#include "wire/ttlv.h"

// What a value of each type must be long: exactly, or a multiple.
static const struct {
    uint8_t exact;
    uint8_t multiple;
} lengths[] = {
    [TTLV_STRUCTURE] = {0, 8},
    [TTLV_INTEGER] = {4, 0},
    [TTLV_LONG_INTEGER] = {8, 0},
    [TTLV_BIG_INTEGER] = {0, 8},
    [TTLV_ENUMERATION] = {4, 0},
    [TTLV_BOOLEAN] = {8, 0},
    [TTLV_TEXT] = {0, 1},
    [TTLV_BYTES] = {0, 1},
    [TTLV_DATE_TIME] = {8, 0},
    [TTLV_INTERVAL] = {4, 0},
    [TTLV_DATE_TIME_EXTENDED] = {8, 0},
};

// Tags of the standard are 42xxxx, those of vendors 54xxxx.
static bool tag_is_known(uint32_t tag)
{
    return (tag >> 16 == 0x42 || tag >> 16 == 0x54) && (tag & 0xffff) != 0;
}

static enum err check_length(const struct ttlv *item)
{
    size_t len = item->value.len;
    if (item->type == 0 || item->type >= sizeof lengths / sizeof *lengths)
        FAIL(ERR_MESSAGE, "the item %06X has the unknown type %u", item->tag, item->type);
    bool good = lengths[item->type].exact > 0 ? len == lengths[item->type].exact
                                              : len % lengths[item->type].multiple == 0;
    if (!good || (item->type == TTLV_BIG_INTEGER && len == 0))
        FAIL(ERR_MESSAGE, "the item %06X of type %u has %zu bytes", item->tag, item->type, len);
    return ERR_OK;
}

// Padding follows the value in the same message, ttlv_next has seen to it.
static bool padding_is_zero(struct span value)
{
    uint8_t sum = 0;
    for (size_t i = value.len; i % 8 != 0; i++)
        sum |= value.data[i];
    return sum == 0;
}

static bool boolean_is_good(struct span value)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < 7; i++)
        sum |= value.data[i];
    return sum == 0 && value.data[7] <= 1;
}

static enum err check_item(const struct ttlv *item)
{
    if (!tag_is_known(item->tag))
        FAIL(ERR_MESSAGE, "%06X is not a tag of KMIP", item->tag);
    TRY(check_length(item));
    if (!padding_is_zero(item->value))
        FAIL(ERR_MESSAGE, "the padding of the item %06X is not zero", item->tag);
    if (item->type == TTLV_BOOLEAN && !boolean_is_good(item->value))
        FAIL(ERR_MESSAGE, "the item %06X is neither true nor false", item->tag);
    if (item->type == TTLV_INTERVAL && (item->value.data[0] & 0x80) != 0)
        FAIL(ERR_MESSAGE, "the interval %06X is negative", item->tag);
    if (item->type == TTLV_TEXT && !span_is_utf8(item->value))
        FAIL(ERR_MESSAGE, "the text %06X is not UTF-8, or holds a NUL", item->tag);
    return ERR_OK;
}

enum err ttlv_check(struct span bytes)
{
    const uint8_t *ends[LIMIT_DEPTH];
    size_t depth = 0;
    size_t items = 0;
    const uint8_t *at = bytes.data;
    const uint8_t *end = bytes.data + bytes.len;
    for (;;) {
        const uint8_t *inner = depth > 0 ? ends[depth - 1] : end;
        if (at == inner) {
            if (depth == 0)
                return ERR_OK;
            depth--;
            continue;
        }
        struct cursor in = cursor_of(span_of(at, (size_t)(inner - at)));
        struct ttlv item;
        bool found;
        TRY(ttlv_next(&in, &item, &found));
        TRY(check_item(&item));
        if (++items > LIMIT_ITEMS)
            FAIL(ERR_TOO_LARGE, "a message has more than %d items", LIMIT_ITEMS);
        at = in.rest.data;
        if (item.type != TTLV_STRUCTURE)
            continue;
        if (depth == LIMIT_DEPTH)
            FAIL(ERR_MESSAGE, "a message has more than %d structures inside each other",
                 LIMIT_DEPTH);
        ends[depth++] = at;
        at = item.value.data;
    }
}
