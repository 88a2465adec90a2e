// SPDX-License-Identifier: Apache-2.0
//
// The servers of a validation and what is done with them: the guide's steps, each through the same
// API that `keyward hsm` uses, each looked at from outside afterwards.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kv.h"
#include "base/paths.h"
#include "cli/client.h"
#include "cli/handlers.h"
#include "cli/http.h"
#include "cli/secrets.h"
#include "cli/service.h"
#include "cli/validate.h"

#define VENDOR "Validation"

enum {
    TEXT_MAX = 16384,
    TRACE_MAX = 16 * 1024 * 1024,
    OPEN_MS = 60000,
    OPEN_STEP_MS = 50,
};

// A port of the loopback address that nobody uses just now.
static enum err free_port(uint16_t *ret)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    CLEANUP(file_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return file_raise("find a free port on", "127.0.0.1");
    *ret = ntohs(address.sin_port);
    return ERR_OK;
}

static enum err write_text(int root, const char *path, const struct buf *text)
{
    return file_write(root, path, span_buf(text));
}

static enum err write_conf(struct validate *validate, int root)
{
    struct buf text CLEANUP(buf_done);
    uint16_t port = 0;
    buf_init(&text, TEXT_MAX, false);
    TRY(free_port(&port));
    TRY(buf_printf(&text, "KMIP_LISTEN=\"127.0.0.1:%u\"\n", port));
    TRY(file_mkdirs(root, PATH_CONF_DIR));
    TRY(write_text(root, PATH_CONF, &text));
    buf_clear(&text);
    TRY(buf_printf(&text,
                   "VENDOR_NAME=\"" VENDOR "\"\nPKCS11_LIB_LOC=\"%s\"\n"
                   "PRESERVED_FILES=\"%s\"\n",
                   validate->module, validate->module));
    TRY(file_mkdirs(root, PATH_GENERIC_DIR));
    TRY(write_text(root, PATH_HSM_CONF, &text));
    return ERR_OK;
}

static enum err write_env(struct validate *validate, int root)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, KV_FILE_LIMIT, false);
    for (size_t i = 0; i < validate->cli->env_count; i++) {
        const char *pair = validate->cli->env[i];
        const char *value = strchr(pair, '=') + 1;
        if (strpbrk(value, "\"\n") != NULL)
            FAIL(ERR_INVALID, "the value of --env %.*s holds a double quote or a newline",
                 (int)(value - pair - 1), pair);
        TRY(buf_printf(&text, "%.*s=\"%s\"\n", (int)(value - pair - 1), pair, value));
    }
    return write_text(root, PATH_HSM_ENV, &text);
}

enum err validate_lay_out(struct validate *validate, struct validate_server *server,
                          const char *name)
{
    struct cli *cli = &server->cli;
    *cli = (struct cli){.root_fd = -1, .command = validate->cli->command};
    int len = snprintf(cli->root, sizeof cli->root, "%s/%s", validate->base, name);
    if (len < 0 || (size_t)len >= sizeof cli->root)
        FAIL(ERR_INVALID, "the path \"%.200s\" is too long", validate->base);
    TRY(file_mkdirs(AT_FDCWD, cli->root));
    server->is_made = true;
    TRY(client_open_root(cli));
    TRY(write_conf(validate, cli->root_fd));
    // The provider is the vendor of okv_hsm.conf from the start, so that the probe finds it, too.
    struct buf text CLEANUP(buf_done);
    buf_init(&text, TEXT_MAX, false);
    TRY(buf_printf(&text, "HSM_PROVIDER=\"4\"\nHSM_TOKEN_LABEL=\"%s\"\n",
                   validate->label == NULL ? "" : validate->label));
    TRY(file_mkdirs(cli->root_fd, PATH_SECURITY_DIR));
    TRY(write_text(cli->root_fd, PATH_SECURITY_CONF, &text));
    return write_env(validate, cli->root_fd);
}

// -- calls --
static enum err call(struct validate_server *server, const char *method, const char *path,
                     const json_t *doc, const struct client_secrets *secrets, json_t **ret)
{
    json_decref(server->cli.problem);
    server->cli.problem = NULL;
    return client_call(&server->cli, method, path, doc, secrets, ret);
}

static enum err read_key(struct validate_server *server, const char *id)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    struct buf path CLEANUP(buf_done);
    buf_init(&path, 512, false);
    TRY(buf_put_str(&path, "/keys/"));
    TRY(client_encode(&path, id));
    TRY(buf_put_u8(&path, 0));
    return call(server, "GET", (const char *)path.data, NULL, NULL, &answer);
}

// Every key is opened: its name lies encrypted under the wallet's master key.
static enum err read_keys(struct validate_server *server)
{
    size_t index;
    const json_t *id;
    json_array_foreach(server->keys, index, id)
    {
        TRY(read_key(server, json_string_value(id)));
    }
    return ERR_OK;
}

static enum err make_key(struct validate_server *server)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    char name[32];
    (void)snprintf(name, sizeof name, "validation %zu", json_array_size(server->keys) + 1);
    CLEANUP(json_freep) json_t *doc = json_pack("{s:s}", "name", name);
    TRY(call(server, "POST", "/keys", doc, NULL, &answer));
    const char *id = json_string_value(json_object_get(answer, "id"));
    if (id == NULL || json_array_append_new(server->keys, json_string(id)) != 0)
        FAIL(ERR_INTERNAL, "the server made a key but does not tell its id");
    return ERR_OK;
}

// A server that has just started may still be opening its wallet.
static enum err await_keys(struct validate_server *server)
{
    int64_t deadline = clock_mono_ms() + OPEN_MS;
    enum err err = read_keys(server);
    while ((err == ERR_LOCKED || err == ERR_UNAVAILABLE) && clock_mono_ms() < deadline) {
        (void)poll(NULL, 0, OPEN_STEP_MS);
        err = read_keys(server);
    }
    return err;
}

enum err validate_make(struct validate *validate, struct validate_server *server, struct buf *saw)
{
    char name[16];
    (void)snprintf(name, sizeof name, "server%zu", (size_t)(server - validate->servers) + 1);
    TRY(validate_lay_out(validate, server, name));
    server->keys = json_array();
    server->number = 0;
    TRY(service_launch(&server->cli));
    CLEANUP(json_freep)
    json_t *doc = json_pack("{s:[s, s]}", "server_names", "localhost", "127.0.0.1");
    CLEANUP(json_freep) json_t *answer = NULL;
    const struct client_secrets secrets = {{{"recovery_passphrase", validate->phrase}}, 1};
    TRY(call(server, "POST", "/setup", doc, &secrets, &answer));
    TRY(make_key(server));
    return buf_put_str(saw, "serves; its wallet is under the recovery passphrase");
}

enum err validate_enable(struct validate *validate, struct validate_server *server, struct buf *saw)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    CLEANUP(json_freep)
    json_t *doc =
        json_pack("{s:s, s:b}", "vendor", VENDOR, "use_token_label", validate->label != NULL);
    const struct client_secrets secrets = {
        {{"credential", validate->credential}, {"recovery_passphrase", validate->phrase}}, 2};
    if (validate->label != NULL)
        (void)json_object_set_new(doc, "token_label", json_string(validate->label));
    TRY(call(server, "POST", "/hsm:initialize", doc, &secrets, &answer));
    json_int_t number = json_integer_value(json_object_get(answer, "key_number"));
    if (number <= (json_int_t)server->number)
        FAIL(ERR_HSM_FAILED, "the key number is %lld, after %u", (long long)number, server->number);
    server->number = (uint32_t)number;
    return buf_printf(saw, "success; root key number %lld", (long long)number);
}

// -- what is seen from outside --
static const char *text_of(const json_t *doc, const char *name)
{
    const char *text = json_string_value(json_object_get(doc, name));
    return text == NULL ? "" : text;
}

static enum err has_line(int dir, const char *name, const char *line, bool *ret)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, TRACE_MAX, false);
    TRY(file_read(dir, name, TRACE_MAX, &text));
    *ret = text.len > 0 && memmem(text.data, text.len, line, strlen(line)) != NULL;
    return ERR_OK;
}

// The trace files of a server; NULL when there are none. Caller closes.
static DIR *open_traces(const struct validate_server *server)
{
    int fd = openat(server->cli.root_fd, PATH_HSM_LOG_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL)
        file_closep(&fd);
    return dir;
}

// The guide has the vendor find the key number in the log files (CG 5.4.1).
static enum err check_trace(const struct validate_server *server, struct buf *saw)
{
    char line[64];
    bool found = false;
    enum err err = ERR_OK;
    (void)snprintf(line, sizeof line, "root_key_made number=%u ", server->number);
    DIR *dir = open_traces(server);
    for (struct dirent *at = dir == NULL ? NULL : readdir(dir); at != NULL && err == ERR_OK;
         at = readdir(dir)) {
        if (strstr(at->d_name, "-initialize-") != NULL)
            err = has_line(dirfd(dir), at->d_name, line, &found);
        if (found) {
            err = buf_printf(saw, "; %s/%s tells the key number", PATH_HSM_LOG_DIR, at->d_name);
            break;
        }
    }
    if (dir != NULL)
        (void)closedir(dir);
    TRY(err);
    if (!found)
        FAIL(ERR_HSM_FAILED, "no trace file in %s tells key number %u", PATH_HSM_LOG_DIR,
             server->number);
    return ERR_OK;
}

static enum err check_conf(struct validate_server *server, const char *key, const char *wanted)
{
    CLEANUP(kv_freep) struct kv *kv = NULL;
    TRY(kv_load(server->cli.root_fd, PATH_SECURITY_CONF, &kv));
    const char *value = kv_get(kv, key, "");
    if (strcmp(value, wanted) != 0)
        FAIL(ERR_HSM_FAILED, "okv_security.conf has %s=\"%s\", not \"%s\"", key, value, wanted);
    return ERR_OK;
}

static enum err check_health(struct validate_server *server)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    TRY(call(server, "POST", "/hsm:verify", NULL, NULL, &answer));
    if (json_is_true(json_object_get(answer, "healthy")))
        return ERR_OK;
    size_t index;
    const json_t *check;
    json_array_foreach(json_object_get(answer, "checks"), index, check)
    {
        if (json_is_false(json_object_get(check, "ok")))
            FAIL(ERR_HSM_FAILED, "hsmclient verify: %s: %s", text_of(check, "check"),
                 text_of(check, "detail"));
    }
    FAIL(ERR_HSM_FAILED, "hsmclient verify says that the server is not healthy");
}

enum err validate_check_enabled(struct validate *validate, struct validate_server *server,
                                struct buf *saw)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    (void)validate;
    TRY(call(server, "GET", "/hsm", NULL, NULL, &answer));
    if (strcmp(text_of(answer, "status"), "up") != 0)
        FAIL(ERR_HSM_FAILED, "status is \"%s\": %s", text_of(answer, "status"),
             text_of(answer, "reason"));
    TRY(buf_printf(saw, "status up, Type: token label \"%s\", manufacturer \"%s\", firmware %s",
                   text_of(answer, "type"), text_of(answer, "manufacturer"),
                   text_of(answer, "firmware")));
    TRY(check_conf(server, "HSM_ENABLED", "1"));
    TRY(check_health(server));
    TRY(check_trace(server, saw));
    return buf_put_str(saw, "; verify is healthy");
}

enum err validate_use_keys(struct validate *validate, struct validate_server *server,
                           struct buf *saw)
{
    (void)validate;
    TRY(make_key(server));
    TRY(read_keys(server));
    return buf_printf(saw, "keys served: %zu", json_array_size(server->keys));
}

// Ends the server and empties its RAM, as switching the machine off does.
static enum err power_off(struct validate_server *server)
{
    static const char shared[] = "/dev/shm/keyward-";
    char target[256] = "";
    TRY(service_halt(&server->cli));
    ssize_t len = readlinkat(server->cli.root_fd, PATH_RAM_DIR, target, sizeof target - 1);
    if (len <= 0)
        return ERR_OK;
    if (strcmp(target, "../" PATH_RUN_RAM) == 0)
        return file_remove_tree(server->cli.root_fd, PATH_RUN_RAM);
    if (strncmp(target, shared, sizeof shared - 1) != 0)
        FAIL(ERR_WRONG_STATE, "\"%s\" leads to \"%s\"", PATH_RAM_DIR, target);
    return file_remove_tree(AT_FDCWD, target);
}

enum err validate_restart(struct validate *validate, struct validate_server *server,
                          struct buf *saw)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    (void)validate;
    TRY(power_off(server));
    int64_t begun = clock_mono_ms();
    TRY(service_launch(&server->cli));
    enum err err = await_keys(server);
    if (err != ERR_OK) {
        TRY(call(server, "GET", "/hsm", NULL, NULL, &answer));
        FAIL(err, "the server did not open its wallet by itself: %s", text_of(answer, "reason"));
    }
    return buf_printf(saw, "opened by itself in %lld ms; keys served: %zu",
                      (long long)(clock_mono_ms() - begun), json_array_size(server->keys));
}

enum err validate_reverse(struct validate *validate, struct validate_server *server,
                          struct buf *saw)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    const struct client_secrets secrets = {{{"credential", validate->credential},
                                            {"recovery_passphrase", validate->phrase},
                                            {"new_recovery_passphrase", validate->phrase}},
                                           3};
    TRY(call(server, "POST", "/hsm:reverse-migrate", NULL, &secrets, &answer));
    return buf_put_str(saw, "success");
}

enum err validate_check_reversed(struct validate *validate, struct validate_server *server,
                                 struct buf *saw)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    (void)validate;
    TRY(call(server, "GET", "/hsm", NULL, NULL, &answer));
    if (strcmp(text_of(answer, "status"), "down") != 0 ||
        strcmp(text_of(answer, "type"), "None") != 0)
        FAIL(ERR_HSM_FAILED, "status is \"%s\" and Type \"%s\", not down and None",
             text_of(answer, "status"), text_of(answer, "type"));
    TRY(check_conf(server, "HSM_ENABLED", "0"));
    return buf_put_str(saw, "status down, Type None, HSM_ENABLED=\"0\"");
}

enum err validate_restart_without(struct validate *validate, struct validate_server *server,
                                  struct buf *saw)
{
    int root = server->cli.root_fd;
    static const char aside[] = PATH_HSM_CONF ".aside";
    (void)validate;
    TRY(power_off(server));
    TRY(file_rename(root, PATH_HSM_CONF, aside));
    enum err err = service_launch(&server->cli);
    if (err == ERR_OK)
        err = await_keys(server);
    TRY(file_rename(root, aside, PATH_HSM_CONF));
    TRY(err);
    return buf_printf(saw, "keys served without the HSM: %zu", json_array_size(server->keys));
}

enum err validate_numbers_differ(struct validate *validate, struct validate_server *server,
                                 struct buf *saw)
{
    const struct validate_server *s = validate->servers;
    (void)server;
    if (s[0].number == s[1].number || s[1].number == s[2].number || s[0].number == s[2].number)
        FAIL(ERR_HSM_FAILED, "two servers have one key number: %u, %u, %u", s[0].number,
             s[1].number, s[2].number);
    return buf_printf(saw, "%u, %u and %u", s[0].number, s[1].number, s[2].number);
}

// -- the end --
static enum err keep_file(int from_dir, const char *name, const char *to)
{
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, TRACE_MAX, false);
    TRY(file_read(from_dir, name, TRACE_MAX, &bytes));
    return secrets_write_new(AT_FDCWD, to, span_buf(&bytes));
}

// The trace files go with the report.
static enum err keep_traces(const struct validate *validate, const struct validate_server *server)
{
    const char *out = validate->cli->values[OPT_OUT];
    char path[4096];
    DIR *dir = out == NULL ? NULL : open_traces(server);
    if (dir == NULL)
        return ERR_OK;
    (void)snprintf(path, sizeof path, "%s/traces", out);
    enum err err = file_mkdirs(AT_FDCWD, path);
    for (struct dirent *at = readdir(dir); at != NULL && err == ERR_OK; at = readdir(dir)) {
        size_t len = strlen(at->d_name);
        if (len < 4 || strcmp(at->d_name + len - 4, ".log") != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/traces/%s", out, at->d_name);
        err = keep_file(dirfd(dir), at->d_name, path);
    }
    (void)closedir(dir);
    return err;
}

enum err validate_remove(struct validate *validate, struct validate_server *server)
{
    if (!server->is_made)
        return ERR_OK;
    server->is_made = false;
    enum err err = power_off(server);
    if (err == ERR_OK)
        err = keep_traces(validate, server);
    if (err == ERR_OK)
        err = file_remove_tree(AT_FDCWD, server->cli.root);
    http_freep(&server->cli.http);
    file_closep(&server->cli.root_fd);
    json_decref(server->cli.problem);
    server->cli.problem = NULL;
    json_decref(server->keys);
    server->keys = NULL;
    return err;
}
