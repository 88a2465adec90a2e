// SPDX-License-Identifier: Apache-2.0
//
// Setup: the first wallet, the data keys, the certificate authority, the server's certificate. Each
// step finds what an interrupted run has left behind and goes on from there; when all is there,
// setup is refused.
#include "base/hex.h"
#include "base/secret.h"
#include "keyring/keyring.h"
#include "ops/ca.h"
#include "ops/doc.h"
#include "ops/keys.h"
#include "ops/root.h"
#include "ops/tlsfile.h"
#include "ops/trail.h"
#include "ops/verbs.h"

struct setup {
    json_t *doc;
    bool dry_run;
    struct hosts hosts;
};

static enum err take_params(struct op *op, struct setup *setup)
{
    TRY(doc_params(op, &setup->doc));
    TRY(doc_dry_run(setup->doc, &setup->dry_run));
    TRY(hosts_take(setup->doc, "server_names", &setup->hosts));
    if (setup->hosts.count == 0)
        setup->hosts.names[setup->hosts.count++] = "localhost";
    return ERR_OK;
}

// Wallet and master key, unless an earlier run made them.
static enum err make_wallet(struct op *op, const struct setup *setup)
{
    struct keyring_status status = {0};
    if (op->ops->keeper == NULL)
        FAIL(ERR_UNAVAILABLE, "the key process is not running; try again in a moment");
    TRY(keyring_status(op->ops->keeper, &status));
    if (status.state == KEYRING_LOCKED)
        FAIL(ERR_CONFLICT, "the server is set up already and locked: %s", status.reason);
    if (status.state == KEYRING_OPEN)
        return ERR_OK;
    struct span doc = span_str(setup->dry_run ? "{\"dry_run\":true}" : "{}");
    return root_operate(op, KEYRING_SETUP, doc, !setup->dry_run);
}

static enum err make_authority(struct op *op, const struct ca_days *days, struct ca *ca)
{
    TRY(ca_make(op, "Keyward CA", days->authority, ca));
    return ca_put(op, CA_CURRENT, ca);
}

// In one transaction: data keys, certificate authority, the server's certificate. Its files follow.
static enum err make_identity(struct op *op, const struct setup *setup, struct ca *ca)
{
    struct ca_days days;
    struct span chain;
    struct buf key CLEANUP(buf_done);
    buf_init(&key, CA_PEM_MAX, true);
    enum err err = keys_load(op->ops);
    if (err == ERR_OK)
        err = ca_get(op, CA_CURRENT, ca);
    if (err == ERR_OK && tlsfile_exists(op->ops))
        FAIL(ERR_CONFLICT, "the server is set up already");
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    TRY(ca_days_load(op->ops, op->arena, &days));
    if (err == ERR_NOT_FOUND)
        TRY(make_authority(op, &days, ca));
    TRY(pki_make_key(&key));
    TRY(ca_sign_server(op, span_buf(&key), &setup->hosts, days.server,
                       tlsfile_holder(TLSFILE_SERVER), &chain));
    return tlsfile_put(op, TLSFILE_SERVER, span_buf(&key), chain);
}

static enum err make_all(struct op *op, const struct setup *setup, struct ca *ca)
{
    struct store *store = op->ops->set.store;
    TRY(store_begin(store, STORE_WRITE));
    enum err err = make_identity(op, setup, ca);
    if (err != ERR_OK) {
        store_rollback(store);
        keys_forget(op->ops);
        return err;
    }
    err = store_commit(store);
    if (err != ERR_OK) {
        keys_forget(op->ops);
        return err;
    }
    op->stands = true;
    tlsfile_settle(op->ops);
    if (!tlsfile_exists(op->ops))
        FAIL(ERR_IO, "the TLS files could not be written; the log says why. Try again");
    return ERR_OK;
}

static enum err answer(struct op *op, const struct setup *setup, const struct ca *ca)
{
    uint8_t fingerprint[PKI_FINGERPRINT_LEN];
    char hex[2 * PKI_FINGERPRINT_LEN + 1];
    TRY(pki_fingerprint(ca->chain, fingerprint));
    hex_text(span_of(fingerprint, sizeof fingerprint), hex);
    return doc_answer(op, json_pack("{s:o, s:s}", "server_names", hosts_json(&setup->hosts),
                                    "ca_fingerprint", hex));
}

static enum err run(struct op *op, struct setup *setup)
{
    struct ca ca = {0};
    TRY(take_params(op, setup));
    if (op->ops->in_transaction || op->ops->set.role != OPS_ADMIN)
        FAIL(ERR_INVALID, "setup must be asked for alone, of the administration process");
    if (!setup->dry_run)
        TRY(trail_attempt(op));
    TRY(make_wallet(op, setup));
    if (setup->dry_run)
        return doc_answer(op, json_pack("{s:b}", "dry_run", 1));
    enum err err = make_all(op, setup, &ca);
    op->reply->unsure = err != ERR_OK && op->stands; // the wallet is there, or all but files
    TRY(err);
    return answer(op, setup, &ca);
}

enum err setup_run(struct op *op)
{
    struct setup setup = {0};
    enum err err = run(op, &setup);
    json_decref(setup.doc);
    return err;
}
