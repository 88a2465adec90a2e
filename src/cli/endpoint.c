// SPDX-License-Identifier: Apache-2.0
//
// `keyward endpoint add`, `enroll` and `rotate`: the private key is made here and never leaves; the
// server gets a signing request. `package`: the server makes the key and all files, in one archive.
// Invariant: no file is overwritten, and when the server refuses none is left behind.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/kv.h"
#include "base/paths.h"
#include "cli/client.h"
#include "cli/handlers.h"
#include "cli/output.h"
#include "cli/run.h"
#include "cli/secrets.h"
#include "cli/term.h"
#include "crypto/pki.h"
#include "package/package.h"

enum { PEM_MAX = 64 * 1024 };

struct enrolment {
    struct cli *cli;
    int dir;
    struct buf key;
    struct buf csr;
    struct buf directory; // with its full path, terminated
    struct package_server server;
};

static void enrolment_done(struct enrolment *self)
{
    file_closep(&self->dir);
    buf_done(&self->key);
    buf_done(&self->csr);
    buf_done(&self->directory);
}

// The port of KMIP_LISTEN; the usual one when the server is not here.
static unsigned own_port(struct cli *cli)
{
    CLEANUP(kv_freep) struct kv *conf = NULL;
    if (client_open_root(cli) != ERR_OK || kv_load(cli->root_fd, PATH_CONF, &conf) != ERR_OK)
        return PACKAGE_PORT;
    return package_port_of(kv_get(conf, "KMIP_LISTEN", ""), PACKAGE_PORT);
}

// --server, else this host's name and the port of keywardd.conf.
static enum err find_server(struct cli *cli, struct package_server *ret)
{
    char host[PACKAGE_HOST_MAX + 1] = "";
    const char *given = cli->values[OPT_SERVER];
    *ret = (struct package_server){.port = own_port(cli)};
    if (given == NULL && gethostname(host, sizeof host - 1) != 0)
        return file_raise("read", "the host's name");
    enum err err = package_take_server(span_str(given != NULL ? given : host), ret);
    if (err != ERR_OK)
        FAIL(ERR_INVALID, "--server wants HOST or HOST:PORT");
    return ERR_OK;
}

static enum err find_directory(const char *out, struct buf *ret)
{
    char here[PACKAGE_DIRECTORY_MAX] = "";
    buf_init(ret, 2 * PACKAGE_DIRECTORY_MAX, false);
    if (out[0] != '/' && getcwd(here, sizeof here) == NULL)
        FAIL(ERR_INVALID, "the current directory has no name, or a long one: give --out with a "
                          "full path");
    TRY(buf_printf(ret, "%s%s%s", here, here[0] != '\0' ? "/" : "", out));
    TRY(package_check_directory(span_buf(ret)));
    return buf_put_u8(ret, 0);
}

// ERR_CONFLICT when the directory has one of the files already.
static enum err check_absent(int dir, const char *shown)
{
    const char *name;
    for (size_t i = 0; (name = package_name(i)) != NULL; i++) {
        if (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            FAIL(ERR_CONFLICT,
                 "\"%s/%s\" exists already and is not overwritten: choose another directory", shown,
                 name);
    }
    return ERR_OK;
}

// The directory, made with mode 0700 where it is not there; none of the files may be.
static enum err open_out(struct enrolment *self)
{
    const char *out = self->cli->values[OPT_OUT];
    if (out == NULL)
        FAIL(ERR_INVALID, "give --out DIR: where key, certificates and what clients read are to be "
                          "written");
    TRY(find_server(self->cli, &self->server));
    TRY(find_directory(out, &self->directory));
    if (access(out, F_OK) != 0)
        TRY(file_mkdirs(AT_FDCWD, out));
    TRY(file_open_dir(out, &self->dir));
    return check_absent(self->dir, out);
}

static enum err make_key(struct enrolment *self, const char *name)
{
    buf_init(&self->key, PEM_MAX, true);
    buf_init(&self->csr, PEM_MAX, false);
    TRY(pki_make_key(&self->key));
    TRY(pki_make_csr(span_buf(&self->key), name, &self->csr));
    return secrets_write_new(self->dir, "key.pem", span_buf(&self->key));
}

static enum err take_pem(const json_t *answer, const char *field, struct span *ret)
{
    const char *pem = json_string_value(json_object_get(answer, field));
    if (pem == NULL || strstr(pem, "-----BEGIN CERTIFICATE-----") == NULL)
        FAIL(ERR_INTERNAL, "the server's answer lacks the field \"%s\"", field);
    *ret = span_str(pem);
    return ERR_OK;
}

// The key was written before the server could sign it.
static enum err write_file(void *context, const char *path, struct span bytes)
{
    struct enrolment *self = context;
    if (strcmp(path, "key.pem") == 0)
        return ERR_OK;
    if (path[strlen(path) - 1] == '/')
        return file_mkdirs(self->dir, path);
    return secrets_write_new(self->dir, path, bytes);
}

// `token` NULL: rotate.
static enum err call_sign(struct enrolment *self, const char *name, struct secret *token,
                          json_t **ret)
{
    struct buf path CLEANUP(buf_done);
    buf_init(&path, 2048, false);
    struct client_secrets secrets = {{{"token", token}}, token != NULL};
    CLEANUP(json_freep) json_t *doc = token != NULL ? json_object() : NULL;
    if (token == NULL)
        TRY(run_document(self->cli, &doc));
    if (json_object_set_new(doc, "csr",
                            json_stringn((const char *)self->csr.data, self->csr.len)) != 0)
        FAIL(ERR_MEMORY, "no memory for a document");
    TRY(buf_put_str(&path, "/endpoints/"));
    TRY(client_encode(&path, name));
    TRY(buf_put_str(&path, token != NULL ? ":enroll" : ":rotate"));
    TRY(buf_put_u8(&path, 0));
    return client_call(self->cli, "POST", (const char *)path.data, doc, &secrets, ret);
}

static enum err enroll(struct enrolment *self, const char *name, struct secret *token)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    TRY(make_key(self, name));
    enum err err = call_sign(self, name, token, &answer);
    // The key stays when the server may have signed it.
    if (err != ERR_OK && !self->cli->unsure)
        (void)unlinkat(self->dir, "key.pem", 0);
    TRY(err);
    struct package package = {.name = name,
                              .directory = (const char *)self->directory.data,
                              .server = self->server,
                              .key = span_buf(&self->key)};
    TRY(take_pem(answer, "certificate", &package.cert));
    TRY(take_pem(answer, "ca", &package.ca));
    TRY(package_make(&package, write_file, self));
    term_step(true, 0, "Endpoint %s enrolled: key.pem, cert.pem, ca.pem and README.txt in %s", name,
              self->cli->values[OPT_OUT]);
    (void)json_object_del(answer, "certificate");
    (void)json_object_del(answer, "ca");
    return output_document(self->cli, answer);
}

enum err endpoint_enroll(struct cli *cli)
{
    CLEANUP(enrolment_done) struct enrolment self = {.cli = cli, .dir = -1};
    struct client_secrets secrets;
    TRY(open_out(&self));
    TRY(secrets_collect(cli, &secrets));
    enum err err = enroll(&self, cli->names[0], secrets.items[0].value);
    client_secrets_done(&secrets);
    return err;
}

enum err endpoint_add(struct cli *cli)
{
    CLEANUP(enrolment_done) struct enrolment self = {.cli = cli, .dir = -1};
    CLEANUP(json_freep) json_t *answer = NULL;
    bool enrolls = cli_has(cli, OPT_ENROLL);
    if (!enrolls && cli_has(cli, OPT_OUT))
        FAIL(ERR_INVALID, "--out goes with --enroll");
    if (enrolls && cli_has(cli, OPT_DRY_RUN))
        FAIL(ERR_INVALID, "--dry-run does not go with --enroll");
    if (enrolls)
        TRY(open_out(&self));
    TRY(run_call(cli, &answer));
    if (!enrolls)
        return output_document(cli, answer);
    CLEANUP(secret_freep) struct secret *token = NULL;
    const json_t *text = json_object_get(answer, "token");
    if (!json_is_string(text))
        FAIL(ERR_INTERNAL, "the server's answer lacks the field \"token\"");
    TRY(secret_copy(span_of(json_string_value(text), json_string_length(text)), &token));
    return enroll(&self, cli->names[0], token);
}

enum err endpoint_rotate(struct cli *cli)
{
    CLEANUP(enrolment_done) struct enrolment self = {.cli = cli, .dir = -1};
    TRY(open_out(&self));
    return enroll(&self, cli->names[0], NULL);
}

// ---- package ----

// On a full disk the token is not used up.
static enum err reserve(int fd, const char *out)
{
    int failed = posix_fallocate(fd, 0, PACKAGE_BYTES_MAX);
    errno = failed;
    return failed == 0 ? ERR_OK : file_raise("write", out);
}

// Asks for the archive and writes it into the file that is open and has room, so that a full disk
// or a name that is taken costs no token.
static enum err fetch(struct cli *cli, int fd, const char *out)
{
    struct client_secrets secrets;
    struct buf path CLEANUP(buf_done);
    struct buf archive CLEANUP(buf_done);
    CLEANUP(json_freep) json_t *doc = NULL;
    buf_init(&path, 2048, false);
    buf_init(&archive, PACKAGE_BYTES_MAX, true);
    TRY(run_document(cli, &doc));
    if (cli_has(cli, OPT_SERVER) &&
        json_object_set_new(doc, "server", json_string(cli->values[OPT_SERVER])) != 0)
        FAIL(ERR_MEMORY, "no memory for a document");
    TRY(buf_put_str(&path, "/endpoints/"));
    TRY(client_encode(&path, cli->names[0]));
    TRY(buf_put_str(&path, ":package"));
    TRY(buf_put_u8(&path, 0));
    TRY(reserve(fd, out));
    TRY(secrets_collect(cli, &secrets));
    enum err err = client_fetch(cli, "POST", (const char *)path.data, doc, &secrets, &archive);
    client_secrets_done(&secrets);
    TRY(err);
    TRY(file_write_all(fd, span_buf(&archive), out));
    return ftruncate(fd, (off_t)archive.len) == 0 ? ERR_OK : file_raise("write", out);
}

enum err endpoint_package(struct cli *cli)
{
    const char *out = cli->values[OPT_OUT];
    int fd = -1;
    if (out == NULL)
        FAIL(ERR_INVALID, "give --out FILE: where the package is to be written");
    TRY(secrets_create(AT_FDCWD, out, &fd));
    TRY(secrets_finish(&fd, fetch(cli, fd, out)));
    term_step(true, 0,
              "Package of endpoint %s in %s: unpack it at the client, where its "
              "README.txt says what to paste",
              cli->names[0], out);
    return ERR_OK;
}
