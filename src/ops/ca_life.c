// SPDX-License-Identifier: Apache-2.0
//
// The certificate authority from the administrator's side: shown, changed, and where it stands
// below another one, requested and installed. A change begins with two authorities that are both
// trusted and ends with one; each step is one transaction of the writer, so a kill leaves the state
// before it or after it, and the files follow (ops/tlsfile.h).
//
//   ca rotate, or ca request → ca install:   current becomes old, the new one becomes current
//   endpoints rotate or enroll again:        one by one they get certificates of the current one
//   ca finish:                               the old one goes; the server's certificate is the new
//                                            one's from now on, since every client trusts that
//   ca cancel:                               the old one is current again
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hex.h"
#include "ops/ca.h"
#include "ops/certdoc.h"
#include "ops/endpoint.h"
#include "ops/named.h"
#include "ops/sealed.h"
#include "ops/tlsfile.h"
#include "ops/verbs.h"

#define SETTING_SINCE "ca.since"
#define SETTING_CSR   "ca-new.csr"

enum { CSR_MAX = 16 * 1024 };

// ---- state ----

static enum err find_setting(struct op *op, const char *name, struct span *ret)
{
    enum err err = store_setting_get(op->ops->set.store, false, name, op->arena, ret);
    if (err == ERR_NOT_FOUND)
        *ret = span_of(NULL, 0);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err has_old(struct op *op, bool *ret, struct ca *ret_old)
{
    enum err err = ca_public(op->ops, op->arena, CA_OLD, ret_old);
    *ret = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err take_old(struct op *op, struct ca *ret)
{
    bool rotating = false;
    TRY(has_old(op, &rotating, ret));
    if (!rotating)
        FAIL(ERR_WRONG_STATE, "the authority is not being changed: begin with \"ca rotate\" or "
                              "\"ca install\"");
    return ERR_OK;
}

static enum err no_old(struct op *op)
{
    bool rotating = false;
    struct ca old;
    TRY(has_old(op, &rotating, &old));
    if (rotating)
        FAIL(ERR_WRONG_STATE, "the authority is being changed already: end that with \"ca finish\" "
                              "or \"ca cancel\"");
    return ERR_OK;
}

// Certificates of endpoints, not of the server's own ports.
static enum err count_endpoints(struct op *op, const struct ca *ca, enum issued_filter filter,
                                uint64_t *ret)
{
    struct store *store = op->ops->set.store;
    struct store_issued_query query = {.authority = ca->id, .filter = filter, .at = op->now};
    TRY(store_issued_count(store, &query, ret));
    for (enum tlsfile which = TLSFILE_SERVER; which < TLSFILE_COUNT; which++) {
        uint64_t own = 0;
        query.holder = *tlsfile_holder(which);
        TRY(store_issued_count(store, &query, &own));
        *ret -= own;
    }
    return ERR_OK;
}

// ---- ca show ----

static enum err describe(struct op *op, const struct ca *ca, json_t **ret)
{
    struct pki_info info;
    TRY(pki_describe(ca->chain, &info));
    json_t *item = certdoc_describe(&info, op->now);
    TRY(doc_set(item, "id", doc_uuid(&ca->id)));
    TRY(doc_set(item, "path_length",
                info.path_length < 0 ? json_null() : json_integer(info.path_length)));
    TRY(doc_set(item, "own_root", json_boolean(info.self_signed)));
    TRY(doc_set(item, "certificate", doc_string(ca->chain)));
    *ret = item;
    return ERR_OK;
}

static enum err add_authorities(struct op *op, json_t *answer)
{
    bool rotating = false;
    struct ca ca;
    json_t *item = NULL;
    TRY(ca_public(op->ops, op->arena, CA_CURRENT, &ca));
    TRY(describe(op, &ca, &item));
    TRY(doc_set(answer, "current", item));
    item = json_null();
    TRY(has_old(op, &rotating, &ca));
    if (rotating)
        TRY(describe(op, &ca, &item));
    return doc_set(answer, "old", item);
}

// {} → current and old authority, waiting request, what clients trust
enum err ca_life_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct span csr;
    struct span trust;
    TRY(doc_params(op, &doc));
    TRY(add_authorities(op, answer));
    TRY(find_setting(op, SETTING_CSR, &csr));
    TRY(doc_set(answer, "request",
                csr.len == 0 ? json_null() : json_pack("{s:o}", "csr", doc_string(csr))));
    TRY(ca_bundle(op, &trust));
    TRY(doc_set(answer, "trust", doc_string(trust)));
    return doc_answer(op, json_incref(answer));
}

// ---- ca status ----

static enum err list_dependents(struct op *op, struct store_issued_query *query, json_t *answer)
{
    size_t found = 0;
    struct store_issued *rows = NULL;
    char cursor[2 * sizeof query->after + 1];
    json_t *list = json_array();
    TRY(doc_set(answer, "endpoints", list));
    TRY(store_issued_list(op->ops->set.store, query, op->arena, &rows, &found));
    for (size_t i = 0; i < found; i++) {
        int64_t seen = 0;
        TRY(store_seen_get(op->ops->set.store, &rows[i].holder, &seen));
        json_t *item = json_pack("{s:o, s:o, s:o}", "name", endpoint_name(op, &rows[i].holder),
                                 "expires", doc_time(rows[i].expires), "last_seen", doc_time(seen));
        if (tlsfile_is_holder(&rows[i].holder))
            json_decref(item);
        else if (json_array_append_new(list, item) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    if (found > 0)
        hex_text(span_of(rows[found - 1].fingerprint, sizeof query->after), cursor);
    return doc_set(answer, "next_cursor",
                   found == query->limit ? json_string(cursor) : json_null());
}

static enum err answer_status(struct op *op, const struct ca *old, struct store_issued_query *query,
                              json_t *answer)
{
    struct ca current;
    struct span since;
    uint64_t on_old = 0;
    uint64_t on_new = 0;
    TRY(ca_public(op->ops, op->arena, CA_CURRENT, &current));
    TRY(find_setting(op, SETTING_SINCE, &since));
    TRY(count_endpoints(op, old, ISSUED_STANDING, &on_old));
    TRY(count_endpoints(op, &current, ISSUED_STANDING, &on_new));
    char text[32] = "";
    (void)snprintf(text, sizeof text, "%.*s", (int)since.len, (const char *)since.data);
    TRY(doc_set(answer, "since", doc_time(strtoll(text, NULL, 10))));
    TRY(doc_set(answer, "endpoints_on_old", json_integer((json_int_t)on_old)));
    TRY(doc_set(answer, "endpoints_on_new", json_integer((json_int_t)on_new)));
    query->authority = old->id;
    query->filter = ISSUED_STANDING;
    query->at = op->now;
    return list_dependents(op, query, answer);
}

// {"cursor", "limit"} → {"rotating", "since", "endpoints_on_old", "endpoints_on_new", "endpoints"}
enum err ca_life_status_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct ca old;
    struct ca current;
    bool rotating = false;
    uint64_t on_new = 0;
    struct store_issued_query query = {0};
    TRY(doc_params(op, &doc));
    TRY(certdoc_page(doc, &query));
    TRY(has_old(op, &rotating, &old));
    TRY(doc_set(answer, "rotating", json_boolean(rotating)));
    if (rotating) {
        TRY(answer_status(op, &old, &query, answer));
        return doc_answer(op, json_incref(answer));
    }
    TRY(ca_public(op->ops, op->arena, CA_CURRENT, &current));
    TRY(count_endpoints(op, &current, ISSUED_STANDING, &on_new));
    TRY(doc_set(answer, "since", json_null()));
    TRY(doc_set(answer, "endpoints_on_old", json_integer(0)));
    TRY(doc_set(answer, "endpoints_on_new", json_integer((json_int_t)on_new)));
    TRY(doc_set(answer, "endpoints", json_array()));
    TRY(doc_set(answer, "next_cursor", json_null()));
    return doc_answer(op, json_incref(answer));
}

// ---- beginning ----

// What is current becomes old, `next` becomes current.
static enum err begin(struct op *op, const struct ca *next)
{
    struct ca current;
    char since[32];
    TRY(ca_get(op, CA_CURRENT, &current));
    TRY(ca_put(op, CA_OLD, &current));
    TRY(ca_put(op, CA_CURRENT, next));
    (void)snprintf(since, sizeof since, "%lld", (long long)op->now);
    return store_setting_put(op->ops->set.store, false, SETTING_SINCE, span_str(since));
}

static enum err answer_begun(struct op *op, const struct ca *next, bool dry_run)
{
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct ca old;
    json_t *item = NULL;
    uint64_t waiting = 0;
    TRY(describe(op, next, &item));
    TRY(doc_set(answer, "current", item));
    TRY(ca_public(op->ops, op->arena, dry_run ? CA_CURRENT : CA_OLD, &old));
    TRY(count_endpoints(op, &old, ISSUED_STANDING, &waiting));
    TRY(doc_set(answer, "endpoints_on_old", json_integer((json_int_t)waiting)));
    TRY(doc_set(answer, "dry_run", json_boolean(dry_run)));
    return doc_answer(op, json_incref(answer));
}

// A name of its own for each root, so that people can tell them apart.
static enum err take_common_name(const json_t *doc, const char *fallback,
                                 char out[PKI_NAME_MAX + 1])
{
    struct span name;
    TRY(doc_text(doc, "common_name", PKI_NAME_MAX, false, &name));
    (void)snprintf(out, PKI_NAME_MAX + 1, "%.*s", (int)name.len, (const char *)name.data);
    if (name.len == 0)
        (void)snprintf(out, PKI_NAME_MAX + 1, "%s", fallback);
    return ERR_OK;
}

static enum err take_root_name(const json_t *doc, int64_t now, char out[PKI_NAME_MAX + 1])
{
    struct tm tm;
    char dated[40];
    time_t when = (time_t)now;
    (void)gmtime_r(&when, &tm);
    (void)strftime(dated, sizeof dated, "Keyward CA %Y-%m-%d", &tm);
    return take_common_name(doc, dated, out);
}

// {"common_name", "days", "dry_run"} → the new authority and how many endpoints wait for it
enum err ca_life_rotate_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct ca next;
    struct ca_days days;
    char name[PKI_NAME_MAX + 1];
    bool dry_run = false;
    TRY(doc_params(op, &doc));
    TRY(doc_dry_run(doc, &dry_run));
    TRY(take_root_name(doc, op->now, name));
    TRY(ca_days_load(op->ops, op->arena, &days));
    TRY(certdoc_days(doc, "days", &days.authority));
    TRY(no_old(op));
    TRY(ca_make(op, name, days.authority, &next));
    TRY(named_tell(op, &next.id, "new root \"%s\"", name));
    if (!dry_run)
        TRY(begin(op, &next));
    return answer_begun(op, &next, dry_run);
}

// ---- signed outside ----

static enum err answer_csr(struct op *op, struct span csr)
{
    return doc_answer(op, json_pack("{s:o}", "csr", doc_string(csr)));
}

static enum err make_request(struct op *op, const char *name)
{
    struct buf key CLEANUP(buf_done);
    struct buf csr CLEANUP(buf_done);
    buf_init(&key, CA_PEM_MAX, true);
    buf_init(&csr, CSR_MAX, false);
    const struct pki_wish wish = {.common_name = name, .authority = true};
    TRY(pki_make_key(&key));
    TRY(pki_make_request(span_buf(&key), &wish, &csr));
    TRY(sealed_put(op, CA_PENDING_KEY, span_buf(&key)));
    TRY(store_setting_put(op->ops->set.store, false, SETTING_CSR, span_buf(&csr)));
    return answer_csr(op, span_buf(&csr));
}

// {"common_name", "renew"} → {"csr"}. Asked again it gives the same one, unless `renew`.
enum err ca_life_request_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct span waiting;
    char name[PKI_NAME_MAX + 1];
    TRY(doc_params(op, &doc));
    TRY(take_common_name(doc, "Keyward CA", name));
    TRY(find_setting(op, SETTING_CSR, &waiting));
    if (waiting.len > 0 && !json_is_true(json_object_get(doc, "renew")))
        return answer_csr(op, waiting);
    TRY(arena_copy(op->arena, span_str(name), &op->detail));
    return make_request(op, name);
}

static enum err check_installed(struct op *op, struct span pem, struct ca *ret)
{
    struct buf chain CLEANUP(buf_done);
    uint8_t fingerprint[PKI_FINGERPRINT_LEN];
    buf_init(&chain, (size_t)2 * CA_PEM_MAX, false);
    enum err err = sealed_get(op, CA_PENDING_KEY, &ret->key);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_WRONG_STATE, "no request is waiting for a certificate: begin with \"ca request\"");
    TRY(err);
    TRY(pki_check_chain(PKI_AUTHORITY, pem, ret->key, op->now, &chain));
    TRY(arena_copy(op->arena, span_buf(&chain), &ret->chain));
    TRY(pki_fingerprint(ret->chain, fingerprint));
    memcpy(ret->id.bytes, fingerprint, UUID_LEN);
    return ERR_OK;
}

// {"certificate", "dry_run"} → the new authority and how many endpoints wait for it
enum err ca_life_install_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct ca next;
    struct span pem;
    struct pki_info info;
    bool dry_run = false;
    TRY(doc_params(op, &doc));
    TRY(doc_dry_run(doc, &dry_run));
    TRY(certdoc_pem(doc, &pem));
    TRY(no_old(op));
    TRY(check_installed(op, pem, &next));
    TRY(pki_describe(next.chain, &info));
    TRY(named_tell(op, &next.id, "\"%s\", signed by \"%s\"", info.subject, info.issuer));
    if (dry_run)
        return answer_begun(op, &next, true);
    TRY(begin(op, &next));
    TRY(sealed_drop(op, CA_PENDING_KEY));
    TRY(store_setting_put(op->ops->set.store, false, SETTING_CSR, span_str("")));
    return answer_begun(op, &next, false);
}

// ---- the end ----

// An endpoint whose certificate is not trusted any more has to be enrolled again.
static enum err cut_off(struct op *op, const struct store_issued *issued)
{
    struct store_endpoint row;
    struct store *store = op->ops->set.store;
    TRY(store_issued_end(store, &issued->holder, issued->fingerprint, op->now, CA_END_CEASED));
    enum err err = store_endpoint_get(store, &issued->holder, op->arena, &row);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    if (memcmp(row.fingerprint, issued->fingerprint, sizeof row.fingerprint) == 0) {
        memset(row.fingerprint, 0, sizeof row.fingerprint);
        row.state = row.state == ENDPOINT_SUSPENDED ? ENDPOINT_SUSPENDED : ENDPOINT_REGISTERED;
    }
    if (memcmp(row.previous, issued->fingerprint, sizeof row.previous) == 0) {
        memset(row.previous, 0, sizeof row.previous);
        row.previous_until = 0;
    }
    return store_endpoint_update(store, &row);
}

static enum err cut_off_all(struct op *op, const struct ca *old)
{
    size_t found = STORE_FIND_MAX;
    struct store_issued_query query = {
        .authority = old->id, .filter = ISSUED_COUNTING, .at = op->now, .limit = STORE_FIND_MAX};
    while (found == STORE_FIND_MAX) {
        struct store_issued *rows = NULL;
        TRY(store_issued_list(op->ops->set.store, &query, op->arena, &rows, &found));
        for (size_t i = 0; i < found; i++) {
            TRY(cut_off(op, &rows[i]));
            memcpy(query.after, rows[i].fingerprint, sizeof query.after);
        }
    }
    return ERR_OK;
}

// A certificate of the old authority's that the server shows is replaced by one of the new.
static enum err replace_own(struct op *op, const struct ca *old, enum tlsfile which, int64_t days)
{
    struct span chain;
    struct hosts hosts;
    struct store_issued issued;
    uint8_t fingerprint[PKI_FINGERPRINT_LEN];
    struct buf key CLEANUP(buf_done);
    buf_init(&key, CA_PEM_MAX, true);
    enum err err = tlsfile_chain(op->ops, op->arena, which, &chain);
    if (err == ERR_OK)
        err = pki_fingerprint(chain, fingerprint);
    if (err == ERR_OK)
        err = store_issued_get(op->ops->set.store, fingerprint, &issued);
    if (err == ERR_NOT_FOUND)
        return ERR_OK; // none, or signed outside
    TRY(err);
    if (memcmp(&issued.authority, &old->id, sizeof old->id) != 0)
        return ERR_OK;
    TRY(hosts_of(op->arena, chain, &hosts));
    TRY(pki_make_key(&key));
    TRY(ca_sign_server(op, span_buf(&key), &hosts, days, tlsfile_holder(which), &chain));
    return tlsfile_put(op, which, span_buf(&key), chain);
}

static enum err finish(struct op *op, const struct ca *old)
{
    struct ca_days days;
    TRY(ca_days_load(op->ops, op->arena, &days));
    TRY(cut_off_all(op, old));
    TRY(ca_drop(op, CA_OLD));
    TRY(replace_own(op, old, TLSFILE_CONSOLE, days.console));
    return replace_own(op, old, TLSFILE_SERVER, days.server);
}

// {"force", "dry_run"} → {"finished", "endpoints_cut_off"}
enum err ca_life_finish_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct ca old;
    bool dry_run = false;
    uint64_t waiting = 0;
    TRY(doc_params(op, &doc));
    TRY(doc_dry_run(doc, &dry_run));
    TRY(take_old(op, &old));
    TRY(count_endpoints(op, &old, ISSUED_STANDING, &waiting));
    TRY(named_tell(op, &old.id, "%llu endpoints depend on the old authority",
                   (unsigned long long)waiting));
    if (waiting > 0 && !json_is_true(json_object_get(doc, "force")))
        FAIL(ERR_WRONG_STATE,
             "%llu endpoints have no certificate of the new authority yet (\"ca status\" names "
             "them): rotate them, or cut them off with force",
             (unsigned long long)waiting);
    if (!dry_run)
        TRY(finish(op, &old));
    return doc_answer(op, json_pack("{s:b, s:I, s:b}", "finished", !dry_run, "endpoints_cut_off",
                                    (json_int_t)waiting, "dry_run", dry_run));
}

// {} → {"cancelled"}
enum err ca_life_cancel_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct ca old;
    struct ca current;
    struct pki_info info;
    uint64_t moved = 0;
    TRY(doc_params(op, &doc));
    TRY(take_old(op, &old));
    TRY(ca_public(op->ops, op->arena, CA_CURRENT, &current));
    TRY(named_tell(op, &current.id, "back to the old authority"));
    TRY(count_endpoints(op, &current, ISSUED_COUNTING, &moved));
    if (moved > 0)
        FAIL(ERR_WRONG_STATE,
             "%llu certificates of endpoints are the new authority's already: go on to \"ca "
             "finish\"",
             (unsigned long long)moved);
    TRY(pki_describe(old.chain, &info));
    if (info.not_after <= op->now)
        FAIL(ERR_WRONG_STATE, "the old authority has expired: go on to \"ca finish\"");
    TRY(ca_get(op, CA_OLD, &old));
    TRY(ca_put(op, CA_CURRENT, &old));
    TRY(ca_drop(op, CA_OLD));
    return doc_answer(op, json_pack("{s:b}", "cancelled", 1));
}
