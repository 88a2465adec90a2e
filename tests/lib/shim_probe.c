// SPDX-License-Identifier: Apache-2.0
// The attempts of a hostile library, one function each, told by their errno. The name goes to the
// trace before the attempt, the result after, so that an attempt that kills is known by its name.
#include "shim_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

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

// Each path of KWSHIM_FILES, which are separated by colons: for reading, and for writing where it
// is no directory.
static void probe_files(const char *trace)
{
    char text[2048];
    char path[512];
    const char *at = getenv("KWSHIM_FILES");
    while (at != NULL && *at != '\0') {
        size_t len = strcspn(at, ":");
        snprintf(path, sizeof path, "%.*s", (int)len, at);
        int reading = opened(path, O_RDONLY | O_NONBLOCK);
        int writing = opened(path, O_WRONLY | O_NONBLOCK);
        snprintf(text, sizeof text, "probe read:%s %d\nprobe write:%s %d\n", path, reading, path,
                 writing);
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
    probe_files(path);
}
