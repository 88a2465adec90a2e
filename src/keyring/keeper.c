// SPDX-License-Identifier: Apache-2.0
//
// The keeper's loop. Invariants: operations and unattended tries run from keeper_turn alone, never
// from within keeper_serve, so a channel is never freed under the feet of whoever reads it; at most
// one operation waits while the keeper tries to open the wallet by itself, and none while another
// runs.
#include "keyring/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/ipc.h"
#include "keyring/core.h"
#include "keyring/datakey.h"
#include "keyring/operate.h"
#include "keyring/ram.h"
#include "keyring/verbs.h"

enum { CHANNELS_MAX = 48, RESULT_MAX = 2 << 20, IDLE_MS = 60000 };

struct channel {
    enum proc_role role;
    uint32_t index;
    uint64_t serial; // tells a channel from the one that replaced it
    struct ipc *ipc; // NULL: free
};

// An operation that was asked for and waits for its turn.
struct waiting {
    bool is;
    uint64_t serial;
    uint64_t id;
    struct buf body;
};

struct keeper {
    struct core core;
    int control;
    bool operating; // an operation runs
    bool stop;
    bool orphaned; // the supervisor is gone
    uint64_t next_serial;
    struct channel channels[CHANNELS_MAX];
    struct waiting waiting;
};

enum err keeper_new(int root, int control, struct keeper **ret)
{
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper == NULL)
        FAIL(ERR_MEMORY, "no memory for the keeper");
    core_init(&keeper->core, root);
    keeper->core.pump = (struct core_pump){keeper_serve, keeper_fds, keeper};
    keeper->control = control;
    buf_init(&keeper->waiting.body, IPC_FRAME_MAX, true);
    *ret = keeper;
    return ERR_OK;
}

void keeper_free(struct keeper *keeper)
{
    if (keeper == NULL)
        return;
    for (size_t i = 0; i < CHANNELS_MAX; i++)
        ipc_free(keeper->channels[i].ipc);
    buf_done(&keeper->waiting.body);
    core_done(&keeper->core);
    free(keeper);
}

void keeper_watch_hsm(struct keeper *keeper, uint32_t seconds)
{
    keeper->core.monitor.interval_ms = (int64_t)seconds * 1000;
}

void keeper_freep(struct keeper **keeper)
{
    keeper_free(*keeper);
    *keeper = NULL;
}

static bool may_attach(enum proc_role role)
{
    return role == ROLE_READER || role == ROLE_WRITER || role == ROLE_ADMIN || role == ROLE_PEOPLE;
}

// The slot of this peer, else a free one.
static struct channel *slot_for(struct keeper *keeper, enum proc_role role, uint32_t index)
{
    struct channel *free_slot = NULL;
    for (size_t i = 0; i < CHANNELS_MAX; i++) {
        struct channel *channel = &keeper->channels[i];
        if (channel->ipc != NULL && channel->role == role && channel->index == index)
            return channel;
        if (channel->ipc == NULL && free_slot == NULL)
            free_slot = channel;
    }
    return free_slot;
}

enum err keeper_attach(struct keeper *keeper, enum proc_role role, uint32_t index, int fd)
{
    struct ipc *ipc = NULL;
    TRY(ipc_new(fd, &ipc));
    struct channel *slot = may_attach(role) ? slot_for(keeper, role, index) : NULL;
    if (slot == NULL) {
        ipc_free(ipc);
        FAIL(ERR_NOT_PERMITTED, "a channel to role %s does not belong here, or there are too many",
             proc_role_name(role));
    }
    ipc_free(slot->ipc);
    *slot = (struct channel){role, index, ++keeper->next_serial, ipc};
    return ERR_OK;
}

// The verbs. Each appends its answer's body.

static enum err need_open(const struct core *core)
{
    if (core->wallet != NULL)
        return ERR_OK;
    if (core_state(core) == KEYRING_EMPTY)
        FAIL(ERR_LOCKED, "there is no wallet yet: run keyward setup first");
    FAIL(ERR_LOCKED, "the key store is locked: %s", core->reason);
}

static enum err verb_status(struct core *core, struct cursor *in, struct buf *out)
{
    enum keyring_state state = core_state(core);
    TRY(cursor_end(in));
    TRY(buf_put_u8(out, (uint8_t)state));
    TRY(buf_put_u8(out, core->has_record && core->record.hsm));
    TRY(buf_put_u32(out, core->record.generation));
    TRY(buf_put_u32(out, core->wallet == NULL ? 0 : wallet_newest(core->wallet)->number));
    return buf_put_var(out, span_str(state == KEYRING_LOCKED ? core->reason : ""));
}

static enum err verb_new_key(struct core *core, struct cursor *in, struct buf *out)
{
    struct span context;
    uint8_t key[DATAKEY_LEN];
    struct buf wrapped CLEANUP(buf_done);
    buf_init(&wrapped, KEYRING_WRAPPED_MAX, false);
    TRY(cursor_var(in, &context));
    TRY(cursor_end(in));
    TRY(need_open(core));
    rand_bytes(key, sizeof key);
    enum err err = datakey_wrap(core->wallet, context, span_of(key, sizeof key), &wrapped);
    if (err == ERR_OK)
        err = buf_put(out, span_of(key, sizeof key));
    explicit_bzero(key, sizeof key);
    TRY(err);
    return buf_put_var(out, span_buf(&wrapped));
}

static enum err take_wrapped(struct cursor *in, struct span *context, struct span *wrapped)
{
    TRY(cursor_var(in, context));
    TRY(cursor_var(in, wrapped));
    return cursor_end(in);
}

static enum err verb_unwrap(struct core *core, struct cursor *in, struct buf *out)
{
    struct span context;
    struct span wrapped;
    CLEANUP(secret_freep) struct secret *key = NULL;
    TRY(take_wrapped(in, &context, &wrapped));
    TRY(need_open(core));
    TRY(datakey_unwrap(core->wallet, context, wrapped, &key));
    return buf_put(out, secret_span(key));
}

static enum err verb_rewrap(struct core *core, struct cursor *in, struct buf *out)
{
    struct span context;
    struct span wrapped;
    uint32_t generation = 0;
    CLEANUP(secret_freep) struct secret *key = NULL;
    struct buf again CLEANUP(buf_done);
    buf_init(&again, KEYRING_WRAPPED_MAX, false);
    TRY(take_wrapped(in, &context, &wrapped));
    TRY(need_open(core));
    TRY(datakey_generation(wrapped, &generation));
    TRY(datakey_unwrap(core->wallet, context, wrapped, &key));
    bool changed = generation != wallet_newest(core->wallet)->number;
    if (changed)
        TRY(datakey_wrap(core->wallet, context, secret_span(key), &again));
    TRY(buf_put_u8(out, changed));
    return buf_put_var(out, changed ? span_buf(&again) : wrapped);
}

static enum err verb_health(struct core *core, struct cursor *in, struct buf *out)
{
    uint32_t watch_s = 0;
    const struct monitor *monitor = &core->monitor;
    TRY(cursor_u32(in, &watch_s));
    TRY(cursor_end(in));
    TRY(monitor_watch(&core->monitor, watch_s));
    TRY(buf_put_u8(out, core->has_record && core->record.hsm));
    TRY(buf_put_u8(out, monitor->known));
    TRY(buf_put_u8(out, monitor->up));
    TRY(buf_put_u8(out, monitor->extractable));
    TRY(buf_put_u32(out, core->wallet == NULL ? 0 : wallet_newest(core->wallet)->number));
    TRY(buf_put_u64(out, (uint64_t)monitor->latency_ms));
    TRY(buf_put_u64(out, (uint64_t)monitor->checked_ms));
    TRY(buf_put_var(out, span_str(monitor->problem)));
    return buf_put_var(out, span_str(monitor->message));
}

static enum err verb_steps(struct core *core, struct cursor *in, struct buf *out)
{
    struct buf steps CLEANUP(buf_done);
    buf_init(&steps, RESULT_MAX / 2, false);
    TRY(cursor_end(in));
    TRY(operate_tell_steps(core, &steps));
    return buf_put_var(out, span_buf(&steps));
}

typedef enum err verb_function(struct core *core, struct cursor *in, struct buf *out);

static verb_function *const verbs[] = {
    [VERB_STATUS] = verb_status, [VERB_NEW_KEY] = verb_new_key, [VERB_UNWRAP] = verb_unwrap,
    [VERB_REWRAP] = verb_rewrap, [VERB_HEALTH] = verb_health,   [VERB_STEPS] = verb_steps,
};

// Root-of-trust operations come from the admin engine alone; but a recovery passphrase may be
// checked by the people engine, too.
static bool may_operate(const struct channel *channel, struct span body)
{
    uint32_t operation = 0;
    struct cursor in = cursor_of(body);
    return channel->role == ROLE_ADMIN ||
           (channel->role == ROLE_PEOPLE && cursor_u32(&in, &operation) == ERR_OK &&
            operation == KEYRING_CHECK_PASSPHRASE);
}

static enum err take_operation(struct keeper *keeper, const struct channel *channel,
                               const struct ipc_frame *frame)
{
    struct waiting *waiting = &keeper->waiting;
    if (!may_operate(channel, frame->body))
        FAIL(ERR_NOT_PERMITTED, "role %s may not run root-of-trust operations",
             proc_role_name(channel->role));
    if (keeper->operating || waiting->is)
        FAIL(ERR_BUSY, "another root-of-trust operation is under way: try again when it has ended");
    buf_clear(&waiting->body);
    TRY(buf_put(&waiting->body, frame->body));
    waiting->serial = channel->serial;
    waiting->id = frame->id;
    waiting->is = true;
    return ERR_OK;
}

static enum err answer(struct keeper *keeper, struct channel *channel,
                       const struct ipc_frame *frame)
{
    struct buf out CLEANUP(buf_done);
    buf_init(&out, RESULT_MAX, true);
    enum err err = ERR_OK;
    if (frame->kind == VERB_OPERATE) {
        err = take_operation(keeper, channel, frame);
        if (err == ERR_OK)
            return ERR_OK;
    } else if (frame->kind < sizeof verbs / sizeof *verbs && verbs[frame->kind] != NULL) {
        struct cursor in = cursor_of(frame->body);
        err = verbs[frame->kind](&keeper->core, &in, &out);
    } else {
        err = err_raise(ERR_OPERATION, __FILE__, __LINE__, "there is no verb %u", frame->kind);
    }
    return ipc_answer(channel->ipc, frame, err, err == ERR_OK ? span_buf(&out) : span_str(NULL));
}

static enum err serve_channel(struct keeper *keeper, struct channel *channel)
{
    struct ipc_frame frame;
    enum err closed = ipc_fill(channel->ipc);
    while (ipc_next(channel->ipc, &frame))
        TRY(answer(keeper, channel, &frame));
    TRY(closed);
    return ipc_flush(channel->ipc);
}

static void take_message(struct keeper *keeper, const struct proc_message *message, int fd)
{
    if (message->kind == PROC_STOP)
        keeper->stop = true;
    if (message->kind == PROC_ATTACH && fd >= 0) {
        enum err err = keeper_attach(keeper, (enum proc_role)message->role, message->index, fd);
        if (err != ERR_OK)
            log_error("attach_refused", err);
    } else if (fd >= 0) {
        (void)close(fd);
    }
}

static void serve_control(struct keeper *keeper)
{
    struct proc_message message;
    int fd = -1;
    enum err err = ERR_OK;
    while (keeper->control >= 0 && (err = proc_receive(0, &message, &fd)) == ERR_OK) {
        take_message(keeper, &message, fd);
        fd = -1;
    }
    if (keeper->control >= 0 && err != ERR_TIMEOUT)
        keeper->orphaned = true;
}

void keeper_serve(void *arg)
{
    struct keeper *keeper = arg;
    if (!keeper->orphaned)
        serve_control(keeper);
    for (size_t i = 0; i < CHANNELS_MAX; i++) {
        struct channel *channel = &keeper->channels[i];
        if (channel->ipc == NULL || serve_channel(keeper, channel) == ERR_OK)
            continue;
        ipc_freep(&channel->ipc); // the supervisor attaches a new one
    }
}

int keeper_fds(void *arg, struct pollfd *out, int max)
{
    struct keeper *keeper = arg;
    int count = 0;
    if (keeper->control >= 0 && !keeper->orphaned && count < max)
        out[count++] = (struct pollfd){.fd = keeper->control, .events = POLLIN};
    for (size_t i = 0; i < CHANNELS_MAX && count < max; i++) {
        const struct ipc *ipc = keeper->channels[i].ipc;
        if (ipc == NULL)
            continue;
        short events = ipc_pending(ipc) > 0 ? POLLIN | POLLOUT : POLLIN;
        out[count++] = (struct pollfd){.fd = ipc_fd(ipc), .events = events};
    }
    return count;
}

struct asked {
    uint32_t operation;
    struct span doc;
    struct keyring_secret secrets[VERB_SECRETS_MAX];
    char names[VERB_SECRETS_MAX][64];
    uint32_t count;
};

static enum err take_asked(struct span body, struct asked *ret)
{
    struct cursor in = cursor_of(body);
    TRY(cursor_u32(&in, &ret->operation));
    TRY(cursor_var(&in, &ret->doc));
    TRY(cursor_u32(&in, &ret->count));
    if (ret->count > VERB_SECRETS_MAX || ret->doc.len > VERB_DOC_MAX)
        FAIL(ERR_TOO_LARGE, "an operation has too many secrets or too long a document");
    for (uint32_t i = 0; i < ret->count; i++) {
        struct span name;
        TRY(cursor_var(&in, &name));
        TRY(cursor_var(&in, &ret->secrets[i].value));
        if (name.len >= sizeof ret->names[i] || ret->secrets[i].value.len > VERB_SECRET_MAX)
            FAIL(ERR_TOO_LARGE, "a secret or its name is too long");
        memcpy(ret->names[i], name.data, name.len);
        ret->names[i][name.len] = '\0';
        ret->secrets[i].name = ret->names[i];
    }
    return cursor_end(&in);
}

static enum err operate(struct keeper *keeper, struct buf *doc, bool *ret_unsure)
{
    struct asked asked = {0};
    TRY(take_asked(span_buf(&keeper->waiting.body), &asked));
    return operate_run(&keeper->core, (enum keyring_operation)asked.operation, asked.doc,
                       asked.secrets, asked.count, doc, ret_unsure);
}

static enum err send_result(struct keeper *keeper, enum err err, bool unsure, struct span doc)
{
    struct buf body CLEANUP(buf_done);
    const struct ipc_frame ask = {.kind = VERB_OPERATE, .id = keeper->waiting.id};
    buf_init(&body, RESULT_MAX, false);
    TRY(buf_put_u32(&body, (uint32_t)err));
    TRY(buf_put_u8(&body, unsure));
    TRY(buf_put_var(&body, span_str(err == ERR_OK ? "" : err_detail())));
    TRY(buf_put_var(&body, doc));
    for (size_t i = 0; i < CHANNELS_MAX; i++) {
        struct channel *channel = &keeper->channels[i];
        if (channel->ipc == NULL || channel->serial != keeper->waiting.serial)
            continue;
        TRY(ipc_answer(channel->ipc, &ask, ERR_OK, span_buf(&body)));
        return ipc_flush(channel->ipc);
    }
    log_event(LOG_LEVEL_WARN, "operation_result_lost error=%s", err_info(err)->name);
    return ERR_OK;
}

static void run_waiting(struct keeper *keeper)
{
    struct buf doc CLEANUP(buf_done);
    buf_init(&doc, RESULT_MAX / 2, false);
    keeper->waiting.is = false;
    keeper->operating = true;
    bool unsure = false;
    enum err err = operate(keeper, &doc, &unsure);
    keeper->operating = false;
    if (send_result(keeper, err, unsure, span_buf(&doc)) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "operation_result_lost error=%s", err_info(err)->name);
    buf_clear(&keeper->waiting.body);
}

static int shorter(int a, int b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

// The monitor's look at the HSM; what it met stands in the monitor's memory.
static void watch(struct keeper *keeper)
{
    enum err err = core_check_hsm(&keeper->core, "monitor");
    if (err != ERR_OK && keeper->core.monitor.up)
        log_error("hsm_check_failed", err);
}

// What is due, the most wanted first. A commit whose outcome is unknown ends it.
static void work(struct keeper *keeper)
{
    struct core *core = &keeper->core;
    if (keeper->waiting.is && !keeper->stop)
        run_waiting(keeper);
    if (core_due_ms(core) == 0 && !keeper->stop)
        core_try(core);
    if (core_check_due_ms(core) == 0 && !keeper->stop && !core->must_stop)
        watch(keeper);
}

enum err keeper_turn(struct keeper *keeper, int timeout_ms)
{
    struct pollfd fds[CHANNELS_MAX + 1];
    int count = keeper_fds(keeper, fds, CHANNELS_MAX + 1);
    bool at_once = keeper->waiting.is || (keeper->control >= 0 && proc_has_kept());
    int due = shorter(core_due_ms(&keeper->core), core_check_due_ms(&keeper->core));
    int wait = at_once ? 0 : shorter(timeout_ms, due);
    if (poll(fds, (nfds_t)count, wait) < 0 && errno != EINTR)
        FAIL(ERR_INTERNAL, "poll failed");
    keeper_serve(keeper);
    work(keeper);
    if (keeper->core.must_stop)
        FAIL(ERR_IO, "a commit's outcome is unknown");
    if (keeper->orphaned)
        FAIL(ERR_UNAVAILABLE, "the supervisor is gone");
    return keeper->stop ? ERR_CANCELED : ERR_OK;
}

// The copy in RAM is for a keeper that crashed. After an orderly stop the next start is to show
// that the HSM opens the store.
static void forget_ram(const struct keeper *keeper)
{
    enum err err = ram_forget(keeper->core.root);
    if (err != ERR_OK)
        log_error("ram_wallet_not_removed", err);
}

enum err keeper_run(struct keeper *keeper)
{
    enum err err = ERR_OK;
    while (err == ERR_OK)
        err = keeper_turn(keeper, IDLE_MS);
    if (err != ERR_CANCELED)
        return err;
    forget_ram(keeper);
    return ERR_OK;
}
