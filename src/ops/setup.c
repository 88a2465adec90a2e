// SPDX-License-Identifier: Apache-2.0
//
// Setup: the first wallet, the data keys, the certificate authority, the server's certificate. Each
// step finds what an interrupted run has left behind and goes on from there; when all is there,
// setup is refused.
#include "base/secret.h"
#include "crypto/pki.h"
#include "keyring/keyring.h"
#include "ops/ca.h"
#include "ops/doc.h"
#include "ops/keys.h"
#include "ops/root.h"
#include "ops/trail.h"
#include "ops/verbs.h"

enum { HOST_MAX = 253 };

struct setup {
    json_t *doc;
    bool dry_run;
    const char *hosts[PKI_HOSTS_MAX];
    size_t host_count;
};

static enum err take_host(struct setup *setup, const json_t *value)
{
    const char *host = json_string_value(value);
    size_t len = json_string_length(value);
    if (host == NULL || len == 0 || len > HOST_MAX || strlen(host) != len)
        FAIL(ERR_INVALID, "\"server_names\" must hold host names or addresses");
    for (size_t i = 0; i < len; i++) {
        bool fits = (host[i] >= 'a' && host[i] <= 'z') || (host[i] >= 'A' && host[i] <= 'Z') ||
                    (host[i] >= '0' && host[i] <= '9') || strchr("-.:", host[i]) != NULL;
        if (!fits)
            FAIL(ERR_INVALID, "\"%.64s\" is no host name or address", host);
    }
    if (setup->host_count == PKI_HOSTS_MAX)
        FAIL(ERR_INVALID, "there are more than %d server names", PKI_HOSTS_MAX);
    setup->hosts[setup->host_count++] = host;
    return ERR_OK;
}

static enum err take_params(struct op *op, struct setup *setup)
{
    size_t i;
    json_t *value;
    TRY(doc_params(op, &setup->doc));
    TRY(doc_dry_run(setup->doc, &setup->dry_run));
    json_t *names = json_object_get(setup->doc, "server_names");
    if (names != NULL && !json_is_array(names))
        FAIL(ERR_INVALID, "\"server_names\" must be an array");
    json_array_foreach(names, i, value)
    {
        TRY(take_host(setup, value));
    }
    if (setup->host_count == 0)
        setup->hosts[setup->host_count++] = "localhost";
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
    return root_operate(op, KEYRING_SETUP, doc);
}

// In one transaction: data keys and certificate authority. Then the files.
static enum err make_identity(struct op *op, const struct setup *setup, struct ca *ca)
{
    enum err err = keys_load(op->ops);
    if (err == ERR_OK)
        err = ca_get(op, ca);
    if (err == ERR_OK && ca_has_files(op))
        FAIL(ERR_CONFLICT, "the server is set up already");
    if (err == ERR_NOT_FOUND)
        err = ca_make(op, ca);
    TRY(err);
    return ca_write_files(op, ca, setup->hosts, setup->host_count);
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
    if (err != ERR_OK)
        keys_forget(op->ops);
    return err;
}

static enum err answer(struct op *op, const struct setup *setup, const struct ca *ca)
{
    uint8_t fingerprint[PKI_FINGERPRINT_LEN];
    char hex[2 * PKI_FINGERPRINT_LEN + 1];
    json_t *names = json_array();
    TRY(pki_fingerprint(ca->cert, fingerprint));
    doc_hex(span_of(fingerprint, sizeof fingerprint), hex);
    for (size_t i = 0; i < setup->host_count; i++) {
        if (json_array_append_new(names, json_string(setup->hosts[i])) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    return doc_answer(op, json_pack("{s:o, s:s}", "server_names", names, "ca_fingerprint", hex));
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
    TRY(make_all(op, setup, &ca));
    return answer(op, setup, &ca);
}

enum err setup_run(struct op *op)
{
    struct setup setup = {0};
    enum err err = run(op, &setup);
    json_decref(setup.doc);
    return err;
}
