// SPDX-License-Identifier: Apache-2.0
//
// fork and exec. Between the two only async-signal-safe calls are made.
#include "supervise/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hsm/hsm_env.h"
#include "proc/wiring.h"

struct plan {
    char program[512];
    char root[512];
    char index[32];
    char *argv[CHILD_ARGS_MAX];
    char **envp;
    int control; // the child's end
    bool group;  // of its own: what it forks is ended with it
};

static enum err make_arguments(const struct children *all, const struct child *child,
                               struct plan *plan)
{
    int a = snprintf(plan->program, sizeof plan->program, "%s/%s", all->programs,
                     wiring_program(child->role));
    int b = snprintf(plan->root, sizeof plan->root, "--root=%s", all->root);
    if (a < 0 || (size_t)a >= sizeof plan->program || b < 0 || (size_t)b >= sizeof plan->root)
        FAIL(ERR_CONFIG, "the path of the root prefix or of the programs is too long");
    (void)snprintf(plan->index, sizeof plan->index, "--index=%u", child->index);
    const char *role = wiring_role_argument(child->role);
    size_t n = 0;
    plan->argv[n++] = plan->program;
    plan->argv[n++] = plan->root;
    plan->argv[n++] = plan->index;
    if (role != NULL)
        plan->argv[n++] = (char *)(uintptr_t)role;
    plan->argv[n] = NULL;
    return ERR_OK;
}

static void exec_child(const struct plan *plan, pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        _exit(126);
    if (plan->control == PROC_CONTROL_FD)
        (void)fcntl(plan->control, F_SETFD, 0);
    else if (dup2(plan->control, PROC_CONTROL_FD) < 0)
        _exit(126);
    if (close_range(PROC_CONTROL_FD + 1, ~0U, 0) != 0)
        _exit(126);
    if (plan->group && setpgid(0, 0) != 0)
        _exit(126);
    // Should the supervisor die before the child can ask for this itself.
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(126);
    (void)execve(plan->program, plan->argv, plan->envp);
    _exit(127);
}

static enum err fork_child(const struct plan *plan, pid_t *ret_pid)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        FAIL(ERR_UNAVAILABLE, "\"%s\" could not be started: %s", plan->program, strerror(errno));
    if (pid == 0)
        exec_child(plan, parent);
    // Here too, so that the group is there whoever runs first.
    if (plan->group)
        (void)setpgid(pid, pid);
    *ret_pid = pid;
    return ERR_OK;
}

enum err spawn_child(const struct children *all, const struct child *child, pid_t *ret_pid,
                     int *ret_control)
{
    static char *no_environment[] = {NULL};
    struct plan plan = {.envp = no_environment};
    CLEANUP(hsm_env_freep) char **environment = NULL;
    TRY(make_arguments(all, child, &plan));
    if (child->role == ROLE_HSMD) {
        TRY(hsm_env_load(all->root_fd, &environment));
        plan.envp = environment;
        plan.group = true;
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        FAIL(ERR_UNAVAILABLE, "a control channel could not be made: %s", strerror(errno));
    plan.control = pair[1];
    // Our end never blocks: a child that does not read must not hold up the others.
    int flags = fcntl(pair[0], F_GETFL);
    (void)fcntl(pair[0], F_SETFL, flags | O_NONBLOCK);
    enum err err = fork_child(&plan, ret_pid);
    (void)close(pair[1]);
    if (err != ERR_OK) {
        (void)close(pair[0]);
        return err;
    }
    *ret_control = pair[0];
    return ERR_OK;
}
