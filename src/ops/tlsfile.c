// SPDX-License-Identifier: Apache-2.0
//
// Settings "tls.server" and "tls.console" (clear): the certificate and all above it up to a root,
// which clients need and handshakes do not.
#include "ops/tlsfile.h"

#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "crypto/pki.h"
#include "ops/ca.h"

enum { FILE_MAX = 256 * 1024, SETTLE_ARENA = 4 * 1024 * 1024 };

static const struct {
    const char *name;
    const char *setting;
    const char *key;
    const char *staged;
    const char *cert;
    struct uuid holder;
} rows[TLSFILE_COUNT] = {
    [TLSFILE_SERVER] =
        {"server", "tls.server", PATH_TLS_KEY, PATH_TLS_KEY_NEXT, PATH_TLS_CERT, {{[15] = 1}}},
    [TLSFILE_CONSOLE] =
        {"console", "tls.console", PATH_WEB_KEY, PATH_WEB_KEY_NEXT, PATH_WEB_CERT, {{[15] = 2}}},
};

const char *tlsfile_name(enum tlsfile which)
{
    return rows[which].name;
}

const struct uuid *tlsfile_holder(enum tlsfile which)
{
    return &rows[which].holder;
}

bool tlsfile_is_holder(const struct uuid *id)
{
    return memcmp(id, &rows[TLSFILE_SERVER].holder, sizeof *id) == 0 ||
           memcmp(id, &rows[TLSFILE_CONSOLE].holder, sizeof *id) == 0;
}

enum err tlsfile_chain(struct ops *ops, struct arena *arena, enum tlsfile which, struct span *ret)
{
    struct span chain;
    TRY(store_setting_get(ops->set.store, false, rows[which].setting, arena, &chain));
    if (chain.len == 0)
        FAIL(ERR_NOT_FOUND, "there is no certificate of its own for \"%s\"", rows[which].name);
    *ret = chain;
    return ERR_OK;
}

enum err tlsfile_put(struct op *op, enum tlsfile which, struct span key, struct span chain)
{
    int root = op->ops->set.root;
    op->ops->tls_stale = true;
    TRY(store_setting_put(op->ops->set.store, false, rows[which].setting, chain));
    TRY(file_mkdirs(root, PATH_TLS_DIR));
    return file_write(root, rows[which].staged, key);
}

enum err tlsfile_drop(struct op *op, enum tlsfile which)
{
    op->ops->tls_stale = true;
    return store_setting_put(op->ops->set.store, false, rows[which].setting, span_str(""));
}

bool tlsfile_exists(const struct ops *ops)
{
    return file_exists(ops->set.root, PATH_TLS_KEY) && file_exists(ops->set.root, PATH_TLS_CERT) &&
           file_exists(ops->set.root, PATH_TLS_CA);
}

// ---- settling ----

static enum err read_file(int root, const char *path, bool secret, struct buf *out)
{
    buf_init(out, FILE_MAX, secret);
    enum err err = file_read(root, path, FILE_MAX, out);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err write_if_other(int root, const char *path, struct span want)
{
    struct buf have CLEANUP(buf_done);
    TRY(read_file(root, path, false, &have));
    return span_eq(span_buf(&have), want) ? ERR_OK : file_write(root, path, want);
}

static enum err fits(int root, const char *key_path, struct span cert, bool *ret)
{
    struct buf key CLEANUP(buf_done);
    TRY(read_file(root, key_path, true, &key));
    *ret = key.len > 0 && pki_check_pair(span_buf(&key), cert) == ERR_OK;
    return ERR_OK;
}

// What is shown in a handshake: all but the root.
static enum err settle_pair(int root, enum tlsfile which, struct span chain)
{
    bool staged = false;
    bool placed = false;
    struct buf sent CLEANUP(buf_done);
    buf_init(&sent, FILE_MAX, false);
    TRY(pki_chain_part(chain, PKI_SENT, &sent));
    TRY(fits(root, rows[which].staged, chain, &staged));
    TRY(fits(root, rows[which].key, chain, &placed));
    if (!staged && !placed)
        FAIL(ERR_DAMAGED, "the key of the %s certificate is missing: rotate the certificate",
             rows[which].name);
    TRY(write_if_other(root, rows[which].cert, span_buf(&sent)));
    if (staged)
        return file_rename(root, rows[which].staged, rows[which].key);
    return file_remove(root, rows[which].staged);
}

static enum err settle_one(struct ops *ops, struct arena *arena, enum tlsfile which)
{
    int root = ops->set.root;
    struct span chain;
    enum err err = tlsfile_chain(ops, arena, which, &chain);
    if (err == ERR_OK)
        return settle_pair(root, which, chain);
    if (err != ERR_NOT_FOUND)
        return err;
    if (!file_exists(root, PATH_TLS_DIR))
        return ERR_OK;
    // Staged for a change that was not committed.
    TRY(file_remove(root, rows[which].staged));
    if (which == TLSFILE_SERVER || !file_exists(root, rows[which].cert))
        return ERR_OK;
    TRY(file_remove(root, rows[which].cert));
    return file_remove(root, rows[which].key);
}

// Of each authority its own certificate alone: who is above it may sign for others, too.
static enum err settle_trust(struct ops *ops, struct arena *arena)
{
    struct ca ca;
    struct buf all CLEANUP(buf_done);
    buf_init(&all, FILE_MAX, false);
    for (enum ca_slot slot = CA_CURRENT; slot <= CA_OLD; slot++) {
        enum err err = ca_public(ops, arena, slot, &ca);
        if (err == ERR_OK)
            err = pki_chain_part(ca.chain, PKI_LEAF, &all);
        if (err != ERR_OK && err != ERR_NOT_FOUND)
            return err;
    }
    if (all.len == 0)
        return ERR_OK;
    TRY(file_mkdirs(ops->set.root, PATH_TLS_DIR));
    return write_if_other(ops->set.root, PATH_TLS_CA, span_buf(&all));
}

static enum err settle(struct ops *ops)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    TRY(arena_new(SETTLE_ARENA, &arena));
    TRY(settle_trust(ops, arena));
    TRY(settle_one(ops, arena, TLSFILE_CONSOLE));
    // Last: the ports open when the server's certificate is there.
    return settle_one(ops, arena, TLSFILE_SERVER);
}

// In a transaction that writes nothing: one engine at a time, and none while another has a key
// staged for what is not committed.
void tlsfile_settle(struct ops *ops)
{
    enum err err = store_begin(ops->set.store, STORE_WRITE);
    if (err == ERR_OK) {
        ops->tls_stale = false;
        err = settle(ops);
        store_rollback(ops->set.store);
    }
    if (err != ERR_OK)
        log_error("tls_files_not_written", err);
}
