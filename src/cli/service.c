// SPDX-License-Identifier: Apache-2.0
//
// start, stop, restart, status. A process is signalled only through a descriptor of it (pidfd) that
// was taken while it held the lock, so that a number used again by another process is never hit.
#include "cli/service.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/paths.h"
#include "cli/client.h"
#include "cli/handlers.h"
#include "cli/output.h"
#include "cli/run.h"
#include "cli/term.h"

enum { TEXT_MAX = 1200, NAME_MAX_BYTES = 4096, LOG_TAIL = 16384, STATE_MAX = 32, ASK_EACH_MS = 10 };

bool service_is_running(int root_fd, pid_t *ret_pid)
{
    CLEANUP(file_closep) int fd = openat(root_fd, PATH_PID, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char text[32] = "";
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
        return false;
    // The lock is tried only when there is such a process, since a server that starts just now
    // would find it taken.
    long pid = strtol(text, NULL, 10);
    if (pid <= 1 || (kill((pid_t)pid, 0) != 0 && errno == ESRCH))
        return false;
    if (flock(fd, LOCK_SH | LOCK_NB) == 0)
        return false;
    *ret_pid = (pid_t)pid;
    return true;
}

enum err service_find(const char *program, char *out, size_t room)
{
    static const char *const places[] = {"", "/../libexec/keyward", "/../lib/keyward", "/../sbin"};
    char own[NAME_MAX_BYTES - 64];
    TRY(file_own_directory(own, sizeof own));
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int len = snprintf(out, room, "%s%s/%s", own, places[i], program);
        if (len > 0 && (size_t)len < room && access(out, X_OK) == 0)
            return ERR_OK;
    }
    FAIL(ERR_UNAVAILABLE, "there is no %s beside \"%s/keyward\": install the server", program, own);
}

static void exec_keywardd(const char *program, const char *root, int ready)
{
    char number[16];
    (void)snprintf(number, sizeof number, "%d", ready);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (setsid() < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0 || fcntl(ready, F_SETFD, 0) != 0 || chdir("/") != 0)
        _exit(126);
    const char *const argv[] = {program, "--root", root, "--ready-fd", number, NULL};
    (void)execv(program, (char *const *)(uintptr_t)argv);
    _exit(127);
}

void service_last_error(int root_fd, char out[SERVICE_ERROR_MAX])
{
    static char tail[LOG_TAIL + 1];
    CLEANUP(file_closep) int fd = openat(root_fd, PATH_LOG, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    ssize_t got = end <= 0 ? 0 : pread(fd, tail, LOG_TAIL, end > LOG_TAIL ? end - LOG_TAIL : 0);
    out[0] = '\0';
    tail[got > 0 ? got : 0] = '\0';
    for (char *line = tail; line != NULL && *line != '\0';) {
        char *next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        if (strstr(line, " error ") != NULL)
            (void)snprintf(out, SERVICE_ERROR_MAX, "%.*s", SERVICE_ERROR_MAX - 1, line);
        line = next;
    }
}

static enum err waited_in_vain(int root_fd)
{
    char why[SERVICE_ERROR_MAX];
    service_last_error(root_fd, why);
    FAIL(ERR_TIMEOUT, "the server does not serve after %d s; it goes on trying. %s%.800s%s\"%s\"",
         SERVICE_START_MS / 1000, why[0] != '\0' ? "Its log says: " : "", why,
         why[0] != '\0' ? "\nmore in " : "See ", PATH_LOG);
}

// What the server says on its ready channel, up to a newline or its end.
static enum err hear(int root_fd, int fd, char text[TEXT_MAX])
{
    int64_t deadline = clock_mono_ms() + SERVICE_START_MS;
    size_t len = 0;
    while (len < TEXT_MAX - 1 && strchr(text, '\n') == NULL) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - clock_mono_ms();
        int ready = poll(&poll_fd, 1, left < 0 ? 0 : (int)left);
        if (ready == 0)
            return waited_in_vain(root_fd);
        ssize_t got = ready < 0 ? -1 : read(fd, text + len, TEXT_MAX - 1 - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        len += (size_t)got;
        text[len] = '\0';
    }
    return ERR_OK;
}

static enum err wait_ready(int root_fd, int fd)
{
    char text[TEXT_MAX] = "";
    TRY(hear(root_fd, fd, text));
    text[strcspn(text, "\n")] = '\0';
    if (strcmp(text, "ready") == 0)
        return ERR_OK;
    if (strncmp(text, "error: ", 7) == 0)
        FAIL(ERR_WRONG_STATE, "the server did not start: %s", text + 7);
    FAIL(ERR_WRONG_STATE, "the server ended while it started: see \"%s\" below its root", PATH_LOG);
}

// How the server says it is: "starting" until it has tried to open its keys, or while it does not
// say; "serving" when it is open and nothing keeps it from serving.
static bool ask_state(struct cli *cli, char state[STATE_MAX], char reason[TEXT_MAX])
{
    CLEANUP(json_freep) json_t *status = NULL;
    (void)snprintf(state, STATE_MAX, "starting");
    if (client_call(cli, "GET", "/status", NULL, NULL, &status) != ERR_OK) {
        json_freep(&cli->problem);
        return false;
    }
    const char *said = json_string_value(json_object_get(status, "state"));
    const char *why = json_string_value(json_object_get(status, "reason"));
    bool serving = json_is_true(json_object_get(status, "serving"));
    (void)snprintf(state, STATE_MAX, "%s", serving ? "serving" : said == NULL ? "" : said);
    (void)snprintf(reason, TEXT_MAX, "%s", why == NULL ? "" : why);
    return strcmp(state, "starting") != 0;
}

// All processes serve; the keys are there a moment later, or with the HSM away much later. Waits
// for the first try, so that whoever goes on at once finds what it says.
static void await_keys(struct cli *cli)
{
    char state[STATE_MAX];
    char reason[TEXT_MAX];
    int64_t deadline = clock_mono_ms() + SERVICE_KEYS_MS;
    while (!ask_state(cli, state, reason) && clock_mono_ms() < deadline)
        (void)poll(NULL, 0, ASK_EACH_MS);
}

static void say_started(struct cli *cli, int64_t started_ms)
{
    char state[STATE_MAX];
    char reason[TEXT_MAX] = "the HSM has not answered yet";
    (void)ask_state(cli, state, reason);
    if (strcmp(state, "serving") == 0) {
        term_step(true, started_ms, "the server serves");
        return;
    }
    term_step(true, started_ms, "the server runs");
    if (strcmp(state, "empty") == 0)
        term_say("it is not set up yet: run keyward setup --root %s", cli->root);
    else if (strcmp(state, "open") == 0)
        term_say("it serves nothing: %s",
                 reason[0] != '\0' ? reason : "it has just been opened; see keyward status");
    else
        term_say("it serves no keys yet: %s\n"
                 "It goes on trying by itself; keyward hsm verify says what is wrong.",
                 reason);
}

enum err service_launch(struct cli *cli)
{
    char program[NAME_MAX_BYTES];
    TRY(service_find("keywardd", program, sizeof program));
    CLEANUP(file_closep) int hear_fd = -1;
    CLEANUP(file_closep) int say_fd = -1;
    int both[2];
    if (pipe2(both, O_CLOEXEC) != 0)
        FAIL(ERR_INTERNAL, "a pipe could not be made: %s", strerror(errno));
    hear_fd = both[0];
    say_fd = both[1];
    pid_t pid = fork();
    if (pid < 0)
        FAIL(ERR_UNAVAILABLE, "keywardd could not be started: %s", strerror(errno));
    if (pid == 0)
        exec_keywardd(program, cli->root, say_fd);
    file_closep(&say_fd);
    TRY(wait_ready(cli->root_fd, hear_fd));
    await_keys(cli);
    return ERR_OK;
}

enum err service_start(struct cli *cli)
{
    pid_t pid = 0;
    TRY(client_open_root(cli));
    if (service_is_running(cli->root_fd, &pid)) {
        term_say("the server is running already (process %d)", (int)pid);
        return ERR_OK;
    }
    int64_t started = clock_mono_ms();
    TRY(service_launch(cli));
    say_started(cli, started);
    return ERR_OK;
}

static enum err await_end(int process)
{
    struct pollfd poll_fd = {.fd = process, .events = POLLIN};
    int64_t deadline = clock_mono_ms() + SERVICE_STOP_MS;
    for (;;) {
        int64_t left = deadline - clock_mono_ms();
        int ready = poll(&poll_fd, 1, left < 0 ? 0 : (int)left);
        if (ready > 0)
            return ERR_OK;
        if (ready == 0)
            FAIL(ERR_TIMEOUT, "the server has not stopped after %d s", SERVICE_STOP_MS / 1000);
    }
}

static enum err stop_process(int root_fd, pid_t pid)
{
    CLEANUP(file_closep) int process = (int)syscall(SYS_pidfd_open, pid, 0);
    pid_t still = 0;
    if (process < 0 || !service_is_running(root_fd, &still) || still != pid)
        return ERR_OK; // it has just ended
    if (syscall(SYS_pidfd_send_signal, process, SIGTERM, NULL, 0) != 0 && errno == EPERM)
        FAIL(ERR_NOT_PERMITTED,
             "this server belongs to another user: run the command as that user");
    return await_end(process);
}

enum err service_halt(struct cli *cli)
{
    pid_t pid = 0;
    TRY(client_open_root(cli));
    return service_is_running(cli->root_fd, &pid) ? stop_process(cli->root_fd, pid) : ERR_OK;
}

enum err service_stop(struct cli *cli)
{
    pid_t pid = 0;
    TRY(client_open_root(cli));
    if (!service_is_running(cli->root_fd, &pid)) {
        term_say("the server is not running");
        return ERR_OK;
    }
    int64_t started = clock_mono_ms();
    TRY(stop_process(cli->root_fd, pid));
    term_step(true, started, "the server has stopped");
    return ERR_OK;
}

enum err service_restart(struct cli *cli)
{
    TRY(service_stop(cli));
    return service_start(cli);
}

// What can be said about a server that does not answer.
static enum err say_down(struct cli *cli, enum err err)
{
    char reason[TEXT_MAX];
    char last[SERVICE_ERROR_MAX] = "";
    pid_t pid = 0;
    bool running = cli->root_fd >= 0 && service_is_running(cli->root_fd, &pid);
    (void)snprintf(reason, sizeof reason, "%s", err_detail());
    if (running)
        service_last_error(cli->root_fd, last);
    CLEANUP(json_freep)
    json_t *doc = json_pack("{s:b, s:s, s:s, s:s}", "running", running, "root", cli->root, "reason",
                            running ? reason : "the server is not running", "last_error",
                            span_is_utf8(span_str(last)) ? last : "");
    if (doc == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    TRY(output_document(cli, doc));
    FAIL(err, "%s", reason);
}

enum err service_status(struct cli *cli)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    enum err err = run_call(cli, &answer);
    if (err == ERR_UNAVAILABLE)
        return say_down(cli, err);
    TRY(err);
    return output_document(cli, answer);
}
