// SPDX-License-Identifier: Apache-2.0
//
// API tokens of the one who asks, and certificates that stand for them. A token lets through what
// its scope says of what its owner holds at the time of each request, and never more. It makes no
// other token.
#include <stdio.h>

#include "base/clock.h"
#include "base/hex.h"
#include "crypto/pki.h"
#include "ops/credential.h"
#include "ops/identity.h"
#include "ops/named.h"
#include "ops/policy.h"
#include "ops/rights.h"
#include "ops/verbs.h"

enum { LIST_MAX = STORE_FIND_MAX, TOKENS_MAX = 100, DAYS_USUAL = 90, DAYS_MAX = 3650 };
enum { DAY_S = 86400, CERTIFICATE_MAX = 32 * 1024 };

#define PROOF_ORGANIZATION "Keyward user"

static enum err add_token(struct op *op, const struct store_credential *row, json_t *list)
{
    struct span label;
    int64_t seen = 0;
    TRY(credential_open(op, row, &label));
    TRY(store_seen_get(op->ops->set.store, &row->id, &seen));
    json_t *item =
        json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "id", doc_uuid(&row->id), "kind",
                  row->kind == STORED_TOKEN ? "token" : "certificate", "label", doc_string(label),
                  "scope", rights_words(row->rights), "created", doc_time(row->created), "expires",
                  doc_time(row->expires), "last_used", doc_time(seen));
    if (item == NULL || json_array_append_new(list, item) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

static enum err own_tokens(struct op *op, struct store_credential **ret, size_t *ret_count)
{
    const struct uuid none = {{0}};
    struct store_credential *rows = NULL;
    size_t found = 0;
    size_t count = 0;
    TRY(store_credential_list(op->ops->set.store, &op->who.id, &none, LIST_MAX, op->arena, &rows,
                              &found));
    for (size_t i = 0; i < found; i++) {
        if (rows[i].kind == STORED_TOKEN || rows[i].kind == STORED_CERTIFICATE)
            rows[count++] = rows[i];
    }
    *ret = rows;
    *ret_count = count;
    return ERR_OK;
}

// → {"tokens": […]}
enum err token_list_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct account account;
    struct store_credential *rows = NULL;
    size_t count = 0;
    TRY(doc_params(op, &doc));
    TRY(identity_account(op, false, &account));
    TRY(own_tokens(op, &rows, &count));
    json_t *list = json_array();
    TRY(doc_set(answer, "tokens", list));
    for (size_t i = 0; i < count; i++)
        TRY(add_token(op, &rows[i], list));
    return doc_answer(op, json_incref(answer));
}

static enum err check_scope(const struct op *op, uint32_t scope)
{
    char text[RIGHTS_TEXT_MAX];
    uint32_t missing = scope & ~(op->who.rights | rights_within(op->who.rights));
    if (missing == 0)
        return ERR_OK;
    rights_text(missing, text);
    FAIL(ERR_NOT_PERMITTED,
         "\"scope\" holds what you do not hold yourself (%s): leave it out, or have it granted",
         text);
}

// What both kinds have: {"label", "scope", "days"}
static enum err take(struct op *op, const json_t *doc, struct store_credential *row,
                     struct span *ret_label)
{
    struct account account;
    struct policy policy;
    struct store_credential *rows = NULL;
    size_t count = 0;
    int64_t days = DAYS_USUAL;
    TRY(identity_account(op, true, &account));
    TRY(policy_load(op, &policy));
    TRY(doc_text(doc, "label", CREDENTIAL_LABEL_MAX, true, ret_label));
    TRY(doc_integer(doc, "days", 1, policy.token_days, &days));
    TRY(rights_take_list(doc, "scope", 0, &row->rights));
    TRY(check_scope(op, row->rights));
    TRY(store_credential_forget(op->ops->set.store, op->now));
    TRY(own_tokens(op, &rows, &count));
    if (count >= TOKENS_MAX)
        FAIL(ERR_CONFLICT, "you have %d API tokens already: revoke one first", TOKENS_MAX);
    row->user = account.row.id;
    row->expires = op->now + (days < policy.token_days ? days : policy.token_days) * DAY_S;
    return named_tell(op, &account.row.id, "%s \"%.*s\"",
                      row->kind == STORED_TOKEN ? "API token" : "certificate", (int)ret_label->len,
                      (const char *)ret_label->data);
}

// {"label", "scope", "days"} → the secret
enum err token_create_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct span label;
    char text[CREDENTIAL_TEXT_LEN + 1];
    struct store_credential row = {.kind = STORED_TOKEN};
    TRY(doc_params(op, &doc));
    TRY(take(op, doc, &row, &label));
    credential_make(STORED_TOKEN, text, row.hash);
    TRY(credential_put(op, &row, label));
    enum err err = doc_answer(op, json_pack("{s:o, s:s, s:o, s:o}", "id", doc_uuid(&row.id),
                                            "token", text, "scope", rights_words(row.rights),
                                            "expires", doc_time(row.expires)));
    explicit_bzero(text, sizeof text);
    return err;
}

static enum err take_pem(const json_t *doc, const char *field, struct span *ret)
{
    const json_t *pem = json_object_get(doc, field);
    *ret = span_of(json_string_value(pem), json_string_length(pem));
    if (ret->len > CERTIFICATE_MAX)
        FAIL(ERR_INVALID, "\"%s\" is longer than %d bytes", field, CERTIFICATE_MAX);
    return ERR_OK;
}

// Made with the certificate's key, for this user: else anybody could have somebody else's client
// act in their own name.
static enum err check_proof(struct op *op, const json_t *doc, struct span certificate)
{
    struct account account;
    struct span request;
    char name[ACCOUNT_NAME_MAX + 1];
    TRY(take_pem(doc, "request", &request));
    TRY(identity_account(op, true, &account));
    (void)snprintf(name, sizeof name, "%.*s", (int)account.name.len,
                   (const char *)account.name.data);
    enum err err = pki_check_proof(request, certificate, PROOF_ORGANIZATION, name);
    if (err != ERR_INVALID)
        return err;
    char why[256];
    (void)snprintf(why, sizeof why, "%s", err_detail());
    FAIL(ERR_INVALID,
         "\"request\" does not prove that you have the certificate's key: %s. Make it with "
         "openssl req -new -key KEY -subj \"/O=" PROOF_ORGANIZATION "/CN=%s\"",
         why, name);
}

// It counts here no longer than it is valid.
static enum err check_dates(struct op *op, struct span certificate, struct store_credential *row)
{
    char text[CLOCK_TEXT_LEN + 1];
    struct pki_info info;
    TRY(pki_describe(certificate, &info));
    if (info.not_after <= op->now) {
        clock_text(info.not_after * 1000, text);
        FAIL(ERR_INVALID, "\"certificate\" has expired on %s: give one that is valid", text);
    }
    if (info.not_before > op->now) {
        clock_text(info.not_before * 1000, text);
        FAIL(ERR_INVALID, "\"certificate\" is valid from %s on: add it then", text);
    }
    if (row->expires > info.not_after)
        row->expires = info.not_after;
    return ERR_OK;
}

// {"label", "certificate", "request", "scope", "days"} → its fingerprint
enum err token_certificate_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct span label;
    struct span certificate;
    char fingerprint[2 * PKI_FINGERPRINT_LEN + 1];
    struct store_credential row = {.kind = STORED_CERTIFICATE};
    TRY(doc_params(op, &doc));
    TRY(take(op, doc, &row, &label));
    TRY(take_pem(doc, "certificate", &certificate));
    if (pki_fingerprint(certificate, row.hash) != ERR_OK)
        FAIL(ERR_INVALID, "\"certificate\" is no certificate in PEM");
    TRY(check_dates(op, certificate, &row));
    TRY(check_proof(op, doc, certificate));
    enum err err = credential_put(op, &row, label);
    if (err == ERR_CONFLICT)
        FAIL(ERR_CONFLICT, "this certificate stands for somebody already");
    TRY(err);
    hex_text(span_of(row.hash, sizeof row.hash), fingerprint);
    return doc_answer(op, json_pack("{s:o, s:s, s:o, s:o}", "id", doc_uuid(&row.id), "fingerprint",
                                    fingerprint, "scope", rights_words(row.rights), "expires",
                                    doc_time(row.expires)));
}

// {"id"}
enum err token_delete_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    struct store_credential row;
    struct span text;
    struct span label;
    TRY(doc_params(op, &doc));
    TRY(doc_text(doc, "id", UUID_TEXT_LEN, true, &text));
    TRY(identity_account(op, false, &account));
    enum err err = credential_own(op, text, STORED_CERTIFICATE, &row);
    if (err == ERR_NOT_FOUND)
        err = credential_own(op, text, STORED_TOKEN, &row);
    TRY(err);
    TRY(credential_open(op, &row, &label));
    TRY(named_tell(op, &account.row.id, "API token \"%.*s\"", (int)label.len,
                   (const char *)label.data));
    TRY(store_credential_remove(op->ops->set.store, &row.id));
    return doc_answer(op, json_pack("{s:o, s:b}", "id", doc_uuid(&row.id), "ended", 1));
}
