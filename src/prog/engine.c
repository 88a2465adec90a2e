// SPDX-License-Identifier: Apache-2.0
//
// keyward-engine --role reader|writer|admin|people --root DIR --index N: takes batches from fronts
// and web, runs them turn by turn (ops/ops.h), answers.
//
// A turn takes what has queued up on all channels, up to a bound. Its answers are kept aside until
// the turn has ended well: a writer's are durable by then, a reader's recorded. When the outcome of
// a commit is not known, the process ends without answering; the supervisor starts it again.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authz/authz.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/kv.h"
#include "base/log.h"
#include "base/paths.h"
#include "ops/ops.h"
#include "package/package.h"
#include "proc/proc.h"
#include "proc/spin.h"

enum {
    TURN_BATCHES = 256,             // of the writer
    READ_BATCHES = 64,              // of a reader
    TURN_BYTES = 8 * 1024 * 1024,   // of requests in one turn
    TURN_MS = 5,                    // then the writer commits what it has
    TURN_MEMORY = 32 * 1024 * 1024, // of requests, answers and rows: then no more are taken
    ARENA_MAX = 128 * 1024 * 1024,  // what the last of them may still take
    OPEN_MS = 30000,                // for the writer to make the store
    OPEN_STEP_MS = 20,
    LOOKS_A_POLL = 8 // into memory, before the sockets get one
};

struct peer {
    enum proc_role role;
    uint32_t index;
    struct ipc *ipc;
};

struct answer {
    size_t peer;
    uint64_t id;
    enum err status;     // not ERR_OK: instead of replies
    struct span message; // then: what the asker may read, kept before another's error replaces it
    struct replies replies;
    struct span courier; // the answer to a courier; data NULL: it is none
};

struct engine {
    enum proc_role role;
    uint32_t index;
    int root;
    struct store *store;
    struct ops *ops;
    struct ipc *keeper;
    int memory; // for the next front's channel, -1: none
    struct peer peers[PROC_PEERS_MAX];
    size_t peer_count;
    size_t first; // whose frames come first in the next turn
    struct answer answers[TURN_BATCHES];
    size_t answer_count;
    struct arena *arena;
    struct spin spin; // the writer's, after a turn
    bool left_over;   // frames that did not fit into the last turn
    bool stop;
};

static void drop_peer(struct engine *engine, size_t at)
{
    ipc_freep(&engine->peers[at].ipc);
    engine->peers[at] = engine->peers[--engine->peer_count];
}

// A new channel replaces an earlier one to the same process.
static enum err attach(struct engine *engine, const struct proc_message *message, int fd)
{
    struct ipc *ipc = NULL;
    if (message->role == ROLE_MEMORY) {
        file_closep(&engine->memory);
        engine->memory = fd;
        return ERR_OK;
    }
    TRY(ipc_new(fd, &ipc));
    if (message->role == ROLE_FRONT) {
        enum err err = ipc_share(ipc, engine->memory, false);
        file_closep(&engine->memory);
        if (err != ERR_OK) {
            ipc_free(ipc);
            return err;
        }
    }
    if (message->role == ROLE_KEEPER) {
        ipc_freep(&engine->keeper);
        engine->keeper = ipc;
        if (engine->ops != NULL)
            ops_set_keeper(engine->ops, ipc);
        return ERR_OK;
    }
    if (message->role != ROLE_FRONT && message->role != ROLE_WEB && message->role != ROLE_COURIER) {
        ipc_free(ipc);
        FAIL(ERR_INTERNAL, "an engine has no use for a channel to \"%s\"",
             proc_role_name((enum proc_role)message->role));
    }
    for (size_t i = 0; i < engine->peer_count; i++) {
        struct peer *peer = &engine->peers[i];
        if (peer->role == message->role && peer->index == message->index) {
            ipc_freep(&peer->ipc);
            peer->ipc = ipc;
            return ERR_OK;
        }
    }
    if (engine->peer_count == PROC_PEERS_MAX) {
        ipc_free(ipc);
        FAIL(ERR_INTERNAL, "there are more than %d peers", PROC_PEERS_MAX);
    }
    engine->peers[engine->peer_count++] =
        (struct peer){(enum proc_role)message->role, message->index, ipc};
    return ERR_OK;
}

// One message of the supervisor, if there is one within timeout_ms.
static enum err hear_supervisor(struct engine *engine, int timeout_ms)
{
    struct proc_message message;
    int fd = -1;
    enum err err = proc_receive(timeout_ms, &message, &fd);
    if (err == ERR_TIMEOUT)
        return ERR_OK;
    TRY(err);
    if (message.kind == PROC_STOP)
        engine->stop = true;
    if (message.kind == PROC_ATTACH && fd >= 0)
        return attach(engine, &message, fd);
    file_closep(&fd);
    return ERR_OK;
}

// One batch at a time, whose operation keeps its own transaction.
static bool works_alone(const struct engine *engine)
{
    return engine->role == ROLE_ADMIN || engine->role == ROLE_PEOPLE;
}

// Without memory for the text the table's own has to do.
static struct span keep_message(struct engine *engine, enum err err)
{
    struct span text;
    if (arena_copy(engine->arena, span_str(err_message(err)), &text) == ERR_OK)
        return text;
    return span_str(err_info(err)->text);
}

static void refuse(struct engine *engine, struct answer *answer, enum err err)
{
    answer->status = err;
    answer->message = keep_message(engine, err);
}

static void send_answer(struct engine *engine, const struct answer *answer)
{
    struct buf *body = NULL;
    struct ipc *ipc = engine->peers[answer->peer].ipc;
    struct ipc_frame ask = {.kind = MODEL_FRAME_BATCH, .id = answer->id};
    struct span message = answer->message;
    enum err err = answer->status;
    if (err == ERR_OK && answer->courier.data != NULL) {
        err = ipc_answer(ipc, &ask, ERR_OK, answer->courier);
    } else if (err == ERR_OK) {
        err = ipc_begin(ipc, MODEL_FRAME_BATCH, ERR_OK, answer->id, &body);
        if (err == ERR_OK) {
            err = model_put_replies(body, &answer->replies);
            if (err == ERR_OK)
                err = ipc_end(ipc);
            else
                ipc_drop(ipc);
        }
    }
    if (err != ERR_OK && ipc_answer(ipc, &ask, err, message) != ERR_OK)
        log_error("answer_lost", err);
}

static void send_answers(struct engine *engine)
{
    for (size_t i = 0; i < engine->answer_count; i++)
        send_answer(engine, &engine->answers[i]);
    engine->answer_count = 0;
}

// Nothing of the turn has happened. The detail may be about one of those who asked: where there are
// others, nobody reads it.
static void refuse_all(struct engine *engine, enum err err)
{
    struct span message =
        works_alone(engine) ? keep_message(engine, err) : span_str(err_info(err)->text);
    for (size_t i = 0; i < engine->answer_count; i++) {
        engine->answers[i].status = err;
        engine->answers[i].message = message;
    }
}

// What a process at the other end may say is decided by what the supervisor says it is, not by what
// it says of itself: a front that was broken into must not administer.
static enum err check_carrier(const struct engine *engine, const struct peer *peer,
                              const struct batch *batch)
{
    enum authz_channel channel = peer->role == ROLE_WEB ? AUTHZ_FROM_WEB : AUTHZ_FROM_FRONT;
    struct authz_decision decision = authz_may_carry(channel, engine->role != ROLE_READER, batch);
    if (decision.permit)
        return ERR_OK;
    log_event(LOG_LEVEL_ERROR, "batch_refused from=%s index=%u reason=\"%s\"",
              proc_role_name(peer->role), peer->index, decision.why);
    FAIL(ERR_NOT_PERMITTED, "%s", decision.why);
}

// A courier may say what ops/courier.c knows, and nobody else may say that.
static enum err run_courier(struct engine *engine, const struct ipc_frame *frame,
                            struct answer *answer)
{
    if (frame->kind != MODEL_FRAME_COURIER)
        FAIL(ERR_OPERATION, "a courier asks for nothing else");
    return ops_run_courier(engine->ops, frame->body, engine->arena, &answer->courier);
}

static enum err take_batch(struct engine *engine, const struct peer *peer,
                           const struct ipc_frame *frame, struct batch *ret)
{
    if (frame->kind != MODEL_FRAME_BATCH)
        FAIL(ERR_OPERATION, "an engine takes no message of kind %u", frame->kind);
    TRY(model_get_batch(frame->body, engine->arena, ret));
    ret->final = frame->status == MODEL_ASK_FINAL;
    return check_carrier(engine, peer, ret);
}

// An error ends the turn: what it has done is taken back.
static enum err run_frame(struct engine *engine, size_t peer, const struct ipc_frame *frame)
{
    struct batch batch;
    if (frame->kind == MODEL_FRAME_REFUSAL && engine->peers[peer].role != ROLE_COURIER) {
        enum err noted = ops_note_refusal(engine->ops, frame->body);
        if (noted != ERR_OK)
            log_error("refusal_not_noted", noted);
        return ERR_OK;
    }
    struct answer *answer = &engine->answers[engine->answer_count++];
    *answer = (struct answer){.peer = peer, .id = frame->id};
    if (engine->peers[peer].role == ROLE_COURIER) {
        enum err err = run_courier(engine, frame, answer);
        if (err != ERR_OK) {
            log_error("courier_refused", err);
            refuse(engine, answer, err);
        }
        return store_is_doomed(engine->store) ? err : ERR_OK;
    }
    enum err err = take_batch(engine, &engine->peers[peer], frame, &batch);
    if (err != ERR_OK) {
        refuse(engine, answer, err);
        return ERR_OK;
    }
    err = ops_run_batch(engine->ops, &batch, engine->arena, &answer->replies);
    // A batch that cannot be one, or is the writer's, was not begun: nobody else's has to suffer.
    if (err != ERR_MESSAGE && err != ERR_TO_WRITER)
        return err;
    refuse(engine, answer, err);
    return ERR_OK;
}

static size_t turn_limit(const struct engine *engine)
{
    if (works_alone(engine))
        return 1;
    return engine->role == ROLE_WRITER ? TURN_BATCHES : READ_BATCHES;
}

// Runs queued frames of all channels in rounds, one of each at a time, so that nobody waits for
// another's queue.
static enum err run_frames(struct engine *engine)
{
    size_t bytes = 0;
    size_t idle = 0;
    int64_t until = clock_mono_ms() + TURN_MS;
    size_t at = engine->first;
    engine->left_over = true; // also when a frame ends the turn
    while (idle < engine->peer_count) {
        struct ipc_frame frame;
        if (engine->answer_count >= turn_limit(engine) || bytes > TURN_BYTES ||
            arena_used(engine->arena) > TURN_MEMORY ||
            (engine->role == ROLE_WRITER && clock_mono_ms() > until))
            break;
        at = (at + 1) % engine->peer_count;
        idle++;
        if (!ipc_next(engine->peers[at].ipc, &frame))
            continue;
        idle = 0;
        bytes += frame.body.len;
        TRY(run_frame(engine, at, &frame));
    }
    engine->left_over = idle < engine->peer_count;
    engine->first = engine->peer_count > 0 ? at % engine->peer_count : 0;
    return ERR_OK;
}

// Does a failed turn leave nothing changed? Else nobody may be told anything.
static bool is_certain(const struct engine *engine, enum err err)
{
    return engine->role == ROLE_READER || err == ERR_NO_SPACE || err == ERR_BUSY;
}

static enum err end_turn(struct engine *engine)
{
    enum err err = ops_end(engine->ops);
    if (err != ERR_OK) {
        log_error("turn_failed", err);
        if (!is_certain(engine, err))
            return err;
    }
    if (err != ERR_OK)
        refuse_all(engine, err);
    send_answers(engine);
    return ERR_OK;
}

static bool has_frames(struct engine *engine, bool *readable)
{
    bool any = engine->left_over;
    for (size_t i = 0; i < engine->peer_count; i++)
        any = any || readable[i];
    return any;
}

static enum err run_turn(struct engine *engine)
{
    enum err err = ops_begin(engine->ops);
    if (err == ERR_OK) {
        err = run_frames(engine);
        if (err == ERR_OK) {
            err = end_turn(engine);
            arena_reset(engine->arena);
            return err;
        }
        log_error("turn_failed", err);
        if (store_is_unsure(engine->store))
            return err; // nobody may be told anything
        refuse_all(engine, err);
        ops_abort(engine->ops);
        send_answers(engine);
    }
    arena_reset(engine->arena);
    // A turn that could not begin leaves its frames queued; what does not pass ends the process.
    if (err == ERR_BUSY || err == ERR_NO_SPACE) {
        log_error("turn_delayed", err);
        engine->left_over = true;
        return ERR_OK;
    }
    return works_alone(engine) ? ERR_OK : err;
}

static void flush_all(struct engine *engine)
{
    for (size_t i = engine->peer_count; i-- > 0;) {
        if (ipc_pending(engine->peers[i].ipc) > 0 && ipc_flush(engine->peers[i].ipc) != ERR_OK)
            drop_peer(engine, i);
    }
}

// Reads what has come in; *readable says from whom. Peers that are gone are dropped.
static void fill_all(struct engine *engine, const struct pollfd *fds, bool *readable)
{
    for (size_t i = engine->peer_count; i-- > 0;) {
        struct ipc *ipc = engine->peers[i].ipc;
        bool rung = (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
        readable[i] = rung || ipc_ready(ipc);
        if (!readable[i] || (rung ? ipc_fill(ipc) : ipc_take(ipc)) == ERR_OK)
            continue;
        drop_peer(engine, i);
        readable[i] = readable[engine->peer_count];
    }
}

static bool any_ready(const struct engine *engine)
{
    for (size_t i = 0; i < engine->peer_count; i++) {
        if (ipc_ready(engine->peers[i].ipc))
            return true;
    }
    return false;
}

static bool look_again(struct engine *engine)
{
    return !engine->left_over && !any_ready(engine) && spin_on(&engine->spin);
}

static void say_asleep(struct engine *engine, bool asleep)
{
    for (size_t i = 0; i < engine->peer_count; i++)
        ipc_sleep(engine->peers[i].ipc, asleep);
}

// poll, but that nobody is left waiting who has put something into shared memory.
static int sleep_on(struct engine *engine, struct pollfd *fds, nfds_t count, int wait_ms)
{
    say_asleep(engine, true);
    int ready = poll(fds, count, any_ready(engine) ? 0 : wait_ms);
    int error = errno;
    say_asleep(engine, false);
    errno = error;
    return ready;
}

static enum err wait_for_work(struct engine *engine, int wait_ms, bool *readable)
{
    struct pollfd fds[PROC_PEERS_MAX + 1];
    size_t count = engine->peer_count;
    for (size_t i = 0; i < count; i++) {
        struct ipc *ipc = engine->peers[i].ipc;
        short out = ipc_wants_socket(ipc) ? POLLOUT : 0;
        fds[i] = (struct pollfd){.fd = ipc_fd(ipc), .events = (short)(POLLIN | out)};
    }
    fds[count] = (struct pollfd){.fd = PROC_CONTROL_FD, .events = POLLIN};
    int ready = 0;
    for (int looks = 1; ready == 0 && look_again(engine); looks++) {
        if (looks % LOOKS_A_POLL == 0)
            ready = poll(fds, (nfds_t)count + 1, 0);
    }
    if (ready == 0)
        ready = sleep_on(engine, fds, (nfds_t)count + 1, engine->left_over ? 0 : wait_ms);
    if (ready < 0 && errno != EINTR)
        FAIL(ERR_INTERNAL, "poll failed");
    fill_all(engine, fds, readable);
    return fds[count].revents != 0 ? hear_supervisor(engine, 0) : ERR_OK;
}

static enum err serve(struct engine *engine)
{
    while (!engine->stop) {
        int wait_ms = -1;
        bool readable[PROC_PEERS_MAX + 1] = {false};
        enum err err = ops_idle(engine->ops, &wait_ms);
        if (err != ERR_OK)
            log_error("idle_work_failed", err);
        if (err == ERR_IO)
            return err;
        TRY(wait_for_work(engine, err == ERR_OK ? wait_ms : 1000, readable));
        bool works = has_frames(engine, readable);
        enum err turn = works ? run_turn(engine) : ERR_OK;
        flush_all(engine); // also what a turn that was taken back for certain has to say
        TRY(turn);
        if (works && !works_alone(engine))
            spin_start(&engine->spin, engine->role == ROLE_WRITER ? SPIN_COMMIT_US : SPIN_READ_US);
    }
    for (size_t i = 0; i < engine->peer_count; i++)
        (void)!ipc_flush_wait(engine->peers[i].ipc, 1000);
    return ops_stop(engine->ops);
}

// The writer makes the store; the others wait for it, hearing the supervisor meanwhile.
static enum err open_store(struct engine *engine)
{
    int64_t until = clock_mono_ms() + OPEN_MS;
    bool writes = engine->role != ROLE_READER;
    if (engine->role == ROLE_WRITER)
        TRY(file_mkdirs(engine->root, PATH_STATE_DIR));
    while (!engine->stop) {
        enum err err = ERR_NOT_FOUND;
        if (engine->role == ROLE_WRITER || file_exists(engine->root, PATH_STORE))
            err = store_open(engine->root, PATH_STORE, writes ? STORE_WRITE : STORE_READ,
                             &engine->store);
        bool later = err == ERR_NOT_FOUND || err == ERR_BUSY;
        if (!later || clock_mono_ms() > until)
            return err;
        TRY(hear_supervisor(engine, OPEN_STEP_MS));
    }
    return ERR_OK;
}

// A server that was set up has a store: an empty one would hide that it was lost.
static enum err check_store(int root)
{
    struct stat st;
    if (!file_exists(root, PATH_ROOT_RECORD))
        return ERR_OK;
    if (fstatat(root, PATH_STORE, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_size == 0)
        FAIL(ERR_DAMAGED,
             "\"%s\" is missing or empty though this server was set up: put it back from a backup",
             PATH_STORE);
    return ERR_OK;
}

// What is wrong with the store is told with its name: the server cannot start without it.
static enum err open_named_store(struct engine *engine)
{
    char detail[400];
    TRY(check_store(engine->root));
    enum err err = open_store(engine);
    (void)snprintf(detail, sizeof detail, "%s", err_detail());
    if (err != ERR_DAMAGED || strstr(detail, PATH_STORE) != NULL)
        return err;
    FAIL(ERR_DAMAGED, "\"%s\": %s; put it back from a backup", PATH_STORE, detail);
}

static enum err make_ops(struct engine *engine)
{
    CLEANUP(kv_freep) struct kv *conf = NULL;
    struct ops_settings settings = {
        .role = OPS_READER,
        .index = engine->index,
        .root = engine->root,
        .store = engine->store,
        .service_uid = geteuid(),
    };
    if (engine->role != ROLE_READER)
        settings.role = engine->role == ROLE_WRITER ? OPS_WRITER : OPS_ADMIN;
    if (engine->role == ROLE_PEOPLE)
        settings.role = OPS_PEOPLE;
    TRY(kv_load(engine->root, PATH_CONF, &conf));
    TRY(kv_get_bool(conf, "AUDIT_STRICT", false, &settings.audit_strict));
    settings.kmip_port = package_port_of(kv_get(conf, "KMIP_LISTEN", ""), 0); // 0: none is said
    TRY(file_mkdirs(engine->root, PATH_AUDIT_DIR));
    TRY(ops_new(&settings, &engine->ops));
    ops_set_keeper(engine->ops, engine->keeper);
    return arena_new(ARENA_MAX, &engine->arena);
}

static enum err run(struct engine *engine, const char *root)
{
    TRY(proc_harden());
    TRY(file_open_dir(root, &engine->root));
    TRY(open_named_store(engine));
    if (engine->stop)
        return ERR_OK;
    TRY(make_ops(engine));
    // The store, the journals and the certificates: no wallet, no credential, nothing in RAM.
    static const struct proc_tree own[] = {{PATH_STATE_DIR, PROC_REACH_OWN}};
    TRY(proc_wall_in(engine->root, own, sizeof own / sizeof *own));
    TRY(proc_confine(engine->role));
    TRY(proc_ready());
    log_event(LOG_LEVEL_INFO, "started role=%s index=%u", proc_role_name(engine->role),
              engine->index);
    return serve(engine);
}

static enum proc_role role_of(const char *name)
{
    for (int role = ROLE_READER; role <= ROLE_PEOPLE; role++) {
        if (strcmp(proc_role_name((enum proc_role)role), name) == 0)
            return (enum proc_role)role;
    }
    return ROLE_NONE;
}

static const char *parse(int argc, char **argv, struct engine *engine)
{
    static const struct option options[] = {
        {"role", required_argument, NULL, 'r'},
        {"root", required_argument, NULL, 'd'},
        {"index", required_argument, NULL, 'i'},
        {NULL, 0, NULL, 0},
    };
    const char *root = NULL;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'r')
            engine->role = role_of(optarg);
        else if (c == 'd')
            root = optarg;
        else if (c == 'i')
            engine->index = (uint32_t)strtoul(optarg, NULL, 10);
        else
            return NULL;
    }
    return engine->role == ROLE_NONE ? NULL : root;
}

int main(int argc, char **argv)
{
    static struct engine engine = {.root = -1, .memory = -1};
    const char *root = parse(argc, argv, &engine);
    if (root == NULL) {
        (void)fprintf(stderr, "usage: keyward-engine --role reader|writer|admin|people "
                              "--root DIR --index N (started by keywardd)\n");
        return 2;
    }
    log_setup(proc_role_name(engine.role), LOG_LEVEL_INFO);
    enum err err = run(&engine, root);
    if (err != ERR_OK) {
        log_error("stopped", err);
        proc_failed(err);
    }
    while (engine.peer_count > 0)
        drop_peer(&engine, engine.peer_count - 1);
    ops_freep(&engine.ops);
    ipc_freep(&engine.keeper);
    store_closep(&engine.store);
    arena_freep(&engine.arena);
    file_closep(&engine.memory);
    file_closep(&engine.root);
    return err == ERR_OK ? 0 : 1;
}
