// SPDX-License-Identifier: Apache-2.0
//
//   ASKING (a reader says whether the asker counts) → RUNNING → DONE or FAILED
//
// Invariants: an operation is freed only when no engine owes it an answer; a stream belongs to one
// operation, and is in its list until it has ended. Steps are numbered from 1, which are the ids of
// the events; the last event has the next number. One user, by all credentials together, has
// OWN_MAX at most, so that nobody fills the table.
#include "web/operations.h"

#include <event2/event.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/log.h"
#include "web/operation_json.h"

enum {
    KEPT_MAX = 256,
    OWN_MAX = 16,
    KEPT_MS = 24 * 3600 * 1000,
    POLL_MS = 500,
    ADDRESS_TEXT_MAX = 64
};

struct stream {
    LIST_ENTRY(stream) link;
    struct api_stream out;
    void *context;
    size_t told; // events that were sent
    int64_t last_ms;
};

struct operation {
    TAILQ_ENTRY(operation) link;
    struct operations *owner;
    struct principal who; // name is empty, address is ours
    char address[ADDRESS_TEXT_MAX];
    bool admitted;              // a reader has said who it is:
    struct uuid user;           // zero: the local administrator
    struct operation_view view; // what is told of it
    struct doc *doc;            // until it is sent
    struct request request;     // borrows from it
    char once[128];
    api_done done; // of the call that began it, until that is answered
    void *context;
    unsigned owed; // answers by engines
    bool polling;
    int64_t ended_ms;
    LIST_HEAD(stream_list, stream) streams;
};

struct operations {
    struct engines *engines;
    struct event *tick;
    TAILQ_HEAD(operation_list, operation) list; // the oldest first
    size_t count;
    size_t stream_count;
};

// One who asks how an operation is, while a reader is asked.
struct look {
    struct operation *operation;
    bool stream;
    size_t told;
    struct api_stream out;
    api_done done;
    void *context;
};

// ---- life ----

static void end_stream(struct operation *operation, struct stream *stream)
{
    LIST_REMOVE(stream, link);
    operation->owner->stream_count--;
    stream->out.end(stream->context);
    free(stream);
}

static void end_streams(struct operation *operation)
{
    while (!LIST_EMPTY(&operation->streams))
        end_stream(operation, LIST_FIRST(&operation->streams));
}

static void free_operation(struct operation *operation)
{
    struct operations *owner = operation->owner;
    end_streams(operation);
    TAILQ_REMOVE(&owner->list, operation, link);
    owner->count--;
    doc_free(operation->doc);
    operation_view_done(&operation->view);
    free(operation);
}

// What ended a day ago goes, and of too many the oldest that has ended.
static void forget_old(struct operations *operations)
{
    int64_t now = clock_mono_ms();
    struct operation *next;
    for (struct operation *at = TAILQ_FIRST(&operations->list); at != NULL; at = next) {
        next = TAILQ_NEXT(at, link);
        bool old = now - at->ended_ms > KEPT_MS || operations->count >= KEPT_MAX;
        if (at->ended_ms != 0 && at->owed == 0 && old)
            free_operation(at);
    }
}

// ---- what is streamed ----

// Sends what a stream has not been told. False when it has ended.
static bool feed(struct operation *operation, struct stream *stream)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, ANSWER_BYTES_MAX, true);
    bool over = false;
    enum err err = operation_events(&operation->view, stream->told, &text, &stream->told, &over);
    int64_t now = clock_mono_ms();
    if (err == ERR_OK && text.len == 0 && now - stream->last_ms >= WEB_HEARTBEAT_MS)
        err = buf_put_str(&text, ": still here\n\n");
    bool lives = err == ERR_OK;
    if (lives && text.len > 0) {
        lives = stream->out.put(stream->context, span_buf(&text));
        stream->last_ms = now;
    }
    if (lives && !over)
        return true;
    end_stream(operation, stream);
    return false;
}

static void feed_all(struct operation *operation)
{
    struct stream *next;
    for (struct stream *at = LIST_FIRST(&operation->streams); at != NULL; at = next) {
        next = LIST_NEXT(at, link);
        (void)feed(operation, at);
    }
}

// ---- asking how far it is ----

// Steps are those of what the keeper has in hand, which is the oldest question to the admin engine.
static void take_steps(struct operation *operation, const struct reply *reply)
{
    bool in_hand = engines_oldest(operation->owner->engines, ROLE_ADMIN) == operation;
    if (operation->view.state == OPERATION_RUNNING && in_hand)
        operation_take_steps(&operation->view, reply->doc);
}

static enum err ask_reader(struct operation *operation, engines_done done, void *context)
{
    char doc[64 + UUID_TEXT_LEN];
    (void)snprintf(doc, sizeof doc, "{\"id\":\"%s\"}", operation->view.id);
    struct request request = {
        .verb = VERB_OPERATION_SHOW, .doc = span_str(doc), .maximum_items = -1};
    struct batch batch = {.who = operation->who,
                          .on_error = ON_ERROR_STOP,
                          .ordered = true,
                          .items = &request,
                          .count = 1};
    TRY(engines_ask(operation->owner->engines, ROLE_READER, &batch, API_ENGINE_MS, done, context));
    operation->owed++;
    return ERR_OK;
}

// For streams. One who does not count any more is told nothing more.
static void polled(void *context, enum err status, const struct replies *replies)
{
    struct operation *operation = context;
    operation->owed--;
    operation->polling = false;
    if (status == ERR_OK && replies->items[0].status == ERR_OK)
        take_steps(operation, &replies->items[0]);
    else if (status == ERR_OK && replies->items[0].status == ERR_AUTHENTICATION)
        end_streams(operation);
    feed_all(operation);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct operations *operations = context;
    struct operation *at;
    TAILQ_FOREACH(at, &operations->list, link)
    {
        if (LIST_EMPTY(&at->streams))
            continue;
        feed_all(at);
        if (!LIST_EMPTY(&at->streams) && !at->polling)
            at->polling = ask_reader(at, polled, at) == ERR_OK;
    }
}

// ---- beginning ----

static void tell_problem(enum err code, struct span detail, bool unchanged, api_done done,
                         void *context)
{
    struct uuid id = uuid_ordered(clock_wall_ms());
    struct answer answer;
    answer_init(&answer, &id);
    if (answer_problem(&answer, code, detail, unchanged, span_of(NULL, 0)) != ERR_OK)
        log_error("answer_failed", code);
    done(context, &answer);
    answer_done(&answer);
}

static void ended(void *context, enum err status, const struct replies *replies)
{
    struct operation *operation = context;
    operation->owed--;
    operation->ended_ms = clock_mono_ms();
    operation_end(&operation->view, status, status == ERR_OK ? &replies->items[0] : NULL);
    feed_all(operation);
}

static void tell_begun(struct operation *operation)
{
    struct uuid id;
    struct answer answer;
    char doc[128];
    if (uuid_parse(span_str(operation->view.id), &id) != ERR_OK)
        id = uuid_random();
    answer_init(&answer, &id);
    (void)snprintf(answer.location, sizeof answer.location, "/api/v1/operations/%s",
                   operation->view.id);
    (void)snprintf(doc, sizeof doc, "{\"operation\":\"/api/v1/operations/%s\"}",
                   operation->view.id);
    if (answer_document(&answer, 202, span_str(doc)) != ERR_OK)
        log_error("answer_failed", ERR_MEMORY);
    operation->done(operation->context, &answer);
    answer_done(&answer);
}

static enum err send_request(struct operation *operation)
{
    struct batch batch = {.who = operation->who,
                          .on_error = ON_ERROR_STOP,
                          .ordered = true,
                          .id = uuid_random(),
                          .items = &operation->request,
                          .count = 1};
    enum err err =
        engines_ask(operation->owner->engines, ROLE_ADMIN, &batch, API_ADMIN_MS, ended, operation);
    doc_freep(&operation->doc);
    TRY(err);
    operation->owed++;
    return ERR_OK;
}

static bool is_of(const struct operation *operation, const struct operation *other)
{
    return operation->admitted && operation->who.uid == other->who.uid &&
           memcmp(&operation->user, &other->user, sizeof other->user) == 0;
}

// The oldest of the same user that has ended makes room.
static enum err make_room(struct operation *operation)
{
    struct operation *at;
    struct operation *ended = NULL;
    size_t count = 0;
    TAILQ_FOREACH(at, &operation->owner->list, link)
    {
        if (!is_of(at, operation))
            continue;
        count++;
        if (ended == NULL && at->ended_ms != 0 && at->owed == 0)
            ended = at;
    }
    if (count < OWN_MAX)
        return ERR_OK;
    if (ended == NULL)
        FAIL(ERR_BUSY, "%d operations of yours are under way already: wait for one to end",
             OWN_MAX);
    free_operation(ended);
    return ERR_OK;
}

static enum err admit(struct operation *operation, struct span doc)
{
    TRY(operation_asker(doc, &operation->user));
    TRY(make_room(operation));
    TRY(send_request(operation));
    operation->admitted = true;
    return ERR_OK;
}

// A reader has said whether the one who asks counts at all; what he may, the admin engine says.
static void admitted(void *context, enum err status, const struct replies *replies)
{
    struct operation *operation = context;
    char detail[512];
    operation->owed--;
    bool refused = status == ERR_OK && replies->items[0].status != ERR_OK;
    enum err code = refused ? replies->items[0].status : status;
    struct span words = refused ? replies->items[0].message : span_str(err_message(status));
    if (code == ERR_OK) {
        code = admit(operation, replies->items[0].doc);
        words = span_str(err_message(code));
    }
    if (code == ERR_OK) {
        tell_begun(operation);
        return;
    }
    (void)snprintf(detail, sizeof detail, "%.*s", (int)words.len, (const char *)words.data);
    tell_problem(code, span_str(detail), true, operation->done, operation->context);
    free_operation(operation);
}

bool operations_wants(const struct api_call *call, const struct route *route)
{
    const struct span *prefer = call->headers == NULL ? NULL : http_header(call->headers, "prefer");
    return prefer != NULL && span_eq_str(*prefer, "respond-async") && route->engine == ROLE_ADMIN &&
           strcmp(route->method, "POST") == 0;
}

static void take_who(struct operation *operation, const struct principal *who)
{
    operation->who = *who;
    (void)snprintf(operation->address, sizeof operation->address, "%.*s", (int)who->address.len,
                   (const char *)who->address.data);
    operation->who.address = span_str(operation->address);
    operation->who.name = span_of(NULL, 0);
}

// The request with its document; the key that came with it is copied, as it lies in the message.
static void take_request(struct operation *operation, const struct request *request)
{
    operation->request = *request;
    operation->request.once = span_of(NULL, 0);
    if (request->once.len > 0 && request->once.len <= sizeof operation->once) {
        memcpy(operation->once, request->once.data, request->once.len);
        operation->request.once = span_of(operation->once, request->once.len);
    }
}

enum err operations_begin(struct operations *operations, const struct api_call *call,
                          const struct request *request, struct doc *doc, api_done done,
                          void *context)
{
    if (request->if_match.len > 0) {
        doc_free(doc);
        FAIL(ERR_INVALID, "\"If-Match\" does not go with \"Prefer: respond-async\": leave one out");
    }
    forget_old(operations);
    struct operation *operation =
        operations->count < KEPT_MAX ? calloc(1, sizeof *operation) : NULL;
    if (operation == NULL) {
        doc_free(doc);
        FAIL(ERR_BUSY, "%d operations are under way already", KEPT_MAX);
    }
    operation->owner = operations;
    operation->done = done;
    operation->context = context;
    operation->doc = doc;
    LIST_INIT(&operation->streams);
    take_who(operation, &call->who);
    take_request(operation, request);
    operation_view_init(&operation->view, request->verb);
    TAILQ_INSERT_TAIL(&operations->list, operation, link);
    operations->count++;
    enum err err = ask_reader(operation, admitted, operation);
    if (err != ERR_OK)
        free_operation(operation);
    return err;
}

// ---- telling ----

static bool is_same(const struct principal *a, const struct principal *b)
{
    return a->kind == b->kind && a->uid == b->uid && a->credential == b->credential &&
           memcmp(a->fingerprint, b->fingerprint, sizeof a->fingerprint) == 0;
}

static struct operation *find(struct operations *operations, const struct principal *who,
                              const char *id)
{
    struct operation *at;
    TAILQ_FOREACH(at, &operations->list, link)
    {
        if (is_same(&at->who, who) && strcmp(at->view.id, id) == 0)
            return at;
    }
    return NULL;
}

static void open_stream(struct look *look)
{
    struct operation *operation = look->operation;
    struct uuid id = uuid_ordered(clock_wall_ms());
    struct answer answer;
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL || operation->owner->stream_count >= WEB_STREAMS) {
        free(stream);
        tell_problem(ERR_BUSY, span_str("too many streams are open: ask for the state instead"),
                     true, look->done, look->context);
        return;
    }
    stream->out = look->out;
    stream->context = look->context;
    stream->told = look->told;
    stream->last_ms = clock_mono_ms();
    LIST_INSERT_HEAD(&operation->streams, stream, link);
    operation->owner->stream_count++;
    answer_init(&answer, &id);
    answer.status = 200;
    answer.content_type = "text/event-stream";
    answer.open = true;
    look->done(look->context, &answer);
    answer_done(&answer);
    (void)feed(operation, stream);
}

static void tell_state(const struct look *look)
{
    struct uuid id = uuid_ordered(clock_wall_ms());
    struct answer answer;
    CLEANUP(operation_json_freep)
    json_t *doc = operation_json(&look->operation->view);
    answer_init(&answer, &id);
    if (doc == NULL || answer_json(&answer, 200, doc) != ERR_OK)
        log_error("answer_failed", ERR_MEMORY);
    look->done(look->context, &answer);
    answer_done(&answer);
}

static void looked(void *context, enum err status, const struct replies *replies)
{
    struct look *look = context;
    look->operation->owed--;
    enum err code = status == ERR_OK ? replies->items[0].status : status;
    if (code == ERR_OK)
        take_steps(look->operation, &replies->items[0]);
    if (code != ERR_OK)
        tell_problem(code, status == ERR_OK ? replies->items[0].message : span_str(""), true,
                     look->done, look->context);
    else if (look->stream)
        open_stream(look);
    else
        tell_state(look);
    free(look);
}

// The number of the last event that was seen; 0 when none was, or what is said is no number.
static size_t last_seen(const struct api_call *call)
{
    const struct span *id =
        call->headers == NULL ? NULL : http_header(call->headers, "last-event-id");
    size_t number = 0;
    for (size_t i = 0; id != NULL && i < id->len && i < 6; i++) {
        if (id->data[i] < '0' || id->data[i] > '9')
            return 0;
        number = number * 10 + (size_t)(id->data[i] - '0');
    }
    return number;
}

enum err operations_show(struct operations *operations, const struct api_call *call, const char *id,
                         bool stream, api_done done, void *context)
{
    struct operation *operation = find(operations, &call->who, id);
    if (operation == NULL)
        FAIL(ERR_NOT_FOUND, "there is no such operation, or not yours");
    struct look *look = calloc(1, sizeof *look);
    if (look == NULL)
        FAIL(ERR_MEMORY, "no memory for a request");
    *look = (struct look){.operation = operation,
                          .stream = stream,
                          .told = last_seen(call),
                          .out = call->stream,
                          .done = done,
                          .context = context};
    enum err err = ask_reader(operation, looked, look);
    if (err != ERR_OK)
        free(look);
    return err;
}

void operations_end_streams(struct operations *operations)
{
    struct operation *at;
    TAILQ_FOREACH(at, &operations->list, link)
    end_streams(at);
}

enum err operations_new(struct event_base *base, struct engines *engines, struct operations **ret)
{
    static const struct timeval pause = {.tv_usec = POLL_MS * 1000};
    struct operations *operations = calloc(1, sizeof *operations);
    if (operations == NULL)
        FAIL(ERR_MEMORY, "no memory for operations");
    operations->engines = engines;
    TAILQ_INIT(&operations->list);
    operations->tick = event_new(base, -1, EV_PERSIST, on_tick, operations);
    if (operations->tick == NULL || event_add(operations->tick, &pause) != 0) {
        operations_free(operations);
        FAIL(ERR_MEMORY, "no memory for operations");
    }
    *ret = operations;
    return ERR_OK;
}

void operations_free(struct operations *operations)
{
    if (operations == NULL)
        return;
    while (!TAILQ_EMPTY(&operations->list))
        free_operation(TAILQ_FIRST(&operations->list));
    if (operations->tick != NULL)
        event_free(operations->tick);
    free(operations);
}
