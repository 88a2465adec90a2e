// SPDX-License-Identifier: Apache-2.0
//
// Questions to engines. A question is in one of two queues: parked (no engine has it) or with an
// engine; both queues are in the order of their deadlines. The id of its frame is its place in the
// table and a number that counts up, so that an answer to a question that was given up meets
// nobody.
#include "net/engines.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/model.h"
#include "proc/spin.h"
#include "wire/limits.h"

enum { UNSENT_MAX = 64, LOOKS_A_TURN = 8 };
enum {
    READERS_MAX = 32,
    ENGINES_MAX = READERS_MAX + 1,
    WRITER = READERS_MAX,
    QUESTIONS_MAX = 65536
};

#define TOO_MANY "too many requests are under way, try again"

struct engine {
    struct engines *all;
    struct ipc *ipc; // NULL: not there
    struct event readable;
    struct event writable;
    bool want_write;
    bool asked; // something is queued since the last flush
};

struct question {
    struct engines *all;
    void *asker; // NULL: forgotten
    struct question *previous;
    struct question *next;
    struct engine *engine; // NULL: parked
    uint32_t place;
    uint32_t round;
    bool writes;
    bool retried;
    bool declined; // a read that a reader left to the writer
    int64_t deadline;
};

struct queue {
    struct question *first;
    struct question *last;
};

struct engines {
    struct event_base *base;
    struct engines_handler handler;
    void *data;
    uint16_t kind;
    struct engine list[ENGINES_MAX];
    size_t next_reader;
    struct queue parked;
    struct queue asked;
    struct question **table;
    size_t table_size;
    struct question *spare; // free ones, by `next`
    size_t count;
    size_t changes;       // of them, those that the writer has
    size_t unsent;        // frames that wait for the end of the turn
    size_t unsent_before; // and how many waited when it began
    bool asleep;          // the engines ring when they have something
    bool took;            // answers in this turn
    struct spin spin;
    int64_t now_ms;
};

// ---- questions ----

static struct queue *queue_of(struct question *question)
{
    return question->engine == NULL ? &question->all->parked : &question->all->asked;
}

static void leave(struct question *question)
{
    struct queue *queue = queue_of(question);
    *(question->previous != NULL ? &question->previous->next : &queue->first) = question->next;
    *(question->next != NULL ? &question->next->previous : &queue->last) = question->previous;
    question->previous = question->next = NULL;
    if (question->engine == &question->all->list[WRITER])
        question->all->changes--;
}

static void join(struct question *question, struct engine *engine)
{
    question->engine = engine;
    question->deadline =
        question->all->now_ms + (engine == NULL ? LIMIT_ENGINE_WAIT_MS : LIMIT_ENGINE_ANSWER_MS);
    struct queue *queue = queue_of(question);
    question->previous = queue->last;
    question->next = NULL;
    *(queue->last != NULL ? &queue->last->next : &queue->first) = question;
    queue->last = question;
    if (engine == &question->all->list[WRITER])
        question->all->changes++;
}

static enum err grow_table(struct engines *all)
{
    if (all->table_size > QUESTIONS_MAX / 2)
        FAIL(ERR_UNAVAILABLE, TOO_MANY);
    size_t size = all->table_size == 0 ? 64 : all->table_size * 2;
    struct question **table = realloc(all->table, size * sizeof *table);
    if (table == NULL)
        FAIL(ERR_MEMORY, "no memory for %zu requests", size);
    all->table = table;
    do {
        struct question *question = calloc(1, sizeof *question);
        if (question == NULL)
            FAIL(ERR_MEMORY, "no memory for a request");
        question->all = all;
        question->place = (uint32_t)all->table_size;
        question->next = all->spare;
        all->table[all->table_size++] = question;
        all->spare = question;
    } while (all->table_size < size);
    return ERR_OK;
}

static enum err take_spare(struct engines *all, struct question **ret)
{
    if (all->spare == NULL)
        TRY(grow_table(all));
    struct question *question = all->spare;
    all->spare = question->next;
    all->count++;
    question->next = NULL;
    *ret = question;
    return ERR_OK;
}

// Takes the question off its queue and out of the world.
static void *end_question(struct question *question)
{
    struct engines *all = question->all;
    void *asker = question->asker;
    leave(question);
    question->asker = NULL;
    question->round++;
    question->next = all->spare;
    all->spare = question;
    all->count--;
    return asker;
}

static void lose(struct question *question, enum err code)
{
    struct engines *all = question->all;
    bool maybe_done = question->writes && !question->declined && question->engine != NULL;
    void *asker = end_question(question);
    if (asker != NULL)
        all->handler.lost(all->data, asker, code, maybe_done);
}

static struct question *find(struct engines *all, uint64_t id)
{
    uint64_t place = id & UINT32_MAX;
    if (place >= all->table_size)
        return NULL;
    struct question *question = all->table[place];
    return question->round == id >> 32 ? question : NULL;
}

// ---- engines ----

static struct engine *choose(struct engines *all, bool writes)
{
    if (writes)
        return all->list[WRITER].ipc != NULL ? &all->list[WRITER] : NULL;
    for (size_t i = 0; i < READERS_MAX; i++) {
        struct engine *engine = &all->list[(all->next_reader + i) % READERS_MAX];
        if (engine->ipc != NULL) {
            all->next_reader = (all->next_reader + i + 1) % READERS_MAX;
            return engine;
        }
    }
    return NULL;
}

// Queues the frame with `engine`. ERR_UNAVAILABLE when the channel is broken.
static enum err put_question(struct question *question, struct engine *engine)
{
    struct engines *all = question->all;
    struct buf *body;
    uint64_t id = (uint64_t)question->round << 32 | question->place;
    bool final = question->declined && !question->writes;
    TRY(ipc_begin(engine->ipc, all->kind, final ? MODEL_ASK_FINAL : MODEL_ASK, id, &body));
    enum err code = all->handler.ask(all->data, question->asker, body);
    if (code != ERR_OK) {
        ipc_drop(engine->ipc);
        return code;
    }
    TRY(ipc_end(engine->ipc));
    engine->asked = true;
    engine->all->unsent++;
    return ERR_OK;
}

static void engine_died(struct engine *engine);

// Hands a question (in no queue) to an engine, or parks it. Where that fails it is parked, too, and
// the caller ends it.
static enum err dispatch(struct question *question)
{
    for (;;) {
        struct engine *engine = choose(question->all, question->writes);
        if (engine != NULL && !ipc_has_room(engine->ipc)) {
            join(question, NULL);
            FAIL(ERR_UNAVAILABLE, TOO_MANY);
        }
        enum err code = engine == NULL ? ERR_OK : put_question(question, engine);
        if (code != ERR_UNAVAILABLE) {
            join(question, code == ERR_OK ? engine : NULL);
            return code;
        }
        // Dead, seen before the event told. Each round has one engine less.
        engine_died(engine);
    }
}

static void want_write(struct engine *engine, bool on)
{
    if (engine->want_write == on)
        return;
    engine->want_write = on;
    (void)(on ? event_add(&engine->writable, NULL) : event_del(&engine->writable));
}

static void flush_engine(struct engine *engine)
{
    engine->asked = false;
    if (ipc_flush(engine->ipc) != ERR_OK)
        engine_died(engine);
    else
        want_write(engine, ipc_wants_socket(engine->ipc));
}

static void detach(struct engine *engine)
{
    if (engine->ipc == NULL)
        return;
    (void)event_del(&engine->readable);
    (void)event_del(&engine->writable);
    engine->want_write = false;
    engine->asked = false;
    ipc_freep(&engine->ipc);
}

// Asks the other kind of engine: the writer, when there is one, what a reader has declined; a
// reader, for good, what the writer could not answer.
static void ask_other(struct question *question)
{
    struct engines *all = question->all;
    if (question->asker == NULL) {
        (void)end_question(question);
        return;
    }
    leave(question);
    question->writes = !question->declined && all->list[WRITER].ipc != NULL;
    question->declined = true;
    enum err code = dispatch(question);
    if (code != ERR_OK)
        lose(question, code);
}

// Reads may be asked again, once; a change may have happened, and nobody knows.
static void engine_died(struct engine *engine)
{
    struct engines *all = engine->all;
    if (engine->ipc == NULL)
        return;
    detach(engine);
    log_event(LOG_LEVEL_WARN, "engine_gone role=%s",
              engine == &all->list[WRITER] ? "writer" : "reader");
    for (struct question *question = all->asked.first, *next; question != NULL; question = next) {
        next = question->next;
        if (question->engine != engine)
            continue;
        if (question->writes && question->declined) {
            ask_other(question);
            next = all->asked.first;
            continue;
        }
        if (question->writes || question->retried || question->asker == NULL) {
            lose(question, ERR_UNAVAILABLE);
            next = all->asked.first; // the handler may have changed the queue
            continue;
        }
        leave(question);
        question->retried = true;
        enum err code = dispatch(question);
        if (code != ERR_OK)
            lose(question, code);
        next = all->asked.first;
    }
}

static void take_answers(struct engine *engine)
{
    struct engines *all = engine->all;
    struct ipc_frame frame;
    while (engine->ipc != NULL && ipc_next(engine->ipc, &frame)) {
        struct question *question = find(all, frame.id);
        if (question == NULL || question->engine != engine)
            continue;
        if ((frame.status == ERR_TO_WRITER && !question->declined) ||
            (frame.status != ERR_OK && question->declined && question->writes)) {
            ask_other(question);
            continue;
        }
        void *asker = end_question(question);
        if (asker != NULL)
            all->handler.answered(all->data, asker, &frame);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *data)
{
    struct engine *engine = data;
    (void)fd, (void)what;
    engine->all->took = true;
    enum err code = ipc_fill(engine->ipc);
    if (code == ERR_OK)
        take_answers(engine);
    else
        engine_died(engine);
    // The bell may have told of room.
    if (engine->ipc != NULL && ipc_pending(engine->ipc) > 0)
        engine->asked = true;
}

static void on_writable(evutil_socket_t fd, short what, void *data)
{
    (void)fd, (void)what;
    flush_engine(data);
}

// ---- what the header declares ----

enum err engines_new(struct event_base *base, uint16_t kind, const struct engines_handler *handler,
                     void *data, struct engines **ret)
{
    struct engines *all = calloc(1, sizeof *all);
    if (all == NULL)
        FAIL(ERR_MEMORY, "no memory for the engines");
    all->base = base;
    all->kind = kind;
    all->handler = *handler;
    all->data = data;
    all->now_ms = clock_mono_ms();
    for (size_t i = 0; i < ENGINES_MAX; i++)
        all->list[i].all = all;
    *ret = all;
    return ERR_OK;
}

void engines_free(struct engines *engines)
{
    if (engines == NULL)
        return;
    for (size_t i = 0; i < ENGINES_MAX; i++)
        detach(&engines->list[i]);
    for (size_t i = 0; i < engines->table_size; i++)
        free(engines->table[i]);
    free(engines->table);
    free(engines);
}

void engines_freep(struct engines **engines)
{
    engines_free(*engines);
    *engines = NULL;
}

// Gives parked questions to the engine that has come.
static void unpark(struct engines *all, bool writes)
{
    struct question *question = all->parked.first;
    struct question *last = all->parked.last;
    while (question != NULL) {
        struct question *next = question == last ? NULL : question->next;
        if (question->asker == NULL) {
            (void)end_question(question);
        } else if (question->writes == writes) {
            leave(question);
            enum err code = dispatch(question);
            if (code != ERR_OK)
                lose(question, code);
        }
        question = next;
    }
}

enum err engines_attach(struct engines *engines, bool writer, uint32_t index, int fd, int memory)
{
    struct engine *engine = &engines->list[writer ? WRITER : index % READERS_MAX];
    engine_died(engine);
    TRY(ipc_new(fd, &engine->ipc));
    enum err shared = ipc_share(engine->ipc, memory, true);
    if (shared != ERR_OK) {
        ipc_freep(&engine->ipc);
        return shared;
    }
    (void)event_assign(&engine->readable, engines->base, fd, EV_READ | EV_PERSIST, on_readable,
                       engine);
    (void)event_assign(&engine->writable, engines->base, fd, EV_WRITE | EV_PERSIST, on_writable,
                       engine);
    if (event_add(&engine->readable, NULL) != 0) {
        detach(engine);
        FAIL(ERR_INTERNAL, "a channel could not be watched");
    }
    unpark(engines, writer);
    return ERR_OK;
}

enum err engines_ask(struct engines *engines, bool writes, void *asker, struct question **ret)
{
    struct question *question;
    TRY(take_spare(engines, &question));
    question->asker = asker;
    question->writes = writes;
    question->retried = false;
    question->declined = false;
    enum err code = dispatch(question);
    if (code != ERR_OK) {
        (void)end_question(question);
        return code;
    }
    *ret = question;
    return ERR_OK;
}

static enum err tell(struct engine *engine, uint16_t kind, struct span text)
{
    engine->asked = true;
    return ipc_put(engine->ipc, &(struct ipc_frame){.kind = kind, .body = text});
}

void engines_tell_readers(struct engines *all, uint16_t kind, struct span body)
{
    for (size_t i = 0; i < READERS_MAX; i++) {
        struct engine *engine = &all->list[i];
        enum err err = engine->ipc == NULL ? ERR_OK : tell(engine, kind, body);
        if (err != ERR_OK)
            log_error("readers_not_told", err);
    }
}

void engines_forget(struct question *question)
{
    if (question != NULL)
        question->asker = NULL;
}

static void take_all(struct engines *all)
{
    for (size_t i = 0; i < ENGINES_MAX; i++) {
        struct engine *engine = &all->list[i];
        if (engine->ipc == NULL || !ipc_ready(engine->ipc))
            continue;
        all->took = true;
        if (ipc_take(engine->ipc) == ERR_OK)
            take_answers(engine);
        else
            engine_died(engine);
    }
}

static bool is_ready(const struct engines *all)
{
    for (size_t i = 0; i < ENGINES_MAX; i++) {
        if (all->list[i].ipc != NULL && ipc_ready(all->list[i].ipc))
            return true;
    }
    return false;
}

static void say_asleep(struct engines *all, bool asleep)
{
    for (size_t i = 0; i < ENGINES_MAX; i++) {
        if (all->list[i].ipc != NULL)
            ipc_sleep(all->list[i].ipc, asleep);
    }
    all->asleep = asleep;
}

// Looks for answers; not all the time, since the loop has other sockets, too.
static bool look(struct engines *all)
{
    int looks = 0;
    while (all->count > 0 && spin_on(&all->spin)) {
        if (++looks == LOOKS_A_TURN || is_ready(all))
            return true;
    }
    return false;
}

bool engines_may_sleep(struct engines *engines)
{
    if (engines->unsent > 0 || look(engines))
        return false;
    say_asleep(engines, true);
    return !is_ready(engines);
}

static void give_up(struct queue *queue, int64_t now_ms, enum err code)
{
    while (queue->first != NULL && queue->first->deadline <= now_ms) {
        if (queue->first->declined && queue->first->writes) {
            ask_other(queue->first);
            continue;
        }
        err_raise(code, __FILE__, __LINE__, "%s", err_info(code)->text);
        lose(queue->first, code);
    }
}

static void send_all(struct engines *all)
{
    for (size_t i = 0; i < ENGINES_MAX; i++) {
        if (all->list[i].asked)
            flush_engine(&all->list[i]);
    }
    all->unsent = 0;
}

void engines_turn(struct engines *engines, int64_t now_ms)
{
    size_t before = engines->unsent_before;
    engines->now_ms = now_ms;
    if (engines->asleep)
        say_asleep(engines, false);
    take_all(engines);
    // More may stand in the sockets already: it goes with these.
    bool sends = engines->unsent == before || engines->unsent >= UNSENT_MAX;
    bool works = engines->took || (sends && engines->unsent > 0);
    if (sends)
        send_all(engines);
    engines->unsent_before = engines->unsent;
    engines->took = false;
    give_up(&engines->parked, now_ms, ERR_UNAVAILABLE);
    give_up(&engines->asked, now_ms, ERR_TIMEOUT);
    if (works)
        spin_start(&engines->spin, engines->changes > 0 ? SPIN_COMMIT_US : SPIN_READ_US);
}
