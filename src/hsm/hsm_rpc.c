// SPDX-License-Identifier: Apache-2.0
//
// hsm.h for the keeper: every handle is a process of its own, asked for from the supervisor and
// killed at the end. hsmd tells each library call before it makes it; a call that takes longer than
// HSM_TIMEOUT, or a verb that takes longer than its own limit, ends in the process being killed.
//
// A start that fails may only have met a token that somebody else was writing to, or a library's
// stale state, so it is tried three times, each with a new process; but never again once C_Login
// was called: a credential is spent once. Verbs that change nothing on the token are tried again
// likewise when they fail, since with many libraries only a new process recovers, and the
// credential has been accepted by then.
#include "hsm/hsm_rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "hsm/hsm_env.h"
#include "hsm/hsm_trace.h"
#include "hsm/hsm_wire.h"
#include "ipc/ipc.h"
#include "proc/proc.h"

enum {
    TRIES = 3,
    SPAWN_MS = 5000,
    SEND_MS = 1000,
    CLOSE_MS = 1000,
    CALL_NAME_MAX = 32,
    DETAIL_MAX = 1024,
    FRAMES_MAX = 100000 // before an answer
};

static const int pause_ms[TRIES] = {0, 100, 400}; // before each
enum { BACK_OFF_MS = 500 };

struct hsm {
    struct ipc *ipc;   // NULL: the process is gone
    uint64_t spawning; // which of this keeper's processes it is
    uint64_t id;
    struct hsm_settings settings;
    struct secret *credential;
    char trace[HSM_TRACE_NAME_MAX + 1];
    bool none_left; // hsmd says so of the last hsm_key_create
    bool made_key;  // the process knows a key by its handle: no other can stand in for it
    char call[CALL_NAME_MAX + 1]; // the library call that hsmd told of last
    bool logging_in;              // C_Login was called
    int crash_signal;
};

static struct hsm_rpc_pump other_work;
static uint64_t spawned; // processes asked for so far; the supervisor keeps the last one only

void hsm_rpc_set_pump(const struct hsm_rpc_pump *pump)
{
    static const struct hsm_rpc_pump none;
    other_work = *(pump == NULL ? &none : pump);
}

// Waits for the channel (may be NULL) or the deadline, doing other work meanwhile. True when the
// channel has something; once the deadline has passed before the call, false whatever it has, so
// that a peer that never stops writing ends like one that never writes.
static bool wait_until(struct ipc *ipc, int64_t deadline)
{
    if (clock_mono_ms() >= deadline)
        return false;
    for (;;) {
        struct pollfd fds[1 + HSM_PUMP_MAX] = {{.fd = -1, .events = POLLIN}};
        int others = 0;
        if (ipc != NULL)
            fds[0].fd = ipc_fd(ipc);
        if (other_work.serve != NULL)
            others = other_work.fds(other_work.arg, fds + 1, HSM_PUMP_MAX);
        int64_t left = deadline - clock_mono_ms();
        int ready = poll(fds, 1 + (nfds_t)others, left < 0 ? 0 : (int)left);
        if (ready < 0 && errno != EINTR)
            return false;
        bool ours = ready > 0 && fds[0].revents != 0;
        // First the others: a channel that never falls silent must not keep them waiting.
        if (ready > (ours ? 1 : 0))
            other_work.serve(other_work.arg);
        if (ours)
            return true;
        if (clock_mono_ms() >= deadline)
            return false;
    }
}

static void end_process(struct hsm *hsm)
{
    if (hsm->ipc == NULL)
        return;
    ipc_freep(&hsm->ipc);
    if (hsm->spawning != spawned)
        return;
    enum err err = proc_kill(ROLE_HSMD);
    if (err != ERR_OK)
        log_error("hsmd_not_killed", err);
}

static void take_note(struct hsm *hsm, const struct ipc_frame *note)
{
    size_t len = note->body.len < CALL_NAME_MAX ? note->body.len : CALL_NAME_MAX;
    memset(hsm->call, 0, sizeof hsm->call);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = note->body.data[i];
        hsm->call[i] = c > 0x20 && c < 0x7f ? (char)c : '?';
    }
    if (strcmp(hsm->call, "C_Login") == 0)
        hsm->logging_in = true;
}

static void take_crash(struct hsm *hsm, const struct ipc_frame *frame)
{
    struct cursor in = cursor_of(frame->body);
    uint32_t number = 0;
    if (cursor_u32(&in, &number) == ERR_OK && number < 128)
        hsm->crash_signal = (int)number;
}

static const char *call_name(const struct hsm *hsm)
{
    return hsm->call[0] == '\0' ? "its start" : hsm->call;
}

static enum err timed_out(struct hsm *hsm, uint32_t seconds)
{
    end_process(hsm);
    FAIL(ERR_HSM_TIMEOUT,
         "the HSM did not answer in %u s (in %s of \"%s\"); check that it is reachable and look at "
         "the newest file in var/okv/log/hsm",
         seconds, call_name(hsm), hsm->settings.library);
}

static enum err crashed(struct hsm *hsm)
{
    int number = hsm->crash_signal;
    end_process(hsm);
    if (number != 0)
        FAIL(ERR_HSM_CRASHED,
             "the PKCS#11 library \"%s\" crashed in %s (signal %d, %s); look at the newest file in "
             "var/okv/log/hsm and ask the HSM's vendor",
             hsm->settings.library, call_name(hsm), number, strsignal(number));
    FAIL(ERR_HSM_CRASHED,
         "the process with the PKCS#11 library \"%s\" ended in %s; look at the newest file in "
         "var/okv/log/hsm",
         hsm->settings.library, call_name(hsm));
}

static enum err flooded(struct hsm *hsm)
{
    end_process(hsm);
    FAIL(ERR_HSM_FAILED, "the process with the PKCS#11 library \"%s\" never came to an end",
         hsm->settings.library);
}

// Takes frames until the answer to `id`, the end of the channel or a deadline: one for each library
// call, set anew by each note, and one for the whole. Whatever else comes counts as a flood.
static enum err wait_for_answer(struct hsm *hsm, uint64_t id, int64_t limit_ms,
                                struct ipc_frame *ret)
{
    int64_t call_ms = (int64_t)hsm->settings.timeout_s * 1000;
    if (limit_ms < 3 * call_ms)
        limit_ms = 3 * call_ms;
    uint32_t frames = 0;
    int64_t end = clock_mono_ms() + limit_ms;
    int64_t call_end = clock_mono_ms() + call_ms;
    for (;;) {
        struct ipc_frame frame;
        while (ipc_next(hsm->ipc, &frame)) {
            if (++frames > FRAMES_MAX)
                return flooded(hsm);
            if (frame.kind == HSM_NOTE) {
                take_note(hsm, &frame);
                call_end = clock_mono_ms() + call_ms;
            } else if (frame.kind == HSM_CRASH) {
                take_crash(hsm, &frame);
            } else if (frame.kind == HSM_NONE_LEFT) {
                hsm->none_left = true;
            } else if (frame.id == id) {
                *ret = frame;
                return ERR_OK;
            }
        }
        int64_t until = call_end < end ? call_end : end;
        if (!wait_until(hsm->ipc, until))
            return timed_out(hsm, (uint32_t)((until == end ? limit_ms : call_ms) / 1000));
        if (ipc_fill(hsm->ipc) != ERR_OK)
            return crashed(hsm);
    }
}

// The errors that hsm.h tells of, and what may befall any process; hsmd may claim others.
static enum err known_error(uint16_t status)
{
    switch (status) {
    case ERR_HSM_LIBRARY:
    case ERR_HSM_SLOT:
    case ERR_HSM_PIN:
    case ERR_HSM_PIN_LATCHED:
    case ERR_HSM_KEY:
    case ERR_INVALID:
    case ERR_CONFIG:
    case ERR_DAMAGED:
    case ERR_TOO_LARGE:
    case ERR_NO_SPACE:
    case ERR_IO:
    case ERR_MEMORY:
        return (enum err)status;
    default:
        return ERR_HSM_FAILED;
    }
}

// ERR_OK, or the answer's error with its detail as printable text.
static enum err check_answer(const struct ipc_frame *answer)
{
    if (answer->status == ERR_OK)
        return ERR_OK;
    char detail[DETAIL_MAX];
    size_t len = answer->body.len < sizeof detail ? answer->body.len : sizeof detail;
    bool utf8 = span_is_utf8(span_of(answer->body.data, len));
    for (size_t i = 0; i < len; i++) {
        uint8_t c = answer->body.data[i];
        detail[i] = c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8) ? '?' : (char)c;
    }
    enum err code = known_error(answer->status);
    err_adopt(detail, len);
    return code;
}

// One verb: the answer's body is borrowed until the next.
static enum err ask(struct hsm *hsm, enum hsm_verb verb, const struct buf *body, int limit_ms,
                    struct span *ret)
{
    if (hsm->ipc == NULL)
        FAIL(ERR_HSM_FAILED, "the HSM's process has ended; open the HSM again");
    struct ipc_frame frame = {.kind = (uint16_t)verb, .id = ++hsm->id};
    if (body != NULL)
        frame.body = span_buf(body);
    enum err err = ipc_put(hsm->ipc, &frame);
    if (err == ERR_OK)
        err = ipc_flush_wait(hsm->ipc, SEND_MS);
    if (err != ERR_OK)
        return crashed(hsm);
    struct ipc_frame answer = {0};
    TRY(wait_for_answer(hsm, frame.id, limit_ms, &answer));
    TRY(check_answer(&answer));
    *ret = answer.body;
    return ERR_OK;
}

// A reader that fails: what hsmd sent makes no sense, and nothing else from it is believed.
static enum err read_or_end(struct hsm *hsm, enum err err)
{
    if (err == ERR_OK)
        return ERR_OK;
    end_process(hsm);
    FAIL(ERR_HSM_FAILED, "the process with the PKCS#11 library answered with a damaged message");
}

static enum err start(struct hsm *hsm)
{
    int fd = -1;
    struct span answer;
    struct buf body CLEANUP(buf_done);
    buf_init(&body, HSM_MESSAGE_MAX, true);
    hsm->call[0] = '\0';
    hsm->crash_signal = 0;
    TRY(hsm_wire_put_settings(&body, &hsm->settings));
    TRY(buf_put_var(&body, span_str(hsm->trace)));
    TRY(buf_put_var(&body, secret_span(hsm->credential)));
    hsm->spawning = ++spawned;
    TRY(proc_spawn(ROLE_HSMD, SPAWN_MS, &fd));
    TRY(ipc_new(fd, &hsm->ipc));
    enum err err = ask(hsm, HSM_OPEN, &body, HSM_OPEN_MS, &answer);
    if (err != ERR_OK)
        end_process(hsm);
    return err;
}

void hsm_back_off(void)
{
    uint16_t random = 0;
    rand_bytes(&random, sizeof random);
    (void)wait_until(NULL, clock_mono_ms() + random % BACK_OFF_MS);
}

static void pause_before(int try, enum err err)
{
    log_event(LOG_LEVEL_WARN, "hsm_try_failed try=%d of=%d error=%s detail=\"%s\"", try, TRIES,
              err_info(err)->name, err_detail());
    (void)wait_until(NULL, clock_mono_ms() + pause_ms[try]);
}

// For verbs that change nothing on the token.
static enum err ask_surely(struct hsm *hsm, enum hsm_verb verb, const struct buf *body,
                           struct span *ret)
{
    bool alive = hsm->ipc != NULL;
    enum err err = ERR_OK;
    for (int try = 0; try < TRIES; try++) {
        if (try > 0) {
            pause_before(try, err);
            end_process(hsm);
            TRY(start(hsm));
        }
        err = ask(hsm, verb, body, HSM_OPERATION_MS, ret);
        if ((err != ERR_HSM_FAILED && err != ERR_HSM_CRASHED) || hsm->made_key || !alive)
            break;
    }
    return err;
}

// Errors that a new process may not meet again. Of a library that does not even load there is no
// hope.
static bool may_pass(const struct hsm *hsm, enum err err)
{
    bool started = strcmp(hsm->call, "C_Initialize") == 0;
    return !hsm->logging_in &&
           (err == ERR_HSM_SLOT || err == ERR_HSM_FAILED || err == ERR_HSM_CRASHED ||
            err == ERR_UNAVAILABLE || (err == ERR_HSM_LIBRARY && started));
}

// The supervisor refuses such a file as well, but can tell nobody why.
static enum err check_environment(int root)
{
    CLEANUP(hsm_env_freep) char **env = NULL;
    return hsm_env_load(root, &env);
}

enum err hsm_open(int root, const struct hsm_settings *settings, struct span credential,
                  const char *trace, struct hsm **ret)
{
    if (credential.len == 0 || credential.len > HSM_CREDENTIAL_MAX)
        FAIL(ERR_INVALID, "the HSM credential must have 1 to %d bytes, not %zu", HSM_CREDENTIAL_MAX,
             credential.len);
    CLEANUP(hsm_closep) struct hsm *hsm = calloc(1, sizeof *hsm);
    if (hsm == NULL)
        FAIL(ERR_MEMORY, "no memory for the HSM");
    TRY(check_environment(root));
    TRY(secret_copy(credential, &hsm->credential));
    hsm->settings = *settings;
    if (hsm->settings.timeout_s == 0)
        hsm->settings.timeout_s = HSM_TIMEOUT_S;
    (void)snprintf(hsm->trace, sizeof hsm->trace, "%s", trace);
    enum err err = ERR_OK;
    for (int try = 0; try < TRIES; try++) {
        if (try > 0)
            pause_before(try, err);
        err = start(hsm);
        if (err == ERR_OK || !may_pass(hsm, err))
            break;
    }
    TRY(err);
    *ret = hsm;
    hsm = NULL;
    return ERR_OK;
}

static bool has_answered(struct hsm *hsm, uint64_t id)
{
    struct ipc_frame frame;
    while (ipc_next(hsm->ipc, &frame)) {
        if (frame.id == id)
            return true;
    }
    return false;
}

// A chance to leave the token in order, not more: a library that hangs here is killed like any.
static void say_goodbye(struct hsm *hsm)
{
    struct ipc_frame bye = {.kind = HSM_CLOSE, .id = ++hsm->id};
    int64_t end = clock_mono_ms() + CLOSE_MS;
    enum err err = ipc_put(hsm->ipc, &bye);
    if (err == ERR_OK)
        err = ipc_flush(hsm->ipc);
    while (err == ERR_OK && wait_until(hsm->ipc, end)) {
        err = ipc_fill(hsm->ipc);
        if (err == ERR_OK && has_answered(hsm, bye.id))
            break;
    }
}

void hsm_close(struct hsm *hsm)
{
    if (hsm == NULL)
        return;
    if (hsm->ipc != NULL)
        say_goodbye(hsm);
    end_process(hsm);
    secret_free(hsm->credential);
    free(hsm);
}

void hsm_closep(struct hsm **hsm)
{
    hsm_close(*hsm);
    *hsm = NULL;
}

enum err hsm_token_info(struct hsm *hsm, struct hsm_token *ret)
{
    struct span answer;
    TRY(ask_surely(hsm, HSM_TOKEN_INFO, NULL, &answer));
    struct cursor in = cursor_of(answer);
    return read_or_end(hsm, hsm_wire_take_token(&in, ret));
}

enum err hsm_key_create(struct hsm *hsm, const char *release, struct hsm_key *ret)
{
    struct span answer;
    struct buf body CLEANUP(buf_done);
    buf_init(&body, HSM_MESSAGE_MAX, false);
    TRY(buf_put_var(&body, span_str(release)));
    hsm->made_key = hsm->settings.adopt_label[0] == '\0';
    hsm->none_left = false;
    TRY(ask(hsm, HSM_KEY_CREATE, &body, HSM_OPERATION_MS, &answer));
    struct cursor in = cursor_of(answer);
    return read_or_end(hsm, hsm_wire_take_key(&in, ret));
}

// Of a process that was ended or killed nobody knows, even if it has given a key before.
bool hsm_key_left(const struct hsm *hsm)
{
    return hsm->ipc == NULL || !hsm->none_left;
}

static enum err take_state(struct span answer, struct hsm_key_state *ret)
{
    struct cursor in = cursor_of(answer);
    uint8_t extractable = 0;
    TRY(cursor_u32(&in, &ret->count));
    TRY(cursor_u8(&in, &extractable));
    ret->extractable = extractable != 0;
    return cursor_end(&in);
}

enum err hsm_key_look(struct hsm *hsm, const struct hsm_key *key, struct hsm_key_state *ret)
{
    struct span answer;
    struct buf body CLEANUP(buf_done);
    buf_init(&body, HSM_MESSAGE_MAX, false);
    TRY(hsm_wire_put_key(&body, key));
    TRY(ask_surely(hsm, HSM_KEY_LOOK, &body, &answer));
    return read_or_end(hsm, take_state(answer, ret));
}

enum err hsm_key_destroy(struct hsm *hsm, const struct hsm_key *key)
{
    struct span answer;
    struct buf body CLEANUP(buf_done);
    buf_init(&body, HSM_MESSAGE_MAX, false);
    TRY(hsm_wire_put_key(&body, key));
    return ask(hsm, HSM_KEY_DESTROY, &body, HSM_OPERATION_MS, &answer);
}

static enum err take_sealed(struct span answer, char mechanism[32], struct buf *ret_sealed)
{
    struct cursor in = cursor_of(answer);
    struct span sealed;
    TRY(hsm_wire_take_text(&in, mechanism, 32));
    TRY(cursor_var(&in, &sealed));
    if (sealed.len > HSM_SEALED_MAX)
        FAIL(ERR_MESSAGE, "sealed bytes are too long");
    return buf_put(ret_sealed, sealed);
}

enum err hsm_seal(struct hsm *hsm, const struct hsm_key *key, char mechanism[32], struct span dek,
                  struct buf *ret_sealed)
{
    struct span answer;
    struct buf body CLEANUP(buf_done);
    buf_init(&body, HSM_MESSAGE_MAX, true);
    TRY(hsm_wire_put_key(&body, key));
    TRY(buf_put_var(&body, span_str(mechanism)));
    TRY(buf_put_var(&body, dek));
    TRY(ask(hsm, HSM_SEAL, &body, HSM_OPERATION_MS, &answer));
    return read_or_end(hsm, take_sealed(answer, mechanism, ret_sealed));
}

static enum err take_dek(struct span answer, struct secret **ret_dek)
{
    struct cursor in = cursor_of(answer);
    struct span dek;
    TRY(cursor_var(&in, &dek));
    if (dek.len != HSM_DEK_LEN)
        FAIL(ERR_MESSAGE, "the unsealed bytes have the wrong length");
    return secret_copy(dek, ret_dek);
}

enum err hsm_unseal(struct hsm *hsm, const struct hsm_key *key, uint32_t nth, const char *mechanism,
                    struct span sealed, struct secret **ret_dek)
{
    struct span answer;
    struct buf body CLEANUP(buf_done);
    buf_init(&body, HSM_MESSAGE_MAX, false);
    TRY(hsm_wire_put_key(&body, key));
    TRY(buf_put_u32(&body, nth));
    TRY(buf_put_var(&body, span_str(mechanism)));
    TRY(buf_put_var(&body, sealed));
    TRY(ask_surely(hsm, HSM_UNSEAL, &body, &answer));
    return read_or_end(hsm, take_dek(answer, ret_dek));
}

enum err hsm_list(struct hsm *hsm, struct buf *ret_json)
{
    struct span answer;
    TRY(ask_surely(hsm, HSM_LIST, NULL, &answer));
    return buf_put(ret_json, answer);
}
