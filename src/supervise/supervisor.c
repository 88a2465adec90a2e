// SPDX-License-Identifier: Apache-2.0
//
// The main loop: signals, control channels, due restarts. Before the server is set up it has no
// certificate, and the KMIP port stays closed; it is opened as soon as there is one.
#include "supervise/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/kv.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/rand.h"
#include "supervise/children.h"
#include "supervise/https.h"
#include "supervise/identity.h"
#include "supervise/listen.h"

// PROCESSES_MAX: of one role.
enum { COURIERS = 2, PROCESSES_MAX = 16, STOP_MS = 9000, SETUP_POLL_MS = 100 };

struct supervisor {
    struct children all;
    struct https https;
    struct kv *conf;
    int signals;
    int identities; // tells of changed TLS files
    int ready_fd;
    bool told_ready;
    bool told_closed; // that the KMIP port could not be opened
};

static enum err make_directories(int root)
{
    static const char *const dirs[] = {
        PATH_TDE_DIR,         PATH_HSM_WALLET_DIR,
        PATH_HSM_RESTORE_DIR, PATH_GENERIC_DIR,
        PATH_HSM_BIN_DIR,     PATH_SECURITY_DIR,
        PATH_HSM_LOG_DIR,     PATH_DB_LOG_DIR,
        PATH_CONF_DIR,        PATH_STATE_DIR,
        PATH_AUDIT_DIR,       PATH_TLS_DIR,
        PATH_RUN_DIR,         "mnt",
    };
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        TRY(file_mkdirs(root, dirs[i]));
    return ERR_OK;
}

// Takes the lock that says which supervisor owns this root; it is held until the process ends.
static enum err lock_root(int root)
{
    int fd = openat(root, PATH_PID, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return file_raise("create", PATH_PID);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char pid[32] = "";
        ssize_t got = read(fd, pid, sizeof pid - 1);
        (void)close(fd);
        FAIL(ERR_CONFLICT, "a server is running on this root already (process %.*s)",
             got > 0 ? (int)strcspn(pid, "\n") : 7, got > 0 ? pid : "unknown");
    }
    char text[32];
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0)
        return file_raise("truncate", PATH_PID);
    return file_write_all(fd, span_of(text, (size_t)len), PATH_PID);
}

static enum err open_log(int root)
{
    int fd = openat(root, PATH_LOG, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return file_raise("open", PATH_LOG);
    int moved = dup2(fd, STDERR_FILENO);
    (void)close(fd);
    if (moved < 0)
        return file_raise("open", PATH_LOG);
    return ERR_OK;
}

static enum err take_signals(int *ret_fd)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        FAIL(ERR_INTERNAL, "signals could not be blocked: %s", strerror(errno));
    *ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (*ret_fd < 0)
        FAIL(ERR_INTERNAL, "signals could not be taken: %s", strerror(errno));
    return ERR_OK;
}

static uint32_t cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return (uint32_t)CPU_COUNT(&set);
}

// A number of processes from the configuration, or its default.
static enum err count_of(const struct kv *conf, const char *key, uint32_t fallback, uint32_t *ret)
{
    const char *text = kv_get(conf, key, NULL);
    if (text == NULL) {
        *ret = fallback > PROCESSES_MAX ? PROCESSES_MAX : fallback;
        return ERR_OK;
    }
    char *end = NULL;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 1 || value > PROCESSES_MAX)
        FAIL(ERR_CONFIG, "\"%s\": %s must be 1 to %d, not \"%.32s\"", PATH_CONF, key, PROCESSES_MAX,
             text);
    *ret = (uint32_t)value;
    return ERR_OK;
}

static enum err add_all(struct supervisor *self)
{
    static const enum proc_role single[] = {ROLE_KEEPER, ROLE_WRITER, ROLE_ADMIN, ROLE_PEOPLE,
                                            ROLE_WEB};
    uint32_t fronts;
    uint32_t readers;
    uint32_t have = cores();
    TRY(count_of(self->conf, "FRONTS", have, &fronts));
    TRY(count_of(self->conf, "READERS", have > 1 ? have / 2 : 1, &readers));
    for (size_t i = 0; i < sizeof single / sizeof *single; i++)
        TRY(children_add(&self->all, single[i], 0));
    for (uint32_t i = 0; i < COURIERS; i++)
        TRY(children_add(&self->all, ROLE_COURIER, i));
    for (uint32_t i = 0; i < readers; i++)
        TRY(children_add(&self->all, ROLE_READER, i));
    for (uint32_t i = 0; i < fronts; i++)
        TRY(children_add(&self->all, ROLE_FRONT, i));
    return ERR_OK;
}

// A file in memory that nobody can change any more.
static enum err put_in_memory(const char *name, struct span bytes, int *ret_fd)
{
    CLEANUP(file_closep) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        FAIL(ERR_INTERNAL, "a file in memory could not be made: %s", strerror(errno));
    TRY(file_write_all(fd, bytes, name));
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) != 0)
        FAIL(ERR_INTERNAL, "a file in memory could not be sealed: %s", strerror(errno));
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

// New keys of TLS tickets with each start of the server, in memory alone.
static enum err make_tickets(int *ret_fd)
{
    uint8_t keys[PROC_TICKETS_LEN];
    rand_bytes(keys, sizeof keys);
    enum err err = put_in_memory("tickets", span_of(keys, sizeof keys), ret_fd);
    explicit_bzero(keys, sizeof keys);
    return err;
}

// The user alone does not tell who asks over the local socket: the HSM's library runs as the same.
// But it cannot read this file, so what stands there is asked for (docs/ARCHITECTURE.md).
static enum err make_local_key(int root, int *ret_fd)
{
    uint8_t key[PROC_LOCAL_KEY_LEN / 2];
    char line[sizeof HEADER_LOCAL + 2 + PROC_LOCAL_KEY_LEN + 1] = HEADER_LOCAL ": ";
    char *text = line + strlen(line);
    rand_bytes(key, sizeof key);
    hex_text(span_of(key, sizeof key), text);
    enum err err = put_in_memory("local key", span_of(text, PROC_LOCAL_KEY_LEN), ret_fd);
    text[PROC_LOCAL_KEY_LEN] = '\n';
    if (err == ERR_OK)
        err = file_write(root, PATH_API_HEADER,
                         span_of(line, strlen(HEADER_LOCAL) + 3 + PROC_LOCAL_KEY_LEN));
    explicit_bzero(key, sizeof key);
    explicit_bzero(line, sizeof line);
    return err;
}

// Opens the KMIP port once there is a certificate to show. A port that is taken is said once, then
// tried again quietly.
static enum err open_kmip(struct supervisor *self)
{
    if (self->all.kmip_listener >= 0 || !file_exists(self->all.root_fd, PATH_TLS_CERT))
        return ERR_OK;
    const char *address = kv_get(self->conf, "KMIP_LISTEN", "[::]:5696");
    enum err err = listen_tcp(address, &self->all.kmip_listener);
    if (err == ERR_OK) {
        log_event(LOG_LEVEL_INFO, "kmip_port_open address=%s", address);
        listen_tell(self->all.root_fd, PATH_KMIP_STATE, "open", address);
        return ERR_OK;
    }
    if (!self->told_closed && self->told_ready) {
        log_error("kmip_port_closed", err);
        self->told_closed = true;
        listen_tell(self->all.root_fd, PATH_KMIP_STATE, "closed", err_detail());
    }
    return err;
}

static void tell(struct supervisor *self, const char *text)
{
    if (self->ready_fd < 0 || self->told_ready)
        return;
    if (file_write_all(self->ready_fd, span_str(text), "the ready channel") != ERR_OK)
        log_error("ready_not_told", ERR_IO);
    (void)close(self->ready_fd);
    self->told_ready = true;
}

// True when a signal asks for the end.
static bool handle_signals(struct supervisor *self)
{
    bool stop = false;
    struct signalfd_siginfo info;
    while (read(self->signals, &info, sizeof info) == (ssize_t)sizeof info)
        stop = stop || info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
    children_reap(&self->all);
    return stop;
}

static int next_wait(const struct supervisor *self)
{
    int wait = children_wait_ms(&self->all);
    bool closed = self->all.kmip_listener < 0 || https_waits(&self->https, &self->all);
    return closed && (wait < 0 || wait > SETUP_POLL_MS) ? SETUP_POLL_MS : wait;
}

// One turn: sleep until something happens, then handle it. True when it is time to stop.
static bool turn(struct supervisor *self)
{
    struct pollfd fds[PROC_PEERS_MAX + 2];
    int numbers[PROC_PEERS_MAX + 2];
    nfds_t count = 0;
    fds[count] = (struct pollfd){.fd = self->signals, .events = POLLIN};
    numbers[count++] = -1;
    fds[count] = (struct pollfd){.fd = self->identities, .events = POLLIN};
    numbers[count++] = -1;
    for (int i = 0; i < self->all.count; i++) {
        if (self->all.items[i].control < 0)
            continue;
        fds[count] = (struct pollfd){.fd = self->all.items[i].control, .events = POLLIN};
        numbers[count++] = i;
    }
    (void)poll(fds, count, next_wait(self));
    if (fds[1].revents != 0)
        identity_look(self->identities, &self->all);
    for (nfds_t i = 2; i < count; i++) {
        if (fds[i].revents != 0 && self->all.items[numbers[i]].control == fds[i].fd)
            children_hear(&self->all, numbers[i]);
    }
    return handle_signals(self);
}

static enum err serve(struct supervisor *self)
{
    for (bool stop = false; !stop;) {
        enum err err = open_kmip(self);
        if (err == ERR_OK && !self->told_ready && self->ready_fd >= 0)
            err = children_check_start(&self->all);
        if (err != ERR_OK && !self->told_ready)
            return err;
        children_start_due(&self->all);
        https_open(&self->https, &self->all);
        if (children_all_ready(&self->all))
            tell(self, "ready\n");
        stop = turn(self);
    }
    log_event(LOG_LEVEL_INFO, "stopping");
    children_stop(&self->all, STOP_MS);
    TRY(file_remove(self->all.root_fd, PATH_KMIP_STATE));
    TRY(file_remove(self->all.root_fd, PATH_WEB_STATE));
    TRY(file_remove(self->all.root_fd, PATH_API_HEADER));
    return file_remove(self->all.root_fd, PATH_API_SOCKET);
}

static enum err prepare(struct supervisor *self, const struct supervisor_options *options)
{
    self->all.root = options->root;
    self->all.programs = options->programs;
    TRY(file_open_dir(options->root, &self->all.root_fd));
    TRY(make_directories(self->all.root_fd));
    TRY(lock_root(self->all.root_fd));
    TRY(kv_load(self->all.root_fd, PATH_CONF, &self->conf));
    TRY(file_remove(self->all.root_fd, PATH_KMIP_STATE));
    TRY(open_kmip(self));
    TRY(https_init(&self->https, &self->all, self->conf));
    TRY(identity_watch(self->all.root_fd, &self->identities));
    TRY(make_local_key(self->all.root_fd, &self->all.local_key));
    TRY(listen_unix(self->all.root_fd, PATH_API_SOCKET, &self->all.web_listener));
    TRY(make_tickets(&self->all.ticket_keys));
    TRY(add_all(self));
    TRY(take_signals(&self->signals));
    if (!options->foreground)
        TRY(open_log(self->all.root_fd));
    return ERR_OK;
}

enum err supervisor_run(const struct supervisor_options *options)
{
    struct supervisor self = {
        .all = {.root_fd = -1,
                .kmip_listener = -1,
                .web_listener = -1,
                .https_listener = -1,
                .ticket_keys = -1,
                .local_key = -1},
        .signals = -1,
        .identities = -1,
        .ready_fd = options->ready_fd,
    };
    enum err err = prepare(&self, options);
    if (err == ERR_OK) {
        log_event(LOG_LEVEL_INFO, "supervisor_started version=%s pid=%d", KEYWARD_VERSION,
                  (int)getpid());
        err = serve(&self);
    }
    if (err != ERR_OK) {
        char text[1200];
        (void)snprintf(text, sizeof text, "error: %s\n", err_message(err));
        log_error("supervisor_failed", err);
        children_stop(&self.all, STOP_MS);
        tell(&self, text);
    }
    file_closep(&self.identities);
    kv_free(self.conf);
    return err;
}
