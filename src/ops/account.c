// SPDX-License-Identifier: Apache-2.0
//
// Accounts: names, sealed records, passwords that were in use before.
#include "ops/account.h"

#include <ctype.h>

#include "base/clock.h"
#include "base/pwhash.h"
#include "ops/index.h"
#include "ops/policy.h"
#include "ops/seal.h"

// ---- names ----

struct range {
    uint32_t from, to;
};

// Blanks, what has no width and what only steers its neighbours: none of it makes another name.
static const struct range unseen[] = {
    {0x00, 0x20},     {0x7f, 0xa0},     {0xad, 0xad},     {0x34f, 0x34f},
    {0x61c, 0x61c},   {0x115f, 0x1160}, {0x1680, 0x1680}, {0x180b, 0x180f},
    {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f}, {0x3000, 0x3000},
    {0x3164, 0x3164}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0},
};

static bool is_unseen(uint32_t code)
{
    for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++) {
        if (code >= unseen[i].from && code <= unseen[i].to)
            return true;
    }
    return false;
}

// The code point at `at` of valid UTF-8, or the byte itself, and how many bytes it takes.
static uint32_t code_at(struct span text, size_t at, size_t *ret_len)
{
    uint8_t first = text.data[at];
    size_t len = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (len == 1 || len > text.len - at) {
        *ret_len = 1;
        return first;
    }
    uint32_t code = first & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++)
        code = code << 6 | (text.data[at + i] & 0x3f);
    *ret_len = len;
    return code;
}

// Characters of full width, and two signs that are other spellings of a letter, become that letter.
static uint32_t fold(uint32_t code)
{
    if (code >= 0xff01 && code <= 0xff5e)
        code -= 0xfee0;
    if (code == 0x212a || code == 0x17f)
        return code == 0x212a ? 'k' : 's';
    return code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code;
}

struct span account_normal(struct span typed, uint8_t out[ACCOUNT_TYPED_MAX])
{
    size_t used = 0;
    size_t len = 0;
    bool valid = span_is_utf8(typed);
    for (size_t at = 0; at < typed.len; at += len) {
        len = 1;
        uint32_t code = valid ? code_at(typed, at, &len) : typed.data[at];
        uint32_t folded = fold(code);
        if (valid && is_unseen(folded))
            continue;
        size_t width = folded < 0x80 ? 1 : len;
        if (used + width > ACCOUNT_TYPED_MAX)
            break;
        if (width == 1)
            out[used] = folded < 0x80 ? (uint8_t)folded : typed.data[at];
        else
            memcpy(out + used, typed.data + at, width);
        used += width;
    }
    return span_of(out, used);
}

static bool is_plain(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        if (c >= 0x80 || (!islower(c) && !isdigit(c) && strchr("_.-", c) == NULL))
            return false;
    }
    return name.len > 0 && (islower(name.data[0]) || isdigit(name.data[0]));
}

enum err account_take_name(struct op *op, const json_t *doc, const char *field, struct span *ret)
{
    uint8_t normal[ACCOUNT_TYPED_MAX];
    struct span text;
    TRY(doc_text(doc, field, ACCOUNT_NAME_MAX, true, &text));
    struct span name = account_normal(text, normal);
    if (name.len != text.len || !is_plain(name))
        FAIL(ERR_INVALID,
             "\"%s\" must have 1 to %d letters, digits, '_', '.' and '-', and begin with a letter "
             "or a digit",
             field, ACCOUNT_NAME_MAX);
    return arena_copy(op->arena, name, ret);
}

enum err account_hash(struct op *op, struct span normal, uint8_t ret[STORE_HASH_LEN])
{
    return index_user(op->ops, normal, ret);
}

enum err account_check_free(struct op *op, struct span name)
{
    uint8_t hash[STORE_HASH_LEN];
    struct store_endpoint row;
    TRY(index_endpoint(op->ops, name, hash));
    enum err err = store_endpoint_by_name(op->ops->set.store, hash, op->arena, &row);
    if (err == ERR_OK)
        FAIL(ERR_CONFLICT, "an endpoint is called \"%.*s\"; choose another name", (int)name.len,
             (const char *)name.data);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err account_check_endpoint(struct op *op, struct span name)
{
    uint8_t normal[ACCOUNT_TYPED_MAX];
    uint8_t hash[STORE_HASH_LEN];
    struct store_user row;
    TRY(account_hash(op, account_normal(name, normal), hash));
    enum err err = store_user_by_name(op->ops->set.store, hash, op->arena, &row);
    if (err == ERR_OK)
        FAIL(ERR_CONFLICT, "a user is called \"%.*s\"; choose another name", (int)name.len,
             (const char *)name.data);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

// ---- records ----

static struct seal_bound bound_of(const struct store_user *row, uint64_t version)
{
    return (struct seal_bound){.part = SEAL_USER,
                               .id = row->id,
                               .version = version,
                               .type = row->rights << 16 | row->forward,
                               .flags = row->state << 16 | row->flags};
}

enum err account_open(struct op *op, const struct store_user *row, struct account *ret)
{
    struct span plain;
    struct account account = {.row = *row};
    struct seal_bound bound = bound_of(row, row->version);
    TRY(seal_open(op->ops, op->arena, &bound, &row->key_id, row->sealed, &plain));
    struct cursor in = cursor_of(plain);
    TRY(cursor_var(&in, &account.name));
    TRY(cursor_var(&in, &account.full_name));
    TRY(cursor_var(&in, &account.email));
    TRY(cursor_var(&in, &account.password));
    TRY(cursor_var(&in, &account.totp));
    TRY(cursor_var(&in, &account.kept));
    TRY(cursor_end(&in));
    *ret = account;
    return ERR_OK;
}

static enum err seal(struct op *op, struct account *account, uint64_t version)
{
    struct seal_bound bound = bound_of(&account->row, version);
    struct buf plain CLEANUP(buf_done);
    buf_init(&plain, ACCOUNT_SEALED_MAX, true);
    TRY(buf_put_var(&plain, account->name));
    TRY(buf_put_var(&plain, account->full_name));
    TRY(buf_put_var(&plain, account->email));
    TRY(buf_put_var(&plain, account->password));
    TRY(buf_put_var(&plain, account->totp));
    TRY(buf_put_var(&plain, account->kept));
    TRY(account_hash(op, account->name, account->row.name_hash));
    return seal_close(op->ops, op->arena, &bound, span_buf(&plain), &account->row.sealed,
                      &account->row.key_id);
}

enum err account_get(struct op *op, const struct uuid *id, struct account *ret)
{
    struct store_user row;
    TRY(store_user_get(op->ops->set.store, id, op->arena, &row));
    return account_open(op, &row, ret);
}

enum err account_named(struct op *op, struct span text, struct account *ret)
{
    uint8_t normal[ACCOUNT_TYPED_MAX];
    uint8_t hash[STORE_HASH_LEN];
    struct store_user row;
    TRY(account_hash(op, account_normal(text, normal), hash));
    enum err err = store_user_by_name(op->ops->set.store, hash, op->arena, &row);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_NOT_FOUND, "there is no user \"%.*s\"", (int)text.len, (const char *)text.data);
    TRY(err);
    return account_open(op, &row, ret);
}

enum err account_find(struct op *op, const json_t *doc, const char *field, struct account *ret)
{
    struct span text;
    TRY(doc_text(doc, field, ACCOUNT_TYPED_MAX, true, &text));
    return account_named(op, text, ret);
}

enum err account_put(struct op *op, struct account *account)
{
    account->row.id = uuid_ordered(clock_wall_ms());
    account->row.version = 1;
    account->row.created = op->now;
    TRY(seal(op, account, 1));
    enum err err = store_user_put(op->ops->set.store, &account->row);
    if (err == ERR_CONFLICT)
        FAIL(ERR_CONFLICT, "user \"%.*s\" exists already; choose another name",
             (int)account->name.len, (const char *)account->name.data);
    return err;
}

enum err account_update(struct op *op, struct account *account)
{
    TRY(seal(op, account, account->row.version + 1));
    TRY(store_user_update(op->ops->set.store, &account->row));
    account->row.version++;
    return ERR_OK;
}

json_t *account_name(struct op *op, const struct uuid *id)
{
    struct account account;
    if (account_get(op, id, &account) != ERR_OK)
        return doc_uuid(id);
    return doc_string(account.name);
}

enum err account_set_password(struct op *op, struct account *account, const uint8_t *record,
                              int64_t keep)
{
    struct buf kept CLEANUP(buf_done);
    size_t most = (size_t)keep * PWHASH_LEN;
    buf_init(&kept, ACCOUNT_SEALED_MAX, true);
    TRY(buf_put(&kept, account->password));
    TRY(buf_put(&kept, account->kept));
    struct span all = span_of(kept.data, kept.len < most ? kept.len : most);
    TRY(arena_copy(op->arena, all, &account->kept));
    account->row.password_changed = op->now;
    return arena_copy(op->arena, span_of(record, PWHASH_LEN), &account->password);
}
