// SPDX-License-Identifier: Apache-2.0
//
// Endpoints: registered with a one-time token, enrolled once with it and a certificate request made
// at the client. The token is shown once and kept as a hash; a wrong, used or expired one and an
// endpoint that does not exist are the same answer, and too many of them within a minute, for one
// endpoint, from one address or in all, close the door for the rest of it. What happens to an
// endpoint later is in endpoint_life.c.
#include "ops/endpoint.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/secret.h"
#include "crypto/crypto.h"
#include "ops/account.h"
#include "ops/authority.h"
#include "ops/ca.h"
#include "ops/index.h"
#include "ops/named.h"
#include "ops/refusals.h"
#include "ops/verbs.h"

enum { LIFE_MIN_S = 60, LIFE_MAX_S = 30 * 86400, TRIES_MS = 60000 };
// Wrong tokens within TRIES_MS: for one endpoint, of one address, of all together.
enum { TRIES_NAME = 5, TRIES_SOURCE = 20, TRIES_ALL = 300 };

const char *endpoint_state_name(uint32_t state)
{
    switch (state) {
    case ENDPOINT_REGISTERED:
        return "registered";
    case ENDPOINT_ENROLLED:
        return "enrolled";
    default:
        return "suspended";
    }
}

enum err endpoint_find(struct op *op, struct span name, struct store_endpoint *ret)
{
    uint8_t hash[STORE_HASH_LEN];
    TRY(index_endpoint(op->ops, name, hash));
    enum err err = store_endpoint_by_name(op->ops->set.store, hash, op->arena, ret);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "there is no endpoint \"%.*s\"", (int)name.len,
             (const char *)name.data);
    return err;
}

enum err endpoint_take(struct op *op, const json_t *doc, struct store_endpoint *ret,
                       struct span *ret_name)
{
    TRY(named_take_name(doc, "name", ret_name));
    TRY(endpoint_find(op, *ret_name, ret));
    enum err err = authority_thing(op, &ret->id);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "there is no endpoint \"%.*s\"", (int)ret_name->len,
             (const char *)ret_name->data);
    TRY(err);
    return named_tell(op, &ret->id, "endpoint \"%.*s\"", (int)ret_name->len,
                      (const char *)ret_name->data);
}

enum err endpoint_token_life(const json_t *doc, int64_t *ret)
{
    *ret = OPS_TOKEN_S;
    return doc_integer(doc, "token_life_s", LIFE_MIN_S, LIFE_MAX_S, ret);
}

void endpoint_make_token(struct store_endpoint *row, int64_t now, int64_t life_s,
                         char text[ENDPOINT_TOKEN_LEN + 1])
{
    uint8_t token[ENDPOINT_TOKEN_LEN / 2];
    rand_bytes(token, sizeof token);
    hex_text(span_of(token, sizeof token), text);
    explicit_bzero(token, sizeof token);
    crypto_sha256(span_str(text), row->token_hash);
    row->token_expires = now + life_s;
}

static enum err register_endpoint(struct op *op, const struct peer_record *record, int64_t life_s,
                                  bool dry_run)
{
    char token[ENDPOINT_TOKEN_LEN + 1];
    struct store_endpoint row = {.id = uuid_ordered(clock_wall_ms()),
                                 .version = 1,
                                 .state = ENDPOINT_REGISTERED,
                                 .created = op->now};
    TRY(index_endpoint(op->ops, record->name, row.name_hash));
    endpoint_make_token(&row, op->now, life_s, token);
    TRY(peer_seal(op->ops, op->arena, record, &row));
    if (dry_run)
        return doc_answer(op,
                          json_pack("{s:b, s:o}", "dry_run", 1, "name", doc_string(record->name)));
    enum err err = store_endpoint_put(op->ops->set.store, &row);
    if (err == ERR_CONFLICT)
        FAIL(ERR_CONFLICT, "endpoint \"%.*s\" exists already", (int)record->name.len,
             (const char *)record->name.data);
    TRY(err);
    if (!authority_has(op, RIGHT_SYSTEM))
        TRY(authority_give(op, &row.id));
    op->object = row.id;
    err =
        doc_answer(op, json_pack("{s:o, s:o, s:s, s:s, s:o}", "id", doc_uuid(&row.id), "name",
                                 doc_string(record->name), "state", endpoint_state_name(row.state),
                                 "token", token, "token_expires", doc_time(row.token_expires)));
    explicit_bzero(token, sizeof token);
    return err;
}

// {"name", "type", "description"} → the one-time token
enum err endpoint_add_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct peer_record record = {0};
    struct store_endpoint existing;
    int64_t life_s = 0;
    bool dry_run = false;
    TRY(doc_params(op, &doc));
    TRY(doc_dry_run(doc, &dry_run));
    TRY(named_take_name(doc, "name", &record.name));
    TRY(doc_text(doc, "type", NAMED_TEXT_MAX, false, &record.type));
    TRY(doc_text(doc, "description", NAMED_TEXT_MAX, false, &record.description));
    TRY(arena_copy(op->arena, record.name, &op->detail));
    if (endpoint_find(op, record.name, &existing) == ERR_OK)
        FAIL(ERR_CONFLICT, "endpoint \"%.*s\" exists already", (int)record.name.len,
             (const char *)record.name.data);
    TRY(account_check_endpoint(op, record.name));
    TRY(endpoint_token_life(doc, &life_s));
    return register_endpoint(op, &record, life_s, dry_run);
}

// Where wrong tokens are counted: a place of its own, or the oldest.
static struct token_tries *tries_of(struct token_tries list[TRIES_MAX],
                                    const uint8_t hash[STORE_HASH_LEN])
{
    struct token_tries *oldest = &list[0];
    for (size_t i = 0; i < TRIES_MAX; i++) {
        struct token_tries *tries = &list[i];
        if (tries->wrong > 0 && memcmp(tries->hash, hash, STORE_HASH_LEN) == 0)
            return tries;
        if (tries->wrong == 0 || (oldest->wrong > 0 && tries->since_ms < oldest->since_ms))
            oldest = tries;
    }
    *oldest = (struct token_tries){0};
    memcpy(oldest->hash, hash, STORE_HASH_LEN);
    return oldest;
}

// By the address without its port.
static struct token_tries *tries_of_source(struct op *op)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    struct span address = op->who.address;
    for (size_t i = address.len; i-- > 0;) {
        if (address.data[i] == ':') {
            address.len = i;
            break;
        }
    }
    crypto_sha256(address, hash);
    return tries_of(op->ops->source_tries, hash);
}

static enum err check_tries(struct token_tries *tries, unsigned allowed, int64_t now,
                            const char *whence)
{
    if (tries->wrong > 0 && now - tries->since_ms >= TRIES_MS)
        tries->wrong = 0;
    if (tries->wrong >= allowed)
        FAIL(ERR_TOO_MANY, "too many wrong tokens came%s: wait %lld seconds", whence,
             (long long)(tries->since_ms + TRIES_MS - now + 999) / 1000);
    return ERR_OK;
}

static void count_wrong(struct token_tries *tries, int64_t now)
{
    if (tries->wrong++ == 0)
        tries->since_ms = now;
}

static bool token_fits(const struct op *op, const struct store_endpoint *row, struct span token)
{
    static const uint8_t used[32];
    uint8_t hash[32];
    crypto_sha256(token, hash);
    bool same = secret_equal(span_of(hash, sizeof hash), span_of(row->token_hash, sizeof hash));
    bool open = memcmp(row->token_hash, used, sizeof used) != 0 && row->token_expires > op->now;
    return same && open && row->state != ENDPOINT_SUSPENDED;
}

static enum err check_token(struct op *op, struct span name, const struct store_endpoint *row)
{
    uint8_t hash[STORE_HASH_LEN];
    int64_t now = clock_mono_ms();
    TRY(index_endpoint(op->ops, name, hash));
    struct token_tries *name_tries = tries_of(op->ops->tries, hash);
    struct token_tries *source_tries = tries_of_source(op);
    TRY(check_tries(name_tries, TRIES_NAME, now, " for this endpoint"));
    TRY(check_tries(source_tries, TRIES_SOURCE, now, " from this address"));
    TRY(check_tries(&op->ops->all_tries, TRIES_ALL, now, ""));
    if (token_fits(op, row, doc_secret(op, "token"))) {
        name_tries->wrong = 0;
        return ERR_OK;
    }
    count_wrong(name_tries, now);
    count_wrong(source_tries, now);
    count_wrong(&op->ops->all_tries, now);
    FAIL(ERR_AUTHENTICATION, "the endpoint does not exist, or the token is wrong, used or expired");
}

enum err endpoint_take_token(struct op *op, struct span name, struct store_endpoint *ret)
{
    *ret = (struct store_endpoint){.id = {{0}}};
    enum err err = endpoint_find(op, name, ret);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    return check_token(op, name, ret);
}

enum err endpoint_csr(const json_t *doc, struct span *ret)
{
    const json_t *csr = json_object_get(doc, "csr");
    if (!json_is_string(csr) || json_string_length(csr) > ENDPOINT_CSR_MAX)
        FAIL(ERR_INVALID, "\"csr\" must be a certificate request in PEM");
    *ret = span_of(json_string_value(csr), json_string_length(csr));
    return ERR_OK;
}

enum err endpoint_enter(struct op *op, struct store_endpoint *row, const struct ca_signed *cert)
{
    struct peer_record record;
    TRY(peer_open(op->ops, op->arena, row, &record));
    TRY(ca_enter_client(op, cert, &row->id));
    record.certificate = cert->cert;
    memcpy(row->fingerprint, cert->fingerprint, sizeof row->fingerprint);
    row->enrolled = op->now;
    TRY(peer_seal(op->ops, op->arena, &record, row));
    return store_endpoint_update(op->ops->set.store, row);
}

enum err endpoint_text_name(struct op *op, const struct store_endpoint *row,
                            char ret[ENDPOINT_NAME_MAX + 1])
{
    struct peer_record record;
    TRY(peer_open(op->ops, op->arena, row, &record));
    memcpy(ret, record.name.data, record.name.len);
    ret[record.name.len] = '\0';
    return ERR_OK;
}

enum err endpoint_certify(struct op *op, struct store_endpoint *row, struct span csr, json_t **ret)
{
    char name[ENDPOINT_NAME_MAX + 1];
    struct ca_signed cert;
    struct span trust;
    TRY(endpoint_text_name(op, row, name));
    TRY(ca_sign_client(op, csr, name, &cert));
    TRY(ca_bundle(op, &trust));
    TRY(endpoint_enter(op, row, &cert));
    *ret = json_pack("{s:o, s:s, s:o, s:o}", "id", doc_uuid(&row->id), "name", name, "certificate",
                     doc_string(cert.cert), "ca", doc_string(trust));
    if (*ret == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

// Whatever certificates there were before count no more.
enum err endpoint_use_token(struct op *op, struct store_endpoint *row)
{
    memset(row->token_hash, 0, sizeof row->token_hash);
    memset(row->previous, 0, sizeof row->previous);
    row->token_expires = 0;
    row->previous_until = 0;
    row->state = ENDPOINT_ENROLLED;
    return store_issued_end(op->ops->set.store, &row->id, NULL, op->now, CA_END_SUPERSEDED);
}

// {"name", "csr"} and the secret "token" → client certificate and CA certificate
enum err endpoint_enroll_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_endpoint row;
    struct span name;
    struct span csr;
    json_t *answer = NULL;
    TRY(doc_params(op, &doc));
    TRY(named_take_name(doc, "name", &name));
    TRY(arena_copy(op->arena, name, &op->detail));
    TRY(endpoint_csr(doc, &csr));
    TRY(endpoint_take_token(op, name, &row));
    op->object = row.id;
    TRY(endpoint_use_token(op, &row));
    TRY(endpoint_certify(op, &row, csr, &answer));
    return doc_answer(op, answer);
}

json_t *endpoint_name(struct op *op, const struct uuid *id)
{
    struct store_endpoint row;
    struct peer_record record;
    if (uuid_is_zero(id))
        return json_null();
    if (store_endpoint_get(op->ops->set.store, id, op->arena, &row) != ERR_OK ||
        peer_open(op->ops, op->arena, &row, &record) != ERR_OK)
        return doc_uuid(id);
    return doc_string(record.name);
}

// What only some endpoints have.
static enum err describe_more(struct op *op, const struct store_endpoint *row, json_t *item)
{
    char fingerprint[2 * sizeof row->fingerprint + 1];
    static const uint8_t none[32];
    if (memcmp(row->token_hash, none, sizeof none) != 0)
        TRY(doc_set(item, "token_expires", doc_time(row->token_expires)));
    if (row->previous_until > op->now)
        TRY(doc_set(item, "old_certificate_until", doc_time(row->previous_until)));
    if (memcmp(row->fingerprint, none, sizeof none) == 0)
        return ERR_OK;
    hex_text(span_of(row->fingerprint, sizeof row->fingerprint), fingerprint);
    return doc_set(item, "fingerprint", json_string(fingerprint));
}

enum err endpoint_describe(struct op *op, const struct store_endpoint *row, json_t **ret)
{
    struct peer_record record;
    int64_t seen = 0;
    TRY(peer_open(op->ops, op->arena, row, &record));
    TRY(store_seen_get(op->ops->set.store, &row->id, &seen));
    *ret = json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "id", doc_uuid(&row->id),
                     "name", doc_string(record.name), "type", doc_string(record.type),
                     "description", doc_string(record.description), "state",
                     endpoint_state_name(row->state), "created", doc_time(row->created), "enrolled",
                     doc_time(row->enrolled), "last_seen", doc_time(seen), "default_wallet",
                     named_name(op, &row->default_wallet));
    if (*ret == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return describe_more(op, row, *ret);
}

// {"cursor", "limit"} → {"endpoints": […], "next_cursor": text or null}
enum err endpoint_list_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct store_endpoint *rows = NULL;
    struct doc_page page;
    size_t count = 0;
    TRY(doc_params(op, &doc));
    TRY(doc_page(doc, &page));
    TRY(store_endpoint_list(op->ops->set.store, &page.after, page.limit, op->arena, &rows, &count));
    json_t *list = json_array();
    TRY(doc_set(answer, "endpoints", list));
    for (size_t i = 0; i < count; i++) {
        json_t *item = NULL;
        bool seen = authority_is_general(op);
        const struct store_privilege privilege = {op->who.id, rows[i].id};
        if (!seen)
            TRY(store_privilege_has(op->ops->set.store, &privilege, &seen));
        if (!seen)
            continue;
        TRY(endpoint_describe(op, &rows[i], &item));
        if (json_array_append_new(list, item) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    TRY(doc_page_end(answer, count == page.limit ? &rows[count - 1].id : NULL));
    return doc_answer(op, json_incref(answer));
}

// {"name"} → the endpoint
enum err endpoint_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_endpoint row;
    struct span name;
    json_t *answer = NULL;
    TRY(doc_params(op, &doc));
    TRY(endpoint_take(op, doc, &row, &name));
    TRY(endpoint_describe(op, &row, &answer));
    TRY(doc_set(answer, "last_tls_failure", refusals_last(op->ops->refusals, &row.id)));
    return doc_answer(op, answer);
}
