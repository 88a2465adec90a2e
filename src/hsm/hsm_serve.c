// SPDX-License-Identifier: Apache-2.0
//
// One verb a function, found by the table. Whatever goes wrong is the answer; only a closed channel
// ends the loop. Before each call into the library a note with its name goes to the keeper, which
// sets its deadline by it.
#include "hsm/hsm_serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "hsm/hsm_trace.h"
#include "hsm/hsm_wire.h"

enum { NOTE_MS = 1000, CRASH_FRAME_MAX = 64 };

struct session {
    int root;
    struct ipc *keeper;
    struct hsm *hsm;
    bool opened; // one HSM_OPEN a process
    bool ended;
};

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
enum { CRASH_SIGNALS = sizeof crash_signals / sizeof *crash_signals };

// The last frame for each signal, ready to be written: a handler may do no more than write(2).
static struct {
    uint8_t bytes[CRASH_FRAME_MAX];
    size_t len;
} crash_frames[CRASH_SIGNALS];
static int crash_fd = -1;

static void on_crash(int number)
{
    int saved = errno;
    for (size_t i = 0; i < CRASH_SIGNALS; i++) {
        if (crash_signals[i] == number &&
            write(crash_fd, crash_frames[i].bytes, crash_frames[i].len) < 0)
            break;
    }
    errno = saved;
    // The handler is gone (SA_RESETHAND): what raised the signal raises it again, and it kills.
    if (number == SIGTRAP || number == SIGSYS)
        (void)raise(number);
}

// The bytes that a frame has on a channel, by sending it through one.
static enum err crash_frame(size_t index)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        FAIL(ERR_INTERNAL, "could not make a socket pair");
    CLEANUP(file_closep) int other = pair[1];
    struct ipc *ipc = NULL;
    TRY(ipc_new(pair[0], &ipc));
    uint8_t body[4] = {0, 0, 0, (uint8_t)crash_signals[index]};
    struct ipc_frame frame = {.kind = HSM_CRASH, .body = span_of(body, sizeof body)};
    enum err err = ipc_put(ipc, &frame);
    if (err == ERR_OK)
        err = ipc_flush_wait(ipc, NOTE_MS);
    ipc_free(ipc);
    TRY(err);
    ssize_t got = read(other, crash_frames[index].bytes, CRASH_FRAME_MAX);
    crash_frames[index].len = got < 0 ? 0 : (size_t)got;
    return ERR_OK;
}

enum err hsm_serve_catch(struct ipc *keeper)
{
    static uint8_t stack[65536];
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    if (sigaltstack(&alternative, NULL) != 0)
        FAIL(ERR_INTERNAL, "could not set a signal stack");
    crash_fd = ipc_fd(keeper);
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_NODEFER};
    action.sa_flags |= (int)SA_RESETHAND;
    for (size_t i = 0; i < CRASH_SIGNALS; i++) {
        TRY(crash_frame(i));
        if (sigaction(crash_signals[i], &action, NULL) != 0)
            FAIL(ERR_INTERNAL, "could not catch signal %d", crash_signals[i]);
    }
    return ERR_OK;
}

static void send_note(void *arg, const char *function)
{
    struct ipc *keeper = (struct ipc *)arg;
    struct ipc_frame note = {.kind = HSM_NOTE, .body = span_str(function)};
    enum err err = ipc_put(keeper, &note);
    if (err == ERR_OK)
        err = ipc_flush_wait(keeper, NOTE_MS);
    // A keeper that is gone has no more use for this process.
    if (err == ERR_UNAVAILABLE)
        _exit(0);
}

static enum err serve_open(struct session *session, struct cursor *in, struct buf *out)
{
    struct hsm_settings settings;
    char operation[HSM_TRACE_NAME_MAX + 1];
    struct span credential;
    if (session->opened)
        FAIL(ERR_MESSAGE, "one process opens the HSM once");
    session->opened = true;
    TRY(hsm_wire_take_settings(in, &settings));
    TRY(hsm_wire_take_text(in, operation, sizeof operation));
    TRY(cursor_var(in, &credential));
    TRY(cursor_end(in));
    TRY(hsm_trace_open(session->root, operation));
    (void)out;
    return hsm_open(session->root, &settings, credential, operation, &session->hsm);
}

static enum err serve_close(struct session *session, struct cursor *in, struct buf *out)
{
    (void)out;
    session->ended = true;
    hsm_close(session->hsm);
    session->hsm = NULL;
    return cursor_end(in);
}

static enum err serve_token_info(struct session *session, struct cursor *in, struct buf *out)
{
    struct hsm_token token;
    TRY(cursor_end(in));
    TRY(hsm_token_info(session->hsm, &token));
    return hsm_wire_put_token(out, &token);
}

static enum err serve_key_create(struct session *session, struct cursor *in, struct buf *out)
{
    char release[HSM_LABEL_MAX + 1];
    struct hsm_key key;
    TRY(hsm_wire_take_text(in, release, sizeof release));
    TRY(cursor_end(in));
    enum err err = hsm_key_create(session->hsm, release, &key);
    const struct ipc_frame none_left = {.kind = HSM_NONE_LEFT};
    if (!hsm_key_left(session->hsm))
        TRY(ipc_put(session->keeper, &none_left));
    TRY(err);
    return hsm_wire_put_key(out, &key);
}

static enum err serve_key_look(struct session *session, struct cursor *in, struct buf *out)
{
    struct hsm_key key;
    struct hsm_key_state state;
    TRY(hsm_wire_take_key(in, &key));
    TRY(cursor_end(in));
    TRY(hsm_key_look(session->hsm, &key, &state));
    TRY(buf_put_u32(out, state.count));
    return buf_put_u8(out, state.extractable);
}

static enum err serve_key_destroy(struct session *session, struct cursor *in, struct buf *out)
{
    struct hsm_key key;
    (void)out;
    TRY(hsm_wire_take_key(in, &key));
    TRY(cursor_end(in));
    return hsm_key_destroy(session->hsm, &key);
}

static enum err serve_seal(struct session *session, struct cursor *in, struct buf *out)
{
    struct hsm_key key;
    char mechanism[32];
    struct span dek;
    TRY(hsm_wire_take_key(in, &key));
    TRY(hsm_wire_take_text(in, mechanism, sizeof mechanism));
    TRY(cursor_var(in, &dek));
    TRY(cursor_end(in));
    struct buf sealed CLEANUP(buf_done);
    buf_init(&sealed, HSM_SEALED_MAX, false);
    TRY(hsm_seal(session->hsm, &key, mechanism, dek, &sealed));
    TRY(buf_put_var(out, span_str(mechanism)));
    return buf_put_var(out, span_buf(&sealed));
}

static enum err serve_unseal(struct session *session, struct cursor *in, struct buf *out)
{
    struct hsm_key key;
    uint32_t nth = 0;
    char mechanism[32];
    struct span sealed;
    TRY(hsm_wire_take_key(in, &key));
    TRY(cursor_u32(in, &nth));
    TRY(hsm_wire_take_text(in, mechanism, sizeof mechanism));
    TRY(cursor_var(in, &sealed));
    TRY(cursor_end(in));
    CLEANUP(secret_freep) struct secret *dek = NULL;
    TRY(hsm_unseal(session->hsm, &key, nth, mechanism, sealed, &dek));
    return buf_put_var(out, secret_span(dek));
}

static enum err serve_list(struct session *session, struct cursor *in, struct buf *out)
{
    TRY(cursor_end(in));
    return hsm_list(session->hsm, out);
}

static enum err serve_verb(struct session *session, uint16_t kind, struct cursor *in,
                           struct buf *out)
{
    static enum err (*const verbs[HSM_VERB_END])(struct session *, struct cursor *,
                                                 struct buf *) = {
        [HSM_OPEN] = serve_open,
        [HSM_CLOSE] = serve_close,
        [HSM_TOKEN_INFO] = serve_token_info,
        [HSM_KEY_CREATE] = serve_key_create,
        [HSM_KEY_LOOK] = serve_key_look,
        [HSM_KEY_DESTROY] = serve_key_destroy,
        [HSM_SEAL] = serve_seal,
        [HSM_UNSEAL] = serve_unseal,
        [HSM_LIST] = serve_list,
    };
    if (kind >= HSM_VERB_END || verbs[kind] == NULL)
        FAIL(ERR_MESSAGE, "there is no verb %u", kind);
    if (session->hsm == NULL && kind != HSM_OPEN && kind != HSM_CLOSE)
        FAIL(ERR_MESSAGE, "the HSM is not open");
    return verbs[kind](session, in, out);
}

static enum err serve_one(struct session *session, struct ipc *keeper, const struct ipc_frame *ask)
{
    struct buf out CLEANUP(buf_done);
    buf_init(&out, HSM_LIST_MAX, true);
    struct cursor in = cursor_of(ask->body);
    enum err err = serve_verb(session, ask->kind, &in, &out);
    if (err != ERR_OK)
        log_error("refused", err);
    TRY(ipc_answer(keeper, ask, err, err == ERR_OK ? span_buf(&out) : span_str(NULL)));
    return ipc_flush_wait(keeper, NOTE_MS);
}

// True when a request is there; false when the control channel has something, or all is over.
static bool wait_for_request(struct ipc *keeper, int control)
{
    struct pollfd fds[] = {{.fd = ipc_fd(keeper), .events = POLLIN},
                           {.fd = control, .events = POLLIN}};
    while (poll(fds, control < 0 ? 1 : 2, -1) < 0) {
        if (errno != EINTR)
            return false;
    }
    return control < 0 || fds[1].revents == 0;
}

enum err hsm_serve(int root, struct ipc *keeper, int control)
{
    struct session session = {.root = root, .keeper = keeper};
    enum err err = ERR_OK;
    hsm_trace_listen(send_note, keeper);
    while (err == ERR_OK && !session.ended) {
        struct ipc_frame ask;
        if (ipc_next(keeper, &ask)) {
            err = serve_one(&session, keeper, &ask);
            continue;
        }
        if (!wait_for_request(keeper, control))
            break;
        err = ipc_fill(keeper);
    }
    hsm_trace_listen(NULL, NULL);
    hsm_close(session.hsm);
    return err == ERR_UNAVAILABLE ? ERR_OK : err;
}
