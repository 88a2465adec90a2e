// SPDX-License-Identifier: Apache-2.0
//
// Signing in, and one's own sessions. Each sign-in has a secret of its own, which is told once.
// Failures have one text and take one time, whether there is such a user or not.
#include "base/pwhash.h"
#include "ops/credential.h"
#include "ops/identity.h"
#include "ops/named.h"
#include "ops/proof.h"
#include "ops/seen.h"
#include "ops/verbs.h"

enum { LIST_MAX = STORE_FIND_MAX, SESSIONS_MAX = 20 };

// What the trail is told of a try: a name that somebody has; what was typed may be a password.
static enum err tell(struct op *op, const struct proof *proof)
{
    static const struct uuid none;
    if (!proof->known)
        return named_tell(op, &none, "a user that does not exist");
    return named_tell(op, &proof->account.row.id, "user \"%.*s\"", (int)proof->account.name.len,
                      (const char *)proof->account.name.data);
}

// The password was made with older parameters: now that it is known it is hashed anew.
static enum err renew_record(struct op *op, struct proof *proof)
{
    uint8_t record[PWHASH_LEN];
    if (!pwhash_is_old(proof->account.password))
        return ERR_OK;
    TRY(pwhash_make(doc_secret(op, "password"), record));
    TRY(arena_copy(op->arena, span_of(record, sizeof record), &proof->account.password));
    return account_update(op, &proof->account);
}

// The oldest sessions make room: nobody has more than SESSIONS_MAX.
static enum err make_room(struct op *op, const struct uuid *user)
{
    struct store_credential *rows = NULL;
    const struct uuid none = {{0}};
    size_t count = 0;
    size_t sessions = 0;
    struct store *store = op->ops->set.store;
    TRY(store_credential_forget(store, op->now));
    TRY(store_credential_list(store, user, &none, LIST_MAX, op->arena, &rows, &count));
    for (size_t i = 0; i < count; i++)
        sessions += rows[i].kind == STORED_SESSION;
    for (size_t i = 0; i < count && sessions >= SESSIONS_MAX; i++) {
        if (rows[i].kind != STORED_SESSION)
            continue;
        TRY(store_credential_remove(store, &rows[i].id));
        sessions--;
    }
    return ERR_OK;
}

static enum err begin_session(struct op *op, struct proof *proof)
{
    char text[CREDENTIAL_TEXT_LEN + 1];
    struct store_credential row = {.kind = STORED_SESSION,
                                   .user = proof->account.row.id,
                                   .expires = op->now + proof->policy.session_s,
                                   .rights = RIGHT_ALL};
    TRY(make_room(op, &row.user));
    credential_make(STORED_SESSION, text, row.hash);
    TRY(credential_put(op, &row, op->who.address));
    TRY(store_seen_put(op->ops->set.store, &row.user, op->now));
    op->who.name = proof->account.name;
    enum err err = doc_answer(
        op, json_pack("{s:s, s:o, s:o, s:o, s:I, s:b}", "session", text, "id", doc_uuid(&row.id),
                      "user", doc_string(proof->account.name), "expires", doc_time(row.expires),
                      "idle_s", (json_int_t)proof->policy.idle_s, "must_change_password",
                      (proof->account.row.flags & USER_MUST_CHANGE) != 0));
    explicit_bzero(text, sizeof text);
    return err;
}

// {"user"} and the secrets "password", "code" → a session
enum err session_create_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct proof proof;
    struct span typed;
    uint8_t normal[ACCOUNT_TYPED_MAX];
    uint8_t hash[STORE_HASH_LEN];
    TRY(doc_params(op, &doc));
    TRY(doc_text(doc, "user", ACCOUNT_TYPED_MAX, true, &typed));
    TRY(account_hash(op, account_normal(typed, normal), hash));
    TRY(proof_compare(op, hash, PROOF_PASSWORD | PROOF_FACTOR, &proof));
    TRY(tell(op, &proof));
    TRY(proof_settle(op, &proof, ERR_AUTHENTICATION,
                     "the user name, the password or the code is wrong"));
    TRY(renew_record(op, &proof));
    return begin_session(op, &proof);
}

static enum err add_session(struct op *op, const struct store_credential *row,
                            const struct store_credential *own, json_t *list)
{
    struct span from;
    int64_t seen = 0;
    TRY(credential_open(op, row, &from));
    TRY(store_seen_get(op->ops->set.store, &row->id, &seen));
    bool current = memcmp(&row->id, &own->id, sizeof row->id) == 0;
    if (current)
        seen = op->now;
    json_t *item = json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "id", doc_uuid(&row->id), "created",
                             doc_time(row->created), "expires", doc_time(row->expires), "last_used",
                             doc_time(seen > row->created ? seen : row->created), "from",
                             doc_string(from), "current", current);
    if (item == NULL || json_array_append_new(list, item) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

// → {"sessions": […]}
enum err session_list_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct account account;
    struct store_credential own;
    struct store_credential *rows = NULL;
    const struct uuid none = {{0}};
    size_t count = 0;
    TRY(doc_params(op, &doc));
    TRY(identity_account(op, false, &account));
    TRY(identity_credential(op, &own));
    TRY(store_credential_list(op->ops->set.store, &account.row.id, &none, LIST_MAX, op->arena,
                              &rows, &count));
    json_t *list = json_array();
    TRY(doc_set(answer, "sessions", list));
    for (size_t i = 0; i < count; i++) {
        if (rows[i].kind == STORED_SESSION && rows[i].expires > op->now)
            TRY(add_session(op, &rows[i], &own, list));
    }
    return doc_answer(op, json_incref(answer));
}

// {"id": identifier or "current"}
enum err session_delete_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    struct store_credential row;
    struct span text;
    TRY(doc_params(op, &doc));
    TRY(doc_text(doc, "id", UUID_TEXT_LEN, true, &text));
    TRY(identity_account(op, false, &account));
    TRY(identity_credential(op, &row));
    if (!span_eq_str(text, "current") || row.kind != STORED_SESSION)
        TRY(credential_own(op, text, STORED_SESSION, &row));
    TRY(named_tell(op, &account.row.id, "a session of user \"%.*s\"", (int)account.name.len,
                   (const char *)account.name.data));
    TRY(store_credential_remove(op->ops->set.store, &row.id));
    return doc_answer(op, json_pack("{s:o, s:b}", "id", doc_uuid(&row.id), "ended", 1));
}
