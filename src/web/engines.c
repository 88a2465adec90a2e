// SPDX-License-Identifier: Apache-2.0
//
// Invariants: every struct question is in exactly one channel's list; a channel that broke has an
// empty list and no ipc.
#include "web/engines.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/ipc.h"

enum { CHANNELS_MAX = PROC_PEERS_MAX, WAITING_MAX = 1024, ARENA_LIMIT = 64 * 1024 * 1024 };

// Of what waits for the people engine: each sign-in hashes for half a second, one after the other,
// and whoever is signed in is not to wait longer than these take.
enum { STRANGERS_MAX = 32 };

struct channel;

struct question {
    TAILQ_ENTRY(question) link;
    struct channel *channel;
    uint64_t id;
    size_t count;  // items of the batch
    bool stranger; // one of STRANGERS_MAX
    struct event *deadline;
    engines_done done;
    void *context;
};

TAILQ_HEAD(questions, question);

struct channel {
    struct engines *owner;
    enum proc_role role;
    uint32_t index;
    struct ipc *ipc; // NULL: not connected
    struct event *readable;
    struct event *writable;
    struct questions questions;
};

struct engines {
    struct event_base *base;
    struct channel channels[CHANNELS_MAX];
    size_t count;
    size_t waiting;
    size_t strangers; // of them
    size_t turn;
    uint64_t last_id;
    struct arena *arena;
};

enum err engines_new(struct event_base *base, struct engines **ret)
{
    struct engines *engines = calloc(1, sizeof *engines);
    if (engines == NULL)
        FAIL(ERR_MEMORY, "no memory for channels");
    enum err err = arena_new(ARENA_LIMIT, &engines->arena);
    if (err != ERR_OK) {
        free(engines);
        return err;
    }
    engines->base = base;
    *ret = engines;
    return ERR_OK;
}

// Takes the question out and answers it. The callback may ask anew.
static void answer(struct question *question, enum err status, const struct replies *replies)
{
    struct channel *channel = question->channel;
    engines_done done = question->done;
    void *context = question->context;
    TAILQ_REMOVE(&channel->questions, question, link);
    channel->owner->waiting--;
    channel->owner->strangers -= question->stranger;
    event_free(question->deadline);
    free(question);
    done(context, status, replies);
}

static void disconnect(struct channel *channel)
{
    if (channel->ipc == NULL)
        return;
    event_free(channel->readable);
    event_free(channel->writable);
    ipc_freep(&channel->ipc);
    struct questions lost = TAILQ_HEAD_INITIALIZER(lost);
    TAILQ_CONCAT(&lost, &channel->questions, link);
    while (!TAILQ_EMPTY(&lost)) {
        struct question *question = TAILQ_FIRST(&lost);
        TAILQ_REMOVE(&lost, question, link);
        TAILQ_INSERT_TAIL(&channel->questions, question, link);
        err_adopt("", 0);
        answer(question, ERR_UNAVAILABLE, NULL);
    }
}

void engines_free(struct engines *engines)
{
    if (engines == NULL)
        return;
    for (size_t i = 0; i < engines->count; i++)
        disconnect(&engines->channels[i]);
    arena_free(engines->arena);
    free(engines);
}

static struct question *find_question(struct channel *channel, uint64_t id)
{
    struct question *question = NULL;
    TAILQ_FOREACH(question, &channel->questions, link)
    {
        if (question->id == id)
            return question;
    }
    return NULL;
}

static void take_answer(struct channel *channel, const struct ipc_frame *frame)
{
    struct question *question = find_question(channel, frame->id);
    if (question == NULL)
        return; // its deadline has passed
    struct arena *arena = channel->owner->arena;
    struct replies replies = {0};
    enum err err = ipc_check(frame);
    if (err == ERR_OK)
        err = model_get_replies(frame->body, arena, &replies);
    if (err == ERR_OK && replies.count != question->count)
        err = err_raise(ERR_INTERNAL, __FILE__, __LINE__, "%zu replies to %zu requests",
                        replies.count, question->count);
    if (err == ERR_MESSAGE && frame->status == ERR_OK)
        err = err_raise(ERR_INTERNAL, __FILE__, __LINE__, "an engine's replies cannot be read");
    answer(question, err, err == ERR_OK ? &replies : NULL);
    arena_reset(arena);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct channel *channel = context;
    enum err err = ipc_fill(channel->ipc);
    struct ipc_frame frame;
    while (channel->ipc != NULL && ipc_next(channel->ipc, &frame))
        take_answer(channel, &frame);
    if (err != ERR_OK && channel->ipc != NULL) {
        log_event(LOG_LEVEL_WARN, "engine_lost role=%s index=%u waiting=%zu",
                  proc_role_name(channel->role), channel->index, channel->owner->waiting);
        disconnect(channel);
    }
}

static void send_pending(struct channel *channel)
{
    if (ipc_flush(channel->ipc) != ERR_OK)
        event_active(channel->readable, EV_READ, 0); // finds the channel broken
    else if (ipc_pending(channel->ipc) > 0 && event_add(channel->writable, NULL) != 0)
        log_event(LOG_LEVEL_ERROR, "engine_send_failed role=%s", proc_role_name(channel->role));
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct channel *channel = context;
    if (channel->ipc != NULL)
        send_pending(channel);
}

static enum err channel_of(struct engines *engines, enum proc_role role, uint32_t index,
                           struct channel **ret)
{
    for (size_t i = 0; i < engines->count; i++) {
        struct channel *channel = &engines->channels[i];
        if (channel->role == role && channel->index == index) {
            *ret = channel;
            return ERR_OK;
        }
    }
    if (engines->count == CHANNELS_MAX)
        FAIL(ERR_INTERNAL, "more than %d engines", CHANNELS_MAX);
    struct channel *channel = &engines->channels[engines->count++];
    *channel = (struct channel){.owner = engines, .role = role, .index = index};
    TAILQ_INIT(&channel->questions);
    *ret = channel;
    return ERR_OK;
}

enum err engines_attach(struct engines *engines, enum proc_role role, uint32_t index, int fd)
{
    CLEANUP(ipc_freep) struct ipc *ipc = NULL;
    TRY(ipc_new(fd, &ipc));
    struct channel *channel;
    TRY(channel_of(engines, role, index, &channel));
    disconnect(channel);
    struct event *readable =
        event_new(engines->base, fd, EV_READ | EV_PERSIST, on_readable, channel);
    struct event *writable = event_new(engines->base, fd, EV_WRITE, on_writable, channel);
    if (readable == NULL || writable == NULL || event_add(readable, NULL) != 0) {
        if (readable != NULL)
            event_free(readable);
        if (writable != NULL)
            event_free(writable);
        FAIL(ERR_MEMORY, "no memory for a channel");
    }
    channel->readable = readable;
    channel->writable = writable;
    channel->ipc = ipc;
    ipc = NULL;
    return ERR_OK;
}

static struct channel *choose(struct engines *engines, enum proc_role role)
{
    for (size_t i = 0; i < engines->count; i++) {
        size_t at = (engines->turn + 1 + i) % engines->count;
        if (engines->channels[at].role == role && engines->channels[at].ipc != NULL) {
            engines->turn = at;
            return &engines->channels[at];
        }
    }
    return NULL;
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    err_adopt("", 0);
    answer(context, ERR_TIMEOUT, NULL);
}

static enum err queue_batch(struct channel *channel, uint64_t id, const struct batch *batch)
{
    struct buf *body;
    TRY(ipc_begin(channel->ipc, MODEL_FRAME_BATCH, 0, id, &body));
    enum err err = model_put_batch(body, batch);
    if (err != ERR_OK) {
        ipc_drop(channel->ipc);
        return err;
    }
    return ipc_end(channel->ipc);
}

static enum err new_question(struct channel *channel, int timeout_ms, struct question **ret)
{
    struct question *question = calloc(1, sizeof *question);
    struct timeval wait = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    if (question == NULL)
        FAIL(ERR_MEMORY, "no memory for a request");
    question->channel = channel;
    question->deadline = evtimer_new(channel->owner->base, on_deadline, question);
    if (question->deadline == NULL || evtimer_add(question->deadline, &wait) != 0) {
        if (question->deadline != NULL)
            event_free(question->deadline);
        free(question);
        FAIL(ERR_MEMORY, "no memory for a request");
    }
    *ret = question;
    return ERR_OK;
}

enum err engines_ask(struct engines *engines, enum proc_role role, const struct batch *batch,
                     int timeout_ms, engines_done done, void *context)
{
    struct channel *channel = choose(engines, role);
    if (channel == NULL)
        FAIL(ERR_UNAVAILABLE, "the \"%s\" engine is not running just now, try again in a moment",
             proc_role_name(role));
    if (engines->waiting >= WAITING_MAX)
        FAIL(ERR_BUSY, "%zu requests are waiting already, try again in a moment", engines->waiting);
    bool stranger = role == ROLE_PEOPLE && batch->who.kind == PRINCIPAL_NOBODY;
    if (stranger && engines->strangers >= STRANGERS_MAX)
        FAIL(ERR_BUSY, "%zu sign-ins are waiting already, try again in a moment",
             engines->strangers);
    struct question *question;
    TRY(new_question(channel, timeout_ms, &question));
    question->id = ++engines->last_id;
    question->count = batch->count;
    question->stranger = stranger;
    question->done = done;
    question->context = context;
    enum err err = queue_batch(channel, question->id, batch);
    if (err != ERR_OK) {
        event_free(question->deadline);
        free(question);
        return err;
    }
    TAILQ_INSERT_TAIL(&channel->questions, question, link);
    engines->waiting++;
    engines->strangers += stranger;
    send_pending(channel);
    return ERR_OK;
}

void engines_tell_readers(struct engines *engines, uint16_t kind, struct span body)
{
    for (size_t i = 0; i < engines->count; i++) {
        struct channel *channel = &engines->channels[i];
        if (channel->role != ROLE_READER || channel->ipc == NULL)
            continue;
        enum err err = ipc_put(channel->ipc, &(struct ipc_frame){.kind = kind, .body = body});
        if (err != ERR_OK)
            log_error("readers_not_told", err);
        else
            send_pending(channel);
    }
}

const void *engines_oldest(const struct engines *engines, enum proc_role role)
{
    const struct question *oldest = NULL;
    for (size_t i = 0; i < engines->count; i++) {
        const struct question *first = TAILQ_FIRST(&engines->channels[i].questions);
        if (engines->channels[i].role == role && first != NULL &&
            (oldest == NULL || first->id < oldest->id))
            oldest = first;
    }
    return oldest == NULL ? NULL : oldest->context;
}

size_t engines_waiting(const struct engines *engines)
{
    return engines->waiting;
}
