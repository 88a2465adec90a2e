// SPDX-License-Identifier: Apache-2.0
//
// The web process's life: harden, read its limits, take what the supervisor hands out, serve, stop.
// The certificate comes as two open files, the key first: this process opens none.
#include "web/serve.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kv.h"
#include "base/log.h"
#include "base/paths.h"
#include "web/operations.h"
#include "web/server.h"
#include "web/wipe.h"

enum { STOP_MS = 3000, PEM_MAX = 256 * 1024 };

struct serving {
    struct engines *engines;
    struct operations *operations;
    struct server *server;
    struct event control;
    int key; // of the identity that is being handed out, -1: none
    bool ready;
    int64_t stop_at; // monotonic ms; 0: serving
    bool orphaned;   // the supervisor is gone
};

// ---- what the supervisor hands out ----

static enum err use_identity(struct serving *self, int key_fd, int cert_fd)
{
    struct buf key CLEANUP(buf_done);
    struct buf cert CLEANUP(buf_done);
    buf_init(&key, PEM_MAX, true);
    buf_init(&cert, PEM_MAX, false);
    TRY(file_read_fd(key_fd, "the TLS key", PEM_MAX, &key));
    TRY(file_read_fd(cert_fd, "the TLS certificate", PEM_MAX, &cert));
    TRY(server_set_identity(self->server, span_buf(&key), span_buf(&cert)));
    log_event(LOG_LEVEL_INFO, "certificate_in_use");
    return ERR_OK;
}

// The key comes first and waits for its certificate.
static enum err take_identity(struct serving *self, uint32_t which, int fd)
{
    if (which == PROC_IDENTITY_KEY) {
        file_closep(&self->key);
        self->key = fd;
        return ERR_OK;
    }
    CLEANUP(file_closep) int cert = fd;
    CLEANUP(file_closep) int key = self->key;
    self->key = -1;
    if (key < 0)
        FAIL(ERR_INTERNAL, "a certificate came without its key");
    return use_identity(self, key, cert);
}

static enum err take_listener(struct serving *self, int fd)
{
    TRY(server_listen(self->server, fd));
    if (self->ready)
        return ERR_OK;
    self->ready = true;
    return proc_ready();
}

// Mapped, not read: a web process that is started anew gets the same descriptor.
static enum err take_local_key(struct serving *self, int fd)
{
    void *key = mmap(NULL, PROC_LOCAL_KEY_LEN, PROT_READ, MAP_PRIVATE, fd, 0);
    file_closep(&fd);
    if (key == MAP_FAILED)
        FAIL(ERR_INTERNAL, "the key of the local socket could not be read");
    enum err err = server_set_local_key(self->server, span_of(key, PROC_LOCAL_KEY_LEN));
    (void)munmap(key, PROC_LOCAL_KEY_LEN);
    return err;
}

static enum err attach(struct serving *self, const struct proc_message *message, int fd)
{
    if (message->role == ROLE_LISTENER)
        return take_listener(self, fd);
    if (message->role == ROLE_IDENTITY)
        return take_identity(self, message->index, fd);
    if (message->role == ROLE_LOCAL_KEY)
        return take_local_key(self, fd);
    return engines_attach(self->engines, (enum proc_role)message->role, message->index, fd);
}

static void on_control(evutil_socket_t control, short what, void *context)
{
    (void)control, (void)what;
    struct serving *self = context;
    struct proc_message message;
    int fd = -1;
    enum err err;
    while ((err = proc_receive(0, &message, &fd)) == ERR_OK) {
        enum err failed = ERR_OK;
        if (message.kind == PROC_ATTACH && fd >= 0)
            failed = attach(self, &message, fd);
        if (failed != ERR_OK)
            log_error("control_failed", failed);
        if (message.kind == PROC_STOP && self->stop_at == 0) {
            self->stop_at = clock_mono_ms() + STOP_MS;
            server_close(self->server);
        }
    }
    self->orphaned = err == ERR_UNAVAILABLE;
}

// ---- settings ----

// A number in keywardd.conf.
static enum err get_number(const struct kv *conf, const char *key, unsigned fallback, unsigned most,
                           unsigned *ret)
{
    const char *text = kv_get(conf, key, NULL);
    char *end;
    *ret = fallback;
    if (text == NULL)
        return ERR_OK;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < 1 || value > most)
        FAIL(ERR_CONFIG, "%s in \"%s\" is \"%.32s\": give a number from 1 to %u", key, PATH_CONF,
             text, most);
    *ret = (unsigned)value;
    return ERR_OK;
}

static enum err make_server(struct serving *self, const char *root_path)
{
    CLEANUP(file_closep) int root = -1;
    CLEANUP(kv_freep) struct kv *conf = NULL;
    struct server_config config = {0};
    unsigned seconds;
    unsigned handshake;
    TRY(file_open_dir(root_path, &root));
    TRY(kv_load(root, PATH_CONF, &conf));
    config.names = kv_get(conf, "WEB_NAMES", NULL);
    TRY(get_number(conf, "WEB_REQUEST_SECONDS", WEB_REQUEST_MS / 1000, 3600, &seconds));
    config.request_ms = seconds * 1000;
    TRY(get_number(conf, "WEB_HANDSHAKE_SECONDS", WEB_HANDSHAKE_MS / 1000, 3600, &handshake));
    config.handshake_ms = handshake * 1000;
    TRY(get_number(conf, "WEB_CONNECTIONS_PER_ADDRESS", WEB_PER_ADDRESS, WEB_CONNECTIONS,
                   &config.per_address));
    TRY(get_number(conf, "WEB_REQUESTS_PER_SECOND", WEB_REQUESTS_A_SECOND, 1000000,
                   &config.requests_a_second));
    TRY(get_number(conf, "WEB_STRANGERS_PER_MINUTE", WEB_STRANGERS_A_MINUTE, 1000000,
                   &config.strangers_a_minute));
    return server_new(&config, &self->server);
}

// ---- life ----

static enum err set_up(struct serving *self, const char *root)
{
    TRY(proc_harden());
    TRY(make_server(self, root));
    struct event_base *base = net_base(server_net(self->server));
    TRY(engines_new(base, &self->engines));
    TRY(operations_new(base, self->engines, &self->operations));
    server_set_engines(self->server, self->engines, self->operations);
    if (event_assign(&self->control, base, PROC_CONTROL_FD, EV_READ | EV_PERSIST, on_control,
                     self) != 0 ||
        event_add(&self->control, NULL) != 0)
        FAIL(ERR_INTERNAL, "the control channel could not be watched");
    return proc_confine(ROLE_WEB);
}

static bool is_done(const struct serving *self)
{
    bool stopped = self->stop_at != 0 &&
                   (net_count(server_net(self->server)) == 0 || clock_mono_ms() >= self->stop_at);
    return self->orphaned || stopped;
}

static enum err serve(struct serving *self)
{
    while (!is_done(self)) {
        TRY(net_turn(server_net(self->server), true));
        if (self->stop_at != 0)
            operations_end_streams(self->operations);
    }
    if (self->orphaned)
        FAIL(ERR_UNAVAILABLE, "the supervisor is gone");
    return ERR_OK;
}

static void serving_done(struct serving *self)
{
    if (self->engines != NULL)
        (void)event_del(&self->control);
    engines_free(self->engines); // answers what waits
    operations_free(self->operations);
    server_free(self->server);
    file_closep(&self->key);
}

enum err serve_run(const char *root)
{
    struct serving self CLEANUP(serving_done) = {.key = -1};
    wipe_setup();
    TRY(set_up(&self, root));
    return serve(&self);
}
