// SPDX-License-Identifier: Apache-2.0
//
// Sizes are upper bounds of KMIP's encodings of whatever version, which are longer than the
// model's.
#include "ops/room.h"

#include "base/clock.h"

// Headers, padding, names of the standard's, and what else has a fixed length.
enum { ROOM_OF_ATTR = 160, ROOM_OF_OBJECT = 512, ROOM_OF_UID = 16 };

static size_t room_of_attrs(const struct attrs *attrs)
{
    size_t room = 0;
    for (size_t i = 0; i < attrs->count; i++)
        room += ROOM_OF_ATTR + attrs->items[i].name.len + attrs->items[i].bytes.len;
    return room;
}

static size_t room_of(const struct reply *reply)
{
    const struct object_data *object = &reply->object;
    size_t room = ROOM_OF_OBJECT + object->material.len + object->wrapping.len +
                  room_of_attrs(&object->attributes) + room_of_attrs(&reply->attrs);
    for (size_t i = 0; i < reply->uid_count; i++)
        room += ROOM_OF_UID + reply->uids[i].len;
    return room;
}

enum err room_take(struct op *op)
{
    if (op->batch->room == 0 || verb_writes(op->request->verb))
        return ERR_OK;
    size_t room = room_of(op->reply);
    if (room > op->room)
        FAIL(ERR_TOO_LARGE, "the answer is too large beside a change: ask for it in a message of "
                            "its own");
    op->room -= room;
    return ERR_OK;
}

void room_begin(struct op *op)
{
    if (op->batch->count > 1)
        op->cpu_end = clock_cpu_us() + INT64_C(1000) * ROOM_CPU_MS;
}

enum err room_time(const struct op *op)
{
    if (op->batch->count > 1 && clock_cpu_us() >= op->cpu_end)
        FAIL(ERR_TOO_LARGE,
             "the message takes more than %d ms of the server's time: ask for less "
             "in one message",
             ROOM_CPU_MS);
    return ERR_OK;
}
