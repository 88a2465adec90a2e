// SPDX-License-Identifier: Apache-2.0
//
// Builds TTLV messages in tests, item by item, and looks into those that come back.
#ifndef KW_TESTS_MESSAGE_H
#define KW_TESTS_MESSAGE_H

#include "kmip/kmip_tables.h"
#include "wire/ttlv.h"

#include "tests/unit/check.h"

struct message {
    struct buf out;
    size_t open[40];
    size_t depth;
};

static inline void msg_init(struct message *m)
{
    *m = (struct message){.depth = 0};
    buf_init(&m->out, 4 << 20, true);
}

static inline void msg_done(struct message *m)
{
    buf_done(&m->out);
}

static inline void msg_open(struct message *m, uint32_t tag)
{
    OK(ttlv_begin(&m->out, tag, &m->open[m->depth++]));
}

static inline void msg_close(struct message *m)
{
    ttlv_end(&m->out, m->open[--m->depth]);
}

static inline struct span msg_span(struct message *m)
{
    while (m->depth > 0)
        msg_close(m);
    return span_buf(&m->out);
}

static inline void msg_integer(struct message *m, uint32_t tag, int32_t value)
{
    OK(ttlv_put_integer(&m->out, tag, value));
}

static inline void msg_enum(struct message *m, uint32_t tag, uint32_t value)
{
    OK(ttlv_put_enumeration(&m->out, tag, value));
}

static inline void msg_text(struct message *m, uint32_t tag, const char *value)
{
    OK(ttlv_put_text(&m->out, tag, span_str(value)));
}

static inline void msg_bytes(struct message *m, uint32_t tag, const char *value)
{
    OK(ttlv_put_bytes(&m->out, tag, span_str(value)));
}

static inline void msg_version(struct message *m, int major, int minor)
{
    msg_open(m, KMIP_TAG_PROTOCOL_VERSION);
    msg_integer(m, KMIP_TAG_PROTOCOL_VERSION_MAJOR, major);
    msg_integer(m, KMIP_TAG_PROTOCOL_VERSION_MINOR, minor);
    msg_close(m);
}

// A request up to and including its header; the header stays open for further fields.
static inline void msg_header(struct message *m, int major, int minor, int count)
{
    msg_open(m, KMIP_TAG_REQUEST_MESSAGE);
    msg_open(m, KMIP_TAG_REQUEST_HEADER);
    msg_version(m, major, minor);
    msg_integer(m, KMIP_TAG_BATCH_COUNT, count);
}

// Opens a batch item and its payload.
static inline void msg_item(struct message *m, uint32_t operation)
{
    msg_open(m, KMIP_TAG_BATCH_ITEM);
    msg_enum(m, KMIP_TAG_OPERATION, operation);
    msg_open(m, KMIP_TAG_REQUEST_PAYLOAD);
}

static inline void msg_item_end(struct message *m)
{
    msg_close(m);
    msg_close(m);
}

// A request with one item whose payload is still open.
static inline void msg_request(struct message *m, int major, int minor, uint32_t operation)
{
    msg_header(m, major, minor, 1);
    msg_close(m);
    msg_item(m, operation);
}

static inline void msg_attr_enum(struct message *m, const char *name, uint32_t value)
{
    msg_open(m, KMIP_TAG_ATTRIBUTE);
    msg_text(m, KMIP_TAG_ATTRIBUTE_NAME, name);
    msg_enum(m, KMIP_TAG_ATTRIBUTE_VALUE, value);
    msg_close(m);
}

static inline void msg_attr_text(struct message *m, const char *name, const char *value)
{
    msg_open(m, KMIP_TAG_ATTRIBUTE);
    msg_text(m, KMIP_TAG_ATTRIBUTE_NAME, name);
    msg_text(m, KMIP_TAG_ATTRIBUTE_VALUE, value);
    msg_close(m);
}

// Follows a path of tags (0 ends it) from the top; fails the test when it is not there.
static inline struct ttlv msg_at(struct span bytes, const uint32_t *path)
{
    struct ttlv item = {0};
    for (; *path != 0; path++) {
        if (!ttlv_find(bytes, *path, &item))
            fail_msg("no item %06X in the message", *path);
        bytes = item.value;
    }
    return item;
}

#define AT(bytes, ...) msg_at((bytes), (const uint32_t[]){__VA_ARGS__, 0})

static inline int64_t msg_number(const struct ttlv *item)
{
    int64_t value;
    OK(ttlv_number(item, &value));
    return value;
}

#define NUMBER_AT(bytes, ...) msg_number(&(struct ttlv[]){AT(bytes, __VA_ARGS__)}[0])

// How many members with this tag a structure has.
static inline size_t msg_count(struct span members, uint32_t tag)
{
    struct cursor in = cursor_of(members);
    struct ttlv item;
    bool found;
    size_t count = 0;
    for (;;) {
        OK(ttlv_next(&in, &item, &found));
        if (!found)
            return count;
        count += item.tag == tag ? 1 : 0;
    }
}

#endif
