// SPDX-License-Identifier: Apache-2.0
//
// Payloads. A request's members are looked up in the operation's table row and handed to the rule
// of their tag; an answer's members are taken from the row in order and written by theirs. A member
// without a rule is refused: ignoring one could mean to ignore a filter or a restriction.
#include "kmip/kmip_payload.h"

#include "kmip/kmip_object.h"
#include "kmip/kmip_query.h"

enum { MEMBERS_MAX = 24, VERSIONS_MAX = 32 };

// ---- which operations are served ----

static const uint8_t served[] = {
    KMIP_OPERATION_CREATE,
    KMIP_OPERATION_CREATE_KEY_PAIR,
    KMIP_OPERATION_REGISTER,
    KMIP_OPERATION_RE_KEY,
    KMIP_OPERATION_RE_KEY_KEY_PAIR,
    KMIP_OPERATION_LOCATE,
    KMIP_OPERATION_GET,
    KMIP_OPERATION_GET_ATTRIBUTES,
    KMIP_OPERATION_ADD_ATTRIBUTE,
    KMIP_OPERATION_GET_ATTRIBUTE_LIST,
    KMIP_OPERATION_ACTIVATE,
    KMIP_OPERATION_MODIFY_ATTRIBUTE,
    KMIP_OPERATION_REVOKE,
    KMIP_OPERATION_DELETE_ATTRIBUTE,
    KMIP_OPERATION_DESTROY,
    KMIP_OPERATION_QUERY,
    KMIP_OPERATION_DISCOVER_VERSIONS,
};

bool kmip_operation_is_served(uint32_t operation)
{
    for (size_t i = 0; i < sizeof served; i++) {
        if (served[i] == operation)
            return true;
    }
    return false;
}

enum err kmip_find_operation(uint16_t version, uint32_t operation, const struct kmip_op_info **ret)
{
    const struct kmip_op_info *op = kmip_op_find(operation);
    if (op == NULL)
        FAIL(ERR_OPERATION, "there is no operation %u", operation);
    // Discover Versions is how a client finds out, so it is answered in any version.
    if (!kmip_in_version(version, op->from, op->until) &&
        operation != KMIP_OPERATION_DISCOVER_VERSIONS)
        FAIL(ERR_OPERATION, "KMIP %u.%u has no operation \"%s\"", version >> 8u, version & 0xffu,
             op->name);
    if (!kmip_operation_is_served(operation))
        FAIL(ERR_OPERATION, "the operation \"%s\" is not supported", op->name);
    *ret = op;
    return ERR_OK;
}

// ---- reading ----

struct reading {
    const struct kmip_reader *in;
    const struct kmip_op_info *op;
    struct kmip_item *item;
    struct request *request;
    bool has_index; // Delete Attribute 1.x: an Attribute Index, which may stand before the name
    int32_t index;
};

typedef enum err take_fn(struct reading *to, const struct ttlv *item);

static enum err take_nothing(struct reading *to, const struct ttlv *item)
{
    (void)to;
    (void)item;
    return ERR_OK;
}

// Text names an object; ID Placeholder says what leaving it out says (2.x).
static enum err take_uid(struct reading *to, const struct ttlv *item)
{
    uint32_t special;
    if (item->type == TTLV_TEXT) {
        TRY(ttlv_text(item, &to->request->uid));
        if (to->request->uid.len == 0)
            FAIL(ERR_NOT_FOUND, "there is no such object");
        return ERR_OK;
    }
    if (item->type != TTLV_ENUMERATION)
        FAIL(ERR_FEATURE, "an identifier that is a number is not supported");
    TRY(ttlv_enumeration(item, &special));
    if (special != KMIP_UNIQUE_IDENTIFIER_ID_PLACEHOLDER)
        FAIL(ERR_FEATURE, "of the special identifiers only ID Placeholder is supported");
    return ERR_OK;
}

static enum err take_object_type(struct reading *to, const struct ttlv *item)
{
    return ttlv_enumeration(item, &to->request->object_type);
}

static enum err take_attrs(struct reading *to, const struct ttlv *item)
{
    return kmip_get_attr_list(to->in, item, &to->request->attrs);
}

static enum err take_private_attrs(struct reading *to, const struct ttlv *item)
{
    return kmip_get_attr_list(to->in, item, &to->request->private_attrs);
}

static enum err take_public_attrs(struct reading *to, const struct ttlv *item)
{
    return kmip_get_attr_list(to->in, item, &to->request->public_attrs);
}

static enum err take_attr(struct reading *to, const struct ttlv *item)
{
    return kmip_get_attr(to->in, item, &to->request->attrs);
}

static enum err take_attr_name(struct reading *to, const struct ttlv *item)
{
    to->item->named = true;
    return kmip_get_attr_name(to->in, item, &to->request->attrs);
}

static enum err take_attr_index(struct reading *to, const struct ttlv *item)
{
    TRY(ttlv_integer(item, &to->index));
    if (to->index < 0)
        FAIL(ERR_INDEX, "there is no attribute index %d", to->index);
    to->has_index = true;
    return ERR_OK;
}

static enum err take_new(struct reading *to, const struct ttlv *item)
{
    TRY(kmip_get_attr_list(to->in, item, &to->request->attrs));
    if (to->request->attrs.count != 1)
        FAIL(ERR_INVALID, "New Attribute holds %zu attributes, not one", to->request->attrs.count);
    return ERR_OK;
}

static enum err take_current(struct reading *to, const struct ttlv *item)
{
    struct attrs current = {0};
    TRY(kmip_get_attr_list(to->in, item, &current));
    if (current.count != 1)
        FAIL(ERR_INVALID, "Current Attribute holds %zu attributes, not one", current.count);
    to->request->current = current.items[0];
    to->request->has_current = true;
    return ERR_OK;
}

static enum err take_object(struct reading *to, const struct ttlv *item)
{
    return kmip_get_object(to->in, item, &to->request->object);
}

static enum err take_key_format(struct reading *to, const struct ttlv *item)
{
    return ttlv_enumeration(item, &to->request->key_format);
}

static enum err take_compression(struct reading *to, const struct ttlv *item)
{
    return ttlv_enumeration(item, &to->request->key_compression);
}

static enum err take_wrapping(struct reading *to, const struct ttlv *item)
{
    (void)item;
    to->request->has_wrapping = true;
    return ERR_OK;
}

static enum err take_count(const struct ttlv *item, int32_t *ret)
{
    TRY(ttlv_integer(item, ret));
    if (*ret < 0)
        FAIL(ERR_INVALID, "a number of items is %d", *ret);
    return ERR_OK;
}

static enum err take_maximum(struct reading *to, const struct ttlv *item)
{
    return take_count(item, &to->request->maximum_items);
}

static enum err take_offset(struct reading *to, const struct ttlv *item)
{
    return take_count(item, &to->request->offset_items);
}

static enum err take_storage(struct reading *to, const struct ttlv *item)
{
    int32_t mask;
    TRY(ttlv_integer(item, &mask));
    to->request->storage_mask = (uint32_t)mask;
    return ERR_OK;
}

static enum err take_revocation(struct reading *to, const struct ttlv *item)
{
    struct span members;
    struct ttlv part;
    TRY(kmip_get_structure(to->in, item, &members));
    if (ttlv_find(members, KMIP_TAG_REVOCATION_REASON_CODE, &part))
        TRY(ttlv_enumeration(&part, &to->request->reason));
    if (ttlv_find(members, KMIP_TAG_REVOCATION_MESSAGE, &part))
        TRY(ttlv_text(&part, &to->request->reason_text));
    return ERR_OK;
}

static enum err take_compromise_date(struct reading *to, const struct ttlv *item)
{
    return ttlv_date_time(item, &to->request->compromise_date);
}

static enum err take_key_offset(struct reading *to, const struct ttlv *item)
{
    int64_t seconds;
    TRY(ttlv_number(item, &seconds));
    to->request->has_offset = true;
    to->request->offset = (uint32_t)seconds;
    return ERR_OK;
}

static enum err take_function(struct reading *to, const struct ttlv *item)
{
    uint32_t function;
    TRY(ttlv_enumeration(item, &function));
    if (function < 64)
        to->item->functions |= 1ull << function;
    return ERR_OK;
}

// A version that the client offers, in Discover Versions. What cannot be one is no version of ours.
static enum err take_version(struct reading *to, const struct ttlv *item)
{
    struct span members;
    struct ttlv part;
    int32_t major = 0;
    int32_t minor = 0;
    TRY(ttlv_structure(item, &members));
    if (ttlv_find(members, KMIP_TAG_PROTOCOL_VERSION_MAJOR, &part))
        TRY(ttlv_integer(&part, &major));
    if (ttlv_find(members, KMIP_TAG_PROTOCOL_VERSION_MINOR, &part))
        TRY(ttlv_integer(&part, &minor));
    if (to->item->versions == NULL)
        TRY(arena_alloc(to->in->arena, VERSIONS_MAX, sizeof *to->item->versions,
                        &to->item->versions));
    if (to->item->version_count == VERSIONS_MAX)
        FAIL(ERR_TOO_LARGE, "more than %d protocol versions are offered", VERSIONS_MAX);
    bool possible = major >= 0 && major < 256 && minor >= 0 && minor < 256;
    to->item->versions[to->item->version_count++] =
        possible ? KMIP_VERSION((unsigned)major, (unsigned)minor) : 0;
    return ERR_OK;
}

static const struct {
    uint32_t tag;
    take_fn *take;
} take_rules[] = {
    {KMIP_TAG_UNIQUE_IDENTIFIER, take_uid},
    {KMIP_TAG_PRIVATE_KEY_UNIQUE_IDENTIFIER, take_uid},
    {KMIP_TAG_OFFSET, take_key_offset},
    {KMIP_TAG_OBJECT_TYPE, take_object_type},
    {KMIP_TAG_TEMPLATE_ATTRIBUTE, take_attrs},
    {KMIP_TAG_COMMON_TEMPLATE_ATTRIBUTE, take_attrs},
    {KMIP_TAG_PRIVATE_KEY_TEMPLATE_ATTRIBUTE, take_private_attrs},
    {KMIP_TAG_PUBLIC_KEY_TEMPLATE_ATTRIBUTE, take_public_attrs},
    {KMIP_TAG_ATTRIBUTES, take_attrs},
    {KMIP_TAG_COMMON_ATTRIBUTES, take_attrs},
    {KMIP_TAG_PRIVATE_KEY_ATTRIBUTES, take_private_attrs},
    {KMIP_TAG_PUBLIC_KEY_ATTRIBUTES, take_public_attrs},
    {KMIP_TAG_ATTRIBUTE, take_attr},
    {KMIP_TAG_ATTRIBUTE_NAME, take_attr_name},
    {KMIP_TAG_ATTRIBUTE_REFERENCE, take_attr_name},
    {KMIP_TAG_ATTRIBUTE_INDEX, take_attr_index},
    {KMIP_TAG_NEW_ATTRIBUTE, take_new},
    {KMIP_TAG_CURRENT_ATTRIBUTE, take_current},
    {KMIP_TAG_KEY_FORMAT_TYPE, take_key_format},
    {KMIP_TAG_KEY_COMPRESSION_TYPE, take_compression},
    {KMIP_TAG_KEY_WRAPPING_SPECIFICATION, take_wrapping},
    {KMIP_TAG_KEY_WRAP_TYPE, take_nothing}, // objects are given out as they were registered
    {KMIP_TAG_MAXIMUM_ITEMS, take_maximum},
    {KMIP_TAG_OFFSET_ITEMS, take_offset},
    {KMIP_TAG_STORAGE_STATUS_MASK, take_storage},
    {KMIP_TAG_REVOCATION_REASON, take_revocation},
    {KMIP_TAG_COMPROMISE_OCCURRENCE_DATE, take_compromise_date},
    {KMIP_TAG_QUERY_FUNCTION, take_function},
    {KMIP_TAG_PROTOCOL_VERSION, take_version},
};

static take_fn *rule_of(uint32_t tag)
{
    for (size_t i = 0; i < sizeof take_rules / sizeof *take_rules; i++) {
        if (take_rules[i].tag == tag)
            return take_rules[i].take;
    }
    return kmip_object_type_of(tag) != 0 ? take_object : NULL;
}

// The member of the payload that the tag is, in the major version; request_count when there is
// none.
static size_t member_of(const struct reading *to, uint32_t tag)
{
    size_t count = to->op->request_count < MEMBERS_MAX ? to->op->request_count : MEMBERS_MAX;
    for (size_t i = 0; i < count; i++) {
        const struct kmip_member *member = &to->op->request[i];
        bool same = member->tag == tag ||
                    (member->tag == KMIP_MEMBER_ANY_OBJECT && kmip_object_type_of(tag) != 0);
        if (same && kmip_in_major(to->in->version, member->from, member->until))
            return i;
    }
    return MEMBERS_MAX;
}

static enum err take_member(struct reading *to, const struct ttlv *item, uint16_t *seen)
{
    size_t place = member_of(to, item->tag);
    const struct kmip_tag_info *info = kmip_tag_find(item->tag);
    const char *name = info == NULL ? "" : info->name;
    if (place == MEMBERS_MAX && to->op->code == KMIP_OPERATION_LOCATE)
        FAIL(ERR_INVALID, "Locate has no field %06X \"%s\"", item->tag, name);
    if (place == MEMBERS_MAX)
        return ERR_OK;
    uint16_t cardinality = to->op->request[place].cardinality;
    if (seen[place]++ > 0 && (cardinality == KMIP_ONE || cardinality == KMIP_OPTIONAL))
        FAIL(ERR_INVALID, "the field \"%s\" is given twice", name);
    TRY(kmip_check_value(to->in->version, item->tag, item));
    take_fn *take = rule_of(item->tag);
    if (take == NULL)
        FAIL(ERR_FEATURE, "the field \"%s\" of \"%s\" is not supported", name, to->op->name);
    return take(to, item);
}

static enum err check_required(const struct reading *to, const uint16_t *seen)
{
    for (size_t i = 0; i < to->op->request_count && i < MEMBERS_MAX; i++) {
        const struct kmip_member *member = &to->op->request[i];
        bool required = member->cardinality == KMIP_ONE || member->cardinality == KMIP_AT_LEAST_ONE;
        const struct kmip_tag_info *info = kmip_tag_find(member->tag);
        if (required && seen[i] == 0 &&
            kmip_in_version(to->in->version, member->from, member->until))
            FAIL(ERR_MISSING_DATA, "\"%s\" lacks the field \"%s\"", to->op->name,
                 info == NULL ? "" : info->name);
    }
    return ERR_OK;
}

static enum err check_whole(const struct reading *to)
{
    const struct request *request = to->request;
    if (request->object.type != 0 && request->object.type != request->object_type)
        FAIL(ERR_INVALID, "the object is not of the object type that is given");
    if (to->has_index && request->attrs.count > 0)
        request->attrs.items[0].index = to->index;
    if (request->verb == VERB_DELETE_ATTRIBUTE && request->attrs.count == 0 &&
        !request->has_current)
        FAIL(ERR_MISSING_DATA, "nothing says which attribute to delete");
    return ERR_OK;
}

enum err kmip_get_payload(const struct kmip_reader *in, const struct kmip_op_info *op,
                          struct span members, struct kmip_item *item, struct request *request)
{
    struct reading to = {.in = in, .op = op, .item = item, .request = request};
    uint16_t seen[MEMBERS_MAX] = {0};
    struct cursor cursor = cursor_of(members);
    struct ttlv member;
    bool found;
    request->verb = (enum verb)op->code;
    request->maximum_items = -1;
    for (;;) {
        TRY(ttlv_next(&cursor, &member, &found));
        if (!found)
            break;
        TRY(take_member(&to, &member, seen));
    }
    TRY(check_required(&to, seen));
    return check_whole(&to);
}

// ---- writing ----

struct writing {
    struct buf *out;
    uint16_t version;
    const struct kmip_item *item;
    const struct reply *reply;
    bool terse;
};

typedef enum err put_fn(const struct writing *from);

static enum err put_uid(const struct writing *from)
{
    const struct reply *reply = from->reply;
    if (reply->verb != VERB_LOCATE)
        return ttlv_put_text(from->out, KMIP_TAG_UNIQUE_IDENTIFIER, reply->uid);
    for (size_t i = 0; i < reply->uid_count; i++)
        TRY(ttlv_put_text(from->out, KMIP_TAG_UNIQUE_IDENTIFIER, reply->uids[i]));
    return ERR_OK;
}

static enum err put_private_uid(const struct writing *from)
{
    return ttlv_put_text(from->out, KMIP_TAG_PRIVATE_KEY_UNIQUE_IDENTIFIER, from->reply->uid);
}

static enum err put_public_uid(const struct writing *from)
{
    return ttlv_put_text(from->out, KMIP_TAG_PUBLIC_KEY_UNIQUE_IDENTIFIER, from->reply->public_uid);
}

static enum err put_object_type(const struct writing *from)
{
    return ttlv_put_enumeration(from->out, KMIP_TAG_OBJECT_TYPE, from->reply->object_type);
}

static enum err put_located(const struct writing *from)
{
    int64_t located = from->reply->located_items;
    if (located < 0)
        return ERR_OK;
    return ttlv_put_integer(from->out, KMIP_TAG_LOCATED_ITEMS,
                            located > INT32_MAX ? INT32_MAX : (int32_t)located);
}

static enum err put_attribute(const struct writing *from)
{
    if (from->terse)
        return ERR_OK;
    bool named = from->item->named || verb_writes(from->reply->verb);
    for (size_t i = 0; i < from->reply->attrs.count; i++)
        TRY(kmip_put_attr(from->out, from->version, named, &from->reply->attrs.items[i]));
    return ERR_OK;
}

static enum err put_attributes(const struct writing *from)
{
    size_t at;
    TRY(ttlv_begin(from->out, KMIP_TAG_ATTRIBUTES, &at));
    TRY(put_attribute(from));
    ttlv_end(from->out, at);
    return ERR_OK;
}

static enum err put_names(const struct writing *from)
{
    const struct attrs *attrs = &from->reply->attrs;
    for (size_t i = 0; i < attrs->count; i++)
        TRY(kmip_put_attr_name(from->out, from->version, &attrs->items[i]));
    return ERR_OK;
}

static enum err put_object(const struct writing *from)
{
    return kmip_put_object(from->out, from->version, &from->reply->object);
}

// Optional members that have no rule are left out.
static const struct {
    uint32_t tag;
    put_fn *put;
} put_rules[] = {
    {KMIP_TAG_UNIQUE_IDENTIFIER, put_uid},
    {KMIP_TAG_PRIVATE_KEY_UNIQUE_IDENTIFIER, put_private_uid},
    {KMIP_TAG_PUBLIC_KEY_UNIQUE_IDENTIFIER, put_public_uid},
    {KMIP_TAG_OBJECT_TYPE, put_object_type},
    {KMIP_TAG_LOCATED_ITEMS, put_located},
    {KMIP_TAG_ATTRIBUTE, put_attribute},
    {KMIP_TAG_ATTRIBUTES, put_attributes},
    {KMIP_TAG_ATTRIBUTE_NAME, put_names},
    {KMIP_TAG_ATTRIBUTE_REFERENCE, put_names},
    {KMIP_MEMBER_ANY_OBJECT, put_object},
};

static enum err put_member(const struct writing *from, uint32_t tag)
{
    for (size_t i = 0; i < sizeof put_rules / sizeof *put_rules; i++) {
        if (put_rules[i].tag == tag)
            return put_rules[i].put(from);
    }
    return ERR_OK;
}

enum err kmip_put_payload(struct buf *out, uint16_t version, const struct kmip_item *item,
                          const struct reply *reply, bool terse)
{
    struct writing from = {out, version, item, reply, terse};
    const struct kmip_op_info *op = kmip_op_find(item->operation);
    if (op == NULL)
        FAIL(ERR_INTERNAL, "there is no operation %u to answer", item->operation);
    if (op->code == KMIP_OPERATION_QUERY)
        return kmip_put_query(out, version, item->functions);
    if (op->code == KMIP_OPERATION_DISCOVER_VERSIONS)
        return kmip_put_versions(out, item);
    for (size_t i = 0; i < op->response_count; i++) {
        const struct kmip_member *member = &op->response[i];
        if (kmip_in_version(version, member->from, member->until))
            TRY(put_member(&from, member->tag));
    }
    return ERR_OK;
}
