// SPDX-License-Identifier: Apache-2.0
//
// An engine without a store, for tests of the front. It answers batches on the channel that is its
// standard input, and crosses in the memory that is its standard output, until that closes.
//
//   fake-engine answer   Get gives an AES key, Locate one identifier, Get Attributes who asked
//   fake-engine die      ends at the first batch, without an answer
//   fake-engine mute     takes batches and never answers
//   fake-engine big      as answer, but the key has 3 MiB
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/ipc.h"
#include "model/model.h"

enum { ARENA_LIMIT = 64 * 1024 * 1024, KEY_LEN = 32, BIG_KEY_LEN = 3 * 1024 * 1024 };

static uint8_t canned_key[BIG_KEY_LEN] = {0xa5, 1, 2, 3};
static size_t canned_key_len = KEY_LEN;

// "x-fingerprint", "x-address", "x-version": what the front says of the one who asks.
static enum err put_who(const struct batch *batch, struct arena *arena, struct reply *reply)
{
    char *hex = NULL;
    TRY(arena_alloc(arena, 80, 1, &hex));
    for (size_t i = 0; i < sizeof batch->who.fingerprint; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", batch->who.fingerprint[i]);
    const struct attr told[] = {
        {.name = span_str("x-fingerprint"), .type = ATTR_TEXT, .bytes = span_str(hex)},
        {.name = span_str("x-address"), .type = ATTR_TEXT, .bytes = batch->who.address},
        {.name = span_str("x-version"), .type = ATTR_INTEGER, .number = batch->version},
        {.tag = 0x4200bc, .type = ATTR_DATE_TIME, .number = 1}, // Original Creation Date, of 1.2
    };
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        TRY(attrs_add(&reply->attrs, arena, &told[i]));
    return ERR_OK;
}

static enum err do_one(const struct batch *batch, const struct request *request,
                       struct arena *arena, struct reply *reply)
{
    *reply = (struct reply){.verb = request->verb, .located_items = -1, .uid = request->uid};
    switch ((int)request->verb) {
    case VERB_GET:
        reply->object_type = 2;
        reply->object = (struct object_data){.type = 2,
                                             .key_format = 1,
                                             .algorithm = 3,
                                             .length = KEY_LEN * 8,
                                             .material = span_of(canned_key, canned_key_len)};
        return ERR_OK;
    case VERB_LOCATE:
        TRY(arena_alloc(arena, 1, sizeof *reply->uids, &reply->uids));
        reply->uids[0] = span_str("located");
        reply->uid_count = 1;
        return ERR_OK;
    case VERB_GET_ATTRIBUTES:
        return put_who(batch, arena, reply);
    case VERB_CREATE:
        reply->uid = span_str("created");
        reply->object_type = request->object_type;
        return ERR_OK;
    case VERB_QUERY:
    case VERB_DISCOVER_VERSIONS:
    case VERB_DESTROY:
        return ERR_OK;
    default:
        reply->status = ERR_OPERATION;
        reply->message = span_str("not here");
        return ERR_OK;
    }
}

static enum err answer(struct ipc *ipc, const struct ipc_frame *frame, struct arena *arena)
{
    struct batch batch;
    struct replies replies = {0};
    struct buf *body;
    bool stopped = false;
    TRY(model_get_batch(frame->body, arena, &batch));
    replies.count = batch.count;
    TRY(arena_alloc(arena, batch.count, sizeof *replies.items, &replies.items));
    for (size_t i = 0; i < batch.count; i++) {
        TRY(do_one(&batch, &batch.items[i], arena, &replies.items[i]));
        replies.items[i].skipped = stopped;
        stopped =
            stopped || (replies.items[i].status != ERR_OK && batch.on_error != ON_ERROR_CONTINUE);
    }
    TRY(ipc_begin(ipc, frame->kind, ERR_OK, frame->id, &body));
    TRY(model_put_replies(body, &replies));
    return ipc_end(ipc);
}

static enum err serve(const char *mode, struct ipc *ipc, struct arena *arena)
{
    struct pollfd poll_fd = {.fd = ipc_fd(ipc), .events = POLLIN};
    struct ipc_frame frame;
    for (;;) {
        ipc_sleep(ipc, true);
        (void)poll(&poll_fd, 1, ipc_ready(ipc) ? 0 : -1);
        ipc_sleep(ipc, false);
        TRY(ipc_fill(ipc));
        while (ipc_next(ipc, &frame)) {
            if (strcmp(mode, "die") == 0)
                exit(0);
            if (strcmp(mode, "mute") != 0)
                TRY(answer(ipc, &frame, arena));
        }
        TRY(ipc_flush_wait(ipc, 10000));
        arena_reset(arena);
    }
}

int main(int argc, char **argv)
{
    CLEANUP(ipc_freep) struct ipc *ipc = NULL;
    CLEANUP(arena_freep) struct arena *arena = NULL;
    if (argc != 2 || arena_new(ARENA_LIMIT, &arena) != ERR_OK || ipc_new(0, &ipc) != ERR_OK ||
        ipc_share(ipc, 1, false) != ERR_OK)
        return 2;
    if (strcmp(argv[1], "big") == 0)
        canned_key_len = BIG_KEY_LEN;
    return serve(argv[1], ipc, arena) == ERR_UNAVAILABLE ? 0 : 1;
}
