// SPDX-License-Identifier: Apache-2.0
//
// The certificates that the server shows: of the KMIP port ("server") and of the console
// ("console", which shows the server's until it has its own). A new one is the last thing of its
// transaction that is prepared, and takes effect after the commit (ops/tlsfile.h); connections that
// are open stay as they are.
#include <stdio.h>

#include "ops/ca.h"
#include "ops/certdoc.h"
#include "ops/named.h"
#include "ops/sealed.h"
#include "ops/tlsfile.h"
#include "ops/verbs.h"

enum { CSR_MAX = 16 * 1024 };

static const struct {
    const char *key; // sealed
    const char *csr;
} pending[TLSFILE_COUNT] = {
    [TLSFILE_SERVER] = {TLSFILE_PENDING_SERVER, "tls.server.csr"},
    [TLSFILE_CONSOLE] = {TLSFILE_PENDING_CONSOLE, "tls.console.csr"},
};

static enum tlsfile take_kind(const json_t *doc)
{
    const char *kind = json_string_value(json_object_get(doc, "kind"));
    return kind != NULL && strcmp(kind, "console") == 0 ? TLSFILE_CONSOLE : TLSFILE_SERVER;
}

// What is shown there now; *ret_shared when the console shows the server's.
static enum err shown(struct op *op, enum tlsfile which, struct span *ret_chain, bool *ret_shared)
{
    *ret_shared = false;
    enum err err = tlsfile_chain(op->ops, op->arena, which, ret_chain);
    if (err != ERR_NOT_FOUND || which == TLSFILE_SERVER)
        return err;
    *ret_shared = true;
    return tlsfile_chain(op->ops, op->arena, TLSFILE_SERVER, ret_chain);
}

static enum err waiting_csr(struct op *op, enum tlsfile which, struct span *ret)
{
    enum err err = store_setting_get(op->ops->set.store, false, pending[which].csr, op->arena, ret);
    if (err == ERR_NOT_FOUND)
        *ret = span_of(NULL, 0);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

// ---- certificate show ----

static enum err describe(struct op *op, enum tlsfile which, struct span chain, json_t **ret)
{
    struct hosts hosts;
    struct span csr;
    struct pki_info info;
    struct store_issued issued;
    TRY(pki_describe(chain, &info));
    TRY(hosts_of(op->arena, chain, &hosts));
    TRY(waiting_csr(op, which, &csr));
    enum err err = store_issued_get(op->ops->set.store, info.fingerprint, &issued);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    json_t *item = certdoc_describe(&info, op->now);
    TRY(doc_set(item, "kind", json_string(tlsfile_name(which))));
    TRY(doc_set(item, "own", json_boolean(err == ERR_OK)));
    TRY(doc_set(item, "names", hosts_json(&hosts)));
    TRY(doc_set(item, "csr", csr.len == 0 ? json_null() : doc_string(csr)));
    TRY(doc_set(item, "certificate", doc_string(chain)));
    *ret = item;
    return ERR_OK;
}

static enum err answer_shown(struct op *op, enum tlsfile which, struct span chain, bool shared,
                             bool dry_run)
{
    json_t *item = NULL;
    TRY(describe(op, which, chain, &item));
    TRY(doc_set(item, "shared", json_boolean(shared)));
    if (dry_run)
        TRY(doc_set(item, "dry_run", json_true()));
    return doc_answer(op, item);
}

// {"kind"} → the certificate
enum err certificate_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct span chain;
    bool shared;
    TRY(doc_params(op, &doc));
    enum tlsfile which = take_kind(doc);
    TRY(shown(op, which, &chain, &shared));
    return answer_shown(op, which, chain, shared, false);
}

// ---- certificate rotate ----

static enum err take_hosts(struct op *op, const json_t *doc, enum tlsfile which, struct hosts *ret)
{
    struct span chain;
    bool shared;
    TRY(hosts_take(doc, "names", ret));
    if (ret->count > 0)
        return ERR_OK;
    TRY(shown(op, which, &chain, &shared));
    TRY(hosts_of(op->arena, chain, ret));
    if (ret->count == 0)
        FAIL(ERR_MISSING_DATA, "\"names\" is missing: give the names that clients use");
    return ERR_OK;
}

static enum err take_days(struct op *op, const json_t *doc, enum tlsfile which, int64_t *ret)
{
    struct ca_days days;
    TRY(ca_days_load(op->ops, op->arena, &days));
    *ret = which == TLSFILE_CONSOLE ? days.console : days.server;
    return certdoc_days(doc, "days", ret);
}

// {"kind", "names", "days", "dry_run"} → the new certificate
enum err certificate_rotate_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct hosts hosts;
    struct span chain;
    int64_t days = 0;
    bool dry_run = false;
    struct buf key CLEANUP(buf_done);
    buf_init(&key, CA_PEM_MAX, true);
    TRY(doc_params(op, &doc));
    TRY(doc_dry_run(doc, &dry_run));
    enum tlsfile which = take_kind(doc);
    TRY(take_hosts(op, doc, which, &hosts));
    TRY(take_days(op, doc, which, &days));
    TRY(named_tell(op, tlsfile_holder(which), "%s certificate for \"%s\"", tlsfile_name(which),
                   hosts.names[0]));
    TRY(pki_make_key(&key));
    if (dry_run) {
        bool shared;
        TRY(shown(op, which, &chain, &shared));
        return answer_shown(op, which, chain, shared, true);
    }
    TRY(ca_sign_server(op, span_buf(&key), &hosts, days, tlsfile_holder(which), &chain));
    TRY(answer_shown(op, which, chain, false, false));
    return tlsfile_put(op, which, span_buf(&key), chain);
}

// ---- signed outside ----

static enum err answer_csr(struct op *op, enum tlsfile which, struct span csr)
{
    return doc_answer(op,
                      json_pack("{s:s, s:o}", "kind", tlsfile_name(which), "csr", doc_string(csr)));
}

static enum err make_request(struct op *op, enum tlsfile which, const struct hosts *hosts)
{
    char name[PKI_NAME_MAX + 1];
    struct buf key CLEANUP(buf_done);
    struct buf csr CLEANUP(buf_done);
    buf_init(&key, CA_PEM_MAX, true);
    buf_init(&csr, CSR_MAX, false);
    (void)snprintf(name, sizeof name, "%s", hosts->names[0]);
    const struct pki_wish wish = {
        .common_name = name, .hosts = hosts->names, .host_count = hosts->count};
    TRY(pki_make_key(&key));
    TRY(pki_make_request(span_buf(&key), &wish, &csr));
    TRY(sealed_put(op, pending[which].key, span_buf(&key)));
    TRY(store_setting_put(op->ops->set.store, false, pending[which].csr, span_buf(&csr)));
    return answer_csr(op, which, span_buf(&csr));
}

// {"kind", "names", "renew"} → {"kind", "csr"}. Asked again it gives the same one, unless `renew`.
enum err certificate_request_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct hosts hosts;
    struct span waiting;
    TRY(doc_params(op, &doc));
    enum tlsfile which = take_kind(doc);
    TRY(waiting_csr(op, which, &waiting));
    TRY(named_tell(op, tlsfile_holder(which), "%s certificate", tlsfile_name(which)));
    if (waiting.len > 0 && !json_is_true(json_object_get(doc, "renew")))
        return answer_csr(op, which, waiting);
    TRY(take_hosts(op, doc, which, &hosts));
    return make_request(op, which, &hosts);
}

// The key that came with it, or the one that waits.
static enum err take_key(struct op *op, enum tlsfile which, struct span *ret)
{
    for (size_t i = 0; i < op->request->secret_count; i++) {
        if (span_eq_str(op->request->secrets[i].name, "private_key")) {
            *ret = op->request->secrets[i].value;
            return ERR_OK;
        }
    }
    enum err err = sealed_get(op, pending[which].key, ret);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_WRONG_STATE,
             "no request is waiting for a certificate: begin with \"certificate request\", or "
             "give the private key, too");
    return err;
}

// Clients that were enrolled before trust what they were given then.
static enum err check_clients(struct op *op, const json_t *doc, enum tlsfile which)
{
    uint64_t all = 0;
    struct store_issued_query query = {.filter = ISSUED_STANDING, .at = op->now};
    if (which != TLSFILE_SERVER || json_is_true(json_object_get(doc, "clients_ready")))
        return ERR_OK;
    TRY(store_issued_count(op->ops->set.store, &query, &all));
    for (enum tlsfile own = TLSFILE_SERVER; own < TLSFILE_COUNT; own++) {
        uint64_t count = 0;
        query.holder = *tlsfile_holder(own);
        TRY(store_issued_count(op->ops->set.store, &query, &count));
        all -= count;
    }
    if (all > 0)
        FAIL(ERR_WRONG_STATE,
             "%llu enrolled endpoints trust the server's own authority and would refuse this "
             "certificate: give them its root first, then say clients_ready",
             (unsigned long long)all);
    return ERR_OK;
}

static enum err install(struct op *op, enum tlsfile which, struct span key, struct span chain)
{
    struct store *store = op->ops->set.store;
    TRY(store_issued_end(store, tlsfile_holder(which), NULL, op->now, CA_END_SUPERSEDED));
    TRY(sealed_drop(op, pending[which].key));
    TRY(store_setting_put(store, false, pending[which].csr, span_str("")));
    TRY(answer_shown(op, which, chain, false, false));
    return tlsfile_put(op, which, key, chain);
}

// {"kind", "certificate", "clients_ready", "dry_run"} and the secret "private_key" → the
// certificate
enum err certificate_install_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct span pem;
    struct span key;
    struct pki_info info;
    bool dry_run = false;
    struct buf chain CLEANUP(buf_done);
    buf_init(&chain, (size_t)2 * CERTDOC_PEM_MAX, false);
    TRY(doc_params(op, &doc));
    TRY(doc_dry_run(doc, &dry_run));
    TRY(certdoc_pem(doc, &pem));
    enum tlsfile which = take_kind(doc);
    TRY(take_key(op, which, &key));
    TRY(pki_check_chain(PKI_SERVER, pem, key, op->now, &chain));
    TRY(pki_describe(span_buf(&chain), &info));
    TRY(named_tell(op, tlsfile_holder(which), "%s certificate \"%s\", signed by \"%s\"",
                   tlsfile_name(which), info.subject, info.issuer));
    TRY(check_clients(op, doc, which));
    if (dry_run)
        return answer_shown(op, which, span_buf(&chain), false, true);
    return install(op, which, key, span_buf(&chain));
}

// {"kind": "console"} → the server's certificate
enum err certificate_remove_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct span chain;
    TRY(doc_params(op, &doc));
    if (take_kind(doc) == TLSFILE_SERVER)
        FAIL(ERR_INVALID, "the server cannot be without a certificate: rotate it, or install "
                          "another one");
    const struct uuid *holder = tlsfile_holder(TLSFILE_CONSOLE);
    TRY(named_tell(op, holder, "console certificate"));
    enum err err = tlsfile_chain(op->ops, op->arena, TLSFILE_CONSOLE, &chain);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_WRONG_STATE, "the console shows the server's certificate already");
    TRY(err);
    TRY(store_issued_end(op->ops->set.store, holder, NULL, op->now, CA_END_CEASED));
    TRY(tlsfile_drop(op, TLSFILE_CONSOLE));
    TRY(tlsfile_chain(op->ops, op->arena, TLSFILE_SERVER, &chain));
    return answer_shown(op, TLSFILE_CONSOLE, chain, true, false);
}
