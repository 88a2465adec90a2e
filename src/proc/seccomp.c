// SPDX-License-Identifier: Apache-2.0
//
// The system calls that each role may make, as tables. Whatever stands in no list of a role ends
// the process with SIGSYS; the open family is refused with EACCES instead where a role has no
// files, since libc tries to open time zones and locales. hsmd runs vendor code of any kind, so its
// list is turned round: everything but what would let it out of its process.
#include <errno.h>
#include <seccomp.h>
#include <stddef.h>

#include "base/buf.h"
#include "proc/proc.h"

#define CALL(name) SCMP_SYS(name)

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
    CALL(mmap),
    CALL(munmap),
    CALL(mremap),
    CALL(mprotect),
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
    CALL(tgkill),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    CALL(fstat),
    CALL(newfstatat),
    CALL(statx),
    CALL(lseek),
    CALL(fcntl),
    CALL(restart_syscall),
    CALL(rseq),
    CALL(set_robust_list),
    CALL(prctl),
    CALL(sched_yield),
    CALL(sysinfo),
    CALL(getrlimit),
    CALL(prlimit64),
    CALL(membarrier),
    CALL(dup),
    CALL(dup2),
};

// An event loop over sockets that others have opened.
static const int socket_calls[] = {
    CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait), CALL(epoll_pwait2),
    CALL(accept4),       CALL(accept),    CALL(getsockopt), CALL(setsockopt),  CALL(getpeername),
    CALL(getsockname),   CALL(ioctl),     CALL(eventfd2),   CALL(pipe2),
};

// Files below the root prefix.
static const int file_calls[] = {
    CALL(openat),
    CALL(open),
    CALL(pread64),
    CALL(pwrite64),
    CALL(preadv),
    CALL(pwritev),
    CALL(fsync),
    CALL(fdatasync),
    CALL(ftruncate),
    CALL(fallocate),
    CALL(unlink),
    CALL(unlinkat),
    CALL(rename),
    CALL(renameat),
    CALL(renameat2),
    CALL(mkdir),
    CALL(mkdirat),
    CALL(rmdir),
    CALL(getdents64),
    CALL(access),
    CALL(faccessat),
    CALL(faccessat2),
    CALL(stat),
    CALL(lstat),
    CALL(readlink),
    CALL(readlinkat),
    CALL(getcwd),
    CALL(flock),
    CALL(fchmod),
    CALL(fchmodat),
    CALL(fchown),
    CALL(utimensat),
    CALL(umask),
    CALL(ioctl),
    CALL(statfs),
    CALL(fstatfs),
    CALL(symlinkat),
    CALL(symlink),
    CALL(linkat),
    CALL(fadvise64),
    CALL(sync_file_range),
    CALL(copy_file_range),
};

// What no vendor library needs and every attacker wants.
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

static enum err allow_list(scmp_filter_ctx filter, enum proc_role role)
{
    bool event_loop = role == ROLE_FRONT || role == ROLE_WEB;
    TRY(add_rules(filter, SCMP_ACT_ALLOW, common));
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
    if (loose)
        TRY(add_rules(filter, SCMP_ACT_ERRNO(EPERM), refused));
    else
        TRY(allow_list(filter, role));
    int failed = seccomp_load(filter);
    if (failed != 0)
        FAIL(ERR_INTERNAL, "the system call filter could not be loaded (%d)", failed);
    return ERR_OK;
}
