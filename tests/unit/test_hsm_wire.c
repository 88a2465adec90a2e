// SPDX-License-Identifier: Apache-2.0
//
// What goes between keeper and hsmd comes back as it went, and nothing shorter, longer or damaged
// is taken for it.
#include "base/rand.h"
#include "hsm/hsm_wire.h"
#include "tests/unit/check.h"

static enum err put(int kind, struct buf *out)
{
    static const struct hsm_settings settings = {
        .provider = 4,
        .vendor = "Acme",
        .library = "/opt/acme/libp11.so",
        .use_label = true,
        .label = "m\xc3\xbcnze",
        .key_extractable = true,
        .mechanism = "AES_GCM",
        .timeout_s = 7,
        .attended = true,
    };
    static const struct hsm_key key = {
        .number = 9, .id = {0, 0, 0, 9}, .id_len = 4, .label = "OKV 1.0 HSM Root Key"};
    static const struct hsm_token token = {"label", "maker", "model", "serial", "2.6"};
    if (kind == 0)
        return hsm_wire_put_settings(out, &settings);
    if (kind == 1)
        return hsm_wire_put_key(out, &key);
    return hsm_wire_put_token(out, &token);
}

// Takes and, when that worked, puts again.
static enum err take(int kind, struct span bytes, struct buf *again)
{
    struct cursor in = cursor_of(bytes);
    struct hsm_settings settings;
    struct hsm_key key;
    struct hsm_token token;
    if (kind == 0) {
        TRY(hsm_wire_take_settings(&in, &settings));
        TRY(hsm_wire_put_settings(again, &settings));
    } else if (kind == 1) {
        TRY(hsm_wire_take_key(&in, &key));
        TRY(hsm_wire_put_key(again, &key));
    } else {
        TRY(hsm_wire_take_token(&in, &token));
        TRY(hsm_wire_put_token(again, &token));
    }
    return cursor_end(&in);
}

static void what_was_put_is_taken(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct buf bytes CLEANUP(buf_done);
        struct buf again CLEANUP(buf_done);
        buf_init(&bytes, HSM_MESSAGE_MAX, false);
        buf_init(&again, HSM_MESSAGE_MAX, false);
        OK(put(kind, &bytes));
        OK(take(kind, span_buf(&bytes), &again));
        assert_true(span_eq(span_buf(&bytes), span_buf(&again)));
    }
}

static void no_part_of_a_message_is_taken_for_the_whole(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct buf bytes CLEANUP(buf_done);
        buf_init(&bytes, HSM_MESSAGE_MAX, false);
        OK(put(kind, &bytes));
        OK(buf_put_u8(&bytes, 0));
        for (size_t len = 0; len <= bytes.len; len++) {
            struct buf again CLEANUP(buf_done);
            buf_init(&again, HSM_MESSAGE_MAX, false);
            if (len != bytes.len - 1)
                FAILS(ERR_MESSAGE, take(kind, span_of(bytes.data, len), &again));
        }
    }
}

// Under sanitizers: whatever the bytes are, nothing beyond a field's room is written.
static void damaged_messages_harm_nothing(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint8_t noise[4];
        struct buf bytes CLEANUP(buf_done);
        struct buf again CLEANUP(buf_done);
        buf_init(&bytes, HSM_MESSAGE_MAX, false);
        buf_init(&again, HSM_MESSAGE_MAX, false);
        OK(put(round % 3, &bytes));
        rand_bytes(noise, sizeof noise);
        bytes.data[noise[0] % bytes.len] = noise[1];
        bytes.data[noise[2] % bytes.len] = noise[3];
        enum err err = take(round % 3, span_buf(&bytes), &again);
        assert_true(err == ERR_OK || err == ERR_MESSAGE);
    }
}

static void texts_with_nul_and_ids_of_a_wrong_length_are_refused(void **state)
{
    (void)state;
    char out[8];
    struct hsm_key key = {.number = 1, .label = "k"};
    struct cursor in = cursor_of(span_of("\0\0\0\3a\0b", 7));
    FAILS(ERR_MESSAGE, hsm_wire_take_text(&in, out, sizeof out));
    in = cursor_of(span_of("\0\0\0\10abcdefgh", 12));
    FAILS(ERR_MESSAGE, hsm_wire_take_text(&in, out, sizeof out));
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, HSM_MESSAGE_MAX, false);
    OK(hsm_wire_put_key(&bytes, &key));
    in = cursor_of(span_buf(&bytes));
    FAILS(ERR_MESSAGE, hsm_wire_take_key(&in, &key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_taken),
        cmocka_unit_test(no_part_of_a_message_is_taken_for_the_whole),
        cmocka_unit_test(damaged_messages_harm_nothing),
        cmocka_unit_test(texts_with_nul_and_ids_of_a_wrong_length_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
