// SPDX-License-Identifier: Apache-2.0
//
// `keyward endpoint add` and `enroll`. The private key is made here and never leaves; the server
// gets a signing request. Invariant: no file is overwritten, and when enrolment is refused none is
// left behind.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/handlers.h"
#include "cli/output.h"
#include "cli/package.h"
#include "cli/run.h"
#include "cli/secrets.h"
#include "cli/term.h"
#include "crypto/pki.h"

enum { PEM_MAX = 64 * 1024 };

struct enrolment {
    struct cli *cli;
    int dir;
    struct buf key;
    struct buf csr;
    struct package_server server;
};

static void enrolment_done(struct enrolment *self)
{
    file_closep(&self->dir);
    buf_done(&self->key);
    buf_done(&self->csr);
}

// The directory, made with mode 0700 where it is not there; none of the files may be.
static enum err open_out(struct enrolment *self)
{
    const char *out = self->cli->values[OPT_OUT];
    if (out == NULL)
        FAIL(ERR_INVALID, "give --out DIR: where key, certificates and what clients read are to be "
                          "written");
    TRY(package_find_server(self->cli, &self->server));
    if (access(out, F_OK) != 0)
        TRY(file_mkdirs(AT_FDCWD, out));
    TRY(file_open_dir(out, &self->dir));
    return package_check(self->dir, out);
}

static enum err make_key(struct enrolment *self, const char *name)
{
    buf_init(&self->key, PEM_MAX, true);
    buf_init(&self->csr, PEM_MAX, false);
    TRY(pki_make_key(&self->key));
    TRY(pki_make_csr(span_buf(&self->key), name, &self->csr));
    return secrets_write_new(self->dir, "key.pem", span_buf(&self->key));
}

static enum err put_pem(struct enrolment *self, const json_t *answer, const char *field,
                        const char *file, struct span *ret)
{
    const char *pem = json_string_value(json_object_get(answer, field));
    if (pem == NULL || strstr(pem, "-----BEGIN CERTIFICATE-----") == NULL)
        FAIL(ERR_MESSAGE, "the server's answer lacks the field \"%s\"", field);
    *ret = span_str(pem);
    return secrets_write_new(self->dir, file, *ret);
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
    struct span cert;
    struct span ca;
    const char *out = self->cli->values[OPT_OUT];
    TRY(put_pem(self, answer, "certificate", "cert.pem", &cert));
    TRY(put_pem(self, answer, "ca", "ca.pem", &ca));
    TRY(package_write(self->dir, out, &self->server, name, span_buf(&self->key), cert, ca));
    term_step(true, 0, "Endpoint %s enrolled: key.pem, cert.pem, ca.pem and README.txt in %s", name,
              out);
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
        FAIL(ERR_MESSAGE, "the server's answer lacks the field \"token\"");
    TRY(secret_copy(span_of(json_string_value(text), json_string_length(text)), &token));
    return enroll(&self, cli->names[0], token);
}

enum err endpoint_rotate(struct cli *cli)
{
    CLEANUP(enrolment_done) struct enrolment self = {.cli = cli, .dir = -1};
    TRY(open_out(&self));
    return enroll(&self, cli->names[0], NULL);
}
