// SPDX-License-Identifier: Apache-2.0
//
// A small supervisor in a forked process, so that hsm_rpc.c runs here against a real keyward-hsmd:
// it answers PROC_SPAWN and PROC_KILL, and a packet with a root prefix's path changes where the
// next hsmd lives.
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "hsm/hsm_env.h"
#include "proc/control.h"
#include "tests/contract/hsm/rig.h"

enum { CONTROL_ROOT = 1000 }; // a message of the rig's own: `index` names the directory

static pid_t supervisor;

struct running {
    pid_t pid;
    int control;
    char root[RIG_PATH_MAX];
};

static void stop_hsmd(struct running *running)
{
    if (running->pid > 0) {
        (void)kill(running->pid, SIGKILL);
        (void)waitpid(running->pid, NULL, 0);
    }
    file_closep(&running->control);
    running->pid = 0;
}

// In the child: descriptor 3 is the control channel, the environment is okv_hsm_env's.
static void become_hsmd(const struct running *running, int control)
{
    char program[RIG_PATH_MAX];
    char **env = NULL;
    int root = -1;
    bool hostile = false;
    if (file_open_dir(running->root, &root) != ERR_OK || hsm_env_load(root, &env) != ERR_OK ||
        dup2(control, PROC_CONTROL_FD) < 0)
        _exit(1);
    for (char **at = env; *at != NULL; at++)
        hostile = hostile || strncmp(*at, "HOSTILE=", 8) == 0;
    rig_built(hostile ? "keyward-test-hostile-hsmd" : "keyward-hsmd", program);
    char root_option[] = "--root";
    char root_value[RIG_PATH_MAX];
    memcpy(root_value, running->root, sizeof root_value);
    char *argv[] = {program, root_option, root_value, NULL};
    (void)execve(program, argv, env);
    _exit(1);
}

static bool start_hsmd(struct running *running, int *ret_channel)
{
    int control[2];
    int channel[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) != 0)
        return false;
    running->pid = fork();
    if (running->pid == 0)
        become_hsmd(running, control[1]);
    running->control = control[0];
    (void)close(control[1]);
    struct proc_message attach = {.kind = PROC_ATTACH, .role = ROLE_KEEPER};
    bool sent = control_send(control[0], &attach, channel[1]) == ERR_OK;
    (void)close(channel[1]);
    *ret_channel = channel[0];
    return sent;
}

static void answer_spawn(int keeper, struct running *running)
{
    struct proc_message answer = {.kind = PROC_ATTACH, .role = ROLE_HSMD};
    int channel = -1;
    stop_hsmd(running);
    answer.failed = !start_hsmd(running, &channel);
    if (control_send(keeper, &answer, channel) != ERR_OK)
        stop_hsmd(running);
    file_closep(&channel);
}

static void take_root(struct running *running, int fd)
{
    char link[32];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, running->root, sizeof running->root - 1);
    running->root[len < 0 ? 0 : len] = '\0';
    (void)close(fd);
}

static void supervise(int keeper)
{
    struct running running = {.control = -1};
    for (;;) {
        struct proc_message message;
        int fd = -1;
        enum err err = control_receive(keeper, -1, &message, &fd);
        if (err == ERR_TIMEOUT)
            continue;
        if (err != ERR_OK)
            break;
        if (message.kind == CONTROL_ROOT)
            take_root(&running, fd);
        else if (message.kind == PROC_SPAWN)
            answer_spawn(keeper, &running);
        else if (message.kind == PROC_KILL)
            stop_hsmd(&running);
    }
    stop_hsmd(&running);
    _exit(0);
}

int rig_driver_up(void **state)
{
    (void)state;
    int pair[2];
    log_setup("test", LOG_LEVEL_ERROR);
    OK(secret_setup());
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    supervisor = fork();
    if (supervisor == 0) {
        (void)close(pair[0]);
        supervise(pair[1]);
    }
    (void)close(pair[1]);
    assert_int_equal(dup2(pair[0], PROC_CONTROL_FD), PROC_CONTROL_FD);
    if (pair[0] != PROC_CONTROL_FD)
        (void)close(pair[0]);
    return 0;
}

int rig_driver_down(void **state)
{
    (void)state;
    (void)close(PROC_CONTROL_FD);
    int status = 0;
    assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
    return status;
}

void rig_driver_root(const char *dir)
{
    CLEANUP(file_closep) int fd = -1;
    OK(file_open_dir(dir, &fd));
    OK(control_send(PROC_CONTROL_FD, &(struct proc_message){.kind = CONTROL_ROOT}, fd));
}
