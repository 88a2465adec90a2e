// SPDX-License-Identifier: Apache-2.0
// The attempts of a hostile library, one function each, told by their errno. The name goes to the
// trace before the attempt, the result after, so that an attempt that kills is known by its name.
#include "shim_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

static int opened(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    close(fd);
    return 0;
}

static int list_root(void)
{
    return opened("/", O_RDONLY | O_DIRECTORY);
}

static int read_shadow(void)
{
    return opened("/etc/shadow", O_RDONLY);
}

// The place may be named by the test: a file of the server's that the library has no business with.
static int read_secret(void)
{
    const char *path = getenv("KWSHIM_SECRET");
    return path == NULL ? ENOENT : opened(path, O_RDONLY);
}

static int read_parent(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", getppid());
    return opened(path, O_RDWR);
}

static int trace_parent(void)
{
    if (ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) != 0) {
        return errno;
    }
    ptrace(PTRACE_DETACH, getppid(), NULL, NULL);
    return 0;
}

static int signal_parent(void)
{
    return kill(getppid(), 0) == 0 ? 0 : errno;
}

// The kernel signals whoever owns a descriptor when something happens to it.
static int own_by_parent(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return errno;
    }
    int error = fcntl(pair[0], F_SETOWN, getppid()) == 0 ? 0 : errno;
    close(pair[0]);
    close(pair[1]);
    return error;
}

// As fast as it is already, where nothing stops it.
static int slow_parent(void)
{
    return setpriority(PRIO_PROCESS, (id_t)getppid(), 0) == 0 ? 0 : errno;
}

static int connect_out(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    int rc = connect(fd, (struct sockaddr *)&to, sizeof to);
    int error = rc == 0 || errno == ECONNREFUSED ? 0 : errno; // refused by the peer: it got out
    close(fd);
    return error;
}

static int run_shell(void)
{
    pid_t child = fork();
    if (child < 0) {
        return errno;
    }
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(errno < 126 ? errno : 126);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : ECANCELED;
}

static int map_code(void)
{
    void *m =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED) {
        return errno;
    }
    munmap(m, 4096);
    return 0;
}

// No attempts: what the process is confined by.
static int no_new_privs(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static int seccomp_mode(void)
{
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
}

static int dumpable(void)
{
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static const struct attempt {
    const char *name;
    int (*try)(void);
} attempts[] = {
    {"list-root", list_root},      {"read-shadow", read_shadow},   {"read-secret", read_secret},
    {"read-parent", read_parent},  {"trace-parent", trace_parent}, {"signal-parent", signal_parent},
    {"connect", connect_out},      {"map-code", map_code},         {"run", run_shell},
    {"own-parent", own_by_parent}, {"slow-parent", slow_parent},   {"no-new-privs", no_new_privs},
    {"seccomp", seccomp_mode},     {"dumpable", dumpable},
};

static void note(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        abort(); // a probe without a witness would look like a wall that holds
    }
    close(fd);
}

static int open_to_read(const char *path)
{
    return opened(path, O_RDONLY | O_NONBLOCK);
}

static int open_to_write(const char *path)
{
    return opened(path, O_WRONLY | O_NONBLOCK);
}

enum { FCHMODAT2 = 452, OTHER_ID = 65534, ANY_MODE = 0777, FDS_MAX = 256 };

static int by_chmod(const char *path)
{
    return chmod(path, ANY_MODE);
}

static int by_fchmodat(const char *path)
{
    return (int)syscall(SYS_fchmodat, AT_FDCWD, path, ANY_MODE);
}

static int by_fchmodat2(const char *path)
{
    return (int)syscall(FCHMODAT2, AT_FDCWD, path, ANY_MODE, 0);
}

static int by_chown(const char *path)
{
    return chown(path, OTHER_ID, OTHER_ID);
}

static int by_lchown(const char *path)
{
    return lchown(path, OTHER_ID, OTHER_ID);
}

static int by_fchownat(const char *path)
{
    return fchownat(AT_FDCWD, path, OTHER_ID, OTHER_ID, 0);
}

static int by_utime(const char *path)
{
    return utime(path, &(struct utimbuf){0});
}

static int by_utimes(const char *path)
{
    return utimes(path, (struct timeval[2]){{0}});
}

static int by_futimesat(const char *path)
{
    return futimesat(AT_FDCWD, path, (struct timeval[2]){{0}});
}

static int by_utimensat(const char *path)
{
    return utimensat(AT_FDCWD, path, (struct timespec[2]){{0}}, 0);
}

static int by_setxattr(const char *path)
{
    return setxattr(path, "user.kwshim", "x", 1, 0);
}

static int by_lsetxattr(const char *path)
{
    return lsetxattr(path, "user.kwshim", "x", 1, 0);
}

static int by_removexattr(const char *path)
{
    return removexattr(path, "user.kwshim");
}

static int by_lremovexattr(const char *path)
{
    return lremovexattr(path, "user.kwshim");
}

// Mode, owner, times and attributes by the path; what does best of all attempts.
static int change_by_path(const char *path)
{
    static int (*const ways[])(const char *) = {
        by_chmod,    by_fchmodat,  by_fchmodat2,   by_chown,        by_lchown,
        by_fchownat, by_utime,     by_utimes,      by_futimesat,    by_utimensat,
        by_setxattr, by_lsetxattr, by_removexattr, by_lremovexattr,
    };
    int result = EPERM;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        int error = ways[i](path) == 0 ? 0 : errno;
        result = error == 0 || (result == EPERM && error != EPERM) ? error : result;
    }
    return result;
}

// By a descriptor that is open for reading.
static int change_by_descriptor(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    int error = fchmod(fd, ANY_MODE) == 0 ? 0 : errno;
    close(fd);
    return error;
}

// By the descriptors of files and directories that the process had already.
static int change_inherited(void)
{
    int result = EBADF;
    struct stat st;
    for (int fd = 3; fd < FDS_MAX; fd++) {
        bool is_file = fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
        if (is_file && fchmod(fd, ANY_MODE) == 0) {
            result = 0;
        }
    }
    return result;
}

// Each path of a variable, which are separated by colons.
static void probe_paths(const char *trace, const char *variable, const char *name,
                        int (*try)(const char *path))
{
    char text[1024];
    char path[512];
    const char *at = getenv(variable);
    while (at != NULL && *at != '\0') {
        size_t len = strcspn(at, ":");
        snprintf(path, sizeof path, "%.*s", (int)len, at);
        snprintf(text, sizeof text, "probe %s:%s %d\n", name, path, try(path));
        note(trace, text);
        at += len + (at[len] == ':');
    }
}

void shim_probe(void)
{
    char text[64];
    const char *path = getenv("KWSHIM_TRACE");
    if (path == NULL) {
        abort();
    }
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        snprintf(text, sizeof text, "probe %s", attempts[i].name);
        note(path, text);
        snprintf(text, sizeof text, " %d\n", attempts[i].try());
        note(path, text);
    }
    probe_paths(path, "KWSHIM_FILES", "read", open_to_read);
    probe_paths(path, "KWSHIM_FILES", "write", open_to_write);
    if (getenv("KWSHIM_CHANGE") != NULL) {
        snprintf(text, sizeof text, "probe inherited %d\n", change_inherited());
        note(path, text);
    }
    probe_paths(path, "KWSHIM_CHANGE", "path", change_by_path);
    probe_paths(path, "KWSHIM_CHANGE", "descriptor", change_by_descriptor);
}
