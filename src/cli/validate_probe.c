// SPDX-License-Identifier: Apache-2.0
//
// The requirements on the library (CG 5.2.2): keyward-hsmd --probe tries them and tells each step
// before and after it, and each call into the library before it. This side keeps the time, and says
// what hung or crashed.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/service.h"
#include "cli/validate.h"

enum {
    CALL_MS = 10000, // that one call of the library may take, as in a server (HSM_TIMEOUT)
    LINES_MAX = 1024 * 1024,
    WORD_MAX = 64,
    DID_MAX = 256,
};

struct talk {
    struct validate *validate;
    pid_t pid;
    int out;         // what the probe says
    struct buf line; // what was read and not yet looked at
    char step[WORD_MAX];
    char did[DID_MAX];
    char call[WORD_MAX]; // the call into the library under way
    int64_t begun;       // the step
    bool failed;         // a step was told as failed
};

static void copy_word(char *out, size_t room, const json_t *value)
{
    const char *text = json_string_value(value);
    (void)snprintf(out, room, "%s", text == NULL ? "" : text);
}

static enum err code_of(const char *name)
{
    for (int i = 0; i < ERR_COUNT && name != NULL; i++) {
        if (strcmp(err_info((enum err)i)->name, name) == 0)
            return (enum err)i;
    }
    return ERR_HSM_FAILED;
}

// What the probe says comes from a process that holds a stranger's library: text and no more.
static void take_line(struct talk *talk, struct span line)
{
    CLEANUP(json_freep) json_t *doc = json_loadb((const char *)line.data, line.len, 0, NULL);
    const char *step = json_string_value(json_object_get(doc, "step"));
    const char *result = json_string_value(json_object_get(doc, "result"));
    if (json_object_get(doc, "call") != NULL)
        copy_word(talk->call, sizeof talk->call, json_object_get(doc, "call"));
    if (json_object_get(doc, "begin") != NULL) {
        copy_word(talk->step, sizeof talk->step, json_object_get(doc, "begin"));
        copy_word(talk->did, sizeof talk->did, json_object_get(doc, "did"));
        talk->call[0] = '\0';
        talk->begun = clock_mono_ms();
    }
    if (step == NULL || result == NULL)
        return;
    bool known = strcmp(result, "pass") == 0 || strcmp(result, "note") == 0;
    char did[DID_MAX];
    char saw[VALIDATE_SAW_MAX];
    copy_word(did, sizeof did, json_object_get(doc, "did"));
    copy_word(saw, sizeof saw, json_object_get(doc, "saw"));
    talk->failed = talk->failed || !known;
    validate_tell(talk->validate, step, did, saw, known ? result : "fail",
                  code_of(json_string_value(json_object_get(doc, "error"))),
                  talk->begun == 0 ? 0 : clock_mono_ms() - talk->begun);
    talk->step[0] = '\0';
}

static void take_lines(struct talk *talk)
{
    struct buf *line = &talk->line;
    uint8_t *end = line->len == 0 ? NULL : memchr(line->data, '\n', line->len);
    while (end != NULL) {
        size_t len = (size_t)(end - line->data);
        take_line(talk, span_of(line->data, len));
        buf_consume(line, len + 1);
        end = line->len == 0 ? NULL : memchr(line->data, '\n', line->len);
    }
}

// Until the probe has ended or says nothing for too long (*ret_hung).
static enum err hear(struct talk *talk, bool *ret_hung)
{
    for (;;) {
        struct pollfd fd = {.fd = talk->out, .events = POLLIN};
        int ready = poll(&fd, 1, CALL_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        *ret_hung = ready == 0;
        if (ready <= 0)
            return ERR_OK;
        TRY(buf_reserve(&talk->line, 4096));
        ssize_t got = read(talk->out, talk->line.data + talk->line.len, 4096);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ERR_OK;
        talk->line.len += (size_t)got;
        take_lines(talk);
    }
}

static void exec_probe(const char *program, const char *root, int in, int out)
{
    const char *const argv[] = {program, "--root", root, "--probe", NULL};
    const char *const envp[] = {NULL};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0 || chdir("/") != 0)
        _exit(126);
    (void)execve(program, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)envp);
    _exit(127);
}

static enum err start(struct talk *talk, const char *root)
{
    char program[4096];
    int in[2];
    int out[2];
    TRY(service_find("keyward-hsmd", program, sizeof program));
    if (pipe2(in, O_CLOEXEC) != 0)
        FAIL(ERR_UNAVAILABLE, "a pipe could not be made: %s", strerror(errno));
    CLEANUP(file_closep) int in_read = in[0];
    CLEANUP(file_closep) int in_write = in[1];
    if (pipe2(out, O_CLOEXEC) != 0)
        FAIL(ERR_UNAVAILABLE, "a pipe could not be made: %s", strerror(errno));
    talk->out = out[0];
    CLEANUP(file_closep) int out_write = out[1];
    talk->pid = fork();
    if (talk->pid == 0)
        exec_probe(program, root, in_read, out_write);
    if (talk->pid < 0)
        FAIL(ERR_UNAVAILABLE, "keyward-hsmd could not be started: %s", strerror(errno));
    // A credential is shorter than what a pipe holds, so that this does not wait.
    return file_write_all(in_write, secret_span(talk->validate->credential), "the probe");
}

// How it ended, for a step that was begun and not told.
static void tell_end(struct talk *talk, bool hung, int status)
{
    char text[DID_MAX];
    const char *call = talk->call[0] == '\0' ? "it was started" : talk->call;
    enum err err = hung ? ERR_HSM_TIMEOUT : ERR_HSM_CRASHED;
    if (hung)
        (void)snprintf(text, sizeof text, "%s did not come back within %d s", call, CALL_MS / 1000);
    else if (WIFSIGNALED(status))
        (void)snprintf(text, sizeof text, "the library crashed in %s: signal %d (%s)", call,
                       WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        (void)snprintf(text, sizeof text, "the process ended with status %d after %s",
                       WEXITSTATUS(status), call);
    validate_tell(talk->validate, talk->step[0] == '\0' ? "probe" : talk->step, talk->did, text,
                  "fail", err, clock_mono_ms() - talk->begun);
}

static enum err probe(struct talk *talk)
{
    bool hung = false;
    int status = 0;
    TRY(validate_lay_out(talk->validate, &talk->validate->servers[0], "probe"));
    talk->begun = clock_mono_ms();
    enum err err = start(talk, talk->validate->servers[0].cli.root);
    if (err == ERR_OK)
        err = hear(talk, &hung);
    if (talk->pid > 0) {
        // It says no more; a library that hangs goes with it.
        if (hung || err != ERR_OK)
            (void)kill(talk->pid, SIGKILL);
        while (waitpid(talk->pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    TRY(err);
    if (talk->step[0] != '\0' || (status != 0 && !talk->failed))
        tell_end(talk, hung, status);
    return ERR_OK;
}

void validate_probe(struct validate *validate)
{
    struct talk talk = {.validate = validate, .out = -1};
    buf_init(&talk.line, LINES_MAX, false);
    enum err err = probe(&talk);
    if (err != ERR_OK)
        validate_tell(validate, "probe", "started keyward-hsmd --probe", err_message(err), "fail",
                      err, 0);
    file_closep(&talk.out);
    buf_done(&talk.line);
}
