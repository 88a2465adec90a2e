// SPDX-License-Identifier: Apache-2.0
//
// proc/control.h and proc/proc.h: what comes over a control channel that it should not, and what a
// confined process cannot do to others.
#include "proc/control.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "proc/spin.h"
#include "tests/unit/check.h"

static void make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static void close_pair(const int pair[2])
{
    (void)close(pair[0]);
    (void)close(pair[1]);
}

// The lowest free descriptor: rises with each one that leaks.
static int next_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)close(fd);
    return fd;
}

static void send_descriptors(int control, size_t len, int count)
{
    struct proc_message message[2] = {{.kind = PROC_READY}};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } ancillary = {.bytes = {0}};
    struct iovec iov = {.iov_base = message, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = ancillary.bytes,
                         .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
    ancillary.header.cmsg_level = SOL_SOCKET;
    ancillary.header.cmsg_type = SCM_RIGHTS;
    ancillary.header.cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    int fds[4] = {STDIN_FILENO, STDIN_FILENO, STDIN_FILENO, STDIN_FILENO};
    memcpy(CMSG_DATA(&ancillary.header), fds, (size_t)count * sizeof(int));
    assert_int_equal(sendmsg(control, &msg, MSG_NOSIGNAL), len);
}

static void no_more_than_one_descriptor_comes_with_a_message(void **state)
{
    int pair[2];
    (void)state;
    make_pair(pair);
    int before = next_descriptor();
    for (int count = 1; count <= 4; count++) {
        struct proc_message message;
        int fd = -1;
        send_descriptors(pair[0], sizeof message, count);
        OK(control_receive(pair[1], 1000, &message, &fd));
        assert_true(fd >= 0);
        (void)close(fd);
        assert_int_equal(next_descriptor(), before);
    }
    close_pair(pair);
}

static void what_is_no_message_leaves_no_descriptor(void **state)
{
    static const size_t lengths[] = {1, sizeof(struct proc_message) - 1,
                                     sizeof(struct proc_message) + 1};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct proc_message message;
        int pair[2];
        int fd = -1;
        make_pair(pair);
        int before = next_descriptor();
        send_descriptors(pair[0], lengths[i], 2);
        FAILS(ERR_UNAVAILABLE, control_receive(pair[1], 1000, &message, &fd));
        assert_int_equal(fd, -1);
        assert_int_equal(next_descriptor(), before);
        close_pair(pair);
    }
}

static void a_full_channel_does_not_block_who_must_not_wait(void **state)
{
    struct proc_message message = {.kind = PROC_STOP};
    enum err err = ERR_OK;
    int pair[2];
    (void)state;
    make_pair(pair);
    assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    for (int i = 0; i < 100000 && err == ERR_OK; i++)
        err = control_send(pair[0], &message, -1);
    assert_int_equal(err, ERR_BUSY);
    close_pair(pair);
}

// Runs `act` in a confined child; gives its wait status.
static int confined(enum proc_role role, int (*act)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        if (proc_confine(role) != ERR_OK)
            _exit(99);
        _exit(act());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int act_on_parent(void)
{
    struct rlimit limit = {0, 0};
    if (kill(getppid(), 0) == 0 || errno != EPERM)
        return 1;
    if (prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit) == 0 || errno != EPERM)
        return 2;
    return prlimit(0, RLIMIT_NOFILE, NULL, &limit) == 0 && kill(getpid(), 0) == 0 ? 0 : 3;
}

static int start_program(void)
{
    char *const none[] = {NULL};
    (void)execve("/bin/true", none, none);
    return errno == EPERM ? 0 : 1;
}

static bool is_refused(long result)
{
    return result != 0 && errno == EPERM;
}

// The number of the first that is false, 0: none.
static int first_false(const bool *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!values[i])
            return (int)i + 1;
    }
    return 0;
}

// Whoever owns a descriptor is signalled by the kernel; the command has 32 bits, its argument 64.
static int own_by_parent(void)
{
    int pair[2];
    int parent = getppid();
    struct f_owner_ex owner = {.type = F_OWNER_PID, .pid = parent};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return 99;
    const bool held[] = {
        is_refused(fcntl(pair[0], F_SETOWN, parent)),
        is_refused(fcntl(pair[0], F_SETOWN_EX, &owner)),
        is_refused(syscall(SYS_fcntl, pair[0], F_SETOWN | 1L << 32, parent)),
        is_refused(fcntl(pair[0], F_SETSIG, SIGKILL)),
        is_refused(ioctl(pair[0], FIOSETOWN, &parent)),
        is_refused(syscall(SYS_ioctl, pair[0], SIOCSPGRP | 1L << 32, &parent)),
        fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0,
        fcntl(pair[0], F_GETOWN) == 0,
    };
    return first_false(held, COUNT_OF(held));
}

// The parent could be made slow in these ways; the caller itself may be.
static int slow_parent(void)
{
    const struct sched_param param = {.sched_priority = 0};
    const uint64_t attr[6] = {48}; // struct sched_attr: its size, and the usual of everything
    int parent = getppid();
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 99;
    const bool held[] = {
        is_refused(sched_setaffinity(parent, sizeof set, &set)),
        is_refused(sched_setscheduler(parent, SCHED_BATCH, &param)),
        is_refused(sched_setparam(parent, &param)),
        is_refused(syscall(SYS_sched_setattr, parent, attr, 0)),
        is_refused(setpriority(PRIO_PROCESS, (id_t)parent, 19)),
        is_refused(setpriority(PRIO_USER, 0, 19)),
        is_refused(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, parent, 0)),
        is_refused(syscall(SYS_ioprio_set, IOPRIO_WHO_USER, 0, 0)),
        sched_setaffinity(0, sizeof set, &set) == 0,
        setpriority(PRIO_PROCESS, 0, 19) == 0,
    };
    return first_false(held, COUNT_OF(held));
}

static void hsmd_reaches_none_of_its_siblings(void **state)
{
    (void)state;
    assert_int_equal(confined(ROLE_HSMD, act_on_parent), 0);
    assert_int_equal(confined(ROLE_HSMD, start_program), 0);
    assert_int_equal(confined(ROLE_HSMD, own_by_parent), 0);
    assert_int_equal(confined(ROLE_HSMD, slow_parent), 0);
}

static int map_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
           MAP_FAILED;
}

static int map_data(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
           MAP_FAILED;
}

static int open_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0;
}

static int limit_parent(void)
{
    struct rlimit limit = {0, 0};
    return prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit);
}

static int own_socket(void)
{
    return fcntl(PROC_CONTROL_FD, F_SETOWN, getppid());
}

static int own_socket_by_ioctl(void)
{
    int parent = getppid();
    return ioctl(PROC_CONTROL_FD, FIOSETOWN, &parent);
}

static int use_descriptors(void)
{
    int copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    int waiting = 0;
    (void)isatty(copy);
    (void)ioctl(copy, FIONREAD, &waiting);
    return copy < 0 || fcntl(copy, F_SETFL, fcntl(copy, F_GETFL)) != 0;
}

static bool is_ended(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static void the_others_make_no_code_no_socket_and_reach_nobody(void **state)
{
    static const enum proc_role roles[] = {ROLE_FRONT, ROLE_WEB,    ROLE_READER, ROLE_WRITER,
                                           ROLE_ADMIN, ROLE_PEOPLE, ROLE_KEEPER, ROLE_PROVER};
    (void)state;
    // A courier makes sockets, and is refused code by a number.
    assert_true(is_ended(confined(ROLE_COURIER, own_socket)));
    assert_true(is_ended(confined(ROLE_COURIER, own_socket_by_ioctl)));
    assert_int_equal(confined(ROLE_COURIER, use_descriptors), 0);
    for (size_t i = 0; i < COUNT_OF(roles); i++) {
        assert_int_equal(confined(roles[i], map_data), 0);
        assert_true(is_ended(confined(roles[i], map_code)));
        assert_true(is_ended(confined(roles[i], open_socket)));
        assert_true(is_ended(confined(roles[i], limit_parent)));
        assert_true(is_ended(confined(roles[i], start_program)));
        assert_true(is_ended(confined(roles[i], own_socket)));
        assert_true(is_ended(confined(roles[i], own_socket_by_ioctl)));
        assert_int_equal(confined(roles[i], use_descriptors), 0);
    }
}

// In a child: behind the wall, a file inside is read and made, one outside is not.
static int live_behind_a_wall(int root)
{
    static const struct proc_tree inside[] = {{"own", PROC_REACH_OWN}};
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, 100, false);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || proc_wall_in(root, inside, 1) != ERR_OK)
        return 1;
    if (file_read(root, "own/file", 100, &bytes) != ERR_OK ||
        file_write(root, "own/made", span_str("x")) != ERR_OK)
        return 2;
    if (file_read(root, "wallet", 100, &bytes) != ERR_IO || bytes.len != 4)
        return 3;
    return file_write(root, "made", span_str("x")) == ERR_IO ? 0 : 4;
}

static void a_walled_process_reaches_its_own_files_alone(void **state)
{
    (void)state;
    char path[] = "/tmp/keyward-wall-XXXXXX";
    int root = -1;
    int status = -1;
    assert_non_null(mkdtemp(path));
    OK(file_open_dir(path, &root));
    OK(file_mkdirs(root, "own"));
    OK(file_write(root, "own/file", span_str("mine")));
    OK(file_write(root, "wallet", span_str("keys")));
    pid_t child = fork();
    if (child == 0)
        _exit(live_behind_a_wall(root));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
    OK(file_remove_tree(AT_FDCWD, path));
    (void)close(root);
}

// The test's own tree. `late` is made after the wall has been built.
static void build_tree(int root)
{
    static const char *const directories[] = {"okv/tde", "okv/etc", "log/hsm", "vendor"};
    static const char *const files[] = {"okv/tde/wallet", "okv/etc/conf", "log/server",
                                        "vendor/file"};
    for (size_t i = 0; i < COUNT_OF(directories); i++)
        OK(file_mkdirs(root, directories[i]));
    for (size_t i = 0; i < COUNT_OF(files); i++)
        OK(file_write(root, files[i], span_str("here")));
    assert_int_equal(symlinkat("okv/tde", root, "round"), 0);
    assert_int_equal(symlinkat("/", root, "top"), 0);
}

static int fails(int root, const char *path, int flags)
{
    CLEANUP(file_closep) int fd = openat(root, path, flags | O_CLOEXEC, 0600);
    return fd < 0 ? errno : 0;
}

// In a child, behind a wall with windows. The number of the first check that fails, 0: none.
static int look_round(int root)
{
    static const struct proc_tree trees[] = {
        {"okv", PROC_REACH_READ},  {"okv/tde", PROC_REACH_NONE},
        {"log", PROC_REACH_NONE},  {"log/hsm", PROC_REACH_ALL},
        {"late", PROC_REACH_NONE}, {"vendor/deep/late", PROC_REACH_NONE},
    };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        proc_wall_off(root, trees, COUNT_OF(trees)) != ERR_OK)
        return 99;
    const struct {
        const char *path;
        int flags;
        int wanted;
    } tries[] = {
        {"okv/tde/wallet", O_RDONLY, EACCES},
        {"round/wallet", O_RDONLY, EACCES},
        {"okv/tde", O_RDONLY | O_DIRECTORY, EACCES},
        {"okv/tde/made", O_WRONLY | O_CREAT, EACCES},
        {"okv/etc/conf", O_RDONLY, 0},
        {"okv/etc/conf", O_WRONLY, EACCES},
        {"okv/etc/made", O_WRONLY | O_CREAT, EACCES},
        {"log/server", O_WRONLY | O_APPEND, EACCES},
        {"log/hsm/made", O_WRONLY | O_CREAT, 0},
        {"vendor/file", O_RDWR, 0},
        {"vendor/deep", O_WRONLY | O_CREAT, EACCES},
        {"late", O_WRONLY | O_CREAT, EACCES},
        {"/etc/passwd", O_RDONLY, 0},
        {"/dev/null", O_RDWR, 0},
    };
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        if (fails(root, tries[i].path, tries[i].flags) != tries[i].wanted)
            return (int)i + 1;
    }
    // Nor may it be cut, removed, moved out, or be reached by another name.
    if (unlinkat(root, "okv/tde/wallet", 0) == 0 || renameat(root, "okv", root, "moved") == 0 ||
        renameat(root, "okv/tde/wallet", root, "vendor/wallet") == 0 ||
        linkat(root, "okv/tde/wallet", root, "vendor/wallet", 0) == 0)
        return 50;
    char round[64];
    (void)snprintf(round, sizeof round, "/proc/self/fd/%d/okv/tde/wallet", root);
    return fails(AT_FDCWD, round, O_RDONLY) == EACCES ? 0 : 51;
}

static void a_library_reaches_everything_but_what_is_walled_off(void **state)
{
    (void)state;
    char path[] = "/tmp/keyward-wall-XXXXXX";
    int root = -1;
    int status = -1;
    assert_non_null(mkdtemp(path));
    OK(file_open_dir(path, &root));
    build_tree(root);
    pid_t child = fork();
    if (child == 0)
        _exit(look_round(root));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
    OK(file_remove_tree(AT_FDCWD, path));
    (void)close(root);
}

static void a_look_for_work_ends_by_itself(void **state)
{
    (void)state;
    struct spin spin = {0};
    assert_false(spin_on_at(&spin, 1000));
    spin_start_at(&spin, 50, 1000);
    assert_true(spin_on_at(&spin, 1001));
    assert_true(spin_on_at(&spin, 1000 + 50 - 1));
    assert_false(spin_on_at(&spin, 1000 + 50));
    assert_false(spin_on_at(&spin, 1001));
}

// How many windows in a row are none.
static int windows_left_out(struct spin *spin)
{
    int count = 0;
    for (spin_start_at(spin, 50, 2000); !spin_on_at(spin, 2001); spin_start_at(spin, 50, 2000))
        count++;
    return count;
}

static void whoever_looks_in_vain_looks_ever_less(void **state)
{
    (void)state;
    struct spin spin = {0};
    int left_out = 0;
    for (int i = 0; i < 20; i++) {
        int count = windows_left_out(&spin);
        assert_true(count >= left_out);
        left_out = count;
        assert_false(spin_on_at(&spin, 2051));
    }
    assert_int_equal(left_out, SPIN_REST_MAX);
    // One that was of use, and the next ones are opened again.
    assert_int_equal(windows_left_out(&spin), SPIN_REST_MAX);
    spin_start_at(&spin, 50, 2010);
    assert_false(spin_on_at(&spin, 2060));
    assert_int_equal(windows_left_out(&spin), 0);
}

static void who_is_kept_from_the_processor_looks_no_more_for_a_while(void **state)
{
    (void)state;
    struct spin spin = {0};
    spin_start_at(&spin, 10000, 1000);
    assert_true(spin_on_at(&spin, 1001));
    assert_false(spin_on_at(&spin, 1001 + SPIN_AWAY_US + 1));
    assert_int_equal(windows_left_out(&spin), SPIN_REST_AWAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_than_one_descriptor_comes_with_a_message),
        cmocka_unit_test(what_is_no_message_leaves_no_descriptor),
        cmocka_unit_test(a_full_channel_does_not_block_who_must_not_wait),
        cmocka_unit_test(hsmd_reaches_none_of_its_siblings),
        cmocka_unit_test(the_others_make_no_code_no_socket_and_reach_nobody),
        cmocka_unit_test(a_walled_process_reaches_its_own_files_alone),
        cmocka_unit_test(a_library_reaches_everything_but_what_is_walled_off),
        cmocka_unit_test(a_look_for_work_ends_by_itself),
        cmocka_unit_test(whoever_looks_in_vain_looks_ever_less),
        cmocka_unit_test(who_is_kept_from_the_processor_looks_no_more_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
