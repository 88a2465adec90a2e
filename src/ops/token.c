// SPDX-License-Identifier: Apache-2.0
//
// API tokens of the one who asks. A token lets through what its scope says of what its owner holds
// at the time of each request, and never more. It makes no other token.
#include "ops/credential.h"
#include "ops/identity.h"
#include "ops/named.h"
#include "ops/policy.h"
#include "ops/rights.h"
#include "ops/verbs.h"

enum { LIST_MAX = STORE_FIND_MAX, TOKENS_MAX = 100, DAYS_USUAL = 90, DAYS_MAX = 3650 };
enum { DAY_S = 86400 };

static enum err add_token(struct op *op, const struct store_credential *row, json_t *list)
{
    struct span label;
    int64_t seen = 0;
    TRY(credential_open(op, row, &label));
    TRY(store_seen_get(op->ops->set.store, &row->id, &seen));
    json_t *item = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "id", doc_uuid(&row->id), "label",
                             doc_string(label), "scope", rights_words(row->rights), "created",
                             doc_time(row->created), "expires", doc_time(row->expires), "last_used",
                             doc_time(seen));
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
        if (rows[i].kind == STORED_TOKEN)
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
    if ((scope & ~op->who.rights) != 0)
        FAIL(ERR_NOT_PERMITTED, "\"scope\" holds what you do not hold yourself");
    return ERR_OK;
}

// {"label", "scope", "days"} → the secret
enum err token_create_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    struct policy policy;
    struct span label;
    struct store_credential *rows = NULL;
    size_t count = 0;
    int64_t days = DAYS_USUAL;
    char text[CREDENTIAL_TEXT_LEN + 1];
    struct store_credential row = {.kind = STORED_TOKEN};
    TRY(doc_params(op, &doc));
    TRY(identity_account(op, true, &account));
    TRY(policy_load(op, &policy));
    TRY(doc_text(doc, "label", CREDENTIAL_LABEL_MAX, true, &label));
    TRY(doc_integer(doc, "days", 1, policy.token_days, &days));
    TRY(rights_take_list(doc, "scope", 0, &row.rights));
    TRY(check_scope(op, row.rights));
    TRY(store_credential_forget(op->ops->set.store, op->now));
    TRY(own_tokens(op, &rows, &count));
    if (count >= TOKENS_MAX)
        FAIL(ERR_CONFLICT, "you have %d API tokens already: revoke one first", TOKENS_MAX);
    row.user = account.row.id;
    row.expires = op->now + (days < policy.token_days ? days : policy.token_days) * DAY_S;
    credential_make(STORED_TOKEN, text, row.hash);
    TRY(credential_put(op, &row, label));
    TRY(named_tell(op, &account.row.id, "API token \"%.*s\"", (int)label.len,
                   (const char *)label.data));
    enum err err = doc_answer(op, json_pack("{s:o, s:s, s:o, s:o}", "id", doc_uuid(&row.id),
                                            "token", text, "scope", rights_words(row.rights),
                                            "expires", doc_time(row.expires)));
    explicit_bzero(text, sizeof text);
    return err;
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
    TRY(credential_own(op, text, STORED_TOKEN, &row));
    TRY(credential_open(op, &row, &label));
    TRY(named_tell(op, &account.row.id, "API token \"%.*s\"", (int)label.len,
                   (const char *)label.data));
    TRY(store_credential_remove(op->ops->set.store, &row.id));
    return doc_answer(op, json_pack("{s:o, s:b}", "id", doc_uuid(&row.id), "ended", 1));
}
