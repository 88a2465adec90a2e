// SPDX-License-Identifier: Apache-2.0
// Crash-point counter: runs a command under ptrace, numbers the state-changing system calls of the
// whole tree of processes and threads with one counter, and at a chosen number kills everything or
// makes the call fail.
//
// Invariants:
// - A seccomp filter stops the threads at points only (point.c); all else runs at full speed. A
//   filter of the program's own cannot pass a point by us: of two filters the stricter answer wins,
//   and "trace" is stricter than "allow". What the program's filter refuses never happens and is no
//   point.
// - One stop is handled at a time and the thread stays stopped meanwhile, so the number of a call
//   is the order in which it was let go.
// - Killed before N: calls 1 to N-1 have returned, call N and all later ones have not happened.
//   Killed after N: the same for N+1. So the state on the disk is exact, threads or not.
// - A recorded call is under way alone: the other threads stay at their next point until it has
//   returned, so the record's order is that of the effects.
// - The process ends only when every traced process is dead and reaped; as a subreaper it also
//   inherits daemons. Should it die itself, the kernel kills what it traced.
#include "options.h"
#include "point.h"
#include "record.h"
#include "tracee.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef __x86_64__
#error "skipping a system call is written for x86_64 only"
#endif

enum phase {
    PHASE_RUN,
    PHASE_AFTER,  // the last call of --after is under way; other threads stay at their next point
    PHASE_SETTLE, // no call is let go any more; those under way return, then all is killed
    PHASE_KILL,
};

// How long the last calls may take to return before all is killed regardless.
#define SETTLE_SECONDS 5

struct thread {
    pid_t tid;
    bool going; // let go from a point and not seen since: that call may still be under way
};

struct tracer {
    struct options options;
    enum phase phase;
    bool armed;
    long count;
    int list_fd;
    struct record *record; // NULL if none
    pid_t command;
    bool command_ended;
    int command_status;     // as from waitpid
    pid_t last;             // PHASE_AFTER: the thread inside the last call
    struct thread *threads; // every thread seen and not yet gone
    size_t thread_count;
    size_t thread_room;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "crashpoint: could not %s: %s\n", what, strerror(errno));
    exit(2); // PTRACE_O_EXITKILL takes the traced processes along
}

// The thread's entry, made if there is none. Valid until the next thread is added.
static struct thread *thread_get(struct tracer *t, pid_t tid)
{
    for (size_t i = 0; i < t->thread_count; i++) {
        if (t->threads[i].tid == tid) {
            return &t->threads[i];
        }
    }
    if (t->thread_count == t->thread_room) {
        t->thread_room = t->thread_room * 2 + 64;
        t->threads = reallocarray(t->threads, t->thread_room, sizeof t->threads[0]);
        if (t->threads == NULL) {
            die("allocate memory");
        }
    }
    struct thread *thread = &t->threads[t->thread_count++];
    *thread = (struct thread){.tid = tid};
    return thread;
}

static void forget(struct tracer *t, pid_t tid)
{
    for (size_t i = 0; i < t->thread_count; i++) {
        if (t->threads[i].tid == tid) {
            t->threads[i] = t->threads[--t->thread_count];
            return;
        }
    }
}

static void kill_all(struct tracer *t)
{
    t->phase = PHASE_KILL;
    for (size_t i = 0; i < t->thread_count; i++) {
        kill(t->threads[i].tid, SIGKILL);
    }
}

static void kill_if_settled(struct tracer *t)
{
    for (size_t i = 0; i < t->thread_count; i++) {
        if (t->threads[i].going) {
            return;
        }
    }
    kill_all(t);
}

// SIGKILL would undo a call that was let go but has not begun. An interrupt does not: the thread
// stops on its way back from the call.
static void settle(struct tracer *t)
{
    t->phase = PHASE_SETTLE;
    for (size_t i = 0; i < t->thread_count; i++) {
        if (t->threads[i].going) {
            ptrace(PTRACE_INTERRUPT, t->threads[i].tid, NULL, NULL);
        }
    }
    kill_if_settled(t);
}

// A thread may have been killed meanwhile (ESRCH); waitpid will tell.
static void resume(pid_t tid, int signal_number)
{
    ptrace(PTRACE_CONT, tid, NULL, (void *)(uintptr_t)signal_number);
}

static void list_line(const struct tracer *t, const char *line)
{
    if (t->list_fd >= 0 && write(t->list_fd, line, strlen(line)) < 0) {
        die("write the list");
    }
}

static void list_event(const struct tracer *t, const char *event, long number)
{
    char line[64];
    snprintf(line, sizeof line, "# %s %ld\n", event, number);
    list_line(t, line);
}

static void list_point(const struct tracer *t, const struct point_stop *stop, const char *what)
{
    char comm[32];
    char line[4 * TRACEE_PATH_MAX];
    char clean[POINT_WHAT_MAX];
    size_t n = 0;
    for (; what[n] != '\0'; n++) {
        bool control = (unsigned char)what[n] < ' ' || what[n] == 127;
        clean[n] = control ? '?' : what[n]; // one line a point, whatever the name is
    }
    clean[n] = '\0';
    tracee_comm(stop->tid, comm);
    snprintf(line, sizeof line, "%ld\t%d\t%s\t%s\t%s\n", t->count, stop->tid, comm,
             point_name(stop->index), clean);
    list_line(t, line);
}

// The call does not happen; the program sees value as its result.
static void skip_call(pid_t tid, long value)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, tid, NULL, &regs) == 0) {
        regs.orig_rax = (unsigned long long)-1;
        regs.rax = (unsigned long long)value;
        ptrace(PTRACE_SETREGS, tid, NULL, &regs);
    }
    resume(tid, 0);
}

static void shorten_call(const struct point_stop *stop)
{
    struct user_regs_struct regs;
    const char *name = point_name(stop->index);
    bool plain = strcmp(name, "write") == 0 || strcmp(name, "pwrite64") == 0;
    if (plain && ptrace(PTRACE_GETREGS, stop->tid, NULL, &regs) == 0) {
        regs.rdx = (regs.rdx + 1) / 2;
        ptrace(PTRACE_SETREGS, stop->tid, NULL, &regs);
    }
    resume(stop->tid, 0);
}

static void at_target(struct tracer *t, const struct point_stop *stop)
{
    switch (t->options.mode) {
    case MODE_KILL:
        settle(t);
        break;
    case MODE_AFTER:
        t->phase = PHASE_AFTER;
        t->last = stop->tid;
        ptrace(PTRACE_SYSCALL, stop->tid, NULL, NULL); // stops again when the call has returned
        break;
    case MODE_FAIL:
    case MODE_FAIL_FROM:
        skip_call(stop->tid, -t->options.error);
        break;
    case MODE_SHORT:
        shorten_call(stop);
        break;
    case MODE_COUNT:
        resume(stop->tid, 0);
        break;
    }
}

static void check_arm_file(struct tracer *t)
{
    if (t->options.arm_file != NULL && access(t->options.arm_file, F_OK) == 0) {
        t->options.arm_file = NULL;
        t->armed = true;
        list_event(t, "armed", t->command);
    }
}

static bool is_target(const struct tracer *t)
{
    return t->options.mode == MODE_FAIL_FROM ? t->count >= t->options.target
                                             : t->count == t->options.target;
}

static void handle_end(struct tracer *t, pid_t tid, int status)
{
    forget(t, tid);
    if (tid == t->command) {
        t->command_ended = true;
        t->command_status = status;
    }
    if (t->phase == PHASE_AFTER && tid == t->last) {
        settle(t);
    } else if (t->phase == PHASE_SETTLE) {
        kill_if_settled(t);
    }
}

static void record_or_die(struct tracer *t, const struct point_stop *stop, const char *what,
                          long result)
{
    if (!record_call(t->record, t->count, stop, what, result)) {
        die("record a call");
    }
}

// Lets the call go on and records it once it has returned. Calls on files wait for nobody, so
// nothing that this one needs is kept waiting; a send may wait, and is recorded as it begins.
static void go_on_recorded(struct tracer *t, const struct point_stop *stop, const char *what)
{
    struct __ptrace_syscall_info info = {0};
    int status = 0;
    if (strncmp(what, "socket:", 7) == 0) {
        record_or_die(t, stop, what, 0);
        resume(stop->tid, 0);
        return;
    }
    ptrace(PTRACE_SYSCALL, stop->tid, NULL, NULL);
    if (waitpid(stop->tid, &status, __WALL) != stop->tid) {
        die("wait for a recorded call");
    }
    if (!WIFSTOPPED(status)) {
        handle_end(t, stop->tid, status);
        return;
    }
    if (ptrace(PTRACE_GET_SYSCALL_INFO, stop->tid, (void *)sizeof info, &info) > 0 &&
        info.op == PTRACE_SYSCALL_INFO_EXIT) {
        record_or_die(t, stop, what, (long)info.exit.rval);
    }
    resume(stop->tid, 0);
}

static void handle_point(struct tracer *t, const struct point_stop *stop)
{
    char what[POINT_WHAT_MAX];
    check_arm_file(t);
    if (!t->armed || !point_counts(&t->options.scope, stop, what)) {
        resume(stop->tid, 0);
        return;
    }
    if (t->phase == PHASE_AFTER) {
        return; // held: nothing may follow the last call
    }
    t->count++;
    list_point(t, stop, what);
    if (is_target(t)) {
        at_target(t, stop);
    } else if (t->record != NULL) {
        go_on_recorded(t, stop, what);
    } else {
        thread_get(t, stop->tid)->going = true;
        resume(stop->tid, 0);
    }
}

// A tracer without privilege would lose sight of a program that makes itself undumpable, so the
// program only believes that it did.
static void handle_hiding(const struct point_stop *stop)
{
    static bool hidden;
    if (stop->index == POINT_HIDE_SET) {
        hidden = stop->args[1] == 0;
        skip_call(stop->tid, 0);
    } else {
        skip_call(stop->tid, hidden ? 0 : 1);
    }
}

static void handle_seccomp(struct tracer *t, pid_t tid)
{
    struct __ptrace_syscall_info info;
    memset(&info, 0, sizeof info);
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_SECCOMP) {
        resume(tid, 0); // died under our hands
        return;
    }
    struct point_stop stop = {.tid = tid, .index = info.seccomp.ret_data};
    memcpy(stop.args, info.seccomp.args, sizeof stop.args);
    if (stop.index == POINT_HIDE_SET || stop.index == POINT_HIDE_GET) {
        handle_hiding(&stop);
    } else {
        handle_point(t, &stop);
    }
}

// A thread that executes a program takes over the process's id; its own id vanishes unreported.
static void forget_former(struct tracer *t, pid_t tid)
{
    unsigned long former = 0;
    if (ptrace(PTRACE_GETEVENTMSG, tid, NULL, &former) == 0 && (pid_t)former != tid) {
        forget(t, (pid_t)former);
    }
}

static void handle_stop(struct tracer *t, pid_t tid, int status)
{
    int sig = WSTOPSIG(status);
    int event = status >> 16;
    if (event == PTRACE_EVENT_EXEC) {
        forget_former(t, tid);
    }
    if (sig == (SIGTRAP | 0x80)) {
        settle(t); // the last call of --after has returned: nothing else asks for these stops
    } else if (event == PTRACE_EVENT_SECCOMP) {
        handle_seccomp(t, tid);
    } else if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
        ptrace(PTRACE_LISTEN, tid, NULL, NULL); // stopped by job control; stays so until SIGCONT
    } else {
        resume(tid, event == 0 ? sig : 0);
    }
}

static void handle_status(struct tracer *t, pid_t tid, int status)
{
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
        handle_end(t, tid, status);
        return;
    }
    thread_get(t, tid)->going = false;
    if (t->phase == PHASE_KILL) {
        kill(tid, SIGKILL);
    } else if (t->phase == PHASE_SETTLE) {
        kill_if_settled(t); // the thread stays where it is
    } else {
        handle_stop(t, tid, status);
    }
}

// What the command left behind when it ended cannot be asked nicely: nobody knows its ids.
static void end_command(struct tracer *t, int sig)
{
    if (t->command_ended) {
        kill_all(t);
    } else {
        kill(t->command, sig);
    }
}

static void handle_signal(struct tracer *t, int sig)
{
    switch (sig) {
    case SIGUSR1:
        t->armed = true;
        t->count = 0;
        list_event(t, "armed", t->command);
        break;
    case SIGUSR2:
        t->armed = false;
        list_event(t, "count", t->count);
        break;
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
        end_command(t, sig);
        break;
    default:
        break; // SIGCHLD: waitpid has something
    }
}

static void wait_for_signal(struct tracer *t, const sigset_t *signals)
{
    const struct timespec limit = {.tv_sec = SETTLE_SECONDS};
    bool ending = t->phase == PHASE_AFTER || t->phase == PHASE_SETTLE;
    siginfo_t info;
    int sig = ending ? sigtimedwait(signals, &info, &limit) : sigwaitinfo(signals, &info);
    if (sig > 0) {
        handle_signal(t, sig);
    } else if (errno == EAGAIN) {
        fprintf(stderr, "crashpoint: a call up to %ld did not return in %d s\n", t->count,
                SETTLE_SECONDS);
        kill_all(t);
    } else if (errno != EINTR) {
        die("wait for a signal");
    }
}

// Signals are drained between stops too, so that a busy tree cannot keep SIGUSR1 waiting.
static void take_pending(struct tracer *t, const sigset_t *signals)
{
    const struct timespec now = {0};
    siginfo_t info;
    int sig;
    while ((sig = sigtimedwait(signals, &info, &now)) > 0) {
        handle_signal(t, sig);
    }
}

static void trace(struct tracer *t, const sigset_t *signals)
{
    for (;;) {
        int status = 0;
        pid_t tid = waitpid(-1, &status, __WALL | WNOHANG);
        if (tid > 0) {
            handle_status(t, tid, status);
            take_pending(t, signals);
        } else if (tid == 0) {
            wait_for_signal(t, signals);
        } else if (errno == ECHILD) {
            return;
        } else if (errno != EINTR) {
            die("wait for the traced processes");
        }
    }
}

// In the child: waits until it is traced, then becomes the command.
static _Noreturn void run_command(const struct options *options, int go, const sigset_t *mask)
{
    char byte;
    if (read(go, &byte, 1) != 1) {
        _exit(2);
    }
    sigprocmask(SIG_SETMASK, mask, NULL);
    int rc = point_load_filter(&options->scope, geteuid() == 0);
    if (rc != 0) {
        errno = -rc;
        die("load the seccomp filter");
    }
    execvp(options->command[0], options->command);
    fprintf(stderr, "crashpoint: could not run \"%s\": %s\n", options->command[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

static void start(struct tracer *t, const sigset_t *mask)
{
    const long what = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                      PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD |
                      PTRACE_O_EXITKILL;
    int go[2];
    if (pipe2(go, O_CLOEXEC) != 0) {
        die("make a pipe");
    }
    t->command = fork();
    if (t->command < 0) {
        die("fork");
    }
    if (t->command == 0) {
        run_command(&t->options, go[0], mask);
    }
    if (ptrace(PTRACE_SEIZE, t->command, NULL, (void *)what) != 0) {
        die("trace the command");
    }
    thread_get(t, t->command);
    if (write(go[1], "", 1) != 1) {
        die("start the command");
    }
    close(go[0]);
    close(go[1]);
}

static void open_list(struct tracer *t)
{
    t->list_fd = -1;
    if (t->options.list != NULL) {
        t->list_fd = open(t->options.list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (t->list_fd < 0) {
            die("open the list");
        }
    }
}

static void open_record(struct tracer *t)
{
    if (t->options.record != NULL) {
        t->record = record_open(t->options.record);
        if (t->record == NULL) {
            die("make the record");
        }
    }
}

static int report(const struct tracer *t)
{
    if (t->phase == PHASE_KILL) {
        bool before = t->options.mode == MODE_KILL && t->count == t->options.target;
        fprintf(stderr, "crashpoint: killed everything %s call %ld\n", before ? "before" : "after",
                t->count);
        list_event(t, "killed", t->count);
        return 128 + SIGKILL;
    }
    list_event(t, "count", t->count);
    if (t->options.mode != MODE_COUNT && t->count < t->options.target) {
        fprintf(stderr, "crashpoint: call %ld was not reached, %ld counted\n", t->options.target,
                t->count);
    }
    if (WIFSIGNALED(t->command_status)) {
        return 128 + WTERMSIG(t->command_status);
    }
    return WEXITSTATUS(t->command_status);
}

int main(int argc, char **argv)
{
    static struct tracer t;
    const int wanted[] = {SIGCHLD, SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP};
    sigset_t signals;
    sigset_t mask;
    options_parse(&t.options, argc, argv);
    t.armed = !t.options.disarmed;
    open_list(&t);
    open_record(&t);
    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        sigaddset(&signals, wanted[i]);
    }
    // Blocked rather than caught: sigtimedwait takes them one at a time between stops.
    sigprocmask(SIG_BLOCK, &signals, &mask);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        die("become the reaper");
    }
    start(&t, &mask);
    list_event(&t, "start", t.command);
    trace(&t, &signals);
    return report(&t);
}
