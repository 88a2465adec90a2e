// SPDX-License-Identifier: Apache-2.0
//
// supervise/children.h: a child that was broken into, and says on its control channel what it
// should not. supervise/https.h: when the HTTPS port is opened and given.
#include "supervise/children.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "proc/control.h"
#include "supervise/https.h"
#include "supervise/listen.h"
#include "tests/unit/check.h"

// A process that outlives SIGKILL, as in an uninterruptible sleep.
static pid_t sleeper;

pid_t waitpid(pid_t pid, int *status, int options)
{
    static pid_t (*real)(pid_t, int *, int);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "waitpid");
    if (pid != sleeper || pid == 0)
        return real(pid, status, options);
    assert_int_equal(options, WNOHANG);
    return 0;
}

// A supervisor's table with one child that does nothing; `theirs` is its end of the channel.
struct rig {
    struct children all;
    int theirs;
};

static void begin(struct rig *rig, enum proc_role role)
{
    int pair[2];
    *rig = (struct rig){.all = {.root = "/nowhere", .programs = "/nowhere", .root_fd = -1}};
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    OK(children_add(&rig->all, role, 0));
    rig->all.items[0].control = pair[0];
    rig->theirs = pair[1];
    rig->all.items[0].pid = fork();
    assert_true(rig->all.items[0].pid >= 0);
    if (rig->all.items[0].pid == 0)
        for (;;)
            (void)pause();
}

static void say(struct rig *rig, uint32_t kind, uint32_t role)
{
    struct proc_message message = {.kind = kind, .role = role};
    OK(control_send(rig->theirs, &message, -1));
    children_hear(&rig->all, 0);
}

// True when the child was killed.
static bool is_killed(struct rig *rig, int options)
{
    int status = 0;
    pid_t pid = waitpid(rig->all.items[0].pid, &status, options);
    if (pid != rig->all.items[0].pid)
        return false;
    rig->all.items[0].pid = 0;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void end(struct rig *rig)
{
    if (rig->theirs >= 0)
        (void)close(rig->theirs);
    if (rig->all.items[0].pid > 0) {
        (void)kill(rig->all.items[0].pid, SIGKILL);
        (void)waitpid(rig->all.items[0].pid, NULL, 0);
    }
    if (rig->all.items[0].control >= 0)
        (void)close(rig->all.items[0].control);
}

static void a_child_that_asks_for_what_it_may_not_is_ended(void **state)
{
    static const struct {
        enum proc_role from;
        uint32_t kind;
        uint32_t role;
    } cases[] = {
        {ROLE_FRONT, PROC_SPAWN, ROLE_HSMD},    {ROLE_FRONT, PROC_KILL, ROLE_KEEPER},
        {ROLE_READER, PROC_SPAWN, ROLE_KEEPER}, {ROLE_KEEPER, PROC_SPAWN, ROLE_ADMIN},
        {ROLE_KEEPER, PROC_KILL, ROLE_FRONT},   {ROLE_WEB, PROC_SPAWN, 4000000000U},
        {ROLE_ADMIN, PROC_ATTACH, ROLE_KEEPER}, {ROLE_WRITER, 99, ROLE_NONE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct rig rig;
        begin(&rig, cases[i].from);
        say(&rig, cases[i].kind, cases[i].role);
        assert_true(is_killed(&rig, 0));
        end(&rig);
    }
}

static void a_child_is_ready_once(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, ROLE_FRONT);
    say(&rig, PROC_READY, ROLE_NONE);
    assert_true(rig.all.items[0].ready);
    assert_false(is_killed(&rig, WNOHANG));
    say(&rig, PROC_READY, ROLE_NONE);
    assert_true(is_killed(&rig, 0));
    end(&rig);
}

static void a_child_that_closes_its_channel_and_lives_on_is_ended(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, ROLE_FRONT);
    (void)shutdown(rig.theirs, SHUT_RDWR);
    children_hear(&rig.all, 0);
    assert_int_equal(rig.all.items[0].control, -1);
    assert_true(is_killed(&rig, 0));
    end(&rig);
}

// Each request is answered by a channel; nobody reads the answers, and the supervisor does not
// wait.
static void a_keeper_that_floods_is_ended_and_the_supervisor_goes_on(void **state)
{
    struct rig rig;
    bool killed = false;
    (void)state;
    begin(&rig, ROLE_KEEPER);
    for (int i = 0; i < 2000 && !killed; i++) {
        say(&rig, PROC_SPAWN, ROLE_PROVER);
        killed = is_killed(&rig, WNOHANG);
    }
    if (!killed)
        killed = is_killed(&rig, 0);
    assert_true(killed);
    rig.all.items[0].pid = 0;
    children_stop(&rig.all, 1000);
    end(&rig);
}

// A directory with a prover that lives until it is killed.
static void make_programs(char path[64])
{
    int dir = -1;
    (void)snprintf(path, 64, "/tmp/keyward-supervise-XXXXXX");
    assert_non_null(mkdtemp(path));
    OK(file_open_dir(path, &dir));
    OK(file_write(dir, "keyward-keeper", span_str("#!/bin/sh\nexec sleep 600\n")));
    assert_int_equal(fchmodat(dir, "keyward-keeper", 0700, 0), 0);
    (void)close(dir);
}

static void a_one_shot_that_outlives_its_kill_holds_up_nobody(void **state)
{
    struct rig rig;
    char programs[64];
    (void)state;
    make_programs(programs);
    begin(&rig, ROLE_KEEPER);
    rig.all.programs = programs;
    say(&rig, PROC_SPAWN, ROLE_PROVER);
    assert_int_equal(rig.all.count, 2);
    sleeper = rig.all.items[1].pid;
    assert_true(sleeper > 0);
    say(&rig, PROC_SPAWN, ROLE_PROVER);
    assert_int_equal(rig.all.count, 3);
    assert_int_equal(rig.all.items[1].pid, sleeper);
    assert_int_equal(rig.all.items[1].control, -1);
    assert_true(rig.all.items[2].pid > 0);
    say(&rig, PROC_KILL, ROLE_PROVER);
    assert_int_equal(rig.all.items[1].pid, sleeper);
    assert_int_equal(rig.all.items[2].pid, 0);
    sleeper = 0; // it wakes, and so dies
    while (rig.all.items[1].pid > 0)
        children_reap(&rig.all);
    say(&rig, PROC_SPAWN, ROLE_PROVER);
    assert_int_equal(rig.all.count, 3);
    sleeper = rig.all.items[1].pid;
    assert_true(sleeper > 0);
    children_stop(&rig.all, 0);
    assert_int_equal(rig.all.items[1].pid, sleeper);
    pid_t woken = sleeper;
    sleeper = 0;
    assert_int_equal(waitpid(woken, NULL, 0), woken);
    end(&rig);
    OK(file_remove_tree(AT_FDCWD, programs));
}

// Its death can be seen before its message is.
static void what_a_child_says_last_is_kept(void **state)
{
    struct rig rig;
    struct proc_message message = {.kind = PROC_FAILED, .detail = "the store is gone"};
    (void)state;
    begin(&rig, ROLE_PEOPLE);
    rig.all.items[0].started_ms = clock_mono_ms();
    OK(control_send(rig.theirs, &message, -1));
    assert_int_equal(kill(rig.all.items[0].pid, SIGKILL), 0);
    while (rig.all.items[0].pid > 0)
        children_reap(&rig.all);
    assert_string_equal(rig.all.items[0].why, "the store is gone");
    assert_int_equal(rig.all.items[0].failures, 1);
    end(&rig);
}

// A channel that is closed with messages unread reports that first, and then what was said over it.
static void who_ends_without_having_read_is_heard(void **state)
{
    struct rig rig;
    struct proc_message unread = {.kind = PROC_ATTACH, .role = ROLE_KEEPER};
    struct proc_message last = {.kind = PROC_FAILED, .detail = "the store is empty"};
    (void)state;
    begin(&rig, ROLE_WRITER);
    // It has a copy of the other end.
    (void)kill(rig.all.items[0].pid, SIGKILL);
    assert_true(is_killed(&rig, 0));
    OK(control_send(rig.all.items[0].control, &unread, -1));
    OK(control_send(rig.theirs, &last, -1));
    (void)close(rig.theirs);
    rig.theirs = -1;
    children_hear(&rig.all, 0);
    assert_string_equal(rig.all.items[0].why, "the store is empty");
    end(&rig);
}

// As on a machine that has no addresses of this kind.
static void a_port_without_a_socket_is_told_of_by_its_address(void **state)
{
    struct rlimit old;
    int fd = -1;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    const struct rlimit none = {0, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    enum err err = listen_tcp("[::1]:0", &fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    FAILS(ERR_CONFIG, err);
    assert_non_null(strstr(err_detail(), "could not listen on \"[::1]:0\""));
    assert_non_null(strstr(err_detail(), "keywardd.conf"));
    assert_int_equal(fd, -1);
}

static void put_tls(int root, const char *path, mode_t mode)
{
    OK(file_write(root, path, span_str("PEM")));
    assert_int_equal(fchmodat(root, path, mode, 0), 0);
}

static bool https_is(int root, const char *state)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 4096, false);
    OK(file_read(root, PATH_WEB_STATE, 4096, &text));
    return text.len > strlen(state) && memcmp(text.data, state, strlen(state)) == 0;
}

// The next descriptor that the child is given.
static void is_given(struct rig *rig, uint32_t role, uint32_t index)
{
    struct proc_message message;
    int fd = -1;
    OK(control_receive(rig->theirs, 0, &message, &fd));
    assert_int_equal(message.kind, PROC_ATTACH);
    assert_int_equal(message.role, role);
    assert_int_equal(message.index, index);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void the_https_port_is_given_as_soon_as_it_can_be(void **state)
{
    struct rig rig;
    struct https https = {.address = "127.0.0.1:0"};
    char path[64] = "/tmp/keyward-supervise-XXXXXX";
    (void)state;
    begin(&rig, ROLE_WEB);
    assert_non_null(mkdtemp(path));
    OK(file_open_dir(path, &rig.all.root_fd));
    OK(file_mkdirs(rig.all.root_fd, PATH_TLS_DIR));
    OK(file_mkdirs(rig.all.root_fd, PATH_RUN_DIR));
    rig.all.https_listener = -1;
    // In the middle of a setup: the key is not in its place yet.
    put_tls(rig.all.root_fd, PATH_TLS_CERT, 0600);
    https_open(&https, &rig.all);
    assert_int_equal(rig.all.https_listener, -1);
    assert_true(https_waits(&https, &rig.all));
    // A key that cannot be given.
    put_tls(rig.all.root_fd, PATH_TLS_KEY, 0644);
    https_open(&https, &rig.all);
    assert_true(https_waits(&https, &rig.all));
    assert_true(https_is(rig.all.root_fd, "closed "));
    put_tls(rig.all.root_fd, PATH_TLS_KEY, 0600);
    https_open(&https, &rig.all);
    assert_false(https_waits(&https, &rig.all));
    assert_true(https_is(rig.all.root_fd, "open "));
    is_given(&rig, ROLE_IDENTITY, PROC_IDENTITY_KEY);
    is_given(&rig, ROLE_IDENTITY, PROC_IDENTITY_CERT);
    is_given(&rig, ROLE_LISTENER, PROC_LISTENER_TLS);
    (void)close(rig.all.https_listener);
    (void)close(rig.all.root_fd);
    end(&rig);
    OK(file_remove_tree(AT_FDCWD, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_that_asks_for_what_it_may_not_is_ended),
        cmocka_unit_test(a_child_is_ready_once),
        cmocka_unit_test(a_child_that_closes_its_channel_and_lives_on_is_ended),
        cmocka_unit_test(a_keeper_that_floods_is_ended_and_the_supervisor_goes_on),
        cmocka_unit_test(a_one_shot_that_outlives_its_kill_holds_up_nobody),
        cmocka_unit_test(what_a_child_says_last_is_kept),
        cmocka_unit_test(who_ends_without_having_read_is_heard),
        cmocka_unit_test(a_port_without_a_socket_is_told_of_by_its_address),
        cmocka_unit_test(the_https_port_is_given_as_soon_as_it_can_be),
    };
    log_setup("test", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
