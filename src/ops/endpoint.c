// SPDX-License-Identifier: Apache-2.0
//
// Endpoints: registered with a one-time token, enrolled once with it and a certificate request made
// at the client. The token is shown once and kept as a hash; a wrong, used or expired one and an
// endpoint that does not exist are the same answer.
#include "base/clock.h"
#include "base/secret.h"
#include "crypto/crypto.h"
#include "ops/ca.h"
#include "ops/doc.h"
#include "ops/index.h"
#include "ops/peer.h"
#include "ops/verbs.h"

enum { TOKEN_BYTES = 32, TEXT_FIELD_MAX = 256, CSR_MAX = 32 * 1024, PAGE_DEFAULT = 100 };

static const char *state_name(uint32_t state)
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

// Letters of any script, digits, and what does not need quoting; no leading or trailing blank.
static enum err check_name(struct span name)
{
    if (name.data[0] == ' ' || name.data[name.len - 1] == ' ')
        FAIL(ERR_INVALID, "\"name\" begins or ends with a blank");
    for (size_t i = 0; i < name.len; i++) {
        if (strchr("/\\\"'<>&", name.data[i]) != NULL)
            FAIL(ERR_INVALID, "\"name\" holds the character '%c'", name.data[i]);
    }
    return ERR_OK;
}

static enum err take_name(const json_t *doc, struct span *ret)
{
    TRY(doc_text(doc, "name", ENDPOINT_NAME_MAX, true, ret));
    return check_name(*ret);
}

static enum err find(struct op *op, struct span name, struct store_endpoint *ret)
{
    uint8_t hash[STORE_HASH_LEN];
    TRY(index_endpoint(op->ops, name, hash));
    enum err err = store_endpoint_by_name(op->ops->set.store, hash, op->arena, ret);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "there is no endpoint \"%.*s\"", (int)name.len,
             (const char *)name.data);
    return err;
}

static enum err make_token(struct store_endpoint *row, char text[2 * TOKEN_BYTES + 1], int64_t now)
{
    uint8_t token[TOKEN_BYTES];
    rand_bytes(token, sizeof token);
    doc_hex(span_of(token, sizeof token), text);
    explicit_bzero(token, sizeof token);
    crypto_sha256(span_str(text), row->token_hash);
    row->token_expires = now + OPS_TOKEN_S;
    return ERR_OK;
}

static enum err register_endpoint(struct op *op, const struct peer_record *record, bool dry_run)
{
    char token[2 * TOKEN_BYTES + 1];
    struct store_endpoint row = {.id = uuid_ordered(clock_wall_ms()),
                                 .version = 1,
                                 .state = ENDPOINT_REGISTERED,
                                 .created = op->now};
    TRY(index_endpoint(op->ops, record->name, row.name_hash));
    TRY(make_token(&row, token, op->now));
    TRY(peer_seal(op->ops, op->arena, record, &row));
    if (dry_run)
        return doc_answer(op,
                          json_pack("{s:b, s:o}", "dry_run", 1, "name", doc_string(record->name)));
    enum err err = store_endpoint_put(op->ops->set.store, &row);
    if (err == ERR_CONFLICT)
        FAIL(ERR_CONFLICT, "endpoint \"%.*s\" exists already", (int)record->name.len,
             (const char *)record->name.data);
    TRY(err);
    op->object = row.id;
    err = doc_answer(op, json_pack("{s:o, s:o, s:s, s:s, s:o}", "id", doc_uuid(&row.id), "name",
                                   doc_string(record->name), "state", state_name(row.state),
                                   "token", token, "token_expires", doc_time(row.token_expires)));
    explicit_bzero(token, sizeof token);
    return err;
}

// {"name", "type", "description"} → the one-time token
enum err endpoint_add_run(struct op *op)
{
    static const char *const fields[] = {"name", "type", "description", "dry_run", NULL};
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct peer_record record = {0};
    struct store_endpoint existing;
    bool dry_run = false;
    TRY(doc_params(op, fields, &doc));
    TRY(doc_dry_run(doc, &dry_run));
    TRY(take_name(doc, &record.name));
    TRY(doc_text(doc, "type", TEXT_FIELD_MAX, false, &record.type));
    TRY(doc_text(doc, "description", TEXT_FIELD_MAX, false, &record.description));
    TRY(arena_copy(op->arena, record.name, &op->detail));
    if (find(op, record.name, &existing) == ERR_OK)
        FAIL(ERR_CONFLICT, "endpoint \"%.*s\" exists already", (int)record.name.len,
             (const char *)record.name.data);
    return register_endpoint(op, &record, dry_run);
}

static struct span token_of(const struct op *op, const json_t *doc)
{
    const json_t *value = json_object_get(doc, "token");
    for (size_t i = 0; i < op->request->secret_count; i++) {
        if (span_eq_str(op->request->secrets[i].name, "token"))
            return op->request->secrets[i].value;
    }
    return json_is_string(value) ? span_of(json_string_value(value), json_string_length(value))
                                 : span_of(NULL, 0);
}

static enum err check_token(struct op *op, const struct store_endpoint *row, struct span token)
{
    static const uint8_t used[32];
    uint8_t hash[32];
    crypto_sha256(token, hash);
    bool same = secret_equal(span_of(hash, sizeof hash), span_of(row->token_hash, sizeof hash));
    bool open = memcmp(row->token_hash, used, sizeof used) != 0 && row->token_expires > op->now;
    if (!same || !open || row->state == ENDPOINT_SUSPENDED)
        FAIL(ERR_AUTHENTICATION,
             "the endpoint does not exist, or the token is wrong, used or expired");
    return ERR_OK;
}

static enum err enroll(struct op *op, struct store_endpoint *row, struct span csr)
{
    char name[ENDPOINT_NAME_MAX + 1];
    struct peer_record record;
    struct span ca;
    TRY(peer_open(op->ops, op->arena, row, &record));
    memcpy(name, record.name.data, record.name.len);
    name[record.name.len] = '\0';
    TRY(ca_sign_client(op, csr, name, &record.certificate, &ca, row->fingerprint));
    memset(row->token_hash, 0, sizeof row->token_hash);
    row->token_expires = 0;
    row->state = ENDPOINT_ENROLLED;
    row->enrolled = op->now;
    TRY(peer_seal(op->ops, op->arena, &record, row));
    TRY(store_endpoint_update(op->ops->set.store, row));
    return doc_answer(op, json_pack("{s:o, s:s, s:o, s:o}", "id", doc_uuid(&row->id), "name", name,
                                    "certificate", doc_string(record.certificate), "ca",
                                    doc_string(ca)));
}

// {"name", "csr"} and the secret "token" → client certificate and CA certificate
enum err endpoint_enroll_run(struct op *op)
{
    static const char *const fields[] = {"name", "csr", "token", NULL};
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_endpoint row = {0};
    struct span name;
    TRY(doc_params(op, fields, &doc));
    TRY(take_name(doc, &name));
    TRY(arena_copy(op->arena, name, &op->detail));
    const json_t *csr = json_object_get(doc, "csr");
    if (!json_is_string(csr) || json_string_length(csr) > CSR_MAX)
        FAIL(ERR_INVALID, "\"csr\" must be a certificate request in PEM");
    enum err err = find(op, name, &row);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    TRY(check_token(op, &row, token_of(op, doc)));
    op->object = row.id;
    return enroll(op, &row, span_of(json_string_value(csr), json_string_length(csr)));
}

static enum err describe(struct op *op, const struct store_endpoint *row, json_t **ret)
{
    struct peer_record record;
    char fingerprint[2 * sizeof row->fingerprint + 1];
    TRY(peer_open(op->ops, op->arena, row, &record));
    doc_hex(span_of(row->fingerprint, sizeof row->fingerprint), fingerprint);
    *ret = json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o}", "id", doc_uuid(&row->id), "name",
                     doc_string(record.name), "type", doc_string(record.type), "description",
                     doc_string(record.description), "state", state_name(row->state), "created",
                     doc_time(row->created), "enrolled", doc_time(row->enrolled));
    if (*ret == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    if (row->state == ENDPOINT_REGISTERED)
        return doc_set(*ret, "token_expires", doc_time(row->token_expires));
    return doc_set(*ret, "fingerprint", json_string(fingerprint));
}

// {"cursor", "limit"} → {"endpoints": […], "next_cursor": text or null}
enum err endpoint_list_run(struct op *op)
{
    static const char *const fields[] = {"cursor", "limit", NULL};
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct store_endpoint *rows = NULL;
    struct uuid after = {{0}};
    size_t count = 0;
    int64_t limit = PAGE_DEFAULT;
    TRY(doc_params(op, fields, &doc));
    TRY(doc_cursor(doc, &after));
    TRY(doc_integer(doc, "limit", 1, STORE_FIND_MAX, &limit));
    TRY(store_endpoint_list(op->ops->set.store, &after, (uint32_t)limit, op->arena, &rows, &count));
    json_t *list = json_array();
    TRY(doc_set(answer, "endpoints", list));
    for (size_t i = 0; i < count; i++) {
        json_t *item = NULL;
        TRY(describe(op, &rows[i], &item));
        if (json_array_append_new(list, item) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    bool more = count == (size_t)limit;
    TRY(doc_set(answer, "next_cursor", more ? doc_uuid(&rows[count - 1].id) : json_null()));
    return doc_answer(op, json_incref(answer));
}

// {"name"} → the endpoint
enum err endpoint_show_run(struct op *op)
{
    static const char *const fields[] = {"name", NULL};
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_endpoint row;
    struct span name;
    json_t *answer = NULL;
    TRY(doc_params(op, fields, &doc));
    TRY(take_name(doc, &name));
    TRY(find(op, name, &row));
    op->object = row.id;
    TRY(describe(op, &row, &answer));
    return doc_answer(op, answer);
}
