// SPDX-License-Identifier: Apache-2.0
// KMIP messages for the benchmarks: a writer that nests structures by patching their lengths, and a
// reader that looks for one child of a structure at a time. Invariants: a writer never passes
// MESSAGE_MAX; the reader never looks beyond the span it was given, whatever the lengths say.
#include "message.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum tag {
    TAG_ATTRIBUTE = 0x420008,
    TAG_ATTRIBUTE_NAME = 0x42000a,
    TAG_ATTRIBUTE_VALUE = 0x42000b,
    TAG_BATCH_COUNT = 0x42000d,
    TAG_BATCH_ITEM = 0x42000f,
    TAG_CRYPTOGRAPHIC_ALGORITHM = 0x420028,
    TAG_CRYPTOGRAPHIC_LENGTH = 0x42002a,
    TAG_KEY_BLOCK = 0x420040,
    TAG_KEY_FORMAT_TYPE = 0x420042,
    TAG_KEY_MATERIAL = 0x420043,
    TAG_KEY_VALUE = 0x420045,
    TAG_NAME_TYPE = 0x420054,
    TAG_NAME_VALUE = 0x420055,
    TAG_OBJECT_TYPE = 0x420057,
    TAG_OPERATION = 0x42005c,
    TAG_PROTOCOL_VERSION = 0x420069,
    TAG_PROTOCOL_VERSION_MAJOR = 0x42006a,
    TAG_PROTOCOL_VERSION_MINOR = 0x42006b,
    TAG_REQUEST_HEADER = 0x420077,
    TAG_REQUEST_MESSAGE = 0x420078,
    TAG_REQUEST_PAYLOAD = 0x420079,
    TAG_RESPONSE_HEADER = 0x42007a,
    TAG_RESPONSE_MESSAGE = 0x42007b,
    TAG_RESPONSE_PAYLOAD = 0x42007c,
    TAG_RESULT_MESSAGE = 0x42007d,
    TAG_RESULT_STATUS = 0x42007f,
    TAG_SYMMETRIC_KEY = 0x42008f,
    TAG_TEMPLATE_ATTRIBUTE = 0x420091,
    TAG_TIME_STAMP = 0x420092,
    TAG_UNIQUE_IDENTIFIER = 0x420094,
};

enum type {
    TYPE_STRUCTURE = 1,
    TYPE_INTEGER = 2,
    TYPE_ENUMERATION = 5,
    TYPE_TEXT = 7,
    TYPE_BYTES = 8,
    TYPE_DATE_TIME = 9
};

enum {
    HEADER_BYTES = 8, // tag 3, type 1, length 4
    AES = 3,
    OBJECT_SYMMETRIC_KEY = 2,
    FORMAT_RAW = 1,
    NAME_UNINTERPRETED = 1,
    KEY_BITS = 256,
    KEY_BYTES = 32,
    USAGE_ENCRYPT_DECRYPT = 12
};

// A borrowed stretch of a message; `at` is NULL when what was looked for is not there.
struct part {
    const unsigned char *at;
    size_t len;
};

static void put(struct message *m, const void *bytes, size_t len)
{
    if (len > MESSAGE_MAX - m->len) {
        fprintf(stderr, "the benchmark's message is longer than %d bytes\n", MESSAGE_MAX);
        abort();
    }
    memcpy(m->bytes + m->len, bytes, len);
    m->len += len;
}

static void store_u32(unsigned char *at, uint32_t v)
{
    at[0] = (unsigned char)(v >> 24);
    at[1] = (unsigned char)(v >> 16);
    at[2] = (unsigned char)(v >> 8);
    at[3] = (unsigned char)v;
}

static uint32_t load_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_header(struct message *m, enum tag tag, enum type type, size_t len)
{
    unsigned char header[HEADER_BYTES];

    store_u32(header, (uint32_t)tag << 8 | (uint32_t)type);
    store_u32(header + 4, (uint32_t)len);
    put(m, header, sizeof(header));
}

// Opens a structure; the result goes to close_structure(), which patches the length.
static size_t open_structure(struct message *m, enum tag tag)
{
    put_header(m, tag, TYPE_STRUCTURE, 0);
    return m->len;
}

static void close_structure(struct message *m, size_t opened)
{
    store_u32(m->bytes + opened - 4, (uint32_t)(m->len - opened));
}

static void put_u32(struct message *m, enum tag tag, enum type type, uint32_t value)
{
    unsigned char padded[8] = {0};

    put_header(m, tag, type, 4);
    store_u32(padded, value);
    put(m, padded, sizeof(padded));
}

static void put_integer(struct message *m, enum tag tag, uint32_t value)
{
    put_u32(m, tag, TYPE_INTEGER, value);
}

static void put_enumeration(struct message *m, enum tag tag, uint32_t value)
{
    put_u32(m, tag, TYPE_ENUMERATION, value);
}

static void put_string(struct message *m, enum tag tag, enum type type, const void *s, size_t len)
{
    static const unsigned char zeros[8];

    put_header(m, tag, type, len);
    put(m, s, len);
    put(m, zeros, (8 - len % 8) % 8);
}

static void put_text(struct message *m, enum tag tag, const char *text)
{
    put_string(m, tag, TYPE_TEXT, text, strlen(text));
}

static void put_version(struct message *m, int minor)
{
    size_t version = open_structure(m, TAG_PROTOCOL_VERSION);

    put_integer(m, TAG_PROTOCOL_VERSION_MAJOR, 1);
    put_integer(m, TAG_PROTOCOL_VERSION_MINOR, (uint32_t)minor);
    close_structure(m, version);
}

// Where the three open structures of a request or response began.
struct frame {
    size_t message, item, payload;
};

static struct frame open_request(struct message *m, int minor, enum message_operation operation)
{
    struct frame f;
    size_t header;

    m->len = 0;
    f.message = open_structure(m, TAG_REQUEST_MESSAGE);
    header = open_structure(m, TAG_REQUEST_HEADER);
    put_version(m, minor);
    put_integer(m, TAG_BATCH_COUNT, 1);
    close_structure(m, header);
    f.item = open_structure(m, TAG_BATCH_ITEM);
    put_enumeration(m, TAG_OPERATION, (uint32_t)operation);
    f.payload = open_structure(m, TAG_REQUEST_PAYLOAD);
    return f;
}

static struct frame open_response(struct message *m, enum message_operation operation)
{
    static const unsigned char time_stamp[8] = {0, 0, 0, 0, 0x66, 0, 0, 0};
    struct frame f;
    size_t header;

    m->len = 0;
    f.message = open_structure(m, TAG_RESPONSE_MESSAGE);
    header = open_structure(m, TAG_RESPONSE_HEADER);
    put_version(m, 4);
    put_string(m, TAG_TIME_STAMP, TYPE_DATE_TIME, time_stamp, sizeof(time_stamp));
    put_integer(m, TAG_BATCH_COUNT, 1);
    close_structure(m, header);
    f.item = open_structure(m, TAG_BATCH_ITEM);
    put_enumeration(m, TAG_OPERATION, (uint32_t)operation);
    put_enumeration(m, TAG_RESULT_STATUS, 0);
    f.payload = open_structure(m, TAG_RESPONSE_PAYLOAD);
    return f;
}

static void close_frame(struct message *m, struct frame f)
{
    close_structure(m, f.payload);
    close_structure(m, f.item);
    close_structure(m, f.message);
}

static void put_attribute(struct message *m, const char *name, enum type type, uint32_t value)
{
    size_t attribute = open_structure(m, TAG_ATTRIBUTE);

    put_text(m, TAG_ATTRIBUTE_NAME, name);
    put_u32(m, TAG_ATTRIBUTE_VALUE, type, value);
    close_structure(m, attribute);
}

static void put_name(struct message *m, const char *name)
{
    size_t attribute = open_structure(m, TAG_ATTRIBUTE);
    size_t value;

    put_text(m, TAG_ATTRIBUTE_NAME, "Name");
    value = open_structure(m, TAG_ATTRIBUTE_VALUE);
    put_text(m, TAG_NAME_VALUE, name);
    put_enumeration(m, TAG_NAME_TYPE, NAME_UNINTERPRETED);
    close_structure(m, value);
    close_structure(m, attribute);
}

void message_create(struct message *m, int minor, const char *name)
{
    struct frame f = open_request(m, minor, MESSAGE_CREATE);
    size_t template;

    put_enumeration(m, TAG_OBJECT_TYPE, OBJECT_SYMMETRIC_KEY);
    template = open_structure(m, TAG_TEMPLATE_ATTRIBUTE);
    put_attribute(m, "Cryptographic Algorithm", TYPE_ENUMERATION, AES);
    put_attribute(m, "Cryptographic Length", TYPE_INTEGER, KEY_BITS);
    put_attribute(m, "Cryptographic Usage Mask", TYPE_INTEGER, USAGE_ENCRYPT_DECRYPT);
    put_name(m, name);
    close_structure(m, template);
    close_frame(m, f);
}

static void put_request_on(struct message *m, int minor, enum message_operation op, const char *uid)
{
    struct frame f = open_request(m, minor, op);

    put_text(m, TAG_UNIQUE_IDENTIFIER, uid);
    close_frame(m, f);
}

void message_get(struct message *m, int minor, const char *uid)
{
    put_request_on(m, minor, MESSAGE_GET, uid);
}

void message_activate(struct message *m, int minor, const char *uid)
{
    put_request_on(m, minor, MESSAGE_ACTIVATE, uid);
}

static void put_key(struct message *m)
{
    unsigned char material[KEY_BYTES];
    size_t key, block, value;

    memset(material, 0x5a, sizeof(material));
    key = open_structure(m, TAG_SYMMETRIC_KEY);
    block = open_structure(m, TAG_KEY_BLOCK);
    put_enumeration(m, TAG_KEY_FORMAT_TYPE, FORMAT_RAW);
    value = open_structure(m, TAG_KEY_VALUE);
    put_string(m, TAG_KEY_MATERIAL, TYPE_BYTES, material, sizeof(material));
    close_structure(m, value);
    put_enumeration(m, TAG_CRYPTOGRAPHIC_ALGORITHM, AES);
    put_integer(m, TAG_CRYPTOGRAPHIC_LENGTH, KEY_BITS);
    close_structure(m, block);
    close_structure(m, key);
}

void message_answer(struct message *m, enum message_operation operation, const char *uid)
{
    struct frame f = open_response(m, operation);

    if (operation != MESSAGE_ACTIVATE) {
        put_enumeration(m, TAG_OBJECT_TYPE, OBJECT_SYMMETRIC_KEY);
    }
    put_text(m, TAG_UNIQUE_IDENTIFIER, uid);
    if (operation == MESSAGE_GET) {
        put_key(m);
    }
    close_frame(m, f);
}

size_t message_frame(const unsigned char *bytes, size_t have)
{
    if (have < HEADER_BYTES) {
        return 0;
    }
    return HEADER_BYTES + (size_t)load_u32(bytes + 4);
}

// The value of the first child of `in` with this tag.
static struct part child(struct part in, enum tag tag)
{
    while (in.len >= HEADER_BYTES) {
        size_t len = load_u32(in.at + 4);
        size_t padded = (len + 7) / 8 * 8;

        if (padded > in.len - HEADER_BYTES) {
            break;
        }
        if (load_u32(in.at) >> 8 == (uint32_t)tag) {
            return (struct part){in.at + HEADER_BYTES, len};
        }
        in.at += HEADER_BYTES + padded;
        in.len -= HEADER_BYTES + padded;
    }
    return (struct part){NULL, 0};
}

static struct part batch_item(const unsigned char *bytes, size_t len, enum tag message_tag)
{
    return child(child((struct part){bytes, len}, message_tag), TAG_BATCH_ITEM);
}

int message_operation(const unsigned char *bytes, size_t len)
{
    struct part op = child(batch_item(bytes, len, TAG_REQUEST_MESSAGE), TAG_OPERATION);

    return op.len == 4 ? (int)load_u32(op.at) : 0;
}

bool message_is_success(const unsigned char *bytes, size_t len, bool wants_key)
{
    struct part item = batch_item(bytes, len, TAG_RESPONSE_MESSAGE);
    struct part status = child(item, TAG_RESULT_STATUS);
    struct part key;

    if (status.len != 4 || load_u32(status.at) != 0) {
        return false;
    }
    if (!wants_key) {
        return true;
    }
    key = child(child(item, TAG_RESPONSE_PAYLOAD), TAG_SYMMETRIC_KEY);
    key = child(child(child(key, TAG_KEY_BLOCK), TAG_KEY_VALUE), TAG_KEY_MATERIAL);
    return key.len == KEY_BYTES;
}

bool message_uid(const unsigned char *bytes, size_t len, char ret_uid[MESSAGE_UID_MAX])
{
    struct part item = batch_item(bytes, len, TAG_RESPONSE_MESSAGE);
    struct part uid = child(child(item, TAG_RESPONSE_PAYLOAD), TAG_UNIQUE_IDENTIFIER);

    if (uid.len == 0 || uid.len >= MESSAGE_UID_MAX) {
        return false;
    }
    memcpy(ret_uid, uid.at, uid.len);
    ret_uid[uid.len] = '\0';
    return true;
}

void message_reason(const unsigned char *bytes, size_t len, char ret_text[MESSAGE_TEXT_MAX])
{
    struct part item = batch_item(bytes, len, TAG_RESPONSE_MESSAGE);
    struct part text = child(item, TAG_RESULT_MESSAGE);
    size_t n = text.len < MESSAGE_TEXT_MAX ? text.len : MESSAGE_TEXT_MAX - 1;

    if (n == 0) {
        snprintf(ret_text, MESSAGE_TEXT_MAX, "%s", "answer without success and without a message");
        return;
    }
    // The text goes into JSON: what would need escaping is shown as a point.
    for (size_t i = 0; i < n; i++) {
        unsigned char c = text.at[i];

        ret_text[i] = (char)(c < ' ' || c > '~' || c == '"' || c == '\\' ? '.' : c);
    }
    ret_text[n] = '\0';
}
