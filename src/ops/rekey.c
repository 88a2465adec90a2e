// SPDX-License-Identifier: Apache-2.0
//
// Re-key and Re-key Key Pair (KMIP 1.4 sections 4.4, 4.5; 2.1 sections 6.1.36, 6.1.37): a new key
// of the same algorithm and length in place of an old one, which stays as it is but for its Names,
// which the new one has from now on. Both are linked to each other. Dates are copied, or moved by
// the Offset; the new key belongs to the old one's owner and stands in the same wallets, so that
// whoever reached the old one reaches it.
#include "ops/attributes.h"
#include "ops/key.h"
#include "ops/make.h"
#include "ops/rules.h"
#include "ops/verbs.h"
#include "wire/ttlv.h"

enum { MEMBERS_MAX = 256, WALLETS_PAGE = 100 };

// ---- what the new key takes over ----

// These are made anew, or say something of the old key alone.
static bool stays_behind(uint32_t tag)
{
    static const uint32_t tags[] = {
        KMIP_TAG_LINK,
        KMIP_TAG_DIGEST,
        KMIP_TAG_FRESH,
        KMIP_TAG_RANDOM_NUMBER_GENERATOR,
        KMIP_TAG_KEY_FORMAT_TYPE,
        KMIP_TAG_REVOCATION_REASON,
        KMIP_TAG_ORIGINAL_CREATION_DATE,
    };
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (tags[i] == tag)
            return true;
    }
    return false;
}

// Usage Limits begin anew: the count is the total again.
static enum err renew_limits(struct op *op, struct attr *attr)
{
    struct ttlv total;
    struct ttlv unit;
    int64_t number = 0;
    struct buf members CLEANUP(buf_done);
    buf_init(&members, MEMBERS_MAX, false);
    if (!ttlv_find(attr->bytes, KMIP_TAG_USAGE_LIMITS_TOTAL, &total) ||
        !ttlv_find(attr->bytes, KMIP_TAG_USAGE_LIMITS_UNIT, &unit))
        return ERR_OK;
    TRY(ttlv_number(&total, &number));
    TRY(ttlv_put_long(&members, KMIP_TAG_USAGE_LIMITS_TOTAL, number));
    TRY(ttlv_put_long(&members, KMIP_TAG_USAGE_LIMITS_COUNT, number));
    TRY(ttlv_number(&unit, &number));
    TRY(ttlv_put_enumeration(&members, KMIP_TAG_USAGE_LIMITS_UNIT, (uint32_t)number));
    return arena_copy(op->arena, span_buf(&members), &attr->bytes);
}

static enum err put_flag(struct op *op, const struct object *old, uint32_t flag, uint32_t tag,
                         struct attrs *wanted)
{
    return attributes_put_number(op, wanted, tag, ATTR_BOOLEAN, (old->row.flags & flag) != 0);
}

// With an Offset the new activation date is so far from now, and the dates behind it keep their
// distance from it; without one all are copied.
static enum err put_dates(struct op *op, const struct object *old, struct attrs *wanted)
{
    const struct store_dates *dates = &old->row.dates;
    const struct {
        uint32_t tag;
        int64_t date;
    } later[] = {{KMIP_TAG_PROCESS_START_DATE, dates->process_start},
                 {KMIP_TAG_PROTECT_STOP_DATE, dates->protect_stop},
                 {KMIP_TAG_DEACTIVATION_DATE, dates->deactivation}};
    bool moves = op->request->has_offset;
    int64_t activation = moves ? op->now + op->request->offset : dates->activation;
    int64_t distance = moves && dates->activation != 0 ? activation - dates->activation : 0;
    if (activation != 0)
        TRY(attributes_put_number(op, wanted, KMIP_TAG_ACTIVATION_DATE, ATTR_DATE_TIME,
                                  activation));
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        if (later[i].date != 0)
            TRY(attributes_put_number(op, wanted, later[i].tag, ATTR_DATE_TIME,
                                      later[i].date + distance));
    }
    return ERR_OK;
}

static enum err put_old(struct op *op, const struct object *old, struct attrs *wanted)
{
    for (size_t i = 0; i < old->attrs.count; i++) {
        struct attr attr = old->attrs.items[i];
        if (stays_behind(attr.tag) || !rules_may(&attr, KMIP_ATTR_SET))
            continue;
        if (attr.tag == KMIP_TAG_USAGE_LIMITS)
            TRY(renew_limits(op, &attr));
        TRY(attrs_add(wanted, op->arena, &attr));
    }
    TRY(put_flag(op, old, OBJECT_SENSITIVE, KMIP_TAG_SENSITIVE, wanted));
    TRY(put_flag(op, old, OBJECT_EXTRACTABLE, KMIP_TAG_EXTRACTABLE, wanted));
    return put_dates(op, old, wanted);
}

static bool has_equal(const struct attrs *attrs, const struct attr *attr)
{
    for (size_t i = 0; i < attrs->count; i++) {
        if (attr_equal(&attrs->items[i], attr))
            return true;
    }
    return false;
}

// What the request gives counts, but for what makes it the same kind of key.
static enum err put_given(struct op *op, const struct attrs *given, struct attrs *wanted)
{
    for (size_t i = 0; i < given->count; i++) {
        const struct attr *attr = &given->items[i];
        bool same = has_equal(wanted, attr);
        if (!same && (attr->tag == KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM ||
                      attr->tag == KMIP_TAG_CRYPTOGRAPHIC_LENGTH ||
                      attr->tag == KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS))
            FAIL(ERR_INVALID, "a key is re-keyed by one of the same algorithm and length");
        if (same)
            continue;
        if (!rules_may(attr, KMIP_ATTR_MULTI))
            rules_drop(wanted, attr);
        TRY(attrs_add(wanted, op->arena, attr));
    }
    return ERR_OK;
}

// ---- old and new ----

static enum err check_old(struct op *op, const struct object *old, uint32_t type)
{
    struct span newer;
    if (old->row.type != type)
        FAIL(ERR_INVALID, type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY
                              ? "Re-key takes a symmetric key"
                              : "Re-key Key Pair takes the private key of a pair");
    TRY(rules_check_alive(op, old));
    if (attributes_find_link(&old->attrs, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK, &newer))
        FAIL(ERR_WRONG_STATE, "the key was replaced already, by %.*s: re-key that one",
             (int)newer.len, (const char *)newer.data);
    return ERR_OK;
}

static enum err join_wallets(struct op *op, const struct object *old, const struct object *fresh)
{
    struct uuid after = {{0}};
    struct uuid *wallets = NULL;
    size_t count = WALLETS_PAGE;
    while (count == WALLETS_PAGE) {
        TRY(store_member_of(op->ops->set.store, &old->row.id, &after, WALLETS_PAGE, op->arena,
                            &wallets, &count));
        for (size_t i = 0; i < count; i++)
            TRY(store_member_put(op->ops->set.store, &wallets[i], &fresh->row.id));
        if (count > 0)
            after = wallets[count - 1];
    }
    return ERR_OK;
}

// Stores both: the old one first, since its names are the new one's.
static enum err replace(struct op *op, struct object *old, struct object *fresh)
{
    struct op inner = *op;
    struct attr names = {.tag = KMIP_TAG_NAME};
    fresh->row.owner = old->row.owner;
    rules_drop(&old->attrs, &names);
    TRY(attributes_put_link(op, &old->attrs, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK, fresh->uid));
    TRY(attributes_put_link(op, &fresh->attrs, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK, old->uid));
    TRY(object_update(op, old));
    inner.default_wallet = (struct uuid){{0}}; // it goes where the old one is
    TRY(object_put(&inner, fresh));
    object_note(op, fresh);
    return join_wallets(op, old, fresh);
}

enum err rekey_run(struct op *op)
{
    struct object old;
    struct object fresh;
    struct attrs wanted = {0};
    TRY(object_get_attrs(op, &old));
    TRY(check_old(op, &old, KMIP_OBJECT_TYPE_SYMMETRIC_KEY));
    TRY(put_old(op, &old, &wanted));
    TRY(put_given(op, &op->request->attrs, &wanted));
    TRY(make_symmetric(op, &wanted, &fresh));
    TRY(replace(op, &old, &fresh));
    make_answer(op, &fresh);
    return ERR_OK;
}

// The public key of the pair, if the one who asks may change it, too.
static enum err get_public(struct op *op, const struct object *private_key, struct object *ret)
{
    struct op inner = *op;
    struct request request = *op->request;
    if (!attributes_find_link(&private_key->attrs, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &request.uid))
        FAIL(ERR_INVALID, "the private key has no link to a public key to be re-keyed with it");
    inner.request = &request;
    TRY(object_get_attrs(&inner, ret));
    return check_old(op, ret, KMIP_OBJECT_TYPE_PUBLIC_KEY);
}

enum err rekey_pair_run(struct op *op)
{
    struct object old_private;
    struct object old_public;
    struct object new_private;
    struct object new_public;
    struct request wanted = {0};
    TRY(object_get_attrs(op, &old_private));
    TRY(check_old(op, &old_private, KMIP_OBJECT_TYPE_PRIVATE_KEY));
    TRY(get_public(op, &old_private, &old_public));
    TRY(put_old(op, &old_private, &wanted.private_attrs));
    TRY(put_old(op, &old_public, &wanted.public_attrs));
    TRY(put_given(op, &op->request->attrs, &wanted.private_attrs));
    TRY(put_given(op, &op->request->attrs, &wanted.public_attrs));
    TRY(put_given(op, &op->request->private_attrs, &wanted.private_attrs));
    TRY(put_given(op, &op->request->public_attrs, &wanted.public_attrs));
    TRY(make_pair(op, &wanted, &new_private, &new_public));
    TRY(replace(op, &old_public, &new_public));
    TRY(replace(op, &old_private, &new_private));
    make_answer(op, &new_private);
    op->reply->public_uid = new_public.uid;
    return ERR_OK;
}

// By what the object is.
static enum err rekey_either(struct op *op)
{
    struct object old;
    TRY(object_get(op, &old));
    return old.row.type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY ? rekey_run(op) : rekey_pair_run(op);
}

// {"id", "offset", "dry_run"} → the new key's line
enum err key_rekey_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct request request = *op->request;
    struct object old;
    int64_t offset = -1;
    TRY(doc_params(op, &doc));
    TRY(doc_integer(doc, "offset", 0, UINT32_MAX, &offset));
    TRY(key_take(op, doc, &old));
    request.has_offset = offset >= 0 || old.row.dates.activation != 0;
    request.offset = offset >= 0 ? (uint32_t)offset : 0;
    return key_change(op, doc, &request, rekey_either);
}
