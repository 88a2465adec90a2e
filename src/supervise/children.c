// SPDX-License-Identifier: Apache-2.0
//
// The children: started in the order of the table, wired pair by pair. Invariant: two running
// children whose roles stand in the wiring table hold the two ends of one socket pair, made after
// the later of them was started.
#include "supervise/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "ipc/ipc.h"
#include "proc/control.h"
#include "proc/wiring.h"
#include "supervise/spawn.h"

enum { SHORT_LIFE_MS = 1000, PAUSE_MIN_MS = 50, PAUSE_MAX_MS = 5000, CHANNEL_BYTES = 4 << 20 };
enum { START_FAILURES_MAX = 3 }; // ends in a row, before the server is said not to start
enum { LAST_WORDS_MAX = 16 };    // messages of a dead process that are still read
enum { GONE_MS = 500 };          // a killed process is gone in less, unless it sleeps in the kernel

enum err children_add(struct children *all, enum proc_role role, uint32_t index)
{
    if (all->count == PROC_PEERS_MAX)
        FAIL(ERR_CONFIG, "more than %d processes", PROC_PEERS_MAX);
    all->items[all->count++] = (struct child){
        .role = role, .index = index, .control = -1, .owner = -1, .restart_ms = clock_mono_ms()};
    return ERR_OK;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

// A stream socket pair with room for a batch in each direction.
static enum err channel_pair(int pair[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        FAIL(ERR_UNAVAILABLE, "a channel could not be made: %s", strerror(errno));
    int bytes = CHANNEL_BYTES;
    for (int i = 0; i < 2; i++) {
        (void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        (void)setsockopt(pair[i], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
    return ERR_OK;
}

// hsmd with all that its library has forked: its process group (spawn.c), which it cannot leave
// (proc/seccomp.c). Only while it has not been waited for is the number surely its own.
static void kill_child(const struct child *child)
{
    if (child->role == ROLE_HSMD)
        (void)kill(-child->pid, SIGKILL);
    (void)kill(child->pid, SIGKILL);
}

// A child that breaks the rules of its control channel, or does not read it: it is ended, and
// started again like any other that died. The supervisor never waits for one.
static void end_rogue(const struct child *child, const char *why)
{
    log_event(LOG_LEVEL_ERROR, "process_rogue role=%s index=%u pid=%d reason=\"%s\"",
              proc_role_name(child->role), child->index, (int)child->pid, why);
    if (child->pid > 0)
        kill_child(child);
}

static enum err tell(const struct child *to, const struct proc_message *message, int fd)
{
    enum err err = control_send(to->control, message, fd);
    if (err == ERR_BUSY)
        end_rogue(to, "it does not read its control channel");
    return err;
}

static enum err attach(const struct child *to, const struct child *peer, int fd)
{
    struct proc_message message = {
        .kind = PROC_ATTACH, .role = (uint32_t)peer->role, .index = peer->index};
    return tell(to, &message, fd);
}

// Both ends get the memory before the channel that crosses in it.
static enum err share(const struct child *a, const struct child *b)
{
    static const struct proc_message message = {.kind = PROC_ATTACH, .role = ROLE_MEMORY};
    CLEANUP(file_closep) int memory = -1;
    TRY(ipc_make_memory(&memory));
    TRY(tell(a, &message, memory));
    return tell(b, &message, memory);
}

static void wire(const struct child *a, const struct child *b, bool shared)
{
    int pair[2];
    enum err err = channel_pair(pair);
    if (err == ERR_OK) {
        if (shared)
            err = share(a, b);
        if (err == ERR_OK)
            err = attach(a, b, pair[0]);
        if (err == ERR_OK)
            err = attach(b, a, pair[1]);
        close_fd(pair[0]);
        close_fd(pair[1]);
    }
    // A peer that is dying gets a new channel when it is started again.
    if (err != ERR_OK)
        log_error("wire_failed", err);
}

static const struct wiring_pair *find_pair(enum proc_role a, enum proc_role b)
{
    for (size_t i = 0; i < wiring_pair_count; i++) {
        const struct wiring_pair *pair = &wiring_pairs[i];
        if ((pair->a == a && pair->b == b) || (pair->a == b && pair->b == a))
            return pair;
    }
    return NULL;
}

static enum err give_file(const struct child *child, uint32_t which, int fd)
{
    struct proc_message message = {.kind = PROC_ATTACH, .role = ROLE_IDENTITY, .index = which};
    return tell(child, &message, fd);
}

static enum err give_path(const struct children *all, const struct child *child, uint32_t which,
                          const char *path)
{
    CLEANUP(file_closep) int fd = -1;
    TRY(file_open(all->root_fd, path, which == PROC_IDENTITY_KEY, &fd));
    return give_file(child, which, fd);
}

// The web process shows the console's own key and certificate where both are there, else the
// server's; fronts show the server's, and want to know whom to trust. The certificate comes last.
static enum err give_identity(const struct children *all, const struct child *child)
{
    int root = all->root_fd;
    bool web = child->role == ROLE_WEB;
    bool own = web && file_exists(root, PATH_WEB_KEY) && file_exists(root, PATH_WEB_CERT);
    TRY(give_path(all, child, PROC_IDENTITY_KEY, own ? PATH_WEB_KEY : PATH_TLS_KEY));
    if (!web)
        TRY(give_path(all, child, PROC_IDENTITY_CA, PATH_TLS_CA));
    return give_path(all, child, PROC_IDENTITY_CERT, own ? PATH_WEB_CERT : PATH_TLS_CERT);
}

static bool lacks_https(const struct child *child)
{
    return child->role == ROLE_WEB && child->pid != 0 && !child->has_https;
}

bool children_lack_https(const struct children *all)
{
    for (int i = 0; i < all->count; i++) {
        if (lacks_https(&all->items[i]))
            return true;
    }
    return false;
}

enum err children_give_https(struct children *all)
{
    struct proc_message message = {
        .kind = PROC_ATTACH, .role = ROLE_LISTENER, .index = PROC_LISTENER_TLS};
    for (int i = 0; i < all->count; i++) {
        struct child *child = &all->items[i];
        if (!lacks_https(child))
            continue;
        TRY(give_identity(all, child));
        TRY(tell(child, &message, all->https_listener));
        child->has_https = true;
    }
    return ERR_OK;
}

void children_give_identity(struct children *all)
{
    for (int i = 0; i < all->count; i++) {
        const struct child *child = &all->items[i];
        if (child->pid == 0 || (child->role != ROLE_FRONT && !child->has_https))
            continue;
        enum err err = give_identity(all, child);
        if (err != ERR_OK)
            log_error("identity_not_given", err);
    }
}

static void give_listener(const struct children *all, const struct child *child)
{
    int fd = child->role == ROLE_FRONT ? all->kmip_listener : all->web_listener;
    struct proc_message message = {.kind = PROC_ATTACH, .role = ROLE_LISTENER};
    if (fd >= 0 && (child->role == ROLE_FRONT || child->role == ROLE_WEB) &&
        tell(child, &message, fd) != ERR_OK)
        log_error("listener_not_given", ERR_UNAVAILABLE);
}

static void give_tickets(const struct children *all, const struct child *child)
{
    struct proc_message message = {.kind = PROC_ATTACH, .role = ROLE_TICKETS};
    if (child->role == ROLE_FRONT && tell(child, &message, all->ticket_keys) != ERR_OK)
        log_error("tickets_not_given", ERR_UNAVAILABLE);
}

static void give_local_key(const struct children *all, const struct child *child)
{
    struct proc_message message = {.kind = PROC_ATTACH, .role = ROLE_LOCAL_KEY};
    if (child->role == ROLE_WEB && tell(child, &message, all->local_key) != ERR_OK)
        log_error("local_key_not_given", ERR_UNAVAILABLE);
}

static void wire_to_all(struct children *all, const struct child *child)
{
    for (int i = 0; i < all->count; i++) {
        const struct child *peer = &all->items[i];
        if (peer == child || peer->pid == 0 || peer->one_shot)
            continue;
        const struct wiring_pair *pair = find_pair(child->role, peer->role);
        if (pair != NULL)
            wire(child, peer, pair->shared);
    }
}

static void schedule(struct child *child)
{
    int64_t now = clock_mono_ms();
    bool short_life = now - child->started_ms < SHORT_LIFE_MS;
    child->failures = short_life ? child->failures + 1 : 0;
    int64_t pause = 0;
    if (child->failures > 0) {
        uint32_t doublings = child->failures < 8 ? child->failures - 1 : 7;
        pause = (int64_t)PAUSE_MIN_MS << doublings;
    }
    child->restart_ms = now + (pause > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause);
}

static void start(struct children *all, struct child *child)
{
    child->started_ms = clock_mono_ms();
    child->restart_ms = 0;
    child->ready = false;
    child->has_https = false;
    enum err err = spawn_child(all, child, &child->pid, &child->control);
    if (err != ERR_OK) {
        log_error("start_failed", err);
        child->pid = 0;
        schedule(child);
        return;
    }
    log_event(LOG_LEVEL_INFO, "process_started role=%s index=%u pid=%d",
              proc_role_name(child->role), child->index, (int)child->pid);
    wire_to_all(all, child);
    give_tickets(all, child);
    give_local_key(all, child);
    give_listener(all, child);
}

static bool may_start(const struct children *all, const struct child *child)
{
    return child->pid == 0 && child->restart_ms != 0 && !child->one_shot && !all->stopping &&
           !(child->role == ROLE_FRONT && all->kmip_listener < 0);
}

void children_start_due(struct children *all)
{
    int64_t now = clock_mono_ms();
    for (int i = 0; i < all->count; i++) {
        struct child *child = &all->items[i];
        if (may_start(all, child) && child->restart_ms <= now)
            start(all, child);
    }
}

int children_wait_ms(const struct children *all)
{
    int64_t now = clock_mono_ms();
    int64_t least = -1;
    for (int i = 0; i < all->count; i++) {
        if (!may_start(all, &all->items[i]))
            continue;
        int64_t left = all->items[i].restart_ms - now;
        left = left < 0 ? 0 : left;
        least = least < 0 || left < least ? left : least;
    }
    return (int)least;
}

static void keep_why(struct child *child, const struct proc_message *message)
{
    (void)snprintf(child->why, sizeof child->why, "%.*s", (int)sizeof message->detail - 1,
                   message->detail);
}

// A process says why it ends just before it does: its death may be seen first.
static void hear_last_words(struct child *child)
{
    struct proc_message message;
    int fd = -1;
    for (int i = 0; i < LAST_WORDS_MAX; i++) {
        if (child->control < 0 || control_receive(child->control, 0, &message, &fd) != ERR_OK)
            return;
        close_fd(fd);
        if (message.kind == PROC_FAILED)
            keep_why(child, &message);
    }
}

static void forget(struct child *child)
{
    close_fd(child->control);
    child->control = -1;
    child->pid = 0;
    child->ready = false;
    child->left_behind = false;
}

// Outlives SIGKILL, as in an uninterruptible sleep of a driver or of a file system of the network:
// its row keeps the number and loses the channel, and children_reap frees it.
static void leave_behind(struct child *child)
{
    if (!child->left_behind)
        log_event(LOG_LEVEL_ERROR, "process_not_gone role=%s pid=%d: it was killed but sleeps on",
                  proc_role_name(child->role), (int)child->pid);
    close_fd(child->control);
    child->control = -1;
    child->left_behind = true;
}

// Kills a child and waits for its end, but not for ever, and once.
static void end_child(struct child *child)
{
    int64_t deadline = clock_mono_ms() + (child->left_behind ? 0 : GONE_MS);
    kill_child(child);
    while (waitpid(child->pid, NULL, WNOHANG) == 0) {
        if (clock_mono_ms() >= deadline) {
            leave_behind(child);
            return;
        }
        (void)poll(NULL, 0, 1);
    }
    forget(child);
}

// Takes a one-shot out of the table's running ones; its row is used again for the next.
static void end_one_shot(struct children *all, int number)
{
    struct child *child = &all->items[number];
    if (child->pid == 0)
        return;
    end_child(child);
    for (int i = 0; i < all->count; i++) {
        if (all->items[i].one_shot && all->items[i].owner == number)
            end_one_shot(all, i);
    }
}

static void end_owned(struct children *all, int owner, enum proc_role role)
{
    for (int i = 0; i < all->count; i++) {
        const struct child *child = &all->items[i];
        if (child->one_shot && child->owner == owner && (role == ROLE_NONE || child->role == role))
            end_one_shot(all, i);
    }
}

static void died(struct children *all, int number, int status)
{
    struct child *child = &all->items[number];
    int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    bool expected = all->stopping || (child->one_shot && sig == 0 && code == 0);
    log_event(expected ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
              "process_ended role=%s index=%u pid=%d signal=%d status=%d",
              proc_role_name(child->role), child->index, (int)child->pid, sig, code);
    hear_last_words(child);
    forget(child);
    end_owned(all, number, ROLE_NONE);
    if (child->one_shot || all->stopping)
        return;
    child->restarts++;
    schedule(child);
}

// The row of a process, -1 when it is none of the table's.
static int number_of(const struct children *all, pid_t pid)
{
    for (int i = 0; i < all->count; i++) {
        if (all->items[i].pid == pid)
            return i;
    }
    return -1;
}

void children_reap(struct children *all)
{
    siginfo_t info = {.si_pid = 0};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0) {
        int status = 0;
        int number = number_of(all, info.si_pid);
        if (number >= 0)
            kill_child(&all->items[number]);
        if (waitpid(info.si_pid, &status, 0) == info.si_pid && number >= 0)
            died(all, number, status);
        info.si_pid = 0;
    }
}

// A free row for a one-shot of this owner and role: one it had before, or a new one.
static struct child *one_shot_row(struct children *all, int owner, enum proc_role role)
{
    for (int i = 0; i < all->count; i++) {
        struct child *child = &all->items[i];
        if (child->one_shot && child->pid == 0 && child->role == role && child->owner == owner)
            return child;
    }
    if (all->count == PROC_PEERS_MAX)
        return NULL;
    struct child *child = &all->items[all->count++];
    *child = (struct child){.role = role, .control = -1, .one_shot = true, .owner = owner};
    return child;
}

static enum err start_one_shot(struct children *all, int asker, struct child *child)
{
    int pair[2];
    TRY(spawn_child(all, child, &child->pid, &child->control));
    child->started_ms = clock_mono_ms();
    TRY(channel_pair(pair));
    const struct child *owner = &all->items[asker];
    enum err err = attach(child, owner, pair[0]);
    if (err == ERR_OK)
        err = attach(owner, child, pair[1]);
    close_fd(pair[0]);
    close_fd(pair[1]);
    return err;
}

static void spawn_for(struct children *all, int asker, enum proc_role role)
{
    end_owned(all, asker, role);
    struct child *child = one_shot_row(all, asker, role);
    enum err err = child == NULL ? ERR_UNAVAILABLE : start_one_shot(all, asker, child);
    if (err == ERR_OK)
        return;
    log_error("spawn_failed", err);
    if (child != NULL)
        end_one_shot(all, (int)(child - all->items));
    struct proc_message answer = {.kind = PROC_SPAWN, .role = (uint32_t)role, .failed = 1};
    if (tell(&all->items[asker], &answer, -1) != ERR_OK)
        log_error("spawn_answer_failed", ERR_UNAVAILABLE);
}

void children_hear(struct children *all, int number)
{
    struct child *child = &all->items[number];
    struct proc_message message;
    int fd = -1;
    enum err err = control_receive(child->control, 0, &message, &fd);
    close_fd(fd);
    if (err == ERR_TIMEOUT)
        return;
    if (err != ERR_OK) {
        // The death itself is reaped; until then the channel must not wake us again. A child
        // without a channel would never be wired again: should it live on, it ends here.
        close_fd(child->control);
        child->control = -1;
        if (child->pid > 0)
            kill_child(child);
        return;
    }
    enum proc_role role = message.role < ROLE_COUNT ? (enum proc_role)message.role : ROLE_NONE;
    if (message.kind == PROC_READY && !child->ready)
        child->ready = true;
    else if (message.kind == PROC_FAILED)
        keep_why(child, &message);
    else if (message.kind == PROC_SPAWN && wiring_may_spawn(child->role, role))
        spawn_for(all, number, role);
    else if (message.kind == PROC_KILL && wiring_may_spawn(child->role, role))
        end_owned(all, number, role);
    else
        end_rogue(child, "it asked for what it may not");
}

bool children_all_ready(const struct children *all)
{
    for (int i = 0; i < all->count; i++) {
        const struct child *child = &all->items[i];
        bool wanted = !child->one_shot && !(child->role == ROLE_FRONT && all->kmip_listener < 0);
        if (wanted && !(child->pid > 0 && child->ready))
            return false;
    }
    return true;
}

enum err children_check_start(const struct children *all)
{
    for (int i = 0; i < all->count; i++) {
        const struct child *child = &all->items[i];
        if (child->one_shot || child->failures < START_FAILURES_MAX)
            continue;
        const char *why = child->why[0] == '\0' ? "see the log" : child->why;
        FAIL(ERR_UNAVAILABLE, "the process \"%s\" ends as soon as it starts: %s",
             proc_role_name(child->role), why);
    }
    return ERR_OK;
}

static bool any_running(const struct children *all, const enum proc_role *roles, size_t count)
{
    for (int i = 0; i < all->count; i++) {
        for (size_t k = 0; k < count; k++) {
            if (all->items[i].pid > 0 && all->items[i].role == roles[k])
                return true;
        }
    }
    return false;
}

// Tells the children of some roles to finish and waits for them until the deadline.
static void stop_roles(struct children *all, const enum proc_role *roles, size_t count,
                       int64_t deadline)
{
    struct proc_message stop = {.kind = PROC_STOP};
    for (int i = 0; i < all->count; i++) {
        struct child *child = &all->items[i];
        for (size_t k = 0; k < count; k++) {
            if (child->pid > 0 && child->control >= 0 && child->role == roles[k] &&
                control_send(child->control, &stop, -1) != ERR_OK)
                kill_child(child);
        }
    }
    while (any_running(all, roles, count) && clock_mono_ms() < deadline) {
        (void)poll(NULL, 0, 2);
        children_reap(all);
    }
}

void children_stop(struct children *all, int timeout_ms)
{
    static const enum proc_role outer[] = {ROLE_FRONT, ROLE_WEB, ROLE_COURIER};
    static const enum proc_role readers[] = {ROLE_READER, ROLE_ADMIN, ROLE_PEOPLE};
    // After the readers: it signs what they have recorded.
    static const enum proc_role writers[] = {ROLE_WRITER};
    static const enum proc_role inner[] = {ROLE_KEEPER};
    int64_t deadline = clock_mono_ms() + timeout_ms;
    all->stopping = true;
    stop_roles(all, outer, sizeof outer / sizeof *outer, deadline);
    stop_roles(all, readers, sizeof readers / sizeof *readers, deadline);
    stop_roles(all, writers, sizeof writers / sizeof *writers, deadline);
    stop_roles(all, inner, sizeof inner / sizeof *inner, deadline);
    for (int i = 0; i < all->count; i++) {
        struct child *child = &all->items[i];
        if (child->pid == 0)
            continue;
        if (!child->one_shot)
            log_event(LOG_LEVEL_WARN, "process_killed role=%s pid=%d: it did not stop in time",
                      proc_role_name(child->role), (int)child->pid);
        end_child(child);
    }
}
