// SPDX-License-Identifier: Apache-2.0
//
// The web process's life: harden, take what the supervisor hands out, serve, stop.
#include "web/serve.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "web/server.h"
#include "web/wipe.h"

enum { STOP_MS = 3000 };

struct serving {
    struct event_base *base;
    struct engines *engines;
    struct server *server;
    bool ready;
    enum err end;
};

static void stop(struct serving *self, enum err end)
{
    self->end = end;
    if (self->server != NULL)
        server_close(self->server);
    struct timeval wait = {STOP_MS / 1000, 0};
    struct timeval now = {0, 0};
    bool idle = end != ERR_OK || engines_waiting(self->engines) == 0;
    if (event_base_loopexit(self->base, idle ? &now : &wait) != 0)
        log_event(LOG_LEVEL_ERROR, "stop_failed");
}

static enum err attach(struct serving *self, const struct proc_message *message, int fd)
{
    if (message->role != ROLE_LISTENER)
        return engines_attach(self->engines, (enum proc_role)message->role, message->index, fd);
    TRY(server_listen(self->server, fd));
    if (self->ready)
        return ERR_OK;
    self->ready = true;
    return proc_ready();
}

static void on_control(evutil_socket_t control, short what, void *context)
{
    (void)control;
    (void)what;
    struct serving *self = context;
    struct proc_message message;
    int fd = -1;
    enum err err = proc_receive(0, &message, &fd);
    if (err == ERR_TIMEOUT)
        return;
    if (err == ERR_OK && message.kind == PROC_ATTACH && fd >= 0)
        err = attach(self, &message, fd);
    else if (err == ERR_OK && message.kind == PROC_STOP)
        stop(self, ERR_OK);
    if (err == ERR_UNAVAILABLE)
        stop(self, err);
    else if (err != ERR_OK)
        log_error("control_failed", err);
}

static enum err open_all(struct serving *self, struct event **ret_control)
{
    struct event_config *config = event_config_new();
    if (config != NULL)
        (void)event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    self->base = config == NULL ? NULL : event_base_new_with_config(config);
    if (config != NULL)
        event_config_free(config);
    if (self->base == NULL)
        FAIL(ERR_MEMORY, "no memory for an event loop");
    TRY(engines_new(self->base, &self->engines));
    TRY(server_new(self->base, self->engines, &self->server));
    *ret_control = event_new(self->base, PROC_CONTROL_FD, EV_READ | EV_PERSIST, on_control, self);
    if (*ret_control == NULL || event_add(*ret_control, NULL) != 0)
        FAIL(ERR_MEMORY, "no memory for an event loop");
    return ERR_OK;
}

static enum err run(struct serving *self, struct event **ret_control)
{
    TRY(open_all(self, ret_control));
    TRY(proc_confine(ROLE_WEB));
    if (event_base_dispatch(self->base) < 0)
        FAIL(ERR_INTERNAL, "the event loop failed");
    return self->end;
}

enum err serve_run(void)
{
    struct serving self = {0};
    struct event *control = NULL;
    wipe_setup();
    TRY(proc_harden());
    enum err err = run(&self, &control);
    engines_free(self.engines);
    server_free(self.server);
    if (control != NULL)
        event_free(control);
    if (self.base != NULL)
        event_base_free(self.base);
    return err;
}
