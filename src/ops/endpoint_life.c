// SPDX-License-Identifier: Apache-2.0
//
// What happens to an endpoint after it was registered: suspended and resumed, enrolled again, given
// a new certificate while the old one still counts, renamed, deleted. Engines look an endpoint's
// state up for each request, so that every one of these holds from the next request on, on open
// connections, too.
#include "ops/account.h"
#include "ops/authority.h"
#include "ops/ca.h"
#include "ops/endpoint.h"
#include "ops/index.h"
#include "ops/lifecycle.h"
#include "ops/named.h"
#include "ops/verbs.h"

enum { KEEP_OLD_S = 7 * 86400, KEEP_OLD_MAX_S = 90 * 86400 };

static const uint32_t living = 1U << KMIP_STATE_PRE_ACTIVE | 1U << KMIP_STATE_ACTIVE |
                               1U << KMIP_STATE_DEACTIVATED | 1U << KMIP_STATE_COMPROMISED;

// Stores the row and answers with it as it is now.
static enum err put_back(struct op *op, struct store_endpoint *row)
{
    json_t *answer = NULL;
    TRY(store_endpoint_update(op->ops->set.store, row));
    row->version++;
    TRY(endpoint_describe(op, row, &answer));
    return doc_answer(op, answer);
}

static bool is_certified(const struct store_endpoint *row)
{
    static const uint8_t none[32];
    return memcmp(row->fingerprint, none, sizeof none) != 0;
}

static enum err set_state(struct op *op, bool suspend)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_endpoint row;
    struct span name;
    TRY(doc_params(op, &doc));
    TRY(endpoint_take(op, doc, &row, &name));
    if (suspend == (row.state == ENDPOINT_SUSPENDED))
        FAIL(ERR_WRONG_STATE, "endpoint \"%.*s\" is %s", (int)name.len, (const char *)name.data,
             suspend ? "suspended already" : "not suspended");
    row.state = ENDPOINT_SUSPENDED;
    if (!suspend)
        row.state = is_certified(&row) ? ENDPOINT_ENROLLED : ENDPOINT_REGISTERED;
    return put_back(op, &row);
}

// {"name"} → the endpoint
enum err endpoint_life_suspend_run(struct op *op)
{
    return set_state(op, true);
}

// {"name"} → the endpoint
enum err endpoint_life_resume_run(struct op *op)
{
    return set_state(op, false);
}

// Its certificates are revoked.
static enum err end_now(struct op *op, struct store_endpoint *row)
{
    memset(row->fingerprint, 0, sizeof row->fingerprint);
    memset(row->previous, 0, sizeof row->previous);
    row->previous_until = 0;
    row->state = ENDPOINT_REGISTERED;
    return store_issued_end(op->ops->set.store, &row->id, NULL, op->now, CA_END_CEASED);
}

// {"name", "token_life_s", "at_once"} → a new one-time token. What certificate there is counts
// until the token is used, or ends at once.
enum err endpoint_life_reenroll_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_endpoint row;
    struct span name;
    char token[ENDPOINT_TOKEN_LEN + 1];
    int64_t life_s = 0;
    TRY(doc_params(op, &doc));
    TRY(endpoint_token_life(doc, &life_s));
    TRY(endpoint_take(op, doc, &row, &name));
    if (row.state == ENDPOINT_SUSPENDED)
        FAIL(ERR_WRONG_STATE, "endpoint \"%.*s\" is suspended: resume it first", (int)name.len,
             (const char *)name.data);
    if (json_is_true(json_object_get(doc, "at_once")))
        TRY(end_now(op, &row));
    endpoint_make_token(&row, op->now, life_s, token);
    TRY(store_endpoint_update(op->ops->set.store, &row));
    enum err err =
        doc_answer(op, json_pack("{s:o, s:o, s:s, s:s, s:o}", "id", doc_uuid(&row.id), "name",
                                 doc_string(name), "state", endpoint_state_name(row.state), "token",
                                 token, "token_expires", doc_time(row.token_expires)));
    explicit_bzero(token, sizeof token);
    return err;
}

// The certificate there is counts until then, the one before it no more.
static enum err make_previous(struct op *op, struct store_endpoint *row, int64_t until)
{
    struct store *store = op->ops->set.store;
    TRY(store_issued_end(store, &row->id, row->previous, op->now, CA_END_SUPERSEDED));
    TRY(store_issued_end(store, &row->id, row->fingerprint, until, CA_END_SUPERSEDED));
    memcpy(row->previous, row->fingerprint, sizeof row->previous);
    row->previous_until = until;
    return ERR_OK;
}

// {"name", "csr", "keep_old_s"} → certificate and CA. The certificate before counts keep_old_s
// seconds longer, the one before that no more.
enum err endpoint_life_rotate_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_endpoint row;
    struct span name;
    struct span csr;
    json_t *answer = NULL;
    int64_t keep = KEEP_OLD_S;
    TRY(doc_params(op, &doc));
    TRY(endpoint_take(op, doc, &row, &name));
    TRY(endpoint_csr(doc, &csr));
    TRY(doc_integer(doc, "keep_old_s", 0, KEEP_OLD_MAX_S, &keep));
    if (row.state != ENDPOINT_ENROLLED)
        FAIL(ERR_WRONG_STATE,
             "endpoint \"%.*s\" is %s: only an enrolled one has a certificate to "
             "rotate",
             (int)name.len, (const char *)name.data, endpoint_state_name(row.state));
    TRY(make_previous(op, &row, op->now + keep));
    TRY(endpoint_certify(op, &row, csr, &answer));
    if (json_object_set_new(answer, "old_certificate_until", doc_time(row.previous_until)) != 0) {
        json_decref(answer);
        FAIL(ERR_MEMORY, "no memory for an answer");
    }
    return doc_answer(op, answer);
}

// A Key Administrator comes here for the default wallet alone.
static enum err check_texts(struct op *op, const json_t *doc, const struct store_endpoint *row)
{
    const struct store_privilege privilege = {op->who.id, row->id};
    bool may = authority_has(op, RIGHT_SYSTEM);
    bool asked = json_object_get(doc, "new_name") != NULL || json_object_get(doc, "type") != NULL ||
                 json_object_get(doc, "description") != NULL;
    if (!asked || may)
        return ERR_OK;
    TRY(store_privilege_has(op->ops->set.store, &privilege, &may));
    if (!may)
        FAIL(ERR_NOT_PERMITTED, "to rename or describe an endpoint is the System Administrator's "
                                "and its managers': change \"default_wallet\" alone");
    return ERR_OK;
}

static enum err take_texts(struct op *op, const json_t *doc, struct store_endpoint *row)
{
    struct peer_record record;
    TRY(check_texts(op, doc, row));
    TRY(peer_open(op->ops, op->arena, row, &record));
    if (json_object_get(doc, "new_name") != NULL) {
        TRY(named_take_name(doc, "new_name", &record.name));
        TRY(account_check_endpoint(op, record.name));
        TRY(index_endpoint(op->ops, record.name, row->name_hash));
    }
    if (json_object_get(doc, "type") != NULL)
        TRY(doc_text(doc, "type", NAMED_TEXT_MAX, false, &record.type));
    if (json_object_get(doc, "description") != NULL)
        TRY(doc_text(doc, "description", NAMED_TEXT_MAX, false, &record.description));
    return peer_seal(op->ops, op->arena, &record, row);
}

// Whoever reaches the wallet reaches what the endpoint creates: once it may create anything that is
// the Key Administrator's to say. Before, others put it where they may change something themselves.
static enum err check_default(struct op *op, const struct store_endpoint *row,
                              const struct store_named *wallet)
{
    uint32_t access = 0;
    if (authority_has(op, RIGHT_KEY))
        return ERR_OK;
    if (row->enrolled != 0)
        FAIL(ERR_NOT_PERMITTED, "the endpoint is enrolled: where its keys go is the Key "
                                "Administrator's and the local administrator's to say, ask one of "
                                "them");
    TRY(authority_access(op, &wallet->id, &access));
    if ((access & GRANT_MODIFY) == 0)
        FAIL(ERR_NOT_PERMITTED, "you may not change what is in the wallet \"default_wallet\"");
    return ERR_OK;
}

static enum err take_default_wallet(struct op *op, const json_t *doc, struct store_endpoint *row)
{
    const json_t *value = json_object_get(doc, "default_wallet");
    struct store_named wallet;
    if (value == NULL)
        return ERR_OK;
    row->default_wallet = (struct uuid){{0}};
    if (json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0))
        return ERR_OK;
    TRY(named_find(op, NAMED_WALLET, doc, "default_wallet", &wallet));
    row->default_wallet = wallet.id;
    return check_default(op, row, &wallet);
}

// {"name", "new_name", "type", "description", "default_wallet": name, "" for none} → the endpoint
enum err endpoint_life_update_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_endpoint row;
    struct span name;
    TRY(doc_params(op, &doc));
    TRY(endpoint_take(op, doc, &row, &name));
    TRY(take_texts(op, doc, &row));
    TRY(take_default_wallet(op, doc, &row));
    enum err err = put_back(op, &row);
    if (err == ERR_CONFLICT)
        FAIL(ERR_CONFLICT, "another endpoint has the new name already; choose another one");
    return err;
}

static enum err give_objects(struct op *op, const json_t *doc, const struct store_endpoint *row,
                             uint64_t *ret_count)
{
    struct store_endpoint heir;
    struct span name;
    if (!authority_has(op, RIGHT_KEY)) // else deleting an endpoint would be a way to its keys
        FAIL(ERR_NOT_PERMITTED, "to give objects to another endpoint is the Key Administrator's "
                                "(\"key give\") and the local administrator's: ask one of them");
    TRY(named_take_name(doc, "reassign_to", &name));
    TRY(endpoint_find(op, name, &heir));
    enum err err = store_object_move(op->ops->set.store, &row->id, &heir.id, ret_count);
    if (err == ERR_INVALID)
        FAIL(ERR_INVALID, "\"reassign_to\" is the endpoint that is to be deleted");
    if (err == ERR_CONFLICT)
        FAIL(ERR_CONFLICT,
             "an object of the endpoint has a name that one of \"%.*s\" has, too: rename one of "
             "them, or choose another endpoint",
             (int)name.len, (const char *)name.data);
    return err;
}

// {"name", "reassign_to"} → how many objects went to the other endpoint
enum err endpoint_life_delete_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct store_endpoint row;
    struct span name;
    uint64_t count = 0;
    TRY(doc_params(op, &doc));
    TRY(endpoint_take(op, doc, &row, &name));
    struct store_query query = {.owner = row.id, .states = living};
    if (json_object_get(doc, "reassign_to") != NULL) {
        TRY(give_objects(op, doc, &row, &count));
    } else {
        TRY(store_object_count(op->ops->set.store, &query, &count));
        if (count > 0)
            FAIL(ERR_WRONG_STATE,
                 "endpoint \"%.*s\" owns %llu objects: destroy them first, or give them to another "
                 "endpoint (reassign_to, --reassign-to)",
                 (int)name.len, (const char *)name.data, (unsigned long long)count);
    }
    TRY(store_issued_end(op->ops->set.store, &row.id, NULL, op->now, CA_END_CEASED));
    TRY(store_endpoint_remove(op->ops->set.store, &row.id, row.version));
    return doc_answer(op, json_pack("{s:o, s:o, s:b, s:I}", "id", doc_uuid(&row.id), "name",
                                    doc_string(name), "deleted", 1, "objects_reassigned",
                                    (json_int_t)count));
}
