// SPDX-License-Identifier: Apache-2.0
//
// Accounts as administrators make, show, lock and remove them. Passwords are hashed before a
// transaction is opened. Whatever is done here holds from the user's next request on.
#include "ops/user.h"

#include "base/pwhash.h"
#include "base/rand.h"
#include "ops/authority.h"
#include "ops/credential.h"
#include "ops/endpoint.h"
#include "ops/hold.h"
#include "ops/identity.h"
#include "ops/lifecycle.h"
#include "ops/named.h"
#include "ops/rights.h"
#include "ops/tries.h"
#include "ops/verbs.h"

enum { LIST_MAX = STORE_FIND_MAX, EMAIL_MAX = 254 };

// ---- what operations share ----

enum err user_take(struct op *op, const json_t *doc, struct account *ret)
{
    TRY(account_find(op, doc, "name", ret));
    enum err err = authority_user(op, &ret->row.id);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "there is no user \"%s\"",
             json_string_value(json_object_get(doc, "name")));
    TRY(err);
    return named_tell(op, &ret->row.id, "user \"%.*s\"", (int)ret->name.len,
                      (const char *)ret->name.data);
}

static enum err check_email(struct span email)
{
    size_t at = 0;
    for (size_t i = 0; i < email.len; i++) {
        uint8_t c = email.data[i];
        if (c <= ' ' || c >= 0x7f || strchr("<>()[],;:\\\"", c) != NULL)
            FAIL(ERR_INVALID, "\"email\" is no address of one person");
        at += c == '@';
    }
    bool ends = email.len > 0 &&
                (email.data[0] == '@' || email.data[0] == '-' || email.data[email.len - 1] == '@');
    if (email.len > 0 && (at != 1 || ends))
        FAIL(ERR_INVALID, "\"email\" is no address of one person");
    return ERR_OK;
}

enum err user_take_texts(struct op *op, const json_t *doc, struct account *account)
{
    struct span text;
    if (json_object_get(doc, "full_name") != NULL) {
        TRY(doc_text(doc, "full_name", ACCOUNT_TEXT_MAX, false, &text));
        TRY(arena_copy(op->arena, text, &account->full_name));
    }
    if (json_object_get(doc, "email") == NULL)
        return ERR_OK;
    TRY(doc_text(doc, "email", EMAIL_MAX, false, &text));
    TRY(check_email(text));
    return arena_copy(op->arena, text, &account->email);
}

enum err user_describe(struct op *op, const struct account *account, json_t **ret)
{
    int64_t seen = 0;
    const struct store_user *row = &account->row;
    TRY(store_seen_get(op->ops->set.store, &row->id, &seen));
    *ret = json_pack("{s:o, s:o, s:o, s:o, s:s, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o}", "id",
                     doc_uuid(&row->id), "name", doc_string(account->name), "full_name",
                     doc_string(account->full_name), "email", doc_string(account->email), "state",
                     row->state == USER_LOCKED ? "locked" : "active", "must_change_password",
                     (row->flags & USER_MUST_CHANGE) != 0, "second_factor",
                     (row->flags & USER_TOTP) != 0, "access_held", (row->flags & USER_HELD) != 0,
                     "created", doc_time(row->created), "password_changed",
                     doc_time(row->password_changed), "last_seen", doc_time(seen), "roles",
                     rights_roles(row->rights, row->forward), "privileges",
                     rights_words(row->rights & ~(uint32_t)IDENTITY_ROLES));
    if (*ret == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

void user_make_password(char text[USER_MADE_LEN + 1])
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; // 32: no l, no o, no 0, no 1
    uint8_t bytes[USER_MADE_LEN];
    rand_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < USER_MADE_LEN; i++)
        text[i] = i % 6 == 5 ? '-' : letters[bytes[i] % 32];
    text[USER_MADE_LEN] = '\0';
    explicit_bzero(bytes, sizeof bytes);
}

enum err user_check_not_last(struct op *op, const struct account *account)
{
    bool last = false;
    TRY(identity_is_last(op, &account->row, &last));
    if (last)
        FAIL(ERR_WRONG_STATE,
             "\"%.*s\" is the last System Administrator: give the role to somebody else first",
             (int)account->name.len, (const char *)account->name.data);
    return ERR_OK;
}

static enum err answer_user(struct op *op, const struct account *account)
{
    json_t *answer = NULL;
    TRY(user_describe(op, account, &answer));
    return doc_answer(op, answer);
}

// ---- list and show ----

// {"cursor", "limit"} → {"users": […], "next_cursor"}
enum err user_list_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct store_user *rows = NULL;
    struct doc_page page;
    size_t count = 0;
    TRY(doc_params(op, &doc));
    TRY(doc_page(doc, &page));
    TRY(store_user_list(op->ops->set.store, 0, &page.after, page.limit, op->arena, &rows, &count));
    json_t *list = json_array();
    TRY(doc_set(answer, "users", list));
    for (size_t i = 0; i < count; i++) {
        struct account account;
        json_t *item = NULL;
        TRY(account_open(op, &rows[i], &account));
        TRY(user_describe(op, &account, &item));
        if (json_array_append_new(list, item) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    TRY(doc_page_end(answer, count == page.limit ? &rows[count - 1].id : NULL));
    return doc_answer(op, json_incref(answer));
}

// An endpoint or a group of endpoints, whichever it is.
static json_t *managed(struct op *op, const struct uuid *thing)
{
    struct store_endpoint row;
    bool endpoint = store_endpoint_get(op->ops->set.store, thing, op->arena, &row) == ERR_OK;
    return json_pack("{s:s, s:o}", "kind", endpoint ? "endpoint" : "endpoint_group", "name",
                     endpoint ? endpoint_name(op, thing) : named_name(op, thing));
}

static enum err add_managed(struct op *op, const struct uuid *user, json_t *answer)
{
    struct uuid after = {{0}};
    struct uuid *ids = NULL;
    size_t count = LIST_MAX;
    json_t *list = json_array();
    TRY(doc_set(answer, "manages", list));
    while (count == LIST_MAX) {
        TRY(store_privilege_list(op->ops->set.store, user, &after, LIST_MAX, op->arena, &ids,
                                 &count));
        for (size_t i = 0; i < count; i++) {
            after = ids[i];
            if (json_array_append_new(list, managed(op, &ids[i])) != 0)
                FAIL(ERR_MEMORY, "no memory for an answer");
        }
    }
    return ERR_OK;
}

static enum err add_groups(struct op *op, const struct uuid *user, json_t *answer)
{
    struct uuid after = {{0}};
    struct uuid *ids = NULL;
    size_t count = LIST_MAX;
    json_t *list = json_array();
    TRY(doc_set(answer, "groups", list));
    while (count == LIST_MAX) {
        TRY(store_member_of(op->ops->set.store, user, &after, LIST_MAX, op->arena, &ids, &count));
        for (size_t i = 0; i < count; i++) {
            after = ids[i];
            if (json_array_append_new(list, named_name(op, &ids[i])) != 0)
                FAIL(ERR_MEMORY, "no memory for an answer");
        }
    }
    return ERR_OK;
}

// {"name"} → the user
enum err user_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = NULL;
    struct account account;
    struct store_tries tries;
    TRY(doc_params(op, &doc));
    TRY(user_take(op, doc, &account));
    TRY(user_describe(op, &account, &answer));
    TRY(add_managed(op, &account.row.id, answer));
    TRY(add_groups(op, &account.row.id, answer));
    TRY(store_tries_get(op->ops->set.store, account.row.name_hash, &tries));
    TRY(doc_set(answer, "wrong_tries", json_integer((json_int_t)tries.wrong)));
    TRY(doc_set(answer, "locked_until", doc_time(tries.until > op->now ? tries.until : 0)));
    return doc_answer(op, json_incref(answer));
}

// ---- passwords that somebody else sets ----

struct given {
    struct policy policy;
    char made[USER_MADE_LEN + 1]; // empty when a password was given
    uint8_t record[PWHASH_LEN];
};

static enum err hash_given(struct op *op, struct span name, struct given *given)
{
    struct span password = doc_secret(op, "password");
    TRY(policy_load(op, &given->policy));
    given->made[0] = '\0';
    if (password.len == 0) {
        user_make_password(given->made);
        password = span_str(given->made);
    }
    TRY(policy_check(&given->policy, password, name));
    return pwhash_make(password, given->record);
}

static enum err answer_given(struct op *op, const struct account *account, struct given *given,
                             bool reset)
{
    CLEANUP(doc_freep)
    json_t *answer = json_pack("{s:o, s:o}", "id", doc_uuid(&account->row.id), "name",
                               doc_string(account->name));
    if (answer != NULL && reset)
        TRY(doc_set(answer, "access_held", json_boolean(account->row.flags & USER_HELD)));
    if (answer != NULL && given->made[0] != '\0')
        TRY(doc_set(answer, "password", json_string(given->made)));
    explicit_bzero(given->made, sizeof given->made);
    return doc_answer(op, json_incref(answer));
}

// {"name", "full_name", "email", "dry_run"} and the secret "password" → a made-up password
enum err user_create_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account = {.row = {.state = USER_ACTIVE, .flags = USER_MUST_CHANGE}};
    struct given given;
    bool dry_run = false;
    TRY(doc_params(op, &doc));
    TRY(doc_dry_run(doc, &dry_run));
    TRY(account_take_name(op, doc, "name", &account.name));
    TRY(user_take_texts(op, doc, &account));
    TRY(named_tell(op, &account.row.id, "user \"%.*s\"", (int)account.name.len,
                   (const char *)account.name.data));
    TRY(hash_given(op, account.name, &given));
    TRY(ops_late_begin(op));
    TRY(ops_late_save(op));
    TRY(account_check_free(op, account.name));
    TRY(account_set_password(op, &account, given.record, 0));
    TRY(account_put(op, &account));
    op->object = account.row.id;
    if (!dry_run)
        return answer_given(op, &account, &given, false);
    TRY(store_user_remove(op->ops->set.store, &account.row.id, account.row.version));
    return doc_answer(op, json_pack("{s:b, s:o}", "dry_run", 1, "name", doc_string(account.name)));
}

// {"name"} and the secret "password" → a made-up password
enum err user_reset_password_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    struct given given;
    const struct uuid none = {{0}};
    uint64_t ended = 0;
    TRY(doc_params(op, &doc));
    TRY(user_take(op, doc, &account));
    TRY(hold_check(op, &account));
    TRY(hash_given(op, account.name, &given));
    TRY(ops_late_begin(op));
    TRY(ops_late_save(op));
    TRY(user_take(op, doc, &account)); // as it is now
    TRY(hold_check(op, &account));
    TRY(account_set_password(op, &account, given.record, given.policy.password_kept));
    account.row.flags |= USER_MUST_CHANGE;
    TRY(hold_set(op, &account));
    TRY(account_update(op, &account));
    TRY(credential_end_all(op, &account.row.id, 0, &none, &ended));
    TRY(store_tries_remove(op->ops->set.store, account.row.name_hash));
    return answer_given(op, &account, &given, true);
}

// ---- changes ----

// {"name", "full_name", "email"} → the user
enum err user_update_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    TRY(doc_params(op, &doc));
    TRY(user_take(op, doc, &account));
    TRY(user_take_texts(op, doc, &account));
    TRY(account_update(op, &account));
    return answer_user(op, &account);
}

// {"name"} → the user
enum err user_lock_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    const struct uuid none = {{0}};
    uint64_t ended = 0;
    TRY(doc_params(op, &doc));
    TRY(user_take(op, doc, &account));
    if (account.row.state == USER_LOCKED)
        FAIL(ERR_WRONG_STATE, "user \"%.*s\" is locked already", (int)account.name.len,
             (const char *)account.name.data);
    TRY(user_check_not_last(op, &account));
    account.row.state = USER_LOCKED;
    TRY(account_update(op, &account));
    TRY(credential_end_all(op, &account.row.id, STORED_SESSION, &none, &ended));
    return answer_user(op, &account);
}

// {"name"} → the user
enum err user_unlock_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    struct store_tries tries;
    TRY(doc_params(op, &doc));
    TRY(user_take(op, doc, &account));
    TRY(store_tries_get(op->ops->set.store, account.row.name_hash, &tries));
    if (account.row.state != USER_LOCKED && tries.wrong == 0)
        FAIL(ERR_WRONG_STATE, "user \"%.*s\" is not locked", (int)account.name.len,
             (const char *)account.name.data);
    account.row.state = USER_ACTIVE;
    TRY(account_update(op, &account));
    TRY(store_tries_remove(op->ops->set.store, account.row.name_hash));
    return answer_user(op, &account);
}

// {"name"} → the user
enum err user_reset_factor_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    const struct uuid none = {{0}};
    uint64_t ended = 0;
    TRY(doc_params(op, &doc));
    TRY(user_take(op, doc, &account));
    TRY(hold_check(op, &account));
    if ((account.row.flags & USER_TOTP) == 0)
        FAIL(ERR_WRONG_STATE, "user \"%.*s\" has no second factor", (int)account.name.len,
             (const char *)account.name.data);
    account.row.flags &= ~(uint32_t)(USER_TOTP | USER_TOTP_PENDING);
    account.totp = span_of(NULL, 0);
    TRY(hold_set(op, &account));
    TRY(account_update(op, &account));
    TRY(credential_end_all(op, &account.row.id, STORED_SESSION, &none, &ended));
    return answer_user(op, &account);
}

// {"name"} → how many
enum err user_end_sessions_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    const struct uuid none = {{0}};
    uint64_t ended = 0;
    TRY(doc_params(op, &doc));
    TRY(user_take(op, doc, &account));
    TRY(credential_end_all(op, &account.row.id, 0, &none, &ended));
    return doc_answer(
        op, json_pack("{s:o, s:I}", "name", doc_string(account.name), "ended", (json_int_t)ended));
}

static enum err give_objects(struct op *op, const json_t *doc, const struct account *account,
                             uint64_t *ret_count)
{
    struct account heir;
    if (!authority_has(op, RIGHT_KEY)) // else deleting somebody would be a way to their keys
        FAIL(ERR_NOT_PERMITTED, "to give objects to somebody is the Key Administrator's and the "
                                "local administrator's: ask one of them");
    TRY(account_find(op, doc, "reassign_to", &heir));
    enum err err = store_object_move(op->ops->set.store, &account->row.id, &heir.row.id, ret_count);
    if (err == ERR_INVALID)
        FAIL(ERR_INVALID, "\"reassign_to\" is the user that is to be deleted");
    if (err == ERR_CONFLICT)
        FAIL(ERR_CONFLICT,
             "an object of the user has a name that one of \"%.*s\" has, too: rename one of them, "
             "or choose another user",
             (int)heir.name.len, (const char *)heir.name.data);
    return err;
}

// {"name", "reassign_to"} → how many objects went to the other user
enum err user_delete_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct account account;
    uint64_t count = 0;
    TRY(doc_params(op, &doc));
    TRY(user_take(op, doc, &account));
    TRY(user_check_not_last(op, &account));
    struct store_query query = {.owner = account.row.id, .states = LIFECYCLE_LIVING};
    if (json_object_get(doc, "reassign_to") != NULL) {
        TRY(give_objects(op, doc, &account, &count));
    } else {
        TRY(store_object_count(op->ops->set.store, &query, &count));
        if (count > 0)
            FAIL(ERR_WRONG_STATE,
                 "user \"%.*s\" owns %llu objects: destroy them first, or give them to another "
                 "user (reassign_to)",
                 (int)account.name.len, (const char *)account.name.data, (unsigned long long)count);
    }
    TRY(store_user_remove(op->ops->set.store, &account.row.id, account.row.version));
    return doc_answer(op, json_pack("{s:o, s:o, s:b, s:I}", "id", doc_uuid(&account.row.id), "name",
                                    doc_string(account.name), "deleted", 1, "objects_reassigned",
                                    (json_int_t)count));
}
