// SPDX-License-Identifier: Apache-2.0
//
// `keyward setup`: from an empty directory to a server that serves. Each step looks whether it has
// been done already, so that a run that was interrupted, or a second one, goes on where it stopped.
// A server that is set up keeps what it has: what is asked for and differs is refused by name.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kv.h"
#include "base/passphrase.h"
#include "base/paths.h"
#include "cli/client.h"
#include "cli/generic.h"
#include "cli/handlers.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/service.h"
#include "cli/softhsm.h"
#include "cli/term.h"
#include "crypto/pki.h"

enum { CERT_MAX = 64 * 1024 };
enum {
    PHRASE_GROUPS = 6,
    PORT_MS = 30000,
    PORT_STEP_MS = 20,
    PORT_STATE_MAX = 2048,
    FREE_MIB = 256,
    ADDRESS_MAX = 128,
    NAMES_TEXT_MAX = 8192,
};

struct setup {
    struct cli *cli;
    bool softhsm;     // is asked for
    bool was_set_up;  // before we came
    bool running;     // a server ran before we came
    bool has_wallet;  // there is a recovery passphrase already
    bool is_set_up;   // wallet and certificates are there
    bool hsm_enabled; // the HSM is initialized
    char hsm[128];    // "none", "softhsm", or the vendor of another
    char address[ADDRESS_MAX];
    char web_address[ADDRESS_MAX]; // or "none"
    struct secret *phrase;
    int64_t started;
};

// The server's certificate comes last, after all that is made in one transaction.
static bool was_set_up(const struct cli *cli)
{
    char path[sizeof cli->root + sizeof PATH_TLS_CERT + 1];
    (void)snprintf(path, sizeof path, "%s/%s", cli->root, PATH_TLS_CERT);
    return access(path, F_OK) == 0;
}

static enum err check_options(struct setup *self)
{
    const struct cli *cli = self->cli;
    self->was_set_up = was_set_up(cli);
    const char *hsm = cli_has(cli, OPT_HSM) ? cli->values[OPT_HSM] : "none";
    self->softhsm = strcmp(hsm, "softhsm") == 0;
    if (!self->softhsm && strcmp(hsm, "none") != 0)
        FAIL(ERR_INVALID,
             "--hsm is softhsm or none: a hardware HSM is added with \"keyward hsm initialize\"");
    if (cli_has(cli, OPT_RECOVERY_PASSPHRASE_FILE) && cli_has(cli, OPT_RECOVERY_OUT))
        FAIL(ERR_INVALID, "give one of --recovery-passphrase-file and --recovery-passphrase-out");
    if (!cli_has(cli, OPT_RECOVERY_PASSPHRASE_FILE) && !cli_has(cli, OPT_RECOVERY_OUT) &&
        !self->was_set_up && !term_is_interactive())
        FAIL(ERR_INVALID,
             "there is no terminal to show a recovery passphrase on: give "
             "--recovery-passphrase-file FILE, or --recovery-passphrase-out FILE to have one made");
    return self->softhsm ? softhsm_check() : ERR_OK;
}

// Makes the root prefix and resolves it to the path that settings and messages name.
static enum err make_root(struct setup *self)
{
    struct cli *cli = self->cli;
    char resolved[sizeof cli->root];
    if (access(cli->root, F_OK) != 0)
        TRY(file_mkdirs(AT_FDCWD, cli->root));
    TRY(client_open_root(cli));
    if (realpath(cli->root, resolved) == NULL)
        return file_raise("resolve", cli->root);
    memcpy(cli->root, resolved, strlen(resolved) + 1);
    if (faccessat(cli->root_fd, ".", W_OK, AT_EACCESS) != 0)
        FAIL(ERR_NOT_PERMITTED, "\"%s\" is not writable: run as another user, or give --root DIR",
             cli->root);
    struct statvfs disk;
    if (fstatvfs(cli->root_fd, &disk) == 0 &&
        disk.f_bavail / 1024 * disk.f_frsize / 1024 < FREE_MIB)
        FAIL(ERR_NO_SPACE, "there are less than %d MiB free below \"%s\"", FREE_MIB, cli->root);
    return ERR_OK;
}

// A port of the server: its setting, and the file in which the supervisor says how it is.
struct port {
    const char *key;
    const char *state;
    enum opt option;
    const char *what;
};

static const struct port kmip_port = {"KMIP_LISTEN", PATH_KMIP_STATE, OPT_KMIP_LISTEN, "KMIP"};
static const struct port web_port = {"WEB_LISTEN", PATH_WEB_STATE, OPT_WEB_LISTEN, "HTTPS"};

// Puts the address that is wanted into the settings; *ret_changed when that was another before.
static enum err choose_address(const struct setup *self, struct kv *kv, const struct port *port,
                               char address[ADDRESS_MAX], bool *ret_changed)
{
    const char *wanted = self->cli->values[port->option];
    const char *now = kv_get(kv, port->key, address);
    const char *chosen = wanted != NULL ? wanted : now;
    bool none = port == &web_port && strcmp(chosen, "none") == 0;
    if (strlen(chosen) >= ADDRESS_MAX || (strrchr(chosen, ':') == NULL && !none))
        FAIL(ERR_INVALID, "\"%.64s\" is not an address: write \"127.0.0.1:5696\" or \"[::]:5696\"",
             chosen);
    bool same = strcmp(chosen, now) == 0;
    if (!same && self->running && file_exists(self->cli->root_fd, PATH_TLS_CERT))
        FAIL(ERR_WRONG_STATE, "the server has \"%s\" for %s now: stop it before you change that",
             now, port->what);
    memmove(address, chosen, strlen(chosen) + 1);
    if (same)
        return ERR_OK;
    *ret_changed = true;
    return kv_set(kv, port->key, address);
}

static enum err write_conf(struct setup *self)
{
    CLEANUP(kv_freep) struct kv *kv = NULL;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, KV_FILE_LIMIT, false);
    int root = self->cli->root_fd;
    bool below_slash = strcmp(self->cli->root, "/") == 0;
    bool changed = false;
    TRY(file_mkdirs(root, PATH_CONF_DIR));
    TRY(kv_load(root, PATH_CONF, &kv));
    (void)snprintf(self->address, ADDRESS_MAX, "[::]:5696");
    (void)snprintf(self->web_address, ADDRESS_MAX, "%s", below_slash ? "[::]:443" : "none");
    TRY(choose_address(self, kv, &kmip_port, self->address, &changed));
    TRY(choose_address(self, kv, &web_port, self->web_address, &changed));
    if (!changed)
        return ERR_OK;
    TRY(kv_text(kv, &text));
    return file_write(root, PATH_CONF, span_buf(&text));
}

// The names of the server's certificate, each with a newline before and behind it.
static enum err certificate_names(const struct setup *self, struct buf *out)
{
    struct buf pem CLEANUP(buf_done);
    buf_init(&pem, CERT_MAX, false);
    TRY(file_read(self->cli->root_fd, PATH_TLS_CERT, CERT_MAX, &pem));
    TRY(buf_put_u8(out, '\n'));
    TRY(pki_hosts(span_buf(&pem), out));
    return buf_put_u8(out, 0);
}

static enum err check_name(const char *name, const char *names)
{
    char line[300];
    char list[NAMES_TEXT_MAX];
    (void)snprintf(line, sizeof line, "\n%.290s\n", name);
    if (strcasestr(names, line) != NULL)
        return ERR_OK;
    (void)snprintf(list, sizeof list, "%s", names + 1);
    for (char *p = list; *p != '\0'; p++)
        *p = *p == '\n' ? ',' : *p;
    FAIL(ERR_WRONG_STATE,
         "the server is set up already, and its certificate is not for \"%.200s\": nothing was "
         "changed\nnext: keyward certificate rotate server --names %.500s%.200s",
         name, list, name);
}

// What is asked for of a server that is set up, before anything is touched.
static enum err check_asked(const struct setup *self)
{
    const struct cli *cli = self->cli;
    struct buf names CLEANUP(buf_done);
    buf_init(&names, NAMES_TEXT_MAX, false);
    const char *out = cli->values[OPT_RECOVERY_OUT];
    if (!self->was_set_up)
        return ERR_OK;
    if (out != NULL && access(out, F_OK) != 0)
        FAIL(ERR_WRONG_STATE,
             "the server is set up already and has a recovery passphrase: none was made for "
             "\"%.200s\", nothing was changed\nnext: leave --recovery-passphrase-out out, or give "
             "the server another one: keyward passphrase change",
             out);
    if (cli->server_name_count > 0)
        TRY(certificate_names(self, &names));
    for (size_t i = 0; i < cli->server_name_count; i++)
        TRY(check_name(cli->server_names[i], (const char *)names.data));
    return ERR_OK;
}

// The documented place of hsmclient (contract B8).
static enum err link_hsmclient(struct setup *self)
{
    char own[4096];
    char target[4200];
    char now[4200] = "";
    const char *path = PATH_HSM_BIN_DIR "/hsmclient";
    int root = self->cli->root_fd;
    TRY(file_own_directory(own, sizeof own));
    (void)snprintf(target, sizeof target, "%s/hsmclient", own);
    TRY(file_mkdirs(root, PATH_HSM_BIN_DIR));
    ssize_t len = readlinkat(root, path, now, sizeof now - 1);
    if (len > 0 && strcmp(now, target) == 0)
        return ERR_OK;
    if (len > 0 && unlinkat(root, path, 0) != 0)
        return file_raise("replace", path);
    if (symlinkat(target, root, path) != 0 && errno != EEXIST)
        return file_raise("make", path);
    return ERR_OK;
}

static enum err start_server(struct setup *self)
{
    pid_t pid = 0;
    if (service_is_running(self->cli->root_fd, &pid))
        return ERR_OK;
    int64_t started = clock_mono_ms();
    TRY(service_launch(self->cli));
    term_step(true, started, "Server started below %s", self->cli->root);
    return ERR_OK;
}

// Which HSM the server is rooted in, and whether that is what is asked for.
static enum err look_at_hsm(struct setup *self)
{
    CLEANUP(json_freep) json_t *hsm = NULL;
    const char *asked = self->cli->values[OPT_HSM];
    (void)snprintf(self->hsm, sizeof self->hsm, "none");
    if (!self->hsm_enabled)
        return ERR_OK;
    TRY(client_call(self->cli, "GET", "/hsm", NULL, NULL, &hsm));
    const char *vendor = json_string_value(json_object_get(hsm, "vendor"));
    bool tryout = vendor != NULL && strcmp(vendor, SOFTHSM_VENDOR) == 0;
    (void)snprintf(self->hsm, sizeof self->hsm, "%.127s",
                   tryout                              ? "softhsm"
                   : vendor == NULL || *vendor == '\0' ? "unknown"
                                                       : vendor);
    if (asked != NULL && strcmp(asked, self->hsm) != 0)
        FAIL(ERR_WRONG_STATE,
             "the server is set up already and rooted in an HSM (\"%s\"), not in \"%s\": that was "
             "not changed\nnext: leave --hsm out, or take the server off its HSM: keyward hsm "
             "reverse-migrate",
             self->hsm, asked);
    return ERR_OK;
}

static enum err look(struct setup *self)
{
    CLEANUP(json_freep) json_t *status = NULL;
    TRY(client_call(self->cli, "GET", "/status", NULL, NULL, &status));
    const char *state = json_string_value(json_object_get(status, "state"));
    if (state == NULL)
        FAIL(ERR_INTERNAL, "the server's status does not tell whether it is set up");
    self->has_wallet = strcmp(state, "empty") != 0;
    self->is_set_up = self->has_wallet && file_exists(self->cli->root_fd, PATH_TLS_CERT);
    self->hsm_enabled = json_is_true(json_object_get(status, "hsm_enabled"));
    TRY(look_at_hsm(self));
    if (self->is_set_up && strcmp(state, "open") != 0)
        FAIL(ERR_LOCKED, "the server is set up already and serves no keys yet: %s",
             json_string_value(json_object_get(status, "reason")));
    return ERR_OK;
}

static enum err show_phrase(const struct setup *self)
{
    struct span phrase = secret_span(self->phrase);
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 1024, true);
    TRY(buf_printf(&text, "\n   Recovery passphrase:  %.*s\n", (int)phrase.len,
                   (const char *)phrase.data));
    TRY(buf_put_str(&text,
                    "   Write it down. It is shown once. Without it and the HSM: no keys.\n\n"));
    TRY(file_write_all(STDERR_FILENO, span_buf(&text), "the terminal"));
    if (cli_has(self->cli, OPT_YES))
        return ERR_OK;
    char typed[32];
    TRY(term_ask(" Type its last group to go on: ", typed, sizeof typed));
    if (strlen(typed) != 5 || memcmp(phrase.data + phrase.len - 5, typed, 5) != 0)
        FAIL(ERR_INVALID, "that is not the last group: nothing was set up, run the command again");
    return ERR_OK;
}

// The passphrase: from its file, or made and shown, or made and written.
static enum err take_phrase(struct setup *self)
{
    const struct cli *cli = self->cli;
    if (cli_has(cli, OPT_RECOVERY_PASSPHRASE_FILE))
        return secrets_read(cli->values[OPT_RECOVERY_PASSPHRASE_FILE], &self->phrase);
    if (self->has_wallet && cli_has(cli, OPT_RECOVERY_OUT))
        return secrets_read(cli->values[OPT_RECOVERY_OUT], &self->phrase);
    if (self->has_wallet)
        FAIL(ERR_INVALID, "this server has a recovery passphrase already: give it with "
                          "--recovery-passphrase-file to go on");
    TRY(passphrase_make(PHRASE_GROUPS, &self->phrase));
    if (!cli_has(cli, OPT_RECOVERY_OUT))
        return show_phrase(self);
    TRY(secrets_write_new(AT_FDCWD, cli->values[OPT_RECOVERY_OUT], secret_span(self->phrase)));
    term_step(true, 0, "Recovery passphrase made and written to %s", cli->values[OPT_RECOVERY_OUT]);
    return ERR_OK;
}

static enum err add_hosts(const struct setup *self, json_t *doc)
{
    json_t *names = json_array();
    int failed = json_object_set_new(doc, "server_names", names);
    const struct cli *cli = self->cli;
    for (size_t i = 0; i < cli->server_name_count; i++)
        failed |= json_array_append_new(names, json_string(cli->server_names[i]));
    if (cli->server_name_count == 0) {
        char name[256] = "";
        if (gethostname(name, sizeof name - 1) == 0 && name[0] != '\0')
            failed |= json_array_append_new(names, json_string(name));
        failed |= json_array_append_new(names, json_string("localhost"));
        failed |= json_array_append_new(names, json_string("127.0.0.1"));
    }
    if (failed != 0)
        FAIL(ERR_INVALID, "a server name is not text (UTF-8)");
    return ERR_OK;
}

static enum err call_setup(struct setup *self)
{
    CLEANUP(json_freep) json_t *doc = json_object();
    CLEANUP(json_freep) json_t *answer = NULL;
    struct client_secrets secrets = {{{"recovery_passphrase", self->phrase}}, 1};
    TRY(add_hosts(self, doc));
    int64_t started = clock_mono_ms();
    TRY(client_call(self->cli, "POST", "/setup", doc, &secrets, &answer));
    term_step(true, started, "CA, server certificate and TDE wallet made");
    return ERR_OK;
}

static enum err call_initialize(struct setup *self, struct secret *pin)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    CLEANUP(json_freep)
    json_t *doc = json_pack("{s:s, s:b, s:s}", "vendor", SOFTHSM_VENDOR, "use_token_label", 1,
                            "token_label", SOFTHSM_LABEL);
    struct client_secrets secrets = {{{"credential", pin}, {"recovery_passphrase", self->phrase}},
                                     2};
    int64_t started = clock_mono_ms();
    TRY(client_call(self->cli, "POST", "/hsm:initialize", doc, &secrets, &answer));
    term_step(true, started, "Root of trust key made on the try-out token and verified");
    (void)snprintf(self->hsm, sizeof self->hsm, "softhsm");
    return ERR_OK;
}

static enum err enable_softhsm(struct setup *self)
{
    if (!self->softhsm || self->hsm_enabled)
        return ERR_OK;
    CLEANUP(secret_freep) struct secret *pin = NULL;
    int64_t started = clock_mono_ms();
    TRY(softhsm_make(self->cli->root_fd, self->cli->root, &pin));
    term_step(true, started, "Token %s made (SoftHSM, try-out)", SOFTHSM_LABEL);
    return call_initialize(self, pin);
}

// The supervisor says in a file whether it could open the port. *ret_open false: not yet.
static enum err port_state(const struct setup *self, const struct port *port, bool *ret_open)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, PORT_STATE_MAX, false);
    *ret_open = false;
    enum err err = file_read(self->cli->root_fd, port->state, PORT_STATE_MAX, &text);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    static const char closed[] = "closed ";
    size_t len = sizeof closed - 1;
    if (text.len > len && memcmp(text.data, closed, len) == 0)
        FAIL(ERR_CONFLICT,
             "the server is set up, but %s is closed: %.*s; then run \"keyward restart\"",
             port->what, (int)(text.len - len - 1), (const char *)text.data + len);
    *ret_open = true;
    return ERR_OK;
}

static enum err await_port(const struct setup *self, const struct port *port, const char *address)
{
    int64_t started = clock_mono_ms();
    for (bool open = false; !open;) {
        TRY(port_state(self, port, &open));
        if (!open && clock_mono_ms() - started > PORT_MS)
            FAIL(ERR_TIMEOUT, "%s is not served on \"%s\" after %d s: see \"%s\" below \"%s\"",
                 port->what, address, PORT_MS / 1000, PATH_LOG, self->cli->root);
        if (!open)
            (void)poll(NULL, 0, PORT_STEP_MS);
    }
    term_step(true, started, "%s open on %s", port->what, address);
    return ERR_OK;
}

// For whoever works from another machine, which has nothing of this server yet.
static void say_login(const struct setup *self)
{
    const struct cli *cli = self->cli;
    const char *port = strrchr(self->web_address, ':');
    if (port == NULL)
        return;
    term_say("     keyward login https://%s%s --user NAME --fingerprint …      # from any machine: "
             "the certificate's, above",
             cli->server_name_count > 0 ? cli->server_names[0] : "HOST",
             strcmp(port, ":443") == 0 ? "" : port);
}

// What whoever signs in from another machine compares.
static enum err say_fingerprint(const struct setup *self)
{
    uint8_t hash[PKI_FINGERPRINT_LEN];
    char text[3 * PKI_FINGERPRINT_LEN + 1] = "";
    struct buf pem CLEANUP(buf_done);
    buf_init(&pem, CERT_MAX, false);
    TRY(file_read(self->cli->root_fd, PATH_TLS_CERT, CERT_MAX, &pem));
    TRY(pki_fingerprint(span_buf(&pem), hash));
    for (size_t i = 0; i < sizeof hash; i++)
        (void)snprintf(text + 3 * i, 4, "%02X:", hash[i]);
    term_say("   certificate SHA-256 %.*s", 3 * PKI_FINGERPRINT_LEN - 1, text);
    return ERR_OK;
}

static enum err await_ports(const struct setup *self)
{
    TRY(await_port(self, &kmip_port, self->address));
    if (strcmp(self->web_address, "none") == 0)
        return ERR_OK;
    TRY(await_port(self, &web_port, self->web_address));
    return say_fingerprint(self);
}

static enum err has_administrator(const struct setup *self, bool *ret)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    size_t i;
    json_t *role;
    *ret = false;
    TRY(client_call(self->cli, "GET", "/roles", NULL, NULL, &answer));
    json_array_foreach(json_object_get(answer, "roles"), i, role)
    {
        *ret = *ret || json_array_size(json_object_get(role, "holders")) > 0;
    }
    return ERR_OK;
}

// The secret with which the first administrator's account is made, once; told here and nowhere
// else. JSON's null where there is an administrator.
static enum err make_link(const struct setup *self, json_t **ret)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    bool has = false;
    TRY(has_administrator(self, &has));
    if (has) {
        *ret = json_null();
        return ERR_OK;
    }
    TRY(client_call(self->cli, "POST", "/setup-links", NULL, NULL, &answer));
    *ret = json_incref(json_object_get(answer, "token"));
    if (!json_is_string(*ret))
        FAIL(ERR_INTERNAL, "the server's answer holds no set-up link");
    return ERR_OK;
}

static void say_link(const json_t *link, const char *root, const char *dir)
{
    if (!json_is_string(link)) {
        term_say("\n There is an administrator already: no secret was made for a first one.");
        return;
    }
    term_say("\n First administrator: one account, within 30 minutes, with this secret:");
    term_say("     %s", json_string_value(link));
    term_say("     keyward%s%s setup-link use NAME                      # asks for it and for a "
             "password",
             root, dir);
}

static enum err say_next(const struct setup *self)
{
    const struct cli *cli = self->cli;
    CLEANUP(json_freep) json_t *link = NULL;
    TRY(make_link(self, &link));
    bool plain = strcmp(cli->root, "/") == 0;
    const char *root = plain ? "" : " --root ";
    const char *dir = plain ? "" : cli->root;
    bool tryout = strcmp(self->hsm, "softhsm") == 0;
    if (tryout)
        term_say(
            "\n TRY-OUT: the root of trust is SoftHSM, whose keys lie on this disk. Do not keep "
            "keys that matter here.");
    say_link(link, root, dir);
    say_login(self);
    term_say("\n Next:");
    term_say("     keyward%s%s endpoint add db1 --enroll --out ./db1    # a client with its "
             "certificate",
             root, dir);
    term_say("     keyward%s%s key create demo                          # your first key", root,
             dir);
    if (strcmp(self->hsm, "none") == 0)
        term_say("     keyward%s%s hsm initialize --vendor NAME             # root it in an HSM",
                 root, dir);
    term_say("     keyward%s%s doctor                                   # what is still to do",
             root, dir);
    term_say(" Took %.1f s.", (double)(clock_mono_ms() - self->started) / 1000);
    CLEANUP(json_freep)
    json_t *doc = json_pack("{s:s, s:s, s:s, s:b, s:s, s:O}", "root", cli->root, "kmip",
                            self->address, "https", self->web_address, "try_out", tryout, "hsm",
                            self->hsm, "setup_link", link);
    if (doc == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return cli->output == OUTPUT_TABLE ? ERR_OK : output_document(cli, doc);
}

static enum err prepare(struct setup *self)
{
    pid_t pid = 0;
    TRY(make_root(self));
    TRY(check_asked(self));
    self->running = service_is_running(self->cli->root_fd, &pid);
    TRY(write_conf(self));
    TRY(link_hsmclient(self));
    TRY(generic_make(self->cli->root_fd));
    TRY(start_server(self));
    return look(self);
}

static enum err run(struct setup *self)
{
    TRY(check_options(self));
    TRY(prepare(self));
    if (!self->is_set_up || (self->softhsm && !self->hsm_enabled))
        TRY(take_phrase(self));
    if (self->is_set_up)
        term_step(true, 0, "Set up already: certificates and wallet stay as they are");
    else
        TRY(call_setup(self));
    TRY(enable_softhsm(self));
    TRY(await_ports(self));
    return say_next(self);
}

enum err setup_run(struct cli *cli)
{
    struct setup self = {.cli = cli, .started = clock_mono_ms()};
    enum err err = run(&self);
    secret_freep(&self.phrase);
    if (err != ERR_OK && !self.was_set_up)
        term_step(false, 0, "Setup did not end; it can be run again");
    return err;
}
