// SPDX-License-Identifier: Apache-2.0
//
// A package that the server makes: for the one-time token it makes a key pair, signs a certificate
// and answers with an archive of all that clients read. The private key is in this answer and
// nowhere else: it is made in memory that is wiped, enters neither the store nor the answers that
// are kept for those who ask twice. What takes long is done before the transaction; within it the
// token is looked at once more, so that of two that come at once one is refused.
#include "ops/ca.h"
#include "ops/endpoint.h"
#include "ops/hosts.h"
#include "ops/named.h"
#include "ops/tlsfile.h"
#include "ops/verbs.h"
#include "package/package.h"
#include "package/tar.h"

#define DIRECTORY_DEFAULT "/etc/keyward-endpoint"

enum { PEM_MAX = 64 * 1024 };

struct making {
    struct op *op;
    struct buf archive;
    struct buf key;
    struct buf csr;
    char name[ENDPOINT_NAME_MAX + 1];
    struct ca_signed cert;
    struct package package;
};

static void making_done(struct making *making)
{
    buf_done(&making->archive);
    buf_done(&making->key);
    buf_done(&making->csr);
}

static bool is_for_this_host_alone(const char *name)
{
    return strcmp(name, "localhost") == 0 || strcmp(name, "::1") == 0 ||
           strncmp(name, "127.", 4) == 0;
}

// Of the names in the server's certificate the first that others know it by.
static enum err own_host(struct op *op, struct package_server *server)
{
    struct span chain;
    struct hosts hosts;
    const char *host = NULL;
    TRY(tlsfile_chain(op->ops, op->arena, TLSFILE_SERVER, &chain));
    TRY(hosts_of(op->arena, chain, &hosts));
    for (size_t i = 0; i < hosts.count; i++) {
        const char *name = hosts.names[i];
        bool better =
            host == NULL || (is_for_this_host_alone(host) && !is_for_this_host_alone(name));
        if (better && name[0] != '*')
            host = name;
    }
    if (host == NULL || strlen(host) > PACKAGE_HOST_MAX)
        FAIL(ERR_INVALID,
             "the server's certificate has no name that clients could use: give \"server\"");
    memcpy(server->host, host, strlen(host) + 1);
    return ERR_OK;
}

static enum err take_server(struct op *op, const json_t *doc, struct package_server *ret)
{
    struct span text;
    unsigned port = op->ops->set.kmip_port;
    *ret = (struct package_server){.port = port != 0 ? port : PACKAGE_PORT};
    TRY(doc_text(doc, "server", PACKAGE_HOST_MAX, false, &text));
    return text.len > 0 ? package_take_server(text, ret) : own_host(op, ret);
}

static enum err take_directory(struct op *op, const json_t *doc, const char **ret)
{
    struct span text;
    char *copy = NULL;
    TRY(doc_text(doc, "directory", PACKAGE_DIRECTORY_MAX, false, &text));
    *ret = DIRECTORY_DEFAULT;
    if (text.len == 0)
        return ERR_OK;
    TRY(package_check_directory(text));
    TRY(arena_alloc(op->arena, text.len + 1, 1, &copy));
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    *ret = copy;
    return ERR_OK;
}

static enum err put(void *context, const char *path, struct span bytes)
{
    struct making *making = context;
    return tar_put(&making->archive, path, bytes, making->op->now);
}

static enum err make(struct making *making, const struct store_endpoint *row)
{
    struct op *op = making->op;
    struct package *package = &making->package;
    buf_init(&making->archive, PACKAGE_BYTES_MAX, true);
    buf_init(&making->key, PEM_MAX, true);
    buf_init(&making->csr, PEM_MAX, false);
    TRY(endpoint_text_name(op, row, making->name));
    TRY(pki_make_key(&making->key));
    TRY(pki_make_csr(span_buf(&making->key), making->name, &making->csr));
    TRY(ca_sign_client(op, span_buf(&making->csr), making->name, &making->cert));
    package->name = making->name;
    package->made_by_server = true;
    package->key = span_buf(&making->key);
    package->cert = making->cert.cert;
    TRY(ca_bundle(op, &package->ca));
    TRY(package_make(package, put, making));
    return tar_end(&making->archive);
}

static enum err make_and_enter(struct making *making, struct span name)
{
    struct op *op = making->op;
    struct store_endpoint row;
    struct span told;
    TRY(endpoint_take_token(op, name, &row));
    op->object = row.id;
    TRY(make(making, &row));
    TRY(arena_copy(op->arena, span_buf(&making->archive), &told));
    TRY(ops_late_begin(op));
    TRY(ops_late_save(op));
    TRY(endpoint_take_token(op, name, &row));
    TRY(endpoint_use_token(op, &row));
    TRY(endpoint_enter(op, &row, &making->cert));
    op->reply->doc = told; // a failed request's document would leave with its problem
    return ERR_OK;
}

// {"name", "server", "directory"} and the secret "token" → the archive's bytes
enum err endpoint_package_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct making making CLEANUP(making_done) = {.op = op};
    struct span name;
    TRY(doc_params(op, &doc));
    TRY(named_take_name(doc, "name", &name));
    TRY(named_tell(op, &(struct uuid){{0}}, "%.*s: key and package made by the server",
                   (int)name.len, (const char *)name.data));
    TRY(take_server(op, doc, &making.package.server));
    TRY(take_directory(op, doc, &making.package.directory));
    return make_and_enter(&making, name);
}
