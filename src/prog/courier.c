// SPDX-License-Identifier: Apache-2.0
//
// keyward-courier --index N: speaks to the outside. Number 0 forwards audit records, number 1 sends
// mail. It may fail, hang and be killed: what is to be delivered lies in the store, and what was
// delivered is told to the writer.
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "courier/deliver.h"
#include "proc/proc.h"

enum { FORWARD = 0, MAIL = 1, PAUSE_MS = 1000 };

struct program {
    uint32_t index;
    struct courier *courier;
    struct ipc *reader, *writer;
    bool stop;
};

static enum err attach(struct program *self, const struct proc_message *message, int fd)
{
    struct ipc *ipc = NULL;
    TRY(ipc_new(fd, &ipc));
    // One reader is enough: the first.
    if (message->role == ROLE_WRITER) {
        ipc_freep(&self->writer);
        self->writer = ipc;
    } else if (message->role == ROLE_READER && message->index == 0) {
        ipc_freep(&self->reader);
        self->reader = ipc;
    } else {
        ipc_free(ipc);
    }
    courier_set_channels(self->courier, self->reader, self->writer);
    return ERR_OK;
}

static enum err hear(struct program *self, int timeout_ms)
{
    struct proc_message message;
    int fd = -1;
    enum err err = proc_receive(timeout_ms, &message, &fd);
    if (err == ERR_TIMEOUT)
        return ERR_OK;
    TRY(err);
    if (message.kind == PROC_STOP)
        self->stop = true;
    if (message.kind == PROC_ATTACH && fd >= 0)
        return attach(self, &message, fd);
    file_closep(&fd);
    return ERR_OK;
}

// A channel whose process has died: its successor's comes by itself.
static void drop_channels(struct program *self)
{
    ipc_freep(&self->reader);
    ipc_freep(&self->writer);
    courier_set_channels(self->courier, NULL, NULL);
}

static enum err serve(struct program *self)
{
    while (!self->stop) {
        int wait_ms = PAUSE_MS;
        enum err err = self->index == MAIL ? courier_mail(self->courier, &wait_ms)
                                           : courier_forward(self->courier, &wait_ms);
        if (err != ERR_OK && err != ERR_CANCELED) {
            log_error("round_failed", err);
            wait_ms = PAUSE_MS;
        }
        TRY(hear(self, err == ERR_CANCELED ? 0 : wait_ms));
    }
    return ERR_OK;
}

// The name service and the system's authorities, to read; nothing of the server's own.
static enum err wall_in(void)
{
    static const char *const wanted[] = {"/etc", "/usr/share", "/usr/lib/ssl",
                                         "/run/systemd/resolve", "/run/resolvconf"};
    struct proc_tree trees[sizeof wanted / sizeof *wanted];
    size_t count = 0;
    CLEANUP(file_closep) int root = -1;
    TRY(file_open_dir("/", &root));
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (access(wanted[i], F_OK) == 0)
            trees[count++] = (struct proc_tree){wanted[i], PROC_REACH_READ};
    }
    return proc_wall_in(root, trees, count);
}

static enum err run(struct program *self)
{
    TRY(proc_harden());
    TRY(courier_new(PROC_CONTROL_FD, &self->courier));
    TRY(wall_in());
    TRY(proc_confine(ROLE_COURIER));
    TRY(proc_ready());
    log_event(LOG_LEVEL_INFO, "started role=courier index=%u", self->index);
    return serve(self);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"root", required_argument, NULL, 'd'},
        {"index", required_argument, NULL, 'i'},
        {NULL, 0, NULL, 0},
    };
    struct program self = {.index = 0};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'i')
            self.index = (uint32_t)strtoul(optarg, NULL, 10);
        if (c == '?') {
            (void)fprintf(stderr, "usage: keyward-courier --index N (started by keywardd)\n");
            return 2;
        }
    }
    log_setup("courier", LOG_LEVEL_INFO);
    enum err err = run(&self);
    if (err != ERR_OK) {
        log_error("stopped", err);
        proc_failed(err);
    }
    drop_channels(&self);
    courier_free(self.courier);
    return err == ERR_OK ? 0 : 1;
}
