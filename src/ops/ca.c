// SPDX-License-Identifier: Apache-2.0
//
// Certificates by crypto/pki.h. Settings "ca.key" (sealed: 16 bytes id of the data key, then the
// sealed PEM) and "ca.crt" (clear).
#include "ops/ca.h"

#include "base/file.h"
#include "base/paths.h"
#include "crypto/pki.h"
#include "ops/keys.h"
#include "ops/seal.h"

static const struct seal_bound key_bound = {.part = "ca key"};

enum err ca_get(struct op *op, struct ca *ret)
{
    struct uuid key_id;
    struct span stored;
    struct span id_bytes;
    struct store *store = op->ops->set.store;
    TRY(store_setting_get(store, false, "ca.key", op->arena, &stored));
    struct cursor in = cursor_of(stored);
    TRY(cursor_bytes(&in, UUID_LEN, &id_bytes));
    memcpy(key_id.bytes, id_bytes.data, UUID_LEN);
    TRY(seal_open(op->ops, op->arena, &key_bound, &key_id, in.rest, &ret->key));
    return store_setting_get(store, false, "ca.crt", op->arena, &ret->cert);
}

static enum err keep(struct op *op, const struct ca *ca)
{
    struct uuid key_id;
    struct span sealed;
    struct store *store = op->ops->set.store;
    struct buf value CLEANUP(buf_done);
    buf_init(&value, CA_PEM_MAX, false);
    TRY(seal_close(op->ops, op->arena, &key_bound, ca->key, &sealed, &key_id));
    TRY(buf_put(&value, span_of(key_id.bytes, UUID_LEN)));
    TRY(buf_put(&value, sealed));
    TRY(store_setting_put(store, false, "ca.key", span_buf(&value)));
    return store_setting_put(store, false, "ca.crt", ca->cert);
}

enum err ca_reseal(struct op *op, bool *ret_moved)
{
    struct ca ca;
    struct span stored;
    struct uuid newest;
    enum err err = store_setting_get(op->ops->set.store, false, "ca.key", op->arena, &stored);
    *ret_moved = false;
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    bool known = keys_newest(op->ops, "objects", &newest).len > 0;
    if (known && stored.len > UUID_LEN && memcmp(stored.data, newest.bytes, UUID_LEN) == 0)
        return ERR_OK;
    TRY(ca_get(op, &ca));
    *ret_moved = true;
    return keep(op, &ca);
}

enum err ca_make(struct op *op, struct ca *ret)
{
    struct buf key CLEANUP(buf_done);
    struct buf cert CLEANUP(buf_done);
    buf_init(&key, CA_PEM_MAX, true);
    buf_init(&cert, CA_PEM_MAX, false);
    TRY(pki_make_key(&key));
    TRY(pki_make_ca(span_buf(&key), "Keyward CA", CA_DAYS, &cert));
    TRY(arena_copy(op->arena, span_buf(&key), &ret->key));
    TRY(arena_copy(op->arena, span_buf(&cert), &ret->cert));
    return keep(op, ret);
}

bool ca_has_files(const struct op *op)
{
    int root = op->ops->set.root;
    return file_exists(root, PATH_TLS_KEY) && file_exists(root, PATH_TLS_CERT) &&
           file_exists(root, PATH_TLS_CA);
}

enum err ca_write_files(struct op *op, const struct ca *ca, const char *const *hosts,
                        size_t host_count)
{
    int root = op->ops->set.root;
    struct buf key CLEANUP(buf_done);
    struct buf cert CLEANUP(buf_done);
    buf_init(&key, CA_PEM_MAX, true);
    buf_init(&cert, CA_PEM_MAX, false);
    TRY(pki_make_key(&key));
    TRY(pki_sign_server(ca->key, ca->cert, span_buf(&key), hosts, host_count, CA_SERVER_DAYS,
                        &cert));
    TRY(file_mkdirs(root, PATH_TLS_DIR));
    // The certificate comes last: the fronts serve once all three are there.
    TRY(file_write(root, PATH_TLS_KEY, span_buf(&key)));
    TRY(file_write(root, PATH_TLS_CA, ca->cert));
    return file_write(root, PATH_TLS_CERT, span_buf(&cert));
}

enum err ca_sign_client(struct op *op, struct span csr_pem, const char *name, struct span *ret_cert,
                        struct span *ret_ca, uint8_t ret_fingerprint[32])
{
    struct ca ca;
    struct buf cert CLEANUP(buf_done);
    buf_init(&cert, CA_PEM_MAX, false);
    TRY(ca_get(op, &ca));
    TRY(pki_sign_client(ca.key, ca.cert, csr_pem, name, CA_CLIENT_DAYS, &cert, ret_fingerprint));
    *ret_ca = ca.cert;
    return arena_copy(op->arena, span_buf(&cert), ret_cert);
}
