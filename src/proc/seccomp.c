// SPDX-License-Identifier: Apache-2.0
//
// The system calls that each role may make, as tables. Whatever stands in no list of a role ends
// the process with SIGSYS; the open family is refused with EACCES instead where a role has no
// files, since libc tries to open time zones and locales. hsmd runs vendor code of any kind, so its
// list is turned round: everything but what would let it out of its process.
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "proc/proc.h"

#define CALL(name) SCMP_SYS(name)

// Later calls, which the headers of the oldest system that Keyward builds on lack. Every
// architecture has them at these numbers.
enum {
    CALL_FCHMODAT2 = 452,
    CALL_SETXATTRAT = 463,
    CALL_REMOVEXATTRAT = 466,
    CALL_FILE_SETATTR = 469,
};

// Memory, time, channels: every role.
static const int common_calls[] = {
    CALL(read),
    CALL(write),
    CALL(readv),
    CALL(writev),
    CALL(close),
    CALL(poll),
    CALL(ppoll),
    CALL(recvfrom),
    CALL(recvmsg),
    CALL(sendto),
    CALL(sendmsg),
    CALL(shutdown),
    CALL(munmap),
    CALL(mremap),
    CALL(madvise),
    CALL(brk),
    CALL(mlock),
    CALL(munlock),
    CALL(futex),
    CALL(clock_gettime),
    CALL(clock_nanosleep),
    CALL(nanosleep),
    CALL(gettimeofday),
    CALL(time),
    CALL(getrandom),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sigaltstack),
    CALL(exit),
    CALL(exit_group),
    CALL(getpid),
    CALL(gettid),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    CALL(fstat),
    CALL(newfstatat),
    CALL(statx),
    CALL(lseek),
    CALL(restart_syscall),
    CALL(rseq),
    CALL(set_robust_list),
    CALL(prctl),
    CALL(sched_yield),
    CALL(sysinfo),
    CALL(getrlimit),
    CALL(membarrier),
    CALL(dup),
    CALL(dup2),
};

// An event loop over sockets that others have opened.
static const int socket_calls[] = {
    CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait), CALL(epoll_pwait2),
    CALL(accept4),       CALL(accept),    CALL(getsockopt), CALL(setsockopt),  CALL(getpeername),
    CALL(getsockname),   CALL(eventfd2),  CALL(pipe2),
};

// Files below the root prefix.
static const int file_calls[] = {
    CALL(openat),          CALL(open),       CALL(pread64),    CALL(pwrite64),
    CALL(preadv),          CALL(pwritev),    CALL(fsync),      CALL(fdatasync),
    CALL(ftruncate),       CALL(fallocate),  CALL(unlink),     CALL(unlinkat),
    CALL(rename),          CALL(renameat),   CALL(renameat2),  CALL(mkdir),
    CALL(mkdirat),         CALL(rmdir),      CALL(getdents64), CALL(access),
    CALL(faccessat),       CALL(faccessat2), CALL(stat),       CALL(lstat),
    CALL(readlink),        CALL(readlinkat), CALL(getcwd),     CALL(flock),
    CALL(fchmod),          CALL(fchmodat),   CALL(fchown),     CALL(utimensat),
    CALL(umask),           CALL(statfs),     CALL(fstatfs),    CALL(symlinkat),
    CALL(symlink),         CALL(linkat),     CALL(fadvise64),  CALL(sync_file_range),
    CALL(copy_file_range),
};

// A courier: connections to the outside, and what libc's name service and OpenSSL read.
static const int courier_calls[] = {
    CALL(connect),     CALL(bind),       CALL(getsockopt), CALL(setsockopt), CALL(getpeername),
    CALL(getsockname), CALL(sendmmsg),   CALL(recvmmsg),   CALL(openat),     CALL(open),
    CALL(pread64),     CALL(getdents64), CALL(access),     CALL(faccessat),  CALL(faccessat2),
    CALL(stat),        CALL(lstat),      CALL(readlink),   CALL(readlinkat), CALL(uname),
    CALL(fstatfs),     CALL(statfs),     CALL(getppid),
};

// What no vendor library needs and every attacker wants. Signals to others, limits and priorities
// of others and new namespaces are refused by argument: refuse_by_argument().
static const int refused_to_hsmd[] = {
    CALL(ptrace),
    CALL(process_vm_readv),
    CALL(process_vm_writev),
    CALL(bpf),
    CALL(mount),
    CALL(umount2),
    CALL(pivot_root),
    CALL(chroot),
    CALL(keyctl),
    CALL(add_key),
    CALL(request_key),
    CALL(kexec_load),
    CALL(init_module),
    CALL(finit_module),
    CALL(delete_module),
    CALL(reboot),
    CALL(swapon),
    CALL(swapoff),
    CALL(setuid),
    CALL(setgid),
    CALL(setreuid),
    CALL(setregid),
    CALL(setresuid),
    CALL(setresgid),
    CALL(setns),
    CALL(setsid),
    CALL(setpgid),
    CALL(unshare),
    CALL(perf_event_open),
    CALL(userfaultfd),
    CALL(pidfd_getfd),
    CALL(open_by_handle_at),
    CALL(acct),
    CALL(quotactl),
    CALL(settimeofday),
    CALL(clock_settime),
    CALL(sethostname),
    CALL(execve),
    CALL(execveat),
    CALL(tkill),
    CALL(pidfd_open),
    CALL(pidfd_send_signal),
    CALL(process_madvise),
    CALL(process_mrelease),
    CALL(kcmp),
    CALL(migrate_pages),
    CALL(move_pages),
    CALL(io_uring_setup),
    CALL(io_uring_enter),
    CALL(io_uring_register),
    CALL(open_tree),
    CALL(move_mount),
    CALL(mount_setattr),
    CALL(fsopen),
    CALL(fsmount),
    CALL(fspick),
    CALL(fanotify_init),
    CALL(name_to_handle_at),
    CALL(kexec_file_load),
    CALL(capset),
    CALL(setgroups),
    CALL(setfsuid),
    CALL(setfsgid),
    CALL(setdomainname),
    CALL(adjtimex),
    CALL(clock_adjtime),
    CALL(syslog),
    CALL(mknod),
    CALL(mknodat),
    CALL(iopl),
    CALL(ioperm),
    // Modes, owners, times and attributes of what a path leads to: Landlock looks at none of these.
    // A file that the library could open it changes by its descriptor.
    CALL(chmod),
    CALL(fchmodat),
    CALL_FCHMODAT2,
    CALL(chown),
    CALL(lchown),
    CALL(fchownat),
    CALL(utime),
    CALL(utimes),
    CALL(futimesat),
    CALL(setxattr),
    CALL(lsetxattr),
    CALL_SETXATTRAT,
    CALL(removexattr),
    CALL(lremovexattr),
    CALL_REMOVEXATTRAT,
    CALL_FILE_SETATTR,
};

struct call_list {
    const int *calls;
    size_t count;
};

#define LIST(array)                                                                                \
    {                                                                                              \
        array, sizeof(array) / sizeof *(array)                                                     \
    }

static const struct call_list common = LIST(common_calls);
static const struct call_list sockets = LIST(socket_calls);
static const struct call_list files = LIST(file_calls);
static const struct call_list couriers = LIST(courier_calls);
static const struct call_list refused = LIST(refused_to_hsmd);

static enum err add_rules(scmp_filter_ctx filter, uint32_t action, struct call_list list)
{
    for (size_t i = 0; i < list.count; i++) {
        // A call that this architecture lacks has a negative number of libseccomp's own.
        if (list.calls[i] < 0)
            continue;
        int failed = seccomp_rule_add(filter, action, list.calls[i], 0);
        if (failed != 0 && failed != -EEXIST)
            FAIL(ERR_INTERNAL, "the system call filter could not be made (%d)", failed);
    }
    return ERR_OK;
}

static enum err add_rule(scmp_filter_ctx filter, uint32_t action, int call,
                         struct scmp_arg_cmp argument)
{
    int failed = seccomp_rule_add_array(filter, action, call, 1, &argument);
    if (failed != 0)
        FAIL(ERR_INTERNAL, "the system call filter could not be made (%d)", failed);
    return ERR_OK;
}

// fcntl and ioctl by command: some have the kernel signal whatever process they name (F_SETOWN).
static const uint64_t fcntl_commands[] = {
    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,  F_SETFD,     F_GETFL,     F_SETFL,
    F_GETLK, F_SETLK,         F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW,
};
// What libc asks of a terminal, a socket, and of an interface that an address names.
static const uint64_t ioctl_commands[] = {TCGETS, FIONREAD, FIONBIO, SIOCOUTQ, SIOCGIFINDEX};

static enum err allow_commands(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < sizeof fcntl_commands / sizeof *fcntl_commands; i++)
        TRY(add_rule(filter, SCMP_ACT_ALLOW, CALL(fcntl), SCMP_A1(SCMP_CMP_EQ, fcntl_commands[i])));
    for (size_t i = 0; i < sizeof ioctl_commands / sizeof *ioctl_commands; i++)
        TRY(add_rule(filter, SCMP_ACT_ALLOW, CALL(ioctl), SCMP_A1(SCMP_CMP_EQ, ioctl_commands[i])));
    return ERR_OK;
}

// Memory that is never code; signals to this process alone (abort), its own limits alone.
static enum err allow_by_argument(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    const struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
    const struct scmp_arg_cmp none = SCMP_A0(SCMP_CMP_EQ, 0);
    TRY(add_rule(filter, SCMP_ACT_ALLOW, CALL(mmap), no_code));
    TRY(add_rule(filter, SCMP_ACT_ALLOW, CALL(mprotect), no_code));
    TRY(add_rule(filter, SCMP_ACT_ALLOW, CALL(tgkill), self));
    TRY(add_rule(filter, SCMP_ACT_ALLOW, CALL(prlimit64), none));
    return allow_commands(filter);
}

// A command is 32 bits of its argument; the kernel does not look at the others.
static enum err refuse_command(scmp_filter_ctx filter, int call, uint32_t command)
{
    return add_rule(filter, SCMP_ACT_ERRNO(EPERM), call,
                    SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, command));
}

// Signals that the kernel sends when something happens to a descriptor.
static enum err refuse_owners(scmp_filter_ctx filter)
{
    TRY(refuse_command(filter, CALL(fcntl), F_SETOWN));
    TRY(refuse_command(filter, CALL(fcntl), F_SETOWN_EX));
    TRY(refuse_command(filter, CALL(fcntl), F_SETSIG));
    TRY(refuse_command(filter, CALL(ioctl), FIOSETOWN));
    return refuse_command(filter, CALL(ioctl), SIOCSPGRP);
}

// Processor, disk and scheduling of whoever calls (0) and of nobody else, not even by user.
static enum err refuse_priorities(scmp_filter_ctx filter)
{
    static const int by_process[] = {CALL(sched_setaffinity), CALL(sched_setscheduler),
                                     CALL(sched_setparam), CALL(sched_setattr)};
    const uint32_t eperm = SCMP_ACT_ERRNO(EPERM);
    for (size_t i = 0; i < sizeof by_process / sizeof *by_process; i++)
        TRY(add_rule(filter, eperm, by_process[i], SCMP_A0(SCMP_CMP_NE, 0)));
    TRY(add_rule(filter, eperm, CALL(setpriority), SCMP_A1(SCMP_CMP_NE, 0)));
    TRY(add_rule(filter, eperm, CALL(setpriority),
                 SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, PRIO_USER)));
    TRY(add_rule(filter, eperm, CALL(ioprio_set), SCMP_A1(SCMP_CMP_NE, 0)));
    return add_rule(filter, eperm, CALL(ioprio_set),
                    SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, IOPRIO_WHO_USER));
}

// hsmd runs as the same user as its siblings: without this it could end or starve them.
static enum err refuse_by_argument(scmp_filter_ctx filter)
{
    static const int signals[] = {CALL(kill), CALL(tgkill), CALL(rt_sigqueueinfo),
                                  CALL(rt_tgsigqueueinfo)};
    static const uint64_t namespaces[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                          CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                          CLONE_NEWNET};
    const struct scmp_arg_cmp others = SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid());
    const struct scmp_arg_cmp another = SCMP_A0(SCMP_CMP_NE, 0);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        TRY(add_rule(filter, SCMP_ACT_ERRNO(EPERM), signals[i], others));
    TRY(add_rule(filter, SCMP_ACT_ERRNO(EPERM), CALL(prlimit64), another));
    // Without a path it is futimens.
    TRY(add_rule(filter, SCMP_ACT_ERRNO(EPERM), CALL(utimensat), SCMP_A1(SCMP_CMP_NE, 0)));
    TRY(refuse_owners(filter));
    TRY(refuse_priorities(filter));
    for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++) {
        const struct scmp_arg_cmp flag = SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]);
        TRY(add_rule(filter, SCMP_ACT_ERRNO(EPERM), CALL(clone), flag));
    }
    // Its flags lie in memory, where no filter sees them; libc takes clone instead.
    static const int clone3[] = {CALL(clone3)};
    return add_rules(filter, SCMP_ACT_ERRNO(ENOSYS), (struct call_list)LIST(clone3));
}

// Internet and netlink (by which libc learns what addresses there are); modules of the name service
// are not loaded.
static enum err allow_courier(scmp_filter_ctx filter)
{
    static const int families[] = {AF_INET, AF_INET6, AF_NETLINK};
    const struct scmp_arg_cmp code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC);
    const struct scmp_arg_cmp local = SCMP_A0(SCMP_CMP_EQ, AF_UNIX);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const struct scmp_arg_cmp family = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]);
        TRY(add_rule(filter, SCMP_ACT_ALLOW, CALL(socket), family));
    }
    TRY(add_rule(filter, SCMP_ACT_ERRNO(EACCES), CALL(socket), local));
    TRY(add_rule(filter, SCMP_ACT_ERRNO(EACCES), CALL(mmap), code));
    return add_rules(filter, SCMP_ACT_ALLOW, couriers);
}

static enum err allow_list(scmp_filter_ctx filter, enum proc_role role)
{
    bool event_loop = role == ROLE_FRONT || role == ROLE_WEB;
    TRY(add_rules(filter, SCMP_ACT_ALLOW, common));
    TRY(allow_by_argument(filter));
    if (role == ROLE_COURIER)
        return allow_courier(filter);
    if (!event_loop)
        return add_rules(filter, SCMP_ACT_ALLOW, files);
    TRY(add_rules(filter, SCMP_ACT_ALLOW, sockets));
    static const int opens[] = {CALL(open),   CALL(openat),   CALL(openat2),
                                CALL(access), CALL(readlink), CALL(stat)};
    return add_rules(filter, SCMP_ACT_ERRNO(EACCES), (struct call_list)LIST(opens));
}

static void release(scmp_filter_ctx *filter)
{
    seccomp_release(*filter);
}

enum err proc_confine(enum proc_role role)
{
    bool loose = role == ROLE_HSMD;
    CLEANUP(release)
    scmp_filter_ctx filter = seccomp_init(loose ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS);
    if (filter == NULL)
        FAIL(ERR_INTERNAL, "the system call filter could not be made");
    if (loose) {
        TRY(add_rules(filter, SCMP_ACT_ERRNO(EPERM), refused));
        TRY(refuse_by_argument(filter));
    } else {
        TRY(allow_list(filter, role));
    }
    int failed = seccomp_load(filter);
    if (failed != 0)
        FAIL(ERR_INTERNAL, "the system call filter could not be loaded (%d)", failed);
    return ERR_OK;
}
