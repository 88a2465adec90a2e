// SPDX-License-Identifier: Apache-2.0
//
// Keys that an administrator has the server make, by KMIP's Create and Create Key Pair.
#include "ops/key_make.h"

#include <stdio.h>

#include "ops/attributes.h"
#include "ops/grantee.h"
#include "ops/named.h"
#include "ops/render.h"
#include "ops/rules.h"
#include "ops/value.h"
#include "ops/verbs.h"

enum { WORD_MAX = 64, NAME_MAX_BYTES = 1024 };

static const char public_suffix[] = "-public";

// ---- where to ----

static enum err check_wallet(struct op *op, const struct uuid *wallet)
{
    struct store_grant *grants = NULL;
    size_t count = 0;
    TRY(store_grant_reach(op->ops->set.store, &op->who.id, op->arena, &grants, &count));
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&grants[i].wallet, wallet, sizeof *wallet) == 0 &&
            (grants[i].access & (GRANT_MODIFY | GRANT_MANAGE)) != 0)
            return ERR_OK;
    }
    FAIL(ERR_NOT_PERMITTED, "the wallet is not yours to put anything into");
}

enum err key_take_place(struct op *op, const json_t *doc, struct key_place *ret)
{
    struct span owner;
    struct span wallet;
    struct store_named named;
    bool any = authz_decide(&op->who, VERB_KEY_GIVE, AUTHZ_OTHER, op->ops->set.service_uid).permit;
    *ret = (struct key_place){.owner = op->who.id};
    TRY(doc_text(doc, "owner", GRANTEE_OWNER_MAX, false, &owner));
    TRY(doc_text(doc, "wallet", NAMED_NAME_MAX, false, &wallet));
    if (owner.len > 0 && !any)
        FAIL(ERR_NOT_PERMITTED, "only a Key Administrator makes objects of somebody else's");
    if (owner.len > 0)
        TRY(grantee_find_owner(op, owner, &ret->owner));
    if (wallet.len == 0)
        return ERR_OK;
    TRY(named_find(op, NAMED_WALLET, doc, "wallet", &named));
    ret->wallet = named.id;
    return any ? ERR_OK : check_wallet(op, &named.id);
}

enum err key_make(struct op *op, const struct key_place *place, struct request *request,
                  op_function *make, struct reply *ret)
{
    struct op inner = *op;
    *ret = (struct reply){.located_items = -1};
    request->verb = op->request->verb;
    inner.who.id = place->owner;
    inner.default_wallet = place->wallet;
    inner.request = request;
    inner.reply = ret;
    TRY(make(&inner));
    op->object = inner.object;
    op->object_type = inner.object_type;
    return ERR_OK;
}

// ---- what ----

static enum err put_flag(struct op *op, const json_t *doc, const char *name, uint32_t tag,
                         struct attrs *attrs)
{
    const json_t *value = json_object_get(doc, name);
    if (!json_is_boolean(value))
        return ERR_OK; // spec/api lets nothing else through
    return attributes_put_number(op, attrs, tag, ATTR_BOOLEAN, json_is_true(value));
}

static enum err put_time(struct op *op, const json_t *doc, const char *name, uint32_t tag,
                         struct attrs *attrs)
{
    int64_t time = 0;
    TRY(key_take_time(doc, name, op->now, &time));
    return time == 0 ? ERR_OK : attributes_put_number(op, attrs, tag, ATTR_DATE_TIME, time);
}

enum err key_take_common(struct op *op, const json_t *doc, struct attrs *ret)
{
    TRY(put_time(op, doc, "activation_date", KMIP_TAG_ACTIVATION_DATE, ret));
    TRY(put_time(op, doc, "deactivation_date", KMIP_TAG_DEACTIVATION_DATE, ret));
    TRY(put_flag(op, doc, "sensitive", KMIP_TAG_SENSITIVE, ret));
    return put_flag(op, doc, "extractable", KMIP_TAG_EXTRACTABLE, ret);
}

struct usage {
    uint32_t secret, published; // of a symmetric or private key, of a public key
};

static bool is_pair(uint32_t algorithm)
{
    return algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA ||
           algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC ||
           algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA ||
           algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH;
}

static bool is_mac(uint32_t algorithm)
{
    const struct kmip_enum_member *member =
        kmip_enum_member_find(KMIP_ENUM_CRYPTOGRAPHIC_ALGORITHM, algorithm);
    return member != NULL && strncmp(member->name, "HMAC", 4) == 0;
}

// What a key is for when nobody says it.
static struct usage usual(uint32_t algorithm)
{
    if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA)
        return (struct usage){
            KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT,
            KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY | KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT};
    if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH)
        return (struct usage){KMIP_CRYPTOGRAPHIC_USAGE_MASK_KEY_AGREEMENT,
                              KMIP_CRYPTOGRAPHIC_USAGE_MASK_KEY_AGREEMENT};
    if (is_pair(algorithm))
        return (struct usage){KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN,
                              KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY};
    if (is_mac(algorithm))
        return (struct usage){KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE |
                                  KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY,
                              0};
    return (struct usage){
        KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT, 0};
}

uint32_t key_usual_usage(uint32_t algorithm, bool published)
{
    struct usage usage = usual(algorithm);
    return published ? usage.published : usage.secret;
}

static enum err take_usage(const json_t *doc, uint32_t algorithm, struct usage *ret)
{
    const json_t *list = json_object_get(doc, "usage");
    uint32_t mask = 0;
    *ret = usual(algorithm);
    if (list == NULL || json_is_null(list))
        return ERR_OK;
    TRY(value_mask(KMIP_ENUM_CRYPTOGRAPHIC_USAGE_MASK, list, &mask));
    *ret = (struct usage){mask, mask};
    return ERR_OK;
}

static enum err put_usage(struct op *op, struct attrs *attrs, uint32_t mask)
{
    return attributes_put_number(op, attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, ATTR_INTEGER, mask);
}

// The private half has the name that was given, the public half the same with "-public".
static enum err put_pair_names(struct op *op, struct span name, struct request *request)
{
    char text[NAME_MAX_BYTES + sizeof public_suffix];
    if (name.len == 0)
        return ERR_OK;
    memcpy(text, name.data, name.len);
    memcpy(text + name.len, public_suffix, sizeof public_suffix);
    TRY(attributes_put_name(op, &request->private_attrs, name));
    return attributes_put_name(op, &request->public_attrs, span_str(text));
}

struct wanted {
    struct request request;
    uint32_t algorithm;
    bool dry_run;
};

static enum err take_wanted(struct op *op, const json_t *doc, struct wanted *wanted)
{
    struct span algorithm;
    struct span name;
    struct usage usage;
    int64_t length = 0;
    struct request *request = &wanted->request;
    TRY(doc_dry_run(doc, &wanted->dry_run));
    TRY(doc_text(doc, "algorithm", WORD_MAX, false, &algorithm));
    TRY(doc_integer(doc, "length", 8, UINT16_MAX, &length));
    TRY(doc_text(doc, "name", NAME_MAX_BYTES, false, &name));
    TRY(arena_copy(op->arena, name, &op->detail));
    TRY(render_find_enum(KMIP_ENUM_CRYPTOGRAPHIC_ALGORITHM,
                         algorithm.len > 0 ? algorithm : span_str("AES"), &wanted->algorithm));
    bool pair = is_pair(wanted->algorithm);
    if (length == 0)
        length = wanted->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA ? 3072 : 256;
    TRY(take_usage(doc, wanted->algorithm, &usage));
    TRY(attributes_put_number(op, &request->attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM,
                              ATTR_ENUMERATION, wanted->algorithm));
    TRY(attributes_put_number(op, &request->attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, ATTR_INTEGER,
                              length));
    TRY(key_take_common(op, doc, &request->attrs));
    TRY(put_usage(op, pair ? &request->private_attrs : &request->attrs, usage.secret));
    if (!pair)
        return name.len > 0 ? attributes_put_name(op, &request->attrs, name) : ERR_OK;
    TRY(put_usage(op, &request->public_attrs, usage.published));
    return put_pair_names(op, name, request);
}

static enum err make_and_answer(struct op *op, const json_t *doc, struct wanted *wanted)
{
    struct reply reply;
    struct key_place place;
    struct object object = {0};
    json_t *answer = NULL;
    bool pair = is_pair(wanted->algorithm);
    wanted->request.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    TRY(key_take_place(op, doc, &place));
    TRY(key_make(op, &place, &wanted->request, pair ? create_key_pair_run : create_run, &reply));
    if (wanted->dry_run)
        return doc_answer(op, json_pack("{s:b}", "dry_run", 1));
    TRY(store_object_get(op->ops->set.store, &op->object, op->arena, &object.row));
    TRY(key_summary(op, &object, &answer));
    enum err err =
        doc_set(answer, "public_key_id", pair ? doc_string(reply.public_uid) : json_null());
    if (err != ERR_OK)
        json_decref(answer);
    TRY(err);
    return doc_answer(op, answer);
}

// {"name", "algorithm", "length", …} → the key's line without its material
enum err key_create_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct wanted wanted = {0};
    TRY(doc_params(op, &doc));
    TRY(take_wanted(op, doc, &wanted));
    if (!wanted.dry_run)
        return make_and_answer(op, doc, &wanted);
    TRY(store_save(op->ops->set.store));
    enum err err = make_and_answer(op, doc, &wanted);
    store_undo(op->ops->set.store);
    op->object = (struct uuid){{0}};
    return err;
}
