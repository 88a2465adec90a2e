// SPDX-License-Identifier: Apache-2.0
// The program crashpoint is tested with: small trees of processes whose crash points are known by
// construction. Each mode is one function and says which points it has; all places are under DIR,
// the working directory.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void fail(const char *what)
{
    char line[64];
    int n = snprintf(line, sizeof line, "failed %s %d\n", what, errno);
    if (write(STDOUT_FILENO, line, (size_t)n) != n) { // dprintf makes calls a sandbox refuses
        _exit(3);
    }
    _exit(1);
}

static void must(const char *what, long rc)
{
    if (rc < 0) {
        fail(what);
    }
}

// 2 points: open, write.
static void put(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must("open", fd);
    must("write", write(fd, text, strlen(text)));
    close(fd);
}

// 5 points: open, write, fsync, rename, fsync of the directory.
static int rotate(void)
{
    int fd = open("new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    must("open", fd);
    must("write", write(fd, "new\n", 4));
    must("fsync", fsync(fd));
    must("close", close(fd));
    must("rename", rename("new", "key"));
    int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must("open", dir);
    must("fsync", fsync(dir));
    return 0;
}

// No point: pipes, terminals, devices, memory, reading, the kernel's own files.
static int nothing(void)
{
    int p[2];
    must("pipe", pipe2(p, O_CLOEXEC));
    must("write", write(p[1], "x", 1));
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    must("open", fd);
    must("write", write(fd, "x", 1));
    fd = memfd_create("m", MFD_CLOEXEC);
    must("memfd", fd);
    must("write", write(fd, "x", 1));
    must("ftruncate", ftruncate(fd, 10));
    must("open", open("key", O_RDONLY | O_CLOEXEC));
    fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    must("open", fd);
    must("write", write(fd, "0", 1));
    dprintf(STDOUT_FILENO, "quiet\n");
    return 0;
}

// 6 points beside the two of "there", in this order.
static int mapped(void)
{
    put("there", "0123456789");
    int fd = open("there", O_RDWR | O_CLOEXEC);
    must("open", fd);
    char *m = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    m[0] = 'X';
    must("msync", msync(m, 10, MS_SYNC));
    int copy = open("copy", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    must("sendfile", sendfile(copy, fd, NULL, 5));
    must("copy_file_range", copy_file_range(fd, NULL, copy, NULL, 5, 0));
    must("fallocate", fallocate(copy, 0, 0, 100));
    return 0;
}

// 9 points, one a call.
static int names(void)
{
    must("mkdir", mkdir("d", 0700));
    must("mkdirat", mkdirat(AT_FDCWD, "d/e/", 0700));
    must("link", link("key", "d/k"));
    must("symlink", symlink("key", "d/s"));
    must("chmod", chmod("d/k", 0640));
    must("chown", chown("d/k", getuid(), getgid()));
    must("unlink", unlink("d/k"));
    must("rmdir", rmdir("d/e"));
    must("unlinkat", unlinkat(AT_FDCWD, "d/s", 0));
    return 0;
}

static void *one_thread(void *arg)
{
    put(arg, "t");
    return NULL;
}

// 8 points: four threads of 2.
static int threads(void)
{
    static char files[4][8];
    pthread_t id[4];
    for (int i = 0; i < 4; i++) {
        snprintf(files[i], sizeof files[i], "t%d", i);
        pthread_create(&id[i], NULL, one_thread, files[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(id[i], NULL);
    }
    return 0;
}

// 3 points: child, daemon in a session of its own that outlives its parents, parent. The daemon
// works when the pipe says that the parent has gone.
static int tree(void)
{
    int gone[2];
    must("pipe", pipe2(gone, O_CLOEXEC));
    if (fork() == 0) {
        must("mkdir", mkdir("child", 0700));
        if (fork() == 0) {
            char byte;
            setsid();
            close(gone[1]);
            must("read", read(gone[0], &byte, 1));
            must("mkdir", mkdir("daemon", 0700));
        }
        _exit(0);
    }
    wait(NULL);
    must("mkdir", mkdir("parent", 0700));
    return 7;
}

// 2 points, and two processes that never end, one of them in a session of its own.
static int stay(void)
{
    int ready[2];
    must("pipe", pipe2(ready, O_CLOEXEC));
    for (int i = 0; i < 2; i++) {
        if (fork() == 0) {
            if (i == 0) {
                setsid();
                signal(SIGTERM, SIG_IGN);
            }
            must("write", write(ready[1], "r", 1));
            for (;;) {
                pause();
            }
        }
        char byte;
        must("read", read(ready[0], &byte, 1));
    }
    put("late", "late");
    return 0;
}

static void allow(scmp_filter_ctx ctx)
{
    const int wanted[] = {SCMP_SYS(open),   SCMP_SYS(openat), SCMP_SYS(write),     SCMP_SYS(fsync),
                          SCMP_SYS(rename), SCMP_SYS(close),  SCMP_SYS(exit_group)};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        must("rule", seccomp_rule_add(ctx, SCMP_ACT_ALLOW, wanted[i], 0));
    }
    must("rule", seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mkdir), 0));
}

// 5 points as rotate, in a process that hides its memory, may gain no privilege and dies at any
// call its own filter does not list; its filter refuses mkdir, which therefore is no point.
static int sealed(void)
{
    must("dumpable", prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) {
        fail("dumpable");
    }
    must("privileges", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    allow(ctx);
    must("load", seccomp_load(ctx));
    if (mkdir("d", 0700) == 0 || errno != EPERM) {
        fail("mkdir");
    }
    return rotate();
}

// As sealed, after giving up root.
static int dropped(void)
{
    must("setgid", setgid(65534));
    must("setuid", setuid(65534));
    return sealed();
}

// A server: for each line on standard input 2 points and the answer "ok" or the errno.
static int serve(void)
{
    char line[64];
    dprintf(STDOUT_FILENO, "ready %d\n", getpid());
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        int fd = open(line, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ssize_t n = fd < 0 ? -1 : write(fd, "data", 4);
        dprintf(STDOUT_FILENO, "%s %d\n", n >= 0 ? "ok" : "error", n >= 0 ? (int)n : errno);
        if (fd >= 0) {
            close(fd);
        }
    }
    return 0;
}

// With sockets 3 points: sendto, sendmsg (by send and sendmsg), write; without none.
static int sockets(void)
{
    int s[2];
    char byte = 'x';
    struct iovec v = {.iov_base = &byte, .iov_len = 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    must("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
    must("send", send(s[0], "x", 1, 0));
    must("sendmsg", sendmsg(s[0], &m, 0));
    must("write", write(s[0], "x", 1));
    return 0;
}

// A thread that is not the first one executes a program; 1 point in the new program.
static void *become(void *arg)
{
    (void)arg;
    execlp("mkdir", "mkdir", "made", NULL);
    fail("exec");
}

static int exec_thread(void)
{
    pthread_t id;
    pthread_create(&id, NULL, become, NULL);
    pthread_join(id, NULL);
    return 1;
}

// 2000 writes and 1 open, and as many calls that are no points.
static int busy(void)
{
    int fd = open("busy", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int null = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    char byte;
    for (int i = 0; i < 2000; i++) {
        must("write", write(fd, "x", 1));
        must("read", pread(null, &byte, 1, 0));
    }
    return 0;
}

static const struct mode {
    const char *name;
    int (*run)(void);
} modes[] = {{"rotate", rotate}, {"nothing", nothing}, {"mapped", mapped},
             {"names", names},   {"threads", threads}, {"tree", tree},
             {"stay", stay},     {"sealed", sealed},   {"dropped", dropped},
             {"serve", serve},   {"sockets", sockets}, {"exec_thread", exec_thread},
             {"busy", busy}};

int main(int argc, char **argv)
{
    if (argc != 3 || chdir(argv[2]) != 0) {
        fprintf(stderr, "usage: crashpoint-sample MODE DIR\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(modes[i].name, argv[1]) == 0) {
            return modes[i].run();
        }
    }
    return 2;
}
